"""A bounded buffer of translated images, so that a discriminator does not forget earlier generators."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class ReplayBuffer:
    """Holds at most `capacity` images; filled in order, then new ones overwrite distinct random places.

    As in Goel et al.'s released code, a batch is drawn uniformly, without replacement, from new and old images together
    (Shrivastava et al. 2017, arXiv:1612.07828, section 2.3, mix half and half). All randomness comes from the caller's
    generator.
    """

    capacity: int = 50
    images: Tensor = field(default_factory=lambda: torch.zeros(0))

    def add(self, images: Tensor, generator: torch.Generator) -> None:
        """Add a batch [B,...]; only its last `capacity` images if it is larger."""
        images = images.detach()[-self.capacity :]
        if len(self.images) == 0:
            self.images = images[:0].clone()
        room = self.capacity - len(self.images)
        self.images = torch.cat([self.images, images[:room]])
        left = images[room:] if room > 0 else images
        if len(left):
            places = torch.randperm(self.capacity, generator=generator)[: len(left)]
            self.images[places.to(self.images.device)] = left

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """At most `count` distinct images from the buffer."""
        places = torch.randperm(len(self.images), generator=generator)[:count]
        return self.images[places.to(self.images.device)]

    def __len__(self) -> int:
        return len(self.images)
