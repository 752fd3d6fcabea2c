"""Stage: one step of a pipeline, which draws random choices for every image of a batch and then applies them."""

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

    name: the stage's name in messages and descriptions. address: the name under which its noise is drawn, usually the
    same; stages with the same address at the same position draw the same numbers. intensive: whether refinement switches the
    stage off. domain: `pixels` accepts uint8 images only, `any` also normalised floats. needs: what else it requires of a
    batch, `saliency` or `partner`. mixes_labels: whether the labels of several samples are mixed.
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
        """Every choice for a batch, as tensors with one row per image, so that indexing them by rows gives those rows' trace.

        intensity: the probability that an intensive stage fires at all.
        """
        ...

    def apply(self, batch: Batch, trace: Trace) -> Batch:
        """The batch after applying the choices in the trace. Draws nothing and depends on no other choices."""
        ...

    def repeat(self, noise: Noise) -> Noise:
        """The noise of the output rows, for a stage that returns more rows than it receives; otherwise `noise` itself."""
        ...

    def describe(self, trace: Trace, row: int) -> str:
        """What was drawn for one row, in words; empty if nothing was."""
        ...
