"""Keep around any stage: salient regions are not cut, or are pasted back; with p = 0 it is the plain method."""

import pickle

import pytest
import torch
from torch import Tensor

import augury
from augury.augment.names import build
from augury.augment.saliency.regions import box_scores, threshold
from augury.augment.stages.keep import KeepStage
from augury.core import registry
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.options import parse_chain
from augury.core.targets import Targets

COUNT = 64
CUTS = ["cutout", "cutout(length=8)", "random_erasing(p=1)", "cutmix(p=1)", "cutout(fraction=uniform(0.1, 0.9))"]
PASTES = ["randaugment", "invert", "mixup", "rotate(30)", "grid_mask", "randaugment+cutout(8)", "color_jitter", "gaussian_blur"]


def batch_of(saliency: Tensor | None = None, side: int = 32, count: int = COUNT) -> Batch:
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % 10
    if saliency is None:
        saliency = torch.rand(count, side, side, generator=generator) ** 4
    return Batch(images, Targets.of(labels, 10), torch.arange(count), saliency=saliency)


def run(text: str, batch: Batch, seed: int = 0) -> tuple[Batch, dict[str, Tensor], KeepStage]:
    pipeline = augury.pipeline(text)
    done, traces = pipeline.run(batch, Noise.of(seed, batch.ids))
    assert traces[-1] is not None
    stage = pipeline.stages[-1]
    assert isinstance(stage, KeepStage)
    return done, traces[-1], stage


@pytest.mark.parametrize("candidates", ["inside", "centred"])
@pytest.mark.parametrize("inner", CUTS)
def test_every_cut_holds_less_than_the_threshold(inner: str, candidates: str) -> None:
    batch = batch_of()
    _, trace, stage = run(f"keep({inner}, candidates={candidates})", batch)
    assert stage.cuts
    height, width = stage.extent(batch, trace)
    scores = box_scores(batch.saliency, height, width, batch.sizes(), candidates)
    limit = threshold(scores, 0.6)
    several = scores.valid.flatten(1).sum(1) > 1
    assert int(several.sum()) > COUNT // 2
    for row in range(COUNT):
        top, left, bottom, right = trace["box"][row, 0].tolist()
        held = float(batch.saliency[row, top:bottom, left:right].double().sum())
        if several[row] and min(int(height[row]), int(width[row])) > 0:
            assert held < float(limit[row])


@pytest.mark.parametrize("inner", PASTES)
def test_every_pasted_box_holds_more_than_the_threshold_and_is_the_clean_image(inner: str) -> None:
    batch = batch_of()
    done, trace, stage = run(f"keep({inner}, length=11)", batch)
    assert not stage.cuts
    eleven = torch.full((COUNT,), 11)
    limit = threshold(box_scores(batch.saliency, eleven, eleven, batch.sizes()), 0.6)
    plain = augury.pipeline(inner)
    changed = 0
    for row in range(COUNT):
        top, left, bottom, right = trace["box"][row].tolist()
        assert (bottom - top, right - left) == (11, 11)
        assert float(batch.saliency[row, top:bottom, left:right].double().sum()) > float(limit[row])
        assert torch.equal(done.images[row, :, top:bottom, left:right], batch.images[row, :, top:bottom, left:right])
    if len(plain.stages) == 1:
        alone, _ = plain.run(batch, Noise.of(0, batch.ids))
        outside = torch.ones(COUNT, 32, 32, dtype=torch.bool)
        for row in range(COUNT):
            top, left, bottom, right = trace["box"][row].tolist()
            outside[row, top:bottom, left:right] = False
            changed += int((alone.images[row] != batch.images[row]).any())
        assert torch.equal(done.images.movedim(1, -1)[outside], alone.images.movedim(1, -1)[outside])
        assert changed > COUNT // 4


@pytest.mark.parametrize("inner", [*CUTS, *PASTES])
def test_a_planted_hot_spot_is_never_cut_and_always_kept(inner: str) -> None:
    generator = torch.Generator().manual_seed(0)
    # A spot near the middle lies in more than 40 % of the 16x16 boxes, so that all above the quantile hold it.
    low, high = (10, 22) if inner in PASTES else (0, 32)
    rows = torch.randint(low, high, (COUNT,), generator=generator)
    columns = torch.randint(low, high, (COUNT,), generator=generator)
    saliency = torch.rand(COUNT, 32, 32, generator=generator) * 1e-4
    saliency[torch.arange(COUNT), rows, columns] = 1
    batch = batch_of(saliency)
    inner_small = "cutmix(p=1, weight=0.8)" if inner.startswith("cutmix") else inner
    inner_small = "random_erasing(p=1, area=0.1)" if inner.startswith("random_erasing") else inner_small
    for seed in range(3):
        done, trace, stage = run(f"keep({inner_small})", batch, seed)
        if stage.cuts:
            height, width = stage.extent(batch, trace)
            scores = box_scores(saliency, height, width, batch.sizes())
            # Where fewer than 40 % of the boxes hold it, none of those below the quantile does.
            hot = ((scores.value > 0.5) & scores.valid).flatten(1).sum(1) < 0.4 * scores.valid.flatten(1).sum(1) - 1
            box = trace["box"][:, 0]
        else:
            hot, box = torch.ones(COUNT, dtype=torch.bool), trace["box"]
        held = (rows >= box[:, 0]) & (rows < box[:, 2]) & (columns >= box[:, 1]) & (columns < box[:, 3])
        assert int(hot.sum()) > COUNT // 4
        assert bool((held[hot] != stage.cuts).all())
        if not stage.cuts:
            spot = (torch.arange(COUNT), slice(None), rows, columns)
            assert torch.equal(done.images[spot], batch.images[spot])


