"""Calling pipelines: every kind of image that users have, and what is returned."""

import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from samples import batch_of, noise_of, noisy, same
from scipy import stats
from torch import Tensor

import augury
from augury.augment.names import build
from augury.augment.pipeline import Pipeline
from augury.augment.stages.normalize import Normalize
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.options import Chain, Spec, parse_chain
from augury.core.stage import Domain
from augury.core.targets import Targets

IMAGES = noisy(8, 3, 20, 14)
LABELS = torch.arange(8) % 5


def test_images_come_back_as_they_were_given() -> None:
    pipeline = augury.pipeline("randaugment")
    for images in (IMAGES, IMAGES[0], IMAGES[:, :1], IMAGES[:1], IMAGES[:0]):
        found = pipeline(images)
        assert found.shape == images.shape and found.dtype == torch.uint8 and found.device == images.device


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floats_are_quantised_and_come_back_as_floats(dtype: torch.dtype) -> None:
    # Catches a truncation for a rounding, and a white pixel that wraps to black in bfloat16.
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    floats = (levels.double() / 255).to(dtype)
    found = augury.apply("identity", floats)
    assert found.dtype == dtype
    back = (found.double() * 255).round()
    allowed = 1 if dtype == torch.bfloat16 else 0
    assert int((back - levels.double()).abs().max()) <= allowed and float(found[0, 0, -1, -1]) == 1
    dark, light = augury.apply("invert", torch.tensor([0.0, 1.0], dtype=dtype).reshape(2, 1, 1, 1)).flatten().tolist()
    assert (dark, light) == (1, 0)


def test_every_call_draws_anew_and_the_seed_decides() -> None:
    first, second, other = (augury.pipeline("randaugment", seed=seed) for seed in (1, 1, 2))
    draws = [pipeline(IMAGES) for pipeline in (first, first, second, second, other)]
    assert torch.equal(draws[0], draws[2]) and torch.equal(draws[1], draws[3])
    assert not torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[4])


def test_images_of_a_batch_are_drawn_apart() -> None:
    images = IMAGES[:1].expand(200, 3, 20, 14)
    found = augury.pipeline("rotate")(images)
    assert len(found.flatten(1).unique(dim=0)) > 50
    single = augury.pipeline("rotate")
    assert len({tuple(single(IMAGES[0]).flatten().tolist()) for _ in range(50)}) > 20


def test_global_generators_are_neither_read_nor_moved() -> None:
    import random

    states = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002
    first = augury.pipeline("randaugment+cutmix")(IMAGES, LABELS)[0]
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1] and random.getstate() == states[2]  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        assert torch.equal(augury.pipeline("randaugment+cutmix")(IMAGES, LABELS)[0], first)


def test_labels_stay_as_they_are_unless_samples_are_mixed() -> None:
    pipeline, mixing = augury.pipeline("rotate"), augury.pipeline("cutmix(p=1)")
    assert pipeline(IMAGES, LABELS)[1] is LABELS
    assert not pipeline.mixes and mixing.mixes
    found, targets = mixing(IMAGES, LABELS, classes=5)
    assert isinstance(targets, Targets) and targets.dense().shape == (8, 5)
    assert torch.allclose(targets.dense().sum(1), torch.ones(8), atol=1e-6)
    assert found.shape == IMAGES.shape and not torch.equal(targets.dense(), torch.eye(5)[LABELS])
    soft = torch.eye(5)[LABELS]
    assert torch.equal(augury.pipeline("cutmix(p=1)")(IMAGES, soft)[1].dense(), targets.dense())
    assert torch.equal(augury.pipeline("cutmix(p=1)")(IMAGES, LABELS.tolist(), classes=5)[1].dense(), targets.dense())
    assert torch.equal(augury.pipeline("cutmix(p=1)")(IMAGES, LABELS.numpy(), classes=5)[1].dense(), targets.dense())


def test_a_mixing_pipeline_asks_for_labels_and_for_a_batch() -> None:
    mixing = augury.pipeline("crop+mixup")
    with pytest.raises(InputError, match="^labels: .*pipeline\\(images, labels\\)"):
        mixing(IMAGES)
    for single in (Image.new("RGB", (4, 4)), IMAGES[0]):
        with pytest.raises(InputError, match="^images: .*batch"):
            mixing(single, LABELS[0], classes=5)
    for labels in (LABELS[:3], LABELS.float(), torch.tensor([0] * 7 + [9]), "word", [None] * 8):
        with pytest.raises(InputError, match="^labels: "):
            mixing(IMAGES, labels, classes=5)


