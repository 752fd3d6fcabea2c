"""Augmented test sets, drawn once from a seed and the same for every network, and networks' outputs on them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from augury.augment.names import build
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.options import Chain, parse_chain
from augury.core.targets import Targets
from augury.explain.measurements.measurement import Subject
from augury.train.data.dataset import Split
from augury.train.strategies.outputs import Layer, outputs

# Random colour of the augmentation invariant training paper, section 4.4: factors within 0.1 of 1, in a fixed order.
RANDOM_COLOUR = "brightness(factor=uniform(0.9, 1.1))+contrast(factor=uniform(0.9, 1.1))+color(factor=uniform(0.9, 1.1))"
# The four test sets of that paper's table 5. `color(factor=0)` makes all channels the grey image.
PAPER_SETS = {"original": "none", "random crop": "crop", "grayscale": "color(factor=0)", "random colour": RANDOM_COLOUR}
BATCH = 128  # larger batches do not fit into a CPU's caches: batches of 500 take a third longer
# Limits of the cache of outputs that several measurements need (the test part, the sets of `transfer` and `variation`).
_KEPT, _LARGEST = 4, 2**23


@dataclass(frozen=True)
class AugmentedSet:
    """A test set's name, and the augmentation that makes it from the test part."""

    name: str
    chain: Chain


def sets_named(sets: Sequence[Chain] | None) -> list[AugmentedSet]:
    """The named sets, or the paper's four by default; InputError if one is named twice or cannot make a test set."""
    if sets is None:
        return [AugmentedSet(name, parse_chain(text, "--what: sets")) for name, text in PAPER_SETS.items()]
    named = [AugmentedSet("original" if str(chain) == "none" else str(chain), chain) for chain in sets]
    for found in named:
        if named.count(found) > 1:
            raise InputError(f"--what: sets: {found.name!r} is named twice")
        check_set(found.chain, "--what: sets")
    return named


def check_set(chain: Chain, where: str) -> None:
    """InputError for an augmentation that cannot make a test set: it mixes samples, repeats images, or needs saliency."""
    pipeline = build(chain, ((0.5,), (0.5,)), where)
    if pipeline.mixes:
        raise InputError(f"{where}: {str(chain)!r} mixes samples, so its images have no single label; leave it out")
    if any("saliency" in stage.needs for stage in pipeline.stages):
        raise InputError(f"{where}: {str(chain)!r} asks a network for saliency, so each would get other images; leave it out")
    if any(stage.name == "batch_augment" for stage in pipeline.stages):
        raise InputError(f"{where}: {str(chain)!r} repeats images; name the augmentation alone")


def views(
    subject: Subject, images: Tensor, labels: Tensor, ids: Tensor, chain: Chain, seed: int, view: int = 0
) -> Iterator[Tensor]:
    """Batches of the images under an augmentation, normalised as in the network's training.

    The draws depend only on the seed, the view and the images' ids, and differ from those of any training run.
    """
    pipeline = build(chain, (subject.mean, subject.std), "--what: sets")
    classes = int(labels.max()) + 1
    for rows in torch.arange(len(ids)).split(BATCH):
        noise = Noise.of(seed, ids[rows], view=view).fold("augmented test set")
        batch = Batch(images[rows], Targets.of(labels[rows], classes), ids[rows])
        yield pipeline.run(batch, noise)[0].images


@torch.no_grad()
def logits_under(subject: Subject, split: Split, chain: Chain, seed: int, view: int = 0) -> Tensor:
    """float32 [N, classes], on the CPU, of a network in evaluation mode on a split under an augmentation."""
    return _outputs_under(subject, split, chain, seed, view)[0]


@torch.no_grad()
def logits_and_features(subject: Subject, split: Split, chain: Chain, seed: int, view: int = 0) -> tuple[Tensor, Tensor]:
    """As `logits_under`, with the head's inputs, float32 [N, D]; InputError for a network that names no head."""
    check_features(subject)
    return _outputs_under(subject, split, chain, seed, view)


def _outputs_under(subject: Subject, split: Split, chain: Chain, seed: int, view: int) -> tuple[Tensor, Tensor]:
    """Logits, and features if the network names a head (else the logits again), computed or from the cache."""
    layer: Layer = "features" if _has_head(subject) else "logits"
    key = (id(split), str(chain), *((0, 0) if str(chain) == "none" else (seed, view)))
    if key in subject.seen:
        subject.seen[key] = subject.seen.pop(key)
        return subject.seen[key][1:]
    found = []
    for images in views(subject, split.images, split.labels, split.ids, chain, seed, view):
        logits, features = outputs(subject.model, images.to(subject.device), layer)
        found.append((logits.float().cpu(), features.float().flatten(1).cpu()))
    both = torch.cat([logits for logits, _ in found]), torch.cat([features for _, features in found])
    if sum(part.numel() for part in both) <= _LARGEST:
        subject.seen[key] = (split, *both)  # keeps the split alive, so that no other object gets its id()
    while len(subject.seen) > _KEPT:
        subject.seen.pop(next(iter(subject.seen)))
    return both


def _has_head(subject: Subject) -> bool:
    return bool(getattr(subject.model, "head", None))


def check_features(subject: Subject) -> None:
    """InputError for a network that names no head and so has no features."""
    if not _has_head(subject):
        raise InputError(
            f"{subject.folder}: --model {subject.settings.model} names no head, so it gives no features; leave out variation, "
            "embedding and spectrum"
        )


def some(split: Split, count: int | None, seed: int) -> Split:
    """`count` images in an order by hash in which the classes alternate; all images for None.

    The choice depends only on the seed and the images' ids.
    """
    if count is None or count >= len(split.ids):
        return split
    rank = torch.argsort(torch.argsort(Noise.of(seed, split.ids).fold("shown").bits(1)[:, 0]))
    within = torch.zeros_like(split.labels)
    for label in split.labels.unique():
        rows = (split.labels == label).nonzero()[:, 0]
        within[rows[torch.argsort(rank[rows])]] = torch.arange(len(rows))
    return split[torch.argsort(within * len(rank) + rank)[:count]]