@pytest.mark.parametrize("inner", [*CUTS, *PASTES[:-3]])
def test_with_p_0_it_is_the_plain_method(inner: str) -> None:
    batch = batch_of()
    text = f"keep({inner}, p=0)"
    keep = augury.pipeline(text)
    assert "saliency" not in keep.stages[0].needs
    done, _ = keep.run(batch.replace(saliency=None), Noise.of(3, batch.ids))
    plain, _ = augury.pipeline(inner).run(batch, Noise.of(3, batch.ids))
    assert torch.equal(done.images, plain.images)
    assert torch.equal(done.targets.dense(), plain.targets.dense())


@pytest.mark.parametrize("inner", ["cutout", "cutmix(p=1)", "randaugment", "invert"])
def test_rows_with_nan_are_treated_plainly_and_the_others_are_kept(inner: str) -> None:
    batch = batch_of()
    bad = batch.saliency.clone()
    bad[::2, 3, 3] = torch.nan
    done, _, _ = run(f"keep({inner})", batch.replace(saliency=bad))
    kept, _, _ = run(f"keep({inner})", batch)
    plain, _ = augury.pipeline(inner).run(batch, Noise.of(0, batch.ids))
    assert torch.equal(done.images[::2], plain.images[::2])
    assert torch.equal(done.images[1::2], kept.images[1::2])
    assert not torch.equal(kept.images[::2], plain.images[::2])


def test_p_keeps_that_share_of_the_images() -> None:
    batch = batch_of(count=1000, side=8)
    _, trace, _ = run("keep(invert, p=0.3)", batch)
    share = (trace["box"][:, 2] > trace["box"][:, 0]).float().mean()
    assert 0.25 < float(share) < 0.35


@pytest.mark.parametrize("inner", [*CUTS, *PASTES])
def test_replay_needs_no_map_and_rows_do_not_depend_on_their_batch(inner: str) -> None:
    batch = batch_of()
    pipeline = augury.pipeline(f"flip+keep({inner})")
    done, traces = pipeline.run(batch, Noise.of(0, batch.ids), saliency=lambda b: b.replace(saliency=batch.saliency))
    again = pipeline.apply(batch.replace(saliency=None), traces)
    assert torch.equal(done.images, again.images)
    assert torch.equal(done.targets.dense(), again.targets.dense())
    if not pipeline.mixes:
        rows = torch.tensor([7, 3])
        few, _ = augury.pipeline(f"keep({inner})").run(batch[rows], Noise.of(0, batch.ids[rows]))
        all_, _ = augury.pipeline(f"keep({inner})").run(batch, Noise.of(0, batch.ids))
        assert torch.equal(few.images, all_.images[rows])


def test_cutmix_weighs_labels_by_the_exact_area() -> None:
    batch = batch_of()
    done, trace, _ = run("keep(cutmix(p=1))", batch)
    box, partner = trace["box"][:, 0], trace["partner"][:, 0]
    keep = 1 - ((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])).double() / 1024
    own = torch.nn.functional.one_hot(torch.arange(COUNT) % 10, 10).double()
    torch.testing.assert_close(done.targets.dense().double(), own * keep[:, None] + own[partner] * (1 - keep[:, None]))
    for row in range(COUNT):
        top, left, bottom, right = box[row].tolist()
        assert torch.equal(done.images[row, :, top:bottom, left:right], batch.images[partner[row], :, top:bottom, left:right])


@pytest.mark.parametrize("side", [1, 2, 5, 33])
def test_any_size_and_an_empty_batch(side: int) -> None:
    for text in ("keep(cutout)", "keep(randaugment)", "keep(cutmix(p=1))", "keep(random_erasing(p=1))"):
        done, _, _ = run(text, batch_of(side=side, count=4))
        assert done.images.shape == (4, 3, side, side)
        none, _, _ = run(text, batch_of(count=0, side=side))
        assert none.images.shape == (0, 3, side, side)


def test_lengths_larger_than_the_image_keep_all_of_it() -> None:
    batch = batch_of()
    done, _, _ = run("keep(invert, length=99)", batch)
    assert torch.equal(done.images, batch.images)
    same, _, _ = run("keep(invert, length=0)", batch)
    assert torch.equal(same.images, 255 - batch.images)


