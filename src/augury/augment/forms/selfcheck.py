"""What a back end computes on a device, tried on a few images before it is relied upon."""

import torch
from torch import Tensor

from augury.augment.forms import plain
from augury.augment.forms.backend import Backend
from augury.augment.forms.blend import Blend, Degenerate
from augury.augment.forms.lowered import BLANK, FORMS, Lowered
from augury.augment.forms.mix import Mix
from augury.augment.forms.region import Content, Region
from augury.augment.forms.table import LookupTable, TableKind
from augury.augment.forms.warp import Warp
from augury.core.noise import Noise

_TURN = (0.9, 0.4, -1.5, -0.4, 0.9, 7.25)
_GRID = (7, 3, 2, 5, 60547, 25080)
_SIDES = [[24, 40], [19, 33]]  # of rows in turn, on a canvas of the larger one
_VALUES = {TableKind.SOLARIZE: 100.0, TableKind.SOLARIZE_ADD: 60.0, TableKind.POSTERIZE: 3.0}


def disagreement(run: Backend, device: torch.device) -> str | None:
    """The first form of which a back end's result is not plain PyTorch's, or the error that it ended in; None if all agree."""
    try:
        return next((name for name, found, wanted in _tried(run, device) if not torch.equal(found, wanted)), None)
    except Exception as error:  # whatever a driver or a compiler ends in
        return f"{type(error).__name__}: {error}".splitlines()[0]


def _tried(run: Backend, device: torch.device) -> list[tuple[str, Tensor, Tensor]]:
    names, rows = zip(*_rows(), strict=True)
    lowered = _records(rows, device)
    images = _images(len(rows), device)
    sides = (_SIDES * len(rows))[: len(rows)]
    size = torch.tensor(sides, device=device)
    found, wanted = (each.pixels(images, lowered, size) for each in (run, plain))
    # What lies outside an image's own size is nobody's.
    tried = [(name, found[k, :, :h, :w], wanted[k, :, :h, :w]) for k, (name, (h, w)) in enumerate(zip(names, sides, strict=True))]
    box = torch.tensor([3, 5, 17, 31], device=device).repeat(len(rows), 1)
    partner = torch.arange(len(rows), device=device).roll(1)
    for kind, values in (("pixels", images), ("values", images.float() / 64 - 2)):
        filled, right = (each.regions(values, lowered, box, partner) for each in (run, plain))
        tried += [(f"{name}, {kind}", filled[k], right[k]) for k, name in enumerate(names) if name.startswith("region")]
    return tried


def _rows() -> list[tuple[str, dict[str, tuple[object, ...]]]]:
    """A row for every kind of every form but the identities: its name, and the parts of its record."""
    rows: list[tuple[str, dict[str, tuple[object, ...]]]] = [
        (f"warp {name}", {"warp": (_TURN, bilinear, 77.0)}) for name, bilinear in (("nearest", False), ("bilinear", True))
    ]
    rows += [(f"table {kind.name.lower()}", {"table": (int(kind), _VALUES.get(kind, 1.7))}) for kind in TableKind if kind]
    rows += [(f"blend {kind.name.lower()}, {by}", {"blend": (int(kind), by)}) for kind in Degenerate if kind for by in (0.4, 1.7)]
    rows += [(f"region {kind.name.lower()}", {"region": (int(kind), 99.0, 12345, _GRID)}) for kind in Content if kind]
    return rows


def _records(rows: tuple[dict[str, tuple[object, ...]], ...], device: torch.device) -> Lowered:
    parts = {}
    for form, (_, *blanks) in BLANK.items():
        columns = zip(*(row.get(form, tuple(blank for blank, _ in blanks)) for row in rows), strict=True)
        parts[form] = [
            torch.tensor(list(column), dtype=dtype, device=device)[:, None]
            for column, (_, dtype) in zip(columns, blanks, strict=True)
        ]
    fires = torch.tensor([[FORMS.index(next(iter(row)))] for row in rows], dtype=torch.int8, device=device)
    return Lowered(
        fires, Warp(*parts["warp"]), LookupTable(*parts["table"]), Blend(*parts["blend"]), Region(*parts["region"]),
        Mix(*parts["mix"]), ((),), frozenset(Content),
    )  # fmt: skip


def _images(count: int, device: torch.device) -> Tensor:
    """uint8 [count,3,24,40], each darker than white and lighter than black, so that histograms have something to stretch."""
    drawn = Noise.of(0, torch.arange(count, device="cpu")).uniform(3 * 24 * 40).reshape(count, 3, 24, 40)
    return (drawn * 200 + 30).to(torch.uint8).to(device)
