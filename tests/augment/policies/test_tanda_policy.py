"""Generators and the policy that draws from them."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

import augury
from augury.augment.functions import function_space
from augury.augment.policies.generators import SequenceGenerator
from augury.augment.policies.tanda import PRESETS, Tanda, expanded, load, make, save_generator
from augury.augment.sequences import Operations
from augury.augment.stages.plan import PlanStage
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.options import Spec
from augury.core.plan import Clock

KINDS = ["mean_field", "lstm", "gru"]


def scaled(generator: SequenceGenerator, factor: float = 30.0) -> SequenceGenerator:
    with torch.no_grad():
        for number, parameter in enumerate(generator.parameters()):
            parameter.mul_(factor).add_(torch.linspace(-0.3, 0.3, parameter.numel()).reshape(parameter.shape) * (number + 1))
    return generator


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_of_all_sequences_sum_to_one_and_are_drawn(kind: str) -> None:
    generator = scaled(SequenceGenerator(3, kind=kind))  # type: ignore[arg-type]
    every = torch.cartesian_prod(torch.arange(3), torch.arange(3), torch.arange(3))
    probability = generator.log_prob(every).sum(1).exp()
    assert probability.sum().item() == pytest.approx(1, abs=1e-5)
    drawn = generator.sample(Noise.of(0, torch.arange(20_000)).uniform(3))
    found = torch.bincount(drawn @ torch.tensor([9, 3, 1]), minlength=27) / 20_000
    assert (found - probability).abs().max() < 0.012
    assert probability.max() > 2 / 27


def test_a_new_mean_field_is_uniform_and_the_others_nearly() -> None:
    actions = torch.zeros(1, 4, dtype=torch.int64)
    assert torch.allclose(SequenceGenerator(7, kind="mean_field").distribution(actions), torch.tensor(-math.log(7)))
    for kind in ("lstm", "gru"):
        assert (SequenceGenerator(7, kind=kind).distribution(actions) + math.log(7)).abs().max() < 0.5  # type: ignore[arg-type]


def test_logits_keep_to_their_range() -> None:
    for kind, span in (("lstm", 4.0), ("gru", 8.0)):
        generator = scaled(SequenceGenerator(5, kind=kind, logit_range=4.0), 1e4)  # type: ignore[arg-type]
        each = generator.distribution(torch.zeros(1, 6, dtype=torch.int64))
        assert (each.max(2).values - each.min(2).values).max() <= span + 1e-4


def test_published_lists() -> None:
    assert {name: len(items) for name, items in PRESETS.items()} == {"cifar10": 33, "mnist": 25}
    names = [entry.op.name for entry in function_space(PRESETS["cifar10"]).entries]
    assert {name: names.count(name) for name in set(names)} == {
        "rotate": 4, "zoom": 4, "shear_x": 4, "swirl": 4, "hue": 4, "contrast": 4, "brightness": 4, "color": 4, "flip": 1,
    }  # fmt: skip


def test_every_function_always_fires_with_its_own_value() -> None:
    policy = make(["rotate(degrees=90)", "invert", "flip"], length=4)
    stage = PlanStage("tanda", policy)
    images = torch.randint(0, 256, (50, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    ids = torch.arange(50)
    trace = stage.sample(Batch(images, None, ids), Noise.of(0, ids))
    assert bool(trace["on"].all()) and trace["op"].unique().tolist() == [0, 1, 2]
    result = stage.apply(Batch(images, None, ids), trace).images
    for row in range(50):
        expected = images[row]
        for number in trace["op"][row].tolist():
            expected = [expected.rot90(1, (1, 2)), 255 - expected, expected.flip(2)][number]
        assert torch.equal(result[row], expected)


def test_states_end_where_the_stage_ends() -> None:
    policy = make([*PRESETS["mnist"][::3], "elastic(sigma=1, alpha=2)"], length=5)
    ids = torch.arange(20)
    images = torch.randint(0, 256, (20, 1, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    stage, noise = PlanStage("x", policy), Noise.of(4, ids)
    actions = policy.ask(noise.fold("plan"), Clock()).op
    states = Operations(policy.space).states(images, actions, noise)
    trace = stage.sample(Batch(images, None, ids), noise)
    assert torch.equal(trace["op"], actions) and len(states) == 6
    assert torch.equal(states[0], images)
    assert torch.equal(states[-1], stage.apply(Batch(images, None, ids), trace).images)


def test_log_prob_of_a_plan() -> None:
    policy = make(["flip", "invert", "equalize"], length=3)
    plan = policy.ask(Noise.of(0, torch.arange(64)), Clock())
    assert torch.allclose(policy.log_prob(plan), policy.generator.log_prob(plan.op).sum(1))


def test_a_python_function_is_an_entry_like_any_other() -> None:
    def halve(images: Tensor) -> Tensor:
        return images // 2

    stage = PlanStage("tanda", make([halve, "identity"], length=2))
    images, ids = torch.full((40, 1, 4, 4), 200, dtype=torch.uint8), torch.arange(40)
    batch = Batch(images, None, ids)
    values = stage.apply(batch, stage.sample(batch, Noise.of(0, ids))).images.unique().tolist()
    assert values == [50, 100, 200]


def test_a_saved_generator_draws_the_same(tmp_path: Path) -> None:
    functions = [*PRESETS["mnist"], "crop(padding=2)"]
    policy = make(functions, length=6, kind="gru", logit_range=6.0)
    scaled(policy.generator)
    save_generator(tmp_path / "generator.safetensors", policy, functions)
    again = load(tmp_path / "generator.safetensors")
    noise = Noise.of(1, torch.arange(32))
    assert torch.equal(again.ask(noise, Clock()).op, policy.ask(noise, Clock()).op)
    assert [e.laws for e in again.space.entries] == [e.laws for e in policy.space.entries]
    pipeline = augury.pipeline(f"tanda(file='{tmp_path / 'generator.safetensors'}')")
    images = torch.randint(0, 256, (8, 1, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert pipeline(images).shape == images.shape


def test_the_registered_policy_is_uniform() -> None:
    policy = augury.policy("tanda", functions=[Spec("mnist")], length=4)
    assert isinstance(policy, Tanda)
    plan = policy.ask(Noise.of(0, torch.arange(5)), Clock())
    assert torch.allclose(policy.log_prob(plan), torch.tensor(-4 * math.log(25)))
    assert len(expanded((Spec("mnist"), Spec("flip")))) == 26


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tanda(functions=[invert])", "name at least two functions"),
        ("tanda(functions=[invert, rotat(5)])", "'rotate'"),
        ("tanda(file=nowhere.safetensors)", "no such file"),
        ("tanda(length=0)", "from 1"),
        ("tanda(functions=mnist, file=a)", "give either file or functions"),
    ],
)
def test_refusals(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        augury.pipeline(text)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="not a generator file"):
        load(tmp_path / "x")


def test_an_image_is_transformed_by_the_chance_of_the_epoch_and_not_in_the_last_ones() -> None:
    # Catches a chance per slot instead of per image, a growth that never ends, and clean epochs at the wrong end.
    noise, spec = Noise.of(0, torch.arange(4000)), [Spec("flip"), Spec("invert")]
    policy = augury.policy("tanda", functions=spec, length=3, p=0.4, p_first=0.1, p_growth=2.0, clean_epochs=2)
    for epoch, chance in ((0, 0.1), (1, 0.2), (2, 0.4), (3, 0.4), (4, 0.4), (5, 0.0), (6, 0.0)):
        on = policy.ask(noise, Clock(epoch=epoch, epochs=7)).on
        assert bool((on.all(1) == on.any(1)).all())
        assert on[:, 0].double().mean().item() == pytest.approx(chance, abs=0.03 if chance else 0)
    with pytest.raises(InputError, match="leaves none to transform"):
        policy.ask(noise, Clock(epochs=2))
    always = augury.policy("tanda", functions=spec, length=3, clean_epochs=2)
    assert bool(always.ask(noise, Clock()).on.all())
    assert torch.equal(always.ask(noise, Clock()).op, policy.ask(noise, Clock(epochs=9)).op)
