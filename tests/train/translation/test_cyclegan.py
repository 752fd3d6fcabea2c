"""CycleGANs: losses with known values, bounded replay, exact resuming, and that one learns a known translation."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from augury.augment.names import build
from augury.core.errors import RunError
from augury.core.options import parse_chain
from augury.train.translation.cyclegan import CycleGan, Example, Source, translate
from augury.train.translation.discriminator import Discriminator
from augury.train.translation.generator import TranslationGenerator, down_levels, padded_side
from augury.train.translation.losses import Weights, discriminator_loss, generator_losses, guided_losses
from augury.train.translation.replay import ReplayBuffer
from augury.train.translation.settings import TranslationSettings

PIPELINE = build(parse_chain("none", "test"), ((0.5,), (0.5,)), "test")


def source(images: Tensor, start: int = 0) -> Source:
    return Source(images, torch.arange(start, start + len(images)), torch.zeros(len(images), dtype=torch.int64))


def squares(count: int, value: int, seed: int) -> Tensor:
    """uint8 [N,1,8,8]: faint noise with a 4x4 square of one brightness in the middle."""
    images = torch.randint(0, 20, (count, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    images[:, :, 2:6, 2:6] += value
    return images


def gan(steps: int = 4, **changes: object) -> CycleGan:
    settings = TranslationSettings(**{"steps": steps, "batch_size": 4, "seed": 1, **changes})  # type: ignore[arg-type]
    return CycleGan.prepare(
        source(squares(9, 40, 0)), source(squares(7, 200, 1), 100), PIPELINE, settings, torch.device("cpu")
    )  # fmt: skip


def test_identity_generators_cost_nothing_but_their_adversary() -> None:
    a, b = torch.rand(2, 3, 1, 8, 8).unbind()

    def undecided(images: Tensor) -> Tensor:
        return torch.zeros(len(images), 1, 2, 2)

    found = generator_losses(lambda x: x, lambda x: x, undecided, undecided, a, b)
    assert found.cycle == 0 and found.identity == 0
    assert float(found.adversarial) == pytest.approx(2 * math.log(2), rel=1e-6)
    assert torch.equal(found.fake_b, a) and torch.equal(found.fake_a, b)
    assert float(discriminator_loss(undecided, a, b)) == pytest.approx(math.log(2), rel=1e-6)


def test_the_losses_of_a_known_shift() -> None:
    """to_b adds 0.25, to_a takes nothing back: every round trip is off by 0.25, and so is to_b at home."""
    a, b = torch.zeros(2, 3, 1, 8, 8).unbind()

    def sure(images: Tensor) -> Tensor:
        return torch.full((len(images), 1, 2, 2), 3.0)

    found = generator_losses(lambda x: x + 0.25, lambda x: x, sure, sure, a, b)
    assert float(found.cycle) == pytest.approx(10 * 2 * 0.25) and float(found.identity) == pytest.approx(0.5 * 0.25)
    assert float(found.adversarial) == pytest.approx(2 * math.log1p(math.exp(-3)), rel=1e-5)


def test_one_way_round_trips_teach_the_way_back_alone() -> None:
    """Catches a generator that is rewarded for hiding in its image what the other needs to undo it."""
    a, b = torch.rand(2, 3, 1, 8, 8).unbind()
    for one_way in (False, True):
        there, back = torch.tensor(0.1, requires_grad=True), torch.tensor(0.2, requires_grad=True)
        found = generator_losses(
            lambda x, by=there: x + by, lambda x, by=back: x - by, lambda x: x * 0, lambda x: x * 0, a, b,
            Weights(cycle=10.0, identity=0.0, one_way=one_way),
        )  # fmt: skip
        # The trip from a ends at a + there - back, the one from b at b - back + there: both are off by 0.1.
        assert float(found.cycle.detach()) == pytest.approx(2.0, rel=1e-5)
        found.total.backward()
        assert there.grad is not None and back.grad is not None
        share = 1.0 if one_way else 2.0
        assert abs(float(there.grad)) == pytest.approx(10 * share, rel=1e-5) and abs(float(back.grad)) == pytest.approx(10 * share)


def test_the_guided_losses_of_known_maps() -> None:
    """a is 0 and b 0.5; to_a takes 0.5 away, to_b adds its guide: what b lost brings a to b, and what a lost is nothing."""
    a, b = torch.zeros(4, 1, 8, 8), torch.full((4, 1, 8, 8), 0.5)
    guides = []

    def to_b(images: Tensor, guide: Tensor | None) -> Tensor:
        guides.append(guide)
        return images if guide is None else images + guide

    def undecided(images: Tensor) -> Tensor:
        return torch.zeros(len(images), 1, 2, 2)

    found = guided_losses(to_b, lambda images, guide: images - 0.5, undecided, undecided, a, b, Weights(cycle=10.0, identity=5.0))
    assert float(found.adversarial) == pytest.approx(2 * math.log(2), rel=1e-6)
    assert float(found.cycle) == pytest.approx(10 * 0.5), "b comes back as it was, a ends at -0.5"
    assert float(found.identity) == pytest.approx(5 * 0.5)
    assert torch.equal(found.fake_b, torch.cat([b[:2], a[2:]])), "with a guide in the first half"
    assert [None if guide is None else float(guide.mean()) for guide in guides] == [None, 0.5, 0.5, None]


def test_a_guide_teaches_nothing_to_who_made_it() -> None:
    """Catches a generator that is rewarded for what others make of its guide."""
    a, b = torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8)
    taken = torch.tensor(0.3, requires_grad=True)
    judge = lambda images: images.mean((1, 2, 3), keepdim=True)  # noqa: E731
    found = guided_losses(
        lambda images, guide: images if guide is None else images + guide, lambda images, guide: images - taken,
        lambda images: images.detach() * 0, judge, a, b, Weights(cycle=1.0, identity=0.0),
    )  # fmt: skip
    # What is left is its own trip back: a went to b unchanged and ends at -0.3.
    found.total.backward()
    assert taken.grad is not None and float(taken.grad) == pytest.approx(1.0)


def test_rates_of_guided_generators_fall_over_the_second_half() -> None:
    guided, other = (TranslationSettings(steps=10, generator=kind) for kind in ("guided", "masked"))
    assert [guided.share(step) for step in (0, 5, 6, 9)] == pytest.approx([1, 1, 0.8, 0.2]) and other.share(9) == 1
    made = gan(2, generator="guided", lr=1e-3)
    made.run()
    assert made.generator_optimizer.param_groups[0]["lr"] == pytest.approx(1e-3)  # of step 1 of 2, where the fall begins


def test_a_closed_mask_leaves_the_image_and_an_open_one_gives_the_colours() -> None:
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        images = 2 * torch.rand(3, 2, 12, 8) - 1
        made = TranslationGenerator(2, 12, 8, masked=True)
        first = made(images)
        for closed in (True, False):
            made.last.weight.zero_()
            assert made.last.bias is not None
            made.last.bias.copy_(torch.tensor([0.5, -0.5, *(2 * [-40.0 if closed else 40.0])]))
            colours = torch.tensor([0.5, -0.5]).tanh()[:, None, None].expand_as(images)
            assert torch.allclose(made(images), images if closed else colours, atol=1e-6)
    # It begins near the image: about three quarters of it is there.
    assert float((first - images).abs().mean()) < 0.4 * float(images.abs().mean())


def test_replay_is_bounded_and_keeps_what_it_was_given() -> None:
    generator, buffer = torch.Generator().manual_seed(0), ReplayBuffer()
    for step in range(40):
        buffer.add(torch.arange(4 * step, 4 * step + 4).float()[:, None], generator)
        assert len(buffer) == min(50, 4 * (step + 1))
        drawn = buffer.draw(4, generator)[:, 0].tolist()
        assert len(set(drawn)) == 4 and set(drawn) <= set(buffer.images[:, 0].tolist())
    values = buffer.images[:, 0].tolist()
    assert len(set(values)) == 50 and set(range(156, 160)) <= set(map(int, values)), "the newest are in"
    buffer.add(torch.arange(200.0)[:, None], generator)
    assert sorted(buffer.images[:, 0].tolist()) == list(range(150, 200)), "of more than fit, the last"


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 28, 28), (3, 64, 64), (1, 8, 8), (3, 12, 20), (1, 5, 3)])
def test_networks_keep_the_size_and_the_range(channels: int, height: int, width: int) -> None:
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        images = 2 * torch.rand(2, channels, height, width) - 1
        made = TranslationGenerator(channels, height, width)(images)
        judged = Discriminator(channels, height, width)(images)
    assert made.shape == images.shape and float(made.abs().max()) <= 1
    assert judged.shape[:2] == (2, 1) and min(judged.shape[2:]) >= 1
    if height == 28:
        assert judged.shape[2:] == (2, 2), "as published"


def test_sides_and_levels_are_the_published_ones() -> None:
    assert [padded_side(n, n) for n in (28, 32, 128, 224)] == [32, 32, 128, 256]
    assert [width for width, _ in down_levels(32)] == [32, 64, 128, 256, 512]
    assert [width for width, _ in down_levels(256)] == [64, 128, 256, 512, 512, 512, 512, 512]
    assert [width for width, _ in down_levels(32, masked=True)] == [32, 64, 128, 128, 128], "masked ones are ours"
    assert down_levels(8, masked=True) == down_levels(8)


@pytest.mark.parametrize("generator", ["guided", "masked"])
def test_resuming_is_exact(tmp_path: Path, generator: str) -> None:
    straight = gan(4, generator=generator)
    straight.run()

    def stop(row: dict[str, object]) -> None:
        if row["step"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gan(4, generator=generator).run(tmp_path, stop, every=1)
    resumed = gan(4, generator=generator)
    resumed.resume(tmp_path)
    resumed.run(tmp_path)
    assert resumed.step == 4 and resumed.seconds > 0
    for one, other in zip(straight._networks(), resumed._networks(), strict=True):
        for key, value in one[1].state_dict().items():
            assert torch.equal(value, other[1].state_dict()[key]), (one[0], key)
    assert torch.equal(straight.replay_a.images, resumed.replay_a.images)


def test_training_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    made = gan(1)
    made.run()
    translate(made.to_b, squares(3, 0, 2), seed=0)
    assert torch.equal(torch.rand(3), expected)


def test_a_batch_visits_strata_equally_and_images_anew() -> None:
    strata = torch.tensor([0] * 9 + [1] * 3)
    drawn = Source(torch.zeros(12, 1, 2, 2, dtype=torch.uint8), torch.arange(12), strata)
    seen, pairs = [], set()
    for step in range(6):
        rows, visits = drawn.rows(0, step, 4)
        assert torch.bincount(strata[rows]).tolist() == [2, 2]
        seen += rows.tolist()
        pairs |= set(zip(rows.tolist(), visits.tolist(), strict=True))
    assert len(pairs) == 24, "no image twice in one pass over its stratum"
    assert sorted(r for r in seen[:100] if r >= 9) == sorted([9, 10, 11] * 4)


@pytest.mark.parametrize("generator", ["guided", "masked", "published"])
def test_it_learns_to_brighten_a_square(generator: str) -> None:
    """Two subgroups that differ in one square's brightness: soon the translation moves it most of the way."""
    made = gan(60, lr=2e-3, batch_size=4, generator=generator)
    made.run()
    dark = squares(16, 40, 5)
    there = translate(made.to_b, dark, seed=0)[:, :, 2:6, 2:6].float().mean()
    back = translate(made.to_a, squares(16, 200, 6), seed=0)[:, :, 2:6, 2:6].float().mean()
    assert there > 150 > 100 > back


