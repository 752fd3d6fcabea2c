"""Adversarial AutoAugment and uncertainty-based sampling: rewards, choices, replays and refusals."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import augury
from augury.augment.names import check_augment
from augury.augment.policies.controller import adversarial_controller
from augury.augment.policies.file import policy_of
from augury.augment.policies.file_reader import parse_policy
from augury.cli import main
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.plan import Clock
from augury.core.targets import Targets
from augury.train.data.dataset import load
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.engine.training import Training
from augury.train.strategies.uncertainty import candidates_stage, chosen

SCORES = st.lists(st.lists(st.floats(0, 50), min_size=4, max_size=4), min_size=1, max_size=8).map(torch.tensor)


def trained(strategy: str, epochs: int, augment: str = "crop+cutout", **more: object) -> Training:
    values = {"data": "digits", "augment": augment, "strategy": strategy, "epochs": epochs, "seed": 1, "batch_size": 64, **more}
    training = prepare(Settings.of(values, "test"), load("digits"))
    Trainer(training).run()
    return training


def constant_views(losses: list[float]) -> object:
    """Views whose copy m gives every image the value that makes `Loss` return losses[m]."""

    def views(view: int = 0, pipeline: int = 0, stream: str = "train") -> Batch:
        images = torch.full((6, 1, 2, 2), losses[max(view, pipeline)])
        return Batch(images, Targets.of(torch.zeros(6, dtype=torch.int64), 2), torch.arange(6))

    return views


class Loss(nn.Module):
    """Logits whose cross-entropy for class 0 is the image's value; counts its modes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.norm = nn.BatchNorm2d(1)
        self.modes: list[bool] = []

    def forward(self, images: Tensor) -> Tensor:
        self.modes.append(self.training)
        self.norm(images)
        value = images[:, 0, 0, 0].double()
        return torch.stack([-value, (-(-value).exp()).log1p()], 1) + self.weight


def test_the_controller_prefers_the_policies_of_higher_loss() -> None:
    # Catches a reward of the wrong sign, or one not compared among the policies.
    strategy = augury.strategy("adversarial_autoaugment", policies=3, lr=1e-2)
    strategy.seeded(0)
    actions = torch.tensor(strategy.history[0]["decisions"])
    controller = strategy.learner.controller
    before = controller.likelihood(actions)[0].sum(1).detach()
    for _ in range(4):
        strategy(Loss(), constant_views([0.2, 3.0, 0.5]))
    strategy.end_epoch(Clock(1, 5, 4))
    change = controller.likelihood(actions)[0].sum(1).detach() - before
    assert change.argmax() == 1 and change[1] > 0 and change[0] < change[1]
    assert strategy.history[0]["losses"] == pytest.approx([0.2, 3.0, 0.5], abs=1e-4)
    assert torch.tensor(strategy.history[1]["decisions"]).shape == (3, 20)


def test_the_loss_is_the_mean_over_the_policies() -> None:
    step = augury.strategy("adversarial_autoaugment", policies=3, policy="random")(Loss(), constant_views([0.2, 3.0, 0.5]))
    assert step.loss.item() == pytest.approx((0.2 + 3.0 + 0.5) / 3, abs=1e-5)
    assert step.logs["hardest_policy"].item() == pytest.approx(3.0, abs=1e-5)


def test_an_epoch_says_what_the_controller_was_and_got() -> None:
    # Catches probabilities of after the update, rewards that are the losses, and logs of an epoch that had no policies.
    strategy = augury.strategy("adversarial_autoaugment", policies=3, lr=1e-2)
    assert strategy.epoch_logs() == {}
    controller, decisions = strategy.learner.controller, torch.tensor(strategy.history[0]["decisions"])
    log_prob, entropy = (part.sum(1) for part in controller.likelihood(decisions))
    strategy(Loss(), constant_views([0.2, 3.0, 0.5]))
    strategy.end_epoch(Clock(1, 5, 1))
    found = strategy.epoch_logs()["controller"]
    assert found["losses"] == pytest.approx([0.2, 3.0, 0.5], abs=1e-4)
    assert found["rewards"] == pytest.approx([-0.6722, 1.1492, -0.4770], abs=1e-3)
    assert found["log_probabilities"] == pytest.approx(log_prob.tolist(), abs=1e-4)
    assert found["entropy"] == pytest.approx(entropy.mean().item(), abs=1e-4) and found["entropy"] < controller.highest_entropy
    assert len(found["operations"]) == 16 and sum(found["operations"].values()) == pytest.approx(1, abs=1e-4)
    assert len(found["magnitudes"]) == 10 and sum(found["magnitudes"]) == pytest.approx(1, abs=1e-4)
    strategy.end_epoch(Clock(2, 5, 1))  # an epoch without a step, as in refinement: nothing to say
    assert strategy.epoch_logs() == {}


def test_probabilities_are_how_often_choices_are_made() -> None:
    controller = adversarial_controller(seed=3)
    actions = controller.sample(Noise.of(0, torch.arange(20_000)).uniform(20))
    operations, magnitudes = controller.probabilities(actions)
    counted = torch.bincount(actions[:, ::2].flatten(), minlength=16) / 200_000
    assert (operations - counted).abs().max() < 0.003
    assert (magnitudes - torch.bincount(actions[:, 1::2].flatten(), minlength=10) / 200_000).abs().max() < 0.004


