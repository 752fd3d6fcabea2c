"""Saliency maps of several images under several networks, with each network's prediction, as HTML."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import escape
from matplotlib import colormaps
from PIL import Image

from augury.augment.shown import shown_bands

_LARGEST = 192


@dataclass(frozen=True)
class Seen:
    """One network's result on an image. maps: title -> float [H,W], non-negative. best: class and probability, best first."""

    maps: dict[str, np.ndarray]
    best: Sequence[tuple[str, float]]


@dataclass(frozen=True)
class MapRow:
    """image: uint8 [C,H,W]. name: the image's name. label: its class. seen: network -> result."""

    image: np.ndarray
    name: str
    label: str
    seen: dict[str, Seen]


def map_table(rows: Sequence[MapRow]) -> str:
    """A row per image: the image, then each network's maps above its most probable classes, the true one marked."""
    networks = list(rows[0].seen)
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in networks)
    body = "".join(_row(row) for row in rows)
    return (
        '<div class="scroll" tabindex="0" role="group" aria-label="Saliency maps"><table class="maps"><thead><tr>'
        f'<th scope="col">image</th>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def overlay(image: np.ndarray, found: np.ndarray) -> np.ndarray:
    """uint8 [H,W,3]: a map in colour, scaled to its 99th percentile, over the image in grey."""
    top = max(float(np.quantile(found, 0.99)), 1e-12)
    level = np.clip(np.nan_to_num(found) / top, 0, 1)
    grey = image.astype(np.float32).mean(0)[..., None]
    # Perceptually uniform and readable without colour vision; dark where the map is 0, so that the image shows.
    colour = colormaps["inferno"](level)[..., :3] * 255
    return np.clip(0.45 * grey + 0.75 * colour, 0, 255).round().astype(np.uint8)


def _row(row: MapRow) -> str:
    cells = "".join(cell_text(row, seen) for seen in row.seen.values())
    bands = row.image[list(shown_bands(len(row.image)))]
    plain = np.broadcast_to(bands, (3, *bands.shape[1:])).transpose(1, 2, 0)
    head = f'<th scope="row">{_picture(plain, row.name)}<span>{escape(row.label)}</span><small>{escape(row.name)}</small></th>'
    return f"<tr>{head}{cells}</tr>"


def cell_text(row: MapRow, seen: Seen) -> str:
    pictures = "".join(
        f"<figure>{_picture(overlay(row.image, found), f'{title} of {row.name}')}<figcaption>{escape(title)}</figcaption></figure>"
        for title, found in seen.maps.items()
    )
    lines = "".join(_line(name, probability, name == row.label) for name, probability in seen.best)
    return f'<td><div class="pictures">{pictures}</div><ol>{lines}</ol></td>'


def _line(name: str, probability: float, right: bool) -> str:
    text = f"{escape(name)} {100 * probability:.0f} %"
    return f'<li class="right"><b>{text}</b><span aria-label=", the right class"> ✓</span></li>' if right else f"<li>{text}</li>"


def _picture(pixels: np.ndarray, spoken: str) -> str:
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if max(picture.size) > _LARGEST:
        picture.thumbnail((_LARGEST, _LARGEST))
    target = io.BytesIO()
    picture.save(target, "PNG", optimize=True)
    source = f"data:image/png;base64,{base64.b64encode(target.getvalue()).decode()}"
    return f'<img src="{source}" alt="{escape(spoken)}" width="96" height="{round(96 * picture.height / picture.width)}">'
