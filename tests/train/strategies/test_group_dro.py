"""Group DRO: its weights in closed form, and a problem whose optimum is known."""

import math

import numpy as np
import pytest
import torch
from grouped import WATERBIRDS, HandViews, groups
from scipy.optimize import minimize
from torch import nn

import augury
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.plan import Clock
from augury.core.targets import Targets
from augury.train.data.groups import aggregate
from augury.train.strategies import group_dro
from augury.train.strategies.build import strategy
from augury.train.strategies.group_dro import GroupWeights, group_means

FOUR = groups([(0, 0), (0, 1), (1, 0), (1, 1)], [90, 10, 10, 90])


def started(*, given=FOUR, **options) -> GroupWeights:  # type: ignore[no-untyped-def]
    weights = GroupWeights(**options)
    weights.begin(given)
    return weights


@pytest.mark.parametrize("class_conditional", [False, True])
def test_equal_losses_keep_equal_weights(class_conditional: bool) -> None:
    weights = started(class_conditional=class_conditional)
    for _ in range(50):
        loss, _ = weights.loss(torch.full((8,), 0.7), torch.arange(4).repeat(2))
    assert torch.allclose(weights.weights(), torch.full((4,), 0.5 if class_conditional else 0.25))
    assert float(loss) == pytest.approx(0.7)


def test_one_step_raises_the_worst_groups_weight_by_the_exponential_of_the_gap() -> None:
    weights = started(step_size=0.01)
    weights.loss(torch.tensor([0.2, 0.2, 1.7, 0.2]), torch.arange(4))
    found = weights.weights()
    assert float(found[2] / found[0]) == pytest.approx(math.exp(0.01 * 1.5))
    assert float(found.sum()) == pytest.approx(1)


def test_the_loss_weighs_with_the_weights_after_the_step() -> None:
    """Against NumPy, over several steps: update first, then weigh (Sagawa et al., algorithm 1)."""
    weights, log_weight = started(step_size=0.5), np.zeros(4)
    generator = np.random.default_rng(0)
    for _ in range(6):
        losses = generator.uniform(0, 3, 4)
        loss, _ = weights.loss(torch.tensor(losses, dtype=torch.float32), torch.arange(4))
        log_weight += 0.5 * losses
        q = np.exp(log_weight) / np.exp(log_weight).sum()
        assert float(loss) == pytest.approx((q * losses).sum(), rel=1e-5)


def test_class_conditional_weights_sum_to_one_per_class_and_classes_weigh_by_their_groups() -> None:
    given = groups([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)], [5, 6, 7, 8, 9])
    weights = started(given=given, class_conditional=True, step_size=1.0)
    losses = torch.tensor([3.0, 1.0, 0.0, 2.0, 2.5])
    loss, _ = weights.loss(losses, torch.arange(5))
    found = weights.weights()
    assert float(found[:3].sum()) == pytest.approx(1) and float(found[3:].sum()) == pytest.approx(1)
    first, second = losses[:3], losses[3:]
    expected = 0.6 * (first.softmax(0) * first).sum() + 0.4 * (second.softmax(0) * second).sum()
    assert float(loss) == pytest.approx(float(expected))


def test_the_size_adjustment_of_waterbirds() -> None:
    weights = started(given=WATERBIRDS, adjustment=2.0)
    assert weights.margin.tolist() == pytest.approx([0.0338, 0.1474, 0.2673, 0.0615], abs=5e-5)
    loss, means = weights.loss(torch.ones(4), torch.arange(4))
    q = torch.softmax(0.01 * (1 + weights.margin), 0)
    assert float(loss) == pytest.approx(float((q * (1 + weights.margin)).sum()))
    assert means.tolist() == [1, 1, 1, 1], "the groups' losses themselves must stay unadjusted"


def test_losses_enter_the_weights_detached() -> None:
    weights = started(step_size=5.0)
    losses = torch.tensor([0.1, 0.5, 0.9, 0.3], requires_grad=True)
    loss, _ = weights.loss(losses, torch.arange(4))
    (gradient,) = torch.autograd.grad(loss, losses)
    assert torch.allclose(gradient, weights.weights())
    assert not weights.log_weight.requires_grad


