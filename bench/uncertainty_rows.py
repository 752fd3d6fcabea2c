"""What selecting by uncertainty gains: no selection, proportional and topk side by side, and rows of the same cost.

    python bench/uncertainty_rows.py --data-dir D --output results/uncertainty_cifar10.json

CIFAR-10 at half its size, about a thousand training images, a small network, 200 epochs: long enough that the network fits its
images. `candidates=1` draws from the same augmentations and trains on whatever comes; `candidates=2, selected=2` trains on two
draws of every image without scoring, for six units of passes a step where four scored candidates cost seven (a backward pass
counts as two forward passes). The last row is plain training for as many passes as `uncertainty` with its default number of
candidates.
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

STRATEGIES = (
    "erm", "uncertainty(candidates=1)", "uncertainty(select=proportional)", "uncertainty(select=topk)",
    "uncertainty(candidates=2,selected=2)",
)  # fmt: skip
LONGER = 7 / 3


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    folder = options.folder or Path(tempfile.mkdtemp())
    data = half_size(options.data_dir, folder, options.images, options.test_images)
    settings = Settings(
        str(data), augment="crop(padding=2)+flip", strategy=",".join(STRATEGIES), model=options.model, epochs=options.epochs,
        batch_size=128, validation=0.02, precision=options.precision, seed=options.seed,
    )  # fmt: skip
    same_steps = compare(settings, options.seeds, folder / "same_steps", resume=(folder / "same_steps").exists(), quiet=True)
    _write(options, {"same_steps": same_steps})
    longer = replace(settings, strategy="erm", epochs=round(options.epochs * LONGER))
    same_passes = compare(longer, options.seeds, folder / "same_passes", resume=(folder / "same_passes").exists(), quiet=True)
    _write(options, {"same_steps": same_steps, "same_passes": same_passes})


def _write(options: argparse.Namespace, found: dict[str, Any]) -> None:
    result = {
        "version": 1, "what": "accuracy on the test part after the last epoch, percent",
        "command": f"python bench/uncertainty_rows.py --data-dir D --images {options.images} --test-images {options.test_images} "
        f"--model {options.model} --epochs {options.epochs} --seed {options.seed} --seeds {options.seeds} "
        f"--precision {options.precision} --output FILE",
        "data": f"CIFAR-10 averaged to 16x16: {options.images} training images less 2 % for validation, "
        f"{options.test_images} of the test part",
        "epochs": options.epochs, "seeds": list(range(options.seed, options.seed + options.seeds)),
        "environment": environment("cpu"),
        "rows": [_row(row) for row in found["same_steps"]["rows"]],
        "longer": [_row(row) for row in found.get("same_passes", {"rows": []})["rows"]],
    }  # fmt: skip
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for row in (*result["rows"], *result["longer"]):
        print(f"{row['strategy']:40} {row['counts']['steps']:6} steps {row['mean']:.2f}")


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """Without what a shared machine makes meaningless."""
    return {key: value for key, value in row.items() if key not in ("images_per_second", "seconds_training", "seconds_device")}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", required=True, help="folder with cifar10/train.npz and cifar10/test.npz")
    parser.add_argument("--images", type=int, default=1020)
    parser.add_argument("--test-images", type=int, default=5000)
    parser.add_argument("--model", default="small_cnn")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--folder", type=Path, help="where the trainings go, to be resumed (default: a temporary folder)")
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
