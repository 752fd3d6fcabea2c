"""Opens a training's experiment trackers and logs its first augmented batch."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from augury.augment.shown import shown_bands, which_bands
from augury.core.errors import InputError
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.step import rows_of
from augury.train.engine.training import Training
from augury.train.logs.followed import Followed
from augury.train.logs.logger import About
from augury.train.method.counts import Counts

# The most pictures of the first batch that are logged.
PICTURES = 32


def follow(training: Training, directory: RunDirectory | None, first: Callable[[], tuple[Tensor, Tensor]]) -> Followed:
    """Open the trackers that the settings name; if the training starts anew, log its first augmented batch.

    first: returns the rows and visits of the epoch's first step.
    """
    t = training
    if t.settings.log is None or directory is None or not t.world.leads:
        return Followed()
    followed = Followed.open(t.settings.log, About(directory.path, t.settings.dict(), t.epoch))
    if t.epoch == 0:
        pictures = first_batch(t, *first())
        if pictures is not None:
            channels = pictures.shape[1]
            followed.pictures(f"first augmented batch{which_bands(channels)}", pictures[:, list(shown_bands(channels))])
    return followed


@torch.no_grad()
def first_batch(training: Training, rows: Tensor, visits: Tensor) -> Tensor | None:
    """uint8 [N,C,H,W]: the images of the first step as the network will see them; None if they depend on its saliency maps.

    Random draws are addressable, so computing these images early does not change later ones; nothing is counted.
    """
    t = training
    clock = t.method.refinement.clock(0, t.settings.total_epochs, 0, t.settings.seed)
    views = t.method.views({"train": lambda: rows_of(t.data.train, rows, visits, t.method.classes)}, clock, len(rows))
    try:
        images = replace(views, counts=Counts(), saliency=None)().images[:PICTURES].float().cpu()
    except InputError:
        return None
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (t.dataset.mean, t.dataset.std))
    return (255 * (images * std + mean)).round().clamp(0, 255).byte()
