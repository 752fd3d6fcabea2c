"""How files become arrays: what users ask for, and what was made of it, which a run keeps for every later image."""

from dataclasses import dataclass
from typing import Any

from augury.train.data.intensity import AUTO, Range
from augury.train.data.stream import Stream


@dataclass(frozen=True)
class Preparation:
    """What every image was brought to: size (rows, columns), channels (1 grey, 3 colour), and the range of values of images
    of more than 8 bits, None where there were none.
    """

    size: tuple[int, int]
    channels: int
    intensity: Range | None = None

    def plain(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        intensity = None if self.intensity is None else [self.intensity.low, self.intensity.high]
        return {"size": list(self.size), "channels": self.channels, "intensity": intensity}

    @staticmethod
    def of(values: dict[str, Any]) -> "Preparation":
        """From `plain`."""
        rows, columns = values["size"]
        intensity = None if values["intensity"] is None else Range(*values["intensity"])
        return Preparation((int(rows), int(columns)), int(values["channels"]), intensity)


@dataclass(frozen=True)
class ReadOptions:
    """What is asked of a data set's readers. image_size: side to bring images to. stream: whether files stay files.

    intensity_range: `auto` or `LOW,HIGH`, see `augury.train.data.intensity`. like: bring images to exactly this instead, as a
    trained network needs it.
    """

    image_size: int | None = None
    stream: Stream = "no"
    intensity_range: str = AUTO
    like: Preparation | None = None

    @property
    def size(self) -> tuple[int, int] | None:
        """The size that images have to have, where it is given."""
        if self.like is not None:
            return self.like.size
        return None if self.image_size is None else (self.image_size, self.image_size)


# Images of one size as they are, others brought to their most common side.
AS_IS = ReadOptions()
