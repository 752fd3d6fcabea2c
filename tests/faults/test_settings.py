"""Settings that are text stay text, and no value that was given is lost; whatever the command."""

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from samples import steady

from augury.cli import COMMANDS, _parser, main
from augury.cli.shared import number, settings_of
from augury.core.errors import InputError
from augury.core.text_fields import text_fields
from augury.train.engine.config_file import read_config
from augury.train.engine.settings import Settings

TEXTS = ("1.10", "2024_01_15", "1e3", "007", "true", "null", "1_000", "nan", "0x10", "yes", "1:30", " 5")
TRAININGS = ("train", "compare", "search", "patch")


def run(*arguments: str) -> int:
    try:
        return main(list(arguments))
    except SystemExit as stop:
        return int(stop.code or 0)


@pytest.mark.parametrize("command", TRAININGS)
@pytest.mark.parametrize("text", TEXTS)
def test_a_folder_that_looks_like_a_number_is_that_folder(command: str, text: str) -> None:
    # Catches numbers being made of every flag: 1.10 would be the folder 1.1 beside it.
    options = _parser().parse_args([command, f"{text}/", "--data-dir", text, "--output", "x", "--model", text])
    made, _ = settings_of(options, several=command in ("compare", "patch"))
    assert (made.data, made.data_dir, made.model) == (f"{text}/", text, text)


@pytest.mark.parametrize("text", [t for t in TEXTS if t not in ("null", " 5")])
def test_the_same_in_a_file_of_settings(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"data: {text}\ndata-dir: {text}\nepochs: 3\n")
    found = read_config(tmp_path / "c.yaml", text_fields(Settings))
    assert found == {"data": text, "data_dir": text, "epochs": 3}


def test_null_is_none_and_numbers_stay_numbers(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("data: digits\ndata_dir: null\nlr: 1e-2\nepochs: 3\nmodel:\n")
    assert read_config(tmp_path / "c.yaml", text_fields(Settings)) == {
        "data": "digits", "data_dir": None, "lr": "1e-2", "epochs": 3, "model": None,
    }  # fmt: skip


@steady
@given(st.text(st.characters(categories=("L", "N"), include_characters="._-/"), min_size=1, max_size=12))
def test_a_name_is_the_same_after_it_was_written_and_read(text: str) -> None:
    settings = Settings(text, data_dir=text)
    again = Settings.of(yaml.safe_load(yaml.safe_dump(settings.dict())), "config.yaml")
    assert (again.data, again.data_dir) == (text, text)


@pytest.mark.parametrize("text", ["1_000", "1__0", "_1"])
def test_underscores_make_no_number(text: str) -> None:
    assert number(text) == text


ONCE = {
    "train": "--epochs --data-dir --output -c --seed --lr --image-size --select",
    "compare": "--seeds --epochs --output --batch-size",
    "search": "--method --budget --workers --output --epochs",
    "patch": "--stage --output --epochs --device",
    "evaluate": "--data --data-dir --device",
    "predict": "--output --network --device",
    "preview": "--output --images --seed --run --worst --model --epoch",
    "diagnose": "--data --device --output",
    "export": "--output --network",
    "reproduce": "--output",
    "theory": "--output",
    "bench": "--device",
}
POSITIONAL = {
    "evaluate": ["run"], "predict": ["run", "images"], "export": ["run"], "reproduce": ["recipe"], "diagnose": ["run"],
    "theory": [], "bench": [],
}  # fmt: skip


@pytest.mark.parametrize(("command", "flag"), [(c, flag) for c, flags in ONCE.items() for flag in flags.split()])
def test_a_flag_given_twice_is_refused(command: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command, *POSITIONAL.get(command, ["digits"]), flag, "1", flag, "2") == 2
    assert f"augury: {flag} is given twice; keep one of them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "flag", "name"),
    [("compare", "--augment", "augment"), ("compare", "--strategy", "strategy"), ("diagnose", "--what", "what"),
     ("train", "--risk-epochs", "risk_epochs"), ("preview", "--ids", "ids"), ("search", "--controls", "controls")],
)  # fmt: skip
def test_a_list_given_twice_is_one_list(command: str, flag: str, name: str) -> None:
    options = _parser().parse_args([command, "digits", flag, "a,b", flag, "c", "--output", "x"])
    assert getattr(options, name) == "a,b,c"


def test_every_command_is_built_by_the_parser_that_refuses() -> None:
    # Catches a command whose flags silently take the last value.
    for command in COMMANDS:
        parser = _parser()._subparsers._group_actions[0].choices[command]  # type: ignore[union-attr]
        for action in parser._actions:
            assert type(action).__name__ != "_StoreAction", (command, action.option_strings)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_a_file_of_settings_that_is_none(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    said = {"pipe": "a named pipe", "device": "a device", "folder": "a folder"}[kind]
    with pytest.raises(InputError, match=f"-c .*: is {said}, not a file; name a YAML file"):
        read_config(path)
