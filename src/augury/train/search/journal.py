"""The journal of a search: one line per finished child, flushed to disk before the search continues."""

import json
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from augury.core.errors import RunError
from augury.train.engine.checkpoint import write_atomically
from augury.train.search.outcome import Outcome


@dataclass
class Journal:
    """journal.jsonl in a folder, and the children's own files in children/ARM-NUMBER.ENDING.

    A child's files are written before its line, and each line is flushed to disk. A line that was cut short by a kill is dropped on
    opening, and its child is trained again.
    """

    folder: Path
    known: dict[tuple[str, int], Outcome] = field(default_factory=dict)

    @staticmethod
    def open(folder: Path) -> "Journal":
        """The journal with the children recorded so far."""
        journal, whole = Journal(folder), []
        path = folder / "journal.jsonl"
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        for line in text.splitlines(keepends=True):
            outcome = _read(line)
            if outcome is not None:
                whole.append(line)
                journal.known[outcome.arm, outcome.number] = outcome
        if "".join(whole) != text:
            write_atomically(path, "".join(whole).encode())
        return journal

    def add(self, outcome: Outcome) -> None:
        """Records a finished child; RunError if the disk is full or not writable."""
        for ending, data in outcome.files.items():
            file = self.file(outcome.arm, outcome.number, ending)
            file.parent.mkdir(exist_ok=True)
            write_atomically(file, data)
        path = self.folder / "journal.jsonl"
        try:
            with open(path, "a", encoding="utf-8") as file_:
                file_.write(json.dumps(outcome.dict()) + "\n")
                file_.flush()
                os.fsync(file_.fileno())
        except OSError as error:
            raise RunError(f"{path}: cannot be written ({error.strerror}); --resume continues once it can be") from None
        self.known[outcome.arm, outcome.number] = outcome

    def decisions(self, arm: str) -> list[Any]:
        """The decisions of the arm's children, in the order of their numbers."""
        return [self.known[key].decisions for key in sorted(self.known) if key[0] == arm]

    def file(self, arm: str, number: int, ending: str) -> Path:
        """The path of a child's file with that ending."""
        return self.folder / "children" / f"{arm}-{number}.{ending}"

    def clear(self) -> None:
        """Removes the journal and the children's files, nothing else."""
        (self.folder / "journal.jsonl").unlink(missing_ok=True)
        for file in (self.folder / "children").glob("*-*.*"):
            if file.suffix in (".safetensors", ".yaml"):
                file.unlink()


def _read(line: str) -> Outcome | None:
    """The outcome in a line; None if the line was cut short."""
    if not line.endswith("\n"):
        return None
    try:
        values: dict[str, Any] = json.loads(line)
        return Outcome(**{part.name: values[part.name] for part in fields(Outcome) if part.name in values})
    except (ValueError, TypeError):
        return None
