"""Stage: one step of a pipeline, which draws for every image of a batch and then applies what it drew."""

from typing import Literal, Protocol, runtime_checkable

from torch import Tensor

from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.plan import Clock

Trace = dict[str, Tensor]
Domain = Literal["pixels", "any"]


@runtime_checkable
class Stage(Protocol):
    """A step of a pipeline. All random choices are made by `sample`; `apply` is a pure function of the batch and the trace.

    name: what messages and descriptions call the stage. address: the name under which its noise is drawn, usually the
    same; stages with equal addresses at equal places draw alike. intensive: whether refinement switches the stage off.
    domain: `pixels` takes uint8 images only, `any` also normalised floats. needs: what else a batch must offer, of
    `saliency` and `partner`. mixes_labels: whether labels become a mixture of several samples' labels.
    """

    @property
    def name(self) -> str:
        """What messages and descriptions call the stage."""
        ...

    @property
    def address(self) -> str:
        """The name under which its noise is drawn; usually its own name."""
        ...

    @property
    def intensive(self) -> bool:
        """Whether refinement switches it off."""
        ...

    @property
    def domain(self) -> Domain:
        """`pixels`: uint8 images only; `any`: normalised floats too."""
        ...

    @property
    def needs(self) -> frozenset[str]:
        """What else a batch must offer: `saliency`, `partner`."""
        ...

    @property
    def mixes_labels(self) -> bool:
        """Whether labels become a mixture of several samples' labels."""
        ...

    def sample(self, batch: Batch, noise: Noise, clock: Clock | None = None, intensity: float | Tensor = 1.0) -> Trace:
        """Every choice for a batch, as tensors with a row per image, so that `trace[rows]` is the trace of these rows.

        intensity: the chance with which the stage fires at all, where it is intensive.
        """
        ...

    def apply(self, batch: Batch, trace: Trace) -> Batch:
        """The batch after the choices in the trace; draws nothing, and reads no choice from anywhere else."""
        ...

    def repeat(self, noise: Noise) -> Noise:
        """The noise of the rows that come out, where a stage gives back more rows than it was given; otherwise `noise`."""
        ...

    def describe(self, trace: Trace, row: int) -> str:
        """What was drawn for one row, in words; empty where nothing was."""
        ...
