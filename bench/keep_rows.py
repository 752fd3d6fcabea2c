"""What keeping gains, and what of it comes from the map: every Keep row beside its plain method and its controls.

    python bench/keep_rows.py --data-dir D --output results/keep_rows_cifar10.json

CIFAR-10 at half its size, a few thousand training images, a small network: short trainings, paired by seed. A square of 8 and
12 of 16 pixels is one of 16 and 24 of 32. Rows: the plain method; kept by the image's own map; by another image's (`foreign`)
and by none (`constant`), which tell what placing gains without looking; with boxes wholly inside the image (`inside`) and
around a pixel of the image (`centred`); and RandAugment with a square pasted back, kept in the same ways. `hidden` is the mean
share of an image that the square takes away, which differs between rows and costs or gains by itself.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch
from half_size import half_size

from augury.augment.names import pipeline
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.jobs.compare import compare
from augury.jobs.environment import environment
from augury.train.engine.settings import Settings

LENGTHS = (8, 12)
KEPT = ("", ", map=foreign", ", map=constant", ", candidates=inside", ", candidates=centred")
POLICY = ("randaugment", "keep_randaugment", "keep_randaugment(map=foreign)", "keep_randaugment(map=constant)")


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        data = half_size(options.data_dir, Path(folder), options.images, options.test_images)
        rows = ["crop(padding=2)+flip"]
        for length in options.lengths:
            rows += [f"crop(padding=2)+flip+cutout(length={length})"]
            rows += [f"crop(padding=2)+flip+keep_cutout(length={length}{how})" for how in KEPT]
        if not options.cutout_only:
            rows += [f"crop(padding=2)+flip+{policy}" for policy in POLICY]
        settings = Settings(
            str(data), augment=",".join(rows), model=options.model, epochs=options.epochs, batch_size=128, lr=options.lr
        )
        found = compare(settings, options.seeds, Path(folder) / "compared", quiet=True)
    for row in found["rows"]:
        row["hidden"] = round(hidden(row["augment"]), 4)
        row.pop("images_per_second", None)
    result = {
        "version": 1, "what": "accuracy on the test part after the last epoch, percent, and the share of an image that is hidden",
        "command": f"python bench/keep_rows.py --data-dir D {' '.join(_shown(options))} --output FILE",
        "data": f"CIFAR-10 averaged to 16x16: {options.images} training images, {options.test_images} of the test part",
        "model": options.model, "epochs": options.epochs, "seeds": options.seeds, "environment": environment("cpu"),
        "rows": found["rows"],
    }  # fmt: skip
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for row in result["rows"]:
        print(f"{row['augment']:60} {row['mean']:.2f} hidden {100 * row['hidden']:.1f} %")


def hidden(augment: str, count: int = 2000) -> float:
    """The mean share of an image under the square, for maps with one bright spot at a random place."""
    ids = torch.arange(count)
    where = Noise.of(7, ids).integers(2, torch.tensor([16, 16]))
    y, x = torch.arange(16)[:, None], torch.arange(16)
    distance = (y - where[:, 0, None, None]) ** 2 + (x - where[:, 1, None, None]) ** 2
    maps = (-distance / 18.0).exp().float()
    batch = Batch(torch.full((count, 3, 16, 16), 200, dtype=torch.uint8), None, ids)
    last = augment.split("+")[-1]
    if "cutout" not in last:
        return 0.0
    done, _ = pipeline(last).run(batch, Noise.of(0, ids), saliency=lambda b: b.replace(saliency=maps))
    return float((done.images[:, 0] == 0).float().mean())


def _shown(options: argparse.Namespace) -> list[str]:
    """The flags of this run as words."""
    words = []
    for key, value in vars(options).items():
        if key in ("output", "data_dir") or value is False:
            continue
        shown = "" if value is True else " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        words.append(f"--{key.replace('_', '-')} {shown}".strip())
    return words


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", required=True, help="folder with cifar10/train.npz and cifar10/test.npz")
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--test-images", type=int, default=4000)
    parser.add_argument("--model", default="small_cnn")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--lengths", type=int, nargs="*", default=LENGTHS, help="of the squares; none for the rows of RandAugment alone"
    )
    parser.add_argument("--cutout-only", action="store_true", help="leave out the rows of RandAugment")
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
