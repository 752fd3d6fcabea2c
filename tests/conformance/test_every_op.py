"""What holds for every operation that is registered, now or later."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from card_facts import law_text
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import ALONE, CLASSES, MIXES, OPS, always, batch_of, noise_of, noisy, pictures, same, stage_of, steady
from scipy import stats
from torch import Tensor

import augury
from augury.augment.stages.plan import PlanStage
from augury.core import laws, registry
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.laws import Beta, Choice, Constant, Uniform
from augury.core.noise import Noise
from augury.core.targets import Targets

SIZES = [(1, 1), (1, 7), (7, 1), (2, 2), (3, 5), (16, 12), (9, 32)]


def op_of(name: str) -> Any:
    return registry.get("op", name)()


def run(stage: PlanStage, batch: Batch, epoch: int = 0) -> Batch:
    return stage.apply(batch, stage.sample(batch, noise_of(batch, epoch)))


def partner_of(name: str, count: int) -> dict[str, Tensor]:
    return {"partner": torch.arange(count).roll(1)} if name in MIXES else {}


@pytest.mark.parametrize("name", [name for name in OPS if op_of(name).identity is not None])
@pytest.mark.parametrize("channels", [1, 3])
def test_declared_identities_change_nothing(name: str, channels: int) -> None:
    # Catches a resampling at factor 1, and a rotation by 0 that is off by a pixel.
    identity = op_of(name).identity
    for height, width in SIZES:
        images = pictures(channels, height, width)
        found = augury.apply(name, images, **identity, **partner_of(name, len(images)))
        assert torch.equal(found, images), f"{height}x{width}"


@pytest.mark.parametrize("name", OPS)
def test_most_operations_do_something(name: str) -> None:
    # Catches a lowering whose value is never read: every operation but the identity changes some of 32 noise images.
    images = noisy(32, height=32, width=32)
    found = run(always(name), batch_of(images)).images
    assert torch.equal(found, images) == (name == "identity")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPS)
def test_shape_dtype_and_input_survive_at_every_size(name: str, channels: int) -> None:
    stage = always(name)
    for height, width in SIZES:
        images = pictures(channels, height, width)
        kept = images.clone()
        found = run(stage, batch_of(images))
        assert found.images.shape == images.shape and found.images.dtype == torch.uint8
        assert torch.equal(images, kept), "the input was written to"
        assert found.targets is not None and torch.allclose(found.targets.dense().sum(1), torch.ones(len(images)), atol=1e-6)


@pytest.mark.parametrize("name", OPS)
def test_inputs_that_are_not_contiguous_are_read_right(name: str) -> None:
    # Catches a view or a kernel that assumes the plain layout.
    stage, images = always(name), noisy(6)
    plain = run(stage, batch_of(images)).images
    assert torch.equal(run(stage, batch_of(images.contiguous(memory_format=torch.channels_last))).images, plain)
    wide = torch.zeros(6, 3, 16, 24, dtype=torch.uint8)
    wide[..., ::2] = images
    assert torch.equal(run(stage, batch_of(wide[..., ::2])).images, plain)


@pytest.mark.parametrize("name", [name for name in OPS if op_of(name).domain == "any"])
def test_operations_of_any_domain_take_normalised_values(name: str) -> None:
    stage, images = always(name), noisy(8)
    values = (images.float() - 120) / 60
    kept = values.clone()
    found = run(stage, batch_of(values)).images
    assert found.shape == values.shape and found.dtype == torch.float32 and torch.equal(values, kept)
    assert bool(found.isfinite().all()) and not torch.equal(found, values)


@pytest.mark.parametrize("p", [None, 1.0])
@pytest.mark.parametrize("name", ALONE)
def test_a_batch_equals_its_images_one_by_one(name: str, p: float | None) -> None:
    # Catches statistics taken over the batch, a strength shared by it, and a draw by row.
    stage = stage_of(name) if p is None else always(name)
    batch = batch_of(noisy(24), start=50)
    whole = run(stage, batch)
    for row in range(len(batch)):
        alone = run(stage, batch[torch.tensor([row])])
        assert same(alone, whole[torch.tensor([row])])


@pytest.mark.parametrize("name", OPS)
def test_a_permuted_batch_gives_the_permuted_result(name: str) -> None:
    stage, batch = stage_of(name), batch_of(noisy(24), start=50)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    assert same(run(stage, batch[order]), run(stage, batch)[order])


@pytest.mark.parametrize("name", OPS)
def test_replay_is_exact_and_draws_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stage, batch = stage_of(name), batch_of(noisy(24))
    trace = stage.sample(batch, noise_of(batch))
    kept = {key: part.clone() for key, part in trace.items()}
    first = stage.apply(batch, trace)
    monkeypatch.setattr(Noise, "bits", None)
    assert same(stage.apply(batch, trace), first)
    assert all(torch.equal(trace[key], kept[key]) for key in kept), "the trace was written to"
    assert all(len(part) == 24 for part in trace.values())


@pytest.mark.parametrize("name", OPS)
def test_an_empty_batch_and_a_batch_of_one(name: str) -> None:
    stage, batch = always(name), batch_of(noisy(3))
    nothing = batch[torch.zeros(0, dtype=torch.int64)]
    assert run(stage, nothing).images.shape == (0, 3, 16, 12)
    one = run(stage, batch[:1])  # type: ignore[index]
    assert one.images.shape == (1, 3, 16, 12)
    assert one.targets is not None and one.targets.dense().sum().item() == pytest.approx(1)


@pytest.mark.parametrize("name", OPS)
def test_addresses_decide_and_epochs_differ(name: str) -> None:
    stage, batch = always(name), batch_of(noisy(64))
    first, again, later = (stage.sample(batch, noise_of(batch, epoch)) for epoch in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    operation = op_of(name)
    drawn = any(not isinstance(p.law, Constant) for p in operation.parameters.values()) or "partner" in first
    assert not drawn or any(not torch.equal(first[key], later[key]) for key in first)


def reference(law: Any) -> Any:
    """SciPy's distribution of a continuous law."""
    match law:
        case Uniform(low, high):
            return stats.uniform(low, high - low)
        case Beta(a, b):
            return stats.beta(a, b)
    if hasattr(laws, "LogUniform") and isinstance(law, laws.LogUniform):
        return stats.loguniform(law.low, law.high)
    return None


