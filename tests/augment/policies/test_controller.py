"""The controller: sizes, bounds, replayed log-probabilities, and that rewards move it the right way."""

import math

import pytest
import torch

from augury.augment.policies.controller import (
    Baseline,
    Controller,
    Learner,
    adversarial_controller,
    autoaugment_controller,
    z_scores,
)
from augury.core.errors import InputError
from augury.core.noise import Noise


def draw(controller: Controller, count: int, seed: int = 0) -> torch.Tensor:
    noise = Noise.of(seed, torch.arange(count))
    return controller.sample(noise.uniform(controller.decisions))


def test_published_sizes() -> None:
    adversarial = adversarial_controller(16)
    assert sum(p.numel() for p in adversarial.parameters()) == 57_058
    assert adversarial.decisions == 20
    assert adversarial.space_size == 10_995_116_277_760_000_000_000
    assert adversarial.highest_entropy == pytest.approx(50.75, abs=0.005)
    auto = autoaugment_controller(16)
    assert auto.decisions == 30 and auto.space_size == 1760**10


def test_replayed_sequences_give_the_log_probabilities_they_were_drawn_with() -> None:
    """Step by step with the state carried, as `sample` runs, against the teacher-forced pass of `likelihood`."""
    controller = autoaugment_controller(7, seed=3)
    with torch.no_grad():
        for parameter in controller.parameters():
            parameter.mul_(20)
    actions = draw(controller, 40)
    log_prob, entropy = controller.likelihood(actions)
    token, state = torch.zeros(40, 1, 32), None
    for step, kind in enumerate(controller.pattern):
        out, state = controller.lstm(token, state)
        each = controller.heads[kind](out[:, 0]).log_softmax(1)
        assert torch.allclose(each.gather(1, actions[:, step, None])[:, 0], log_prob[:, step], atol=1e-5)
        assert torch.allclose(torch.distributions.Categorical(logits=each).entropy(), entropy[:, step], atol=1e-5)
        token = controller.embedding(actions[:, step] + controller.offsets[kind])[:, None]


def test_probabilities_of_all_sequences_sum_to_one() -> None:
    controller = Controller((2, 3), (0, 1, 0), seed=1)
    every = torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(2))
    assert controller.likelihood(every)[0].sum(1).exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert len(every) == controller.space_size


def test_drawn_frequencies_are_the_stated_probabilities() -> None:
    controller = Controller((2, 3), (0, 1), seed=2)
    with torch.no_grad():
        for parameter in controller.parameters():
            parameter.mul_(10)
    every = torch.cartesian_prod(torch.arange(2), torch.arange(3))
    expected = controller.likelihood(every)[0].sum(1).exp()
    actions = draw(controller, 20_000)
    found = torch.bincount(actions[:, 0] * 3 + actions[:, 1], minlength=6) / 20_000
    assert (found - expected).abs().max() < 0.012
    assert expected.max() > 0.25


def test_entropy_stays_under_its_bound_and_starts_near_it() -> None:
    controller = adversarial_controller(16)
    entropy = controller.likelihood(draw(controller, 8))[1].sum(1)
    assert (entropy <= controller.highest_entropy + 1e-4).all()
    assert (entropy > controller.highest_entropy - 0.5).all()


def test_seeds_and_global_generators() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, same, other = (autoaugment_controller(4, seed=s) for s in (1, 1, 2))
    assert torch.equal(draw(one, 16), draw(same, 16))
    assert not torch.equal(one.embedding.weight, other.embedding.weight)
    assert torch.equal(torch.get_rng_state(), before)


def test_knobs_flatten_and_bound() -> None:
    sharp = Controller((4,), (0,), seed=0)
    with torch.no_grad():
        sharp.heads[0].bias.copy_(torch.tensor([0.0, 0.0, 0.0, 50.0]))
    bounded = Controller((4,), (0,), tanh=1.0, temperature=2.0)
    bounded.load_state_dict(sharp.state_dict())
    assert sharp.likelihood(torch.tensor([[3]]))[0].item() == pytest.approx(0, abs=1e-6)
    best = bounded.likelihood(torch.tensor([[3]]))[0].exp().item()
    assert best == pytest.approx(math.e / (math.e + 3), abs=0.02)


