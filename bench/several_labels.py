"""Several labels per image: mixing images and their labels beside training without, on pairs of digits.

    python bench/several_labels.py --data-dir D --output results/several_labels_mnist.json

Every image is two digits of MNIST side by side, 28x56, and its labels are the one or two digits that it shows: ten classes, each on
about a fifth of the images. The rows see the same images, the same initial weights and as many steps.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from augury.jobs.compare import compare
from augury.jobs.environment import environment
from augury.train.data.dataset import load
from augury.train.engine.settings import Settings

ROWS = "none,mixup,cutmix"
# The loss is a mean over ten classes, so that its gradients are small.
BATCH, RATE = 32, 0.3


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        write_pairs(options.data_dir, folder / "pairs", {"train": options.images, "test": options.test_images})
        settings = Settings(
            str(folder / "pairs"), augment=ROWS, epochs=options.epochs, batch_size=BATCH, lr=RATE, precision="float32"
        )
        found = compare(settings, options.seeds, folder / "compared", resume=(folder / "compared").exists(), quiet=True)
    kept = ("augment", "n", "values", "mean", "low", "high", "difference", "difference_low", "difference_high", "verdict", "counts")
    result = {
        "version": 1, "what": "mean average precision on the test part after the last epoch, percent",
        "command": f"python bench/several_labels.py --data-dir D --images {options.images} --test-images {options.test_images} "
        f"--epochs {options.epochs} --seeds {options.seeds} --output FILE",
        "data": f"pairs of MNIST's digits side by side, 28x56: {options.images} training images less 10 % for validation, "
        f"{options.test_images} of the test part",
        "model": "small_cnn", "epochs": options.epochs, "batch_size": BATCH, "lr": RATE, "seeds": list(range(options.seeds)),
        "environment": environment("cpu"),
        "rows": [{key: row[key] for key in kept if key in row} for row in found["rows"]], "classes": found["classes"],
    }  # fmt: skip
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for row in result["rows"]:
        print(f"{row['augment']:8} {row['mean']:.2f}")


def write_pairs(data_dir: str, folder: Path, counts: dict[str, int]) -> None:
    """train.npz and test.npz: so many pairs of digits of each part, drawn with a fixed seed, with y bool [N, 10]."""
    folder.mkdir(parents=True, exist_ok=True)
    data, random = load("mnist", data_dir=data_dir), np.random.default_rng(0)
    for part, count in counts.items():
        split = data.train if part == "train" else data.test
        images, labels = np.asarray(split.images[:, 0]), split.labels.numpy()
        left, right = random.integers(0, len(images), (2, count))
        shown = np.zeros((count, 10), dtype=bool)
        shown[np.arange(count), labels[left]] = shown[np.arange(count), labels[right]] = True
        np.savez(folder / f"{part}.npz", x=np.concatenate([images[left], images[right]], 2), y=shown)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", required=True, help="folder with mnist/train.npz and mnist/test.npz, or MNIST/raw")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--test-images", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the trainings go, to be resumed (default: a temporary folder)")
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