DRAWN = 3000
MANY = batch_of(torch.zeros(DRAWN, 1, 2, 2, dtype=torch.uint8))


@pytest.mark.parametrize(("name", "key"), [(name, key) for name in OPS for key in op_of(name).parameters])
def test_drawn_values_follow_the_declared_law(name: str, key: str) -> None:
    # Catches parameters whose uniforms or laws are exchanged.
    operation = op_of(name)
    law, column = operation.parameters[key].law, list(operation.parameters).index(key)
    value = always(name).sample(MANY, noise_of(MANY))["value"][:, 0, column]
    low, high = float(value.min()), float(value.max())
    assert low in operation.parameters[key].range and high in operation.parameters[key].range
    distribution = reference(law)
    if distribution is not None:
        edge = law.support.high - 1e-4 * (law.support.high - law.support.low)
        below = value[value < edge].double().numpy()
        assert stats.binomtest(len(below), DRAWN, distribution.cdf(edge)).pvalue > 1e-4
        assert stats.kstest(below, lambda x: distribution.cdf(x) / distribution.cdf(edge)).pvalue > 1e-4
    elif isinstance(law, Constant):
        assert low == high == pytest.approx(law.number)
    elif isinstance(law, Choice):
        counts = [int((value == number).sum()) for number in sorted(set(law.numbers))]
        expected = [law.numbers.count(number) * DRAWN / len(law.numbers) for number in sorted(set(law.numbers))]
        assert sum(counts) == DRAWN and (len(counts) == 1 or stats.chisquare(counts, expected).pvalue > 1e-4)
    else:
        pytest.fail(f"no independent reference for {law_text(law)}: add one above")


@pytest.mark.parametrize("name", [name for name in OPS if len(op_of(name).parameters) + 2 * (op_of(name).form == "region") > 1])
def test_parameters_and_places_are_drawn_independently(name: str) -> None:
    # Catches two parameters, or a parameter and a place, that share a uniform.
    batch = batch_of(torch.zeros(DRAWN, 1, 64, 64, dtype=torch.uint8))
    trace = always(name).sample(batch, noise_of(batch))
    columns = [trace["value"][:, 0, k].double() for k in range(trace["value"].shape[2])]
    if "box" in trace:
        box = trace["box"][:, 0].double()
        columns += [box[:, 0] + box[:, 2], box[:, 1] + box[:, 3]]
    columns = [column for column in columns if float(column.std()) > 0]
    for k, left in enumerate(columns):
        for right in columns[k + 1 :]:
            assert abs(stats.spearmanr(left, right).statistic) < 4.5 / math.sqrt(DRAWN)


@pytest.mark.parametrize("name", OPS)
def test_an_operation_alone_fires_with_its_declared_chance(name: str) -> None:
    expected = op_of(name).p
    fired = int(stage_of(name).sample(MANY, noise_of(MANY))["on"].sum())
    assert fired == DRAWN if expected == 1 else stats.binomtest(fired, DRAWN, expected).pvalue > 1e-4


