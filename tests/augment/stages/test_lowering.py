"""Lowering: records of all slots at once are those of each image alone, operation by operation."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from augury.augment.forms.lowered import BLANK, FORMS
from augury.augment.forms.region import NO_GRID, Content
from augury.augment.forms.table import TableKind
from augury.augment.ops._lower import filling, recipe, whole_pixels
from augury.augment.ops.build import op
from augury.augment.stages.lowering import contents_of, lower
from augury.core import devices
from augury.core.plan import Space, SpaceEntry

NAMES = ("rotate", "flip", "solarize", "posterize", "color", "cutout", "cutmix", "random_erasing", "mixup", "gaussian_blur", "hue")
SPACE = Space(
    (*(SpaceEntry(op(name)) for name in NAMES), SpaceEntry(op("rotate")), SpaceEntry(op("rotate", interpolation="bilinear")))
)
ROWS, SLOTS = 40, 3
SIZE = torch.tensor([[16, 24]]).expand(ROWS, 2)


def trace_of() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    chosen = torch.randint(0, len(SPACE), (ROWS, SLOTS), generator=generator)
    chosen[: len(SPACE), 0] = torch.arange(len(SPACE))
    u = torch.rand(ROWS, SLOTS, SPACE.parameters, generator=generator)
    value = torch.zeros(ROWS, SLOTS, SPACE.parameters)
    for index, entry in enumerate(SPACE.entries):
        for k, parameter in enumerate(entry.op.parameters.values()):
            drawn = parameter.law.value(u[:, :, k].flatten(), torch.full((ROWS * SLOTS,), 0.5)).reshape(ROWS, SLOTS)
            value[:, :, k] = torch.where(chosen == index, drawn, value[:, :, k])
    on = torch.rand(ROWS, SLOTS, generator=generator) < 0.8
    on[: len(SPACE), 0] = True
    return {"op": chosen, "on": on, "value": value}


def alone(index: int, value: Tensor, size: Tensor) -> tuple:
    """The parts of one image's record."""
    made = SPACE[index].op
    return made.lower({name: value[None, k] for k, name in enumerate(made.parameters)}, size[None])


def number(part: object, blank: object) -> list[float]:
    values = part if isinstance(blank, tuple) else (part,)
    return [float(v) if not isinstance(v, Tensor) else float(v.reshape(-1)[0]) for v in values]  # type: ignore[attr-defined]


@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("sizes", ["one", "each its own"])
def test_a_batchs_records_are_each_images_own(sizes: str, slots: int) -> None:
    """Catches a row or a slot that gets another's numbers, an operation laid over where it does not fire, and sizes out of step."""
    trace = {name: part[:, :slots] for name, part in trace_of().items()}
    size = (
        torch.tensor([[16, 24]]).expand(ROWS, 2)
        if sizes == "one"
        else torch.stack([torch.arange(ROWS) + 8, torch.arange(ROWS) + 20], 1)
    )
    found = lower(SPACE, trace, size, contents_of(SPACE))
    assert found.form.dtype == torch.int8
    for row in range(ROWS):
        for slot in range(slots):
            index = int(trace["op"][row, slot])
            form = SPACE[index].op.form if trace["on"][row, slot] else None
            assert int(found.form[row, slot]) == (-1 if form is None else FORMS.index(form))
            for each, (_, *blanks) in BLANK.items():
                record = getattr(found, each)
                own = alone(index, trace["value"][row, slot], size[row]) if each == form else [blank for blank, _ in blanks]
                for part, (blank, dtype), expected in zip(record, blanks, own, strict=True):
                    assert part.dtype == dtype
                    torch.testing.assert_close(
                        part[row, slot].reshape(-1).double(), torch.tensor(number(expected, blank), dtype=dtype).double()
                    )


def test_functions_and_resizing_get_their_own_rows_slot_by_slot() -> None:
    trace, size = trace_of(), torch.tensor([[16, 24]]).expand(ROWS, 2)
    found = lower(SPACE, trace, size, contents_of(SPACE))
    for slot in range(SLOTS):
        seen = {}
        for item in found.subsets[slot]:
            assert item.rows is not None
            assert item.rows.tolist() == item.mask.nonzero()[:, 0].tolist()
            for k, name in enumerate(item.op.parameters):
                assert item.values[name].equal(trace["value"][item.rows, slot, k])
            seen[item.op.name] = item.rows.tolist()
        for name in ("gaussian_blur", "hue"):
            index = NAMES.index(name)
            rows = ((trace["op"][:, slot] == index) & trace["on"][:, slot]).nonzero()[:, 0].tolist()
            assert seen.get(name, []) == rows


def test_forms_that_a_space_lacks_have_no_record_and_contents_are_known() -> None:
    space = Space((SpaceEntry(op("cutout")),))
    trace = {
        "op": torch.zeros(2, 1, dtype=torch.int64),
        "on": torch.ones(2, 1, dtype=torch.bool),
        "value": torch.full((2, 1, 1), 0.5),
    }
    found = lower(space, trace, torch.tensor([[8, 8]]).expand(2, 2), contents_of(space))
    assert found.warp is None and found.table is None and found.blend is None and found.mix is None and found.region is not None
    assert found.contents == contents_of(space) == {Content.CONSTANT} and found.slot(0) is found and found.subsets == ((),)
    assert contents_of(SPACE) == {Content.CONSTANT, Content.PARTNER, Content.NOISE}
    whole = lower(SPACE, trace_of(), torch.tensor([[16, 24]]).expand(ROWS, 2), contents_of(SPACE))
    second = whole.slot(1)
    assert second.form.equal(whole.form[:, 1:2]) and second.subsets == whole.subsets[1:2]
    assert whole.warp is not None and second.warp is not None and second.warp.matrix.equal(whole.warp.matrix[:, 1:2])


