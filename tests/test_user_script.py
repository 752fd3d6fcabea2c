"""A user's script passes the strictest checks, and its mistakes are found before it runs."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import augury

SOURCE = Path(augury.__file__).resolve().parents[1]
SCRIPT = Path(__file__).with_name("user_script.py")
# A line of the script, the same with a mistake, and what mypy says of it.
PLANTED = {
    'augury.pipeline("rand': ("augury.pipelin(", "attr-defined"),
    "augury.policies.randaugment(num_ops=2)": ("augury.policies.randaugment(number=2)", "call-arg"),
    "degrees=(-30, 30)": ('degrees="30"', "arg-type"),
    'setting="resnet50"': ('setting="resnet"', "arg-type"),
    "augury.ops.brightness": ("augury.ops.brightnes", "attr-defined"),
    "epochs=2, model": ("epoch=2, model", "call-arg"),
    'fit("digits", augment=aug': ('fit("digits", lr="high", augment=aug', "arg-type"),
    "best.verdict": ("best.verdikt", "attr-defined"),
    'names("op")': ('names("ops")', "arg-type"),
    "return run.accuracy + sum": ("return str(run.accuracy) + sum", "operator"),
}  # fmt: skip


def mypy(folder: Path, *files: str) -> list[str]:
    (folder / "mypy.ini").write_text(f"[mypy]\nstrict = True\nmypy_path = {SOURCE}\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--follow-imports", "silent", *files]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    return [line for line in done.stdout.splitlines() if ": error:" in line]


def test_mypy_passes_the_script_strictly_and_finds_every_planted_mistake(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    text = SCRIPT.read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line.strip()]) >= 40
    shutil.copy(SCRIPT, tmp_path / "script.py")
    for number, (right, (wrong, _)) in enumerate(PLANTED.items()):
        planted = text.replace(right, wrong if not right.startswith("augury.pipeline") else 'augury.pipelin("rand')
        assert planted != text, right
        (tmp_path / f"wrong{number}.py").write_text(planted, encoding="utf-8")
    found = mypy(tmp_path, "script.py", *(f"wrong{number}.py" for number in range(len(PLANTED))))
    assert not [line for line in found if line.startswith("script.py")]
    for number, (_, code) in enumerate(PLANTED.values()):
        assert any(line.startswith(f"wrong{number}.py:") and line.endswith(f"[{code}]") for line in found), f"{number}: {found}"


def test_nothing_at_the_front_door_is_any(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    doors = [name for name in augury.__all__ if name not in ("__version__", "ops", "policies", "presets")]
    calls = ["pipeline('flip')(torch.zeros(1))", "apply('invert', torch.zeros(1))"]
    lines = [f"reveal_type(augury.{each})" for each in (*doors, *calls)]
    (tmp_path / "reveal.py").write_text("\n".join(["import torch", "import augury", *lines]), encoding="utf-8")
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nmypy_path = {SOURCE}\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--follow-imports", "silent", "reveal.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    revealed = re.findall(r'Revealed type is "(.*)"', done.stdout)
    assert len(revealed) == len(lines) and "Any" not in revealed, done.stdout
    assert revealed[-2:] == ["torch._tensor.Tensor"] * 2, "of images as tensors come tensors"


@pytest.mark.slow
def test_pyright_passes_the_script_strictly(tmp_path: Path) -> None:
    pytest.importorskip("pyright")
    shutil.copy(SCRIPT, tmp_path / "script.py")
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(SOURCE)], "pythonVersion": "3.11", "reportMissingTypeStubs": False}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout
