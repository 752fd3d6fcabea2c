"""The published magnitude ladders, level by level, against the released codes' tables and torchvision's own."""

import pytest
import torch
from torchvision.transforms import v2

from augury.augment.policies.ladders import LADDERS, ladder
from augury.core.errors import InputError

TENTHS = [0.1, 0.28, 0.46, 0.64, 0.82, 1.0, 1.18, 1.36, 1.54, 1.72, 1.9]
TABLES = {
    ("tf", "shear_x", "slope"): [0, 0.03, 0.06, 0.09, 0.12, 0.15, 0.18, 0.21, 0.24, 0.27, 0.3],
    ("tf", "rotate", "degrees"): [0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30],
    ("tf", "posterize", "bits"): [4, 4, 4, 3, 3, 2, 2, 2, 1, 1, 0],
    ("tf", "solarize", "threshold"): [256, 231, 205, 180, 154, 128, 103, 77, 52, 26, 0],
    ("tf", "color", "factor"): TENTHS,
    ("tpu", "sharpness", "factor"): TENTHS,
    ("tpu", "solarize_add", "amount"): [0, 11, 22, 33, 44, 55, 66, 77, 88, 99, 110],
    ("tpu", "posterize", "bits"): [8, 8, 8, 7, 7, 6, 6, 6, 5, 5, 4],
    ("tpu", "solarize", "threshold"): [256, 231, 205, 180, 154, 128, 103, 77, 52, 26, 0],
    ("tpu_published", "posterize", "bits"): [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4],
    ("tpu_published", "solarize", "threshold"): [0, 25, 51, 76, 102, 128, 153, 179, 204, 230, 256],
    ("timm", "posterize", "bits"): [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4],
    ("timm_increasing", "posterize", "bits"): [4, 4, 4, 3, 3, 2, 2, 2, 1, 1, 0],
    ("timm_increasing", "solarize", "threshold"): [256, 231, 205, 180, 154, 128, 103, 77, 52, 26, 0],
    ("timm", "translate_x", "fraction"): [0.045 * level for level in range(11)],
    ("ildoonet", "rotate", "degrees"): list(range(31)),
    ("ildoonet", "color", "factor"): [0.1 + 1.8 * m / 30 for m in range(31)],
    ("adversarial", "cutout", "fraction"): [0.2 * level / 9 for level in range(10)],
    ("adversarial", "rotate", "degrees"): [30 * level / 9 for level in range(10)],
    ("fast_autoaugment", "rotate", "degrees"): [-30, -24, -18, -12, -6, 0, 6, 12, 18, 24, 30],
}


def values(name: str, operation: str, parameter: str, levels: int) -> list[float]:
    law = ladder(name).entry(operation).law(parameter)
    strength = torch.arange(levels, dtype=torch.float32) / (levels - 1)
    return law.value(torch.zeros(levels), strength).tolist()


@pytest.mark.parametrize("key", list(TABLES), ids="-".join)
def test_a_ladder_is_the_published_table(key: tuple[str, str, str]) -> None:
    assert values(*key, len(TABLES[key])) == pytest.approx(TABLES[key], abs=1e-5)


@pytest.mark.parametrize("level", range(11))
def test_tf_translations_and_cutout_are_whole_pixels_of_32(level: int) -> None:
    assert values("tf", "translate_x", "fraction", 11)[level] * 32 == level
    assert values("tf", "cutout", "fraction", 11)[level] * 32 == 2 * level


@pytest.mark.parametrize(("name", "bins", "theirs"), [("torchvision", 10, v2.AutoAugment), ("torchvision_31", 31, v2.RandAugment)])
def test_torchvisions_ladders_are_torchvisions(name: str, bins: int, theirs: type) -> None:
    compare_with_torchvision(name, bins, theirs)


def test_the_wide_ladder_is_torchvisions_trivialaugment() -> None:
    compare_with_torchvision("wide", 31, v2.TrivialAugmentWide)


