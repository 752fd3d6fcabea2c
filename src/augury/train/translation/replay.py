"""A bounded buffer of translated images, so that a discriminator does not forget earlier generators."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class ReplayBuffer:
    """Holds at most `capacity` images; filled in order, then new ones overwrite distinct random places.

    The variant of Goel et al.'s released code: a batch is drawn uniformly, without replacement, from the store, new images
    and old alike (Shrivastava et al. 2017, arXiv:1612.07828, section 2.3, mix half and half). All randomness comes from
    the generator that the caller hands in.
    """

    capacity: int = 50
    images: Tensor = field(default_factory=lambda: torch.zeros(0))

    def add(self, images: Tensor, generator: torch.Generator) -> None:
        """Take in a batch [B,...]; of one larger than the capacity the last images."""
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
        """At most `count` different images of the store."""
        places = torch.randperm(len(self.images), generator=generator)[:count]
        return self.images[places.to(self.images.device)]

    def __len__(self) -> int:
        return len(self.images)
