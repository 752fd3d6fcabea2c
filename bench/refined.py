"""Mixup with and without refinement on a data set of yours: the measurement behind results/refined_cifar10.json.

    python bench/refined.py DATA --output FILE [--model M] [--epochs N] [--refine-epochs N] [--seeds N]

Every seed is trained twice: N epochs followed by the refinement, and as many epochs in all without it. The first gives
two rows, since its networks are evaluated before and after the refinement, so that these share stage one.
"""

import argparse
import statistics
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from augury.explain.statistics import compare_rows
from augury.jobs.environment import environment
from augury.train.data.dataset import load
from augury.train.engine.checkpoint import write_json
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model", default="small_cnn")
    parser.add_argument("--augment", default="crop+flip+mixup")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--refine-epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    dataset = load(given.data)
    total = given.epochs + given.refine_epochs
    plain = Settings(
        given.data, augment=given.augment, model=given.model, epochs=given.epochs, device=given.device, risk_every=total
    )
    found: dict[str, list[dict[str, Any]]] = {"mixup": [], "mixup, refined": [], "mixup, as many epochs": []}
    started = time.perf_counter()
    for seed in range(given.seeds):
        rows: list[dict[str, Any]] = []
        refined = Trainer(prepare(replace(plain, seed=seed, refine_epochs=given.refine_epochs), dataset)).run(None, rows.append)
        risks = {row["epoch"]: row["risk"] for row in rows if "risk" in row}
        longer = Trainer(prepare(replace(plain, seed=seed, epochs=total), dataset)).run(None, rows.append)
        found["mixup"].append({**refined["stage_one"], "risk": risks[given.epochs]})
        found["mixup, refined"].append({**_figures(refined), "risk": risks[total]})
        found["mixup, as many epochs"].append({**_figures(longer), "risk": rows[-1]["risk"]})
        print({name: round(runs[-1]["accuracy"], 2) for name, runs in found.items()}, file=sys.stderr, flush=True)
    accuracies = [[run["accuracy"] for run in runs] for runs in found.values()]
    result = {
        "version": 1, "command": " ".join(["python", *sys.argv]), "data": Path(given.data).name,
        "images": {"train": len(dataset.train.ids), "validation": len(dataset.validation.ids), "test": len(dataset.test.ids)},
        "settings": {k: v for k, v in plain.resolved(len(dataset.train.ids)).dict().items() if k not in ("data", "seed")},
        "refine_epochs": given.refine_epochs, "seeds": list(range(given.seeds)), "seconds": round(time.perf_counter() - started, 1),
        "environment": environment(plain.device if plain.device != "auto" else "cpu"),
        "rows": [
            {"name": name, "accuracies": values, **asdict(summary), "runs": runs,
             "risk": {key: statistics.mean(run["risk"][key] for run in runs) for key in runs[0]["risk"]}}
            for (name, runs), values, summary in zip(found.items(), accuracies, compare_rows(accuracies), strict=True)
        ],
    }  # fmt: skip
    given.output.parent.mkdir(parents=True, exist_ok=True)
    write_json(given.output, result)


def _figures(result: dict[str, Any]) -> dict[str, Any]:
    return {key: result[key] for key in ("accuracy", "accuracy_top5", "loss", "last", "best", "median_last_10")}


if __name__ == "__main__":
    main()
