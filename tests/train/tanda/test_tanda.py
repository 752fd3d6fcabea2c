"""TANDA: returns against their definition, the oracle toy, and an adversarial training on images and on tokens."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from augury.augment.functions import function_space
from augury.augment.policies.generators import SequenceGenerator
from augury.augment.sequences import Callables, Operations
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.train.tanda.adversary import Adversary, Setup
from augury.train.tanda.discriminator import Dcgan
from augury.train.tanda.rewards import advantages, discount_matrix, diversity_costs, increments, realism_costs


def test_discount_matrix() -> None:
    g = 0.5
    assert discount_matrix(3, g).tolist() == [[1, 0, 0], [g, 1, 0], [g**2, g, 1]]
    assert torch.equal(discount_matrix(4, 0.0), torch.eye(4))
    assert torch.equal(discount_matrix(4, 1.0), torch.ones(4, 4).tril())


def test_increments_telescope_and_returns_are_the_discounted_costs_to_come() -> None:
    costs = torch.rand(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(increments(costs).sum(1), costs[:, -1] - costs[:, 0])
    found, g = advantages(costs.float(), 0.5), 0.5
    returns = torch.tensor([[sum(g ** (s - t) * (row[s + 1] - row[s]) for s in range(t, 4)) for t in range(4)] for row in costs])
    assert torch.allclose(found, (returns - returns.mean(0)).float(), atol=1e-6)
    assert torch.allclose(found.mean(0), torch.zeros(4), atol=1e-6)


def test_the_first_cost_does_not_matter_where_all_share_it() -> None:
    costs = torch.rand(6, 4, generator=torch.Generator().manual_seed(1))
    shifted = costs.clone()
    shifted[:, 0] += 1000
    costs[:, 0], shifted[:, 0] = 1.0, 1001.0
    assert torch.allclose(advantages(costs, 0.5), advantages(shifted, 0.5), atol=1e-3)


def test_costs() -> None:
    logits = [torch.tensor([0.0, 3.0]), torch.tensor([-2.0, 1.0])]
    expected = torch.stack([nn.functional.binary_cross_entropy_with_logits(x, torch.ones(2), reduction="none") for x in logits], 1)
    assert torch.allclose(realism_costs(logits), expected)
    here, there = torch.zeros(2, 3, 2), torch.full((2, 3, 2), 2.0)
    assert diversity_costs([here, there, here], 0.1, 1e-3)[0].tolist() == pytest.approx([100, 0.1 / 4.001, 100])


class Oracle(nn.Module):
    """Knows that real points lie in the unit ball."""

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        return 10 * (1 - points.norm(dim=1)), points


def move(length: float, turn: float) -> Callable[[Tensor], Tensor]:
    shift = torch.tensor([length * math.cos(2 * math.pi * turn), length * math.sin(2 * math.pi * turn)])
    return lambda points: points + shift


MOVES = Callables((*(move(0.1, k / 10) for k in range(10)), *(move(2.0, k / 5) for k in range(5))))


def ball(count: int, seed: int) -> Tensor:
    u = torch.rand(count, 2, generator=torch.Generator().manual_seed(seed))
    angle = 2 * math.pi * u[:, 1]
    return u[:, :1].sqrt() * torch.stack([angle.cos(), angle.sin()], 1)


@pytest.mark.parametrize("kind", ["mean_field", "lstm", "gru"])
def test_the_oracle_toy_learns_to_avoid_the_large_moves(kind: str) -> None:
    """METHODS of TANDA's synthetic experiment: ten moves by 0.1, five by 2; one epoch at the published learning rate."""
    for seed in range(5):
        generator = SequenceGenerator(15, kind=kind, seed=seed)  # type: ignore[arg-type]
        setup = Setup(diversity=0.0, seed=seed)
        adversary = Adversary(generator, MOVES, Oracle(), setup, learn_discriminator=False)
        u = Noise.of(99, torch.arange(300)).uniform(10)
        before = generator.frequencies(u)[10:].sum()
        adversary.train(ball(800, seed))
        after = generator.frequencies(u)[10:].sum()
        assert before == pytest.approx(1 / 3, abs=0.05)
        assert after < 1 / 6, f"{kind}, seed {seed}: {after:.3f}"
    assert adversary.ratio(ball(100, 50)) < 0.6


def test_without_the_right_sign_it_would_seek_them() -> None:
    """The toy can fail: an oracle that takes far points for real makes the large moves likelier."""

    class Fool(nn.Module):
        def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
            return 10 * (points.norm(dim=1) - 1), points

    generator = SequenceGenerator(15, kind="mean_field")
    Adversary(generator, MOVES, Fool(), Setup(diversity=0.0, generator_lr=1e-3), learn_discriminator=False).train(ball(800, 0))
    assert generator.frequencies(Noise.of(99, torch.arange(300)).uniform(10))[10:].sum() > 0.4


def test_diversity_pushes_away_from_doing_nothing() -> None:
    def stay(points: Tensor) -> Tensor:
        return points.clone()

    frequencies = []
    for weight in (0.0, 1e-2):
        generator = SequenceGenerator(2, kind="mean_field")
        setup = Setup(diversity=weight, generator_lr=1e-3, length=3)
        Adversary(generator, Callables((stay, move(0.3, 0.0))), Oracle(), setup, learn_discriminator=False).train(ball(400, 0))
        frequencies.append(generator.frequencies(Noise.of(1, torch.arange(500)).uniform(3))[0])
    assert frequencies[0] > 0.6 > 0.4 > frequencies[1]


