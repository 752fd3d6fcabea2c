"""Where some functions destroy the class, a generator that has learned what looks real leaves them out."""

import pytest
import torch

from augury.augment.policies.tanda import Tanda
from augury.core.noise import Noise
from augury.train.data.dataset import load
from augury.train.search.tanda_space import TandaSpace

HARMLESS = (
    "rotate(degrees=10)", "rotate(degrees=-10)", "translate_x(fraction=0.1)", "translate_y(fraction=0.1)", "zoom(factor=1.1)",
)  # fmt: skip
DESTRUCTIVE = ("invert", "solarize(threshold=128)", "erode(width=3)")


def share(policy: Tanda) -> float:
    """Of what the policy draws, the share that destroys the class."""
    frequencies = policy.generator.frequencies(Noise.of(1, torch.arange(2000)).uniform(3))
    return float(frequencies[len(HARMLESS) :].sum())


@pytest.mark.slow
def test_destructive_functions_are_drawn_far_less_than_at_random() -> None:
    """Catches costs of the wrong sign and a discriminator that learns nothing: three of eight functions are 37.5 % at random."""
    space = TandaSpace((*HARMLESS, *DESTRUCTIVE), length=3, steps=300, generator_lr=1e-3, grey=True)
    random, _ = space.policy({"kind": "uniform"}, load("digits"), 0)
    found, _ = space.policy({"kind": "lstm", "discriminator_lr": 1e-5, "diversity": 1e-4}, load("digits"), 0)
    assert share(random) == pytest.approx(3 / 8, abs=0.03)
    assert share(found) < share(random) / 2
