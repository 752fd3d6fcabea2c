"""Every operation that Pillow has equals Pillow's result, to the bit, on uint8 images of one and three channels."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch
from card_facts import forgetting_new_names
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageEnhance, ImageOps
from samples import OPS, batch_of, noise_of, noisy, pictures, steady
from torch import Tensor

import augury
from augury.core import registry

Picture = Image.Image
NEAREST, BILINEAR = Image.Resampling.NEAREST, Image.Resampling.BILINEAR
SIZES = [(1, 1), (1, 7), (7, 1), (2, 2), (2, 5), (3, 3), (4, 9), (16, 16), (32, 32), (33, 20)]


def to_picture(image: Tensor) -> Picture:
    array = image.numpy()
    return Image.fromarray(array[0] if len(array) == 1 else np.ascontiguousarray(array.transpose(1, 2, 0)))


def to_tensor(picture: Picture) -> Tensor:
    array = np.array(picture)
    return torch.from_numpy(array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1)))


def affine(picture: Picture, matrix: Iterable[float], resample: Any = NEAREST, fill: int = 0) -> Picture:
    colour = fill if picture.mode == "L" else (fill,) * 3
    return picture.transform(picture.size, Image.Transform.AFFINE, tuple(matrix), resample, fillcolor=colour)


def whole_pixels(distance: float) -> int:
    """Truncated as Pillow's callers do, but for what float32 took from a fraction that is a whole number of pixels."""
    return int(round(distance, 4))


def colour(picture: Picture, fill: int) -> Any:
    return fill if picture.mode == "L" else (fill,) * 3


def lifted(picture: Picture, amount: float) -> Picture:
    """Solarize-add has no function of its own in Pillow; its table has."""
    table = [min(255, max(0, level + int(amount))) if level < 128 else level for level in range(256)]
    return picture.point(table * len(picture.getbands()))


def rotated(picture: Picture, degrees: float, resample: Any = NEAREST, fill: int = 0) -> Picture:
    return picture.rotate(degrees, resample, fillcolor=colour(picture, fill))


def zoomed(picture: Picture, factor: float, resample: Any = NEAREST, fill: int = 0) -> Picture:
    width, height = picture.size
    step = 1 / factor
    x, y = width / 2, height / 2
    return affine(picture, (step, 0, x - step * x, 0, step, y - step * y), resample, fill)


def cropped(picture: Picture, top: float, left: float, resample: Any = NEAREST, fill: int = 0) -> Picture:
    """torchvision's RandomCrop: pad by an eighth of the side, then cut at one of the 2 x padding + 1 offsets."""
    width, height = picture.size
    down, right = (height + 4) // 8, (width + 4) // 8
    y = min(int(np.float32(top) * np.float32(2 * down + 1)), 2 * down)
    x = min(int(np.float32(left) * np.float32(2 * right + 1)), 2 * right)
    padded = ImageOps.expand(picture, (right, down, right, down), fill=colour(picture, fill))
    return padded.crop((x, y, x + width, y + height))


def posterized(picture: Picture, bits: float) -> Picture:
    return ImageOps.posterize(picture, int(bits)) if bits else Image.new(picture.mode, picture.size)


def shifted_hue(picture: Picture, turns: float) -> Picture:
    """torchvision's adjust_hue on a Pillow image; it skips no pixel, but a shift of 0 levels is no change at all here."""
    levels = int(turns * 255)
    if picture.mode == "L" or levels % 256 == 0:
        return picture
    hue, saturation, value = picture.convert("HSV").split()
    turned = hue.point([(level + levels) % 256 for level in range(256)])
    return Image.merge("HSV", (turned, saturation, value)).convert("RGB")


def one(value: float) -> float:
    """A strength as float32 holds it: that is what both sides get."""
    return float(np.float32(value))


