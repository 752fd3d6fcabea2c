"""InAugment's salient patches and Attentive CutMix: what is copied holds much, what is covered holds little."""

import pytest
import torch
from torch import Tensor, nn

import augury
from augury.augment.saliency.regions import box_scores, choose, threshold
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.targets import Targets

COUNT = 48


def batch_of(saliency: Tensor | None = None, side: int = 32) -> Batch:
    generator = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (COUNT, 3, side, side), generator=generator, dtype=torch.uint8)
    found = torch.rand(COUNT, side, side, generator=generator) ** 4 if saliency is None else saliency
    return Batch(images, Targets.of(torch.arange(COUNT) % 10, 10), torch.arange(COUNT), saliency=found)


@pytest.mark.parametrize("trim", [True, False])
def test_salient_windows_are_copied_onto_places_that_hold_little(trim: bool) -> None:
    batch = batch_of()
    pipeline = augury.pipeline(f"inaugment(policy=none, where=salient, source=0.4, patches=2, trim={str(trim).lower()})")
    done, (trace,) = pipeline.run(batch, Noise.of(1, batch.ids))
    side = torch.full((COUNT,), 13)
    limit = threshold(box_scores(batch.saliency, side, side, batch.sizes(), "centred" if trim else "inside"), 0.6)
    for patch in range(2):
        height, width = trace["size"][:, patch].unbind(1)
        place = threshold(box_scores(batch.saliency, height, width, batch.sizes(), "centred"), 0.6)
        for row in range(COUNT):
            top, left, bottom, right = trace["box"][row, patch].tolist()
            assert float(batch.saliency[row, top:bottom, left:right].double().sum()) > float(limit[row])
            down, along = trace["corner"][row, patch].tolist()
            rows = slice(max(0, down), max(0, down + int(height[row])))
            columns = slice(max(0, along), max(0, along + int(width[row])))
            assert float(batch.saliency[row, rows, columns].double().sum()) < float(place[row])
    assert not torch.equal(done.images, batch.images) and done.saliency is None


def test_a_salient_patch_lands_where_it_was_said_to() -> None:
    """One hot corner: it is what is copied, and it is never covered."""
    hot = torch.full((COUNT, 32, 32), 1e-3)
    hot[:, 2:8, 20:28] = 1.0
    batch = batch_of(hot)
    pipeline = augury.pipeline("inaugment(policy=none, where=salient, source=0.3, trim=false, tau=0.9)")
    done, (trace,) = pipeline.run(batch, Noise.of(0, batch.ids))
    for row in range(COUNT):
        top, left, bottom, right = trace["box"][row, 0].tolist()
        assert top < 8 and bottom > 2 and left < 28 and right > 20
        down, along = trace["corner"][row, 0].tolist()
        high, wide = min(32, down + bottom - top), min(32, along + right - left)
        cut = batch.images[row, :, top:bottom, left:right][:, max(0, -down) : high - down, max(0, -along) : wide - along]
        assert torch.equal(done.images[row, :, max(0, down) : high, max(0, along) : wide], cut)


def test_without_a_usable_map_places_are_the_plain_ones() -> None:
    batch = batch_of(torch.full((COUNT, 32, 32), torch.nan))
    noise = Noise.of(2, batch.ids)
    plain, _ = augury.pipeline("inaugment(source=0.5)").run(batch, noise)
    salient, _ = augury.pipeline("inaugment(source=0.5, where=salient)").run(batch, noise)
    assert torch.equal(plain.images, salient.images)
    with pytest.raises(InputError, match="inaugment needs a saliency map"):
        augury.pipeline("inaugment(where=salient)").run(batch.replace(saliency=None), noise)
    assert not augury.pipeline("inaugment(where=salient, patches=0)").stages[0].needs
    with pytest.raises(InputError, match=r"write keep\(inaugment"):
        augury.pipeline("inaugment(policy=keep(cutout))")


