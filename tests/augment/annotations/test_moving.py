"""A drawn grid of points, moved together with the image it is drawn in, by every operation that moves pixels."""

import pytest
import torch
from samples import OPS
from torch import Tensor
from torchvision import tv_tensors

import augury
from augury.core import registry

if not hasattr(tv_tensors, "KeyPoints"):
    pytest.skip("key points came with torchvision 0.23", allow_module_level=True)

SIDE = 96
MOVING = {
    "crop": "crop(padding=10)",
    "elastic": "elastic(alpha=uniform(30, 60), sigma=5)",
    "flip": "flip(p=1)",
    "flip_vertical": "flip_vertical(p=1)",
    "resized_crop": "resized_crop(area=uniform(0.5, 1))",
    "rotate": "rotate(degrees=uniform(-180, 180), interpolation=bilinear)",
    "shear_x": "shear_x(interpolation=bilinear)",
    "shear_y": "shear_y(interpolation=bilinear)",
    "swirl": "swirl(strength=uniform(-1, 1), radius=60)",
    "translate_x": "translate_x",
    "translate_y": "translate_y",
    "zoom": "zoom(interpolation=bilinear)",
}
CHAINS = {
    "randaugment": "randaugment(num_ops=3, magnitude=12)",
    "geometric chain": "crop+flip+rotate(interpolation=bilinear)+swirl(strength=0.4)+resized_crop(area=0.7)",
    "autoaugment": "autoaugment(table=svhn, ladder=torchvision)",
    "trivialaugment": "trivialaugment",
}
# Where one operation at most turns or shears, a box around what is whole fits closely; elsewhere it holds it.
TIGHT = ("autoaugment", "trivialaugment")
REFUSED = ("inaugment_patch", "mixup")
COORDINATES_REFUSED = ("cutmix",)


def grid() -> Tensor:
    at = torch.arange(16.0, SIDE - 8, 16)
    return torch.cartesian_prod(at, at)


def drawn(spots: Tensor) -> Tensor:
    """uint8 [1,H,W]: a small bright hill at every point (x, y in pixel indices)."""
    place = torch.arange(float(SIDE))
    distance = (place[None, None, :] - spots[:, 0, None, None]) ** 2 + (place[None, :, None] - spots[:, 1, None, None]) ** 2
    return (255 * (-distance / 8).exp().amax(0)).round().to(torch.uint8)[None]


def centroid(image: Tensor, at: Tensor) -> Tensor:
    """The centre of mass of what is bright around a point."""
    x, y = at.round().long().tolist()
    window = image[0, y - 6 : y + 7, x - 6 : x + 7].double()
    window = (window - 40).clamp(min=0)
    offset = torch.arange(-6.0, 7)
    return torch.stack([(window.sum(0) * offset).sum(), (window.sum(1) * offset).sum()]) / window.sum() + torch.tensor([x, y])


def test_every_operation_that_moves_pixels_is_here() -> None:
    moving = {n for n in OPS if (op := registry.get("op", n)()).form in ("warp", "map", "separable") and op.reads != "in place"}
    assert moving - {"identity", "gaussian_blur"} == set(MOVING) | {"inaugment_patch"}


@pytest.mark.parametrize("name", MOVING)
def test_points_go_where_their_pixels_go(name: str) -> None:
    spots = grid()
    images = tv_tensors.Image(drawn(spots).expand(4, 1, -1, -1).contiguous())
    given = tv_tensors.KeyPoints(spots.expand(4, -1, -1).contiguous(), canvas_size=(SIDE, SIDE))
    moved, points = augury.pipeline(MOVING[name], seed=5)(images, given)
    seen, far, wrong = 0, 0.0, 0.0
    for image, mine in zip(moved, points.as_subclass(Tensor), strict=True):
        for place, before in zip(mine, spots, strict=True):
            if bool(((place > 8) & (place < SIDE - 9)).all()):
                seen += 1
                wrong = max(wrong, float((centroid(image, place) - place).norm()))
                far = max(far, float((place - before).norm()))
    assert seen > 30 and far > 2 and wrong < 0.75, (seen, far, wrong)


@pytest.mark.parametrize("name", CHAINS)
def test_boxes_hold_what_their_pixels_became(name: str) -> None:
    """The mask of a box, moved by the same draws, lies in the moved box, which fits closely.

    Catches a missing clamp, slots in another order, a matrix of another stage."""
    canvas = (SIDE, SIDE)
    corners = torch.tensor([[20.0, 30, 50, 60], [40, 10, 80, 40], [5, 60, 25, 90]])
    mask = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
    for layer, (left, top, right, bottom) in zip(mask, corners.long().tolist(), strict=True):
        layer[top:bottom, left:right] = 1
    pipeline, touched = augury.pipeline(CHAINS[name], seed=2), 0
    for _ in range(12):
        boxes, moved = pipeline({
            "boxes": tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=canvas), "masks": tv_tensors.Mask(mask)
        }).values()  # fmt: skip
        for box, layer in zip(boxes.as_subclass(Tensor), moved.as_subclass(Tensor), strict=True):
            rows, columns = layer.amax(1).nonzero()[:, 0], layer.amax(0).nonzero()[:, 0]
            if not len(rows):
                assert float((box[2:] - box[:2]).amin()) < 2
                continue
            tight = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]).float()
            slack = tight - box
            assert float(slack[:2].min()) > -1.6 and float(slack[2:].max()) < 1.6, (box, tight)
            touched += 1
            if name in TIGHT and tight[:2].min() > 0 and tight[2:].max() < SIDE:
                assert float(slack.abs().max()) < 1.6, (box, tight)
    assert touched > 20


@pytest.mark.parametrize("name", OPS)
def test_each_operation_follows_or_refuses_in_one_line(name: str) -> None:
    """One draw a sample, types kept, pixel operations leave everything; what cannot follow says so in one line."""
    images = tv_tensors.Image(drawn(grid()).expand(3, 3, -1, -1).contiguous())
    sample = {
        "images": images,
        "masks": tv_tensors.Mask((images.as_subclass(Tensor)[:, 0] > 100).long()),
        "labels": torch.arange(3),
        "boxes": [tv_tensors.BoundingBoxes([[4.0, 6, 40, 50]], format="XYXY", canvas_size=(SIDE, SIDE)) for _ in range(3)],
    }
    pipeline = augury.pipeline(f"{name}(p=1)")
    if name in REFUSED + COORDINATES_REFUSED:
        with pytest.raises(augury.InputError, match=rf"{name}: .*cannot follow") as found:
            pipeline(sample)
        assert "\n" not in str(found.value)
        sample.pop("boxes")
        if name in REFUSED:
            with pytest.raises(augury.InputError, match="cannot follow"):
                pipeline(sample)
            return
    done = pipeline(sample)
    assert list(done) == list(sample) and all(type(done[key]) is type(sample[key]) for key in sample if key != "labels")
    assert done["masks"].dtype == torch.int64 and done["images"].shape == images.shape
    if name not in MOVING and name not in COORDINATES_REFUSED:
        assert torch.equal(done["masks"], sample["masks"])
        assert all(map(torch.equal, done["boxes"], sample["boxes"]))
