"""The README is short and true: its blocks are executed, and every command that any page shows is one that the parser takes."""

import contextlib
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from augury.cli import _parser

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.parts)])
# So that the block on photographs takes minutes. What stands in the README is replaced by, or followed by, what stands here.
SMALLER = {
    "recommend": ("--minutes 10", "--minutes 10 --candidates flip --epochs 1 --image-size 32"),
    "compare": ("--seeds 3", "--seeds 2 --epochs 1"),
    "search": ("--method randaugment", "--method randaugment --budget 2 --epochs 1 --final-epochs 1 --seeds 2"),
    "train": ("--model torchvision:resnet18", "--model torchvision:resnet18 --epochs 1 --image-size 32"),
}


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> Iterator[list[str]]:
    """The words of every command of Augury in a page's shell blocks; wrapped lines are one command."""
    for block in blocks(text, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["augury"]:
                yield words[1:]


def test_the_readme_is_short_and_has_no_block_that_nothing_executes() -> None:
    # Python: tests/test_docs.py. The installation: tools/release_check.py. The commands: below.
    assert README.count("\n") < 150
    assert re.findall(r"^```(\w+)\n", README, re.MULTILINE) == ["sh", "python", "sh", "python"]
    install, work = blocks(README, "sh")
    assert shlex.split(install, comments=True) == ["pip", "install", "augury"]
    assert all(line.startswith("augury ") for line in work.splitlines()) and "<!-- not run" not in README


def test_every_documented_command_is_one_that_the_parser_takes() -> None:
    """Catches a flag or a command that was renamed, or never was."""
    shown = [(page.relative_to(ROOT), words) for page in PAGES for words in commands(page.read_text(encoding="utf-8"))]
    assert len(shown) > 100
    refused = []
    for page, words in shown:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            try:
                _parser().parse_args(words)
            except SystemExit:
                refused.append(f"{page}: augury {shlex.join(words)}: {said.getvalue().splitlines()[-1]}")
    assert not refused, "\n".join(refused)


@pytest.mark.slow
def test_the_commands_of_the_readme_run_one_after_the_other(tmp_path: Path) -> None:
    photographs(tmp_path / "photographs")
    for name, *words in commands(README):
        shown = shlex.join(words)
        if name in SMALLER:
            assert SMALLER[name][0] in shown, f"augury {name}: {SMALLER[name][0]} is not in the README any more"
            shown = shown.replace(*SMALLER[name])
        command = [sys.executable, "-m", "augury", name, *shlex.split(shown)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1800)
        assert done.returncode == 0, f"augury {name} {shown}\n{done.stderr[-3000:]}"
    assert (tmp_path / "recommended" / "recommended.yaml").is_file() and (tmp_path / "worst.html").is_file()


def photographs(folder: Path) -> None:
    """Three classes of noisy colours: 40 files each to train on, 10 to test."""
    generator = np.random.default_rng(0)
    for part, count in (("train", 40), ("test", 10)):
        for label, name in enumerate(("glass", "metal", "paper")):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.normal(110, 50, (32, 32, 3))
                pixels[..., label] += 40
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / part / name / f"{number}.png")
