"""Our own table on docs/results.md: rows of several files, differences by seed, a picture, and what the claims come to."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from augury.core import registry
from augury.jobs.reproduce.claims import PAPERS, sentences
from augury.jobs.reproduce.own_table import CARDS, PICTURE, TABLE, card_sentences, head, own_rows, picture, top
from augury.jobs.reproduce.page import results_in
from augury.recipes.recipe import load

ROOT = Path(__file__).resolve().parents[3]


def row(name: str, values: list[float], seconds: float = 600.0) -> dict[str, Any]:
    return {
        "id": name, "status": "measured", "values": values, "n": len(values), "counts": {"images": 800_000},
        "seconds_device": [seconds] * len(values),
    }  # fmt: skip


def result(*rows: dict[str, Any], recipe: str = TABLE, seeds: tuple[int, ...] = (0, 1, 2), scale: str = "full") -> dict[str, Any]:
    return {"recipe": recipe, "scale": scale, "seeds": list(seeds), "rows": list(rows)}


MEASURED = [
    result(row("standard", [80.0, 81.0, 82.0]), row("keep-cutout", [84.0, 85.1, 86.2], 1200.0)),
    result(row("cutout", [82.0, 83.0, 84.0]), row("ait", [79.0, 80.1, 80.9]), row("choose-decay-1e-3", [77.0])),
]


def test_rows_of_several_files_are_one_table() -> None:
    page = "\n".join(head(MEASURED))
    assert "| 1 | standard | 81.00 ± 2.48 | 3 |  | 0.80 | 10 |" in page
    # Differences of 2.0 in every seed have no interval; those of 4.0, 4.1 and 4.2 have one.
    assert "| 2 | cutout | 83.00 ± 2.48 | 3 | +2.00 to standard | 0.80 | 10 |" in page
    assert "| 3 | keep-cutout | 85.10 ± 2.73 | 3 | +4.10 (+3.85 to +4.35) to standard | 0.80 | 20 |" in page
    assert "`choose-decay-1e-3` 77.00" in page and f"]({PICTURE})" in page
    shown = sum(not r.id.startswith(("choose-", "risk-", "loss-", "spectrum-", "scale-")) for r in load(TABLE).rows)
    assert f"Not trained yet, {shown - 4} of {shown} rows: `randaugment`" in page


def test_a_second_file_adds_seeds_and_other_scales_add_nothing() -> None:
    more = [*MEASURED, result(row("standard", [83.0, 84.0]), seeds=(3, 4)), result(row("mixup", [10.0]), scale="short")]
    rows = own_rows(more)
    assert rows["standard"]["by_seed"] == {0: 80.0, 1: 81.0, 2: 82.0, 3: 83.0, 4: 84.0} and "mixup" not in rows
    # Paired by seed, whatever further seeds one of the two has.
    assert "+4.10 (+3.85 to +4.35) to standard" in "\n".join(head(more))


def test_a_row_with_too_few_seeds_is_begun_and_nothing_is_said_of_it() -> None:
    """Fails where one seed, which has no interval, is compared in the table, the claims, the README or on a card."""
    more = [*MEASURED, result(row("standard-400", [85.0]), row("mixup", [86.0, 87.0]), seeds=(0, 1))]
    page = "\n".join(head(more))
    assert "Begun, with fewer than 3 seeds so far, and not compared: `mixup` (2), `standard-400` (1).\n" in page
    assert not [line for line in page.splitlines() if ("standard-400`" in line or " mixup " in line) and "against" in line]
    without = [line for line in page.splitlines() if not line.startswith(("Begun", "Not trained"))]
    assert "85.0" not in "\n".join(without) and top(more) == top(MEASURED) and card_sentences(more) == card_sentences(MEASURED)
    assert picture(more) == picture(MEASURED)


def test_rows_of_another_precision_are_named_and_compared_with_their_own_kind_alone() -> None:
    half = {**result(row("standard", [80.0, 81.0, 82.0]), row("cutout", [82.0, 83.0, 84.0])), "precision": "bfloat16"}
    single = result(
        row("standard", [79.0, 80.1], 3000.0), row("mixup", [80.0, 81.0, 82.0], 3000.0),
        row("mixup-refined", [81.0, 82.1, 83.2], 3000.0),
    )  # fmt: skip
    several = [{**single, "precision": "float32"}, half]
    for ordered in (several, several[::-1]):
        rows = own_rows(ordered)
        assert rows["standard"]["by_seed"] == {0: 80.0, 1: 81.0, 2: 82.0}
        page = "\n".join(head(ordered))
        assert "| 3 | mixup (float32) | 81.00 ± 2.48 | 3 | +0.95 (+0.31 to +1.59) to standard (float32) | 0.80 | 50 |" in page
        assert "`mixup-refined` against `mixup` +1.10" in page
        assert "mixup" not in str(picture(ordered))
        assert card_sentences(ordered)["op/mixup"].endswith(
            ": mixup (float32) 81.00 %, +0.95 (+0.31 to +1.59) to standard (float32), n = 3; "
            "mixup-refined (float32) 82.10 %, +2.00 to standard (float32), n = 3."
        )


def test_a_row_in_two_precisions_is_compared_in_the_one_that_the_other_has() -> None:
    half = {**result(row("standard", [80.0, 81.0, 82.0]), row("cutout", [82.0, 83.0, 84.0])), "precision": "bfloat16"}
    single = {**result(row("cutout", [70.0, 71.0, 72.0]), row("keep-cutout", [71.0, 72.1, 73.2])), "precision": "float32"}
    for ordered in ([half, single], [single, half]):
        assert own_rows(ordered)["cutout"]["by_seed"] == {0: 82.0, 1: 83.0, 2: 84.0}
        page = "\n".join(head(ordered))
        assert "`keep-cutout` against `cutout` +1.10 (+0.85 to +1.35), n = 3, both in float32, published +0.50, the sign" in page
        assert "| 2 | cutout | 83.00 ± 2.48 | 3 | +2.00 to standard |" in page and "| 3 | keep-cutout (float32) | 72.10" in page


def test_a_row_is_there_in_the_precision_with_more_seeds_of_all_files() -> None:
    half = [{**result(row("standard", [80.0, 81.0]), seeds=seeds), "precision": "bfloat16"} for seeds in ((0, 1), (2, 3))]
    single = {**result(row("standard", [10.0, 11.0, 12.0])), "precision": "float32"}
    assert own_rows([half[0], single, half[1]])["standard"]["by_seed"] == {0: 80.0, 1: 81.0, 2: 80.0, 3: 81.0}


def test_of_two_precisions_with_as_many_seeds_that_with_more_rows_is_there() -> None:
    half = {**result(row("standard", [80.0, 81.0])), "precision": "bfloat16"}
    single = {**result(row("standard", [10.0, 11.0]), row("cutout", [12.0])), "precision": "float32"}
    assert own_rows([half, single]) == own_rows([single, half])
    assert own_rows([half, single])["standard"]["precision"] == "float32"


def test_a_row_knows_the_precision_that_it_was_computed_in() -> None:
    """`--precision auto` comes to different ones on different processors."""
    rows = [
        {**row(name, [80.0, 81.0, 82.0]), "precision": found} for name, found in (("standard", "float32"), ("mixup", "bfloat16"))
    ]
    page = "\n".join(head([{**result(*rows), "precision": "auto"}]))
    assert "| mixup (bfloat16) | 81.00 ± 2.48 | 3 |  |" in page and "| standard | 81.00" in page


def test_claims_are_said_to_agree_only_where_an_interval_says_so() -> None:
    said = {line.split("**")[1]: line for line in sentences(own_rows(MEASURED))}
    keep = said["KeepAugment"]
    assert "`keep-cutout` against `cutout` +2.10 (+1.85 to +2.35), n = 3, published +0.50, the sign agrees, another size" in keep
    assert "6 of 7 comparisons are not measured yet" in keep
    ait = said["Augmentation invariant training"]
    assert "`ait` against `standard` -1.00 (-1.25 to -0.75), n = 3, published +0.58, the other sign" in ait
    assert said["InAugment"].endswith("Seen here: nothing yet; the rows are not trained.")
    one = sentences(own_rows([result(row("cutout", [80.0]), row("keep-cutout", [90.0]), seeds=(0,))]))
    assert any("`keep-cutout` against `cutout` +10.00, n = 1, published +0.50, no difference shown" in line for line in one)
    loss = own_rows([result(row("loss-inaugment", [0.5, 0.52, 0.5]), row("loss-autoaugment", [0.8, 0.81, 0.8]))])
    assert any(
        "`loss-inaugment` against `loss-autoaugment` -0.30" in line and "the sign agrees" in line for line in sentences(loss)
    )


def test_the_picture_has_a_numbered_point_per_row_with_its_interval() -> None:
    drawn = picture(MEASURED)
    assert drawn is not None and drawn == picture(MEASURED) and picture(MEASURED[:0]) is None
    space = "{http://www.w3.org/2000/svg}"
    groups = ElementTree.fromstring(drawn).findall(f"{space}g")
    assert [g.findtext(f"{space}title") for g in groups] == [
        "1 standard: 81.00",
        "2 cutout: 83.00",
        "3 keep-cutout: 85.10",
        "4 ait: 80.00",
    ]
    across = [float(g.find(f"{space}circle").get("cx", "")) for g in groups]  # type: ignore[union-attr]
    assert across[0] == across[1] == across[3] < across[2] and all(g.find(f"{space}line") is not None for g in groups)


def test_costs_that_lie_close_together_are_told_apart_on_the_axis() -> None:
    drawn = picture([result(row("standard", [80.0, 81.0, 82.0], 850.0), row("cutout", [82.0, 83.0, 84.0], 1000.0))])
    assert drawn is not None
    texts = ElementTree.fromstring(drawn).findall("{http://www.w3.org/2000/svg}text")
    costs = [text.text for text in texts if text.get("text-anchor") == "middle" and "minutes" not in str(text.text)]
    assert costs == ["14.2", "14.8", "15.4", "16.0", "16.7"]


def test_the_readme_shows_rows_of_three_seeds_alone() -> None:
    assert top([result(row("standard", [80.0, 81.0]), row("cutout", [80.0, 81.0]), seeds=(0, 1))]) == []
    assert [line.split(" | ")[1] for line in top(MEASURED)[2:]] == ["standard", "cutout", "keep-cutout", "ait"]


def test_cards_say_what_their_rows_came_to() -> None:
    said = card_sentences(MEASURED)
    assert set(said) == {"op/cutout", "preset/keep_cutout", "strategy/ait"}
    assert said["op/cutout"].endswith(": cutout 83.00 %, +2.00 to standard, n = 3.")
    ids = {row.id for row in load(TABLE).rows}
    for card, names in CARDS.items():
        assert (ROOT / "docs" / "cards" / f"{card}.md").exists() and set(names) <= ids, card


def test_the_committed_cards_are_those_of_the_committed_results() -> None:
    for card, said in card_sentences(results_in(ROOT / "results").values()).items():
        text = (ROOT / "docs" / "cards" / f"{card}.md").read_text(encoding="utf-8")
        assert said in " ".join(text.split()), f"{card}: run `python tools/own_results.py`"


def test_numbers_of_dots_close_together_are_apart() -> None:
    """Two digits are 14 wide and 9 high at this size: fails where each stands at the same side of its dot."""
    close = [row(name, [80.0 + shift, 81.0 + shift, 82.0 + shift], 600.0 + shift)
             for name, shift in (("standard", 0.0), ("cutout", 0.02), ("mixup", 0.04), ("keep-cutout", 9.0))]  # fmt: skip
    drawn = picture([result(*close)])
    assert drawn is not None
    places = [
        (float(t.get("x", "")), float(t.get("y", ""))) for t in ElementTree.fromstring(drawn) if (t.text or "") in "1234" and t.text
    ]
    assert len(places) == 4
    assert all(abs(a - c) >= 14 or abs(b - d) >= 9 for n, (a, b) in enumerate(places) for c, d in places[:n])


def test_the_committed_readme_and_picture_are_those_of_the_committed_results() -> None:
    results = list(results_in(ROOT / "results").values())
    assert "\n".join(top(results)) in (ROOT / "README.md").read_text(encoding="utf-8"), "run `python tools/own_results.py`"
    drawn, place = picture(results), ROOT / "docs" / PICTURE
    assert place.exists() == (drawn is not None)
    assert drawn is None or place.read_text(encoding="utf-8") == drawn, "run `python tools/own_results.py`"


def test_claims_name_rows_that_are_there_and_rows_of_our_own_have_one_name_each() -> None:
    ids = [row.id for name in registry.names("recipe") if name.startswith("reduced_") for row in load(name).rows]
    assert len(set(ids)) == len(ids)
    for paper in PAPERS:
        assert {name for claim in paper.compared for name in (claim.row, claim.against)} <= set(ids), paper.name


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_what_a_paper_claims_is_one_sentence(paper: Any) -> None:
    assert paper.compared and not paper.claim.endswith(".") and ". " not in paper.claim
