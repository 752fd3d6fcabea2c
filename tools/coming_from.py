"""Write the tables of docs/coming-from.md from `augury/core/other_names.yaml`; `--check` writes nothing and compares."""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

from augury.core.other_names import other_names  # noqa: E402

PAGE = ROOT / "docs" / "coming-from.md"
START, END = "<!-- tables -->\n", "<!-- end of tables -->\n"
TITLES = {
    "torchvision": "torchvision (v2)",
    "albumentations": "albumentations",
    "kornia": "Kornia",
    "keras": "Keras",
    "timm": "timm",
    "composer": "Composer",
}


def tables() -> str:
    """A table for each library."""
    parts = []
    for library, title in TITLES.items():
        rows = []
        for entry in other_names():
            if entry.library == library:
                here = f"`{entry.ours}`" if entry.ours else f"nearest: `{entry.nearest}`" if entry.nearest else "none"
                rows.append(f"| `{entry.name}` | {here} | {'' if entry.differs == 'none' else entry.differs} |")
        parts.append("\n".join([f"## {title}\n", "| there | here | what differs |", "|---|---|---|", *rows]))
    return "\n" + "\n\n".join(parts) + "\n\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where the page is not as it would be")
    options = parser.parse_args()
    before = PAGE.read_text(encoding="utf-8")
    head, rest = before.split(START)
    after = head + START + tables() + END + rest.split(END)[1]
    if options.check:
        return int(after != before)
    PAGE.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