def test_fraction_and_length_set_the_side() -> None:
    batch = batch_of()
    for text, side in (("keep(invert)", 16), ("keep(invert, fraction=0.25)", 8), ("keep(invert, length=5)", 5)):
        _, trace, _ = run(text, batch)
        assert set((trace["box"][:, 2] - trace["box"][:, 0]).tolist()) == {side}


def test_presets_are_keep_around_the_plain_method() -> None:
    pairs = [
        ("keep_cutout(length=8, tau=0.5)", "keep(cutout(length=8), tau=0.5)"),
        ("keep_cutout", "keep(cutout)"),
        ("keep_random_erasing(p=1)", "keep(random_erasing(p=1))"),
        ("keep_cutmix(candidates=centred)", "keep(cutmix, candidates=centred)"),
        ("keep_randaugment(num_ops=3, length=8)", "keep(randaugment(num_ops=3), length=8)"),
    ]
    if registry.has("policy", "autoaugment"):
        pairs.append(("keep_autoaugment(length=8)", "keep(autoaugment, length=8)"))
    batch = batch_of()
    for preset, written in pairs:
        assert torch.equal(run(preset, batch)[0].images, run(written, batch)[0].images)


def test_the_stage_stands_where_its_inside_may_stand() -> None:
    def names(text: str) -> list[str]:
        return [stage.name for stage in build(parse_chain(text, "test"), ((0.5,), (0.25,))).stages]

    assert names("crop+keep(cutout)") == ["crop", "normalize", "keep(cutout)"]
    assert names("crop+keep(randaugment)") == ["crop", "keep(randaugment)", "normalize"]
    assert names("keep(randaugment+cutout)") == ["keep(randaugment+cutout)", "normalize"]


def test_the_map_is_asked_for_after_what_moves_pixels() -> None:
    batch = batch_of().replace(saliency=None)
    seen = []

    def saliency(given: Batch) -> Batch:
        seen.append(given.images)
        return given.replace(saliency=torch.rand(COUNT, 32, 32))

    augury.pipeline("crop+flip+keep(cutout)+keep(cutmix)").run(batch, Noise.of(0, batch.ids), saliency=saliency)
    moved, _ = augury.pipeline("crop+flip").run(batch, Noise.of(0, batch.ids))
    assert len(seen) == 1 and torch.equal(seen[0], moved.images)


def test_what_cannot_be_is_refused_with_the_remedy() -> None:
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    with pytest.raises(InputError, match=r"saliency=augury\.saliency\(model\)"):
        augury.pipeline("keep(cutout)")(images)
    with pytest.raises(InputError, match="saliency must have the shape"):
        run("keep(cutout)", batch_of(torch.rand(COUNT, 8, 8)))
    for text, words in [
        ("keep", "needs the option 'augment'"), ("keep(none)", "nothing to wrap"), ("keep(cutot)", "did you mean 'cutout'"),
        ("keep(cutout, tau=2)", "from 0 to 1"), ("keep(cutout, length=4)", "write cutout"),
        ("keep(cutout, kind=full)", "no option"),
        ("keep(keep(cutout))", "contains keep"),
        ("keep_cutout(saliency=half)", "must be one of attention, early_head, full, low_resolution"),
    ]:  # fmt: skip
        with pytest.raises(InputError, match=words):
            augury.pipeline(text)


def test_it_survives_pickling() -> None:
    pipeline = pickle.loads(pickle.dumps(augury.pipeline("crop+keep(cutout(length=8), tau=0.7)")))
    assert pipeline.stages[1].tau == 0.7


def test_words_for_people() -> None:
    batch = batch_of()
    cut = augury.pipeline("keep(cutout(length=8), candidates=inside)")
    _, traces = cut.run(batch, Noise.of(0, batch.ids))
    assert cut.describe(traces, 0) == "cutout 8x8 where little is lost"
    paste = augury.pipeline("keep(invert, length=8)")
    _, traces = paste.run(batch, Noise.of(0, batch.ids))
    assert paste.describe(traces, 0) == "invert, kept 8x8"


def test_keep_autoaugment_is_the_learned_table_or_its_space_at_a_magnitude() -> None:
    batch = batch_of()
    for preset, written in [
        ("keep_autoaugment", "keep(autoaugment)"),
        ("keep_autoaugment(table=svhn, length=9)", "keep(autoaugment(table=svhn), length=9)"),
        ("keep_autoaugment(magnitude=24)", "keep(autoaugment_space(magnitude=24, num_ops=3))"),
        ("keep_autoaugment(cutout=16)", "keep(autoaugment+cutout(length=16, fill=128))"),
    ]:
        assert torch.equal(run(preset, batch)[0].images, run(written, batch)[0].images), preset
    assert not torch.equal(run("keep_autoaugment", batch)[0].images, run("keep_autoaugment(magnitude=24)", batch)[0].images)
