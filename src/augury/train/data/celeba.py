"""CelebA-Undersampled: blond or not, female or male, with few women who are not blond."""

from pathlib import Path

import torch

from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.registry import register
from augury.train.data.decoded_cache import DecodedCache
from augury.train.data.parts import Part, Parts
from augury.train.data.photographs import find, published_size, read_photographs
from augury.train.data.resize import ImageSize, Resize

_ATTRIBUTES, _PARTITION = "list_attr_celeba.txt", "list_eval_partition.txt"
_SQUARE = 178


@register("dataset", "celeba", source="Liu et al. 2015, arXiv:1411.7766; undersampled: Goel et al. 2021, arXiv:2008.06775")
def celeba(
    *, data_dir: str | None = None, image_size: ImageSize = None, resize: Resize = "cover", cache: DecodedCache | None = None
) -> Parts:
    """Blond or not, female or male, with women who are not blond undersampled in training; reads the published files.

    Needs list_attr_celeba.txt, list_eval_partition.txt and img_align_celeba/ in `data_dir` or its subfolder celeba/. In the
    training part, women who are not blond are undersampled (from 71,629 to 4,054, always the same ones) until the share of men is
    the same among those who are blond and those who are not. The central 178x178 pixels are resized to `image_size` (default 128):
    95,195 + 19,867 + 19,962 images, 6.6 GB of memory at 128.
    """
    size = published_size(image_size, resize, (128, 128), "celeba")
    folder = find(data_dir, "celeba", (".", "celeba"), _ATTRIBUTES)
    attributes = _attributes(folder / _ATTRIBUTES)
    partition = _partition(folder / _PARTITION)
    parts, notes = [], list[str]()
    for number, name in enumerate(("training", "validation", "test")):
        files = [file for file in attributes if partition.get(file) == number]
        if not files:
            raise InputError(f"{folder / _PARTITION}: no image of {_ATTRIBUTES} is in partition {number}, the {name} part")
        table = torch.tensor([attributes[file] for file in files])
        labels, male = table[:, 0], table[:, 1]
        ids = torch.tensor([_number(file) for file in files])
        kept = undersampled(labels, male, ids) if number == 0 else torch.arange(len(files))
        paths = [folder / "img_align_celeba" / files[i] for i in kept.tolist()]
        images, said = read_photographs(paths, size, cut=_SQUARE, cache=cache)
        notes += said
        parts.append(Part(images, labels[kept], male[kept]))
    train, validation, test = parts
    return Parts(("not blond", "blond"), train, test, validation, ("female", "male"), tuple(notes))


def undersampled(blond: torch.Tensor, male: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The rows to keep, ascending: all except the women who are not blond and are dropped by a hash of their ids."""
    women = ((blond == 0) & (male == 0)).nonzero()[:, 0]
    men, blond_men, blond_women = (
        int(((blond == y) & (male == z)).sum()) for y, z in ((0, 1), (1, 1), (1, 0))
    )  # fmt: skip
    target = min(len(women), max(1, round(men * blond_men / max(1, blond_women))))
    order = torch.argsort(Noise.of(0, ids[women]).fold("undersampled").bits(1)[:, 0], stable=True)
    keep = torch.ones(len(blond), dtype=torch.bool)
    keep[women[order[target:]]] = False
    return keep.nonzero()[:, 0]


def _attributes(path: Path) -> dict[str, tuple[int, int]]:
    """(blond, male) of every image, 0 or 1 each, in the order of the file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    names = lines[1].split() if len(lines) > 1 else []
    try:
        blond, male = names.index("Blond_Hair") + 1, names.index("Male") + 1
    except ValueError:
        raise InputError(f"{path}: its second line does not name the attributes Blond_Hair and Male") from None
    found = {}
    for line in lines[2:]:
        cells = line.split()
        if not cells:
            continue
        values = [cells[k] if k < len(cells) else "" for k in (blond, male)]
        if not set(values) <= {"1", "-1"}:
            raise InputError(f"{path}: the line of {cells[0]} has attributes that are not 1 or -1")
        found[cells[0]] = (int(values[0] == "1"), int(values[1] == "1"))
    if not found:
        raise InputError(f"{path}: names no images")
    return found


def _partition(path: Path) -> dict[str, int]:
    if not path.is_file():
        raise InputError(f"{path}: is missing; it says which images are for training, validation and test")
    cells = [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    try:
        return {row[0]: int(row[1]) for row in cells}
    except (IndexError, ValueError):
        raise InputError(f"{path}: expected lines of a file name and 0, 1 or 2") from None


def _number(file: str) -> int:
    digits = "".join(c for c in file if c.isdigit())
    if not digits:
        raise InputError(f"{_ATTRIBUTES}: the image {file!r} has no number in its name")
    return int(digits)
