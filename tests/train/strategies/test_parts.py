"""What strategies are made of, on a few numbers: no training."""

import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import augury
from augury.augment.names import check_augment
from augury.augment.policies.file_reader import parse_policy
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.plan import Clock
from augury.train.strategies.adversarial_autoaugment import AdversarialAutoAugment
from augury.train.strategies.reid import Centres, batch_hard
from augury.train.strategies.uncertainty import LEVELS, Uncertainty, candidates_stage, chosen


def logits_of(images: Tensor) -> Tensor:
    return images.flatten(1)[:, :3]


class Flat(nn.Module):
    """A network whose logits are its images' first three values; it notes in which mode it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.modes: list[bool] = []

    def forward(self, images: Tensor) -> Tensor:
        self.modes.append(self.training)
        return self.weight * logits_of(images)


def batch_of(number: int, count: int = 4) -> augury.Batch:
    images = torch.randn(count, 3, generator=torch.Generator().manual_seed(number))
    return augury.Batch(images, augury.Targets.of(torch.arange(count) % 3, 3), torch.arange(count))


def by_view(view: int = 0, pipeline: int = 0, stream: str = "train") -> augury.Batch:
    return batch_of(view)


def unlabelled(view: int = 0, pipeline: int = 0, stream: str = "train") -> augury.Batch:
    return batch_of(view).replace(targets=None)


def test_the_highest_losses_are_chosen() -> None:
    noise = Noise.of(0, torch.arange(2))
    scores = torch.tensor([[1.0, 3.0, 2.0], [torch.nan, 0.5, torch.inf]])
    assert chosen(scores, 2, "topk", noise).tolist()[0] == [1, 2]
    assert sorted(chosen(scores, 2, "topk", noise).tolist()[1]) == [0, 2]
    assert chosen(torch.tensor([[-torch.inf, -5.0, 0.1]] * 2), 1, "topk", noise).tolist() == [[2], [2]]


def test_a_draw_in_proportion_to_the_loss_is_the_inverse_of_the_cumulative_share() -> None:
    """Catches a boundary that belongs to the other candidate, and rows without any loss."""
    rows = 4000
    noise = Noise.of(1, torch.arange(rows)).fold("test")
    scores = torch.tensor([[1.0, 0.0, 3.0]]).repeat(rows, 1)
    found, drawn = chosen(scores, 2, "proportional", noise), noise.uniform(2)
    assert found.shape == (rows, 2) and found.equal(torch.where(drawn < 0.25, 0, 2))
    even = chosen(torch.zeros(rows, 4), 1, "proportional", noise)
    assert even.equal((noise.uniform(1) * 4).long())
    spoilt = chosen(torch.tensor([[torch.inf, 1.0]]).repeat(rows, 1), 1, "proportional", noise)
    assert int(spoilt.sum()) <= 1, "a loss that is not finite counts as a million"


# The one number that this image draws first is exactly a half.
HALF = torch.tensor([8740972])


@pytest.mark.parametrize("spoilt", [torch.nan, torch.inf])
def test_a_loss_that_is_not_finite_weighs_a_million(spoilt: float) -> None:
    """Beside a loss of a million it gets the lower half of the numbers, below which a half no longer lies."""
    noise = Noise.of(0, HALF)
    assert noise.uniform(1).tolist() == [[0.5]]
    assert chosen(torch.tensor([[spoilt, 1e6]]), 1, "proportional", noise).tolist() == [[1]]
    assert chosen(torch.tensor([[spoilt, 1e6 - 1]]), 1, "proportional", noise).tolist() == [[0]]
    assert chosen(torch.tensor([[-torch.inf, -1.0, 2.0]]), 1, "proportional", noise).tolist() == [[2]]


def test_a_loss_too_small_for_single_precision_keeps_its_share() -> None:
    """Catches shares that are summed in float32, where a half and 2^-30 are a half."""
    assert chosen(torch.tensor([[0.5, 2.0**-30, 0.5]]), 1, "proportional", Noise.of(0, HALF)).tolist() == [[1]]
    for tiny in (1e-35, 1e-20):
        scores = torch.tensor([[3 * tiny, tiny], [tiny, 3 * tiny]])
        assert chosen(scores, 1, "proportional", Noise.of(0, HALF.repeat(2))).tolist() == [[0], [1]]


def test_candidates_get_operations_at_any_level() -> None:
    stage = candidates_stage(3)
    assert (stage.name, stage.policy.slots, len(stage.space), LEVELS[0], LEVELS[-1], len(LEVELS)) == (
        "uncertainty",
        3,
        16,
        0,
        1,
        1001,
    )
    names = [entry.op.name for entry in stage.space.entries]
    assert "mixup" in names and "sample_pairing" not in names and len(set(names)) == 16
    trace = stage.sample(
        augury.Batch(torch.zeros(4000, 1, 8, 8, dtype=torch.uint8), None, torch.arange(4000)), Noise.of(0, torch.arange(4000))
    )
    assert float(trace["on"].float().mean()) == pytest.approx(0.5, abs=0.02)


def test_scoring_leaves_no_gradient_and_no_mode_behind() -> None:
    strategy = augury.strategy("uncertainty(candidates=3, selected=2, select=topk)")
    assert isinstance(strategy, Uncertainty) and [each.view for each in strategy.seen] == [0, 1, 2]
    strategy.seeded(7)
    network = Flat()
    step = strategy(network, by_view)
    assert network.modes == [False, False, False, True] and network.training and len(step.per_sample) == 8  # type: ignore[arg-type]
    each = torch.stack([batch_of(n).targets.loss(logits_of(batch_of(n).images)) for n in range(3)], 1)  # type: ignore[union-attr]
    assert float(step.loss.detach()) == pytest.approx(float(each.topk(2, 1).values.mean()))
    assert float(step.logs["candidate_loss"]) == pytest.approx(float(each.mean()))
    assert float(step.logs["kept_loss"]) == pytest.approx(float(step.loss.detach()))
    assert strategy.state_dict() == {"steps": 1} and strategy.seed == 7
    strategy.load_state_dict({"steps": 5})
    assert strategy.state_dict() == {"steps": 5}
    with pytest.raises(InputError, match="selected=3 must be at most candidates=2"):
        augury.strategy("uncertainty(candidates=2, selected=3)")


def test_two_steps_draw_differently() -> None:
    """Catches a number of steps that does not enter the address."""
    strategy = augury.strategy("uncertainty(candidates=4, selected=1)")
    views = lambda view=0, pipeline=0, stream="train": batch_of(view, 64)  # noqa: E731
    first, second = (strategy(Flat(), views).per_sample for _ in range(2))
    assert first is not None and second is not None and not first.equal(second)
    again = augury.strategy("uncertainty(candidates=4, selected=1)")
    assert again(Flat(), views).per_sample.equal(first)  # type: ignore[union-attr]


def test_a_steps_choice_can_be_drawn_again_from_its_address() -> None:
    """From the seed, the images, how often each was seen and the number of the step, by the strategy's name."""
    strategy = augury.strategy("uncertainty(candidates=3, selected=1)")
    strategy.seeded(9)
    visits = torch.arange(64) % 3
    views = lambda view=0, pipeline=0, stream="train": batch_of(view, 64).replace(visits=visits)  # noqa: E731
    scores = torch.stack([batch_of(n, 64).targets.loss(logits_of(batch_of(n, 64).images)) for n in range(3)], 1)  # type: ignore[union-attr]
    for step in range(2):
        noise = Noise.of(9, torch.arange(64), epoch=step, visits=visits).fold("uncertainty")
        column = chosen(scores, 1, "proportional", noise)
        torch.testing.assert_close(strategy(Flat(), views).per_sample, scores.gather(1, column)[:, 0])


