"""The prose keeps to docs/style.md: phrases that were replaced by the field's words do not come back."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Phrase, and what to write instead. Only phrases that are wrong in every context belong here.
REPLACED = {
    "parted by": "separated by",
    "told by its": "recognised by its",
    "told by the": "recognised by the",
    "go on with the run": "resume the run",
    "go on with it": "continue with it",
    "goes on with the run": "resumes the run",
    "people to be found again": "re-identification",
    "is not as promised": "breaks a promise",
    "published order does not show": "published ranking is not reproduced",
    "stands for itself": "is self-explanatory",
    "is taken of": "is taken from",
    "put together by hand": "built directly",
    "within each other": "nested",
}
FILES = sorted(
    path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("*.py"), *(ROOT / "src").rglob("*.pyi")]
    if path.relative_to(ROOT).as_posix() not in ("CHANGELOG.md", "docs/style.md")
)
PATTERN = re.compile(r"\b(?:" + "|".join(phrase.replace(" ", r"\s+(?:#\s+)?") for phrase in REPLACED) + r")\b", re.IGNORECASE)


def replaced_in(text: str) -> list[str]:
    """`line 3: parted by: write "separated by"` for every replaced phrase, wrapped ones included."""
    found = []
    for match in PATTERN.finditer(text):
        phrase = " ".join(match.group().replace("#", " ").lower().split())
        found.append(f'line {text[: match.start()].count(chr(10)) + 1}: {phrase}: write "{REPLACED[phrase]}"')
    return found


def test_replaced_phrases_do_not_come_back() -> None:
    assert len(FILES) > 300
    found = [f"{path.relative_to(ROOT)} {line}" for path in FILES for line in replaced_in(path.read_text(encoding="utf-8"))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("phrase", REPLACED)
def test_a_replaced_phrase_is_found_though_wrapped(phrase: str) -> None:
    first, *rest = phrase.split()
    wrapped = f"x = 1\n# A list {first.title()}\n    # {' '.join(rest)} a comma"
    assert replaced_in(wrapped) == [f'line 2: {phrase}: write "{REPLACED[phrase]}"']
    assert not replaced_in(f"x{phrase}") and not replaced_in(f"{phrase}x")
