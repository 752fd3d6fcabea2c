"""Uncertainty-based sampling: of several augmentations of an image, train on those the network is least sure of."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from augury.augment.policies.fixed import UniformPolicy
from augury.augment.policies.ladders import ladder
from augury.augment.policies.randaugment import Channels, space_for
from augury.augment.policies.searched import OPERATIONS
from augury.augment.saliency.gradient import evaluating
from augury.augment.stages.plan import PlanStage
from augury.core.devices import augments
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.options import Interval
from augury.core.plan import SpaceEntry
from augury.core.registry import register
from augury.core.stage import Stage
from augury.core.targets import Targets
from augury.train.strategies.strategy import Seen, Step, Strategy, Views

REMEDY = "uncertainty(channels=any) leaves such operations out"
LEVELS = tuple(k / 1000 for k in range(1001))


@dataclass
class Uncertainty(Strategy):
    """See `uncertainty`. stages: those that the host puts before `normalize`."""

    candidates: int
    selected: int
    select: Literal["topk", "proportional"]
    stages: tuple[Stage | None, ...]
    seed: int = 0
    steps: int = 0
    seen: tuple[Seen, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.seen = tuple(Seen(f"candidate {number + 1}", number) for number in range(self.candidates))

    def seeded(self, seed: int) -> None:
        """Set the training's seed, for `proportional` draws."""
        self.seed = seed

    def __call__(self, model: nn.Module, views: Views, *, program: Hashable = None, turn: int = 0) -> Step:
        copies = [views(number) for number in range(self.candidates)]
        targets = [copy.targets for copy in copies if copy.targets is not None]
        if len(targets) < len(copies):
            raise InputError("strategy: uncertainty needs labels in its `train` stream")
        count = len(copies[0])
        images = torch.cat([copy.images for copy in copies])
        joined = Targets.cat(targets)
        logs = {}
        if self.selected < self.candidates:
            scores = torch.stack(list(self._scores(model, images, joined, count)), 1)
            noise = Noise.of(self.seed, copies[0].ids, epoch=self.steps, visits=copies[0].visits).fold("uncertainty")
            self.steps += 1
            column = chosen(scores, self.selected, self.select, noise)
            rows = (column * count + torch.arange(count, device=column.device)[:, None]).T.flatten()
            logs = {"candidate_loss": scores.mean(), "kept_loss": scores.gather(1, column).mean()}
            images, joined = images[rows], joined[rows]
        losses = joined.loss(model(images))
        return Step(losses.mean(), logs, losses.detach())

    @torch.no_grad()
    def _scores(self, model: nn.Module, images: Tensor, targets: Targets, count: int) -> Iterator[Tensor]:
        """The losses of each candidate, [B] each, one batch at a time, so that memory stays that of a training step."""
        with evaluating(model):
            for start in range(0, len(images), count):
                rows = torch.arange(start, start + count, device=images.device)
                yield targets[rows].loss(model(images[rows]))

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]


def chosen(scores: Tensor, selected: int, select: str, noise: Noise) -> Tensor:
    """Columns int64 [B,selected] of losses [B,K]: the highest, or drawn with replacement in proportion to the loss.

    NaN and infinity count as a loss of 1e6.
    """
    scores = torch.nan_to_num(scores.float(), nan=1e6, posinf=1e6, neginf=0.0).clamp(min=0)
    if select == "topk":
        return scores.topk(selected, 1).indices
    total = scores.sum(1, keepdim=True)
    share = torch.where(total > 0, scores / total.clamp(min=1e-30), 1 / scores.shape[1])
    # In double precision, if the device has it, so that rounding does not move a draw to another candidate.
    precision = torch.float64 if augments(share.device) else torch.float32
    share, drawn = share.to(precision), noise.uniform(selected).to(precision)
    passed = share.cumsum(1)[:, None] <= drawn[:, :, None] * share.sum(1)[:, None, None]
    return passed.sum(2).clamp(max=scores.shape[1] - 1)


def candidates_stage(length: int, channels: Channels = "rgb") -> PlanStage:
    """`length` operations per image, drawn uniformly out of 16 with replacement, each at a level uniform over 0, 0.001 .. 1.

    Each fires with probability one half, as with a probability drawn from [0, 1) for each. Mixup replaces SamplePairing;
    levels are those of Adversarial AutoAugment, where a larger posterize or solarize level is stronger, while the released
    code gives black images below a quarter.
    """
    from augury.augment.ops.build import op

    levels = ladder("adversarial")
    entries = [levels.entry(name) for name in OPERATIONS if name != "sample_pairing"]
    space = space_for(channels, (*entries, SpaceEntry(op("mixup"))))
    return PlanStage("uncertainty", UniformPolicy(space, length, LEVELS, p=0.5), remedy=REMEDY)


@register("strategy", "uncertainty", source="Wu et al. 2020 (arXiv:2005.00695), section 5 and algorithm 1")
def uncertainty(
    *,
    candidates: Annotated[int, Interval(1, 64)] = 4,
    selected: Annotated[int, Interval(1, 64)] = 1,
    length: Annotated[int, Interval(0, 8)] = 2,
    select: Literal["topk", "proportional"] = "proportional",
    channels: Channels = "rgb",
) -> Strategy:
    """Draws `candidates` augmentations of every image, scores them without gradients, trains on `selected` of them.

    Each candidate is the training's augmentation with `length` random operations inserted before `normalize` (0: the
    augmentation alone). Scores are cross-entropies of the network in evaluation mode. proportional draws in proportion to
    the loss, with replacement, as in the released code; topk keeps the highest, as in the paper's text, and was worse than
    no selection in every measurement. If selected = candidates, all are trained on and nothing is scored. With channels=any,
    operations on red, green and blue (color, contrast) are left out, so that images may have up to 16 channels. Raises
    InputError if selected is above candidates.
    """
    if selected > candidates:
        raise InputError(f"--strategy uncertainty: selected={selected} must be at most candidates={candidates}")
    return Uncertainty(candidates, selected, select, (candidates_stage(length, channels),) if length else ())
