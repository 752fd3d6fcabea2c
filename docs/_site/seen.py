"""Pictures of what a strategy shows its network in one step."""

import torch
from torch import Tensor

from augury.jobs.sheets import draw
from augury.jobs.shown import shown_of
from augury.train.data.dataset import Dataset, Split
from augury.train.engine.settings import Settings

AUGMENT = "flip+color_jitter+cutout(fraction=0.4)"


def views(name: str, photographs: Tensor) -> tuple[list[Tensor], str]:
    """Two photographs in every view of a step, a list of uint8 [2,C,H,W], and what the views are."""
    ids = torch.arange(2)
    part = Split(photographs, ids, ids)
    dataset = Dataset("photographs", ("temple", "flower"), part, part, part, (0.5,) * 3, (0.25,) * 3)
    settings = Settings.of({"data": "photographs", "strategy": name, "augment": AUGMENT}, "gallery")
    shown = shown_of(settings, dataset)
    drawn = draw(dataset, shown, ids, 1)
    labels = [heading.removeprefix("epoch 1").removeprefix(", ") for heading in drawn.headings]
    said = ", ".join(label for label in labels if label)
    several = f"the {len(labels)} views that a step reads" + (f" ({said})" if said else "")
    return drawn.after, "the one view that a step reads" if len(labels) == 1 else several
