"""Numbers where float32 met published ones: shifts, areas, and the ends of accepted ranges."""

import pytest
import torch

import augury
from augury.augment.ops.build import op
from augury.core import registry
from augury.core.batch import Batch
from augury.core.noise import Noise


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", ["translate_x", "translate_y"])
def test_k_of_w_pixels_is_k_for_every_side_up_to_256(name: str, sign: int) -> None:
    """Catches a product that float32 leaves just below k, cut to k - 1: 43 % of all k and W."""
    sides = torch.arange(1, 257)
    k = torch.cat([torch.arange(int(w)) for w in sides])
    w = sides.repeat_interleave(sides)
    fraction = (sign * k.double() / w).to(torch.float32)
    columns = op(name).lower({"fraction": fraction}, torch.stack([w, w], 1))[0]
    assert torch.equal(columns[2 if name.endswith("x") else 5], sign * k.double())


def test_a_shift_moves_pixels_by_that_much() -> None:
    for w, k in ((7, 3), (49, 1), (96, 11), (224, 97)):
        image = torch.arange(w, dtype=torch.uint8).expand(1, 1, 2, w)
        got = augury.apply("translate_x", image, fraction=k / w, fill=255)
        assert torch.equal(got[0, 0, 0], torch.cat([image[0, 0, 0, k:], torch.full((k,), 255, dtype=torch.uint8)]))


@pytest.mark.parametrize("size", [(256, 128), (128, 256), (32, 32), (40, 300)])
def test_random_erasing_keeps_its_area_where_the_box_does_not_fit(size: tuple[int, int]) -> None:
    """Catches 24.6 % erased for 40 % on 256x128: columns cut, and rows not made up for it."""
    area, aspect = torch.meshgrid(torch.linspace(0.02, 0.4, 20), torch.tensor([0.3, 0.5, 1.0, 2.0, 3.3333]), indexing="ij")
    values = {"area": area.flatten(), "aspect": aspect.flatten()}
    operation = op("random_erasing")
    assert operation.shape is not None
    extent = operation.shape(values, torch.tensor([size]).expand(100, 2))
    got = extent.prod(1) / (size[0] * size[1])
    # Half a pixel of the shorter side is what rounding may cost.
    slack = 0.5 / extent.amin(1).clamp(min=1)
    assert ((got / values["area"] - 1).abs() <= slack + 0.01).all()
    assert (extent[:, 0] <= size[0]).all() and (extent[:, 1] <= size[1]).all()


def test_random_erasing_is_the_same_for_an_image_on_its_side() -> None:
    operation = op("random_erasing")
    assert operation.shape is not None
    area, aspect = torch.full((1,), 0.4), torch.full((1,), 0.3)
    wide = operation.shape({"area": area, "aspect": aspect}, torch.tensor([[256, 128]]))[0].tolist()
    tall = operation.shape({"area": area, "aspect": 1 / aspect}, torch.tensor([[128, 256]]))[0].tolist()
    assert abs(wide[0] * wide[1] - tall[0] * tall[1]) <= 128


@pytest.mark.parametrize("name", registry.names("op"))
def test_an_operation_takes_the_ends_of_its_own_ranges(name: str) -> None:
    """Catches a bound compared in double precision with what float32 made of it: factor=0.01."""
    images = torch.zeros(2, 3, 8, 8, dtype=torch.uint8) + 90
    operation = op(name)
    for parameter, known in operation.parameters.items():
        for end in (known.range.low, known.range.high):
            if abs(end) != float("inf"):
                more = {"partner": torch.tensor([1, 0])} if "partner" in operation.needs else {}
                augury.apply(name, images, **{parameter: end}, **more)


def test_enhancements_are_torchvisions_to_the_bit_in_a_batch() -> None:
    """Catches factors an ulp away, which move a grey level: both sides of 1 at every magnitude."""
    from torchvision.transforms import RandAugment

    ids = torch.arange(600)
    for magnitude in range(0, 31, 3):
        (stage,) = augury.pipeline("randaugment", magnitude=magnitude).stages
        trace = stage.sample(Batch(torch.zeros(600, 3, 8, 8, dtype=torch.uint8), None, ids), Noise.of(0, ids))
        m = float(RandAugment()._augmentation_space(31, (8, 8))["Color"][0][magnitude].item())
        color = next(k for k, entry in enumerate(stage.space.entries) if entry.op.name == "color")
        got = set(trace["value"][..., 0][trace["op"] == color].tolist())
        assert got == set(torch.tensor([1.0 + m, 1.0 - m]).tolist())
