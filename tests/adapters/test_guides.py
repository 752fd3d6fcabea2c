"""The guides' scripts are complete, short, and run."""

import re
from pathlib import Path

import pytest
from PIL import Image

DOCS = Path(__file__).resolve().parents[2] / "docs"
GUIDES = {"lightning": ["lightning"], "huggingface": ["transformers", "accelerate"], "timm": ["timm"], "torchvision": []}
BLOCKS = {"lightning": 2}


@pytest.mark.filterwarnings("ignore")  # the libraries' own
@pytest.mark.parametrize("page", GUIDES)
def test_the_script_of_a_guide_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in GUIDES[page]:
        pytest.importorskip(library)
    found = re.findall(r"^```python\n(.*?)^```", (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(found) == BLOCKS.get(page, 1)
    monkeypatch.chdir(tmp_path)
    for number in range(6):
        folder = tmp_path / "photographs" / "train" / ("glass", "metal")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (80, 66 + number), (40 * number, 80, 90)).save(folder / f"{number}.png")
    names: dict[str, object] = {"__name__": "guide"}
    for block in found:  # one after the other, as a reader pastes them
        assert len(block.splitlines()) < 40 and re.search(r"^assert ", block, re.MULTILINE)
        exec(compile(block, f"docs/{page}.md", "exec"), names)
