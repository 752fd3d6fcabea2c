"""Hugging Face: a Trainer's mixin, a collator, a network that gives logits, and transforms of `datasets`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from augury.adapters.batches import arguments
from augury.augment.pil import from_pil
from augury.augment.pipeline import Pipeline
from augury.core.devices import as_tensor
from augury.core.errors import InputError
from augury.core.targets import Targets
from augury.train.method.method import Method

if TYPE_CHECKING:
    from transformers import Trainer
else:  # a mixin inherits from nothing, so that this file needs no library that its user does not
    Trainer = object

_MULTI_LABEL = "multi_label_classification"


class MethodTraining(Trainer):
    """A Trainer that trains a method: `class MethodTrainer(MethodTraining, Trainer)`, given `model=augury.method(...)`.

    The loss is the strategy's, made of class indices or of class probabilities by cross-entropy; labels never reach the network,
    whose own rule takes float labels for several labels at once. Evaluation normalises images and does nothing else.

    Raises InputError for what a Trainer cannot do: strategies that update networks in turn, and label smoothing by its arguments.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        settings = named.get("args", given[1] if len(given) > 1 else None)
        if settings is not None and settings.label_smoothing_factor:
            raise InputError("label_smoothing_factor: the method makes the loss; give augury.method(..., smoothing=...)")
        super().__init__(*given, **named)
        if not isinstance(self.model, Method):
            raise InputError("model: expected what augury.method(...) gives; for a network of transformers, of Logits(network)")
        if self.model.strategy.turns > 1:
            raise InputError(
                f"method: {self.model.name} updates its networks in turn, and a Trainer updates once a batch; "
                "train it in a loop of your own or with Lightning"
            )
        self.args.remove_unused_columns = False  # the method takes images, not the columns that a network's signature names
        # Without this the Trainer takes the streams of a method's call for its loss's own arguments, and does not average
        # over accumulated batches.
        self.model_accepts_loss_kwargs = False

    @property
    def method(self) -> Method:
        """What is trained."""
        assert isinstance(self.model, Method)
        return self.model

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: object = None
    ) -> Any:
        # A fraction within an epoch, the next whole number at its end.
        self.method.start_epoch(int(self.state.epoch or 0), int(self.state.num_train_epochs))
        loss = model(**arguments(inputs)).loss
        return (loss, {"loss": loss}) if return_outputs else loss

    def prediction_step(
        self, model: nn.Module, inputs: dict[str, Any], prediction_loss_only: bool, ignore_keys: list[str] | None = None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        given = arguments(self._prepare_inputs(inputs))
        labels = given.get("labels")
        with torch.no_grad(), self.compute_loss_context_manager():
            logits = self.method.networks[0](self.method.eval_transform(given["images"]))
            loss = None if labels is None else Targets.of(labels, self.method.classes).loss(logits).mean()
        return loss, None if prediction_loss_only else logits, labels


class Logits(nn.Module):
    """A network of transformers as methods want one: normalised images in, logits out.

    Raises InputError for one that is set up for several labels at once.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        config: Any = getattr(network, "config", None)
        if getattr(config, "problem_type", None) == _MULTI_LABEL:
            raise InputError("network: its problem_type is multi_label_classification; methods are for one label per image")
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(pixel_values=images).logits


class Collator:
    """Items to a batch of plain images, for a method: {"images": uint8 [B,C,H,W], "labels", "ids"}.

    Items are mappings, or tuples as `augury.with_ids` makes them; image, label, id: the names in mappings. Images are PIL images,
    arrays [H,W,C] or [H,W], or tensors [C,H,W]; all are turned into three channels where some have three. Raises InputError for
    images of several sizes.
    """

    def __init__(self, image: str = "image", label: str = "label", id: str = "id") -> None:
        self.image, self.label, self.id = image, label, id

    def __call__(self, items: Sequence[Any]) -> dict[str, Tensor]:
        first = items[0]
        columns: dict[str, Sequence[Any]]
        if isinstance(first, Mapping):
            columns = {name: [item[key] for item in items] for name, key in self._keys(first)}
        else:
            columns = dict(zip(("images", "labels", "ids"), zip(*items, strict=True), strict=False))
        done = {name: as_tensor(np.array(values)) for name, values in columns.items() if name != "images"}
        return {"images": stacked(columns["images"]), **done}

    def _keys(self, item: Mapping[str, object]) -> list[tuple[str, str]]:
        if self.image not in item:
            raise InputError(f"collator: items have no {self.image!r}, only {', '.join(item)}; give Collator(image=...)")
        keys = (("images", self.image), ("labels", self.label), ("ids", self.id))
        return [(name, key) for name, key in keys if key in item]


def stacked(images: Sequence[object]) -> Tensor:
    """uint8 [B,C,H,W] of PIL images, arrays and tensors of one size; InputError for several."""
    pixels = [_pixels(image) for image in images]
    channels = max(len(each) for each in pixels)
    pixels = [each.expand(channels, -1, -1) for each in pixels]
    if len({each.shape for each in pixels}) > 1:
        sizes = sorted({f"{each.shape[1]}x{each.shape[2]}" for each in pixels})
        raise InputError(f"images: of several sizes, such as {' and '.join(sizes[:2])}; resize them in the data set's transform")
    return torch.stack(pixels)


def _pixels(image: object) -> Tensor:
    if isinstance(image, Image.Image):
        return from_pil(image)
    if isinstance(image, Tensor):
        return image
    array = as_tensor(np.asarray(image))
    return array[None] if array.ndim == 2 else array.permute(2, 0, 1)


class Transform:
    """A pipeline for `datasets`: `data.with_transform(Transform(pipeline))`, or a method's `eval_transform` for evaluation.

    The column `image` is replaced by `to`: tensors as the pipeline gives them. With a column `id` an image draws by its id and
    the epoch, of which `start_epoch` tells; without, every look draws anew. Raises InputError for a pipeline that mixes
    images, which needs batches: give it to `augury.method`.
    """

    def __init__(self, pipeline: Pipeline, image: str = "image", to: str = "pixel_values", id: str = "id") -> None:
        if pipeline.mixes:
            raise InputError(f"{pipeline!r}: mixes images of a batch, and a data set gives them one by one; use augury.method")
        self.pipeline, self.image, self.to, self.id = pipeline, image, to, id
        self._epoch = torch.zeros((), dtype=torch.int64, device="cpu").share_memory_()

    def start_epoch(self, epoch: int) -> None:
        """Draw for this epoch (0-based) from here on, in workers too."""
        self._epoch.fill_(epoch)

    def __call__(self, examples: dict[str, list[Any]]) -> dict[str, list[Any]]:
        pixels = [_pixels(image) for image in examples[self.image]]
        ids = examples.get(self.id)
        done = [self.pipeline(each) if ids is None else self._addressed(each, ids[row]) for row, each in enumerate(pixels)]
        return {**{name: column for name, column in examples.items() if name != self.image}, self.to: done}

    def _addressed(self, image: Tensor, number: int) -> Tensor:
        from augury.core.batch import Batch
        from augury.core.noise import Noise

        ids = torch.tensor([number], device="cpu")
        noise = Noise.of(self.pipeline.seed, ids, epoch=int(self._epoch))
        return self.pipeline.run(Batch(image[None], None, ids, key=noise.key), noise)[0].images[0]
