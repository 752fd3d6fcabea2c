"""Method: augmentation, strategy and networks bound into one object that any training loop can call.

It only computes losses: optimiser, precision, devices, processes and checkpoints belong to the loop around it.
Augury's own engine uses the same object.
"""

import io
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from augury.augment.pipeline import Pipeline
from augury.core.draws import Draws
from augury.core.errors import InputError
from augury.core.plan import Clock
from augury.core.processes import process_count
from augury.train.method.counts import Counts, counting
from augury.train.method.inputs import Inputs
from augury.train.method.pipelines import normalize_of
from augury.train.method.refinement import Refinement
from augury.train.method.saliency import StepSaliency
from augury.train.method.views import Source, StepViews
from augury.train.strategies.strategy import Step, Strategy, members


class Method(nn.Module):
    """Created by `augury.method(...)`. A call takes a batch of un-augmented images and returns a `Step` with the loss to minimise.

    Its parameters are those of the networks and of the modules that a strategy or an augmentation adds (an early head).
    `state_dict` also holds the training's progress and the strategy's state, so that training continues with the same draws
    after loading it, even within an epoch. An augmentation's draws depend only on seed, epoch and ids.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        model: nn.Module,
        extra: nn.ModuleDict,
        strategy: Strategy,
        pipelines: tuple[Pipeline, ...],
        *,
        name: str,
        classes: int,
        seed: int,
        smoothing: float = 0.0,
        draws: Draws = "independent",
        refinement: Refinement | None = None,
        saliency: StepSaliency | None = None,
        image_range: tuple[float, float] | None = None,
        class_weights: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.model, self.extra = model, extra
        self.strategy, self.pipelines, self.saliency = strategy, pipelines, saliency
        self.name, self.classes, self.seed, self.smoothing, self.draws = name, classes, seed, smoothing, draws
        self.refinement = refinement or Refinement()
        self.normalize = normalize_of(pipelines[0])
        self.counts = Counts() if saliency is None else saliency.counts
        self.inputs = Inputs(name, strategy, classes, image_range)
        self.epoch, self.epochs = 0, 1
        self._open = False

    @property
    def networks(self) -> list[nn.Module]:
        """The networks that are trained together, usually one."""
        return members(self.model)

    @property
    def device(self) -> torch.device | None:
        """The networks' device; None if they have no parameters."""
        parameter = next(self.parameters(), None)
        return None if parameter is None else parameter.device

    @property
    def eval_transform(self) -> Pipeline:
        """The transform for evaluation: only the training's normalisation."""
        return Pipeline((self.normalize,))

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Begin an epoch (0-based) of a training of `epochs`, for schedules and refinement; ends the one before if necessary."""
        if not 0 <= epoch < epochs:
            raise InputError(f"start_epoch: epoch={epoch} must be 0 to {epochs - 1} for epochs={epochs}")
        if self._open and epoch != self.epoch:
            self.end_epoch()
        if not self._open:
            self.inputs.start_epoch()
        self.epoch, self.epochs, self._open = epoch, epochs, True

    def end_epoch(self) -> None:
        """End an epoch, from which the strategy then learns. `start_epoch` does this for the epoch before."""
        self._open = False
        self.strategy.end_epoch(self._ended)

    def files(self) -> Mapping[str, str]:
        """Texts by file name to save after the training, such as the policies it has found."""
        if self._open:
            self.end_epoch()
        return self.strategy.files(self._ended)

    @property
    def _ended(self) -> Clock:
        return Clock(self.epoch + 1, max(1, self.epochs - self.refinement.epochs), self.counts.steps, seed=self.seed)

    @property
    def clock(self) -> Clock:
        """The clock of the next step."""
        return self.refinement.clock(self.epoch, self.epochs, self.counts.steps, self.seed)

    def forward(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        ids: Tensor | None = None,
        visits: Tensor | None = None,
        groups: Tensor | None = None,
        **streams: Tensor | tuple[Tensor, Tensor],
    ) -> Step:
        """The loss of one optimiser step on a batch; call backward on `.loss`.

        images: uint8 [B,C,H,W], or floats if `image_range` was given, on any device: they are augmented on their device if it is
        the CPU or CUDA, otherwise on the CPU, and then moved to the network. labels: class indices int [B]. ids: int64 [B], each
        image's number in its data set (`augury.with_ids`). visits: how often each id was seen before in this epoch; counted
        here by default, if the ids are on the CPU. groups: int64 [B]. streams: further images under the strategy's names,
        `unlabelled=(images, ids)`, or [B,K,C,H,W] with K images for every row. Raises InputError, in one line, if anything that
        the strategy needs is missing.
        """
        if self.strategy.turns > 1:
            raise InputError(
                f"method: {self.name} updates its networks {self.strategy.turns} times a step; write "
                "`for step in method.turns(images, labels, ids=ids): step.loss.backward(); optimizer.step(); optimizer.zero_grad()`"
            )
        with self._step(images, labels, ids, visits, groups, streams) as (sources, clock, program):
            return self.loss(sources, clock, program=program, images=len(images))

    def turns(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        ids: Tensor | None = None,
        visits: Tensor | None = None,
        groups: Tensor | None = None,
        **streams: Tensor | tuple[Tensor, Tensor],
    ) -> Iterator[Step]:
        """The losses of one step, each to be followed by an update of its own; one for most strategies. See `forward`."""
        if self.strategy.turns > 1 and process_count() > 1:
            raise InputError(
                f"method: {self.name} updates its networks in turn, and gradients are not summed over processes between turns; "
                "train it in one process, or with `augury train` under torchrun"
            )
        with self._step(images, labels, ids, visits, groups, streams) as (sources, clock, program):
            for turn in range(self.strategy.turns):
                yield self.loss(sources, clock, program=program, turn=turn, images=len(images))

    def loss(
        self, sources: Mapping[str, Source], clock: Clock, *, program: Hashable, images: int, turn: int = 0,
        address: Tensor | None = None,
    ) -> Step:  # fmt: skip
        """The loss of one turn on the sources' images. images: the number of source images of the whole step, which is larger
        if gradients are accumulated. program: the strategy's for this step. address: see `StepViews`."""
        with counting(self.networks, self.counts, images):
            return self.strategy(self.model, self.views(sources, clock, images, address), program=program, turn=turn)

    def views(
        self, sources: Mapping[str, Source], clock: Clock, images: int, address: Tensor | None = None
    ) -> StepViews:  # fmt: skip
        """The views of a step on these sources."""
        return StepViews(
            sources, self.refinement.pipelines(self.pipelines, clock), self.seed, clock, self.counts,
            None if self.saliency is None else self.saliency.at(clock, images), address, self.smoothing, self.draws,
            self.class_weights, self.device,
        )  # fmt: skip

    @contextmanager
    def _step(
        self, images: Tensor, labels: Tensor | None, ids: Tensor | None, visits: Tensor | None, groups: Tensor | None,
        streams: Mapping[str, Tensor | tuple[Tensor, Tensor]],
    ) -> Iterator[tuple[Mapping[str, Source], Clock, Hashable]]:  # fmt: skip
        """The sources, clock and program of a step, which is counted once it is complete."""
        if not self.training:
            raise InputError("method: is in evaluation mode; call method.train(), or the model itself to evaluate")
        if not self._open:
            raise InputError("method: call method.start_epoch(epoch, epochs) first, at the start of every epoch")
        sources = self.inputs.sources(images, labels, ids, visits, groups, streams)
        clock = self.clock
        yield sources, clock, self.strategy.program(clock)
        self.counts.steps += 1

    def get_extra_state(self) -> Tensor:
        """The training's progress and the strategy's state, as part of `state_dict`.

        Bytes in a tensor, since formats for weights such as safetensors hold only tensors.
        """
        file = io.BytesIO()
        state = {
            "epoch": self.epoch, "epochs": self.epochs, "open": self._open, "counts": self.counts.dict(),
            "inputs": self.inputs.state_dict(), "strategy": self.strategy.state_dict(),
        }  # fmt: skip
        torch.save(state, file)
        return torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor | dict[str, Any]) -> None:
        """Restore what `get_extra_state` returned."""
        if isinstance(state, Tensor):
            state = torch.load(io.BytesIO(state.cpu().numpy().tobytes()), map_location="cpu", weights_only=True)
        assert isinstance(state, dict)
        self.epoch, self.epochs, self._open = state["epoch"], state["epochs"], state["open"]
        self.counts.load(state["counts"])
        self.inputs.load_state_dict(state["inputs"])
        self.strategy.load_state_dict(state["strategy"])

    def extra_repr(self) -> str:
        return f"{self.name}, {self.pipelines[0]!r}, classes={self.classes}, seed={self.seed}"