Program = Callable[..., Picture]
PROGRAMS: dict[str, Program] = {
    "identity": lambda p: p,
    "rotate": rotated,
    "shear_x": lambda p, slope, *how: affine(p, (1, slope, 0, 0, 1, 0), *how),
    "shear_y": lambda p, slope, *how: affine(p, (1, 0, 0, slope, 1, 0), *how),
    "translate_x": lambda p, fraction, *how: affine(p, (1, 0, whole_pixels(fraction * p.size[0]), 0, 1, 0), *how),
    "translate_y": lambda p, fraction, *how: affine(p, (1, 0, 0, 0, 1, whole_pixels(fraction * p.size[1])), *how),
    "auto_contrast": ImageOps.autocontrast,
    "equalize": ImageOps.equalize,
    "invert": ImageOps.invert,
    "solarize": ImageOps.solarize,
    "solarize_add": lifted,
    "posterize": posterized,
    "flip": lambda p, *how: ImageOps.mirror(p),
    "flip_vertical": lambda p, *how: ImageOps.flip(p),
    "brightness": lambda p, factor: ImageEnhance.Brightness(p).enhance(factor),
    "contrast": lambda p, factor: ImageEnhance.Contrast(p).enhance(factor),
    "color": lambda p, factor: ImageEnhance.Color(p).enhance(factor),
    "sharpness": lambda p, factor: ImageEnhance.Sharpness(p).enhance(factor),
    "grayscale": lambda p: p.convert("L").convert(p.mode),
    "crop": cropped,
    "zoom": zoomed,
    "hue": shifted_hue,
}
FACTORS = [0.0, 0.05, 0.1, 0.37, 0.5, 0.999, 1.0, 1.001, 1.3, 1.9, 2.7, 10.0]
SLOPES = [-1.0, -0.3, -0.1, -0.01, 0.0, 0.05, 0.2, 0.3, 0.99, 2.0]
FRACTIONS = [-1.0, -0.45, -0.3, -0.07, 0.0, 0.05, 0.125, 0.4531722, 0.9, 1.0]
DEGREES = [-360.0, -135.0, -90.0, -30.0, -7.3, -0.4, 0.0, 0.01, 9.0, 15.0, 30.0, 45.0, 90.0, 123.4, 180.0, 270.0, 359.9, 725.0]
POSITIONS = [(0.0, 0.0), (0.5, 0.5), (0.99, 0.01), (0.3, 0.7), (1.0, 1.0)]
STRENGTHS: dict[str, list[tuple[float, ...]]] = {
    "rotate": [(d,) for d in DEGREES],
    "shear_x": [(s,) for s in SLOPES],
    "shear_y": [(s,) for s in SLOPES],
    "translate_x": [(f,) for f in FRACTIONS],
    "translate_y": [(f,) for f in FRACTIONS],
    "solarize": [(t,) for t in (0.0, 0.5, 1.0, 14.0, 77.0, 127.5, 128.0, 254.2, 255.0, 255.5, 256.0)],
    "solarize_add": [(a,) for a in (-200.0, -13.0, 0.0, 0.9, 40.0, 110.0, 127.7, 255.0)],
    "posterize": [(float(bits),) for bits in range(9)],
    "crop": POSITIONS,
    "zoom": [(z,) for z in (0.25, 0.5, 0.77, 0.99, 1.0, 1.2, 1.3333, 2.0, 7.0)],
    "hue": [(h,) for h in (-0.5, -0.1, -0.01, -0.003, 0.0, 0.02, 0.25, 0.5)],
    **{name: [(f,) for f in FACTORS] for name in ("brightness", "contrast", "color", "sharpness")},
}