@pytest.mark.parametrize("rule", ["ppo", "reinforce"])
def test_a_bandit_makes_the_rewarded_choice_likelier(rule: str) -> None:
    controller = Controller((4, 3), (0, 1, 0, 1), seed=0)
    learner = Learner(controller, rule, lr=0.01)  # type: ignore[arg-type]
    baseline = Baseline()
    for step in range(60):
        actions = learner.sample(Noise.of(step, torch.arange(16)))
        rewards = (actions[:, 0] == 2).float() + (actions[:, 3] == 1).float()
        learner.update(actions, baseline.advantage(rewards))
    actions = learner.sample(Noise.of(999, torch.arange(2000)))
    assert (actions[:, 0] == 2).float().mean() > 0.6
    assert (actions[:, 3] == 1).float().mean() > 0.6


@pytest.mark.parametrize("rule", ["ppo", "reinforce"])
def test_one_published_step_moves_probabilities_by_their_sign(rule: str) -> None:
    controller = adversarial_controller(16)
    learner = Learner(controller, rule)  # type: ignore[arg-type]
    actions = learner.sample(Noise.of(0, torch.arange(8)))
    advantage = z_scores(torch.tensor([1.0, 3, 2, 5, 4, 0, 1, 2]))
    before = controller.likelihood(actions)[0].sum(1).detach()
    learner.update(actions, advantage)
    change = controller.likelihood(actions)[0].sum(1).detach() - before
    assert (change * advantage).sum() > 0
    assert change[3] > 0 > change[5]


def test_ppo_clips_what_reinforce_would_repeat() -> None:
    """With the ratio clipped at a hair, inner epochs after the first have nothing left to gain."""
    steps = []
    for clip in (1e-6, 10.0):
        controller = Controller((4,), (0, 0), seed=0)
        learner = Learner(controller, "ppo", lr=0.05, clip=clip, entropy_weight=0.0, inner_epochs=20)
        actions = torch.tensor([[1, 2]])
        learner.optimizer = torch.optim.SGD(controller.parameters(), lr=0.05)  # type: ignore[assignment]
        learner.update(actions, torch.ones(1))
        steps.append(controller.likelihood(actions)[0].sum().item())
    assert steps[0] < steps[1] - 0.1


def test_z_scores() -> None:
    assert z_scores(torch.tensor([1.0, 2.0])).tolist() == pytest.approx([-0.7071, 0.7071], abs=1e-4)
    assert z_scores(torch.tensor([3.0, 3.0, 3.0])).tolist() == [0, 0, 0]
    assert z_scores(torch.tensor([3.0])).tolist() == [0]
    assert z_scores(torch.rand(8, generator=torch.Generator().manual_seed(0))).sum().item() == pytest.approx(0, abs=1e-5)


def test_baseline_is_the_moving_average_of_what_came_before() -> None:
    baseline = Baseline(0.9)
    assert baseline.advantage(torch.tensor([1.0, 3.0])).tolist() == [-1, 1]
    assert baseline.advantage(torch.tensor([4.0])).tolist() == [2]
    assert baseline.value == pytest.approx(0.9 * 2 + 0.1 * 4)


def test_a_learner_resumes_where_it_was() -> None:
    def made() -> Learner:
        return Learner(Controller((3,), (0, 0), seed=4), lr=0.01)

    whole, first = made(), made()
    actions, gain = torch.tensor([[0, 1], [2, 2]]), torch.tensor([1.0, -1.0])
    for learner in (whole, first):
        learner.update(actions, gain)
    second = made()
    second.load_state_dict(first.state_dict())
    for learner in (whole, second):
        learner.update(actions, gain)
    assert torch.equal(whole.controller.embedding.weight, second.controller.embedding.weight)
    assert torch.equal(whole.controller.likelihood(actions)[0], second.controller.likelihood(actions)[0])


def test_refusals() -> None:
    with pytest.raises(InputError, match="at least two choices"):
        autoaugment_controller(1)
    with pytest.raises(InputError, match="pattern"):
        Controller((3,), (0, 1))