def test_a_group_that_a_batch_lacks_keeps_its_weight() -> None:
    weights = started(step_size=1.0)
    losses = torch.tensor([2.0, 1.0, 4.0])
    loss, means = weights.loss(losses, torch.tensor([0, 0, 3]))
    expected = torch.tensor([1.5, 0.0, 0.0, 4.0]).softmax(0)
    assert torch.allclose(weights.weights(), expected)
    assert means.tolist() == [1.5, 0, 0, 4]
    assert float(loss) == pytest.approx(float(expected[0] * 1.5 + expected[3] * 4))


def test_images_without_a_group_count_nowhere() -> None:
    weights = started(step_size=1.0)
    loss, _ = weights.loss(torch.tensor([1.0, 1.0, 1.0, 1.0, 99.0]), torch.tensor([0, 1, 2, 3, -1]))
    assert float(loss) == pytest.approx(1)


def test_a_group_without_training_images_has_no_weight() -> None:
    weights = started(given=groups([(0, 0), (0, 1), (1, 0)], [10, 0, 10]), class_conditional=True, adjustment=1.0)
    weights.loss(torch.ones(2), torch.tensor([0, 2]))
    assert weights.weights().tolist() == pytest.approx([1, 0, 1])
    assert weights.margin[1] == 0 and weights.shares().tolist() == pytest.approx([0.5, 0.5, 0.5])


def test_weights_survive_a_checkpoint() -> None:
    import json

    one = started(step_size=0.3)
    one.loss(torch.tensor([0.1, 2.2, 0.7, 1.3]), torch.arange(4))
    other = started(step_size=0.3)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert torch.equal(one.log_weight, other.log_weight)


def test_means_per_group_are_numpys() -> None:
    generator = np.random.default_rng(1)
    values, cells = generator.normal(size=40), generator.integers(0, 5, 40)
    found, present = group_means(torch.tensor(values), torch.tensor(cells), 6)
    assert found[:5].tolist() == pytest.approx([values[cells == g].mean() for g in range(5)])
    assert present.tolist() == [True] * 5 + [False]


class TestTwoGaussians:
    """A linear classifier, squared distance as loss: groups at means a and b, all of one class.

    The mean loss of group g under a constant prediction w is (w - mean_g)^2 + variance_g. The worst of two such parabolas
    is least where they cross (or at one's vertex); plain training goes to the mean weighted by the groups' sizes.
    """

    means, variances, sizes = (0.0, 2.0), (0.1, 0.3), (950, 50)

    def optimum(self) -> float:
        # (w-a)^2 + s = (w-b)^2 + t  =>  w = (b^2 - a^2 + t - s) / (2 (b - a))
        (a, b), (s, t) = self.means, self.variances
        return (b * b - a * a + t - s) / (2 * (b - a))

    def train(self, **options: float) -> float:
        weights = GroupWeights(**options)  # type: ignore[arg-type]
        weights.begin(groups([(0, 0), (0, 1)], list(self.sizes)))
        w = torch.zeros((), requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=0.02)
        for _ in range(4000):
            losses = torch.stack([(w - m) ** 2 + v for m, v in zip(self.means, self.variances, strict=True)])
            loss, _ = weights.loss(losses, torch.arange(2))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return float(w.detach())

    def test_the_optimum_is_where_the_groups_losses_meet(self) -> None:
        best = minimize(lambda w: max((w[0] - m) ** 2 + v for m, v in zip(self.means, self.variances, strict=True)), [0.3],
                        method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9})  # fmt: skip
        assert best.x[0] == pytest.approx(self.optimum(), abs=1e-6)
        assert self.train(step_size=0.01) == pytest.approx(self.optimum(), abs=0.01)

    def test_the_adjustment_moves_it_towards_the_small_group(self) -> None:
        """With C the small group's parabola rises by C / sqrt(50), the large one's by C / sqrt(950)."""
        c = 2.0
        raised = [v + c / math.sqrt(n) for v, n in zip(self.variances, self.sizes, strict=True)]
        expected = self.optimum() + (raised[1] - self.variances[1] - raised[0] + self.variances[0]) / 4
        assert self.train(step_size=0.01, adjustment=c) == pytest.approx(expected, abs=0.01)

    def test_without_steps_of_the_weights_it_is_the_mean_of_the_groups(self) -> None:
        assert self.train(step_size=0.0) == pytest.approx(1.0, abs=1e-3)


