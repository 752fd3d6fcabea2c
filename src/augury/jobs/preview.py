"""`augury preview`: what an augmentation does to the user's own images."""

import base64
import html
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from augury.augment.stages.normalize import Normalize
from augury.core.errors import InputError
from augury.core.options import Chain, parse_chain, parse_list
from augury.explain.report.sheet import Block, sheets
from augury.jobs.runs import Run, open_run
from augury.jobs.saliency import keep_block, saliency_for
from augury.jobs.sheets import History, Shown, draw, rows_with
from augury.jobs.shown import history_of, rows_of, shown_of
from augury.train.data.dataset import Dataset, load
from augury.train.data.resize import Resize
from augury.train.engine.checkpoint import write_atomically
from augury.train.engine.evaluate import evaluate
from augury.train.engine.policy_files import refuse_edited
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import POLICY_FILES, Settings
from augury.train.engine.setup import on_device
from augury.train.models.run_folders import run_folders


@dataclass(frozen=True)
class Request:
    """What to show. images: rows, training images; draws: columns. seed and epoch (1-based): of the training whose draws these
    are. strategy: the training's, whose own policies and views are shown too. ids: the training images to show, instead of
    `images` of all classes. run: a finished run, whose data, augmentation, strategy, seed and batches are taken, shown in its
    last epochs where no epoch is named. worst: its images of highest loss; of a comparison, by the mean of all its networks."""

    data: str | None = None
    augment: str | None = None
    images: int = 6
    draws: int = 6
    seed: int | None = None
    epoch: int | None = None
    ids: list[int] | None = None
    run: Path | None = None
    worst: bool = False
    data_dir: str | None = None
    image_size: int | tuple[int, ...] | None = None
    model: Path | None = None
    resize: Resize = "cover"
    strategy: str | None = None


@dataclass(frozen=True)
class Previewed:
    """What was shown. rows: id, file and class of every image, from the top; for the worst also what the network saw and its loss.
    notes: the data set's."""

    rows: list[str]
    notes: list[str]


def preview(request: Request, output: Path, *, overwrite: bool = False) -> Previewed:
    """Draw a sheet per augmentation: rows are training images, columns draws, with the drawn operations under each picture.

    The draws are those of a training with the seed in epochs `epoch`, `epoch` + 1, ... (1-based, as in metrics.jsonl).
    Stages that use a network's saliency (keep_cutout, ...) need `model`, a run's folder, and also show saliency and candidates.
    Writes a PNG or a self-contained HTML page, depending on the file's extension; the page has the rows as text, too.
    """
    if output.suffix.lower() not in (".png", ".html"):
        raise InputError(f"--output {output}: give a file that ends in .png or .html")
    if output.exists() and not overwrite:
        raise InputError(f"--output {output}: exists; add --overwrite to replace it")
    if not output.parent.is_dir():
        raise InputError(f"--output {output}: the folder {output.parent} does not exist")
    folders = [] if request.run is None else run_folders(request.run) if request.worst else [request.run]
    runs = [open_run(folder) for folder in folders]
    shown = _looked_up(request, runs)
    png = sheets([_block(shown, source) for source in shown.sources])
    write_atomically(output, png if output.suffix.lower() == ".png" else _page(png, shown).encode())
    return Previewed(shown.names, list(shown.dataset.notes))


@dataclass(frozen=True)
class _Source:
    """An augmentation to show, and what a training with it shows the network."""

    chain: Chain
    shown: Shown
    title: str


@dataclass(frozen=True)
class _Request:
    """A request with everything looked up; epoch from 0."""

    dataset: Dataset
    sources: list[_Source]
    rows: Tensor
    draws: int
    seed: int
    epoch: int
    model: Path | None
    history: History | None
    names: list[str]


def _looked_up(request: Request, runs: list[Run]) -> _Request:
    if runs:
        return _of_run(request, runs)
    if request.data is None or request.augment is None:
        raise InputError("DATA, --augment: name both, or a finished run with --run or --worst")
    dataset = load(request.data, data_dir=request.data_dir, image_size=request.image_size, resize=request.resize)
    seed, epoch = request.seed or 0, request.epoch or 1
    settings = Settings.of({"data": request.data, "strategy": request.strategy or "erm", "seed": seed}, "preview")
    sources = _sources(settings, dataset, request.augment)
    rows, names = _rows(request, [], dataset)
    draws = sources[0].shown.draws(request.draws)
    return _Request(dataset, sources, rows, draws, seed, epoch - 1, request.model, None, names)


