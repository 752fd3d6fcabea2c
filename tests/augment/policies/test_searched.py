"""The space of AutoAugment's search, and the controller as a policy."""

import pytest
import torch

from augury.augment.names import check_augment
from augury.augment.policies.controller import z_scores
from augury.augment.policies.file import PolicyFile, policy_of, write_policy
from augury.augment.policies.file_reader import parse_policy
from augury.augment.policies.searched import OPERATIONS, ControllerPolicy, PolicySpace, entry_of
from augury.augment.stages.plan import PlanStage
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.plan import Clock

NOISE = Noise.of(0, torch.arange(200))


def test_published_sizes() -> None:
    assert PolicySpace().size == 1760**10 and PolicySpace().decisions == 30
    adversarial = PolicySpace(probabilities=False)
    assert adversarial.size == 160**10 and adversarial.decisions == 20
    assert len(OPERATIONS) == len(set(OPERATIONS)) == 16


def test_a_policy_draws_its_own_decisions() -> None:
    policy = ControllerPolicy(PolicySpace(), seed=1)
    plan = policy.ask(NOISE, Clock())
    assert plan.choice is not None and plan.choice.shape == (200, 31)
    for row in range(50):
        q = int(plan.choice[row, 30])
        for slot in range(2):
            op, probability, level = plan.choice[row, 6 * q + 3 * slot : 6 * q + 3 * slot + 3].tolist()
            assert plan.op[row, slot] == op and plan.strength[row, slot] == pytest.approx(level / 10)
            if probability in (0, 10):
                assert bool(plan.on[row, slot]) == (probability == 10)


def test_log_prob_adds_up_and_is_the_same_on_replay() -> None:
    space = PolicySpace(("invert", "rotate", "color"), sub_policies=3, slots=2)
    policy = ControllerPolicy(space, seed=2)
    plan = policy.ask(NOISE, Clock())
    assert plan.choice is not None
    log_prob = policy.learner.controller.likelihood(plan.choice[:, :-1])[0].sum(1).detach()
    chance = torch.tensor([1 / 3]).log()
    _, probability, _ = space.decode(plan.choice[:, :-1])
    for row in range(30):
        each = probability[row, int(plan.choice[row, -1])]
        fired = torch.where(plan.on[row], each, 1 - each).log().sum()
        assert policy.log_prob(plan)[row].item() == pytest.approx(float(log_prob[row] + chance + fired), abs=1e-4)
    assert torch.isfinite(policy.log_prob(plan)).all()


def test_the_learner_raises_what_is_rewarded() -> None:
    policy = ControllerPolicy(PolicySpace(("invert", "rotate", "color")), lr=0.01)
    for step in range(25):
        plan = policy.ask(Noise.of(step, torch.arange(32)), Clock())
        assert plan.choice is not None
        policy.learner.update(plan.choice[:, :-1], z_scores((plan.choice[:, 0:30:3] == 1).float().mean(1)))
    plan = policy.ask(NOISE, Clock())
    assert (plan.op == 1).float().mean() > 0.6


def test_state_is_kept() -> None:
    one, two = (ControllerPolicy(PolicySpace(("invert", "rotate")), lr=0.01, seed=s) for s in (0, 5))
    plan = one.ask(NOISE, Clock())
    assert plan.choice is not None
    one.learner.update(plan.choice[:, :-1], z_scores(plan.op.float().sum(1)))
    two.learner.load_state_dict(one.learner.state_dict())
    assert torch.equal(one.ask(NOISE, Clock()).op, two.ask(NOISE, Clock()).op)


def test_the_policy_file_of_decisions_does_what_they_say() -> None:
    space = PolicySpace()
    actions = space.uniform(Noise.of(3, torch.arange(1)))[0].tolist()
    rows = space.rows(actions)
    read = parse_policy(write_policy(PolicyFile("x", ((1.0, rows),))), "x.yaml", check_augment)
    policy = policy_of(read)
    assert len(rows) == 5 and policy.slots == 2
    for q in range(5):
        for slot in range(2):
            op, probability, level = actions[6 * q + 3 * slot : 6 * q + 3 * slot + 3]
            entry = read.periods[0][1][q][slot]
            assert (entry.op, entry.probability, entry.strength) == (OPERATIONS[op], probability / 10, level / 10)
            law = {n: law for n, law in space.space[op].laws.items()}
            for name, value in entry.values.items():
                assert value == pytest.approx(law[name].value(torch.zeros(1), torch.tensor([level / 10])).item(), abs=1e-6)
    batch = Batch(torch.randint(0, 256, (200, 3, 16, 16), dtype=torch.uint8), None, torch.arange(200))
    stage = PlanStage("policy", policy)
    assert stage.apply(batch, stage.sample(batch, NOISE)).images.shape == batch.images.shape


def test_uniform_decisions_cover_every_choice() -> None:
    drawn = PolicySpace(("invert", "rotate", "color")).uniform(Noise.of(1, torch.arange(400)))
    for decision, size in enumerate((3, 11, 10) * 10):
        counts = torch.bincount(drawn[:, decision], minlength=size)
        assert len(counts) == size and counts.min() > 400 / size * 0.4


def test_refusals() -> None:
    with pytest.raises(InputError, match="at least two operations"):
        PolicySpace(("invert", "invert"))
    with pytest.raises(InputError, match="no values for 'crop'"):
        PolicySpace(("invert", "crop"))
    from augury.augment.functions import function_space

    drawn = function_space(("rotate(degrees=uniform(-5, 5))", "invert"))
    with pytest.raises(InputError, match="one value"):
        entry_of(drawn[0], 1.0, 1.0)
