"""YAML of strangers: the table of what is refused, in one short line and at once, by everything that reads such files."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import augury
from augury.augment.names import read_policy_file
from augury.cli import main
from augury.core import yaml_text
from augury.train.engine.config_file import read_config
from augury.train.engine.rundir import RunDirectory

LAUGHS = "a0: &a0 [1, 1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
# Content, words of the refusal.
YAML = [
    ("a: " + "[" * 60 + "]" * 60, "nested more than 50 deep"),
    ("a: " + "[" * 100_000, "nested more than 50 deep"),
    ("a: [" + "1, " * 10_001 + "1]", "more than 10000 values"),
    (LAUGHS, "values once aliases are expanded"),
    ("a: &a [*a]\n", "line 1: an alias that contains itself"),
    ("epochs: " + "9" * 5000, "a number with 5000 digits"),
    ("epochs: 2024-99-99", "not readable as YAML"),
    ("epochs: !!int abc", "not readable as YAML"),
    ("? [a]\n: 1", "not readable as YAML"),
    ("augment: !!python/object/apply:os.system ['true']", "could execute code"),
    ("a: [1", "line 1"), ("\x00", "YAML"),
    ("a: " + "x" * 2**20, "more than 1 MB besides texts in quotes"),
    ("a: 1\n# " + "x" * 2**20, "more than 1 MB besides texts in quotes"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "words"), YAML)
def test_settings_and_config_yaml_are_refused_in_one_line(content: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(content)
    for read in (lambda: read_config(file), RunDirectory(tmp_path).config):
        with pytest.raises(augury.InputError) as refused:
            read()
        assert words in str(refused.value) and str(file) in str(refused.value)
        assert len(str(refused.value)) < 600 and "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [content for content, _ in YAML if "9" * 5000 not in content and "1, 1, 1" not in content])
def test_policy_files_are_refused_in_one_line(content: str, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(f"augury_policy: 1\npolicies:\n  - - {{op: invert}}\n{content}")
    with pytest.raises(augury.InputError) as refused:
        read_policy_file(str(file))
    assert str(file) in str(refused.value) and "\n" not in str(refused.value)


def test_files_beyond_the_limit_are_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("config.yaml", "p.yaml"):
        with open(tmp_path / name, "wb") as file:
            file.truncate(2**24 + 1)
    reads = [lambda: read_config(tmp_path / "config.yaml"), RunDirectory(tmp_path).config]
    for read in (*reads, lambda: read_policy_file(str(tmp_path / "p.yaml"))):
        with pytest.raises(augury.InputError, match="at most 16 MB are read"):
            read()
    assert main(["train", "digits", "-c", str(tmp_path / "config.yaml"), "--output", str(tmp_path / "out")]) == 2
    assert "at most 16 MB" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_aliases_that_were_written_before_are_read(tmp_path: Path) -> None:
    """PyYAML writes a list that stands in two places once, with an alias."""
    shared = [1, 2]
    text = yaml.safe_dump({"risk_epochs": shared, "seeds": shared})
    assert "*id001" in text
    (tmp_path / "config.yaml").write_text(text)
    assert read_config(tmp_path / "config.yaml") == RunDirectory(tmp_path).config() == {"risk_epochs": shared, "seeds": shared}
    file = tmp_path / "p.yaml"
    found = yaml.safe_dump({"provenance": {"a": shared, "b": shared}})
    file.write_text(f"augury_policy: 1\npolicies:\n  - - {{op: invert}}\n{found}")
    assert read_policy_file(str(file)).provenance == {"a": shared, "b": shared}


def test_texts_of_policy_files_do_not_count_as_settings(tmp_path: Path) -> None:
    """A schedule of hundreds of epochs is megabytes of text in `config.yaml`, and one value."""
    text = "- {op: rotate, degrees: 30}\n" * 60_000
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"epochs": 2, "policy_files": {"p.yaml": text}}))
    assert RunDirectory(tmp_path).config()["policy_files"]["p.yaml"] == text


def test_long_text_of_digits_is_no_number() -> None:
    assert yaml_text.load(f'a: "{"1" * 400}"', "x") == {"a": "1" * 400}


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=60))
def test_any_text_is_read_as_pyyaml_reads_it_or_refused(text: str) -> None:
    try:
        expected = yaml.safe_load(text)
    except Exception:
        with pytest.raises(augury.InputError):
            yaml_text.load(text, "x")
    else:
        assert repr(yaml_text.load(text, "x")) == repr(expected)
