"""Shake-Shake's and ShakeDrop's noise: closed forms for values and gradients, means over many draws."""

import pytest
import torch
from torch import nn

from augury.train.models.pyramidnet import ShakeDrop, pyramidnet
from augury.train.models.shake_shake import ShakeSum, Shortcut, shake, shake_shake


@pytest.fixture(autouse=True)
def _own_generator():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def test_shake_goes_forward_with_alpha_and_back_with_beta():
    first, second = torch.randn(3, 2, 4, 4, requires_grad=True), torch.randn(3, 2, 4, 4, requires_grad=True)
    alpha, beta = torch.rand(3, 1, 1, 1), torch.rand(3, 1, 1, 1)
    result = shake(first, second, alpha, beta)
    torch.testing.assert_close(result, alpha * first + (1 - alpha) * second)
    weight = torch.randn(3, 2, 4, 4)
    (result * weight).sum().backward()
    torch.testing.assert_close(first.grad, beta * weight)
    torch.testing.assert_close(second.grad, (1 - beta) * weight)


@pytest.mark.parametrize(("law", "variance"), [("uniform", 1 / 12), ("ratio", 0.0569)])
def test_shake_sum_draws_per_image_and_backward_anew(law, variance):
    """The variance of u / (u + v) is 1 - ln 2 - 1/4 = 0.0569; both laws have mean one half."""
    module = ShakeSum(law).train()
    first, second = torch.ones(20000, 1, 2, 2, requires_grad=True), torch.zeros(20000, 1, 2, 2, requires_grad=True)
    result = module(first, second)
    result.sum().backward()
    alpha, beta = result.detach()[:, 0, 0, 0], first.grad[:, 0, 0, 0]
    assert torch.equal(result.detach(), alpha[:, None, None, None].expand_as(result))
    for drawn in (alpha, beta):
        assert drawn.min() >= 0 and drawn.max() <= 1
        assert drawn.mean().item() == pytest.approx(0.5, abs=0.01)
        assert drawn.var().item() == pytest.approx(variance, rel=0.05)
    assert abs(torch.corrcoef(torch.stack((alpha, beta)))[0, 1]) < 0.03
    torch.testing.assert_close(first.grad + second.grad, torch.ones_like(first))


def test_shake_sum_is_the_mean_in_evaluation():
    first, second = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(ShakeSum("uniform").eval()(first, second), (first + second) / 2)


def test_a_block_in_training_has_evaluations_result_as_its_mean():
    block = shake_shake(8, 8, 2, 3, "trimmed", "uniform", 1).stage2[0]
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            module.train = lambda mode=True, module=module: module  # its own statistics are not the question here
    maps = torch.randn(1, 8, 6, 6).expand(4000, -1, -1, -1)
    with torch.no_grad():
        trained, evaluated = block.train()(maps), block.eval()(maps[:1])
    spread = trained.std(0, keepdim=True) / len(maps) ** 0.5
    assert ((trained.mean(0, keepdim=True) - evaluated).abs() <= 5 * spread + 1e-5).all()
    assert spread.max() > 1e-3


@pytest.mark.parametrize("size", [(1, 1), (5, 4), (6, 6), (7, 7)])
@pytest.mark.parametrize("stride", [1, 2])
def test_shortcut_reads_shifted_positions_at_every_size(size, stride):
    shortcut = Shortcut(1, 2, stride).eval()
    nn.init.ones_(shortcut.straight.weight)
    nn.init.ones_(shortcut.shifted.weight)
    rows, columns = size
    maps = torch.arange(1.0, rows * columns + 1).reshape(1, 1, rows, columns)
    straight, shifted = shortcut(maps)[0].detach()
    moved = torch.zeros(rows, columns)
    moved[:-1, :-1] = maps[0, 0, 1:, 1:]
    torch.testing.assert_close(straight, maps[0, 0, ::stride, ::stride], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(shifted, moved[::stride, ::stride], rtol=1e-4, atol=1e-4)


def test_shake_drop_scales_each_image_and_its_gradient_by_two_draws():
    module = ShakeDrop(0.5, "image").train()
    maps = torch.full((40000, 1, 2, 2), 2.0, requires_grad=True)
    result = module(maps)
    result.sum().backward()
    forward, backward = result.detach()[:, 0, 0, 0] / 2, maps.grad[:, 0, 0, 0]
    kept = forward == 1
    assert kept.float().mean().item() == pytest.approx(0.5, abs=0.01)
    assert torch.equal(backward[kept], torch.ones(int(kept.sum())))
    alpha, beta = forward[~kept], backward[~kept]
    assert alpha.mean().item() == pytest.approx(0, abs=0.02)
    assert alpha.var().item() == pytest.approx(1 / 3, rel=0.03)
    assert beta.mean().item() == pytest.approx(0.5, abs=0.01)
    assert beta.var().item() == pytest.approx(1 / 12, rel=0.03)
    assert abs(torch.corrcoef(torch.stack((alpha, beta)))[0, 1]) < 0.03
    assert result[0].unique().numel() == 1


def test_shake_drops_mean_is_what_evaluation_computes():
    module = ShakeDrop(0.3, "image")
    maps = torch.ones(40000, 1, 1, 1)
    assert module.train()(maps).mean().item() == pytest.approx(0.7, abs=0.01)
    torch.testing.assert_close(module.eval()(maps), torch.full_like(maps, 0.7))


def test_the_gate_decides_per_image_or_for_the_batch():
    maps = torch.ones(64, 1, 1, 1)
    kept = {
        gate: [(ShakeDrop(0.5, gate).train()(maps) == 1).float().mean().item() for _ in range(40)] for gate in ("image", "batch")
    }
    assert set(kept["batch"]) == {0.0, 1.0}
    assert all(0.2 < share < 0.8 for share in kept["image"])


def test_drop_rises_linearly_to_the_last_block():
    network = pyramidnet(29, 30, 0.5, "image", 10, 3, 1)
    drops = [module.drop for module in network.modules() if isinstance(module, ShakeDrop)]
    assert drops == pytest.approx([0.5 * i / 9 for i in range(1, 10)])


def test_no_drop_makes_training_and_evaluation_one():
    module = ShakeDrop(0.0, "image")
    maps = torch.randn(4, 2, 3, 3)
    torch.testing.assert_close(module.train()(maps), module.eval()(maps))


def test_lower_precision_sees_the_same_noise():
    module = ShakeSum("uniform").train()
    ones, zeros = torch.ones(50, 1, 1, 1), torch.zeros(50, 1, 1, 1)
    torch.manual_seed(4)
    full = module(ones, zeros)
    torch.manual_seed(4)
    half = module(ones.bfloat16(), zeros.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), full, atol=0.01, rtol=0)
