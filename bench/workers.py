"""What `--workers` and the cache of decoded images save: time, memory, and the start of a second command.

    python bench/workers.py --data-dir D --photographs FOLDER --output results/workers_cpu.json

Time: one comparison of CIFAR-10 images by one process, by two and by two on Ray, each on one thread, and whether all come to the
same accuracies and losses. It takes cores that nothing else uses. Memory: the proportional set size (a page that several processes
map counts for each by its share) of all processes of a comparison of CIFAR-10 brought to 128 pixels, 2.9 GB of them, with one
worker and with four, sampled every second; Linux only. Start: `evaluate` on a run of a folder of photographs, the first time
without a cache and then with one, medians of three.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from augury.jobs.environment import environment
from augury.train.engine.checkpoint import write_json

COMPARISON = "cifar10 --fraction 0.1 --augment none,standard --seeds 4 --model small_cnn --quiet --yes"
WHO = {"one process": "--workers 1", "two workers": "--workers 2", "two workers on Ray": "--ray local --workers 2"}
LARGE = "cifar10 --image-size 128 --epochs 6 --augment none,standard --seeds 2 --model small_cnn --batch-size 32 --quiet --yes"
WATCHED_SECONDS = 60  # after all processes have begun to train
COUNTED = ("version", "command", "seconds", "workers", "per_second")


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        result = {
            "version": 1,
            "what": "time, memory and start of commands by workers and cache; trainings on one thread each",
            "command": f"python bench/workers.py --data-dir D --photographs FOLDER --epochs {options.epochs} --output FILE",
            "time": times(place, options),
            "memory": memory(place, options),
            "start": start(place, options),
            "environment": {**environment("cpu"), "threads": "1", "cores": str(len(os.sched_getaffinity(0)))},
        }
    write_json(options.output, result)
    print(json.dumps(result, indent=1))


def times(place: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds by the clock of the same comparison, its share of one process's, and whether it came to the same."""
    seconds, found = {}, {}
    for who, flags in WHO.items():
        output = place / who.replace(" ", "_")
        begun = time.perf_counter()
        command = [*COMPARISON.split(), "--data-dir", str(options.data_dir), "--epochs", str(options.epochs), *flags.split()]
        subprocess.run(_augury("compare", *command, "--output", str(output)), check=True, env=_environment())
        seconds[who] = round(time.perf_counter() - begun, 1)
        found[who] = json.loads((output / "result.json").read_text(encoding="utf-8"))["rows"]
    first = next(iter(WHO))
    rows = [
        {"who": who, "seconds": seconds[who], "share": round(seconds[who] / seconds[first], 3),
         "same": _without_times(found[who]) == _without_times(found[first])}
        for who in WHO
    ]  # fmt: skip
    return {"comparison": f"augury compare {COMPARISON} --epochs {options.epochs}", "rows": rows}


def memory(place: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Gigabytes of all processes together, at most and in the end, by the number of workers."""
    rows = []
    for workers in (1, 4):
        output = place / f"memory_{workers}"
        command = [*LARGE.split(), "--data-dir", str(options.data_dir), "--workers", str(workers), "--output", str(output)]
        process = subprocess.Popen(_augury("compare", *command), env=_environment(), stderr=subprocess.DEVNULL)
        samples, training_since = [], None
        while process.poll() is None:
            samples.append(sum(_proportional_bytes(each) for each in _tree(process.pid)) / 1e9)
            if training_since is None and len(list(output.rglob("config.yaml"))) > workers:
                training_since = time.perf_counter()
            if training_since is not None and time.perf_counter() - training_since > WATCHED_SECONDS:
                break
            time.sleep(1)
        if process.returncode is not None:
            raise SystemExit(f"{' '.join(command)}: ended with {process.returncode} before it was measured")
        for each in [*_tree(process.pid)]:
            os.kill(each, signal.SIGKILL)
        process.wait()
        shutil.rmtree(output)
        rows.append({"workers": workers, "most_gigabytes": round(max(samples), 2), "training_gigabytes": round(samples[-1], 2)})
    return {"comparison": f"augury compare {LARGE}", "rows": rows}


def start(place: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Seconds by the clock of a whole `evaluate`, imports and all."""
    run, cache = place / "run", place / "cache"
    training = ["--epochs", "1", "--model", "small_cnn", "--augment", "none", "--quiet", "--cache", "off", "--image-size", "64"]
    subprocess.run(_augury("train", str(options.photographs), *training, "--output", str(run)), check=True, env=_environment())
    seconds = []
    for _ in range(4):
        begun = time.perf_counter()
        subprocess.run(_augury("evaluate", str(run), "--cache", str(cache)), check=True, env=_environment(), capture_output=True)
        seconds.append(time.perf_counter() - begun)
    imported = []
    for _ in range(3):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch"], check=True, env=_environment())
        imported.append(time.perf_counter() - begun)
    count = sum(path.is_file() for path in options.photographs.rglob("*"))
    return {
        "images": count, "first_seconds": round(seconds[0], 2), "second_seconds": round(statistics.median(seconds[1:]), 2),
        "import_torch_seconds": round(statistics.median(imported), 2),
    }  # fmt: skip


def _without_times(value: Any) -> Any:
    """A result without what is timed in it."""
    if isinstance(value, dict):
        return {key: _without_times(each) for key, each in value.items() if not any(word in key for word in COUNTED)}
    return [_without_times(each) for each in value] if isinstance(value, list) else value


def _augury(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "augury", *arguments]


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def _tree(pid: int) -> Iterator[int]:
    """A process and all that it started."""
    yield pid
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = path.read_text().split()
        except OSError:  # it has ended
            continue
        for child in children:
            yield from _tree(int(child))


def _proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What --workers and the cache of decoded images save.")
    parser.add_argument("--data-dir", required=True, type=Path)
    parser.add_argument("--photographs", required=True, type=Path, help="a folder of some hundred images in class folders")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--output", required=True, type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
