"""Person re-identification: how well a network's features rank a gallery for each query."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from augury.augment.stages.normalize import Normalize
from augury.train.data.dataset import Retrieval, Split


@dataclass(frozen=True)
class Ranking:
    """rank1, rank5 and mean_average_precision in percent, over the `queries` that have a match in the gallery."""

    rank1: float
    rank5: float
    mean_average_precision: float
    queries: int

    def dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"rank1": self.rank1, "rank5": self.rank5, "map": self.mean_average_precision, "queries": self.queries}


def retrieve(model: nn.Module, data: Retrieval, normalize: Normalize, device: torch.device) -> Ranking:
    """The ranking by the cosine similarity of the features that enter the network's head."""
    assert data.query.groups is not None and data.gallery.groups is not None
    query, gallery = (features(model, part, normalize, device) for part in (data.query, data.gallery))
    return ranked(1 - query @ gallery.T, data.query.labels, data.query.groups, data.gallery.labels, data.gallery.groups)


def ranked(distance: Tensor, identity: Tensor, camera: Tensor, among: Tensor, cameras: Tensor) -> Ranking:
    """The ranking by distances [Q,G]; identities and cameras are int64 [Q] of the queries and [G] of the gallery.

    Follows Market-1501's protocol (Zheng et al. 2015, section 5): for each query, images of the same person by the same
    camera and those of identity -1 are left out. Average precision is the mean of the precision at every hit. Queries without
    a match are left out and not counted.
    """
    first, five, precision = [], [], []
    for row in range(len(identity)):
        junk = (among == -1) | ((among == identity[row]) & (cameras == camera[row]))
        order = torch.argsort(distance[row].cpu(), stable=True)
        order = order[~junk[order]]
        hits = among[order] == identity[row]
        if not bool(hits.any()):
            continue
        places = hits.nonzero()[:, 0] + 1
        first.append(bool(hits[0]))
        five.append(bool(hits[:5].any()))
        precision.append(float((torch.arange(1, len(places) + 1) / places).double().mean()))
    count = len(first)
    share = 100 / count if count else 0.0
    return Ranking(sum(first) * share, sum(five) * share, sum(precision) * share, count)


@torch.no_grad()
def features(
    model: nn.Module, split: Split, normalize: Normalize, device: torch.device, *, batch_size: int = 256
) -> Tensor:  # fmt: skip
    """The features that enter the network's head, scaled to length 1, float32 [N,D] on the CPU. Its mode is restored."""
    training, head = model.training, model.head
    assert isinstance(head, nn.Module)
    seen: list[Tensor] = []
    handle = head.register_forward_pre_hook(lambda module, given: seen.append(given[0].float().cpu()))
    model.eval()
    try:
        for part in split.images.split(batch_size):
            model(normalize.normalise(part.to(device)))
    finally:
        handle.remove()
        model.train(training)
    return functional.normalize(torch.cat(seen), dim=1)
