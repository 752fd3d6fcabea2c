"""Pictures of the gallery, drawn while the site is built: two photographs that come with scikit-learn under what a name does."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor

import augury
from _site.moving import annotated
from _site.seen import AUGMENT, views
from augury.core import registry
from augury.core.laws import Constant, Law

FOLDER = Path(__file__).resolve().parents[1] / "_build" / "gallery"
SIDE, GAP, DRAWS, STEPS = 128, 4, 4, 5
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
# What is drawn for names that need something to work on; others are drawn with their defaults.
WRITTEN = {
    "keep": "keep(cutout)",
    "batch_augment": "batch_augment(2)+randaugment",
    "grayscale": "grayscale(p=1)",
    "flip": "flip(p=1)",
    "cutmix": "cutmix(p=1)",
    "tanda": "tanda(functions=[rotate(degrees=20), zoom(factor=1.3), brightness(factor=1.5)], length=2)",
}
# What changes no pixel, is a part of another method, or only replays a file of the user's.
UNSEEN = {"none", "normalize", "identity", "inaugment_patch", "pba", "fast_autoaugment"}


@dataclass(frozen=True)
class Strip:
    """A picture: its file, and the words beside it."""

    file: str
    words: str


def text_of(kind: str, name: str) -> str:
    """What is written to get the pictures of a name."""
    return WRITTEN.get(name, name)


def strips(kind: str, name: str) -> list[Strip]:
    """A picture of draws, and one from weak to strong where the name has a strength."""
    if name in UNSEEN:
        return []
    FOLDER.mkdir(parents=True, exist_ok=True)
    if kind == "strategy":
        return [_seen(name)]
    made = [_drawn(kind, name)]
    steps = _by_parameter(name) if kind == "op" else _by_magnitude(kind, name)
    if steps is not None:
        pictures, words = steps
        file = f"{kind}-{name}-strength.webp"
        _save([pictures], file)
        made.append(Strip(file, words))
    moved = annotated(text_of(kind, name), photographs(), DRAWS)
    if moved is not None:
        file = f"{kind}-{name}-masks.webp"
        _save([moved[0]], file)
        made.append(Strip(file, moved[1]))
    return made


def thumbnail(kind: str, name: str) -> str:
    """The file of a small picture for the page of all names: three steps from weak to strong, or three draws."""
    steps = _by_parameter(name) if kind == "op" else None
    if kind == "strategy":
        chosen = [view[1] for view in views(name, photographs())[0][:3]]
    elif steps is not None:
        chosen = [steps[0][0], steps[0][STEPS // 2], steps[0][-1]]
    else:
        chosen = [draw[1] for draw in _draws(kind, name)[:3]]
    file = f"{kind}-{name}-small.webp"
    FOLDER.mkdir(parents=True, exist_ok=True)
    _save([chosen], file)
    return file


def original() -> str:
    """The file of the photographs as they are."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    _save([list(photographs())], "original.webp")
    return "original.webp"


def photographs() -> Tensor:
    """uint8 [2,3,SIDE,SIDE]: a temple and a flower, cut square."""
    found = []
    for image in load_sample_images().images:
        rows, columns = image.shape[:2]
        left = (columns - rows) // 2
        small = Image.fromarray(image).crop((left, 0, left + rows, rows)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        found.append(torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).view(SIDE, SIDE, 3).permute(2, 0, 1))
    return torch.stack(found)


def _drawn(kind: str, name: str) -> Strip:
    draws, images = _draws(kind, name), photographs()
    file = f"{kind}-{name}.webp"
    _save([[images[row], *(draw[row] for draw in draws)] for row in (0, 1)], file)
    return Strip(file, f"Two photographs, and {DRAWS} draws of `{text_of(kind, name)}` for each.")


def _seen(name: str) -> Strip:
    after, words = views(name, photographs())
    images, file = photographs(), f"strategy-{name}.webp"
    _save([[images[row], *(view[row] for view in after)] for row in (0, 1)], file)
    return Strip(file, f"Two photographs, and {words} of each, with `{AUGMENT}` as the augmentation.")


