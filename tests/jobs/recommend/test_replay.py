"""Recommendations replayed on recorded trainings: a clear winner is found, nothing is claimed of equals, and costs are kept."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[3] / "bench" / "recommend.py"
EPOCHS, CANDIDATES, ROUNDS = 8, 6, 5
RANDAUGMENT = "crop+flip+randaugment(num_ops=2, magnitude=9)"
pytestmark = pytest.mark.skipif(not BENCH.exists(), reason="bench/ is not part of a package")


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recommend_bench", BENCH)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def written(folder: Path, means: list[float], spread: float, missing: int = 0) -> Path:
    """A folder of `record`: every candidate's mean at all lengths, and noise between rounds; a second for each epoch."""
    names = ["crop+flip", "crop+flip+trivialaugment", RANDAUGMENT, "crop", "none", "crop+flip+cutout"]
    about = {
        "data": folder.name, "epochs": EPOCHS, "metric": "accuracy",
        "candidates": [{"augment": name, "strategy": "erm"} for name in names],
    }  # fmt: skip
    rng, lines = np.random.default_rng(7), list[dict[str, Any]]()
    for turn in range(ROUNDS):
        for epochs in (2, 4, 8):
            for number in range(CANDIDATES):
                held, test = means[number] + spread * rng.standard_normal(2)
                lines.append({
                    "epochs": epochs, "round": turn, "candidate": number, "held_out": held,
                    "test": test if epochs == EPOCHS else None, "seconds": float(epochs),
                })  # fmt: skip
    folder.mkdir()
    (folder / "about.json").write_text(json.dumps(about))
    kept = lines[: len(lines) - missing]
    (folder / "lines.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    return folder


def test_a_clear_winner_is_recommended_and_claimed(bench: ModuleType, tmp_path: Path) -> None:
    # Catches candidates and rounds that change places, and regret with the wrong sign.
    recorded = bench.Recorded.of(written(tmp_path / "clear", [60.0, 62.0, 63.0, 61.0, 59.0, 80.0], 0.5))
    found = bench.replay([recorded])["data"][0]
    assert found["recommended"] == {"crop+flip+cutout": bench.RACES}
    assert found["claims"] == bench.RACES and found["wrong_claims"] == 0 == found["best_dropped"]
    assert found["regret"]["augury recommend"] == {"mean": 0.0, "highest": 0.0, "share_within_half_a_point": 1.0}
    truth = recorded.test.mean(1)
    assert found["regret"]["always the reference"]["mean"] == pytest.approx(truth[5] - truth[0], abs=1e-3)
    assert found["regret"]["always crop+flip+trivialaugment"]["mean"] == pytest.approx(truth[5] - truth[1], abs=1e-3)
    assert [row["verdict"] for row in found["rows"]][5] == "better"


def test_of_equals_nothing_is_claimed_more_often_than_stated(bench: ModuleType, tmp_path: Path) -> None:
    # Catches a comparison on rounds that the choice has seen: the best of noise would look better.
    recorded = bench.Recorded.of(written(tmp_path / "equal", [70.0] * 6, 2.0))
    found = bench.replay([recorded])["data"][0]
    deviation = (bench.ERROR_RATE * (1 - bench.ERROR_RATE) * bench.RACES) ** 0.5
    assert found["claims_without_effect"] <= bench.ERROR_RATE * bench.RACES + 3 * deviation
    assert found["best_dropped_without_effect"] <= bench.ERROR_RATE * bench.RACES + 3 * deviation


def test_what_is_the_same_has_the_same_mean_in_all_rounds(bench: ModuleType, tmp_path: Path) -> None:
    recorded = bench.Recorded.of(written(tmp_path / "means", [60.0, 62.0, 63.0, 61.0, 59.0, 80.0], 1.0))
    rng = np.random.default_rng(0)
    flat = recorded.without_effect(rng)
    assert np.sort(flat.test.ravel()) == pytest.approx(
        np.sort((recorded.test - recorded.test.mean(1, keepdims=True) + recorded.test.mean()).ravel())
    )
    assert not np.array_equal(flat.test, recorded.test)


def test_a_race_costs_what_it_is_given(bench: ModuleType, tmp_path: Path) -> None:
    # Catches a clock that leaves out the comparison at the end.
    recorded = bench.Recorded.of(written(tmp_path / "cost", [60.0, 62.0, 63.0, 61.0, 59.0, 64.0], 2.0))
    assert recorded.exhaustive == CANDIDATES * ROUNDS * EPOCHS
    for share in (0.4, 0.7):
        ended = bench.raced(recorded, np.random.default_rng(1), share * recorded.exhaustive, 5)
        assert ended.seconds <= share * recorded.exhaustive


def test_a_record_that_is_not_complete_is_refused(bench: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"part: 4 of 90 trainings are missing; run record again"):
        bench.Recorded.of(written(tmp_path / "part", [60.0] * 6, 1.0, missing=4))
