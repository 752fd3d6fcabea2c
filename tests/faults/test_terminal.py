"""Nothing that a stranger's file holds steers the terminal, and what a terminal's alphabet lacks is written out."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from augury.cli import main
from augury.core.text import Printable, printable
from augury.jobs.fitted import print_table, table

# Colours, a cleared screen, another title, a clipboard, the line above, an 8-bit escape, text from right to left.
HOSTILE = [
    "\x1b[31m",
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x1b]52;c;YQ==\x07",
    "\x1b[1A\r",
    "\x9b31m",
    "\u202egnp.exe",
    "\ud800",
    "\x00",
]
POLICY = 'augury_policy: 1\nname: "caf\\xe9 \\e[31m"\nsource: "\\e]0;x\\a \\u202e"\npolicies:\n  - - {op: invert}\n'


def harmless(text: str) -> bool:
    return all(letter == "\n" or letter.isprintable() for letter in text)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_messages_tables_and_streams_are_neutralised(hostile: str, capsys: pytest.CaptureFixture[str]) -> None:
    target = io.StringIO()
    print(f"a{hostile}b", file=Printable(target))
    assert harmless(target.getvalue()) and harmless(printable(hostile)) and hostile not in target.getvalue()
    for arguments in (["evaluate", hostile], ["train", hostile, "--output", "x"], ["train", "digits", f"--{hostile}"], [hostile]):
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        told = capsys.readouterr()
        assert code == 2 and harmless(told.err + told.out) and told.err.count("\n") == 1, told
    made = table(f"title {hostile}")
    made.add_column(f"class {hostile}")
    made.add_row(f"name {hostile}")
    print_table(made)
    assert harmless(capsys.readouterr().out)


def _written(call: Callable[[], int], monkeypatch: pytest.MonkeyPatch, encoding: str) -> bytes:
    stdout, stderr = io.BytesIO(), io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stdout, encoding=encoding))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(stderr, encoding=encoding, errors="backslashreplace"))
    assert call() == 0
    sys.stdout.flush()
    return stdout.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_terminals_of_few_letters_work(encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(POLICY, encoding="utf-8")
    shown = _written(lambda: main(["policy", "show", str(file)]), monkeypatch, encoding).decode(encoding)
    assert harmless(shown) and ("caf\\xe9" in shown if encoding == "ascii" else "café" in shown)
    assert b"rotate" in _written(lambda: main(["list"]), monkeypatch, encoding)


def test_a_fifo_is_no_terminal_and_gets_names_as_they_are(tmp_path: Path) -> None:
    """`augury predict` writes a table for programs: only a terminal has to be protected from names."""
    from augury.core.text import inner

    with open(os.devnull, "w") as file:
        assert inner(Printable(file)) is file and inner(file) is file


def test_a_stream_that_python_closed_first_is_no_error() -> None:
    """As at the end of a process, where Python 3.13 printed an exception that nobody could act on."""
    under = io.StringIO()
    stream = Printable(under)
    under.close()
    stream.close()
    assert stream.closed
