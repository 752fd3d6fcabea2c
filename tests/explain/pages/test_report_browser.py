"""The report in a real browser: it renders, its script runs, its table sorts, nothing sticks out on a phone."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from augury.explain.pages.page import comparison_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
]
# Written into the page by the test: clicks as a reader would and leaves what it sees in the title.
PROBE = """<script>
const names = () => [...document.querySelectorAll("table tbody")][0].querySelectorAll("tr .name");
const order = () => [...names()].map((cell) => cell.textContent);
const header = (n) => document.querySelectorAll("table thead th")[n];
const seen = {before: order()};
header(2).querySelector("button").click(); seen.descending = order(); seen.sort = header(2).getAttribute("aria-sort");
header(2).querySelector("button").click(); seen.ascending = order();
header(0).querySelector("button").click(); seen.alphabet = order(); seen.left = header(2).getAttribute("aria-sort");
seen.ready = document.documentElement.dataset.sorting;
seen.images = [...document.images].map((image) => image.naturalWidth);
seen.figures = [...document.querySelectorAll(".panels > svg")].map((figure) => figure.getBoundingClientRect().height);
seen.overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
document.title = JSON.stringify(seen);
</script></body>"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")
Browser = Callable[..., str]


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    def run(page: str, *flags: str) -> str:
        file = tmp_path / "report.html"
        file.write_text(page, encoding="utf-8")
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        command = [str(CHROMIUM), *FLAGS, profile, *flags, file.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    return run


@pytest.fixture
def seen(browser: Browser, comparison: dict[str, Any]) -> dict[str, Any]:
    page = comparison_page(**comparison).replace("</body>", PROBE)
    title = re.search(r"<title>(.*?)</title>", browser(page, "--dump-dom", "--window-size=1200,900"), re.DOTALL)
    assert title is not None
    found: dict[str, Any] = json.loads(unescape(title.group(1)))
    return found


def test_the_page_renders_and_its_tables_sort(seen: dict[str, Any], comparison: dict[str, Any]) -> None:
    rows = comparison["result"]["rows"]
    names = [row["augment"] for row in rows]
    by_accuracy = [row["augment"] for row in sorted(rows, key=lambda row: row["mean"])]
    assert seen["ready"] == "ready" and seen["before"] == names
    assert seen["descending"] == by_accuracy[::-1] and seen["sort"] == "descending"
    assert seen["ascending"] == by_accuracy
    assert seen["alphabet"] == sorted(names) and seen["left"] is None
    assert len(seen["images"]) == 1 and min(seen["images"]) > 300
    assert len(seen["figures"]) == 4 and min(seen["figures"]) > 150


@pytest.mark.parametrize("scheme", [0, 1], ids=["dark", "light"])
def test_dark_and_light_pages_are_legible(browser: Browser, comparison: dict[str, Any], tmp_path: Path, scheme: int) -> None:
    picture = tmp_path / "page.png"
    page = comparison_page(**comparison)
    browser(page, f"--screenshot={picture}", "--window-size=1200,1400", f"--blink-settings=preferredColorScheme={scheme}")
    grey = np.asarray(Image.open(io.BytesIO(picture.read_bytes())).convert("L")).astype(int)
    ground = int(np.median(grey))
    assert (ground < 60) if scheme == 0 else (ground > 220)
    figure = grey[900:1250]  # the intervals: axis text must stand out from the ground as body text does
    assert np.abs(figure - ground).max() > 150


def test_nothing_sticks_out_on_a_phone(browser: Browser, comparison: dict[str, Any]) -> None:
    # Headless windows are no narrower than 500 pixels, so the page stands in a frame of a phone's width.
    long = [
        dict(row, augment=f"inaugment(policy=randaugment,patches={n})+{'x' * 60}")
        for n, row in enumerate(comparison["result"]["rows"])
    ]
    paste = f"<pre><code>augury train photographs --augment '{'x' * 200}' --output run</code></pre>"  # as `recommend` has it
    inner = comparison_page(**(comparison | {"result": {"rows": long}}), figures=[("Use it", paste, "To paste.")])
    inner = inner.replace("</body>", "<script>parent.postMessage(document.documentElement.scrollWidth, '*')</script></body>")
    frame = inner.replace("&", "&amp;").replace('"', "&quot;")
    page = f"""<!doctype html><title>none</title><script>onmessage = (event) => document.title = event.data</script>
        <iframe width="390" height="800" style="border:0" srcdoc="{frame}"></iframe>"""
    dumped = browser(page, "--dump-dom", "--virtual-time-budget=3000")
    assert re.search(r"<title>(\d+)</title>", dumped).group(1) == "390"  # type: ignore[union-attr]
