"""Features of many views of a few images, embedded in the plane by t-SNE."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.core.options import Chain, Interval, chain_from
from augury.core.registry import register
from augury.explain.measurements.measurement import Figure, Measured, Spread, Subject, Table, TableRow, groups_of
from augury.explain.measurements.sets import RANDOM_COLOUR, logits_and_features, some
from augury.explain.report.diagrams import scatter_panel
from augury.train.data.dataset import Dataset

_MOST_PANELS = 8


@register(
    "measurement", "embedding", source="Chen et al. 2021, Augmentation Invariant Training (ICCV workshops), section 4.5, figure 6"
)
def embedding(
    subjects: Sequence[Subject],
    dataset: Dataset,
    *,
    images: Annotated[int, Interval(2, 200)] = 14,
    views: Annotated[int, Interval(2, 100)] = 16,
    augment: Chain | None = None,
    seed: Annotated[int, Interval(0)] = 0,
) -> Measured:
    """t-SNE of the features of several views of some test images, and how tightly the views of an image cluster.

    `augment`: the augmentation that makes the views, by default random crop and random colour. The plot shows the first seed of
    every group. Its positions and distances mean little, so two values are computed from the features themselves: the mean
    distance of views to their image's centre, relative to the mean distance between centres, and the silhouette (Rousseeuw
    1987) of the views grouped by image, at best 1.
    """
    chain = chain_from(f"crop+{RANDOM_COLOUR}" if augment is None else augment, "--what: embedding(augment)")
    part = some(dataset.test, images, seed)
    if len(part.ids) < 2:
        raise InputError("--what: embedding: the test part has fewer than two images")
    found: dict[str, list[dict[str, float]]] = {}
    panels: list[Figure] = []
    for group, members in groups_of(subjects).items():
        for number, subject in enumerate(members):
            seen = torch.stack([logits_and_features(subject, part, chain, seed, view)[1] for view in range(views)], 1)
            found.setdefault(group, []).append(_tightness(seen))
            if number == 0 and len(panels) < _MOST_PANELS:
                panels.append(Figure(group, scatter_panel(group, _plane(seen, seed)), f"Seed {subject.seed}; one mark per image."))
    rows: list[TableRow] = [
        (group, float(len(seeds)), *(Spread(tuple(s[key] for s in seeds)).text(3) for key in ("within", "silhouette")))
        for group, seeds in found.items()
    ]
    note = f"{len(part.ids)} test images, {views} views each by {chain}."
    table = Table("Views of an image together", ("trained with", "n", "spread of views", "silhouette"), tuple(rows), note, digits=0)
    values = {
        "images": part.ids.tolist(), "names": [dataset.name_of(k) for k in part.ids.tolist()],
        "views": views, "augment": str(chain), "seed": seed,
        "rows": [{"trained": group, "n": len(seeds), "measured": seeds} for group, seeds in found.items()],
    }  # fmt: skip
    said = (
        f"{note} The spread of the views is their mean distance to their image's centre, in units of the mean distance between "
        "images' centres: lower is more invariant."
    )
    return Measured(said, values, (table,), tuple(panels))


def _tightness(seen: Tensor) -> dict[str, float]:
    """seen: features [images, views, D]."""
    from sklearn.metrics import silhouette_score

    centres = seen.mean(1)
    between = torch.pdist(centres).mean().item()
    within = torch.linalg.vector_norm(seen - centres[:, None], dim=2).mean().item()
    number = np.repeat(np.arange(len(seen)), seen.shape[1])
    flat = seen.flatten(0, 1).double().numpy()
    return {"within": within / max(between, 1e-30), "silhouette": float(silhouette_score(flat, number))}


def _plane(seen: Tensor, seed: int) -> np.ndarray:
    """Positions [images, views, 2] by t-SNE (van der Maaten and Hinton 2008), initialised by principal components."""
    from sklearn.manifold import TSNE

    flat = seen.flatten(0, 1).double().numpy()
    perplexity = min(30.0, (len(flat) - 1) / 3)
    placed = TSNE(2, perplexity=perplexity, init="pca", random_state=seed % 2**32).fit_transform(flat)
    return np.asarray(placed).reshape(*seen.shape[:2], 2)
