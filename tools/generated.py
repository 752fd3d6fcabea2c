"""Files that a tool writes: written where they are out of date, or only checked."""

import argparse
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main(name: str, description: str, texts: Mapping[Path, str], arguments: list[str] | None = None) -> int:
    """The command of a tool: writes the files whose texts differ and names them; with --check it only names them, and the result
    is 1 if there are any."""
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where a file is out of date")
    check = parser.parse_args(arguments).check
    stale = [path for path, text in texts.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if not check:
            path.write_text(texts[path], encoding="utf-8")
        print(f"{'stale' if check else 'written'}: {path.relative_to(ROOT)}")
    return int(check and bool(stale))
