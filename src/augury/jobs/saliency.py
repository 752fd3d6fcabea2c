"""Saliency maps of a finished run's network, and pictures of their use."""

from pathlib import Path

import torch
from torch import Tensor

from augury.augment.names import build
from augury.augment.pipeline import Pipeline, SaliencySource
from augury.augment.saliency.early_head import EarlyHead
from augury.augment.saliency.maps import SaliencyKind, way_of
from augury.augment.saliency.regions import Scores, allowed_places, box_scores, threshold
from augury.augment.stages.keep import KeepStage, cutting
from augury.augment.stages.normalize import Normalize
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.options import Chain
from augury.core.targets import Targets
from augury.explain.report.sheet import Block
from augury.jobs.runs import Run, open_run
from augury.train.data.dataset import Dataset
from augury.train.engine.checkpoint import load_checkpoint
from augury.train.engine.setup import one_class_only
from augury.train.method.saliency import given_network, saliency_of, wanted


def saliency_for(chain: Chain, dataset: Dataset, run: Path | None) -> SaliencySource | None:
    """The saliency for the chain's stages that use it, computed by the run's first network; None if no stage uses it.

    Raises InputError if a stage uses saliency and there is no run, or if the run's network was trained on other classes or
    channels.
    """
    asked = wanted((build(chain, (dataset.mean, dataset.std)),))
    if asked is None:
        return None
    if way_of(asked.kind).labels:
        one_class_only(dataset, f"saliency={asked.kind}")
    if asked.network is not None:
        channels, statistics = dataset.train.images.shape[1], Normalize(dataset.mean, dataset.std)
        named = given_network(asked.network, classes=len(dataset.classes), channels=channels, device=torch.device("cpu"))
        return saliency_of(named, asked.kind, statistics)
    if run is None:
        raise InputError(f"--augment {chain}: uses a network's saliency; add --model RUN, the --output of `augury train`")
    opened = open_run(run)
    if opened.identity.channels != dataset.train.images.shape[1] or opened.identity.classes != dataset.classes:
        raise InputError(f"--model {run}: was trained on {opened.settings.data}, whose classes or channels are not these data's")
    network = opened.networks[0]
    needs_head = way_of(asked.kind).early_head
    head = _head(opened) if needs_head else None
    kind: SaliencyKind = "full" if needs_head and head is None else asked.kind
    return saliency_of(network, kind, opened.normalize, head)


def _head(run: Run) -> EarlyHead | None:
    """The early head of a run's last checkpoint; None if it has none."""
    found = load_checkpoint(run.path)
    weights = {} if found is None else {k[17:]: v for k, v in found[0].items() if k.startswith("extra.early_head.")}
    if not weights:
        return None
    classes, channels = weights["linear.weight"].shape
    with torch.random.fork_rng(devices=[]):
        head = EarlyHead(channels, classes)
    head.load_state_dict(weights)
    return head.to(run.device).eval()


def keep_block(
    dataset: Dataset, chain: Chain, rows: Tensor, draws: int, saliency: SaliencySource, *, seed: int, epoch: int
) -> Block | None:
    """Image, saliency, candidates and results side by side; None if the chain has no keep stage.

    Saliency and candidates are those of the first draw: the map in colour, scaled per image; then the image as the stage saw
    it, with the centres of the candidate boxes in green and the drawn box in white.
    """
    pipeline = build(chain, (dataset.mean, dataset.std))
    number = next((n for n, stage in enumerate(pipeline.stages) if isinstance(stage, KeepStage)), None)
    if number is None:
        return None
    normalize = next(stage for stage in pipeline.stages if isinstance(stage, Normalize))
    split = dataset.train
    source = Batch(split.images[rows], Targets.of(split.labels[rows], len(dataset.classes)), split.ids[rows])
    results, captions, first = [], [], None
    for draw in range(draws):
        seen: list[Batch] = []

        def noted(batch: Batch, seen: list[Batch] = seen) -> Batch:
            seen.append(saliency(batch))
            return seen[-1]

        done, traces = pipeline.run(source, Noise.of(seed, source.ids, epoch=epoch + draw), saliency=noted)
        results.append(normalize.restore(done.images))
        captions.append([pipeline.describe(traces, row) for row in range(len(rows))])
        first = first or _panels(pipeline, number, seen[0], traces[number], normalize)
    assert first is not None
    heat, places, words = first
    return Block(
        str(chain), source.images, [heat, places, *results], [[""] * len(rows), words, *captions],
        headings=("saliency", "candidates", "draws"),
    )  # fmt: skip


def _panels(
    pipeline: Pipeline, number: int, batch: Batch, trace: dict[str, Tensor] | None, normalize: Normalize
) -> tuple[Tensor, Tensor, list[str]]:
    """The map and the candidates as uint8 [R,3,H,W], and for each image a caption on the candidates."""
    stage = pipeline.stages[number]
    assert isinstance(stage, KeepStage) and trace is not None and batch.saliency is not None
    box = trace["box"] if trace["box"].ndim == 2 else trace["box"][:, 0]
    height, width = stage.extent(batch, trace)
    cut = cutting(stage.stages)
    law = stage.candidates_of(None if cut is None else cut.space[0].op)
    scores = box_scores(batch.saliency, height, width, batch.sizes(), law)
    allowed = allowed_places(scores, threshold(scores, stage.tau), salient=not stage.cuts)
    images = batch.images if batch.images.dtype == torch.uint8 else normalize.restore(batch.images)
    pictures, words = [], []
    for row in range(len(images)):
        drawn = bool(height[row] > 0)
        words.append(_counted(scores, allowed, row) if drawn else "nothing drawn")
        offset = (int(height[row]) // 2, int(width[row]) // 2) if law == "inside" else (0, 0)
        pictures.append(_marked(images[row], allowed[row] & drawn, offset, box[row].tolist()))
    return heat(batch.saliency), torch.stack(pictures), words


def _counted(scores: Scores, allowed: Tensor, row: int) -> str:
    return f"{int(allowed[row].sum())} of {int(scores.valid[row].sum())} places"


def _marked(image: Tensor, allowed: Tensor, offset: tuple[int, int], box: list[int]) -> Tensor:
    """uint8 [3,H,W]: the image in dim grey, the candidates' centres green, the box's outline white."""
    grey = (image.float().mean(0) * 0.5).to(torch.uint8)
    picture = torch.stack([grey, grey, grey])
    centres = allowed.roll(offset, (0, 1))
    picture[1] = torch.where(centres, (picture[1].int() + 110).clamp(max=255).to(torch.uint8), picture[1])
    top, left, bottom, right = box
    if bottom > top and right > left:
        picture[:, top:bottom, [left, right - 1]] = 255
        picture[:, [top, bottom - 1], left:right] = 255
    return picture


def heat(saliency: Tensor) -> Tensor:
    """uint8 [R,3,H,W]: from black through red and yellow to white, each map clipped at its 99th percentile."""
    top = saliency.flatten(1).quantile(0.99, dim=1)[:, None, None].clamp(min=1e-12)
    level = torch.nan_to_num(saliency / top).clamp(0, 1)
    return (torch.stack([3 * level, 3 * level - 1, 3 * level - 2], 1).clamp(0, 1) * 255).to(torch.uint8)
