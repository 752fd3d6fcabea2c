"""A comparison of refined trainings says what refinement added, which epochs were chosen, and what single trainings noted."""

from pathlib import Path
from typing import Any

import pytest

from augury.explain.report.summary import number
from augury.jobs.compare import ComparisonRow, compare, notes_of
from augury.jobs.tables import comparison_table
from augury.train.engine.settings import Settings


@pytest.fixture(scope="module")
def refined(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    folder = tmp_path_factory.mktemp("compare")
    settings = Settings("digits", augment="none,mixup", model="small_cnn(width=4)", epochs=2, batch_size=50, fraction=0.5,
                        refine_epochs=1, select="validation", device="cpu")  # fmt: skip
    result = compare(settings, 2, folder, quiet=True)
    return result, (folder / "report.html").read_text()


def test_before_and_after_stand_in_table_report_and_json(
    refined: tuple[dict[str, Any], str], capsys: pytest.CaptureFixture[str]
) -> None:
    result, page = refined
    comparison_table(result)
    table = capsys.readouterr().out
    assert "before refinement" in table and "gain" in table and "Before refinement" in page
    for row in result["rows"]:
        before = row["before_refinement"]
        assert before["gain"] == pytest.approx(row["mean"] - before["mean"])
        for text in (f"{before['mean']:.2f}", f"{before['gain']:+.2f}"):
            assert text in table
        assert number(before["mean"]) in page and number(before["gain"], sign=True) in page
        assert row["selected_epochs"] == [3, 3]


def test_notes_of_single_trainings_reach_the_comparison(refined: tuple[dict[str, Any], str]) -> None:
    result, page = refined
    said = [note for note in result["notes"] if "chosen by validation accuracy" in note]
    assert any(note.startswith("mixup, seed") for note in said) and any(note.startswith("none, seed") for note in said)
    assert all(note.split(": ", 1)[1][:30] in page for note in said)


def test_the_same_words_stand_once_with_all_their_seeds() -> None:
    plain, mixed = ComparisonRow("none", "erm"), ComparisonRow("mixup", "erm")
    found: dict[ComparisonRow, list[dict[str, Any]]] = {
        plain: [{"notes": ["odd"]}, {}, {"notes": ["odd", "ends"]}], mixed: [{"notes": ["odd"]}, {}, {}],
    }  # fmt: skip
    assert notes_of(found, [4, 5, 6]) == ["none, seeds 4, 6; mixup, seed 4: odd", "none, seed 6: ends"]


def test_a_comparison_without_refinement_has_no_such_columns(
    refined: tuple[dict[str, Any], str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [{key: value for key, value in row.items() if key != "before_refinement"} for row in refined[0]["rows"]]
    comparison_table({**refined[0], "rows": rows})
    assert "before refinement" not in capsys.readouterr().out
