"""`augury preview`: what an augmentation does to the user's own images."""

import base64
import html
from pathlib import Path

from torch import Tensor

from augury.core.errors import InputError
from augury.core.options import Chain, parse_list
from augury.explain.report.sheet import Block, sheets
from augury.jobs.saliency import fill_for, keep_block
from augury.jobs.sheets import draw, rows_of
from augury.train.data.dataset import Dataset, load
from augury.train.engine.checkpoint import write_atomically


def preview(
    data: str, augment: str, output: Path, *, images: int = 6, draws: int = 6, seed: int = 0, epoch: int = 1,
    data_dir: str | None = None, image_size: int | None = None, overwrite: bool = False, model: Path | None = None,
) -> list[str]:  # fmt: skip
    """A sheet per augmentation: rows are training images, columns draws, what was drawn stands under each picture.

    The draws are those of a training with `seed` in epochs `epoch`, `epoch` + 1, ... (1-based, as in metrics.jsonl).
    What looks at a network's saliency (keep_cutout, ...) needs `model`, a run's folder, and shows saliency and candidates too.
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
    png = sheets([_block(dataset, chain, rows, draws, seed, epoch - 1, model) for chain in chains])
    write_atomically(output, png if output.suffix.lower() == ".png" else _page(png, data, seed, epoch).encode())
    return list(dataset.notes)


def _block(dataset: Dataset, chain: Chain, rows: Tensor, draws: int, seed: int, epoch: int, model: Path | None) -> Block:
    fill = fill_for(chain, dataset, model)
    kept = None if fill is None else keep_block(dataset, chain, rows, draws, fill, seed=seed, epoch=epoch)
    if kept is not None:
        return kept
    shown = draw(dataset, chain, rows, draws, seed=seed, epoch=epoch, fill=fill)
    return Block(str(chain), shown.before, shown.after, shown.captions)


def _page(png: bytes, data: str, seed: int, epoch: int) -> str:
    title = html.escape(f"augury preview of {data}, seed {seed}, from epoch {epoch}")
    image = base64.b64encode(png).decode()
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>:root{{color-scheme:light dark}}body{{font:16px system-ui;margin:1rem}}"
        f'img{{max-width:100%;height:auto}}</style><h1>{title}</h1><img alt="{title}" src="data:image/png;base64,{image}"></html>\n'
    )
