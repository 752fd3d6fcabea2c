"""The documentation site builds without a warning, its links lead somewhere, it loads nothing, and every public name is in it."""

import argparse
import importlib.util
import inspect
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

import augury
from augury.core import registry

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PARTS = ("sphinx", "myst_parser", "furo", "sphinx_copybutton", "sphinx_design", "sphinx_gallery")
MISSING = [part for part in PARTS if importlib.util.find_spec(part) is None]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site in its quick form: every page, without pictures of the gallery."""
    if MISSING:
        pytest.skip(f"the documentation site needs {', '.join(MISSING)}: pip install 'augury[docs]'")
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "AUGURY_DOCS": "quick", "PYTHONPATH": str(ROOT / "src")}
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "-d",
        folder / "trees",
        DOCS,
        folder / "html",
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder / "html"


class Page(HTMLParser):
    """What a page of HTML points to, what it loads, and the anchors it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given["id"]} if "id" in given else set()
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "img":
            decoration = "alt" in given and given.get("src", "").endswith("_thumb.png")  # the title of its example stands beside
            assert given.get("alt") or decoration, f"a picture without a text in its place: {given.get('src')}"
        assert given.get("role") != "heading" or "aria-level" in given, f"a heading without a level: {given}"
        if tag in ("script", "img", "iframe", "source") and "src" in given:
            self.loads.append(given["src"])
        if tag == "link" and given.get("rel") not in ("search", "next", "prev", "index", "genindex", "canonical"):
            self.loads.append(given.get("href", ""))


def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 150
    broken = []
    for path, page in pages.items():
        for link in page.links:
            name, _, anchor = unquote(link).partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            target = (path.parent / name).resolve() if name else path
            if not target.exists() or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        for source in Page(path).loads:
            assert not re.match(r"([a-z]+:)?//", source), f"{path.name} loads {source}"
    for path in [*site.rglob("*.css")]:
        assert not re.search(r"url\(\s*['\"]?(https?:)?//|@import", path.read_text(encoding="utf-8")), path.name


def test_every_page_has_its_place_in_the_navigation(site: Path) -> None:
    start = (site / "index.html").read_text(encoding="utf-8")
    for page in sorted(DOCS.glob("*.md")):
        assert page.stem == "index" or f'href="{page.stem}.html"' in start, f"name docs/{page.name} in a section of docs/index.md"


def commands() -> dict[str, argparse.ArgumentParser]:
    from augury.cli import _parser

    nested = next(action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction))
    return dict(nested.choices)


def test_every_command_and_flag_is_in_the_reference(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "reference" / "command-line.html").read_text(encoding="utf-8"))
    for name, command in commands().items():
        assert f"augury {name}" in text
        for action in command._actions:
            assert action.dest == "help" or action.help, f"augury {name} {action.dest} has no help"
            assert all(flag in text for flag in action.option_strings if len(flag) > 2 and flag != "--help")


def test_every_setting_is_in_the_configuration_page(site: Path) -> None:
    from augury.core.flags import flags_of
    from augury.train.engine.settings import Settings

    text = re.sub(r"<[^>]+>", "", (site / "reference" / "configuration.html").read_text(encoding="utf-8"))
    for flag in flags_of(Settings):
        assert flag.option.removeprefix("--") in text


def test_every_public_name_is_in_the_reference() -> None:
    listed = set(re.findall(r"^   augury\.(\w+)$", (DOCS / "reference" / "api.md").read_text(encoding="utf-8"), re.MULTILINE))
    assert listed == set(augury.__all__) - {"__version__", "ops", "policies", "presets"}


def undocumented(name: str) -> list[str]:
    """A public name and its public methods and properties, as far as they have no text. A law's members have those of `Law`."""
    found = getattr(augury, name)
    bare = [] if (found.__doc__ or "").strip() and not _is_signature(found) else [name]
    if inspect.isclass(found):
        for key, value in vars(found).items():
            called = inspect.isfunction(value) or isinstance(value, (property, classmethod, staticmethod))
            of_law = hasattr(found, "log_prob") and inspect.getdoc(getattr(augury.Law, key, None))
            if called and not key.startswith("_") and not (of_law or inspect.getdoc(getattr(found, key))):
                bare.append(f"{name}.{key}")
    return bare


def _is_signature(found: object) -> bool:
    """Whether a dataclass has only the text that Python makes for it."""
    return inspect.isclass(found) and (found.__doc__ or "").startswith(f"{found.__name__}(")


@pytest.mark.parametrize("name", sorted(set(augury.__all__) - {"__version__"}))
def test_public_names_have_a_docstring(name: str) -> None:
    assert undocumented(name) == []


def test_the_gallery_can_draw_every_operation_policy_and_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    from _site import cards, pictures

    entries = [entry for kind in cards.DRAWN for entry in registry.entries(kind) if entry.own and entry.name not in pictures.UNSEEN]
    assert len(entries) > 45
    for entry in entries:
        if entry.kind != "strategy":
            assert augury.pipeline(pictures.text_of(entry.kind, entry.name)).stages, entry.name


def test_pictures_go_from_weak_to_strong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    from _site import pictures

    flower = pictures.photographs()[1].float()
    for name in ("rotate", "brightness", "mixup", "posterize", "solarize", "translate_x"):
        made = pictures._by_parameter(name)
        assert made is not None
        changed = [float((picture - flower).abs().mean()) for picture in made[0]]
        assert changed[-1] > changed[0] and changed[0] == min(changed), name


def test_masks_move_in_pictures_of_what_moves_pixels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    from _site import moving, pictures

    images = pictures.photographs()
    for text, words in {"rotate": "box", "cutmix(p=1)": "The mask (yellow) moves", "invert": None, "mixup": None}.items():
        made = moving.annotated(text, images, 2)
        assert made is None if words is None else made is not None and words in made[1]


def test_pictures_of_a_strategy_have_a_column_for_every_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    from _site import pictures, seen

    images = pictures.photographs()
    for name, count in {"erm": 1, "ait": 2, "augmix_jsd": 3}.items():
        after, _ = seen.views(name, images)
        assert len(after) == count and all(view.shape == images.shape for view in after)


def test_examples_have_a_page_and_a_notebook(site: Path) -> None:
    names = [path.stem for path in (DOCS / "examples").glob("*.py")]
    assert len(names) == 8
    for name in names:
        page = (site / "auto_examples" / f"{name}.html").read_text(encoding="utf-8")
        assert f"{name}.ipynb" in page and f"{name}.py" in page


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((DOCS / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_example_runs(path: Path) -> None:
    pytest.importorskip("lightning")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "MPLBACKEND": "agg"}
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, env=environment, timeout=900)
    assert done.returncode == 0, done.stderr