@pytest.mark.parametrize("name", [name for name in OPS if op_of(name).mixes_labels])
@pytest.mark.parametrize("size", [(16, 12), (1, 7), (5, 5)])
def test_labels_are_weighted_by_what_is_left_of_the_image(name: str, size: tuple[int, int]) -> None:
    # One constant level per image: what is left of it can be read off the pixels. Catches a weight from the unclipped box.
    count = 11
    values = (torch.arange(count) * 20.0)[:, None, None, None].expand(count, 1, *size)
    batch = batch_of(values)
    stage = always(name)
    trace = stage.sample(batch, noise_of(batch))
    found = stage.apply(batch, trace)
    assert found.targets is not None
    dense, partner = found.targets.dense(), trace["partner"][:, 0]
    for row in range(count):
        own, other = row * 20.0, int(partner[row]) * 20.0
        assert row != int(partner[row])
        kept = (float(found.images[row].double().mean()) - other) / (own - other)
        assert float(dense[row, row]) == pytest.approx(kept, abs=1e-5)
        assert float(dense[row, int(partner[row])]) == pytest.approx(1 - kept, abs=1e-5)
        assert float(dense[row].sum()) == pytest.approx(1, abs=1e-6)
    if "box" in trace:
        pixels = (found.images == values).flatten(1).sum(1)
        assert torch.equal(dense.diagonal(), (pixels.double() / (size[0] * size[1])).float())


@pytest.mark.parametrize("name", [name for name in MIXES if not op_of(name).mixes_labels])
def test_a_mix_that_keeps_labels_keeps_them(name: str) -> None:
    batch = batch_of(noisy(12))
    found = run(always(name), batch)
    assert found.targets is not None and torch.equal(found.targets.dense(), torch.eye(CLASSES)[torch.arange(12) % CLASSES])
    images, targets = augury.apply(name, batch.images, torch.arange(12), **partner_of(name, 12))
    assert torch.equal(targets.dense(), torch.eye(12))


@pytest.mark.parametrize("name", ALONE)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_smaller_than_the_canvas_equal_themselves_alone(name: str, channels: int) -> None:
    # A patch is a row with its own size: its own centre, border and histogram. Catches a read of the canvas' size.
    stage, canvas = always(name), noisy(30, channels, 14, 17, seed=5)
    size = torch.stack([torch.arange(30) % 14 + 1, torch.arange(30) * 5 % 17 + 1], 1)
    size[-1] = torch.tensor([14, 17])
    batch = batch_of(canvas, size=size)
    trace = stage.sample(batch, noise_of(batch))
    found = stage.apply(batch, trace).images
    for row in range(30):
        height, width = size[row].tolist()
        alone = batch_of(canvas[row : row + 1, :, :height, :width], start=row)
        drawn = stage.sample(alone, noise_of(alone))
        assert all(torch.equal(drawn[key], trace[key][row : row + 1]) for key in trace), f"{height}x{width}: another draw"
        assert torch.equal(stage.apply(alone, drawn).images[0], found[row, :, :height, :width]), f"{height}x{width}"


@pytest.mark.parametrize("name", MIXES)
def test_mixes_of_images_of_one_size_equal_the_cut_images(name: str) -> None:
    canvas = noisy(12, 3, 14, 17, seed=5)
    wide = batch_of(canvas, size=torch.tensor([9, 6]).expand(12, 2))
    cut = batch_of(canvas[:, :, :9, :6])
    found, expected = run(always(name), wide), run(always(name), cut)
    assert torch.equal(found.images[:, :, :9, :6], expected.images)
    assert found.targets is not None and expected.targets is not None
    assert torch.equal(found.targets.dense(), expected.targets.dense())


@pytest.mark.parametrize("name", OPS)
def test_the_front_door_equals_the_stage(name: str) -> None:
    # `augury.apply` with drawn values is the same function as the stage. Catches two ways from a value to pixels.
    operation, batch = op_of(name), batch_of(noisy(24))
    stage = always(name)
    trace = stage.sample(batch, noise_of(batch))
    given = {key: trace["value"][:, 0, k] for k, key in enumerate(operation.parameters)}
    if "box" in trace:
        height, width = operation.shape(given, batch.sizes()).unbind(1)
        top, left = trace["box"][:, 0, 0], trace["box"][:, 0, 1]
        inside = (trace["box"][:, 0, 2] - top == height) & (trace["box"][:, 0, 3] - left == width)
        given |= {"top": top, "left": left}
    else:
        inside = torch.ones(24, dtype=torch.bool)
    if "partner" in trace:
        given["partner"] = trace["partner"][:, 0]
    found = augury.apply(name, batch.images, **given)
    expected = stage.apply(batch, trace).images
    assert int(inside.sum()) > 2
    assert torch.equal(found[inside], expected[inside])


