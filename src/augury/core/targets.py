"""Targets: a row's label after any number of mixes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from augury.core.devices import is_host
from augury.core.doors import door
from augury.core.errors import InputError
from augury.core.target_kind import TargetKind


@dataclass(frozen=True)
class Targets:
    """Weighted class indices: `index` int64 [B,K], `weight` float32 [B,K] with rows that sum to 1, and the number of `classes`.

    A class may occur several times in a row. K doubles with every mix until it would reach `classes`; then rows become dense.

    kind: where an image may have several labels, K is `classes` and a weight in [0, 1] says how far each class is there,
    whatever the others are. positive: float [classes], what a class that is there counts for in the loss, of several labels only.
    """

    index: Tensor
    weight: Tensor
    classes: int
    kind: TargetKind = TargetKind.ONE
    positive: Tensor | None = None

    @staticmethod
    @door
    def of(labels: Tensor, classes: int | None = None) -> "Targets":
        """From class indices, integer [B]; from soft labels, float [B, classes] with rows that sum to 1; or, where an image may
        have several labels, from bool [B, classes].

        Raises InputError for a wrong shape or dtype, for indices outside 0..classes-1 and for rows that do not sum to 1.
        Values are checked on the CPU only, since checking them on a GPU would stall every step.
        """
        if labels.ndim == 2 and (labels.is_floating_point() or labels.dtype == torch.bool):
            what = "labels" if labels.dtype == torch.bool else "soft labels"
            if classes is not None and classes != labels.shape[1]:
                raise InputError(f"labels: {labels.shape[1]} columns of {what} for {classes} classes")
            return _several(labels) if labels.dtype == torch.bool else _from_soft(labels)
        if labels.ndim != 1 or labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
            raise InputError(
                "labels: expected class indices, integer [B], soft labels, float [B, classes], or several, bool [B, classes]; "
                f"got {labels.dtype} {list(labels.shape)}"
            )
        index = labels.to(torch.int64)[:, None]
        if classes is not None and classes < 1:
            raise InputError(f"classes: {classes} must be at least 1")
        if classes is None:
            classes = int(index.max()) + 1 if len(index) else 1
        if index.device.type == "cpu" and len(index):
            check_indices(index, classes)
        return Targets(index, torch.ones_like(index, dtype=torch.float32), classes)

    @staticmethod
    def cat(parts: Sequence["Targets"]) -> "Targets":
        """Several targets concatenated; all must have the same number of classes and of labels per row."""
        if not isinstance(parts, Sequence) or not parts or not all(isinstance(part, Targets) for part in parts):
            raise InputError("targets: cat takes a list of Targets, at least one")
        if len({(p.classes, p.index.shape[1], p.kind) for p in parts}) > 1:
            raise InputError("targets: cat takes Targets of one number of classes and of labels per row")
        return replace(parts[0], index=torch.cat([p.index for p in parts]), weight=torch.cat([p.weight for p in parts]))

    @door
    def mix(self, partner: Tensor, weight: Tensor) -> "Targets":
        """Every row mixed with its partner's row. weight: float [B], that of the row's own labels."""
        if partner.shape != (len(self),) or weight.shape != (len(self),):
            found = f"{list(partner.shape)} and {list(weight.shape)}"
            raise InputError(f"targets: partner and weight must have the shape [{len(self)}], got {found}")
        if partner.dtype != torch.int64 or not weight.is_floating_point():
            raise InputError(f"targets: partner must be int64 and weight float, got {partner.dtype} and {weight.dtype}")
        if is_host(partner.device) and len(self):
            low, high = map(int, partner.aminmax())
            if low < 0 or high >= len(self):
                raise InputError(f"targets: partner must lie in 0..{len(self) - 1}")
        own = weight[:, None].to(self.weight.dtype)
        if self.kind is TargetKind.SEVERAL or 2 * self.index.shape[1] >= self.classes:
            dense = self.dense()
            return self._of_dense(dense * own + dense.index_select(0, partner) * (1 - own))
        index, other = torch.cat([self.index, self.index.index_select(0, partner)], 1), self.weight.index_select(0, partner)
        return Targets(index, torch.cat([self.weight * own, other * (1 - own)], 1), self.classes)

    @door
    def smoothed(self, share: float) -> "Targets":
        """Label smoothing: the uniform distribution gets the weight `share` in [0, 1) (Szegedy et al. 2016, section 7); of several
        labels, that of the two answers to every class."""
        if not 0 <= float(share) < 1:
            raise InputError(f"smoothing: {share:g} must be from 0 to below 1")
        if share == 0:
            return self
        return self._of_dense(self.kind.smoothed(self.dense(), share))

    def weighted(self, class_weights: Tensor) -> "Targets":
        """Each class's share of the loss times its weight, float [classes]; rows then sum to something other than 1. Of several
        labels, a class's share where it is there."""
        if self.kind is TargetKind.SEVERAL:
            return replace(self, positive=class_weights.to(self.weight))
        return Targets(self.index, self.weight * class_weights.to(self.weight)[self.index], self.classes)

    @door
    def loss(self, logits: Tensor, smoothing: float = 0.0) -> Tensor:
        """Cross-entropy per row, float32 [B], in nats; of several labels the mean of the binary cross-entropies. Logits
        [B, classes] are first converted to float32."""
        if logits.ndim != 2 or len(logits) != len(self) or logits.is_complex():
            raise InputError(f"logits: expected [{len(self)}, classes], a row per target; got {list(logits.shape)}")
        if self.kind is TargetKind.SEVERAL and logits.shape[1] != self.classes:
            raise InputError(f"logits: {logits.shape[1]} columns for {self.classes} classes")
        return self.kind.loss(logits, self.index, self.weight, float(smoothing), self.positive)

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> Any:
        """PyTorch's functions receive targets as class probabilities, so that they can be passed to loss functions as labels:
        `torch.nn.CrossEntropyLoss()(logits, targets)`."""

        def plain(value: object) -> Any:
            return value.dense() if isinstance(value, Targets) else value

        return function(*map(plain, args), **{key: plain(value) for key, value in (kwargs or {}).items()})

    def dense(self) -> Tensor:
        """Class probabilities, float32 [B, classes]."""
        empty = torch.zeros(len(self), self.classes, device=self.index.device, dtype=self.weight.dtype)
        return empty.scatter_add_(1, self.index, self.weight)

    def pair(self) -> tuple[Tensor, Tensor, Tensor]:
        """(a, b, weight) as in published mixing code: two classes, int64 [B], and the weight of the first, float32 [B].

        Raises InputError if rows have more than two labels, as after two mixes.
        """
        count = self.index.shape[1]
        if self.kind is TargetKind.SEVERAL:
            raise InputError("targets: an image has several labels here; use dense()")
        if count > 2:
            raise InputError(f"targets: rows have {count} weighted labels, not two; use index and weight, or dense()")
        return self.index[:, 0], self.index[:, -1], self.weight[:, 0]

    def entropy(self) -> Tensor:
        """The entropy of each row's label in nats, float32 [B]: the lowest loss that a mixed label allows."""
        return self.kind.entropy(self.dense())

    def top(self) -> Tensor:
        """The class with the largest weight, int64 [B]."""
        return self.dense().argmax(1)

    def __len__(self) -> int:
        return self.index.shape[0]

    def __getitem__(self, rows: Tensor) -> "Targets":
        return replace(self, index=self.index[rows], weight=self.weight[rows])

    def pin_memory(self) -> "Targets":
        """In memory from which a GPU copies faster; DataLoaders ask for it."""
        return replace(self, index=self.index.pin_memory(), weight=self.weight.pin_memory())

    def to(self, device: torch.device | str) -> "Targets":
        """The same labels on another device."""
        positive = None if self.positive is None else self.positive.to(device)
        return replace(self, index=self.index.to(device), weight=self.weight.to(device), positive=positive)

    def _of_dense(self, dense: Tensor) -> "Targets":
        """The same with these weights, float32 [B, classes]."""
        return replace(self, index=torch.arange(self.classes, device=dense.device).expand_as(dense), weight=dense)


