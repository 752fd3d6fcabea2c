"""Targets: label rows stay distributions through any chain of mixes, and their loss is the dense cross-entropy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from samples import steady
from scipy import stats
from scipy.special import log_softmax
from torch import Tensor

from augury.core.errors import InputError
from augury.core.targets import Targets

chains = st.lists(st.tuples(st.permutations(range(6)), st.lists(st.floats(0, 1, width=32), min_size=6, max_size=6)), max_size=6)


def dense_by_hand(labels: list[int], classes: int, chain: list[tuple[list[int], list[float]]]) -> np.ndarray:
    rows = np.eye(classes)[labels]
    for partner, keep in chain:
        k = np.array(keep)[:, None]
        rows = rows * k + rows[list(partner)] * (1 - k)
    return rows


def mixed(labels: list[int], classes: int, chain: list[tuple[list[int], list[float]]]) -> Targets:
    targets = Targets.of(torch.tensor(labels), classes)
    for partner, keep in chain:
        targets = targets.mix(torch.tensor(partner), torch.tensor(keep))
    return targets


@steady
@given(st.lists(st.integers(0, 4), min_size=6, max_size=6), st.sampled_from([5, 6, 9, 40]), chains)
def test_chains_of_mixes_give_the_weighted_sums(labels: list[int], classes: int, chain: list) -> None:
    # Catches a mix with the partner's row before rather than after earlier mixes, and weights that are exchanged.
    targets = mixed(labels, classes, chain)
    assert targets.dense().numpy() == pytest.approx(dense_by_hand(labels, classes, chain), abs=1e-5)
    assert targets.weight.sum(1).numpy() == pytest.approx(np.ones(6), abs=1e-5)
    assert bool((targets.weight >= 0).all())
    assert targets.index.shape == targets.weight.shape
    assert targets.index.shape[1] <= max(classes, 1) and targets.index.dtype == torch.int64


@steady
@given(st.lists(st.integers(0, 4), min_size=6, max_size=6), st.sampled_from([5, 40]), chains, st.sampled_from([0.0, 0.1]))
def test_loss_is_the_cross_entropy_of_the_dense_rows(labels: list[int], classes: int, chain: list, smoothing: float) -> None:
    # Catches a loss that reads the first label alone.
    logits = torch.randn(6, classes, generator=torch.Generator().manual_seed(classes)) * 4
    targets = mixed(labels, classes, chain)
    rows = dense_by_hand(labels, classes, chain) * (1 - smoothing) + smoothing / classes
    expected = -(log_softmax(logits.double().numpy(), axis=1) * rows).sum(1)
    assert targets.loss(logits, smoothing).numpy() == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_plain_labels_have_pytorchs_cross_entropy(smoothing: float) -> None:
    logits, labels = torch.randn(8, 7, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 7
    expected = torch.nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
    assert torch.allclose(Targets.of(labels, 7).loss(logits, smoothing), expected, atol=1e-6)


def test_half_precision_logits_lose_nothing_but_their_own_rounding() -> None:
    logits = torch.tensor([[60.0, -60.0, 0.0]], dtype=torch.float16)
    assert Targets.of(torch.tensor([1]), 3).loss(logits).tolist() == [pytest.approx(120.0)]


@steady
@given(st.lists(st.floats(0.01, 1), min_size=4, max_size=4))
def test_entropy_is_scipys(weights: list[float]) -> None:
    row = np.array(weights) / np.sum(weights)
    targets = Targets.of(torch.tensor(row[None]))
    assert float(targets.entropy()) == pytest.approx(stats.entropy(row), abs=1e-5)
    assert int(targets.top()) == int(targets.dense().argmax())


def test_entropy_is_the_floor_of_the_loss() -> None:
    targets = mixed([0, 1, 2, 3, 4, 0], 9, [([1, 2, 3, 4, 5, 0], [0.3] * 6)])
    best = targets.loss(targets.dense().clamp(min=1e-30).log())
    assert torch.allclose(best, targets.entropy(), atol=1e-4)
    assert Targets.of(torch.tensor([1, 2]), 5).entropy().tolist() == [0, 0]


def test_width_stays_the_same_for_a_fixed_number_of_mixes() -> None:
    # K must not depend on what was drawn: a captured step has static shapes.
    plain = Targets.of(torch.arange(6), 40)
    partner = torch.arange(6).roll(1)
    once = [plain.mix(partner, keep).index.shape for keep in (torch.ones(6), torch.zeros(6), torch.rand(6))]
    assert set(once) == {torch.Size([6, 2])}


@pytest.mark.parametrize(
    "labels",
    [torch.tensor([0, 5]), torch.tensor([-1, 0]), torch.tensor([0.5, 0.5]), torch.tensor([True, False]), torch.tensor([[1, 2]])]
    + [torch.tensor([[0.5, 0.6]]), torch.tensor([[1.5, -0.5]]), torch.tensor([[float("nan"), 1.0]]), torch.tensor(3)],
)
def test_wrong_labels_are_refused_by_name(labels: Tensor) -> None:
    with pytest.raises(InputError, match="^labels: .*") as caught:
        Targets.of(labels, 5)
    assert "\n" not in str(caught.value)


def test_classes_default_to_the_highest_label() -> None:
    assert Targets.of(torch.tensor([3, 1])).classes == 4
    assert Targets.of(torch.zeros(0, dtype=torch.int64), 4).dense().shape == (0, 4)
    assert Targets.of(torch.zeros(0, dtype=torch.int64)).loss(torch.zeros(0, 1)).shape == (0,)
    assert Targets.of(torch.tensor([3, 1], dtype=torch.uint8), 4).index.dtype == torch.int64


def test_soft_labels_of_another_number_of_classes_are_refused() -> None:
    # Catches `classes` being ignored for soft labels.
    with pytest.raises(InputError, match="labels"):
        Targets.of(torch.tensor([[0.5, 0.5]]), 5)


def test_rows_are_gathered_together() -> None:
    targets = mixed([0, 1, 2, 3, 4, 0], 9, [([1, 2, 3, 4, 5, 0], [0.3] * 6)])
    rows = torch.tensor([4, 4, 0])
    assert torch.equal(targets[rows].dense(), targets.dense()[rows])
    assert len(targets[rows]) == 3 and targets[rows].classes == 9
    assert torch.equal(targets.to("cpu").dense(), targets.dense())


def test_two_labels_of_two_classes_are_dense() -> None:
    """Catches `>` for `>=` in `mix`: K would go on to `classes` in an order of the labels', and to twice that with the next mix."""
    mixed = Targets.of(torch.tensor([1, 0]), 2).mix(torch.tensor([1, 0]), torch.tensor([0.75, 0.5]))
    assert mixed.index.tolist() == [[0, 1], [0, 1]] and mixed.weight.tolist() == [[0.25, 0.75], [0.5, 0.5]]
    assert Targets.of(torch.tensor([1, 0]), 3).mix(torch.tensor([1, 0]), torch.ones(2)).index.tolist() == [[1, 0], [0, 1]]


