"""A user's file with a method of every kind works wherever names do: commands, workers, pickles, searches, several processes."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from card_facts import forgetting_new_names
from torch.utils.data import DataLoader

import augury
from augury.cli import main
from augury.core import registry

SOURCE = str(Path(registry.__file__).resolve().parents[2])
FILE = Path(__file__).resolve().parents[1] / "everything_plugin.py"
SETTINGS = ["--epochs", "1", "--batch-size", "16", "--device", "cpu", "--quiet"]
NAMES = ["--augment", "my_preset+my_op(times=2)", "--strategy", "my_strategy", "--model", "my_net"]


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Path]:
    """The plug-in as a file of the user's, known to nobody before and forgotten after."""
    file = tmp_path / "everything.py"
    shutil.copy(FILE, file)
    with forgetting_new_names():
        yield file
    sys.modules.pop("everything", None)


def fresh(*arguments: str, cwd: Path, timeout: float = 300) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=env, cwd=cwd, timeout=timeout)


def forget() -> None:
    registry._outside.clear()
    sys.modules.pop("everything", None)


def test_every_kind_works_on_the_command_line(mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, plugin = tmp_path / "run", ["--plugin", str(mine)]
    assert main(["train", "my_bars", *NAMES, *SETTINGS, *plugin, "--output", str(run)]) == 0
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert list(config["plugins"]) == ["everything"] and config["plugins"]["everything"].startswith("sha256:")
    found = tmp_path / "found"
    assert main(["diagnose", str(run), "--what", "my_measure", *plugin, "--output", str(found), "--quiet"]) == 0
    assert json.loads((found / "result.json").read_text())["measurements"]["my_measure"] == {"images": 32, "networks": 1}
    forget()
    # Without the plug-in: a file of settings does not load it, but asks for it.
    capsys.readouterr()
    for command in (
        ["evaluate", str(run)],
        ["train", "-c", str(run / "config.yaml"), "--output", str(tmp_path / "again")],
        ["train", "my_bars", *NAMES, *SETTINGS, "--resume", "--output", str(run)],
    ):
        assert main(command) == 2 and "everything" not in sys.modules
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and ("add --plugin" in told or "unknown" in told)
    # With a changed one: refused, until its line is removed.
    mine.write_text(mine.read_text().replace("220", "210"), encoding="utf-8")
    assert main(["evaluate", str(run), *plugin]) == 2
    assert "the plug-in everything is not the one that was used" in capsys.readouterr().err
    config.pop("plugins")
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["evaluate", str(run), *plugin]) == 0


