"""A data set for DataLoader workers, in a module of its own so that a spawned worker can import it."""

import torch
from torch import Tensor
from torch.utils.data import Dataset

import augury


class Augmented(Dataset[tuple[int, Tensor]]):
    """Sixteen equal grey images, each augmented on its own by a pipeline that the worker holds."""

    def __init__(self, text: str, seed: int = 0) -> None:
        self.pipeline = augury.pipeline(text, seed=seed)
        self.image = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> tuple[int, Tensor]:
        return index, self.pipeline(self.image)
