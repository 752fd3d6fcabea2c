"""Batch normalisation with ReLU: PyTorch's own results in float32, nearer to the exact ones in bfloat16 than PyTorch's own."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from augury.train.models.norm_relu import is_compiled, norm_relu

LAST = torch.channels_last
# Fewer numbers than a piece, more channels than one, and pieces that do not divide the maps.
SHAPES = [(6, 16, 9, 9), (4, 3, 7, 5), (3, 300, 5, 5), (2, 64, 1, 1)]
Layer = Callable[[Tensor, Tensor | None], Tensor]


@pytest.fixture(autouse=True)
def one_thread() -> object:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawn(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).bfloat16().contiguous(memory_format=LAST)


def layer(channels: int) -> nn.BatchNorm2d:
    made = nn.BatchNorm2d(channels)
    with torch.no_grad():
        made.weight.copy_(torch.linspace(-1, 2, channels))
        made.bias.copy_(torch.linspace(0.5, -0.5, channels))
    return made


def passed(layer: Layer, maps: Tensor, shortcut: Tensor | None, gradient: Tensor) -> list[Tensor]:
    """What comes out of a pass, and the gradients of what went in; double precision."""
    ins = [t.clone(memory_format=LAST).requires_grad_() for t in (maps, shortcut) if t is not None]
    out = layer(ins[0], ins[1] if len(ins) > 1 else None)
    out.backward(gradient)
    return [out.detach().double(), *(t.grad.double() for t in ins if t.grad is not None)]


def fused(norm: nn.BatchNorm2d) -> Layer:
    return lambda maps, shortcut: norm_relu(norm, maps, shortcut)


def plain(norm: nn.BatchNorm2d) -> Layer:
    return lambda maps, shortcut: torch.relu(norm(maps) if shortcut is None else norm(maps) + shortcut)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("adds", [False, True])
def test_in_bfloat16_the_layer_is_nearer_to_the_exact_one_than_two_layers_of_pytorch(shape: tuple[int, ...], adds: bool) -> None:
    mine, exact, theirs = layer(shape[1]), nn.BatchNorm2d(shape[1]).double(), nn.BatchNorm2d(shape[1])
    exact.load_state_dict(mine.state_dict())
    theirs.load_state_dict(mine.state_dict())
    maps, shortcut, gradient = 2 * drawn(shape, 0) + 3, drawn(shape, 1) if adds else None, drawn(shape, 2)
    assert is_compiled(mine, maps, shortcut)
    wanted = passed(plain(exact), maps.double(), None if shortcut is None else shortcut.double(), gradient.double())
    found = passed(fused(mine), maps, shortcut, gradient)
    rounded = passed(plain(theirs), maps, shortcut, gradient)
    assert len(found) == len(wanted) == 3 if adds else 2
    for ours, other, true in zip(found, rounded, wanted, strict=True):
        # A sum that falls to the other side of 0 by rounding has another gradient: the mean, not the largest error.
        assert (ours - true).abs().mean() <= 1.05 * (other - true).abs().mean() + 1e-9
        assert (ours - true).abs().mean() <= 0.004 * true.abs().mean() + 1e-6
    for name in ("weight", "bias"):
        torch.testing.assert_close(getattr(mine, name).grad.double(), getattr(exact, name).grad, rtol=1e-3, atol=2e-2)
    torch.testing.assert_close(mine.running_mean.double(), exact.running_mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(mine.running_var.double(), exact.running_var, rtol=1e-4, atol=1e-6)
    assert mine.num_batches_tracked == 1


def test_in_float32_and_in_evaluation_it_is_pytorchs_own_to_the_bit() -> None:
    mine, theirs = layer(16), nn.BatchNorm2d(16)
    theirs.load_state_dict(mine.state_dict())
    maps, shortcut, gradient = (drawn((6, 16, 9, 9), seed).float() for seed in range(3))
    assert not is_compiled(mine, maps, shortcut)
    for ours, other in zip(
        passed(fused(mine), maps, shortcut, gradient), passed(plain(theirs), maps, shortcut, gradient), strict=True
    ):
        assert torch.equal(ours, other)
    mine.eval(), theirs.eval()
    halves = maps.bfloat16(), shortcut.bfloat16()
    assert not is_compiled(mine, *halves) and torch.equal(norm_relu(mine, *halves), plain(theirs)(*halves))


def test_what_is_no_number_does_not_vanish() -> None:
    """ReLU by a comparison would turn NaN to 0, and a training that has failed would go on."""
    maps = drawn((4, 16, 3, 3), 0)
    maps[0, 2, 1, 1] = float("nan")
    assert norm_relu(layer(16), maps).isnan().any(dim=(0, 2, 3)).tolist() == [channel == 2 for channel in range(16)]


def test_statistics_over_all_batches_are_their_plain_mean() -> None:
    mine = layer(16)
    mine.momentum = None
    batches = [drawn((5, 16, 4, 4), seed) + seed for seed in range(3)]
    for maps in batches:
        norm_relu(mine, maps)
    wanted = torch.stack([maps.double().mean((0, 2, 3)) for maps in batches]).mean(0)
    torch.testing.assert_close(mine.running_mean.double(), wanted, rtol=1e-4, atol=1e-5)
    wanted = torch.stack([maps.double().var((0, 2, 3)) for maps in batches]).mean(0)
    torch.testing.assert_close(mine.running_var.double(), wanted, rtol=1e-4, atol=1e-5)


def test_maps_in_another_order_or_on_many_threads_go_the_usual_way() -> None:
    mine, maps = layer(16), drawn((6, 16, 9, 9), 0)
    assert is_compiled(mine, maps, None)
    assert not is_compiled(mine, maps.contiguous(), None) and not is_compiled(mine, maps, maps.contiguous())
    torch.set_num_threads(5)
    assert not is_compiled(mine, maps, None)


def test_layers_that_take_the_place_of_batch_normalisation_are_called() -> None:
    """A network whose layers were frozen or synchronised keeps its ReLU, and a hook sees what it asked for."""
    maps = drawn((6, 16, 9, 9), 0)
    for other in (nn.SyncBatchNorm(16), nn.Identity(), nn.GroupNorm(4, 16, dtype=torch.bfloat16)):
        other.eval()
        assert torch.equal(norm_relu(other, maps), torch.relu(other(maps)))
    mine, seen = layer(16), []
    mine.register_forward_hook(lambda *_: seen.append(1))
    norm_relu(mine, maps)
    assert seen == [1]