def test_candidates_have_as_many_operations_as_are_asked_for() -> None:
    for text, slots in (("uncertainty", [2]), ("uncertainty(length=3)", [3]), ("uncertainty(length=0)", [])):
        assert [stage.policy.slots for stage in augury.strategy(text).stages] == slots  # type: ignore[union-attr]


def test_all_candidates_are_trained_on_without_scoring() -> None:
    network = Flat()
    step = augury.strategy("uncertainty(candidates=2, selected=2)")(
        network, lambda view=0, pipeline=0, stream="train": batch_of(view)
    )
    assert network.modes == [True] and step.logs == {} and len(step.per_sample) == 8  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["uncertainty", "adversarial_autoaugment", "reid", "erm", "uda", "stability", "ait", "manifold_mixup"]
)
def test_images_without_labels_are_refused(name: str) -> None:
    model: nn.Module = Flat()
    model.bottleneck = nn.BatchNorm1d(3)  # type: ignore[assignment]
    with pytest.raises(InputError, match="labels"):
        augury.strategy(name)(model, unlabelled)


def test_adversarial_policies_are_drawn_scored_and_kept() -> None:
    """One epoch of two policies by hand: mean losses, z-scores, a controller that moves, and a state that restores it all."""
    strategy = augury.strategy("adversarial_autoaugment(policies=2)")
    assert isinstance(strategy, AdversarialAutoAugment)
    strategy.seeded(3)
    decisions = strategy.history[0]["decisions"]
    assert [each.decisions for each in strategy.current] == [tuple(row) for row in decisions] and strategy.history[0]["epoch"] == 0
    views = lambda view=0, pipeline=0, stream="train": batch_of(pipeline)  # noqa: E731
    step = strategy(Flat(), views)
    each = [float(batch_of(n).targets.loss(logits_of(batch_of(n).images)).mean()) for n in range(2)]  # type: ignore[union-attr]
    assert float(step.logs["hardest_policy"]) == pytest.approx(max(each)) and float(step.logs["easiest_policy"]) == pytest.approx(
        min(each)
    )
    assert step.per_sample is not None and step.per_sample.shape == (4,)
    strategy(Flat(), views)
    kept = strategy.state_dict()
    before = [p.clone() for p in strategy.learner.controller.parameters()]
    strategy.end_epoch(Clock(1, 2))
    logged = strategy.epoch_logs()["controller"]
    assert logged["losses"] == pytest.approx(each, abs=1e-5)
    sign = 1 if each[0] > each[1] else -1
    assert [reward * sign > 0 for reward in logged["rewards"]] == [True, False] and sum(logged["rewards"]) == pytest.approx(
        0, abs=1e-5
    )
    assert any(not a.equal(b) for a, b in zip(before, strategy.learner.controller.parameters(), strict=True))
    assert strategy.history[1]["epoch"] == 1 and strategy.history[1]["decisions"] != decisions
    strategy.at_epoch(0)
    assert [each.decisions for each in strategy.current] == [tuple(row) for row in decisions]
    strategy.at_epoch(9)
    assert [each.decisions for each in strategy.current] == [tuple(row) for row in decisions], (
        "an epoch that never was changes nothing"
    )
    again = augury.strategy("adversarial_autoaugment(policies=2)")
    again.load_state_dict(kept)
    again.end_epoch(Clock(1, 2))
    assert again.epoch_logs() == strategy.epoch_logs() and again.history[1] == strategy.history[1]  # type: ignore[attr-defined]
    (text,) = strategy.files(Clock(2, 2)).values()
    assert "adversarial_autoaugment" in text and not augury.strategy("adversarial_autoaugment").files(Clock(1, 2))


