"""The documentation is true: its examples run, its links lead somewhere, every method has a card that agrees with the source."""

import re
from pathlib import Path

import card_facts
import pytest
import torch

import augury
from augury.core import registry

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts)])
LIBRARIES = {"huggingface.md", "lightning.md", "timm.md", "torchvision.md"}  # run by tests/adapters/test_guides.py
CARDS = ROOT / "docs" / "cards"
SECTIONS = ["What it does", "When to use it", "When not", "Cost", "Settings", "Source", "Measured"]
SKIP = "<!-- not run -->"
BLOCK = re.compile(rf"^(?P<skip>{SKIP}\n+)?```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
ENTRIES = [entry for kind in card_facts.KINDS for entry in registry.entries(kind)]


def plain(text: str) -> str:
    """Text without line breaks, so that it can be searched however it is wrapped."""
    return " ".join(text.split())


def blocks() -> list[tuple[str, str]]:
    found = []
    for page in (page for page in PAGES if page.name not in LIBRARIES):
        for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
            if not match["skip"]:
                line = page.read_text(encoding="utf-8")[: match.start("code")].count("\n") + 1
                found.append((f"{page.relative_to(ROOT)}:{line}", match["code"]))
    return found


def card_of(entry: registry.Registration) -> dict[str, str]:
    """The sections of an entry's card by heading."""
    path = CARDS / entry.kind / f"{entry.name}.md"
    assert path.is_file(), f"{entry.kind} {entry.name} has no card: write {path.relative_to(ROOT)}"
    title, *parts = re.split(r"^## (.+)\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert title.strip() == f"# {entry.name}"
    return dict(zip(parts[::2], parts[1::2], strict=True))


@pytest.mark.parametrize(("where", "code"), [pytest.param(*block, id=block[0]) for block in blocks()])
def test_example_runs_and_asserts(where: str, code: str) -> None:
    assert re.search(r"^\s*assert ", code, re.MULTILINE), f"{where}: an example must assert something"
    for library in re.findall(r"^(?:import|from) (pyarrow|webdataset|tifffile)", code, re.MULTILINE):
        pytest.importorskip(library)
    with card_facts.forgetting_new_names():
        exec(compile(code, where, "exec"), {"__name__": "documentation_example"})


def test_the_guide_and_the_contributing_page_have_examples() -> None:
    pages = {where.split(":")[0] for where, _ in blocks()}
    assert {"docs/guide.md", "CONTRIBUTING.md"} <= pages


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.kind}-{e.name}")
def test_card_has_every_section_and_the_source(entry: registry.Registration) -> None:
    sections = card_of(entry)
    assert list(sections) == SECTIONS
    for heading, text in sections.items():
        assert text.strip(), f"{heading} is empty"
    assert plain(entry.source) in plain(sections["Source"])


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.kind}-{e.name}")
def test_card_states_the_settings_of_the_source(entry: registry.Registration) -> None:
    settings = plain(card_of(entry)["Settings"])
    lines = {**card_facts.option_lines(entry.kind, entry.name), **card_facts.parameter_lines(entry.kind, entry.name)}
    for name, text in lines.items():
        assert f"- `{name}`: {text}." in settings
    assert set(re.findall(r"- `(\w+)`:", settings)) == set(lines)


def test_every_card_belongs_to_a_registered_name() -> None:
    known = {(entry.kind, entry.name) for entry in ENTRIES}
    for path in CARDS.glob("*/*.md"):
        assert (path.parent.name, path.stem) in known, f"{path.relative_to(ROOT)}: nothing of that name is registered"


def anchors(page: Path) -> set[str]:
    """The anchors that the headings of a page get on GitHub."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{target} does not exist"
        assert not anchor or anchor in anchors(path), f"{path.name} has no heading {anchor!r}"


def test_the_table_of_networks_is_true() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \| (.*?) \| (.*) \|$", (CARDS / "models.md").read_text(), re.MULTILINE)
    assert sorted(name for name, *_ in rows) == registry.names("model")
    for entry in registry.entries("model"):
        count, options, source = next(rest for name, *rest in rows if name == entry.name)
        with torch.device("meta"):
            network = augury.model(entry.name, classes=10, channels=3)
        assert sum(p.numel() for p in network.parameters()) == int(count.replace(",", "")), entry.name
        assert set(re.findall(r"`(\w+)`", options)) == set(card_facts.option_lines("model", entry.name)) - {"classes", "channels"}
        assert source == entry.source


def test_the_augmentations_of_documented_commands_exist() -> None:
    from augury.augment.names import build
    from augury.core.options import parse_list

    found = [
        (page.name, text.removesuffix(",..."))
        for page in PAGES
        for text in re.findall(
            r'--augment "([^"]+)"', re.sub(r"^@register.*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        )
        if not re.search(r"\.(yaml|safetensors)\b", text)  # a file that the command before it makes
    ]
    assert len(found) > 8
    for name, text in found:
        for chain in parse_list(text, name):
            assert build(chain, ((0.5,), (0.5,))).stages, f"{name}: {text}"


def test_the_guide_to_keepaugment_names_its_recipes_and_no_settings_beside_them() -> None:
    """Catches a second set of settings: the commands of a table are those of its recipe."""
    text = (ROOT / "docs" / "keepaugment.md").read_text(encoding="utf-8")
    section = text[text.index("## The paper's tables") :]
    named = set(re.findall(r"keepaugment_(?:table|figure)\d", section))
    assert named == {name for name in registry.names("recipe") if name.startswith("keepaugment")}
    assert not re.search(r"--(epochs|lr|batch-size|weight-decay|augment)\b", section)