def compare(name: str, program: Program, images: Tensor, strengths: list[tuple[float, ...]], **fixed: Any) -> None:
    """All images at all strengths in one call of ours, one by one in Pillow's."""
    keys = list(registry.get("op", name)().parameters)
    drawn = [tuple(map(one, values)) for values in strengths]
    many = images.repeat(len(drawn), 1, 1, 1)
    columns = torch.tensor(drawn, dtype=torch.float32).repeat_interleave(len(images), 0)
    found = augury.apply(name, many, **{key: columns[:, k] for k, key in enumerate(keys)}, **fixed)
    for row, image in enumerate(found):
        values = drawn[row // len(images)]
        expected = to_tensor(program(to_picture(many[row]), *values))
        wrong = int((image != expected).sum())
        assert not wrong, f"{name}{values} {list(image.shape)}, picture {row % len(images)}: {wrong} values differ"


def test_every_operation_named_after_pillow_is_compared() -> None:
    # An op whose source names Pillow claims to equal it. Catches a new one without an oracle.
    elsewhere = {"resized_crop", "gaussian_blur"}
    for entry in registry.entries("op"):
        if "Pillow" in entry.source:
            assert entry.name in {*PROGRAMS, *elsewhere}, f"{entry.name}: add Pillow's program to PROGRAMS"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", [name for name in PROGRAMS if name in OPS])
def test_operations_equal_pillow(name: str, channels: int) -> None:
    # Catches: rounding for truncation in a blend, an FMA, grey by floats, equalize that wraps, auto contrast by a reciprocal,
    # a posterize mask of the wrong bits, `<=` for `<` in solarize, sharpened borders, a centre off by half a pixel.
    for height, width in SIZES:
        compare(name, PROGRAMS[name], pictures(channels, height, width), STRENGTHS.get(name, [()]))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fill", [0, 128])
@pytest.mark.parametrize("name", ["rotate", "shear_x", "shear_y", "zoom"])
def test_bilinear_warps_equal_pillow(name: str, fill: int, channels: int) -> None:
    # Catches a fill that is blended into the border, coordinates in float32, and rounding for truncation.
    if name not in OPS:
        pytest.skip("not registered")
    for height, width in SIZES:
        images = pictures(channels, height, width)
        compare(name, lambda *a: PROGRAMS[name](*a, BILINEAR, fill), images, STRENGTHS[name], interpolation="bilinear", fill=fill)


@pytest.mark.parametrize("name", ["rotate", "shear_x", "translate_x", "translate_y", "crop"])
def test_fills_equal_pillow(name: str) -> None:
    for height, width in SIZES:
        compare(name, lambda *a: PROGRAMS[name](*a, NEAREST, 200), pictures(3, height, width), STRENGTHS[name], fill=200)


def test_paddings_equal_pillow() -> None:
    def program(picture: Picture, top: float, left: float) -> Picture:
        padded = ImageOps.expand(picture, 2)
        x, y = int(left * 5), int(top * 5)
        return padded.crop((x, y, x + picture.size[0], y + picture.size[1]))

    for height, width in SIZES:
        compare("crop", program, pictures(3, height, width), [(0.0, 0.9), (0.5, 0.3), (0.7, 0.0)], padding=2)


@steady
@given(st.sampled_from([n for n in PROGRAMS if n in OPS and n != "posterize"]), st.integers(1, 40), st.integers(1, 40), st.data())
def test_any_strength_on_any_size_equals_pillow(name: str, height: int, width: int, data: st.DataObject) -> None:
    values = []
    for parameter in registry.get("op", name)().parameters.values():
        support = parameter.law.support
        values.append(data.draw(st.floats(support.low, support.high, width=32, allow_subnormal=False).filter(lambda v: v == one(v))
                                if one(support.low) == support.low and one(support.high) == support.high
                                else st.floats(support.low, support.high).map(one)))  # fmt: skip
    images = noisy(2, data.draw(st.sampled_from([1, 3])), height, width, seed=height * 41 + width)
    compare(name, PROGRAMS[name], images, [tuple(values)])


def in_pillow(operation: Any, picture: Picture, values: list[float]) -> Picture:
    """One operation with the interpolation, fill and unit of length that a policy may have chosen for its warps."""
    program = PROGRAMS[operation.name]
    if operation.form != "warp":
        return program(picture, *values)
    columns = {key: torch.tensor([value]) for key, value in zip(operation.parameters, values, strict=True)}
    matrix, bilinear, fill = operation.lower(columns, torch.tensor([picture.size[::-1]]))
    how = (BILINEAR if bilinear else NEAREST, int(fill))
    if operation.name.startswith("translate"):
        return affine(picture, map(float, matrix), *how)
    return program(picture, *values, *how)


def run_in_pillow(space: Any, trace: dict[str, Tensor], images: Tensor) -> list[Tensor]:
    """The one-at-a-time program: reads the trace and calls Pillow for every image and slot."""
    done = []
    for row, image in enumerate(images):
        picture = to_picture(image)
        for slot in range(trace["op"].shape[1]):
            if bool(trace["on"][row, slot]):
                operation = space[int(trace["op"][row, slot])].op
                values = trace["value"][row, slot, : len(operation.parameters)].tolist()
                picture = in_pillow(operation, picture, values)
        done.append(to_tensor(picture))
    return done


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(32, 32), (13, 20), (1, 1)])
@pytest.mark.parametrize(("slots", "magnitude"), [(2, 9), (3, 30), (1, 0), (8, 15)])
def test_randaugment_equals_a_pillow_program(channels: int, size: tuple[int, int], slots: int, magnitude: int) -> None:
    # Catches forms that run in another order than the slots, and values of one image given to another.
    pipeline = augury.pipeline("randaugment", num_ops=slots, magnitude=magnitude)
    images = noisy(64, channels, *size)
    batch = batch_of(images)
    found, traces = pipeline.run(batch, noise_of(batch))
    assert traces[0] is not None
    expected = run_in_pillow(pipeline.stages[0].policy.space, traces[0], images)
    assert torch.equal(found.images, torch.stack(expected))


