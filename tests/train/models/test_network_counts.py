"""Parameter counts against the published ones; nothing is allocated (meta device)."""

import pytest
import torch

from augury.core import registry
from augury.train.models.build import build
from augury.train.models.pyramidnet import pyramid_widths

# (name with options, parameters for 10 classes, for 100 classes), three channels; None where no count is published.
PUBLISHED = [
    ("preact_resnet18", 11_171_146, 11_217_316),
    ("preact_resnet18(stem_norm=true)", 11_171_274, 11_217_444),
    ("preact_resnet18(final_norm=true)", 11_172_170, 11_218_340),
    ("resnet18", 11_173_962, 11_220_132),
    ("resnet20", 272_474, 278_324),
    ("resnet32", 466_906, 472_756),
    ("resnet110", 1_730_714, 1_736_564),
    ("resnet20(shortcut=zero_pad)", 269_722, 275_572),
    ("resnet32(shortcut=zero_pad)", 464_154, 470_004),
    ("resnet110(shortcut=zero_pad)", 1_727_962, 1_733_812),
    ("wrn_28_10", 36_479_194, 36_536_884),
    ("wrn_28_10(bias=true)", 36_489_290, 36_546_980),
    ("wrn_28_10(shortcut=zero_pad, extra_skips=true)", 36_220_634, 36_278_324),
    ("wrn_28_2", 1_467_610, 1_479_220),
    ("wrn_28_2(bias=true)", 1_469_642, 1_481_252),
    ("wrn_28_2(shortcut=zero_pad, extra_skips=true)", 1_456_858, None),
    ("wrn_40_2", 2_243_546, 2_255_156),
    ("wrn_40_2(bias=true)", 2_246_474, 2_258_084),
    ("wrn_40_2(dropout=0.3)", 2_243_546, 2_255_156),
    ("wide_resnet(depth=40, widen=2)", 2_243_546, 2_255_156),
    ("shake_shake_26_2x32d", 2_989_002, 3_000_612),
    ("shake_shake_26_2x96d", 26_777_546, 26_812_196),
    ("shake_shake_26_2x112d", 36_435_402, 36_475_812),
    ("shake_shake_26_2x32d(variant=dauphin)", 2_932_266, None),
    ("shake_shake_26_2x96d(variant=dauphin)", 26_331_754, None),
    ("shake_shake_26_2x112d(variant=dauphin)", 35_834_746, None),
    ("pyramidnet_272", 26_210_842, 26_288_692),
    ("mobilenet_v2_cifar", 2_296_922, 2_412_212),
]


def parameters(name: str, classes: int, channels: int = 3) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in build(name, classes=classes, channels=channels).parameters())


@pytest.mark.parametrize(("name", "ten", "hundred"), PUBLISHED)
def test_the_published_number_of_parameters(name, ten, hundred):
    assert parameters(name, 10) == ten
    if hundred is not None:
        assert parameters(name, 100) == hundred


@pytest.mark.parametrize(
    ("options", "count"), [("", 11_268_616), ("(stem_norm=true)", 11_268_744), ("(final_norm=true)", 11_269_640)]
)
def test_tiny_imagenet_counts(options, count):
    assert parameters("preact_resnet18" + options, 200) == count


def test_patch_cnn_for_grey_images_and_two_classes():
    assert parameters("patch_cnn", 2, channels=1) == 167_586


def test_small_cnn_is_small():
    assert 45_000 < parameters("small_cnn", 10) < 100_000


def test_trimmed_shake_shake_lacks_only_the_idle_shortcuts():
    idle = sum(3 * (width * width + 2 * width) for width in (32, 64, 128))
    assert parameters("shake_shake_26_2x32d", 10) - parameters("shake_shake_26_2x32d(variant=trimmed)", 10) == idle


def test_pyramid_widths_grow_by_alpha_and_round_halves_up():
    assert pyramid_widths(200, 90)[-1] == 216
    assert pyramid_widths(200, 90)[:3] == [18, 20, 23]  # 18.22, 20.44, 22.67
    assert pyramid_widths(45, 90)[:4] == [17, 17, 18, 18]  # 16.5, 17, 17.5, 18; Python's round would give 16 first


def test_every_network_of_the_registry_is_counted():
    named = {name.partition("(")[0] for name, *_ in PUBLISHED} | {
        "patch_cnn",
        "small_cnn",
        "bnneck",
    }  # a wrapper has its network's count
    assert set(registry.names("model")) <= named