@pytest.mark.parametrize("text", ["flip", "flip+batch_augment(2)"])
def test_labels_that_nothing_mixes_are_checked_all_the_same(text: str) -> None:
    pipeline = augury.pipeline(text)
    wrong = (LABELS[:3], LABELS.float(), torch.tensor([0] * 7 + [9]), torch.tensor([-1] * 8), LABELS[:, None], "word", [None] * 8)
    for _ in range(3):  # once drawn ahead, too
        for labels in wrong:
            with pytest.raises(InputError, match="^labels: "):
                pipeline(IMAGES, labels, classes=5)
        with pytest.raises(InputError, match="^labels: "):
            pipeline(IMAGES, torch.tensor([-1] * 8))
        with pytest.raises(InputError, match="^labels: "):
            pipeline(IMAGES[0], LABELS[:1], classes=5)
        with pytest.raises(InputError, match="^classes: "):
            pipeline(IMAGES, LABELS, classes=0)
        pipeline(IMAGES, LABELS, classes=5)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pillow_images_come_back_as_pillow_images(mode: str) -> None:
    picture = Image.fromarray(IMAGES[0].permute(1, 2, 0).numpy()).convert(mode)
    found = augury.pipeline("invert")(picture)
    assert isinstance(found, Image.Image) and found.mode == mode and found.size == (14, 20)
    assert np.array_equal(np.array(found), 255 - np.array(picture))


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK", "1", "LA"])
def test_other_pillow_modes_become_rgb(mode: str) -> None:
    picture = Image.fromarray(IMAGES[0].permute(1, 2, 0).numpy()).convert(mode)
    assert augury.pipeline("identity")(picture).mode == "RGB"


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_pillow_images_of_more_than_eight_bits_are_refused(mode: str) -> None:
    # Pillow's own conversion clips them to white.
    deep = Image.new(mode, (4, 4), 3000)
    for call in (lambda: augury.pipeline("identity")(deep), lambda: augury.apply("invert", deep)):
        with pytest.raises(InputError, match=f"^images: .*mode {mode} has more than 8 bits"):
            call()


def test_pillow_images_keep_their_label_and_take_single_operations() -> None:
    picture = Image.fromarray(IMAGES[0].permute(1, 2, 0).numpy())
    found, label = augury.pipeline("invert")(picture, 3)
    assert label == 3 and np.array_equal(np.array(found), 255 - np.array(picture))
    assert np.array_equal(np.array(augury.apply("invert", picture)), 255 - np.array(picture))


@pytest.mark.parametrize("name", ["invert", "randaugment", "inaugment", "gaussian_blur", "augmix"])
def test_pixel_operations_refuse_a_batch_of_floats(name: str) -> None:
    # Catches floats that back ends take for bytes: black images, or an error of the compiler's.
    batch = batch_of(IMAGES)
    with pytest.raises(InputError, match="^images: .*takes uint8 pixels"):
        augury.pipeline(name).run(batch.replace(images=IMAGES / 255), noise_of(batch))
    assert augury.pipeline("cutout").run(batch.replace(images=(IMAGES / 255).requires_grad_()), noise_of(batch))


def test_rows_of_a_batch_belong_together() -> None:
    batch = batch_of(IMAGES)
    with pytest.raises(InputError, match=r"^batch: ids must have the shape \[8\], got \[7\]"):
        augury.pipeline("flip").run(batch.replace(ids=batch.ids[:7]), Noise.of(0, batch.ids[:7]))
    with pytest.raises(InputError, match="^logits: "):
        Targets.of(LABELS, 5).loss(torch.zeros(7, 5))


def test_an_option_given_twice_is_refused() -> None:
    with pytest.raises(InputError, match="'length' twice"):
        augury.pipeline("cutout(4)", length=3)


def test_a_pipeline_shows_its_chain() -> None:
    assert repr(augury.pipeline("crop+cutout(length=3)", seed=4)) == "augury.pipeline('crop+cutout(length=3)', seed=4)"


