"""The tool that writes our own measurements into the README and the cards."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools"
pytestmark = pytest.mark.skipif(not (TOOLS / "own_results.py").exists(), reason="tools/ is not part of a package")
CARD = """# Cutout

## Measured

Digits: 95 %.
"""
SAID = (
    "Reduced CIFAR-10, ResNet-20 ([results](../../results.md)): cutout {} %, +0.20 (-0.82 to +1.22), n = 3; cutout-400 {} %, n = 3."
)


def run(code: str) -> str:
    code = f"from own_results import card, readme\n{code}"
    done = subprocess.run([sys.executable, "-c", code], cwd=TOOLS, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr.strip()


def test_nothing_is_out_of_date() -> None:
    done = subprocess.run([sys.executable, TOOLS / "own_results.py", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"run `python tools/own_results.py`:\n{done.stdout}{done.stderr}"


def test_a_card_gets_a_section_and_then_another_sentence_in_its_place() -> None:
    """Fails where the second line of the sentence before stays, or what follows the sentence goes."""
    first, then = SAID.format("78.59", "79.10"), SAID.format("80.12", "81.30")
    made = run(f"once = card({CARD!r}, {first!r})\nprint(once + '\\n## After\\n')")
    assert made.startswith(CARD) and " ".join(made.split()).endswith(f"### In one table with others {first} ## After")
    again = run(f"print(card({made!r}, {then!r}), end='')")
    assert again == made.replace("78.59", "80.12").replace("79.10", "81.30")


def test_the_table_of_the_readme_is_replaced_whole_and_no_other() -> None:
    text = "| a |\n|---|\n\n| | row | accuracy (95 %) |\n|---|---|---|\n| 1 | standard | 78.39 |\n\nAfter.\n"
    made = run(f"print(readme({text!r}, ['| | row | accuracy (95 %) |', '|---|---|---|', '| 1 | cutout | 80.00 |']), end='')")
    assert made == text.replace("standard | 78.39", "cutout | 80.00")
    assert run("readme('none', ['| | row | accuracy |'])") == "README.md: 0 tables begin with '| | row | accuracy', not one"