def test_fixed_policies_have_no_stage_and_learn_nothing() -> None:
    strategy = augury.strategy("adversarial_autoaugment(policies=3, policy=fixed, share_base=true)")
    assert strategy.stages == (None,) * 3 and [each.view for each in strategy.seen] == [0, 0, 0]
    assert [each.view for each in augury.strategy("adversarial_autoaugment(policies=3)").seen] == [0, 1, 2]
    assert strategy.program(Clock(4, 9)) is None and augury.strategy("adversarial_autoaugment").program(Clock(4, 9)) == 4
    strategy.end_epoch(Clock(1, 2))
    assert strategy.epoch_logs() == {}
    with pytest.raises(InputError, match="policies=1 has no reward to learn from"):
        augury.strategy("adversarial_autoaugment(policies=1)")


def test_centres_move_by_the_rule_of_their_paper() -> None:
    centres = Centres(3, 2)
    centres.centres[:] = torch.tensor([[0.0, 0.0], [1.0, 1.0], [5.0, 5.0]])
    features, labels = torch.tensor([[2.0, 0.0], [4.0, 0.0], [1.0, 3.0]]), torch.tensor([0, 0, 1])
    assert centres.distances(features, labels).tolist() == [4, 16, 4]
    centres.move(features, labels, 0.5)
    # Offsets sum to (-6, 0) over three, and (0, -2) over two.
    assert centres.centres.tolist() == [[1.0, 0.0], [1.0, 1.5], [5.0, 5.0]]


