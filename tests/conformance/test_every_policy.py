"""What holds for every policy and every pipeline that is registered, now or later."""

import inspect
import itertools
import math
import pickle
from typing import Any, get_type_hints

import pytest
import torch
from card_facts import law_text
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import batch_of, noise_of, noisy, same, steady
from scipy import stats
from torch import Tensor

import augury
from augury.core import registry
from augury.core.batch import Batch
from augury.core.laws import Law
from augury.core.noise import Noise
from augury.core.options import Chain, Spec
from augury.core.plan import Clock, Plan, Policy

IDS = torch.arange(2000)
CLOCK = Clock(1, 4, 10)


def options_of(kind: registry.Kind, name: str) -> dict[str, Any] | None:
    """Values for the options that must be given: an augmentation where one is wanted; None where the test knows none."""
    factory, found = registry.get(kind, name), {}
    hints = get_type_hints(factory)
    for key, parameter in inspect.signature(factory).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            if not {Chain, Spec} & {hints[key], *getattr(hints[key], "__args__", ())}:
                return None
            found[key] = Spec("cutout")
    return found


def policy_of(name: str) -> Policy:
    options = options_of("policy", name)
    if options is None:
        pytest.skip("needs an option")
    return augury.policy(name, **options)


def pipeline_of(name: str) -> Any:
    options = next((options_of(kind, name) for kind in ("policy", "preset") if registry.has(kind, name)), {})
    if options is None:
        pytest.skip("needs an option")
    return augury.pipeline(name, **options)


POLICIES = registry.names("policy")
LONGER = {"batch_augment"}  # gives a longer batch than it gets; tests/augment/test_policies.py
UNTOLD = {"normalize"}  # has to be told numbers; tests/augment/test_flow.py
NAMES = [*POLICIES, *(name for name in registry.names("preset") if name not in LONGER | UNTOLD)]
CHAINS = ["crop+flip+cutout", "randaugment+randaugment", "mixup+cutmix", "cutmix+rotate+mixup+randaugment+cutout(length=3)"]


@pytest.mark.parametrize("name", POLICIES)
def test_plans_have_the_declared_shape_and_range(name: str) -> None:
    policy = policy_of(name)
    plan = policy.ask(Noise.of(0, IDS), CLOCK)
    for part, dtype in ((plan.op, torch.int64), (plan.strength, torch.float32), (plan.on, torch.bool)):
        assert part.shape == (len(IDS), policy.slots) and part.dtype == dtype
    assert int(plan.op.min()) >= 0 and int(plan.op.max()) < len(policy.space)
    assert float(plan.strength.min()) >= 0 and float(plan.strength.max()) <= 1
    assert bool(plan.on.any())


@pytest.mark.parametrize("name", POLICIES)
def test_a_plan_depends_on_the_address_alone(name: str) -> None:
    policy = policy_of(name)
    plan = policy.ask(Noise.of(0, IDS), CLOCK)
    order = torch.randperm(len(IDS), generator=torch.Generator().manual_seed(0))[:500]
    other = policy.ask(Noise.of(0, IDS[order]), CLOCK)
    for part in ("op", "strength", "on"):
        assert torch.equal(getattr(other, part), getattr(plan, part)[order])
    later = policy.ask(Noise.of(0, IDS, epoch=1), CLOCK)
    assert not all(torch.equal(getattr(later, part), getattr(plan, part)) for part in ("op", "on", "strength"))


@pytest.mark.parametrize("name", POLICIES)
def test_log_probabilities_are_those_of_the_drawn_plans(name: str) -> None:
    # By importance: the mean of 1 / p over drawn plans is the number of plans, where all can be drawn often enough.
    # For any policy: the frequency of each drawn plan is its probability. Catches a factor that is left out.
    policy = policy_of(name)
    count = 20000
    plan = policy.ask(Noise.of(0, torch.arange(count)), CLOCK)
    log = policy.log_prob(plan)
    assert log.shape == (count,) and not bool(log.isnan().any()) and bool((log <= 1e-5).all()) and bool(log.isfinite().all())
    parts = [plan.op, plan.on.long(), (plan.strength * 1e6).long()]
    if plan.choice is not None:
        parts.append(plan.choice.reshape(count, -1).long())
    found, number = torch.cat(parts, 1).unique(dim=0, return_inverse=True)
    frequency = torch.bincount(number).double()
    expected = torch.zeros(len(found), dtype=torch.float64)
    expected[number] = log.double().exp() * count
    often = expected > 8
    if plan.choice is not None and not bool(often.any()):
        return
    if bool(often.all()) and float(expected.sum()) > count * 0.9999:
        assert float(expected.sum()) == pytest.approx(count, rel=1e-4)
    spread = (frequency[often] - expected[often]) / expected[often].sqrt()
    assert not bool(often.any()) or float(spread.abs().max()) < 5.5
    # A plan drawn once is no rarer than 1 in `count` squared, unless its probability is wrong.
    assert float(expected.sum()) <= count * 1.001