def spotted(count: int, seed: int) -> Tensor:
    """uint8 [N,1,8,8]: faint noise with a bright 2x2 spot at one of four places."""
    images, generator = squares(count, 0, seed), torch.Generator().manual_seed(seed)
    for image, (y, x) in zip(images, torch.randint(0, 2, (count, 2), generator=generator).tolist(), strict=True):
        image[0, 1 + 4 * y : 3 + 4 * y, 1 + 4 * x : 3 + 4 * x] = 220
    return images


def test_guided_generators_put_what_an_example_has_where_it_has_it() -> None:
    """One subgroup has a spot at a place that nothing in the other tells; catches an example that is not read."""
    settings = TranslationSettings(steps=120, batch_size=8, seed=1, generator="guided")
    made = CycleGan.prepare(source(squares(30, 0, 0)), source(spotted(30, 1), 100), PIPELINE, settings, torch.device("cpu"))
    made.run()
    examples = spotted(24, 7)
    found = translate(made.to_b, squares(24, 0, 8), seed=0, example=Example(examples, made.to_a)).float()
    spot = examples > 100
    assert float(found[spot].mean()) > 120 > 60 > float(found[~spot].mean())


def test_translating_a_single_image_and_none() -> None:
    guided = gan(1, generator="guided")
    for count in (0, 1, 65):
        shown = Example(squares(count, 200, 4), guided.to_a)
        first, second = (translate(guided.to_b, squares(count, 40, 3), seed=0, example=shown) for _ in range(2))
        assert first.shape == (count, 1, 8, 8) and torch.equal(first, second)
    made = gan(1)
    assert translate(made.to_b, squares(1, 40, 3), seed=0).shape == (1, 1, 8, 8)
    assert translate(made.to_b, squares(0, 40, 3), seed=0).shape == (0, 1, 8, 8)
    many = squares(65, 40, 3)
    found = translate(made.to_b, many, seed=0)
    assert found.shape == many.shape and found.dtype == torch.uint8 and torch.equal(found, translate(made.to_b, many, seed=0))


def test_a_loss_that_is_not_finite_stops_it() -> None:
    made = gan(2, lr=1e30)
    with pytest.raises(RunError, match="--translate-lr"):
        made.run()