@pytest.mark.parametrize("name", OPS)
def test_float_pixels_are_quantised_to_eight_bits(name: str) -> None:
    images = noisy(6)
    more = partner_of(name, 6)
    whole = augury.apply(name, images, **more)
    for dtype in (torch.float32, torch.float64, torch.float16):
        found = augury.apply(name, (images.double() / 255).to(dtype), **more)
        assert found.dtype == dtype
        assert torch.equal((found.double() * 255).round().to(torch.uint8), whole)


@pytest.mark.parametrize("name", ALONE)
def test_a_single_image_needs_no_batch(name: str) -> None:
    images = noisy(2)
    assert torch.equal(augury.apply(name, images[0]), augury.apply(name, images)[0])


BAD_IMAGES = {
    "int64": torch.zeros(2, 3, 4, 4, dtype=torch.int64),
    "bool": torch.zeros(2, 3, 4, 4, dtype=torch.bool),
    "17 channels": torch.zeros(2, 17, 4, 4, dtype=torch.uint8),
    "no channel": torch.zeros(4, 4, dtype=torch.uint8),
    "five dimensions": torch.zeros(1, 2, 3, 4, 4, dtype=torch.uint8),
    "channels last": torch.zeros(2, 4, 4, 3, dtype=torch.uint8),
    "NaN": torch.full((2, 3, 4, 4), math.nan),
    "infinite": torch.full((2, 3, 4, 4), math.inf),
    "normalised": torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0)),
    "0 to 255 as floats": torch.full((2, 3, 4, 4), 255.0),
    "an array": np.zeros((2, 3, 4, 4), np.uint8),
    "nothing": None,
}


@pytest.mark.parametrize("kind", BAD_IMAGES)
@pytest.mark.parametrize("name", OPS)
def test_wrong_images_are_refused_by_name(name: str, kind: str) -> None:
    with pytest.raises(InputError, match="^images: ") as caught:
        augury.apply(name, BAD_IMAGES[kind], **partner_of(name, 2))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("name", "key"), [(name, key) for name in OPS for key in op_of(name).parameters])
def test_wrong_values_are_refused_by_name(name: str, key: str) -> None:
    images, allowed, more = noisy(4), op_of(name).parameters[key].range, partner_of(name, 4)
    wrong: list[Any] = [math.nan, math.inf, -math.inf, torch.tensor([0.0, math.nan, 0.0, 0.0]), torch.zeros(3), torch.zeros(4, 1)]
    wrong += ["word", [None] * 4]
    wrong += [end for end in (allowed.low - 1, allowed.high + 1) if abs(end) != math.inf]
    for value in wrong:
        with pytest.raises(InputError, match=key) as caught:
            augury.apply(name, images, **{key: value}, **more)
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", OPS)
def test_unknown_values_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="'strenght'"):
        augury.apply(name, noisy(4), strenght=1.0, **partner_of(name, 4))


@pytest.mark.parametrize("name", MIXES)
def test_wrong_partners_are_refused(name: str) -> None:
    images = noisy(4)
    wrong: list[Any] = [None, torch.arange(3), torch.arange(1, 5), torch.tensor([0, 1, 2, -1]), torch.zeros(4), torch.zeros(4, 1)]
    for partner in [*wrong, torch.zeros(4, dtype=torch.bool), [1, 0, 3], 1, "word", [None] * 4]:
        with pytest.raises(InputError, match=r"^(partner: |apply\(partner)"):
            augury.apply(name, images, partner=partner)


@pytest.mark.parametrize("name", OPS)
def test_wrong_labels_are_refused(name: str) -> None:
    wrong: list[Any] = [torch.arange(3), torch.tensor([0, 1, 2, -1]), torch.zeros(4), torch.full((4, 5), 0.3), [0, 1, 2, 9], "word"]
    for labels in wrong:
        with pytest.raises(InputError, match=r"^(labels: |apply\(labels)"):
            augury.apply(name, noisy(4), labels, classes=5, **partner_of(name, 4))


@pytest.mark.parametrize("name", OPS)
@settings(steady, max_examples=20)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**31), st.sampled_from([1, 3]))
def test_any_draw_on_any_small_image_is_sound(name: str, height: int, width: int, seed: int, channels: int) -> None:
    images = noisy(3, channels, height, width, seed)
    batch = batch_of(images)
    stage = always(name)
    noise = Noise.of(seed, batch.ids)
    found = stage.apply(batch, stage.sample(batch, noise))
    assert found.images.shape == images.shape and found.targets is not None
    assert stage.describe(stage.sample(batch, noise), 0)
    assert isinstance(found.targets, Targets) and float(found.targets.weight.min()) >= 0
