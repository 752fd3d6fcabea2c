"""tools/new_op.py: what it writes works as it stands, and what it refuses leaves nothing behind."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import card_facts
import pytest
import torch

import augury
from augury.core import registry

TOOL = Path(__file__).resolve().parents[2] / "tools" / "new_op.py"


def load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield load(TOOL, "new_op")


@pytest.fixture
def fresh_registry() -> Iterator[None]:
    with card_facts.forgetting_new_names():
        yield


def test_writes_an_operation_that_works(tool: ModuleType, tmp_path: Path, fresh_registry: None) -> None:
    assert tool.main(["wobble"], tmp_path) == 0
    load(tmp_path / "src/augury/augment/ops/wobble.py", "wobble_module")
    images = torch.randint(0, 256, (4, 3, 7, 9), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert augury.apply("wobble", images, factor=1.0).equal(images)
    assert not augury.pipeline("wobble")(images).equal(images)
    row = torch.arange(8, dtype=torch.uint8).expand(1, 1, 1, 8)
    assert augury.apply("wobble", row, factor=2.0).flatten().tolist() == [2, 2, 3, 3, 4, 4, 5, 5]


def test_writes_a_card_that_the_documentation_tests_accept(tool: ModuleType, tmp_path: Path, fresh_registry: None,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    import test_docs

    tool.create("wobble", tmp_path)
    load(tmp_path / "src/augury/augment/ops/wobble.py", "wobble_module")
    monkeypatch.setattr(test_docs, "CARDS", tmp_path / "docs/cards")
    entry = next(e for e in registry.entries("op") if e.name == "wobble")
    test_docs.test_card_has_every_section_and_the_source(entry)
    test_docs.test_card_states_the_settings_of_the_source(entry)


@pytest.mark.parametrize("name", ["rotate", "randaugment", "standard", "Wobble", "1st", "a-b", "a/b", "class", "_x", ""])
def test_refuses_in_one_line_and_writes_nothing(
    tool: ModuleType, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main([name], tmp_path) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_never_overwrites_a_file(tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = tmp_path / "docs/cards/op/wobble.md"
    card.parent.mkdir(parents=True)
    card.write_text("mine")
    assert tool.main(["wobble"], tmp_path) == 2
    assert card.read_text() == "mine" and not (tmp_path / "src").exists()
    assert "wobble.md" in capsys.readouterr().err
