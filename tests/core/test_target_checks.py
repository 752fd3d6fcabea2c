"""What `Targets` takes and refuses, value by value, and what of it says so."""

import re

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from augury.core.errors import InputError
from augury.core.target_kind import TargetKind
from augury.core.targets import Targets

PARTNER, WEIGHT = torch.tensor([1, 2, 0]), torch.tensor([0.25, 0.5, 1.0])
THREE = Targets.of(torch.tensor([0, 2, 1]), 9)


@pytest.mark.parametrize(
    ("partner", "weight", "words"),
    [
        (PARTNER[:2], WEIGHT, "must have the shape [3], got [2] and [3]"),
        (PARTNER, WEIGHT[:2], "must have the shape [3], got [3] and [2]"),
        (PARTNER[:, None], WEIGHT, "must have the shape [3], got [3, 1] and [3]"),
        (PARTNER, torch.tensor(0.5), "must have the shape [3], got [3] and []"),
        (PARTNER.int(), WEIGHT, "must be int64 and weight float, got torch.int32 and torch.float32"),
        (PARTNER, WEIGHT.long(), "must be int64 and weight float, got torch.int64 and torch.int64"),
        (torch.tensor([0, 1, 3]), WEIGHT, "partner must lie in 0..2"),
        (torch.tensor([-1, 1, 2]), WEIGHT, "partner must lie in 0..2"),
    ],
)
def test_a_mix_needs_a_partner_and_a_weight_for_every_row(partner: Tensor, weight: Tensor, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        THREE.mix(partner, weight)


def test_partners_and_weights_of_every_precision_mix_alike() -> None:
    expected = THREE.mix(PARTNER, WEIGHT)
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        found = THREE.mix(PARTNER, WEIGHT.to(dtype))
        assert found.weight.dtype == torch.float32 and found.weight.equal(expected.weight)
    assert len(THREE[:0].mix(PARTNER[:0], WEIGHT[:0])) == 0, "a batch without rows has no partners to check"


def test_the_first_and_the_last_row_may_be_partners() -> None:
    rows = torch.tensor([2, 0, 0])
    assert THREE.mix(rows, torch.zeros(3)).top().tolist() == THREE.top()[rows].tolist()


@pytest.mark.parametrize("share", [-0.01, 1.0, 1.5, float("nan")])
def test_smoothing_leaves_the_label_some_weight(share: float) -> None:
    with pytest.raises(InputError, match=re.escape(f"smoothing: {share:g} must be from 0 to below 1")):
        THREE.smoothed(share)
    assert THREE.smoothed(0.999).dense()[0, 0] == pytest.approx(0.001 + 0.999 / 9)


def test_one_class_is_enough_and_none_is_not() -> None:
    one = Targets.of(torch.tensor([0, 0]), 1)
    assert one.classes == 1 and one.loss(torch.tensor([[3.0], [-2.0]])).tolist() == [0, 0]
    with pytest.raises(InputError, match="^classes: 0 must be at least 1$"):
        Targets.of(torch.zeros(0, dtype=torch.int64), 0)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.complex64])
def test_columns_must_be_probabilities_or_truth_values(dtype: torch.dtype) -> None:
    """Catches whole numbers in columns, such as one-hot vectors, that are taken for either."""
    with pytest.raises(InputError, match=re.escape(f"got {dtype} [1, 2]")):
        Targets.of(torch.tensor([[0, 1]]).to(dtype), 2)
    with pytest.raises(InputError, match=r"got torch.complex64 \[2\]"):
        Targets.of(torch.zeros(2, dtype=torch.complex64), 2)