def test_triplets_need_a_partner_and_a_stranger() -> None:
    features = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0], [9.0, 9.0]], requires_grad=True)
    found = batch_hard(features, torch.tensor([0, 0, 1, 2]), 0.5)
    assert found.tolist() == pytest.approx([5 - 1 + 0.5, 5 - 18**0.5 + 0.5, 0, 0])
    found.sum().backward()
    assert features.grad is not None and features.grad.isfinite().all()
    assert batch_hard(features, torch.tensor([0, 0, 0, 0]), 0.5).tolist() == [0, 0, 0, 0]
    same = batch_hard(torch.zeros(4, 2, requires_grad=True), torch.tensor([0, 0, 1, 1]), 0.5)
    assert same.tolist() == pytest.approx([0.5] * 4)


def test_a_network_without_a_neck_is_refused_and_centres_follow_the_head() -> None:
    with pytest.raises(InputError, match="needs a network with a BNNeck"):
        augury.strategy("reid").modules(Flat())
    model = Flat()
    model.bottleneck, model.head = nn.BatchNorm1d(5), nn.Linear(5, 7)  # type: ignore[assignment]
    (centres,) = augury.strategy("reid").modules(model).values()
    assert isinstance(centres, Centres) and centres.centres.shape == (7, 5)
    assert augury.strategy("reid(centre=0)").modules(model) == {}


def test_adversarial_policies_are_uniform_over_their_sub_policies() -> None:
    """Every image draws one of them; before the first are set, nothing is done."""
    strategy = augury.strategy("adversarial_autoaugment(policies=2, sub_policies=4)")
    assert isinstance(strategy, AdversarialAutoAugment)
    current, noise = strategy.current[0], Noise.of(0, torch.arange(8000))
    plan = current.ask(noise, Clock())
    assert current.log_prob(plan).exp().tolist() == pytest.approx([0.25] * 8000) and current.slots == plan.op.shape[1] == 2
    assert plan.choice is not None and plan.on.all()
    counts = torch.bincount(plan.choice, minlength=4)
    assert len(counts) == 4 and (counts - 2000).abs().max() < 200
    op, _, strength = strategy.searched.decode(torch.tensor([current.decisions]))
    assert plan.op.equal(op[0, plan.choice]) and plan.strength.equal(strength[0, plan.choice])
    current.decisions = None
    nothing = current.ask(noise, Clock())
    assert not nothing.on.any() and nothing.op.shape == nothing.strength.shape == (8000, 2) and not nothing.strength.any()
    assert nothing.op.dtype == torch.int64 and nothing.strength.dtype == torch.float32
    assert nothing.choice is not None and nothing.choice.equal(plan.choice)


@pytest.mark.parametrize("policy", ["learned", "random"])
def test_a_run_leaves_its_policies_with_where_they_come_from(policy: str) -> None:
    strategy = augury.strategy("adversarial_autoaugment", policies=2, sub_policies=3, policy=policy)
    assert isinstance(strategy, AdversarialAutoAugment)
    strategy.seeded(11)
    views = lambda view=0, pipeline=0, stream="train": batch_of(pipeline)  # noqa: E731
    for epoch in range(1, 4):
        strategy(Flat(), views)
        strategy.end_epoch(Clock(epoch, 4))
    ((name, text),) = strategy.files(Clock(3, 4)).items()
    found = parse_policy(text, name, check_augment)
    assert (name, found.name, found.source) == ("policies.yaml", "adversarial_autoaugment", "found during training with Augury")
    assert found.provenance == {"method": "adversarial_autoaugment", "policy": policy, "seed": 11, "policies": 2}
    # Three of four epochs are over: the last of them holds to the end.
    assert [until for until, _ in found.periods] == pytest.approx([0.25, 0.5, 1.0])
    for (_, rows), epoch in zip(found.periods, strategy.history, strict=False):
        expected = [row for one in epoch["decisions"] for row in strategy.searched.rows(one)]
        names = [[entry.op for entry in row] for row in rows]
        assert len(rows) == 2 * 3 and names == [[entry.op for entry in row] for row in expected]