def compare_with_torchvision(name: str, bins: int, theirs: type) -> None:
    ours = {
        "ShearX": ("shear_x", "slope", 1), "TranslateY": ("translate_y", "fraction", 1), "Rotate": ("rotate", "degrees", 1),
        "Brightness": ("brightness", "factor", 1), "Sharpness": ("sharpness", "factor", 1),
        "Posterize": ("posterize", "bits", 1), "Solarize": ("solarize", "threshold", 255),
    }  # fmt: skip
    for their_name, (operation, parameter, scale) in ours.items():
        magnitudes, signed = theirs._AUGMENTATION_SPACE[their_name]
        expected = magnitudes(bins, 331, 331).double() * scale
        choice = ladder(name).entry(operation)
        if operation in ("brightness", "sharpness"):
            expected = 1 + expected
        if operation == "translate_y":
            expected = expected / (32 if name == "wide" else 331)
        law = choice.law(parameter)
        strength = torch.arange(bins, dtype=torch.float32) / (bins - 1)
        assert torch.allclose(law.value(torch.zeros(bins), strength).double(), expected, atol=1e-4)
        assert bool(getattr(law, "signed", False)) == signed
        if signed:
            mirrored = law.value(torch.full((bins,), 0.9), strength).double()
            centre = 1.0 if operation in ("brightness", "sharpness") else 0.0
            assert torch.allclose(mirrored, 2 * centre - expected, atol=1e-4)


def test_every_ladder_stays_within_its_operations_ranges() -> None:
    # timm_increasing at 20 gave -4 bits and a brightness of -0.8. Catches a law that goes on beyond what an operation takes.
    for name in LADDERS:
        magnitudes = ladder(name)
        most = magnitudes.top if magnitudes.most is None else magnitudes.most
        strength = torch.arange(0, int(most * 4) + 1) / 4 / magnitudes.top
        for operation in magnitudes.entries:
            choice = magnitudes.entry(operation)
            for parameter, law in choice.laws.items():
                for u in (0.0, 0.9):
                    got = law.value(torch.full_like(strength, u), strength)
                    accepted = choice.op.parameters[parameter].range
                    assert float(got.min()) >= accepted.low and float(got.max()) <= accepted.high, (name, operation)


def test_timms_enhancements_stay_above_a_tenth() -> None:
    law = ladder("timm_increasing").entry("brightness").law("factor")
    got = law.value(torch.tensor([0.1, 0.9]), torch.tensor([2.0, 2.0]))
    assert got.tolist() == pytest.approx([2.8, 0.1])


@pytest.mark.parametrize(("scale", "magnitude"), [("torchvision", 10), ("adversarial", 12), ("fast_autoaugment", 9)])
def test_a_level_beyond_a_ladder_is_refused(scale: str, magnitude: float) -> None:
    import augury

    with pytest.raises(InputError, match=f"ladder {scale}: its levels go from 0 to"):
        augury.policy("autoaugment_space", scale=scale, magnitude=magnitude)


def test_geometric_operations_of_every_ladder_draw_their_sign() -> None:
    for name in LADDERS:
        for operation in ("shear_x", "translate_y", "rotate"):
            (parameter,) = ladder(name).entry(operation).op.parameters
            assert ladder(name).entry(operation).law(parameter).signed, (name, operation)


def test_the_published_contrast_slip_is_there_only_when_asked_for() -> None:
    import augury

    images = torch.full((1, 3, 64, 64), 100, dtype=torch.uint8)
    assert augury.apply("contrast", images, factor=0.0).unique().tolist() == [100]
    assert augury.apply("contrast", images, factor=0.0, mean="pixel_count").unique().tolist() == [64 * 64 // 256]
    assert ladder("tpu").entry("contrast").options == {}
    assert ladder("tpu_published").entry("contrast").options == {"mean": "pixel_count"}


def test_an_unknown_ladder_and_an_absent_operation_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'torchvision'"):
        ladder("torchvison")
    with pytest.raises(InputError, match="ladder torchvision: no values for 'solarize_add'"):
        ladder("torchvision").entry("solarize_add")