def test_the_corner_is_that_of_the_box_before_it_is_cut() -> None:
    batch = batch_of()
    side, pick = torch.full((COUNT,), 9), torch.arange(COUNT) * 80_000_003
    found = choose(batch.saliency, side, side, batch.sizes(), pick, tau=0.6, salient=False, candidates="centred")
    assert bool((found.corner < 0).any())
    assert torch.equal(found.corner.clamp(min=0), found.box[:, :2])
    assert torch.equal((found.corner + 9).clamp(max=32), found.box[:, 2:])


@pytest.mark.parametrize(("side", "grid", "cells"), [(28, 7, 6), (32, 7, 6), (20, 3, 1), (5, 7, 9)])
def test_the_partner_gives_the_cells_it_attends_to_most(side: int, grid: int, cells: int) -> None:
    batch = batch_of(side=side)
    pipeline = augury.pipeline(f"attentive_cutmix(cells={cells}, grid={grid})")
    done, (trace,) = pipeline.run(batch, Noise.of(0, batch.ids))
    assert torch.equal(pipeline.apply(batch, [trace]).images, done.images)
    dense = done.targets.dense()
    for row in range(COUNT):
        partner = int(trace["partner"][row])
        cell = torch.arange(side) * grid // side
        number = cell[:, None] * grid + cell
        means = {int(n): float(batch.saliency[partner][number == n].double().mean()) for n in number.unique()}
        best = sorted(means, key=lambda n: -means[n])[:cells]
        mask = torch.isin(number, torch.tensor(best))
        assert torch.equal(done.images[row], torch.where(mask, batch.images[partner], batch.images[row]))
        own, other = row % 10, partner % 10
        share = float(mask.double().mean())
        assert float(dense[row, own]) == pytest.approx(1.0 if own == other else 1 - share, abs=1e-6)
    if side % grid == 0:
        assert float(done.targets.weight[0, 1]) == pytest.approx(cells / grid**2)


def test_attention_is_the_mean_of_the_last_maps_of_any_network() -> None:
    own = augury.model("small_cnn", classes=3)
    seen: list[Tensor] = []
    own.get_submodule(own.taps[-1]).register_forward_hook(lambda module, given, made: seen.append(made))
    images = torch.randn(4, 3, 32, 32)
    found = augury.saliency(own, "attention").map(images)
    wanted = torch.nn.functional.interpolate(seen[0].abs().mean(1, keepdim=True), (32, 32), mode="bilinear")[:, 0]
    torch.testing.assert_close(found, wanted)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(2))
    assert augury.saliency(plain, "attention").map(images).shape == (4, 32, 32)
    with pytest.raises(InputError, match="has no convolutions"):
        augury.saliency(nn.Sequential(nn.Flatten(), nn.Linear(3072, 2)), "attention").map(images)


def test_cells_that_cannot_be_are_refused_and_p_is_a_chance() -> None:
    with pytest.raises(InputError, match="has 9 cells"):
        augury.pipeline("attentive_cutmix(cells=10, grid=3)")
    batch = batch_of()
    never, _ = augury.pipeline("attentive_cutmix(p=0)").run(batch, Noise.of(0, batch.ids))
    assert torch.equal(never.images, batch.images) and torch.equal(never.targets.dense(), batch.targets.dense())
    blind = batch_of(torch.full((COUNT, 32, 32), torch.nan))
    done, _ = augury.pipeline("attentive_cutmix").run(blind, Noise.of(0, blind.ids))
    assert torch.equal(done.images, blind.images)


def test_a_permuted_batch_gives_the_permuted_result() -> None:
    batch = batch_of()
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0))
    for text in ("attentive_cutmix", "inaugment(where=salient, source=0.5)"):
        pipeline = augury.pipeline(text)
        whole, _ = pipeline.run(batch, Noise.of(0, batch.ids))
        mixed, _ = pipeline.run(batch[order], Noise.of(0, batch.ids[order]))
        assert torch.equal(mixed.images, whole.images[order])
        assert torch.equal(mixed.targets.dense(), whole.targets.dense()[order])