def test_forms_of_data_libraries_and_saliency_are_names_too(mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches a list of readers, of libraries of networks or of saliency maps that a plug-in cannot join."""
    plugin, file = ["--plugin", str(mine)], tmp_path / "bars.levels"
    rows = []
    for number in range(64):
        upright, place = number // 2 % 2, number % 7
        levels = [200 if (pixel % 8 if upright else pixel // 8) == place else 0 for pixel in range(64)]
        rows.append(" ".join(map(str, [upright, *levels])))
    file.write_text("\n".join(rows), encoding="utf-8")
    augment = "keep(cutout(length=2), saliency=my_saliency)"
    flags = ["--augment", augment, "--model", "my_library:pool2(bias=false)", *SETTINGS, *plugin]
    for data, run in ((f"my_reader:{file}", tmp_path / "named"), (str(file), tmp_path / "recognised")):
        assert main(["train", data, *flags, "--output", str(run)]) == 0, capsys.readouterr().err
        assert json.loads((run / "result.json").read_text())["accuracy"] >= 0
        assert list(yaml.safe_load((run / "config.yaml").read_text())["plugins"]) == ["everything"]
        assert main(["evaluate", str(run), *plugin]) == 0
    forget()
    capsys.readouterr()
    assert main(["train", f"my_reader:{file}", *SETTINGS, "--output", str(tmp_path / "none")]) == 2
    assert main(["train", "digits", "--model", "my_librar:pool2", *SETTINGS, "--output", str(tmp_path / "none")]) == 2
    told = capsys.readouterr().err
    assert "no such folder or file" in told and "unknown library of networks 'my_librar'; known: timm, torchvision" in told


def test_spawned_workers_and_fresh_processes_read_pickled_pipelines(mine: Path, tmp_path: Path) -> None:
    augury.load_plugin(mine)
    pipeline = augury.pipeline("my_preset+my_op(times=2)", seed=3)
    content, images = pickle.dumps(pipeline), torch.full((4, 1, 8, 8), 50, dtype=torch.uint8)
    expected = pipeline(images)
    loader = DataLoader([0], batch_size=None, num_workers=1, multiprocessing_context="spawn", collate_fn=Augmenting(content))
    (worker,) = list(loader)
    assert worker == ["everything"]
    mine.unlink()  # the pickle carries the file's text
    (tmp_path / "pipeline.pkl").write_bytes(content)
    code = (
        "import pickle, torch\npipeline = pickle.load(open('pipeline.pkl', 'rb'))\n"
        "print(pipeline(torch.full((4, 1, 8, 8), 50, dtype=torch.uint8)).flatten().tolist())"
    )
    done = fresh("-c", code, cwd=tmp_path)
    assert json.loads(done.stdout) == expected.flatten().tolist(), done.stderr


class Augmenting:
    """Reads a pickled pipeline in a worker, and tells which plug-ins it then knows."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __call__(self, item: int) -> list[str]:
        from augury.core.plugins import loaded

        assert not loaded()
        pipeline = pickle.loads(self.content)
        pipeline(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
        return [plugin.module for plugin in loaded()]


def test_the_children_of_a_search_know_it(mine: Path, tmp_path: Path) -> None:
    search(mine, tmp_path / "found", "--workers", "2")


@pytest.mark.slow
def test_the_children_of_a_search_on_ray_know_it(mine: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    search(mine, tmp_path / "found", "--ray", "local")


def search(mine: Path, output: Path, *where: str) -> None:
    names = ["--augment", "my_op", "--strategy", "my_strategy", "--model", "my_net", "--final-epochs", "1", "--seeds", "1"]
    budget = ["--method", "randaugment", "--budget", "2", "--epochs", "1", "--batch-size", "16", "--device", "cpu", "--quiet"]
    done = fresh(
        "-m",
        "augury",
        "search",
        "my_bars",
        *names,
        *budget,
        "--plugin",
        str(mine),
        *where,
        "--output",
        str(output),
        cwd=mine.parent,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in (output / "journal.jsonl").read_text().splitlines()]
    assert len(rows) >= 2 and all(row.get("error") is None for row in rows)
    assert list(yaml.safe_load((output / "config.yaml").read_text())["plugins"]) == ["everything"]


def test_processes_under_torchrun_know_it(mine: Path, tmp_path: Path) -> None:
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "augury"]
    flags = ["train", "my_bars", *NAMES, *SETTINGS, "--plugin", str(mine), "--output", "run"]
    done = fresh(*launch, *flags, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / "run" / "result.json").read_text())["processes"] == 2


def test_a_session_uses_its_names_at_once(tmp_path: Path) -> None:
    # What a notebook is: a `__main__` without a file, in which a cell is run twice.
    code = (
        f"source = open({str(FILE)!r}).read()\nfor cell in range(2):\n    exec(source)\n"
        "run = augury.fit('my_bars', augment='my_preset+my_op', strategy='my_strategy', model='my_net', epochs=1, batch_size=16,\n"
        "                 device='cpu', quiet=True, output='run')\n"
        "print(len(run.networks), round(run.accuracy, 2) == round(run.result['accuracy'], 2))"
    )
    done = fresh("-c", code, cwd=tmp_path)
    assert done.stdout == "1 True\n", done.stderr
    asked = fresh("-m", "augury", "evaluate", "run", cwd=tmp_path)
    assert asked.returncode == 2 and "defined in a notebook or script; move them to a file" in asked.stderr
