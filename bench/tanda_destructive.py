"""TANDA where some of the functions destroy the class: what it finds, and what that is worth beside drawing uniformly.

    python bench/tanda_destructive.py --output results/tanda_destructive_digits.json

Digits, sequences of three out of eight functions, of which invert, solarize and erode leave images that are no digits of the data.
A generator that has learnt what looks real should draw them less often than 3 of 8 times.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch

from augury.augment.policies.tanda import Tanda, save_generator
from augury.core.noise import Noise
from augury.jobs.compare import compare
from augury.jobs.environment import environment
from augury.train.data.dataset import load
from augury.train.engine.settings import Settings
from augury.train.search.tanda_space import TandaSpace

DESTRUCTIVE = ("invert", "solarize(threshold=128)", "erode(width=3)")
FUNCTIONS = (
    "rotate(degrees=10)", "rotate(degrees=-10)", "translate_x(fraction=0.1)", "translate_y(fraction=0.1)", "zoom(factor=1.1)",
    *DESTRUCTIVE,
)  # fmt: skip


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    data = load("digits")
    space = TandaSpace(FUNCTIONS, length=3, steps=options.steps, generator_lr=1e-3, grey=True)
    with tempfile.TemporaryDirectory() as folder:
        shares, rows = [], []
        for seed in range(options.seeds):
            policies = {
                name: space.policy({"kind": kind, "discriminator_lr": 1e-5, "diversity": 1e-4}, data, seed)[0]
                for name, kind in (("random", "uniform"), ("found", "lstm"))
            }
            shares.append({name: destructive(policy) for name, policy in policies.items()})
            files = {name: Path(folder) / f"{name}-{seed}.safetensors" for name in policies}
            for name, policy in policies.items():
                save_generator(files[name], policy, FUNCTIONS)
            rows.append([f"tanda(file={files['random']})", "none", f"tanda(file={files['found']})"])
        found = []
        for seed, augments in enumerate(rows):
            settings = Settings("digits", augment=",".join(augments), model="small_cnn", epochs=options.epochs, seed=seed)
            found.append([row["mean"] for row in compare(settings, 1, Path(folder) / f"compared-{seed}", quiet=True)["rows"]])
    result = {
        "version": 1, "what": "accuracy on digits, percent, and the share of destructive functions in what is drawn",
        "command": f"python bench/tanda_destructive.py --steps {options.steps} --epochs {options.epochs} --seeds {options.seeds} "
        "--output FILE",
        "functions": FUNCTIONS, "destructive_functions": DESTRUCTIVE, "seeds": options.seeds, "environment": environment("cpu"),
        "rows": [
            {"row": name, "accuracies": [each[place] for each in found],
             **({"destructive": [each[name] for each in shares]} if name != "none" else {})}
            for place, name in enumerate(("random", "none", "found"))
        ],
    }  # fmt: skip
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for row in result["rows"]:
        print(row)


def destructive(policy: Tanda) -> float:
    """The share of destructive functions in what the policy draws."""
    frequencies = policy.generator.frequencies(Noise.of(1, torch.arange(2000)).uniform(3))
    return round(float(frequencies[-len(DESTRUCTIVE) :].sum()), 4)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
