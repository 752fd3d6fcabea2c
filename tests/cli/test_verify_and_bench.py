"""`augury verify` and `augury bench` refuse in one line, before anything is measured."""

from pathlib import Path

import pytest

from augury.cli import main


def run(*arguments: str) -> int:
    try:
        return main(list(arguments))
    except SystemExit as stop:
        return int(stop.code or 0)


REFUSED = [
    (["verify", "--peer"], "--peers"),
    (["verify", "digits"], "digits"),
    (["verify", "--device", "cpu"], "--device"),
    (["bench", "--device", "toaster"], "--device"),
    (["bench", "--device", "cuda:77"], "--device"),
    (["bench", "--quik"], "--quick"),
    (["bench", "--device", "cpu", "--compile"], "--compile: CUDA graphs need a GPU"),
    (["bench", "--peers", "all"], "all"),
]


@pytest.mark.parametrize(("arguments", "named"), REFUSED, ids=[" ".join(a) for a, _ in REFUSED])
def test_refused(arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out"
    assert run(*arguments, "--output", str(output)) == 2
    error = capsys.readouterr().err
    assert error.startswith("augury: ") and error.count("\n") == 1 and named in error
    assert not output.exists()


@pytest.mark.parametrize("command", ["verify", "bench"])
def test_an_output_that_cannot_be_written(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.touch()
    assert run(command, "--output", str(file / "below")) == 2
    shown = capsys.readouterr()
    assert "--output" in shown.err and shown.err.count("\n") == 1 and shown.out == ""