def test_the_discriminator_has_the_published_layers() -> None:
    network = Dcgan(3, 32, 32)
    weights = [tuple(c.weight.shape) for c in network.convolutions]
    assert weights == [(64, 3, 5, 5), (128, 64, 5, 5), (256, 128, 5, 5), (512, 256, 5, 5)]
    logit, features = network(torch.zeros(2, 3, 32, 32))
    assert logit.shape == (2,) and features.shape == (2, 256, 4, 4)
    assert Dcgan(1, 28, 28, width=4)(torch.zeros(2, 1, 28, 28))[0].shape == (2,)


def test_costs_leave_the_discriminator_as_it_was() -> None:
    network = Dcgan(1, 16, 16, width=4)
    adversary = Adversary(SequenceGenerator(2), Operations(function_space(("flip", "invert"))), network)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    adversary.costs([torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))] * 2)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert network.training


def images(count: int = 64) -> Tensor:
    """Bright vertical bars on black: inverting or turning them by 90 degrees is easily seen, shifting by one pixel is not."""
    made = torch.zeros(count, 1, 16, 16, dtype=torch.uint8)
    for row in range(count):
        made[row, :, :, row % 12 + 2 : row % 12 + 4] = 200 + row % 50
    return made


def test_adversarial_training_on_images_prefers_what_looks_real() -> None:
    space = function_space(("translate_x(fraction=0.0625)", "translate_x(fraction=-0.0625)", "invert", "rotate(degrees=90)"))
    generator = SequenceGenerator(4, kind="mean_field")
    setup = Setup(length=3, generator_lr=1e-2, discriminator_lr=1e-3, diversity=0.0, batch_size=16, sequences=3)
    adversary = Adversary(generator, Operations(space), Dcgan(1, 16, 16, width=4), setup, prepare=lambda x: x.float() / 128 - 1)
    rows = adversary.train(images(), epochs=12)
    assert len(rows) == 12 * 4
    frequencies = generator.frequencies(Noise.of(1, torch.arange(500)).uniform(3))
    assert frequencies[:2].sum() > 0.55 and frequencies[2] < 0.18, frequencies  # two turns by 90 degrees look real again


def test_training_is_seeded_and_leaves_global_generators_alone() -> None:
    def run(seed: int) -> Tensor:
        generator = SequenceGenerator(3, kind="gru", seed=seed)
        space = function_space(("flip", "invert", "elastic(sigma=1, alpha=1)"))
        setup = Setup(length=2, seed=seed, batch_size=16, sequences=2, generator_lr=1e-2)
        Adversary(generator, Operations(space), Dcgan(1, 16, 16, width=4, seed=seed), setup, prepare=torch.Tensor.float).train(
            images(32)
        )
        return next(generator.parameters()).detach()

    torch.manual_seed(3)
    before = torch.get_rng_state()
    assert torch.equal(run(0), run(0))
    assert not torch.equal(run(0), run(1))
    assert torch.equal(torch.get_rng_state(), before)


def test_tokens() -> None:
    """Functions on token sequences: a scrambled sequence is told from a sorted one, a shifted one is not."""

    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Sequential(nn.Linear(7, 16), nn.ReLU(), nn.Linear(16, 1))

        def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
            steps = (tokens[:, 1:] - tokens[:, :-1]).float() / 8
            return self.head(steps)[:, 0], steps

    def shift(tokens: Tensor) -> Tensor:
        return (tokens + 1) % 100

    def swap_ends(tokens: Tensor) -> Tensor:
        return tokens[:, [7, 1, 2, 3, 4, 5, 6, 0]]

    data = torch.arange(200)[:, None] % 40 + torch.arange(8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        critic = Reads()
    generator = SequenceGenerator(2, kind="lstm")
    setup = Setup(length=3, generator_lr=1e-3, discriminator_lr=1e-2, diversity=0.0)
    Adversary(generator, Callables((shift, swap_ends)), critic, setup).train(data, epochs=6)
    assert generator.frequencies(Noise.of(1, torch.arange(500)).uniform(3))[0] > 0.6


def test_seconds_stop_the_training() -> None:
    adversary = Adversary(SequenceGenerator(15), MOVES, Oracle(), Setup(diversity=0.0), learn_discriminator=False)
    assert 0 < len(adversary.train(ball(64, 0), seconds=0.2)) < 10_000


def raises(points: Tensor) -> Tensor:
    raise KeyError("no such token")


def shortens(points: Tensor) -> Tensor:
    return points[:, :1]


def edits(points: Tensor) -> Tensor:
    points += 1
    return points


def forgets(points: Tensor) -> None:
    return None


def as_double(points: Tensor) -> Tensor:
    return points.double()


@pytest.mark.parametrize(
    ("function", "words"),
    [(raises, "'raises' raised KeyError"), (shortens, "shape"), (edits, "in place"), (forgets, "NoneType"), (as_double, "float64")],
)
def test_a_function_that_misbehaves_is_named_in_one_line(function: Callable[[Tensor], Tensor], words: str) -> None:
    adversary = Adversary(SequenceGenerator(2), Callables((move(0.1, 0.0), function)), Oracle(), learn_discriminator=False)
    points = ball(32, 0)
    kept = points.clone()
    with pytest.raises(InputError, match=words) as caught:
        adversary.train(points)
    assert "\n" not in str(caught.value)
    assert torch.equal(points, kept)


def test_refusals() -> None:
    with pytest.raises(InputError, match="name at least two functions"):
        SequenceGenerator(1)
    with pytest.raises(InputError, match="name at least two functions"):
        function_space(("invert",))
    with pytest.raises(InputError, match="3 given"):
        Adversary(SequenceGenerator(2), Callables((move(0.1, 0), move(0.1, 0.5), move(0.2, 0))), Oracle())