def all_plans(policy: Policy) -> Plan | None:
    """Every plan at one strength with all slots on, where they can be counted."""
    if len(policy.space) ** policy.slots > 50000:
        return None
    op = torch.tensor(list(itertools.product(range(len(policy.space)), repeat=policy.slots)))
    return Plan(op, torch.ones_like(op, dtype=torch.float32), torch.ones_like(op, dtype=torch.bool))


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_randaugments_probabilities_sum_to_one(slots: int) -> None:
    policy = augury.policy("randaugment", num_ops=slots)
    plans = all_plans(policy)
    assert plans is not None
    assert float(policy.log_prob(plans).double().exp().sum()) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("slots", [1, 2])
def test_randaugments_operations_are_even_and_independent(slots: int) -> None:
    # Catches one set of operations for the whole batch, and slots that share a draw.
    policy = augury.policy("randaugment", num_ops=slots)
    plan = policy.ask(Noise.of(0, torch.arange(10000)), CLOCK)
    cells = torch.zeros(len(policy.space) ** slots, dtype=torch.int64)
    number = (plan.op * torch.tensor([len(policy.space) ** k for k in range(slots)])).sum(1)
    cells = torch.bincount(number, minlength=len(cells))
    assert stats.chisquare(cells.numpy()).pvalue > 1e-4


@pytest.mark.parametrize("magnitude", [0, 9, 15, 30])
def test_randaugments_strengths_are_torchvisions(magnitude: int) -> None:
    from torchvision.transforms import RandAugment

    table = RandAugment()._augmentation_space(31, (331, 331))
    theirs = {
        "shear_x": "ShearX", "shear_y": "ShearY", "translate_x": "TranslateX", "translate_y": "TranslateY", "rotate": "Rotate",
        "brightness": "Brightness", "color": "Color", "contrast": "Contrast", "sharpness": "Sharpness", "posterize": "Posterize",
        "solarize": "Solarize", "auto_contrast": "AutoContrast", "equalize": "Equalize", "identity": "Identity",
    }  # fmt: skip
    policy = augury.policy("randaugment", magnitude=magnitude)
    strength = policy.ask(Noise.of(0, IDS[:1]), CLOCK).strength[:, 0]
    assert {entry.op.name for entry in policy.space.entries} == set(theirs)
    for entry in policy.space.entries:
        levels, signed = table[theirs[entry.op.name]]
        if not entry.op.parameters:
            assert levels.ndim == 0
            continue
        law: Law = entry.law(next(iter(entry.op.parameters)))
        value = float(law.value(torch.tensor([0.1]), strength))
        level = float(levels[magnitude])
        level = level / 331 if "translate" in entry.op.name else level
        if entry.op.name in ("brightness", "color", "contrast", "sharpness"):
            level = 1 + level
        elif entry.op.name == "shear_x" or entry.op.name == "shear_y":
            assert abs(value) == pytest.approx(abs(level), rel=1e-5)
            continue
        assert value == pytest.approx(level, rel=1e-5, abs=1e-6), (entry.op.name, law_text(law))
        other = float(law.value(torch.tensor([0.9]), strength))
        assert (other != value) == (bool(signed) and magnitude > 0)


@pytest.mark.parametrize("name", POLICIES)
def test_asking_changes_nothing(name: str) -> None:
    """Catches a policy that learns while it is asked, which no host would keep or share between processes."""
    policy = policy_of(name)
    before = policy.ask(Noise.of(0, IDS, epoch=7), CLOCK)
    policy.ask(Noise.of(1, IDS[:64]), CLOCK)
    after = policy.ask(Noise.of(0, IDS, epoch=7), CLOCK)
    assert torch.equal(before.op, after.op) and torch.equal(before.strength, after.strength) and torch.equal(before.on, after.on)


def run(pipeline: Any, batch: Batch, **more: Any) -> tuple[Batch, list[Any]]:
    return pipeline.run(batch, noise_of(batch), saliency=lambda b: b.replace(saliency=b.images.float().mean(1)), **more)


def laid_out(name: str) -> Any:
    return augury.pipeline(name) if name in CHAINS else pipeline_of(name)


@pytest.mark.parametrize("size", [(32, 32), (9, 14), (1, 7), (1, 1)])
@pytest.mark.parametrize("name", [*NAMES, *CHAINS])
def test_pipelines_keep_shape_dtype_and_input(name: str, size: tuple[int, int]) -> None:
    pipeline = laid_out(name)
    for channels in (1, 3):
        images = noisy(8, channels, *size)
        kept, batch = images.clone(), batch_of(images)
        found, _ = run(pipeline, batch)
        assert found.images.shape == images.shape and found.images.dtype == torch.uint8 and torch.equal(images, kept)
        assert found.targets is not None and torch.allclose(found.targets.dense().sum(1), torch.ones(8), atol=1e-5)
        assert torch.equal(found.ids, batch.ids)


@pytest.mark.parametrize("name", [*NAMES, *CHAINS])
def test_a_permuted_batch_gives_the_permuted_result(name: str) -> None:
    pipeline, batch = laid_out(name), batch_of(noisy(24, 3, 32, 32)).replace(saliency=None)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    whole, part = run(pipeline, batch)[0], run(pipeline, batch[order])[0]
    assert torch.equal(part.images, whole.images[order])
    assert part.targets is not None and whole.targets is not None
    assert torch.allclose(part.targets.dense(), whole.targets.dense()[order], atol=1e-6)