def test_what_labels_may_be() -> None:
    """Catches a bound that is off by one, and a check that one of the two forms of labels escapes."""
    for wrong in (torch.tensor([0, 3]), torch.tensor([-1, 0]), torch.tensor([True]), torch.zeros(2), torch.zeros(2, 2, 2)):
        with pytest.raises(InputError, match="labels"):
            Targets.of(wrong, 3)
    for wrong in ([[0.5, 0.6]], [[1.2, -0.2]], [[0.4, 0.4]]):
        with pytest.raises(InputError, match="soft labels"):
            Targets.of(torch.tensor(wrong))
    with pytest.raises(InputError, match="2 columns of soft labels for 3 classes"):
        Targets.of(torch.tensor([[0.5, 0.5]]), 3)
    assert Targets.of(torch.tensor([0, 2])).classes == 3 and Targets.of(torch.zeros(0, dtype=torch.int64)).classes == 1
    assert len(Targets.of(torch.zeros(0, 4))) == 0
    with pytest.raises(InputError, match=r"expected \[2, classes\]"):
        Targets.of(torch.tensor([0, 1])).loss(torch.zeros(3, 2))
    with pytest.raises(InputError, match="expected"):
        Targets.of(torch.tensor([0, 1])).loss(torch.zeros(2))


def test_joining_picking_smoothing_and_entropy_by_hand() -> None:
    targets = Targets.of(torch.tensor([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]]))
    assert targets.top().tolist() == [0, 1] and targets.to("cpu")[torch.tensor([1])].dense().tolist() == [[0, 1, 0]]
    assert torch.allclose(targets.entropy(), torch.tensor([1.5 * math.log(2), 0.0]))
    joined = Targets.cat([targets, targets[torch.tensor([1])]])
    assert len(joined) == 3 and joined.classes == 3 and joined.top().tolist() == [0, 1, 1]
    smooth = targets.smoothed(0.3)
    assert torch.allclose(smooth.dense(), 0.7 * targets.dense() + 0.1) and smooth.classes == 3 and targets.smoothed(0) is targets
    logits = torch.tensor([[1.0, 2.0, 0.5], [0.0, 0.0, 3.0]])
    assert torch.allclose(targets.loss(logits, 0.3), smooth.loss(logits))
    pair = Targets.of(torch.tensor([2, 0]), 5).mix(torch.tensor([1, 0]), torch.tensor([0.75, 0.5])).pair()
    assert [part.tolist() for part in pair] == [[2, 0], [0, 2], [0.75, 0.5]]