def _draws(kind: str, name: str) -> list[Tensor]:
    """DRAWS times both photographs as a batch of two, so that the partner in a mix is the other one."""
    pipeline = augury.pipeline(text_of(kind, name))
    needy = any("saliency" in stage.needs for stage in pipeline.stages)
    images, ids = photographs(), torch.tensor([0, 1])
    out = []
    for epoch in range(DRAWS):
        batch = augury.Batch(images, augury.Targets.of(ids, 2), ids)
        done, _ = pipeline.run(batch, augury.Noise.of(4, ids, epoch=epoch), saliency=_saliency() if needy else None)
        out.append(done.images)
    return out


def _by_parameter(name: str) -> tuple[list[Tensor], str] | None:
    """The flower at STEPS values of the operation's parameters, from weak to strong as far as it says what changes nothing."""
    op = registry.get("op", name)()
    laws = {key: parameter.law for key, parameter in op.parameters.items() if not isinstance(parameter.law, Constant)}
    if not laws or name in UNSEEN:
        return None
    values = {key: _rising(law, (op.identity or {}).get(key)) for key, law in laws.items()}
    if len(set(map(tuple, torch.stack(list(values.values()), 1).tolist()))) < 2:
        return None
    images = photographs()
    pictures = []
    for step in range(STEPS):
        given: dict[str, Any] = {key: float(value[step]) for key, value in values.items()}
        partner = torch.tensor([1, 0]) if "partner" in op.needs else None
        pictures.append(augury.apply(name, images, partner=partner, **given)[1])
    shown = {key: value for key, value in values.items() if op.parameters[key].caption(0.0)}
    said = [f"`{key}` = {', '.join(f'{float(v):.3g}' for v in value)} {op.parameters[key].unit}" for key, value in shown.items()]
    order = "From weak to strong" if op.identity else "From one end of its law to the other"
    return pictures, f"{order}: {'; '.join(said)}."


def _rising(law: Law, identity: float | None) -> Tensor:
    """STEPS values of a law, from the one nearest to what changes nothing to the end that is farthest from it."""
    at = torch.linspace(0.02, 0.98, 97)
    values = law.value(at, at).double()
    if identity is None:
        return values[torch.linspace(0, 96, STEPS).long()]
    apart = (values - identity).abs()
    return values[torch.linspace(float(apart.argmin()), 96 if apart[-1] >= apart[0] else 0, STEPS).round().long()]


def _by_magnitude(kind: str, name: str) -> tuple[list[Tensor], str] | None:
    """The flower under a policy at rising magnitudes, with the same draw."""
    if "magnitude" not in inspect.signature(registry.get(kind, name)).parameters or kind != "policy":  # type: ignore[arg-type]
        return None
    magnitudes = (3, 9, 15, 21, 27)
    ids = torch.tensor([0, 1])
    pictures = []
    for magnitude in magnitudes:
        batch = augury.Batch(photographs(), None, ids)
        done, _ = augury.pipeline(f"{name}(magnitude={magnitude})").run(batch, augury.Noise.of(3, ids))
        pictures.append(done.images[1])
    return pictures, f"The same draw at `magnitude` = {', '.join(map(str, magnitudes))}."


_NETWORK: list[Any] = []


def _saliency() -> Any:
    """Saliency of a small network that was taught, in some seconds, to tell pieces of the two photographs apart."""
    if not _NETWORK:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = augury.model("small_cnn", classes=2)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
            crops = augury.pipeline("resized_crop+flip+color_jitter")
            labels = torch.arange(16) % 2
            for _ in range(30):
                values = (crops(photographs()[labels]).float() / 255 - 0.5) / 0.25
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(values), labels).backward()
                optimizer.step()
            _NETWORK.append(model.eval())
    return augury.saliency(_NETWORK[0], mean=MEAN, std=STD)


def _save(rows: list[list[Tensor]], file: str) -> None:
    wide = max(map(len, rows))
    sheet = Image.new("RGBA", (wide * (SIDE + GAP) - GAP, len(rows) * (SIDE + GAP) - GAP), (0, 0, 0, 0))
    for top, row in enumerate(rows):
        for left, image in enumerate(row):
            pixels = image.permute(1, 2, 0).contiguous().numpy()
            sheet.paste(Image.fromarray(pixels), (left * (SIDE + GAP), top * (SIDE + GAP)))
    sheet.save(FOLDER / file, quality=82)
