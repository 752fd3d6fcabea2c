"""The guides' scripts are complete, short, and run."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
GUIDES = {"lightning": ["lightning"], "huggingface": ["transformers", "accelerate"], "timm": ["timm"], "torchvision": []}


@pytest.mark.filterwarnings("ignore")  # the libraries' own
@pytest.mark.parametrize("page", GUIDES)
def test_the_script_of_a_guide_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in GUIDES[page]:
        pytest.importorskip(library)
    found = re.findall(r"^```python\n(.*?)^```", (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(found) == 1 and len(found[0].splitlines()) < 40 and re.search(r"^assert ", found[0], re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    exec(compile(found[0], f"docs/{page}.md", "exec"), {"__name__": "guide"})
