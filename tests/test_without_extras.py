"""Without the optional libraries, everything that does not need them works, and what does says what to install."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import augury

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {name: needs for name, needs in PROJECT["optional-dependencies"].items() if name != "dev"}
# Sphinx is not for those who use Augury, and Matplotlib looks whether it was imported.
LIBRARIES = [re.split(r"[\[=><]", need)[0] for name, needs in EXTRAS.items() if name != "docs" for need in needs]
OPTIONAL = sorted({*LIBRARIES, "pytorch_lightning", "cv2"})
# An import of a module that is None fails, and importlib's search finds none.
WITHOUT = f"import sys\nsys.modules.update(dict.fromkeys({OPTIONAL}))\n"
MODULES = """
import importlib, pkgutil, augury
for found in pkgutil.walk_packages(augury.__path__, "augury."):
    if "triton" not in found.name and ".templates." not in found.name and not found.name.endswith("__main__"):
        importlib.import_module(found.name)
for name in augury.__all__:
    getattr(augury, name)
from augury.explain.fidelity.libraries import peers
assert peers()[1] == ["kornia", "albumentations"], peers()
"""
COMMANDS = [
    ["list"],
    ["train", "digits", "--epochs", "1", "--fraction", "0.2", "--quiet", "--output", "run"],
    ["evaluate", "run"],
    ["export", "run", "--output", "exported"],
    ["preview", "digits", "--augment", "cutout", "--output", "sheet.html"],
    ["policy", "show", "randaugment"],
    ["policy", "export", "randaugment", "--to", "python", "--output", "own.py"],
    ["policy", "export", "randaugment", "--to", "timm", "--output", "theirs.py"],
    ["reproduce", "--list"],
]
# A command that needs a library, and the extra that its message must name.
NEEDED = {
    "timm": ["train", "digits", "--model", "timm:resnet18", "--output", "out"],
    "hf": ["train", "hf:owner/name", "--output", "out"],
    "search": ["search", "digits", "--sampler", "tpe", "--method", "randaugment", "--output", "out"],
    "ray": ["search", "digits", "--ray", "local", "--method", "randaugment", "--output", "out"],
}


def run(code: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    source = str(Path(augury.__file__).parents[1])
    code = f"{WITHOUT}sys.path.insert(0, {source!r})\n{code}"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=600)


def test_the_extras_are_those_that_the_pages_name() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "src").rglob("*.py")]
    named = {extra for page in pages for extra in re.findall(r"augury\[(\w+)\]", page.read_text(encoding="utf-8"))}
    assert named <= set(EXTRAS)


def test_every_module_and_public_name_is_there(tmp_path: Path) -> None:
    done = run(MODULES, tmp_path)
    assert done.returncode == 0, done.stderr


def test_commands_answer(tmp_path: Path) -> None:
    done = run(f"from augury.cli import main\nfor each in {COMMANDS}:\n    assert main(each) == 0, each", tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout[-2000:]


def test_what_needs_a_library_says_which_extra(tmp_path: Path) -> None:
    loop = "for extra, given in NEEDED.items():\n    print('---', extra, flush=True)\n    main(given)"
    done = run(f"sys.stderr = sys.stdout\nfrom augury.cli import main\nNEEDED = {NEEDED}\n{loop}", tmp_path)
    said = dict(part.split("\n", 1) for part in done.stdout.split("--- ")[1:])
    assert set(said) == set(NEEDED), done.stdout + done.stderr
    for extra, words in said.items():
        assert f"pip install 'augury[{extra}]'" in words and "unexpected" not in words
