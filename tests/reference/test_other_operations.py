"""The operations outside the AutoAugment family against Pillow, torchvision and SciPy."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torchvision.transforms.v2 import functional

import augury
from augury.explain.fidelity.pillow import as_pil, as_tensor

IMAGES = [(3, 32, 32), (3, 17, 40), (1, 28, 28), (3, 1, 1), (3, 2, 9)]


def image_of(shape: tuple[int, int, int], seed: int = 0) -> torch.Tensor:
    """Smooth structure with noise on top, so that neither constant nor adversarially random areas are missing."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, shape[0], 4, 4, generator=random)
    smooth = torch.nn.functional.interpolate(coarse, size=shape[1:], mode="bilinear")[0] * 255
    return (smooth + 20 * torch.randn(shape, generator=random)).clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("shift", [-0.5, -0.26, -0.1, -0.01, 0.02, 0.1, 0.37, 0.5])
def test_hue_is_pillows_to_the_bit(shift: float) -> None:
    colours = torch.cartesian_prod(*[torch.arange(0, 256, 15)] * 3).T.reshape(3, 1, -1).to(torch.uint8)
    for image in (image_of((3, 32, 32)), colours):
        hue, saturation, value = as_pil(image).convert("HSV").split()
        turned = Image.fromarray(((np.array(hue).astype(int) + int(shift * 255)) % 256).astype(np.uint8))
        expected = as_tensor(Image.merge("HSV", (turned, saturation, value)).convert("RGB"))
        if int(shift * 255) % 256 == 0:
            expected = image
        assert augury.apply("hue", image, shift=shift).equal(expected)