def test_policies_are_drawn_anew_from_the_seed_and_the_epoch() -> None:
    """Random ones are not learned from, and of the last epoch none are drawn."""
    one, again, other = (augury.strategy("adversarial_autoaugment(policies=2, policy=random)") for _ in range(3))
    views = lambda view=0, pipeline=0, stream="train": batch_of(pipeline)  # noqa: E731
    for strategy, seed in ((one, 1), (again, 1), (other, 2)):
        strategy.seeded(seed)
        before = [p.clone() for p in strategy.learner.controller.parameters()]  # type: ignore[attr-defined]
        strategy(Flat(), views)
        strategy.end_epoch(Clock(1, 2))
        assert set(strategy.epoch_logs()["controller"]) == {"losses"}
        after = strategy.learner.controller.parameters()  # type: ignore[attr-defined]
        assert all(a.equal(b) for a, b in zip(before, after, strict=True))
        strategy(Flat(), views)
        strategy.end_epoch(Clock(2, 2))
    drawn = [[each["decisions"] for each in strategy.history] for strategy in (one, again, other)]  # type: ignore[attr-defined]
    assert drawn[0] == drawn[1] != drawn[2] and len(drawn[0]) == 2 and drawn[0][0] != drawn[0][1]
    assert [each["epoch"] for each in one.history] == [0, 1]  # type: ignore[attr-defined]


def tensors_in(state: object) -> list[Tensor]:
    return [each for each in pytree.tree_leaves(state) if isinstance(each, Tensor)]


def test_an_adversarial_checkpoint_in_the_middle_of_an_epoch_goes_on() -> None:
    one, other = (augury.strategy("adversarial_autoaugment(policies=2, lr=0.1)") for _ in range(2))
    views = lambda view=0, pipeline=0, stream="train": batch_of(pipeline)  # noqa: E731
    one.seeded(4)
    one(Flat(), views)
    state = one.state_dict()
    assert (state["seed"], state["steps"], len(state["losses"])) == (4, 1, 2)
    before = [each.clone() for each in tensors_in(state["learner"])]
    other.load_state_dict(state)
    assert [each.decisions for each in other.current] == [each.decisions for each in one.current]  # type: ignore[attr-defined]
    for strategy in (one, other):
        strategy(Flat(), lambda view=0, pipeline=0, stream="train": batch_of(5 + pipeline))
        strategy.end_epoch(Clock(1, 3))
        assert len(state["history"]) == 1 and "losses" not in state["history"][0], "a state is of its moment"
        assert all(a.equal(b) for a, b in zip(tensors_in(state["learner"]), before, strict=True))
    assert one.epoch_logs() == other.epoch_logs() and one.state_dict()["history"] == other.state_dict()["history"]
    old = {key: value for key, value in state.items() if key not in ("losses", "steps")}
    third = augury.strategy("adversarial_autoaugment(policies=2, lr=0.1)")
    third.load_state_dict(old)
    assert (third.losses, third.steps) == (None, 0)  # type: ignore[attr-defined]


def test_centres_are_a_part_of_the_loss_and_move_after_it() -> None:
    class Neck(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bottleneck = nn.BatchNorm1d(3, affine=False).eval()
            self.head = nn.Linear(3, 3, bias=False)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.bottleneck(images))

    strategy, model = augury.strategy("reid(centre=0.5, centre_rate=1, triplet=0)"), Neck()
    (centres,) = strategy.modules(model).values()
    batch = batch_of(0, 6)
    squared = batch.images.square().sum(1).mean()
    step = strategy(model, lambda: batch)
    assert step.logs["centre"].item() == pytest.approx(squared.item()) and set(step.logs) == {"identity", "triplet", "centre"}
    assert step.loss.item() == pytest.approx(step.logs["identity"].item() + 0.5 * squared.item(), rel=1e-5)
    # Two rows of every class: at rate 1 a centre moves by their sum over three.
    sums = torch.stack([batch.images[k::3].sum(0) for k in range(3)]) / 3
    torch.testing.assert_close(centres.centres, sums)
    assert not model.bottleneck._forward_pre_hooks