def test_what_can_be_joined() -> None:
    """Catches a check that lets a foreign part or another number of classes through."""
    three, four, mixed = (Targets.of(torch.tensor([0, 1]), 3), Targets.of(torch.tensor([0, 1]), 9), None)
    mixed = four.mix(torch.tensor([1, 0]), torch.ones(2))
    for wrong in ([], iter([three]), [three, None], [three, four], [four, mixed]):
        with pytest.raises(InputError, match="cat takes"):
            Targets.cat(wrong)  # type: ignore[arg-type]
    alone = Targets.cat((three,))
    assert alone.classes == 3 and alone.index.equal(three.index)


def test_class_weights_multiply_each_label() -> None:
    targets = Targets.of(torch.tensor([0, 2]), 5).mix(torch.tensor([1, 0]), torch.tensor([0.75, 0.5]))
    weights = torch.tensor([2.0, 1.0, 4.0, 1.0, 1.0], dtype=torch.float64)
    found = targets.weighted(weights)
    assert found.index.equal(targets.index) and found.classes == 5 and found.weight.dtype == torch.float32
    assert found.weight.tolist() == [[1.5, 1.0], [2.0, 1.0]]


def test_pytorchs_functions_read_targets_as_probabilities() -> None:
    targets = Targets.of(torch.tensor([0, 2]), 5).mix(torch.tensor([1, 0]), torch.tensor([0.75, 0.5]))
    logits = torch.arange(10.0).reshape(2, 5)
    losses = torch.nn.functional.cross_entropy(logits, target=targets, reduction="none")  # type: ignore[arg-type]
    assert torch.allclose(losses, targets.loss(logits))
    assert torch.equal(torch.add(targets, 1), targets.dense() + 1)  # type: ignore[call-overload]


def test_a_pair_is_of_one_or_two_labels() -> None:
    hard = Targets.of(torch.tensor([2, 0]), 9)
    assert [part.tolist() for part in hard.pair()] == [[2, 0], [2, 0], [1, 1]]
    one = Targets(torch.tensor([[4, 5, 6]]), torch.tensor([[0.5, 0.25, 0.25]]), 9)
    with pytest.raises(InputError, match="3 weighted labels"):
        one.pair()


def test_targets_move_whole() -> None:
    moved = Targets.of(torch.tensor([2, 0]), 9).to("meta")
    assert moved.index.device.type == moved.weight.device.type == "meta" and moved.classes == 9


def test_pinning_keeps_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a loader calls; without a GPU nothing can be pinned, so a copy stands in."""
    monkeypatch.setattr(Tensor, "pin_memory", Tensor.clone)
    targets = Targets.of(torch.tensor([2, 0]), 9)
    pinned = targets.pin_memory()
    assert pinned.index.equal(targets.index) and pinned.index is not targets.index
    assert pinned.weight.equal(targets.weight) and pinned.classes == 9


@pytest.mark.parametrize(
    ("labels", "good"),
    [([0, 2], True), ([0, 3], False), ([-1, 0], False), ([[0.5, 0.5], [1.0, 0.0]], True), ([[0.5, 0.6]], False)],
)
def test_a_compiled_graph_checks_labels_too(labels: list, good: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """There a message with the values would break the graph; an assertion within it says what is wrong."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    given_ = torch.tensor(labels)
    if good:
        Targets.of(given_, None if given_.is_floating_point() else 3)
        return
    with pytest.raises(RuntimeError, match=r"rows of soft labels|outside 0\.\.2"):
        Targets.of(given_, None if given_.is_floating_point() else 3)


def test_soft_labels_become_float32_and_may_be_off_by_rounding() -> None:
    found = Targets.of(torch.tensor([[0.25, 0.7505]], dtype=torch.float64))
    assert found.weight.dtype == torch.float32
    assert Targets.of(torch.zeros(0, 3)).classes == 3
    dense = Targets(torch.tensor([[1]]), torch.ones(1, 1, dtype=torch.float64), 3).dense()
    assert dense.dtype == torch.float64, "of the weights' precision"