def test_messages_name_what_was_given() -> None:
    for labels, words in (
        (torch.tensor([[0.5, 0.5]]), "labels: 2 columns of soft labels for 3 classes"),
        (torch.tensor([[True, False]]), "labels: 2 columns of labels for 3 classes"),
        (torch.tensor([1, 5]), "labels: 1..5 lie outside 0..2 of 3 classes"),
        (torch.tensor([-2, 1]), "labels: -2..1 lie outside 0..2 of 3 classes"),
    ):
        with pytest.raises(InputError, match=f"^{re.escape(words)}$"):
            Targets.of(labels, 3)
    with pytest.raises(InputError, match="^labels: rows of soft labels must be non-negative and sum to 1$"):
        Targets.of(torch.tensor([[0.5, 0.75]]))
    with pytest.raises(InputError, match=re.escape("logits: expected [3, classes], a row per target; got [2, 9]")):
        THREE.loss(torch.zeros(2, 9))
    with pytest.raises(InputError, match="logits: expected"):
        THREE.loss(torch.zeros(3, 9, dtype=torch.complex64))


def test_values_are_checked_where_they_can_be_read_without_waiting() -> None:
    """On a GPU a look would stall every step; the device `meta`, which has no values, stands in."""
    soft = Targets.of(torch.zeros(2, 3, device="meta"))
    assert soft.classes == 3 and soft.index.device.type == "meta"
    assert Targets.of(torch.zeros(2, dtype=torch.int64, device="meta"), 3).classes == 3
    index = torch.zeros(2, dtype=torch.int64, device="meta")
    assert len(Targets.of(index, 3).mix(index, torch.zeros(2, device="meta"))) == 2


def test_a_network_may_have_more_outputs_than_labels_name() -> None:
    """Without a number of classes it is the highest label's; the loss is that of all the outputs."""
    logits, labels = torch.randn(4, 7, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 1, 0])
    expected = functional.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(Targets.of(labels).loss(logits), expected)


class TestSeveralLabels:
    labels = torch.tensor([[True, False, True], [False, False, False]])

    def test_they_are_a_row_of_truth_values(self) -> None:
        made = Targets.of(self.labels)
        assert made.kind is TargetKind.SEVERAL and made.classes == 3 and made.positive is None
        assert made.index.tolist() == [[0, 1, 2]] * 2 and made.weight.dtype == torch.float32
        assert made.dense().tolist() == [[1, 0, 1], [0, 0, 0]] and Targets.of(self.labels, 3).classes == 3

    def test_a_weight_of_a_class_counts_where_it_is_there(self) -> None:
        logits, weights = torch.tensor([[0.5, -1.0, 2.0], [1.0, 0.0, -3.0]]), torch.tensor([4.0, 5.0, 6.0], dtype=torch.float64)
        made = Targets.of(self.labels).weighted(weights)
        expected = functional.binary_cross_entropy_with_logits(
            logits, self.labels.float(), pos_weight=weights.float(), reduction="none"
        )
        torch.testing.assert_close(made.loss(logits), expected.mean(1))
        assert made.positive is not None and made.positive.dtype == torch.float32
        for kept in (made.to("cpu"), made[torch.tensor([0, 1])], made.mix(torch.tensor([0, 1]), torch.ones(2))):
            torch.testing.assert_close(kept.loss(logits), expected.mean(1))
        moved = made.to("meta")
        assert moved.positive is not None and moved.positive.device.type == moved.weight.device.type == "meta"

    def test_every_class_needs_an_output(self) -> None:
        for columns in (2, 4):
            with pytest.raises(InputError, match=f"^logits: {columns} columns for 3 classes$"):
                Targets.of(self.labels).loss(torch.zeros(2, columns))

    def test_smoothing_moves_every_answer_towards_a_half(self) -> None:
        assert Targets.of(self.labels).smoothed(0.5).dense().tolist() == [[0.75, 0.25, 0.75], [0.25, 0.25, 0.25]]

    def test_a_mix_is_the_mean_of_the_rows(self) -> None:
        mixed = Targets.of(self.labels).mix(torch.tensor([1, 0]), torch.tensor([0.75, 0.5]))
        assert mixed.dense().tolist() == [[0.75, 0, 0.75], [0.5, 0, 0.5]] and mixed.kind is TargetKind.SEVERAL