def test_it_sits_in_torchvisions_compose() -> None:
    from torchvision.transforms import v2

    picture = Image.fromarray(IMAGES[0].permute(1, 2, 0).numpy())
    before = v2.Compose([augury.pipeline("randaugment"), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    after = v2.Compose([v2.ToImage(), augury.pipeline("randaugment"), v2.ToDtype(torch.float32, scale=True)])
    left, right = before(picture), after(picture)
    assert left.shape == (3, 20, 14) and left.dtype == torch.float32 and torch.equal(left, right)


def test_a_batch_with_addresses_is_drawn_by_them() -> None:
    pipeline = augury.pipeline("randaugment", seed=3)
    batch = batch_of(IMAGES, start=40)
    found = pipeline(batch)
    assert same(found, pipeline.run(batch, Noise.of(3, batch.ids))[0])
    assert same(pipeline(batch[torch.tensor([5])]), found[torch.tensor([5])])


@pytest.mark.parametrize(
    "images",
    [torch.zeros(2, 3, 4, 4, dtype=torch.int32), torch.zeros(2, 17, 4, 4, dtype=torch.uint8), torch.zeros(4, 4)]
    + [
        torch.full((3, 4, 4), 2.0),
        torch.full((3, 4, 4), math.nan),
        np.zeros((3, 4, 4), np.uint8),
        "word",
        None,
        torch.full((3, 4, 4), -0.01),
    ],
)
def test_wrong_images_are_refused_by_name(images: Any) -> None:
    with pytest.raises(InputError, match="^images: ") as caught:
        augury.pipeline("rotate")(images)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_p_is_the_chance_of_every_image(p: float) -> None:
    images = torch.zeros(2000, 1, 2, 2, dtype=torch.uint8)
    changed = int((augury.pipeline(f"invert(p={p})")(images) == 255).flatten(1).all(1).sum())
    assert changed == 2000 * p if p in (0, 1) else stats.binomtest(changed, 2000, p).pvalue > 1e-3


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_intensity_fades_intensive_stages_alone(share: float) -> None:
    # Catches an intensity that also thins out crop and flip, and one that is drawn from the stage's own uniforms.
    images = torch.arange(4, dtype=torch.uint8).reshape(1, 1, 1, 4).expand(3000, 1, 4, 4)
    batch = batch_of(images)
    pipeline = augury.pipeline("flip+invert(p=0.5)")
    _, traces = pipeline.run(batch, noise_of(batch), intensity=share)
    flips, inverts = (trace["on"][:, 0] for trace in traces if trace is not None)
    assert stats.binomtest(int(flips.sum()), 3000, 0.5).pvalue > 1e-3
    expected = 0.5 * share
    assert int(inverts.sum()) == 0 if share == 0 else stats.binomtest(int(inverts.sum()), 3000, expected).pvalue > 1e-3
    plain = pipeline.run(batch, noise_of(batch))[1][1]
    assert plain is not None and not bool((inverts & ~plain["on"][:, 0]).any()), "fading may only switch off"


def test_refinement_switches_intensive_stages_off() -> None:
    batch = batch_of(IMAGES)
    pipeline = augury.pipeline("crop+randaugment+flip+cutout")
    found, traces = pipeline.run(batch, noise_of(batch), refined=True)
    assert [trace is None for trace in traces] == [False, True, False, True]
    plain, kept = pipeline.run(batch, noise_of(batch))
    assert kept[0] is not None and traces[0] is not None and torch.equal(kept[0]["value"], traces[0]["value"])
    assert same(pipeline.apply(batch, traces), found) and same(pipeline.apply(batch, kept), plain)


def test_the_trace_says_what_was_done() -> None:
    batch = batch_of(noisy(6, 1, 20, 14))
    pipeline = augury.pipeline("rotate(degrees=12.5)+invert+cutout(length=4)+flip(p=0)")
    _, traces = pipeline.run(batch, noise_of(batch))
    for row in range(6):
        words = pipeline.describe(traces, row).split(", ")
        assert words[:2] == ["rotate 12.5°", "invert"] and words[2].startswith("cutout ") and len(words) == 3
        box = traces[2]["box"][row, 0]
        assert words[2] == f"cutout {int(box[2] - box[0])}x{int(box[3] - box[1])}"
    assert augury.pipeline("none").describe([], 0) == ""


def test_what_was_done_is_said_in_native_units() -> None:
    batch = batch_of(noisy(2, 3, 20, 16))
    said = {
        "translate_x(fraction=0.25)": "translate_x 25 % of the width",
        "gaussian_blur(sigma=1.5)": "gaussian_blur 1.5 px",
        "posterize(bits=4)": "posterize 4 bits",
        "crop(top=0.25, left=1)": "crop top 25 % left 100 %",
        "resized_crop(area=0.5, aspect=1.2, top=0, left=0.5)": "resized_crop area 50 % aspect 1.2 top 0 % left 50 %",
    }
    for text, words in said.items():
        pipeline = augury.pipeline(text)
        assert pipeline.describe(pipeline.run(batch, noise_of(batch))[1], 0) == words


@pytest.mark.parametrize(
    ("text", "stages"),
    [("none", []), ("standard", ["crop", "flip"]), ("standard+cutout(8)", ["crop", "flip", "cutout"]), ("rotate", ["rotate"])],
)
def test_chains_are_laid_out_in_order(text: str, stages: list[str]) -> None:
    assert [stage.name for stage in augury.pipeline(text).stages] == stages


def test_options_reach_their_stage_by_every_door() -> None:
    doors: list[Pipeline] = [
        augury.pipeline("cutout", length=6),
        augury.pipeline("cutout(length=6)"),
        augury.pipeline("cutout(6)"),
        augury.pipeline({"cutout": {"length": 6}}),
        augury.pipeline([{"cutout": 6}]),
        augury.pipeline(Spec("cutout", {"length": 6})),
        augury.pipeline(Chain((Spec("cutout", {"length": 6}),))),
    ]
    assert len({tuple(door(IMAGES).flatten().tolist()) for door in doors}) == 1
    assert not torch.equal(doors[0](IMAGES), augury.pipeline("cutout")(IMAGES))
    with pytest.raises(InputError, match="inside the text"):
        augury.pipeline("crop+flip", padding=2)


def test_laws_given_as_options_are_drawn_from() -> None:
    batch = batch_of(noisy(2000, 1, 2, 2))
    drawn = {}
    for text in ("uniform(5, 15)", "[10, 20]", "10"):
        stage = augury.pipeline(f"rotate(degrees={text})").stages[0]
        drawn[text] = stage.sample(batch, noise_of(batch))["value"].flatten()
    assert stats.kstest(drawn["uniform(5, 15)"].numpy(), stats.uniform(5, 10).cdf).pvalue > 1e-3
    assert drawn["[10, 20]"].unique().tolist() == [10, 20] and drawn["10"].unique().tolist() == [10]


def test_cutout_removes_the_area_that_counting_gives() -> None:
    # The expected share of zeros for a square of 16 in 32 at uniform centres: the sum over all centres, counted here.
    covered = sum(min(c + 8, 32) - max(c - 8, 0) for c in range(32)) / 32
    expected = (covered / 32) ** 2
    assert expected == pytest.approx(0.19141, abs=5e-6)
    found = augury.pipeline("cutout(length=16)")(torch.full((6000, 1, 32, 32), 9, dtype=torch.uint8))
    share = (found == 0).double().mean(dim=(1, 2, 3))
    assert float(share.mean()) == pytest.approx(expected, abs=5 * float(share.std()) / math.sqrt(6000))


def test_crop_reaches_all_offsets_alike() -> None:
    images = torch.zeros(6000, 1, 9, 9, dtype=torch.uint8)
    images[:, :, 4, 4] = 255
    found = augury.pipeline("crop(padding=2)")(images).flatten(1).argmax(1)
    counts = torch.bincount(found, minlength=81).reshape(9, 9)
    assert int(counts[2:7, 2:7].sum()) == 6000
    assert stats.chisquare(counts[2:7, 2:7].flatten().numpy()).pvalue > 1e-3


def test_a_training_normalises_after_the_last_stage_that_needs_pixels() -> None:
    statistics = ((0.5,), (0.25,))
    for text, names in (
        ("none", ["normalize"]),
        ("crop+flip", ["crop", "flip", "normalize"]),
        ("crop+cutout+mixup", ["crop", "normalize", "cutout", "mixup"]),
        ("cutout+rotate", ["cutout", "rotate", "normalize"]),
        ("cutmix", ["normalize", "cutmix"]),
    ):
        pipeline = build(parse_chain(text, "test"), statistics)
        assert [stage.name for stage in pipeline.stages] == names
        batch = batch_of(noisy(6, 1, 8, 8))
        found, _ = pipeline.run(batch, noise_of(batch))
        assert found.images.dtype == torch.float32


def test_normalize_is_the_usual_formula_and_can_be_undone() -> None:
    stage = Normalize((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    mean, std = (torch.tensor(part)[:, None, None] for part in (stage.mean, stage.std))
    expected = (IMAGES.double() / 255 - mean) / std
    found = stage.normalise(IMAGES)
    assert torch.allclose(found.double(), expected, atol=1e-5)
    assert torch.equal(stage.restore(found), IMAGES)
    batch = batch_of(found)
    with pytest.raises(InputError, match="already floats"):
        stage.apply(batch, {})


class Needy:
    """A stage that needs a saliency and changes nothing."""

    name = address = "needy"
    domain: Domain = "any"
    intensive, needs, mixes_labels = False, frozenset({"saliency"}), False

    def repeat(self, noise: Noise) -> Noise:
        return noise

    def describe(self, trace: dict[str, Tensor], row: int) -> str:
        return ""

    def sample(self, batch: Batch, *_: Any) -> dict[str, Tensor]:
        assert batch.saliency is not None
        return {"seen": batch.saliency}

    def apply(self, batch: Batch, trace: dict[str, Tensor]) -> Batch:
        return batch


def test_saliency_is_filled_just_before_it_is_needed_and_goes_stale_when_pixels_move() -> None:
    # Catches a map that is made before the crop, one that is made anew for every stage, and one that outlives a warp.
    asked: list[Tensor] = []

    def saliency(batch: Batch) -> Batch:
        asked.append(batch.images)
        return batch.replace(saliency=batch.images.float().mean(1))

    parts = [augury.pipeline(text).stages[0] for text in ("rotate", "invert", "rotate")]
    pipeline = Pipeline((parts[0], Needy(), Needy(), parts[1], Needy(), parts[2], Needy()))
    batch = batch_of(IMAGES).replace(saliency=None)
    _, traces = pipeline.run(batch, noise_of(batch), saliency=saliency)
    first = parts[0].apply(batch, traces[0])
    assert len(asked) == 2 and torch.equal(asked[0], first.images)
    seen = [trace["seen"] for trace in traces if trace is not None and "seen" in trace]
    assert torch.equal(seen[0], seen[1]) and torch.equal(seen[1], seen[2]) and not torch.equal(seen[2], seen[3])
    augury.pipeline("invert+cutout").run(batch, noise_of(batch), saliency=saliency)
    assert len(asked) == 2, "nothing there needs a saliency"


def test_pickling() -> None:
    pipeline = augury.pipeline("crop+cutout(length=3)+rotate(degrees=uniform(-1.2345678901234567, 15))", seed=4)
    pipeline(IMAGES)
    other = pickle.loads(pickle.dumps(pipeline))
    assert torch.equal(other(IMAGES), pipeline(IMAGES))
    with pytest.raises(TypeError, match="built directly from stages"):
        pickle.dumps(Pipeline(pipeline.stages))
    assert pickle.loads(pickle.dumps(augury.pipeline([])))(IMAGES) is not None


def test_unknown_names_are_refused_with_the_nearest() -> None:
    for call, near in (
        (lambda: augury.pipeline("randaugmnt"), "randaugment"),
        (lambda: augury.policy("randaugmen"), "randaugment"),
        (lambda: augury.apply("rotat", IMAGES), "rotate"),
        (lambda: augury.apply("rotate", IMAGES, degree=3), "degrees"),
    ):
        with pytest.raises(InputError, match=f"did you mean '{near}'"):
            call()
    with pytest.raises(AttributeError):
        augury.pipelin  # noqa: B018


def test_every_door_of_the_package_opens() -> None:
    for name in {*augury.__all__} - {"__version__", "ops", "policies", "presets"}:
        assert callable(getattr(augury, name))
