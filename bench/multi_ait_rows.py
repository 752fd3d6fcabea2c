"""Whether two networks that are to agree learn at all: multi_ait by mode, weight and kind of momentum.

    python bench/multi_ait_rows.py --data-dir D --output results/multi_ait_cifar10.json

CIFAR-10 at half its size, a few thousand training images, short trainings. The paper's text weights the divergence by 3 and trains
with plain momentum; its released code and logs have the mode `reference` and weight 1. `collapsed` counts networks that end at
chance: their loss that of an even guess, their accuracy that of the most common class.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from half_size import half_size

from augury.jobs.compare import compare
from augury.jobs.environment import environment
from augury.train.engine.settings import Settings

STRATEGIES = ("erm", "multi_ait(weight=3)", "multi_ait(mode=reference,weight=1)")
MOMENTA = {"plain": False, "nesterov": True}


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    folder = options.folder or Path(tempfile.mkdtemp())
    data = half_size(options.data_dir, folder, options.images, options.test_images)
    rows = []
    for model in options.models:
        common = Settings(
            str(data), augment="crop(padding=2)+flip", strategy=",".join(STRATEGIES), model=model, epochs=options.epochs,
            batch_size=128, lr=0.1, validation=0.05,
        )  # fmt: skip
        for momentum, nesterov in MOMENTA.items():
            where = folder / f"{model}-{momentum}"
            found = compare(replace(common, nesterov=nesterov), options.seeds, where, resume=where.exists(), quiet=True)
            rows += [{"model": model, "momentum": momentum, **_row(row)} for row in found["rows"]]
            _write(options, rows)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    kept = ("strategy", "n", "accuracies", "mean", "low", "high", "networks", "counts")
    return {**{key: row[key] for key in kept}, "collapsed": row.get("collapsed", 0)}


def _write(options: argparse.Namespace, rows: list[dict[str, Any]]) -> None:
    result = {
        "version": 1, "what": "accuracy on the test part after the last epoch, percent, and how many networks end at chance",
        "command": f"python bench/multi_ait_rows.py --data-dir D --images {options.images} --test-images {options.test_images} "
        f"--models {' '.join(options.models)} --epochs {options.epochs} --seeds {options.seeds} --output FILE",
        "data": f"CIFAR-10 averaged to 16x16: {options.images} training images less 5 % for validation, "
        f"{options.test_images} of the test part",
        "epochs": options.epochs, "seeds": list(range(options.seeds)), "environment": environment("cpu"), "rows": rows,
    }  # fmt: skip
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", required=True, help="folder with cifar10/train.npz and cifar10/test.npz")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--test-images", type=int, default=2000)
    parser.add_argument("--models", nargs="+", default=["small_cnn"])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="where the trainings go, to be resumed (default: a temporary folder)")
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