def test_class_conditional_weights_meet_within_each_class_where_plain_ones_follow_the_hard_class() -> None:
    """Two classes with parameters of their own; class 1 is harder by a constant, which plain weights chase in vain."""

    def train(class_conditional: bool) -> list[float]:
        weights = started(class_conditional=class_conditional, step_size=0.05)
        w = torch.zeros(2, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=0.05)
        for _ in range(3000):
            a, b = w[0], w[1]
            losses = torch.stack([a**2, (a - 2) ** 2 + 0.4, b**2 + 3, (b - 2) ** 2 + 3.4])
            loss, _ = weights.loss(losses, torch.arange(4))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return w.detach().tolist()

    assert train(True) == pytest.approx([1.1, 1.1], abs=0.02)
    assert abs(train(False)[0] - 1.1) > 0.1, "plain weights leave the easy class where it is"


def test_the_strategy_takes_a_step() -> None:
    made = strategy("group_dro(class_conditional=true, adjustment=1)")
    made.begin(FOUR)  # type: ignore[attr-defined]
    model = nn.Linear(3, 2)
    labels, subgroups = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    images = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    step = made(model, HandViews(images, labels, subgroups))
    assert step.per_sample is not None
    expected = nn.functional.cross_entropy(model(images), labels, reduction="none")
    assert torch.allclose(step.per_sample, expected.detach())
    step.loss.backward()
    assert made.program(Clock()) is None and model.weight.grad is not None


def test_data_without_groups_are_refused_in_one_line() -> None:
    made = strategy("group_dro")
    with pytest.raises(InputError, match="needs data with groups"):
        made(nn.Linear(3, 2), HandViews(torch.zeros(2, 3), torch.tensor([0, 1]), torch.tensor([0, 1])))
    made.begin(FOUR)  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="needs data with labels and groups"):
        made(nn.Linear(3, 2), HandViews(torch.zeros(2, 3), torch.tensor([0, 1]), None))


def test_the_aggregate_is_weighted_by_the_test_part() -> None:
    """Goel et al.'s printed averages come out with the test part's counts, not with the training part's."""
    waterbirds = (98.92, 75.12, 72.71, 94.95)
    assert aggregate(waterbirds, (2255, 2255, 642, 642)) == pytest.approx(86.313, abs=1e-3)
    assert aggregate(waterbirds, (3498, 184, 56, 1057)) == pytest.approx(96.8, abs=0.1)
    mnist = (4926, 4926, 5074, 5074)
    assert aggregate((86.96, 73.51, 71.47, 75.21), mnist) == pytest.approx(76.736, abs=1e-3)
    assert aggregate((98.10, 93.31, 96.82, 97.15), mnist) == pytest.approx(96.354, abs=1e-3)


def test_log_weights_stay_where_float32_can_tell_them_apart() -> None:
    """Catches log-weights that are not brought back to a largest one of 0: after 10^8 their differences would be rounded away."""
    weights = GroupWeights(step_size=10.0)
    weights.begin(WATERBIRDS)
    for _ in range(3):
        weights.loss(torch.tensor([1e7, 1e7, 1e7, 1e7 + 1.0]), torch.arange(4))
        assert weights.log_weight.max() == 0
    assert torch.allclose(weights.log_weight, torch.tensor([-30.0, -30.0, -30.0, 0.0]), atol=24)
    assert weights.weights().argmax() == 3


@pytest.mark.parametrize("weight", [0.25, 0.75])
def test_a_mixed_image_is_of_the_group_of_its_heavier_class(weight: float) -> None:
    """Catches the first label in place of the heaviest; a smoothed or soft label has one too."""
    mixed = Targets.of(torch.tensor([0, 1]), 5).mix(torch.tensor([1, 0]), torch.full((2,), weight))
    subgroups = torch.tensor([0, 1])
    labels, cells = started().cells(Batch(torch.zeros(2, 3), mixed, torch.arange(2), groups=subgroups), "mine")
    assert labels.tolist() == ([0, 1] if weight > 0.5 else [1, 0])
    assert cells.tolist() == ([0, 3] if weight > 0.5 else [2, 1])
    soft = Targets.of(torch.tensor([[0.2, 0.8], [0.9, 0.1]]))
    labels, cells = started().cells(Batch(torch.zeros(2, 3), soft, torch.arange(2), groups=subgroups), "mine")
    assert labels.tolist() == [1, 0] and cells.tolist() == [2, 1]


