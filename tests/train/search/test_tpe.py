"""Optuna's proposals: what they cost the worse children, and what a killed search keeps of them."""

import sys
from pathlib import Path

import pytest
from search_helpers import outcome

from augury.core.errors import InputError
from augury.train.search.spaces import RandAugmentSpace
from augury.train.search.tpe import STARTUP, Tpe

optuna = pytest.importorskip("optuna", reason="Optuna is not installed (the extra `search`)")


def made(path: Path, seed: int = 0, owner: str = "me") -> Tpe:
    return Tpe(RandAugmentSpace(), seed, str(path / "study"), "study", owner, epochs=6)


def value(decisions: dict[str, int]) -> float:
    return 80 - 3 * abs(decisions["num_ops"] - 2) - abs(decisions["magnitude"] - 20)


def played(tpe: Tpe, first: int, last: int) -> list[dict[str, int]]:
    found = []
    for number in range(first, last):
        (decisions,) = tpe.ask(number, 1)
        tpe.tell([outcome(number, value(decisions), decisions)])
        found.append(decisions)
    return found


def test_it_closes_in_on_the_best_numbers(tmp_path: Path) -> None:
    found = played(made(tmp_path), 0, 30)
    assert all(set(d) == {"num_ops", "magnitude"} and 1 <= d["num_ops"] <= 3 and 0 <= d["magnitude"] <= 30 for d in found)
    early, late = ([value(d) for d in part] for part in (found[:10], found[20:]))
    assert sum(late) / 10 > sum(early) / 10


def test_a_resumed_study_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = played(made(tmp_path / "a"), 0, 9)
    part = played(made(tmp_path / "b"), 0, 6)
    killed = made(tmp_path / "b").ask(6, 1)  # proposed, then killed while it trained
    again = made(tmp_path / "b")
    assert again.ask(6, 1) == killed
    assert [*part, *played(again, 6, 9)] == whole
    assert len(again.study.trials) == 9
    assert again.ask(0, 3) == whole[:3], "finished children keep their numbers"


def test_two_searches_share_a_storage_without_taking_each_others_children(tmp_path: Path) -> None:
    one, two = made(tmp_path), made(tmp_path, owner="you")
    first, second = one.ask(0, 1), two.ask(0, 1)
    assert one.trials[0] != two.trials[0] and first != second
    one.tell([outcome(0, 70.0, first[0])])
    two.tell([outcome(0, None, second[0], error="broke")])
    states = [trial.state.name for trial in made(tmp_path).study.trials]
    assert states == ["COMPLETE", "FAIL"]


def test_children_below_the_median_are_ended_after_a_third_of_their_epochs(tmp_path: Path) -> None:
    tpe = made(tmp_path)
    for number in range(STARTUP):
        decisions = tpe.ask(number, 1)[0]
        report = tpe.report(number)
        assert report is not None
        assert not any(report(epoch, 50.0 + number + epoch) for epoch in range(6))
        tpe.tell([outcome(number, 60.0, decisions)])
    tpe.ask(STARTUP, 2)
    poor, good = tpe.report(STARTUP), tpe.report(STARTUP + 1)
    assert poor is not None and good is not None
    assert [poor(epoch, 10.0) for epoch in range(3)] == [False, False, True]
    assert [good(epoch, 90.0) for epoch in range(3)] == [False, False, False]
    tpe.tell([outcome(STARTUP, 10.0, pruned=True)])
    assert tpe.study.trials[STARTUP].state.name == "PRUNED"


def test_a_missing_extra_and_a_storage_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="--storage .*cannot be opened"):
        Tpe(RandAugmentSpace(), 0, str(tmp_path / "no" / "folder" / "study"), "x", "me", epochs=3)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"--sampler tpe: needs Optuna; pip install 'augury\[search\]'"):
        made(tmp_path)
