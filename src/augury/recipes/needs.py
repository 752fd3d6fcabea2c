"""What rows need: data, and an estimate of the time on a GPU."""

import re
from pathlib import Path
from typing import Any

from augury.recipes.recipe import Recipe, RecipeRow

# Name in the papers; layout in --data-dir; number of training images.
DATA: dict[str, tuple[str, str, int]] = {
    "cifar10": ("CIFAR-10", "torchvision's files, or cifar10/train.npz and test.npz", 50_000),
    "cifar100": ("CIFAR-100", "torchvision's files, or cifar100/train.npz and test.npz", 50_000),
    "mnist": ("MNIST", "torchvision's files, or mnist/train.npz and test.npz", 60_000),
    "mnist_correlation": ("MNIST", "torchvision's files, or mnist/train.npz and test.npz", 40_000),
    "imagenet": ("ImageNet", "imagenet/ with train/ and val/ class folders", 1_281_167),
    "tiny_imagenet": ("Tiny-ImageNet", "tiny_imagenet/ as it is unpacked, with train/ and val/", 100_000),
    "market1501": ("Market-1501", "market1501/ with bounding_box_train/, query/ and bounding_box_test/", 12_936),
    "waterbirds": ("Waterbirds", "as docs/data.md says", 4_795),
    "celeba": ("CelebA", "as docs/data.md says", 95_195),
    "isic": ("ISIC", "isic/manifest.csv with path, label, group and split", 0),
    "voc2007": ("PascalVOC 2007", "not read by Augury", 0),
    "coco2017": ("COCO 2017", "not read by Augury", 0),
}  # fmt: skip
# Data without a registered name, read from a folder of this name in --data-dir.
FOLDERS = ("isic", "imagenet", "tiny_imagenet", "market1501", "voc2007", "coco2017")
# Multiply-adds of one forward pass, in units of 1e9, at the papers' image sizes.
GIGA_MULTIPLY_ADDS = {
    "preact_resnet18": 0.56, "resnet18": 0.56, "resnet20": 0.04, "resnet32": 0.07, "resnet110": 0.26, "mobilenet_v2_cifar": 0.09,
    "wrn_28_10": 5.25,
    "wrn_28_2": 0.21, "shake_shake_26_2x32d": 0.43, "shake_shake_26_2x96d": 3.8, "shake_shake_26_2x112d": 5.2,
    "pyramidnet_272": 4.6, "patch_cnn": 0.02, "torchvision:resnet18": 1.8, "torchvision:resnet50": 4.1,
    "torchvision:resnet101": 7.8, "timm:resnet50d": 4.4, "timm:resnet200": 15.1, "torchvision:efficientnet_b3": 1.9,
}  # fmt: skip
# Typical rate of training on one data-centre GPU in bfloat16; small networks are slower.
OPERATIONS_PER_SECOND = 50e12


def title_of(data: str) -> str:
    return DATA[data][0] if data in DATA else data


def where_of(data: str, data_dir: str | None) -> str:
    """The data argument of a run: a name, a folder in `--data-dir`, or the manifest in that folder."""
    if data not in FOLDERS:
        return data
    folder = Path(data_dir or ".").expanduser() / data
    manifest = folder / "manifest.csv"
    return str(manifest if manifest.is_file() else folder)


def absent(data: str, data_dir: str | None) -> str | None:
    """Why a row cannot run if its data folder is missing; None if it exists or the data are read by name."""
    if data not in FOLDERS or (data_dir is not None and Path(where_of(data, data_dir)).exists()):
        return None
    return needs(data)


def needs(data: str) -> str:
    title, layout, _ = DATA.get(data, (data, "", 0))
    return f"needs {title} in --data-dir ({layout})"


def incomplete(data: str, images: int) -> str | None:
    """A note if the number of training images (validation included) is not the published one."""
    expected = DATA[data][2] if data in DATA else 0
    return f"training images {expected} -> {images}" if expected and abs(images / expected - 1) > 0.01 else None


def hours(recipe: Recipe, row: RecipeRow, settings: dict[str, Any], seeds: int) -> float | None:
    """Rough estimate, from multiply-adds, of the hours on one GPU to train a row with that many seeds; None if unknown."""
    if recipe.job == "patch" or row.unavailable or settings["data"] not in DATA:
        return None
    passes = sum(GIGA_MULTIPLY_ADDS.get(_name(model), 0.0) for model in settings.get("model", "").split(","))
    images = DATA[settings["data"]][2] * settings.get("fraction", 1.0) * (settings["epochs"] + settings.get("refine_epochs", 0))
    # A forward and a backward pass cost three forward passes; a multiply-add is two operations.
    return seeds * images * passes * 1e9 * 6 * _cost(settings) / OPERATIONS_PER_SECOND / 3600 or None


def _name(model: str) -> str:
    inner = re.fullmatch(r"bnneck\((.*)\)", model)
    return (inner[1] if inner else model).split("(")[0]


def _cost(settings: dict[str, Any]) -> float:
    """Cost of a step, as a multiple of the passes of plain training."""
    strategy, augment = settings.get("strategy", "erm"), settings.get("augment", "none")
    policies = re.search(r"policies=(\d+)", strategy)
    cost = float(policies[1]) if policies else {"ait": 2.0, "uda": 15.0, "augmix_jsd": 3.0}.get(strategy.split("(")[0], 1.0)
    if "keep" in augment:
        cost *= 1.25 if "low_resolution" in augment or "early_head" in augment else 2.0
    return cost