def check_indices(index: Tensor, classes: int) -> None:
    """Raises InputError unless class indices, some at least and on the CPU, lie in 0..classes-1."""
    if torch.compiler.is_compiling():  # a message with the values would break the graph
        torch._assert_async(((index >= 0) & (index < classes)).all(), f"labels: some lie outside 0..{classes - 1}")
        return
    low, high = map(int, index.aminmax())
    if low < 0 or high >= classes:
        raise InputError(f"labels: {low}..{high} lie outside 0..{classes - 1} of {classes} classes")


def _several(labels: Tensor) -> Targets:
    index = torch.arange(labels.shape[1], device=labels.device).expand_as(labels)
    return Targets(index, labels.to(torch.float32), labels.shape[1], TargetKind.SEVERAL)


def _from_soft(labels: Tensor) -> Targets:
    weight = labels.to(torch.float32)
    if weight.device.type == "cpu" and len(weight):
        message = "labels: rows of soft labels must be non-negative and sum to 1"
        good = ((weight.sum(1) - 1).abs() < 1e-3).all() & (weight >= 0).all()
        if torch.compiler.is_compiling():
            torch._assert_async(good, message)
        elif not bool(good):
            raise InputError(message)
    return Targets(torch.arange(weight.shape[1], device=weight.device).expand_as(weight), weight, weight.shape[1])
