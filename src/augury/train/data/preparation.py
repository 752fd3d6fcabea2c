"""How files become arrays: the options that users give, and the resulting conversion, which a run keeps for later images."""

from dataclasses import dataclass
from typing import Any

from augury.train.data.decoded_cache import DecodedCache
from augury.train.data.intensity import AUTO, Range
from augury.train.data.resize import ImageSize, Resize, size_of
from augury.train.data.stream import Stream


@dataclass(frozen=True)
class Preparation:
    """How every image was converted: size (rows, columns), channels (1 grey, 3 colour, otherwise bands), intensity (the range of
    values of images of more than 8 bits, None if there were none), and resize (how images of other shapes were resized)."""

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
        """The inverse of `plain`."""
        rows, columns = values["size"]
        intensity = None if values["intensity"] is None else Range(*values["intensity"])
        return Preparation((int(rows), int(columns)), int(values["channels"]), intensity, values.get("resize", "cover"))


@dataclass(frozen=True)
class ReadOptions:
    """The options of readers. image_size: side, or rows and columns, that images are resized to. stream: whether images stay in
    their files. resize: how images of another shape are resized, see `resize.fit`.

    intensity_range: `auto` or `LOW,HIGH`, see `augury.train.data.intensity`. like: convert images in exactly this way instead, as a
    trained network needs. data_dir: the folder that holds a named data set or that it is downloaded to. cache: of decoded images.
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
        """How images of another shape are resized."""
        return self.resize if self.like is None else self.like.resize

    @property
    def size(self) -> tuple[int, int] | None:
        """The size that images are resized to, if it is given."""
        if self.like is not None:
            return self.like.size
        return size_of(self.image_size)


# All options at their defaults.
AS_IS = ReadOptions()
