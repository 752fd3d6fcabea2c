"""What starting from trained weights gains on few photographs: from scratch, a linear probe, fine-tuning, and one after the other.

    augury train cifar100 --data-dir D --model timm:test_resnet --epochs 8 --augment crop+flip --output WEIGHTS
    python bench/pretrained_rows.py --weights WEIGHTS --sets trashnet=DIR aerial_trees=DIR --output results/pretrained_cpu.json

Every training takes the same epochs at the size of the weights, with the settings of `--tune`; from scratch has SGD at 0.05. The
last row starts from the probe of its seed, whose head it keeps, and so takes twice the epochs. Sets are folders with train.npz and
test.npz; shares are of their training part. Intervals are of the paired differences to from scratch. What stands under
`rates_compared` in results/ was added by hand, from single trainings by `augury train`.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from augury.explain.statistics import compare_rows
from augury.jobs.environment import environment
from augury.jobs.front import fit

ROWS = ("from scratch", "probe", "finetune", "probe, then finetune")


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    trained = json.loads((options.weights / "result.json").read_text(encoding="utf-8"))
    sets = []
    with tempfile.TemporaryDirectory() as folder:
        for named in options.sets:
            name, _, place = named.partition("=")
            for share in options.shares:
                sets.append(_measured(options, name, place, share, Path(folder) / f"{name}-{share}"))
                print(json.dumps(sets[-1]["rows"], indent=1), flush=True)
    words = " ".join(f"{name}=DIR" for name in (named.partition("=")[0] for named in options.sets))
    result = {
        "version": 1, "what": "accuracy on the test part after the last epoch, percent; differences to the first row by seed",
        "command": f"python bench/pretrained_rows.py --weights WEIGHTS --sets {words} "
        f"--shares {' '.join(map(str, options.shares))} "
        f"--epochs {options.epochs} --seeds {options.seeds} --output FILE",
        "weights": {"model": options.model, "data": "cifar100", "accuracy": trained["accuracy"],
                    "seconds": trained["seconds"]["training"],
                    "command": "augury train cifar100 --data-dir D --model timm:test_resnet --epochs 8 --augment crop+flip"},
        "epochs": options.epochs, "seeds": options.seeds, "environment": environment("cpu") | {"timm": version("timm")},
        "sets": sets,
    }  # fmt: skip
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _measured(options: argparse.Namespace, name: str, place: str, share: float, folder: Path) -> dict[str, Any]:
    """All rows on one set, seed by seed."""
    common: dict[str, Any] = {
        "model": options.model, "augment": "crop+flip", "epochs": options.epochs, "image_size": 32, "fraction": share,
        "validation": 0.1, "precision": "float32", "quiet": True,
    }  # fmt: skip
    found: dict[str, list[Any]] = {row: [] for row in ROWS}
    for seed in range(options.seeds):
        probe = folder / f"probe-{seed}"
        starts: dict[str, dict[str, Any]] = {
            "from scratch": {"lr": 0.05},
            "probe": {"pretrained": options.weights, "tune": "probe", "output": probe},
            "finetune": {"pretrained": options.weights, "tune": "finetune"},
            "probe, then finetune": {"pretrained": probe, "tune": "finetune"},
        }
        for row, start in starts.items():
            found[row].append(fit(place, **{"output": folder / f"{row}-{seed}", **common, **start, "seed": seed}).result)
    values = [[run["accuracy"] for run in found[row]] for row in ROWS]
    rows = [
        {"row": row, "accuracies": accuracies, **asdict(compared),
         "seconds": round(sum(run["seconds"]["training"] for run in found[row]) / options.seeds, 1)}
        for row, accuracies, compared in zip(ROWS, values, compare_rows(values), strict=True)
    ]  # fmt: skip
    return {"set": name, "share": share, "training_images": found[ROWS[0]][0]["counts"]["images"] // options.epochs, "rows": rows}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True, help="the run that the weights are of")
    parser.add_argument("--sets", nargs="+", required=True, metavar="NAME=DIR")
    parser.add_argument("--model", default="timm:test_resnet")
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0, 0.1])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
