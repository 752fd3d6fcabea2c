"""`augury verify`: Augury is exact, a wrong operation is caught and named, and the verdicts mean what they say."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from augury.augment.forms import plain
from augury.cli import main
from augury.explain.fidelity.cases import Case, cases
from augury.explain.fidelity.difference import difference
from augury.explain.fidelity.images import images_of
from augury.explain.fidelity.libraries import Library, peers
from augury.explain.fidelity.pillow import bounds, reference
from augury.jobs import verify as job

SMALL = ((1, 1), (3, 5), (16, 12))
KEYS = {
    "library", "own", "operation", "options", "title", "strength", "size", "channels", "verdict", "allowed", "share",
    "largest", "input", "reason",
}  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    plain_verify = job.verify
    monkeypatch.setattr(job, "verify", lambda *a, **k: plain_verify(*a, **{"sizes": SMALL, "quiet": True, **k}))


def test_augury_is_exact_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--no-peers", "--output", str(tmp_path / "out"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result == json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["version"] == 1 and result["exact"] and result["wrong"] == 0
    assert all(set(row) == KEYS for row in result["rows"])
    own = {name for name in result["libraries"] if name.startswith("augury")}
    assert "augury plain" in own
    assert len(result["rows"]) == len(own) * len(cases()) * len(SMALL) * 2
    assert {row["verdict"] for row in result["rows"]} == {"exact"}


def test_the_table_has_a_row_per_operation_and_strength(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--peers"]) == 0
    out = capsys.readouterr().out
    assert "16x12" in out and "torchvision" in out and "every row is as promised" in out
    lines = [line for line in out.splitlines() if line.strip().startswith("contrast")]
    assert len(lines) == 2 * 5, "five strengths, for Augury and for the others"
    assert "exact" in lines[0] and "within 1" in lines[5 + 2], "torchvision's tensor contrast is off by one"


def test_a_ladder_that_is_not_its_librarys_is_caught_and_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from augury.augment.policies import ladders
    from augury.core.laws import Linear
    from augury.core.levels import Levels

    before = ladders._of_torchvision

    def off_by_an_ulp(*given: Any, **more: Any) -> Any:
        entries = dict(before(*given, **more))
        law = entries["rotate"][1]["degrees"]
        assert isinstance(law, Levels)
        return {**entries, "rotate": ({}, {"degrees": Linear(0, 29.99999, signed=True)})}

    monkeypatch.setattr(ladders, "_of_torchvision", off_by_an_ulp)
    assert main(["verify", "--peers"]) == 1
    shown = capsys.readouterr()
    assert "differ: rotate" in " ".join(shown.out.split()) and "TrivialAugmentWide" in shown.out


def test_a_wrong_operation_is_caught_with_the_image_that_shows_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = plain.table

    def wrong(images: Tensor, record: object, size: Tensor) -> Tensor:
        done = right(images, record, size)  # type: ignore[arg-type]
        return torch.where(done == 201, 200, done).to(torch.uint8)

    monkeypatch.setattr(plain, "table", wrong)
    monkeypatch.setattr(job, "peers", lambda: ([], []))
    assert main(["verify", "--output", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("augury: ") and shown.err.count("\n") == 1 and "Pillow" in shown.err
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert f"{result['wrong']} rows are not as promised" in shown.out
    bad = [row for row in result["rows"] if row["verdict"] != "exact"]
    assert not result["exact"] and result["wrong"] == len(bad) > 0
    assert {row["library"] for row in bad} == {"augury plain"}
    eight = next(row for row in bad if row["strength"] == "bits 8")
    assert eight["largest"] == 1 and eight["verdict"] == "within 1", "posterize to 8 bits gives 201 back"
    assert all(0 < row["share"] <= 1 and row["input"] for row in bad)


def test_another_librarys_failure_is_a_row_and_not_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(case: Case):  # type: ignore[no-untyped-def]
        def run(images: Tensor) -> Tensor:
            raise RuntimeError("no  such\nthing")

        return run if case.operation == "invert" else None

    monkeypatch.setattr(job, "peers", lambda: ([Library("other", "1", False, failing)], ["kornia"]))
    result = job.verify()
    rows = [row for row in result["rows"] if row["library"] == "other"]
    assert {row["verdict"] for row in rows} == {"refuses"} and len(rows) == 2 * len(SMALL)
    assert rows[0]["reason"] == "RuntimeError: no such thing"
    assert result["exact"] and "kornia" in result["not_installed"]


def test_torchvisions_tensor_operations_differ_where_they_are_known_to() -> None:
    found, _ = peers()
    library = next(each for each in found if each.name == "torchvision")
    image = images_of(32, 32, 3)["china"]
    for operation, value, largest in (("color", 0.55, 1), ("posterize", 4.0, 0), ("brightness", 1.9, 0)):
        case = Case(operation, (("bits" if operation == "posterize" else "factor", value),))
        function = library.function(case)
        assert function is not None
        assert difference(function(image[None])[0], reference(case, image), "china").largest == largest
    assert library.function(Case("elastic")) is None


def test_verdicts() -> None:
    image = images_of(20, 20, 3)["china"]
    assert difference(image, image.clone(), "a").verdict == "exact"
    near = image.clone()
    near[0, 0, 0] = near[0, 0, 0] - 1 if near[0, 0, 0] else 1
    found = difference(near, image, "a")
    assert (found.verdict, found.largest) == ("within 1", 1) and found.share == pytest.approx(1 / 1200)
    assert difference(image.float(), image, "a").verdict == "differs"
    assert difference(image[:, :, 1:], image, "a").share == 1


def test_geometric_is_a_displacement_of_a_pixel_and_no_more() -> None:
    image, case = images_of(20, 20, 3)["noise"], Case("identity", moves=True)
    for shift, verdict in ((1, "geometric"), (2, "differs")):
        moved = image.roll(shift, 2)
        moved[..., :shift] = 0
        assert difference(moved, image, "a", lambda: bounds(case, image, image)).verdict == verdict
        assert difference(moved, image, "a").verdict == "differs", "colour operations do not move pixels"


def test_images_are_what_their_names_say() -> None:
    for channels in (1, 3):
        for height, width in SMALL:
            found = images_of(height, width, channels)
            assert all(i.shape == (channels, height, width) and i.dtype == torch.uint8 for i in found.values())
            assert len(found["one level"].unique()) == 1
    levels = images_of(40, 40, 3)["two adjacent levels"].unique()
    assert levels.tolist() == [100, 101]
    assert images_of(40, 40, 3)["one flat channel"][1].unique().tolist() == [90]
    assert len(images_of(40, 40, 3)["china"].unique()) > 100
