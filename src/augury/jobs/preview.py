"""`augury preview`: what an augmentation does to the user's own images."""

import base64
import html
from pathlib import Path

from augury.core.errors import InputError
from augury.core.options import parse_list
from augury.explain.report.sheet import Block, sheets
from augury.jobs.sheets import draw, rows_of
from augury.train.data.dataset import load
from augury.train.engine.checkpoint import write_atomically


def preview(
    data: str, augment: str, output: Path, *, images: int = 6, draws: int = 6, seed: int = 0, epoch: int = 1,
    data_dir: str | None = None, image_size: int | None = None, overwrite: bool = False,
) -> list[str]:  # fmt: skip
    """A sheet per augmentation: rows are training images, columns draws, what was drawn stands under each picture.

    The draws are those of a training with `seed` in epochs `epoch`, `epoch` + 1, ... (1-based, as in metrics.jsonl).
    Writes a PNG or a self-contained HTML page, by the file's ending. Returns the data set's notes.
    """
    if output.suffix.lower() not in (".png", ".html"):
        raise InputError(f"--output {output}: give a file that ends in .png or .html")
    if output.exists() and not overwrite:
        raise InputError(f"--output {output}: exists; add --overwrite to replace it")
    if not output.parent.is_dir():
        raise InputError(f"--output {output}: there is no folder {output.parent}")
    chains = parse_list(augment, "--augment")
    dataset = load(data, data_dir=data_dir, image_size=image_size)
    rows = rows_of(dataset, images)
    blocks = [(str(chain), draw(dataset, chain, rows, draws, seed=seed, epoch=epoch - 1)) for chain in chains]
    png = sheets([Block(title, shown.before, shown.after, shown.captions) for title, shown in blocks])
    write_atomically(output, png if output.suffix.lower() == ".png" else _page(png, data, seed, epoch).encode())
    return list(dataset.notes)


def _page(png: bytes, data: str, seed: int, epoch: int) -> str:
    title = html.escape(f"augury preview of {data}, seed {seed}, from epoch {epoch}")
    image = base64.b64encode(png).decode()
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>:root{{color-scheme:light dark}}body{{font:16px system-ui;margin:1rem}}"
        f'img{{max-width:100%;height:auto}}</style><h1>{title}</h1><img alt="{title}" src="data:image/png;base64,{image}"></html>\n'
    )