def _of_run(request: Request, runs: list[Run]) -> _Request:
    """What the first run showed its network: its data, augmentation, strategy with all that it learned, seed and batches."""
    run = runs[0]
    for flag, given, what in (("DATA", request.data, "data"), ("--strategy", request.strategy, "strategy")):
        if given is not None:
            raise InputError(f"{flag} {given}: --run and --worst show the run's own {what}; leave it out")
    s, dataset = run.settings, run.dataset
    if request.augment is None:
        refuse_edited((RunDirectory(run.path).config() or {}).get(POLICY_FILES), str(run.path))
    if "train" in run.changed:
        raise InputError(
            f"{run.path}: what it saw cannot be shown again, because its training images have changed: "
            f"{run.changed['train']}; restore them"
        )
    if request.augment is None:
        shown = shown_of(s, dataset, run.path)
        sources = [_Source(parse_chain(s.augment, "--augment"), shown, _title(s.augment, s.strategy, shown))]
    else:
        sources = _sources(replace(s, strategy="erm", augment2=None), dataset, request.augment)
    history = history_of(s, dataset, sources[0].shown)
    mixes = any(pipeline.mixes for source in sources for pipeline in source.shown.pipelines)
    if s.sampling != "shuffled" or (history.batch_size is None and mixes):
        raise InputError(f"{run.path}: trained on few labels or balanced groups, whose batches are not shown again")
    last = min(s.epochs, max((row["epoch"] for row in RunDirectory(run.path).metrics()), default=s.epochs))
    draws = min(sources[0].shown.draws(request.draws), last)
    epoch = last - draws + 1 if request.epoch is None else request.epoch
    if epoch > last:
        raise InputError(f"--epoch {epoch}: {run.path} was trained for {last} epochs; name one from 1 to {last}")
    rows, names = _rows(request, runs, dataset)
    seed = s.seed if request.seed is None else request.seed
    draws = min(draws, last - epoch + 1)
    return _Request(dataset, sources, rows, draws, seed, epoch - 1, request.model or run.path, history, names)


def _sources(settings: Settings, dataset: Dataset, augments: str) -> list[_Source]:
    """Every augmentation of the list with the settings' strategy, as a training begins with it."""
    found = []
    for chain in parse_list(augments, "--augment"):
        shown = shown_of(replace(settings, augment=str(chain)), dataset)
        found.append(_Source(chain, shown, _title(str(chain), settings.strategy, shown)))
    return found


def _title(augment: str, strategy: str, shown: Shown) -> str:
    return augment if shown.plain else f"{augment}, {strategy}"


def _rows(request: Request, runs: list[Run], dataset: Dataset) -> tuple[Tensor, list[str]]:
    """Rows of the training part and a text under each."""
    if request.ids is not None:
        rows = rows_with(dataset, request.ids)
    elif request.worst and runs:
        return _worst(request.images, runs, dataset)
    else:
        settings = runs[0].settings if runs else Settings(request.data or "")
        rows = rows_of(settings, dataset, request.images)
    return rows, [_called(dataset, row) for row in rows.tolist()]


def _worst(count: int, runs: list[Run], dataset: Dataset) -> tuple[Tensor, list[str]]:
    """The rows of highest loss, the mean over the runs' first networks, and a text under each."""
    losses, probabilities = [], []
    for run in runs:
        split, normalize = on_device(dataset.train, run.device), Normalize(dataset.mean, dataset.std)
        found = evaluate(run.networks[0], split, normalize, len(dataset.classes))
        losses.append(-found.label_probability.double().clamp(min=1e-30).log().cpu())
        probabilities.append(found.probability.cpu())
    loss, (seen, _) = torch.stack(losses).mean(0), dataset.kind.answer(torch.stack(probabilities).mean(0))
    rows = torch.argsort(loss, descending=True, stable=True)[:count]
    return rows, [
        f"{_called(dataset, row)}, seen as {dataset.kind.named(seen[row], dataset.classes)}, loss {float(loss[row]):.2f}"
        for row in rows.tolist()
    ]


def _called(dataset: Dataset, row: int) -> str:
    """A training image's id, file and class."""
    number = int(dataset.train.ids[row])
    return f"{dataset.called(number)}: {dataset.kind.named(dataset.train.labels[row], dataset.classes)}"


def _block(shown: _Request, source: _Source) -> Block:
    saliency = saliency_for(source.chain, shown.dataset, shown.model)
    if saliency is not None and source.shown.plain:
        kept = keep_block(shown.dataset, source.chain, shown.rows, shown.draws, saliency, seed=shown.seed, epoch=shown.epoch)
        if kept is not None:
            return kept
    drawn = draw(
        shown.dataset, source.shown, shown.rows, shown.draws, seed=shown.seed, epoch=shown.epoch,
        saliency=saliency, history=shown.history,
    )  # fmt: skip
    headings = ("draws",) if source.shown.plain else drawn.headings
    return Block(source.title, drawn.before, drawn.after, drawn.captions, shown.names, headings)


def _page(png: bytes, shown: _Request) -> str:
    title = html.escape(f"augury preview of {shown.dataset.name}, seed {shown.seed}, from epoch {shown.epoch + 1}")
    image = base64.b64encode(png).decode()
    spoken = html.escape(f"Originals and draws of {', '.join(source.title for source in shown.sources)}; the rows are listed below")
    rows = "".join(f"<li>{html.escape(name)}</li>" for name in shown.names)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>:root{{color-scheme:light dark}}body{{font:16px system-ui;margin:1rem}}"
        f"h1{{font-size:1.3rem}}h2{{font-size:1.1rem}}li{{overflow-wrap:anywhere}}img{{max-width:100%;height:auto}}</style>"
        f'<main><h1>{title}</h1><img alt="{spoken}" src="data:image/png;base64,{image}">'
        f"<h2>Rows, from the top</h2><ol>{rows}</ol></main></html>\n"
    )