def test_what_a_policy_moves_out_leaves_the_fill_that_was_asked_for() -> None:
    # The paper refers to AutoAugment, whose code paints 128 under photographs; 0 is the re-implementation's.
    for text, grey in (("adversarial_autoaugment", 128), ("adversarial_autoaugment(fill=0)", 0)):
        space = augury.strategy(text).searched.space
        for name in ("shear_x", "shear_y", "translate_x", "translate_y", "rotate", "cutout"):
            entry = next(each for each in space.entries if each.op.name == name)
            assert entry.options["fill"] == grey, name


def test_equal_losses_leave_the_reward_at_nothing() -> None:
    strategy = augury.strategy("adversarial_autoaugment", policies=2, entropy=0)
    before = [p.clone() for p in strategy.learner.controller.parameters()]
    strategy(Loss(), constant_views([1.0, 1.0]))
    strategy.end_epoch(Clock(1, 5, 1))
    assert all(a.equal(b) for a, b in zip(before, strategy.learner.controller.parameters(), strict=True))


def test_each_pipeline_has_its_policy_between_the_base_and_normalize() -> None:
    training = prepare(
        Settings.of({"data": "digits", "augment": "crop+cutout", "strategy": "adversarial_autoaugment(policies=3)"}, "test"),
        load("digits"),
    )
    names = [[stage.name for stage in pipeline.stages] for pipeline in training.method.pipelines]
    assert names == [["crop", f"adversarial{m}", "normalize", "cutout"] for m in range(3)]


def test_resuming_keeps_controller_history_and_weights(tmp_path: Path) -> None:
    # Catches a controller that starts anew, or an epoch's policies drawn twice.
    values = {"data": "digits", "augment": "crop", "strategy": "adversarial_autoaugment(policies=2)", "epochs": 3, "batch_size": 64}
    whole = trained("adversarial_autoaugment(policies=2)", 3, "crop", seed=0)
    wanted, data = Settings.of(values, "test"), load("digits")
    directory = RunDirectory(tmp_path / "run")
    directory.path.mkdir()

    class Stop(Exception):
        pass

    def stop(row: dict) -> None:
        if row["epoch"] == 2:
            raise Stop

    with pytest.raises(Stop):
        Trainer(prepare(wanted, data)).run(directory, stop)
    resumed = prepare(wanted, data)
    Trainer(resumed).run(directory)
    assert resumed.strategy.history == whole.strategy.history  # type: ignore[attr-defined]
    assert all(a.equal(b) for a, b in zip(whole.model.state_dict().values(), resumed.model.state_dict().values(), strict=True))


