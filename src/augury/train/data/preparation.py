"""How files become arrays: what users ask for and what resulted, which a run keeps for later images."""

from dataclasses import dataclass
from typing import Any

from augury.train.data.decoded_cache import DecodedCache
from augury.train.data.intensity import AUTO, Range
from augury.train.data.resize import ImageSize, Resize, size_of
from augury.train.data.stream import Stream


@dataclass(frozen=True)
class Preparation:
    """What every image was brought to: size (rows, columns), channels (1 grey, 3 colour, others bands), the range of values of
    images of more than 8 bits, None if there were none, and how other shapes came to the size.
    """

    size: tuple[int, int]
    channels: int
    intensity: Range | None = None
    resize: Resize = "cover"

    def plain(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        intensity = None if self.intensity is None else [self.intensity.low, self.intensity.high]
        return {"size": list(self.size), "channels": self.channels, "intensity": intensity, "resize": self.resize}

    @staticmethod
    def of(values: dict[str, Any]) -> "Preparation":
        """From `plain`."""
        rows, columns = values["size"]
        intensity = None if values["intensity"] is None else Range(*values["intensity"])
        return Preparation((int(rows), int(columns)), int(values["channels"]), intensity, values.get("resize", "cover"))


@dataclass(frozen=True)
class ReadOptions:
    """What is asked of a data set's readers. image_size: side, or rows and columns, to bring images to. stream: whether files
    stay files. resize: how images of another shape come to the size, see `resize.fit`.

    intensity_range: `auto` or `LOW,HIGH`, see `augury.train.data.intensity`. like: bring images to exactly this instead, as a
    trained network needs it. data_dir: where a named data set is or is downloaded to. cache: where decoded images are kept.
    """

    image_size: ImageSize = None
    stream: Stream = "no"
    intensity_range: str = AUTO
    like: Preparation | None = None
    resize: Resize = "cover"
    data_dir: str | None = None
    cache: DecodedCache | None = None

    @property
    def how(self) -> Resize:
        """How images of another shape come to the size."""
        return self.resize if self.like is None else self.like.resize

    @property
    def size(self) -> tuple[int, int] | None:
        """The size that images have to have, where it is given."""
        if self.like is not None:
            return self.like.size
        return size_of(self.image_size)


# Images of one size as they are, others brought to their most common side.
AS_IS = ReadOptions()
