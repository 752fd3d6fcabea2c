"""A pipeline as a layer of a network."""

from typing import Any, Protocol

from torch import Tensor, nn

from augury.augment.annotations.call import at_rest
from augury.augment.annotations.structure import is_structure
from augury.augment.inputs import as_pixels, targets_of
from augury.augment.stages.normalize import Normalize


class Augmentation(Protocol):
    """What is needed of a pipeline."""

    _calls: Tensor

    @property
    def normalize(self) -> Normalize | None: ...
    @property
    def mixes(self) -> bool: ...
    def __call__(self, images: Any, labels: Any = None, *, classes: int | None = None) -> Any: ...


class PipelineModule(nn.Module):
    """A pipeline as a layer, made by `Pipeline.module()`: `nn.Sequential(augury.pipeline("crop+flip").module(), network)`.

    In training mode it augments; in evaluation mode it passes images through, normalised where the pipeline normalises. The
    state dict holds the number of calls, so that a training resumed from it draws on where it stopped.
    """

    calls: Tensor

    def __init__(self, pipeline: Augmentation) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.register_buffer("calls", pipeline._calls.clone())

    def forward(self, images: Tensor, labels: object = None, *, classes: int | None = None) -> Any:
        if self.training:
            self.pipeline._calls = self.calls
            return self.pipeline(images, labels, classes=classes)
        normalize = self.pipeline.normalize
        if is_structure(images, labels):
            return at_rest(images if labels is None else (images, labels), normalize)
        if normalize is not None:
            pixels, _ = as_pixels(images)
            values = normalize.normalise(pixels)
            images = values if images.ndim == 4 else values[0]
        if labels is None:
            return images
        if self.pipeline.mixes:
            labels = targets_of(labels, images.ndim == 3, len(images) if images.ndim == 4 else 1, classes)
        return images, labels

    def extra_repr(self) -> str:
        return repr(self.pipeline)