def test_the_policies_of_a_run_are_replayed_in_its_epochs(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = ["train", "digits", "--epochs", "2", "--batch-size", "64", "--quiet"]
    assert main([*command, "--augment", "crop", "--strategy", "adversarial_autoaugment(policies=2)", "--output", str(run)]) == 0
    replay = policy_of(parse_policy((run / "policies.yaml").read_text(), "policies.yaml", check_augment))
    training = trained("adversarial_autoaugment(policies=2)", 2, "crop", seed=0)
    for epoch in range(2):
        plan = replay.ask(Noise.of(0, torch.arange(4000)), Clock(epoch, 2))
        drawn = {tuple(replay.space[int(k)].op.name for k in row) for row in plan.op}
        decisions = torch.tensor(training.strategy.history[epoch]["decisions"])  # type: ignore[attr-defined]
        space = training.strategy.searched.space  # type: ignore[attr-defined]
        op = training.strategy.searched.decode(decisions)[0]  # type: ignore[attr-defined]
        assert drawn == {tuple(space[int(k)].op.name for k in row) for row in op.flatten(0, 1)}
    assert main([*command, "--augment", f"crop+{run / 'policies.yaml'}", "--output", str(tmp_path / "transfer")]) == 0


@given(SCORES, st.integers(1, 4))
@settings(max_examples=50, deadline=None)
def test_topk_keeps_the_highest_losses(scores: Tensor, keep: int) -> None:
    column = chosen(scores, keep, "topk", Noise.of(0, torch.arange(len(scores))))
    kept = scores.gather(1, column).sort(1).values
    assert kept.equal(scores.sort(1).values[:, -keep:])


def test_proportional_draws_in_proportion_to_the_loss() -> None:
    scores = torch.tensor([[1.0, 3.0, 0.0, 4.0]]).expand(20000, 4)
    column = chosen(scores, 2, "proportional", Noise.of(3, torch.arange(20000)))
    share = torch.bincount(column.flatten(), minlength=4) / 40000
    assert share.sub(torch.tensor([1, 3, 0, 4]) / 8).abs().max() < 0.015 and share[2] == 0
    none = chosen(torch.zeros(20000, 4), 1, "proportional", Noise.of(3, torch.arange(20000)))
    assert (torch.bincount(none.flatten(), minlength=4) / 20000).sub(0.25).abs().max() < 0.015


def test_the_default_is_what_the_measurement_chose() -> None:
    # Catches the highest losses as a default, which cost 2.8 points on digits and 1.3 on CIFAR-10.
    assert augury.strategy("uncertainty").select == "proportional"  # type: ignore[attr-defined]


def test_losses_that_are_not_finite_are_handled() -> None:
    scores = torch.tensor([[float("nan"), 1.0, 2.0, float("inf")]])
    assert set(chosen(scores, 2, "topk", Noise.of(0, torch.arange(1)))[0].tolist()) == {0, 3}
    assert int(chosen(scores, 1, "proportional", Noise.of(0, torch.arange(1)))) in (0, 3)


def test_training_sees_the_hardest_candidate_and_scoring_leaves_no_trace() -> None:
    # Catches scoring in training mode, which moves the batch-norm statistics, and gradients through the scores.
    model = Loss().train()
    losses = [0.3, 2.0, 1.0, 0.1]
    statistics = nn.BatchNorm2d(1)
    statistics(torch.full((6, 1, 2, 2), 2.0))
    step = augury.strategy("uncertainty", length=0, select="topk")(model, constant_views(losses))
    assert step.loss.item() == pytest.approx(2.0, abs=1e-5)
    assert model.modes == [False] * 4 + [True] and model.training and model.norm.training
    assert model.norm.running_mean.equal(statistics.running_mean)
    step.loss.backward()
    assert model.weight.grad is not None


def test_with_everything_kept_nothing_is_scored() -> None:
    model = Loss()
    step = augury.strategy("uncertainty", candidates=3, selected=3, length=0)(model, constant_views([1.0, 2.0, 6.0]))
    assert model.modes == [True] and step.loss.item() == pytest.approx(3.0, abs=1e-5)


def test_the_candidates_operations_are_uniform_and_fire_half_of_the_time() -> None:
    plan = candidates_stage(2).policy.ask(Noise.of(0, torch.arange(20000)), Clock())
    counts = torch.bincount(plan.op.flatten(), minlength=16)
    assert len(counts) == 16 and (counts / 40000).sub(1 / 16).abs().max() < 0.006
    assert abs(plan.on.float().mean() - 0.5) < 0.01 and abs(plan.strength.mean() - 0.5) < 0.01
    assert {entry.op.name for entry in candidates_stage(2).space.entries} >= {"mixup", "cutout"}


@pytest.mark.parametrize("strategy", ["uncertainty(candidates=2, selected=1)", "adversarial_autoaugment(policies=2, policy=fixed)"])
def test_trainings_count_what_they_cost(strategy: str) -> None:
    training = trained(strategy, 1)
    counts, steps = training.counts, training.counts.steps
    assert counts.images == 2 * len(training.data.train.ids)
    expected = (3, 1) if "uncertainty" in strategy else (2, 2)
    assert counts.forward / steps == pytest.approx(expected[0], rel=0.05)
    assert counts.backward / steps == pytest.approx(expected[1], rel=0.05)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("uncertainty(candidates=2, selected=3)", "selected=3 must be at most candidates=2"),
        ("uncertainty(select=best)", "must be one of topk, proportional"),
        ("adversarial_autoaugment(policies=1)", "policies=1 has no reward to learn from"),
        ("adversarial_autoaugment(policies=0)", "policies=0"),
    ],
)
def test_refusals(text: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        augury.strategy(text)
    assert words in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("strategy", ["adversarial_autoaugment(policies=1, policy=fixed)", "uncertainty(candidates=1, length=0)"])
def test_one_copy_is_plain_training(strategy: str) -> None:
    one, plain = trained(strategy, 2, "crop+flip+cutout"), trained("erm", 2, "crop+flip+cutout")
    assert all(a.equal(b) for a, b in zip(one.model.state_dict().values(), plain.model.state_dict().values(), strict=True))


def test_a_bandit_moves_to_the_harder_operation() -> None:
    # Losses are those of a world where `invert` is hard. 5 of 5 seeds, 60 epochs at a learning rate for 60 epochs.
    for seed in range(5):
        strategy = augury.strategy("adversarial_autoaugment", lr=2e-2)
        strategy.seeded(seed)
        hard = [entry.op.name for entry in strategy.searched.space.entries].index("invert")
        for epoch in range(60):
            op = strategy.searched.decode(torch.tensor(strategy.history[-1]["decisions"]))[0]
            losses = (op == hard).float().mean((1, 2))
            strategy(Loss(), constant_views((0.1 + losses).tolist()))
            strategy.end_epoch(Clock(epoch + 1, 61, epoch))
        drawn = strategy.learner.sample(Noise.of(99, torch.arange(500)))
        share = (strategy.searched.decode(drawn)[0] == hard).float().mean()
        assert share > 2 / 16, f"seed {seed}: {share:.3f}"


def test_rewards_sum_to_nothing() -> None:
    from augury.augment.policies.controller import z_scores

    assert abs(z_scores(torch.tensor([0.3, 2.0, 1.1, 0.2])).sum()) < 1e-6 and not z_scores(torch.ones(4)).any()
