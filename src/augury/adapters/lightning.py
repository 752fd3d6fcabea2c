"""Lightning: a mixin for LightningModules that are trained by a method, and one for those that only want augmented batches."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from augury.adapters.addressed import AddressedPipeline
from augury.adapters.batches import arguments
from augury.augment.pipeline import Pipeline
from augury.core.errors import InputError
from augury.train.method.method import Method

if TYPE_CHECKING:
    from lightning.pytorch import LightningModule
else:  # a mixin inherits from nothing, so that `lightning` and `pytorch_lightning` can be used alike
    LightningModule = object


class MethodTraining(LightningModule):
    """Trains `self.method`: `class Classifier(MethodTraining, LightningModule)`.

    Batches are as `arguments` describes. Training steps log `train_loss` and what the strategy says. Images of validation, test and
    prediction are normalised before their steps see them, and `self(images)` gives the network's logits. Strategies that update
    networks in turn are optimised by hand, as Lightning calls it: one optimiser, and no clipping or accumulation by the Trainer.
    """

    method: Method

    @property
    def automatic_optimization(self) -> bool:
        """False where a step has several updates."""
        method = self._modules.get("method")
        return super().automatic_optimization and not (isinstance(method, Method) and method.strategy.turns > 1)

    @automatic_optimization.setter
    def automatic_optimization(self, value: bool) -> None:
        self._automatic_optimization = value

    def forward(self, images: Tensor) -> Any:
        return self.method.networks[0](images)

    def on_train_epoch_start(self) -> None:
        epochs = self.trainer.max_epochs
        if not epochs or epochs < 1:
            raise InputError("method: schedules and refinement need the number of epochs; give Trainer(max_epochs=...)")
        self.method.start_epoch(self.current_epoch, epochs)
        super().on_train_epoch_start()

    def on_after_batch_transfer(self, batch: object, dataloader_idx: int) -> Any:
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        return batch if self.trainer.training else _with_images(batch, self.method.eval_transform)

    def training_step(self, batch: object, batch_idx: int) -> Tensor | None:
        given = arguments(batch)
        if self.automatic_optimization:
            step = self.method(**given)
            self._say({"train_loss": step.loss, **step.logs}, len(given["images"]))
            return step.loss
        optimizer = self.optimizers()
        if isinstance(optimizer, list):
            raise InputError(f"method: {self.method.name} needs one optimiser of method.parameters(), not {len(optimizer)}")
        for step in self.method.turns(**given):
            optimizer.zero_grad()
            self.manual_backward(step.loss)
            optimizer.step()
            self._say({"train_loss": step.loss, **step.logs}, len(given["images"]))
        self._schedule("step", batch_idx)
        return None

    def on_train_epoch_end(self) -> None:
        super().on_train_epoch_end()
        if not self.automatic_optimization:
            self._schedule("epoch", self.current_epoch)

    def _say(self, values: Mapping[str, Tensor], count: int) -> None:
        self.log_dict({name: value.detach() for name, value in values.items()}, on_step=False, on_epoch=True, batch_size=count)

    def _schedule(self, interval: str, done: int) -> None:
        """What Lightning does to learning rates where it optimises by itself."""
        for each in self.trainer.lr_scheduler_configs:
            if each.interval == interval and (done + 1) % each.frequency == 0:
                metric = self.trainer.callback_metrics.get(each.monitor) if each.monitor else None
                self.lr_scheduler_step(each.scheduler, metric)


class BatchAugmentation(LightningModule):
    """Augments training batches after their transfer: `class Classifier(BatchAugmentation, LightningModule)`.

    `self.augmentation = augury.pipeline(..., normalize=(mean, std))` and `self.classes` are set in `__init__`. A training step
    gets (values, labels), the labels as `Targets` where images are mixed; the other steps get normalised images.
    """

    augmentation: Pipeline
    classes: int
    _addressed: AddressedPipeline | None = None

    def on_train_epoch_start(self) -> None:
        if self._addressed is None:
            self._addressed = AddressedPipeline(self.augmentation, self.classes)
        super().on_train_epoch_start()

    def on_after_batch_transfer(self, batch: object, dataloader_idx: int) -> Any:
        batch = super().on_after_batch_transfer(batch, dataloader_idx)
        if not self.trainer.training:
            normalize = self.augmentation.normalize
            return batch if normalize is None else _with_images(batch, Pipeline((normalize,)))
        if self._addressed is None:
            self._addressed = AddressedPipeline(self.augmentation, self.classes)
        self._addressed.start_epoch(self.current_epoch)
        given = arguments(batch)
        done = self._addressed(given["images"], given.get("labels"), ids=given.get("ids"))
        return done.images, self._addressed.labels(done, given.get("labels"))


def _with_images(batch: Any, transform: Pipeline) -> Any:
    """The batch, of the same kind, with its images transformed."""
    images = transform(arguments(batch)["images"])
    if isinstance(batch, Mapping):
        name = next(name for name in ("images", "image", "pixel_values") if name in batch)
        return {**batch, name: images}
    return images if isinstance(batch, Tensor) else type(batch)([images, *batch[1:]])