@pytest.mark.parametrize("shape", IMAGES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_resized_crop_is_pillows_resize_of_its_box(shape: tuple[int, int, int], interpolation: str) -> None:
    image = image_of(shape)
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    for area, aspect, place in [(0.2, 1.0, 0.0), (0.5, 1.3, 0.72), (1.0, 1.0, 0.5), (0.08, 0.75, 1.0)]:
        height, width = shape[1:]
        rows = min(max(round((area * height * width / aspect) ** 0.5), 1), height)
        columns = min(max(round((area * height * width * aspect) ** 0.5), 1), width)
        top = min(int(place * (height - rows + 1)), height - rows)
        left = min(int(place * (width - columns + 1)), width - columns)
        box = (left, top, left + columns, top + rows)
        # Cut first, as torchvision does: given a box, Pillow would also read the pixels beside it.
        expected = as_pil(image).crop(box).resize((width, height), filters[interpolation])
        values = {"area": area, "aspect": aspect, "top": place, "left": place}
        got = augury.apply("resized_crop", image, interpolation=interpolation, **values)
        assert (got.int() - as_tensor(expected).int()).abs().max() <= 1


@pytest.mark.parametrize("sigma", [0.3, 1.0, 1.9])
def test_gaussian_blur_is_torchvisions_within_one_level(sigma: float) -> None:
    for shape in ((3, 32, 32), (1, 28, 40)):
        image = image_of(shape)
        expected = functional.gaussian_blur(image, [13, 13], [sigma, sigma])
        got = augury.apply("gaussian_blur", image, sigma=sigma)
        assert (got.int() - expected.int()).abs().max() <= 1


def test_gaussian_blur_keeps_a_constant_image_and_mirrors_a_small_one() -> None:
    flat = torch.full((3, 5, 3), 77, dtype=torch.uint8)
    assert augury.apply("gaussian_blur", flat, sigma=2.0).equal(flat)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("footprint", ["square", "cross"])
@pytest.mark.parametrize("name", ["erode", "dilate"])
def test_erosion_and_dilation_are_scipys(name: str, footprint: str, width: int) -> None:
    # Catches a dilation of even width that reaches to the wrong side, and a cross that is a square or a diamond.
    shape = np.ones((1, width, width)) if footprint == "square" else np.zeros((1, width, width))
    shape[:, width // 2, :] = shape[:, :, width // 2] = 1
    for size in IMAGES:
        image = image_of(size)
        if name == "erode":
            expected = ndimage.grey_erosion(image.numpy(), footprint=shape, mode="constant", cval=255)
        else:
            expected = ndimage.grey_dilation(image.numpy(), footprint=shape, mode="constant", cval=0)
        assert augury.apply(name, image, width=width, footprint=footprint).equal(torch.from_numpy(expected))


def test_swirl_is_its_own_definition_by_scipy() -> None:
    image = image_of((1, 33, 33))
    strength, radius = 2.0, 20.0
    y, x = np.mgrid[:33, :33] - 16.0
    turn = strength * np.exp(-np.hypot(x, y) / (radius / 5 * np.log(2)))
    angle = np.arctan2(y, x) - turn  # y grows downwards, so positive strengths turn as rotate does
    at = (np.hypot(x, y) * np.sin(angle) + 16, np.hypot(x, y) * np.cos(angle) + 16)
    expected = [
        ndimage.map_coordinates(image[0].numpy().astype(float), (at[0], sign), order=1, mode="nearest") for sign in (at[1],)
    ]
    other = np.arctan2(y, x) + turn
    mirrored = (np.hypot(x, y) * np.sin(other) + 16, np.hypot(x, y) * np.cos(other) + 16)
    expected.append(ndimage.map_coordinates(image[0].numpy().astype(float), mirrored, order=1, mode="nearest"))
    got = augury.apply("swirl", image, radius=radius, strength=strength)[0].numpy()
    errors = [np.abs(got - np.floor(e + 0.5)).max() for e in expected]
    assert min(errors) <= 1
    counter_clockwise = augury.apply("rotate", image, interpolation="bilinear", degrees=90.0)
    assert counter_clockwise.equal(as_tensor(as_pil(image).rotate(90)))


def test_elastic_moves_by_its_field_and_repeats_it() -> None:
    ramp = (torch.arange(64) * 4).to(torch.uint8).expand(1, 1, 64, 64).contiguous()
    none, some, same, other = (
        augury.apply("elastic", ramp, alpha=alpha, pattern=pattern)
        for alpha, pattern in [(0, 0.3), (34, 0.3), (34, 0.3), (34, 0.7)]
    )
    assert none.equal(ramp) and some.equal(same) and not some.equal(other)
    # Uniform noise of variance 1/3, averaged by a Gaussian: variance 1/(3 * 4 pi sigma^2), times alpha^2, times (4 levels)^2.
    inner = (some.float() - ramp.float())[..., 12:-12, 12:-12]
    expected = 34 * 4 / (3 * 4 * np.pi * 16) ** 0.5
    assert 0.6 * expected < inner.std() < 1.5 * expected


def test_zoom_is_pillows_affine() -> None:
    image = image_of((3, 33, 20))
    for factor in (0.75, 0.9, 1.1, 1.25):
        step = 1 / np.float64(np.float32(factor))
        data = (step, 0, 10 - step * 10, 0, step, 16.5 - step * 16.5)
        for interpolation, filtered in (("nearest", Image.Resampling.NEAREST), ("bilinear", Image.Resampling.BILINEAR)):
            expected = as_pil(image).transform((20, 33), Image.Transform.AFFINE, data, filtered)
            assert augury.apply("zoom", image, factor=factor, interpolation=interpolation).equal(as_tensor(expected))


def test_solarize_add_and_grayscale_by_their_definition() -> None:
    image = image_of((3, 16, 16))
    added = torch.where(image < 128, (image.int() + 50).clamp(0, 255), image.int()).to(torch.uint8)
    assert augury.apply("solarize_add", image, amount=50).equal(added)
    grey = as_tensor(as_pil(image).convert("L")).expand(3, -1, -1)
    assert augury.apply("grayscale", image).equal(grey)


def test_random_erasing_covers_the_drawn_area_with_fresh_noise() -> None:
    images = torch.zeros(400, 3, 64, 64, dtype=torch.uint8)
    erased = augury.pipeline("random_erasing(p=1)", seed=2)(images)
    share = (erased > 0).any(1).float().mean((1, 2))
    assert share.min() > 0.015 and share.max() < 0.41 and abs(share.mean() - 0.21) < 0.02
    values = erased[erased > 0].float()
    assert abs(values.mean() - 128) < 1 and values.unique().numel() == 255
    assert len({tuple(image[image > 0][:20].tolist()) for image in erased}) == 400


def test_inaugment_patch_is_pillows_crop_and_paste() -> None:
    image = image_of((3, 24, 17))
    for source, start, goal in [(0.5, (0.5, 0.5), (0.2, 0.9)), (1.0, (0.0, 0.99), (0.9, 0.1)), (0.1, (0.3, 0.3), (0.99, 0.99))]:
        side = round(source * 17)
        (top, left), (down, across) = [(min(int(y * 24), 23), min(int(x * 17), 16)) for y, x in (start, goal)]
        box = [max(left - side // 2, 0), max(top - side // 2, 0), min(left - side // 2 + side, 17), min(top - side // 2 + side, 24)]
        expected, patch = as_pil(image).copy(), as_pil(image).crop(tuple(box))
        expected.paste(patch, (across - patch.width // 2, down - patch.height // 2))
        got = augury.apply(
            "inaugment_patch", image, source=source, from_row=start[0], from_column=start[1], to_row=goal[0], to_column=goal[1]
        )  # fmt: skip
        assert got.equal(as_tensor(expected))


def test_grid_mask_removes_the_published_share() -> None:
    images = torch.full((300, 1, 224, 224), 255, dtype=torch.uint8)
    erased = augury.pipeline("grid_mask(ratio=0.6)", seed=1)(images)
    assert abs((erased == 0).float().mean() - 0.4**2) < 0.01
    turned = augury.pipeline("grid_mask(ratio=0.6,rotate=true)", seed=1)(images)
    assert abs((turned == 0).float().mean() - 0.4**2) < 0.01 and not turned.equal(erased)


def test_grid_mask_squares_lie_where_they_should() -> None:
    image = torch.full((1, 1, 12, 12), 255, dtype=torch.uint8)
    got = augury.apply("grid_mask", image, period=0.5, ratio=0.5, down=0.0, right=0.0)[0, 0]
    # Period 6, band 3, counted from the centre: rows and columns 3, 4, 5 and 9, 10, 11 are outside the bands.
    outside = torch.tensor([k % 6 >= 3 for k in range(12)])
    assert (got == 0).equal(outside[:, None] & outside)


def test_color_jitter_draws_every_order_and_stays_in_its_ranges() -> None:
    from augury.core.batch import Batch
    from augury.core.noise import Noise

    pipeline = augury.pipeline("color_jitter(brightness=0.2,contrast=0.3,saturation=0.4,hue=0.1)")
    ids = torch.arange(4000)
    batch = Batch(torch.zeros(4000, 3, 1, 1, dtype=torch.uint8), None, ids)
    trace = pipeline.stages[0].sample(batch, Noise.of(0, ids))
    orders, counts = trace["op"].unique(dim=0, return_counts=True)
    assert len(orders) == 24 and counts.min() > 100
    for op, (low, high) in enumerate([(0.8, 1.2), (0.7, 1.3), (0.6, 1.4), (-0.1, 0.1)]):
        values = trace["value"][..., 0][trace["op"] == op]
        assert low <= values.min() < low + 0.01 and high - 0.01 < values.max() <= high