def test_what_lacks_is_named() -> None:
    batch = Batch(torch.zeros(1, 3), Targets.of(torch.tensor([0]), 2), torch.arange(1), groups=torch.tensor([0]))
    for lacking in (batch.replace(targets=None), batch.replace(groups=None)):
        with pytest.raises(InputError, match="^--strategy: mine needs data with labels and groups$"):
            started().cells(lacking, "mine")
    for ask in (GroupWeights().weights, GroupWeights(class_conditional=True).shares, lambda: GroupWeights().margin):
        with pytest.raises(InputError, match=r"call begin\(groups\) before the first step"):
            ask()


def test_a_checkpoint_holds_plain_numbers_of_single_precision() -> None:
    one, other = strategy("group_dro(step_size=1)"), strategy("group_dro(step_size=1)")
    for each in (one, other):
        each.begin(FOUR)  # type: ignore[attr-defined]
    labels, subgroups = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    one(nn.Linear(3, 2), HandViews(torch.eye(4, 3), labels, subgroups))
    state = one.state_dict()
    assert set(state) == {"log_weight"} and len(state["log_weight"]) == 4 and max(state["log_weight"]) == 0
    assert min(state["log_weight"]) < 0
    other.load_state_dict(state)
    assert other.state_dict() == state
    assert other.weights.log_weight.dtype == torch.float32  # type: ignore[attr-defined]


def test_shares_of_classes_count_trained_groups_alone() -> None:
    given = groups([(0, 0), (0, 1), (0, 2), (1, 0)], [4, 0, 9, 1])
    assert started(given=given, class_conditional=True).shares().tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 1 / 3])
    assert started(given=given).shares().tolist() == [1] * 4


class TestSeveralProcesses:
    """Two processes, one after the other: `summed` adds what the other one has."""

    values = (torch.tensor([1.0, 2.0, 4.0]), torch.tensor([8.0, 16.0, 32.0, 64.0, 128.0]))
    cells = (torch.tensor([0, 0, 1]), torch.tensor([1, 2, 2, -1, 0]))

    def means(self, monkeypatch: pytest.MonkeyPatch, rank: int, cells: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        other = cells[1 - rank][:, None] == torch.arange(4)
        theirs = torch.cat([(self.values[1 - rank][:, None] * other).sum(0), other.sum(0).float()])
        monkeypatch.setattr(group_dro, "process_count", lambda: 2)
        monkeypatch.setattr(group_dro, "summed", lambda value: value.detach() + theirs)
        own = self.values[rank].clone().requires_grad_()
        found, present = group_means(own, cells[rank], 4)
        (gradient,) = torch.autograd.grad((found * torch.tensor([1.0, 10.0, 100.0, 1000.0])).sum(), own)
        return found.detach(), present, gradient

    def test_means_are_those_of_all_images_and_gradients_sum_to_theirs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        joined = torch.cat(self.values).requires_grad_()
        expected, there = group_means(joined, torch.cat(self.cells), 4)
        (whole,) = torch.autograd.grad((expected * torch.tensor([1.0, 10.0, 100.0, 1000.0])).sum(), joined)
        gradients = []
        for rank in range(2):
            found, present, gradient = self.means(monkeypatch, rank, self.cells)
            torch.testing.assert_close(found, expected.detach())
            assert present.tolist() == there.tolist() == [True, True, True, False]
            # As a host weighs this process's loss: by its share of the images that have a group.
            gradients.append(gradient * (3 if rank == 0 else 4) / 7)
        torch.testing.assert_close(torch.cat(gradients), whole)

    def test_a_process_whose_images_have_no_group_adds_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found, present, gradient = self.means(monkeypatch, 0, (torch.tensor([-1, -1, -1]), self.cells[1]))
        assert found.tolist() == [128, 8, 24, 0] and present.tolist() == [True, True, True, False]
        assert gradient.tolist() == [0, 0, 0]


def test_options_are_read_by_name() -> None:
    made = augury.strategy("group_dro(class_conditional=true, adjustment=3, step_size=0.5)")
    weights = made.weights  # type: ignore[attr-defined]
    assert (weights.class_conditional, weights.adjustment, weights.step_size) == (True, 3, 0.5) and made.needs_groups
