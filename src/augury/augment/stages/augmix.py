"""The AugMix stage: averages several chains of operations and blends the result with the image."""

from dataclasses import dataclass

import torch
from torch import Tensor

from augury.augment.geometry.followed import Followed
from augury.augment.stages.plan import PlanStage
from augury.core.batch import Batch
from augury.core.checks import check_finite
from augury.core.errors import InputError
from augury.core.laws import Beta
from augury.core.noise import Noise
from augury.core.plan import Clock
from augury.core.stage import Domain, Trace


@dataclass(frozen=True)
class AugMix:
    """`chains` draws of `stage` with Dirichlet weights, blended with the clean image by a Beta weight.

    depth: how many slots of a chain fire; None draws from 1 to the stage's slots. The trace holds each chain's
    draws under `chain/K/` and weight float32 [B, chains + 1], the last being the clean image's.
    """

    stage: PlanStage
    chains: int
    depth: int | None
    alpha: float
    name: str = "augmix"
    address: str = "augmix"
    intensive: bool = True
    domain: Domain = "pixels"
    needs: frozenset[str] = frozenset()
    mixes_labels: bool = False

    def sample(self, batch: Batch, noise: Noise, clock: Clock | None = None, intensity: float | Tensor = 1.0) -> Trace:
        """The chains' operations and the weights."""
        trace: Trace = {}
        slots = self.stage.policy.slots
        depth = noise.fold("depth").integers(self.chains, slots) + 1
        slot = torch.arange(slots, device=depth.device)
        for k in range(self.chains):
            found = self.stage.sample(batch, noise.fold(f"chain{k}"), clock, intensity)
            reach = depth[:, k : k + 1] if self.depth is None else torch.full_like(depth[:, :1], self.depth)
            found["on"] = found["on"] & (slot < reach)
            trace |= {f"chain/{k}/{key}": part for key, part in found.items()}
        return trace | {"weight": self._weights(noise.fold("weight").uniform(self.chains))}

    def _weights(self, u: Tensor) -> Tensor:
        """Dirichlet weights by breaking a stick, times 1 - the clean image's Beta weight."""
        ones = torch.ones_like(u[:, 0])
        clean = Beta(self.alpha, self.alpha).value(u[:, 0], ones)
        rest, weights = 1 - clean, []
        for k in range(1, self.chains):
            part = Beta(self.alpha, self.alpha * (self.chains - k)).value(u[:, k], ones)
            weights.append(rest * part)
            rest = rest * (1 - part)
        return torch.stack([*weights, rest, clean], 1)

    def apply(self, batch: Batch, trace: Trace) -> Batch:
        """The weighted sum, rounded to the nearest level."""
        check_finite(trace, "weight", (len(batch), self.chains + 1))
        weight = trace["weight"][..., None, None, None]
        total = batch.images.to(torch.float32) * weight[:, -1]
        for k in range(self.chains):
            prefix = f"chain/{k}/"
            own = {key.removeprefix(prefix): part for key, part in trace.items() if key.startswith(prefix)}
            total = total + self.stage.apply(batch, own).images.to(torch.float32) * weight[:, k]
        return batch.replace(images=(total + 0.5).clamp(0, 255).to(torch.uint8), saliency=None)

    def follow(self, followed: Followed, trace: Trace) -> Followed:
        """Unchanged annotations. Raises InputError if operations move pixels, since the average then has no single geometry."""
        if self.stage.moves:
            raise InputError(f"{self.name}: averages images that moved differently; masks, boxes and key points cannot follow")
        return followed

    def repeat(self, noise: Noise) -> Noise:
        return noise

    def describe(self, trace: Trace, row: int) -> str:
        """In words: each chain with its weight."""
        words = []
        for k in range(self.chains):
            prefix = f"chain/{k}/"
            own = {key.removeprefix(prefix): part for key, part in trace.items() if key.startswith(prefix)}
            words.append(f"{float(trace['weight'][row, k]):.2f} x ({self.stage.describe(own, row) or 'image'})")
        return " + ".join(words)