@pytest.mark.parametrize("name", [*NAMES, *CHAINS])
def test_a_batch_equals_its_images_one_by_one(name: str) -> None:
    pipeline, batch = laid_out(name), batch_of(noisy(12, 3, 32, 32)).replace(saliency=None)
    if any("partner" in stage.needs for stage in pipeline.stages):
        pytest.skip("mixes samples")
    whole, _ = run(pipeline, batch)
    for row in range(12):
        rows = torch.tensor([row])
        alone, _ = run(pipeline, batch[rows])
        assert torch.equal(alone.images, whole.images[rows])


@pytest.mark.parametrize("name", [*NAMES, *CHAINS])
def test_the_trace_replays_to_the_bit_without_drawing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, batch = laid_out(name), batch_of(noisy(12, 3, 32, 32)).replace(saliency=None)
    found, traces = run(pipeline, batch)
    assert len(traces) == len(pipeline.stages)
    assert all(pipeline.describe(traces, row) is not None for row in range(12))
    monkeypatch.setattr(Noise, "bits", None)
    assert same(pipeline.apply(batch, traces), found)


@pytest.mark.parametrize("name", [*NAMES, *CHAINS])
def test_empty_batches_and_batches_of_one(name: str) -> None:
    pipeline, batch = laid_out(name), batch_of(noisy(4, 3, 32, 32)).replace(saliency=None)
    assert run(pipeline, batch[torch.zeros(0, dtype=torch.int64)])[0].images.shape == (0, 3, 32, 32)
    assert run(pipeline, batch[torch.tensor([2])])[0].images.shape == (1, 3, 32, 32)


@pytest.mark.parametrize("name", [*NAMES, *CHAINS])
def test_refinement_leaves_what_is_not_intensive(name: str) -> None:
    # Refined and faded to nothing are the same images; intensity 1 is the plain run.
    pipeline, batch = laid_out(name), batch_of(noisy(12, 3, 32, 32)).replace(saliency=None)
    plain, refined = run(pipeline, batch)[0], run(pipeline, batch, refined=True)
    assert [trace is None for trace in refined[1]] == [stage.intensive for stage in pipeline.stages]
    assert same(run(pipeline, batch, intensity=1.0)[0], plain)
    assert same(run(pipeline, batch, intensity=torch.tensor(1.0))[0], plain)
    assert torch.equal(run(pipeline, batch, intensity=0.0)[0].images, refined[0].images)
    assert torch.equal(run(pipeline, batch, intensity=torch.tensor(0.0))[0].images, refined[0].images)


@pytest.mark.parametrize("name", [*NAMES, *CHAINS])
def test_pipelines_pickle_by_name(name: str) -> None:
    pipeline, images = laid_out(name), noisy(6, 3, 32, 32)
    if any("saliency" in stage.needs for stage in pipeline.stages):
        pytest.skip("needs a saliency")
    labels = torch.arange(6)
    pipeline(images, labels)
    other = pickle.loads(pickle.dumps(pipeline))
    for _ in range(2):
        left, right = pipeline(images, labels), other(images, labels)
        assert torch.equal(left[0], right[0])


@settings(steady, max_examples=15)
@given(st.lists(st.sampled_from([n for n in registry.names("op")]), min_size=1, max_size=5), st.integers(0, 2**31))
def test_any_chain_of_operations_is_sound(names: list[str], seed: int) -> None:
    pipeline = augury.pipeline("+".join(names), seed=seed)
    batch = batch_of(noisy(5, 3, 11, 8, seed)).replace(saliency=None)
    found, traces = run(pipeline, batch)
    assert found.targets is not None and torch.allclose(found.targets.dense().sum(1), torch.ones(5), atol=1e-5)
    assert same(pipeline.apply(batch, traces), found)


def test_the_same_policy_twice_draws_twice() -> None:
    pipeline, batch = augury.pipeline("randaugment+randaugment"), batch_of(noisy(200, 1, 4, 4))
    _, traces = run(pipeline, batch)
    first, second = (trace["op"] for trace in traces)
    agree = float((first == second).double().mean())
    assert abs(agree - 1 / 14) < 5 * math.sqrt(1 / 14 / 400)


def test_two_seeds_and_two_views_draw_apart() -> None:
    pipeline, batch = augury.pipeline("rotate"), batch_of(noisy(500, 1, 4, 4))

    def degrees(**address: Any) -> Tensor:
        noise = Noise.of(address.pop("seed", 0), batch.ids, **address)
        return pipeline.run(batch, noise)[1][0]["value"].flatten()

    drawn = [degrees(), degrees(seed=1), degrees(view=1), degrees(epoch=1), degrees(visits=torch.ones_like(batch.ids))]
    for left, right in itertools.combinations(drawn, 2):
        assert abs(stats.pearsonr(left, right).statistic) < 0.25