POLICIES = [name for name in registry.names("policy") if name != "randaugment"]


@pytest.mark.parametrize("name", POLICIES)
def test_policies_of_pillows_operations_equal_a_pillow_program(name: str) -> None:
    # Whatever policy is registered later: every image whose operations Pillow has is compared.
    try:
        pipeline = augury.pipeline(name)
    except augury.InputError:
        pytest.skip("needs an option")
    images = noisy(48, 3, 32, 32)
    batch = batch_of(images)
    found, traces = pipeline.run(batch, noise_of(batch))
    space, trace = pipeline.stages[0].policy.space, traces[0]
    assert trace is not None
    known = torch.tensor([entry.op.name in PROGRAMS for entry in space.entries])
    rows = (known[trace["op"]] | ~trace["on"]).all(1).nonzero()[:, 0]
    expected = run_in_pillow(space, {key: part[rows] for key, part in trace.items()}, images[rows])
    for row, image in zip(rows.tolist(), expected, strict=True):
        assert torch.equal(found.images[row], image), pipeline.describe(traces, row)


def test_a_pipeline_on_a_pillow_image_equals_the_tensor_path() -> None:
    image = noisy(1, 3, 20, 30)[0]
    pipeline, same = (augury.pipeline("randaugment", seed=5) for _ in range(2))
    found = pipeline(to_picture(image))
    assert found.mode == "RGB" and found.size == (30, 20)
    assert torch.equal(to_tensor(found), same(image))


def test_mixing_equals_pillows_arithmetic() -> None:
    # Mixup of whole weights is Pillow's image itself; at one half its `add` with scale 2, rounded up where ours rounds.
    images = noisy(2, 3, 16, 16)
    found = augury.apply("mixup", images, weight=0.5, partner=torch.tensor([1, 0]))
    wide = to_tensor(ImageChops.add(to_picture(images[0]), to_picture(images[1]), scale=2)).int()
    assert bool(((found[0].int() - wide) <= 1).all()) and bool(((found[0].int() - wide) >= 0).all())
    assert torch.equal(found[0], ((images[0].int() + images[1].int() + 1) // 2).to(torch.uint8))


def test_the_oracle_itself_would_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    # A wrong operation under a known oracle must fail: the comparison is not vacuous.
    from augury.augment.forms.table import TableKind
    from augury.augment.ops._lower import recipe
    from augury.core.op import Op

    with forgetting_new_names():

        @registry.register("op", "not_quite_invert", source="a mutant")
        def mutant() -> Op:
            """Equalizes where it should invert."""
            return Op("not_quite_invert", "table", recipe(TableKind.EQUALIZE))

        with pytest.raises(AssertionError, match="values differ"):
            compare("not_quite_invert", ImageOps.invert, pictures(3, 16, 16), [()])