@pytest.mark.parametrize("width", [32, 33, 224, 1023])
def test_a_fraction_of_a_length_is_that_many_whole_pixels(width: int) -> None:
    """Catches a pixel lost where k / width lies below its float32 neighbour."""
    pixels = torch.arange(1, width + 1)
    fractions = (pixels.double() / width).float()
    assert whole_pixels(fractions, torch.tensor(width)).tolist() == pixels.tolist()
    assert whole_pixels(-fractions, torch.tensor(width)).tolist() == (-pixels).tolist(), "the outer end is away from 0"
    beyond = pixels + 2 * width  # of lengths that reach beyond the image
    assert whole_pixels((beyond.double() / width).float(), torch.tensor(width)).tolist() == beyond.tolist()
    assert whole_pixels(torch.zeros(1), torch.tensor(width)).tolist() == [0]
    assert whole_pixels((pixels - 0.01).float() / width, torch.tensor(width)).tolist() == (pixels - 1).tolist()
    assert whole_pixels(fractions, torch.tensor(width)).dtype == torch.float64


def test_a_recipe_is_a_number_and_its_parameter() -> None:
    """Catches the parameter of another recipe, and a factor where there is none."""
    values, size = {"own": torch.tensor([3.0])}, torch.tensor([[8, 8]])
    kind, parameter = recipe(TableKind.POSTERIZE, "own")(values, size)
    assert type(kind) is int and kind == TableKind.POSTERIZE and parameter is values["own"]
    assert recipe(TableKind.INVERT)(values, size) == (int(TableKind.INVERT), 0.0)
    assert filling(Content.PARTNER) == (int(Content.PARTNER), 0.0, 0, NO_GRID)
    assert filling(Content.CONSTANT, 7, 3) == (int(Content.CONSTANT), 7.0, 3, NO_GRID)


def test_where_no_value_may_be_read_operations_keep_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of accelerators: a mask in place of rows that the host would have to count."""
    monkeypatch.setattr(devices, "is_host", lambda device: False)
    trace = trace_of()
    found = lower(SPACE, trace, torch.tensor([[16, 24]]).expand(ROWS, 2), contents_of(SPACE))
    for slot in range(SLOTS):
        assert [item.op.name for item in found.subsets[slot]] == ["gaussian_blur", "hue"]
        for item in found.subsets[slot]:
            entry = NAMES.index(item.op.name)
            assert item.rows is None and item.mask.equal((trace["op"][:, slot] == entry) & trace["on"][:, slot])
            for k, name in enumerate(item.op.parameters):
                assert item.values[name].equal(trace["value"][:, slot, k])


def test_a_slot_keeps_what_its_space_lacks() -> None:
    whole = lower(
        Space((SpaceEntry(op("cutout")),)),
        {
            "op": torch.zeros(2, 2, dtype=torch.int64),
            "on": torch.ones(2, 2, dtype=torch.bool),
            "value": torch.full((2, 2, 1), 0.5),
        },
        torch.tensor([[8, 8]]).expand(2, 2),
        frozenset({Content.CONSTANT}),
    )
    second = whole.slot(1)
    assert second.warp is None and second.region is not None and second.contents == {Content.CONSTANT}


def test_contents_are_asked_for_with_values_in_range() -> None:
    """Catches a look at the content with values that an operation would never draw, and without a size."""
    seen = []

    class Sum:
        def value(self, u: Tensor, strength: Tensor) -> Tensor:
            return u + strength

    def noted(values: dict[str, Tensor], size: Tensor) -> tuple:
        seen.append((values["fraction"].tolist(), size.tolist()))
        return filling(Content.PARTNER)

    cutout = op("cutout")
    fraction = replace(cutout.parameters["fraction"], law=Sum())  # type: ignore[arg-type]
    assert contents_of(Space((SpaceEntry(replace(cutout, lower=noted, parameters={"fraction": fraction})),))) == {Content.PARTNER}
    assert seen == [([1.0], [[8, 8]])]


def test_operations_that_fire_nowhere_are_not_run() -> None:
    """Catches a kernel that is called for no rows."""
    trace = trace_of() | {"on": torch.zeros(ROWS, SLOTS, dtype=torch.bool)}
    found = lower(SPACE, trace, torch.tensor([[16, 24]]).expand(ROWS, 2), contents_of(SPACE))
    assert found.subsets == ((),) * SLOTS and found.form.eq(-1).all()
    assert all(len(item.rows) for slot in lower(SPACE, trace_of(), SIZE, contents_of(SPACE)).subsets for item in slot)  # type: ignore[arg-type]


def test_numbers_of_any_precision_become_the_records() -> None:
    """A form's parts have one dtype each, whatever an operation computes in."""
    for dtype in (torch.float64, torch.float32, torch.float16):

        def half(values: dict[str, Tensor], size: Tensor, dtype: torch.dtype = dtype) -> tuple:
            return 1, values["factor"].to(dtype) / 2

        made = replace(op("color"), lower=half)
        trace = {
            "op": torch.zeros(ROWS, 1, dtype=torch.int64),
            "on": torch.arange(ROWS)[:, None] % 2 == 0,
            "value": torch.full((ROWS, 1, 1), 0.75),
        }
        blend = lower(Space((SpaceEntry(made),)), trace, SIZE, frozenset()).blend
        assert blend is not None and blend.factor.dtype == torch.float32
        assert blend.factor.flatten().tolist() == [0.375, 1.0] * (ROWS // 2)
