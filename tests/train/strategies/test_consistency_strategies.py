"""AIT, multi-AIT, DML and AugMix's loss on closed-form toys: what the loss is, and whom its gradient reaches."""

import copy
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from torch import Tensor, nn

import augury
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.targets import Targets
from augury.train.strategies.consistency import concat_views
from augury.train.strategies.strategy import Step, Strategy

LABELS = torch.tensor([0, 2, 1, 2, 0])


@dataclass
class Given:
    """`views` with fixed images: view v shows images[v]."""

    images: list[Tensor]
    asked: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self, view: int = 0, pipeline: int = 0, stream: str = "train") -> Batch:
        self.asked.append((view, pipeline))
        return Batch(self.images[view], Targets.of(LABELS, 3), torch.arange(len(LABELS)))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int, seed: int = 0) -> list[Tensor]:
    return [torch.randn(len(LABELS), 3, 8, 8, generator=generator(seed + k)) for k in range(count)]


def linear(seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(192, 3))


def small_cnn(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return augury.model("small_cnn", classes=3, width=4)


def gradients(strategy: Strategy, model: nn.Module, views: Given, turn: int = 0) -> tuple[Step, list[Tensor | None]]:
    model.zero_grad(set_to_none=True)
    step = strategy(model, views, turn=turn)
    step.loss.backward()
    return step, [p.grad for p in model.parameters()]


def cross_entropy(model: nn.Module, pictures: Tensor) -> Tensor:
    return nn.functional.cross_entropy(model(pictures), LABELS)


def divergence(first: Tensor, second: Tensor) -> float:
    """Both Kullback-Leibler divergences, the mean over the batch, by SciPy."""
    p, q = (x.detach().double().softmax(1).numpy() for x in (first, second))
    return float((entropy(p, q, axis=1) + entropy(q, p, axis=1)).mean())


class TestAit:
    def test_the_loss_of_the_text_and_of_the_code(self) -> None:
        model, views = linear(0), images(2)
        logits = [model(v) for v in views]
        entropies = sum(cross_entropy(model, v).item() for v in views)
        paper = augury.strategy("ait", weight=0.7)(model, Given(views))
        assert paper.loss.item() == pytest.approx(entropies + 0.7 * divergence(*logits), rel=1e-5)
        reference = augury.strategy("ait", weight=0.7, mode="reference")(model, Given(views))
        assert reference.loss.item() == pytest.approx(entropies / 2 + 0.7 * divergence(*logits), rel=1e-5)
        assert paper.logs["consistency"].item() == pytest.approx(divergence(*logits), rel=1e-5)
        assert paper.per_sample is not None and paper.per_sample.shape == (5,)
        assert paper.per_sample.mean().item() == pytest.approx(entropies / 2, rel=1e-5)

    @pytest.mark.parametrize(("mode", "times"), [("reference", 1), ("paper", 2)])
    @pytest.mark.parametrize("similarity", ["kl", "euclidean", "both"])
    def test_without_weight_it_is_plain_training_on_both_views_bit_for_bit(self, mode: str, times: int, similarity: str) -> None:
        views = images(2)
        model = small_cnn().train()
        both = Batch(torch.cat(views), Targets.of(torch.cat([LABELS, LABELS]), 3), torch.arange(10))
        plain = augury.strategy("erm")(model, lambda *a, **k: both)  # type: ignore[arg-type]
        plain.loss.backward()
        expected = [times * p.grad for p in model.parameters() if p.grad is not None]
        step, found = gradients(augury.strategy("ait", weight=0, mode=mode, similarity=similarity), model, Given(views))
        assert torch.equal(step.loss, times * plain.loss)
        assert len(expected) == len(found) and all(
            a is not None and torch.equal(a, b) for a, b in zip(found, expected, strict=True)
        )

    def test_identical_views_cost_nothing_and_add_no_gradient(self) -> None:
        views = images(1) * 2
        for at in ("logits", "features", "feature_map"):
            model = small_cnn().train()
            step, with_it = gradients(augury.strategy("ait", similarity="both", at=at), model, Given(views))
            assert step.logs["consistency"].item() == 0
            _, without = gradients(augury.strategy("ait", weight=0), model, Given(views))
            assert all(a is not None and b is not None and torch.equal(a, b) for a, b in zip(with_it, without, strict=True))

    def test_reference_mode_takes_targets_as_given(self) -> None:
        """On a linear network the gradient of the detached divergences by the bias is 0: p - q and q - p cancel."""
        views = images(2)
        _, full = gradients(augury.strategy("ait", weight=5), linear(0), Given(views))
        _, plain = gradients(augury.strategy("ait", weight=0), linear(0), Given(views))
        assert full[1] is not None and plain[1] is not None and not torch.allclose(full[1], plain[1], atol=1e-3)
        _, detached = gradients(augury.strategy("ait", weight=5, mode="reference"), linear(0), Given(views))
        _, halved = gradients(augury.strategy("ait", weight=0, mode="reference"), linear(0), Given(views))
        assert detached[1] is not None and halved[1] is not None and torch.allclose(detached[1], halved[1], atol=1e-5)

    def test_features_are_the_heads_input_and_maps_the_last_taps_output(self) -> None:
        views = images(2)
        model = small_cnn().eval()
        stages = nn.Sequential(*(model.get_submodule(tap) for tap in model.taps))  # type: ignore[arg-type]
        maps = [stages(v) for v in views]
        features = [model.neck(m) for m in maps]  # type: ignore[operator]
        for at, seen in (("feature_map", maps), ("features", features)):
            step = augury.strategy("ait", at=at, similarity="euclidean")(model, Given(views))
            expected = np.linalg.norm((seen[0] - seen[1]).detach().flatten(1).numpy(), axis=1).mean()
            assert step.logs["consistency"].item() == pytest.approx(expected, rel=1e-5)

    def test_a_network_without_features_is_refused_before_training(self) -> None:
        with pytest.raises(InputError, match="at=features needs a network that names its head"):
            augury.strategy("ait", at="features").modules(linear(0))

    def test_one_pass_of_twice_the_rows_and_the_second_pipeline(self) -> None:
        sizes: list[int] = []
        model, views = linear(0), Given(images(2))
        model.register_forward_hook(lambda module, given, made: sizes.append(len(given[0])))
        augury.strategy("ait")(model, views)
        assert sizes == [10] and views.asked == [(0, 0), (1, 1)]

    def test_it_learns_what_the_views_share(self) -> None:
        """Ten steps with a weight bring two views' predictions closer than ten without."""
        apart = []
        for weight in (0, 3):
            model, views = linear(1), images(2, seed=5)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
            for _ in range(10):
                gradients(augury.strategy("ait", weight=weight), model, Given(views))
                optimizer.step()
            apart.append(divergence(model(views[0]), model(views[1])))
        assert apart[1] < 0.7 * apart[0]

    def test_networks_are_asked_for_the_layer_that_is_compared(self) -> None:
        for at in ("features", "feature_map"):
            assert augury.strategy("ait", at=at).modules(small_cnn()) == {}
            with pytest.raises(InputError, match=f"at={at} needs a network that names its"):
                augury.strategy("ait", at=at).modules(linear(0))
        assert augury.strategy("ait").modules(linear(0)) == {}


class TestMultiAit:
    def test_every_network_has_its_view_and_every_pair_its_price(self) -> None:
        networks, views = nn.ModuleList(linear(k) for k in range(3)), images(3)
        logits = [network(v) for network, v in zip(networks, views, strict=True)]
        pairs = divergence(logits[0], logits[1]) + divergence(logits[0], logits[2]) + divergence(logits[1], logits[2])
        given = Given(views)
        step = augury.strategy("multi_ait", weight=2, networks=3)(networks, given)
        entropies = sum(cross_entropy(n, v).item() for n, v in zip(networks, views, strict=True))
        assert step.loss.item() == pytest.approx(entropies + 2 * pairs / 2, rel=1e-5)
        assert given.asked == [(0, 0), (1, 1), (2, 2)]

    def test_without_weight_every_network_trains_alone_bit_for_bit(self) -> None:
        networks, views = nn.ModuleList(small_cnn(k) for k in range(2)), images(2)
        _, found = gradients(augury.strategy("multi_ait", weight=0), networks, Given(views))
        for number in range(2):
            alone = small_cnn(number)
            _, expected = gradients(augury.strategy("erm"), alone, Given(views[number:]))
            half = found[number * len(expected) : (number + 1) * len(expected)]
            assert all(a is not None and b is not None and torch.equal(a, b) for a, b in zip(half, expected, strict=True))

    def test_modes_differ_in_the_gradient_alone(self) -> None:
        networks, views = nn.ModuleList(linear(k) for k in range(2)), images(2)
        paper, full = gradients(augury.strategy("multi_ait"), networks, Given(views))
        reference, detached = gradients(augury.strategy("multi_ait", mode="reference"), networks, Given(views))
        assert paper.loss.item() == pytest.approx(reference.loss.item(), rel=1e-6)
        assert full[0] is not None and detached[0] is not None and not torch.allclose(full[0], detached[0], rtol=0.01)

    def test_reference_mode_takes_targets_as_given(self) -> None:
        """The divergence's gradient by the bias of a linear network is then w (p - q), its own less the other's prediction."""
        networks, views = nn.ModuleList(linear(k) for k in range(2)), images(2)
        p, q = (n(v).softmax(1) for n, v in zip(networks, views, strict=True))
        _, plain = gradients(augury.strategy("multi_ait", weight=0, mode="reference"), networks, Given(views))
        _, found = gradients(augury.strategy("multi_ait", weight=2, mode="reference"), networks, Given(views))
        for bias, own, other in ((1, p, q), (3, q, p)):
            a, b = found[bias], plain[bias]
            assert a is not None and b is not None and torch.allclose(a - b, 2 * (own - other).mean(0), atol=1e-5)

    @pytest.mark.parametrize("at", ["features", "feature_map"])
    def test_a_network_without_the_layer_is_refused_before_training(self, at: str) -> None:
        named = "head" if at == "features" else "taps"
        for networks in ([small_cnn(0), linear(0)], [linear(0), small_cnn(0)]):
            with pytest.raises(InputError, match=f"at={at} needs a network that names its {named}; Sequential does not"):
                augury.strategy("multi_ait", at=at).modules(nn.ModuleList(networks))
        assert augury.strategy("multi_ait", at=at).modules(nn.ModuleList([small_cnn(0), small_cnn(1)])) == {}
        assert augury.strategy("multi_ait").modules(nn.ModuleList([linear(0), linear(1)])) == {}

    def test_features_of_every_pair_are_compared(self) -> None:
        networks, views = nn.ModuleList(small_cnn(k).eval() for k in range(3)), images(3)
        seen = []
        for network, v in zip(networks, views, strict=True):
            stages = nn.Sequential(*(network.get_submodule(tap) for tap in network.taps))  # type: ignore[union-attr]
            seen.append(network.neck(stages(v)).detach())  # type: ignore[operator,union-attr]
        pairs = [(seen[a] - seen[b]).norm(dim=1).mean().item() for a, b in ((0, 1), (0, 2), (1, 2))]
        step = augury.strategy("multi_ait", networks=3, at="features", similarity="euclidean")(networks, Given(views))
        assert step.logs["consistency"].item() == pytest.approx(sum(pairs) / 2, rel=1e-5)

    def test_different_networks_have_no_common_features(self) -> None:
        networks = nn.ModuleList([small_cnn(), augury.model("small_cnn", classes=3, width=6)])
        with pytest.raises(InputError, match="use at=logits"):
            augury.strategy("multi_ait", at="features")(networks, Given(images(2)))
        assert augury.strategy("multi_ait")(networks, Given(images(2))).loss.isfinite()


class TestDml:
    def test_loss_and_gradient_against_the_papers_equations(self) -> None:
        networks, views = nn.ModuleList(linear(k) for k in range(3)), images(1)
        _, found = gradients(augury.strategy("dml", weight=1.5, networks=3), networks, Given(views))
        logs = [n(views[0]).log_softmax(1) for n in networks]
        for k, network in enumerate(networks):
            peers = [
                nn.functional.kl_div(logs[k], logs[j].detach(), log_target=True, reduction="batchmean") for j in range(3) if j != k
            ]
            loss = nn.functional.nll_loss(logs[k], LABELS) + 1.5 * sum(peers) / 2
            expected = torch.autograd.grad(loss, list(network.parameters()), retain_graph=True)
            assert all(
                a is not None and torch.allclose(a, b, atol=1e-6) for a, b in zip(found[2 * k : 2 * k + 2], expected, strict=True)
            )

    def test_all_networks_see_the_same_view(self) -> None:
        given = Given(images(1))
        augury.strategy("dml")(nn.ModuleList(linear(k) for k in range(2)), given)
        assert given.asked == [(0, 0)]

    def test_alternating_updates_are_algorithm_1(self) -> None:
        """Two steps of two networks, against the algorithm written out: each update sees the other's newest predictions."""
        start, views = nn.ModuleList(linear(k) for k in range(2)), images(1)
        written = copy.deepcopy(start)
        for _ in range(2):
            for k in range(2):
                own, other = written[k](views[0]).log_softmax(1), written[1 - k](views[0]).log_softmax(1).detach()
                loss = nn.functional.nll_loss(own, LABELS) + nn.functional.kl_div(
                    own, other, log_target=True, reduction="batchmean"
                )
                for p, g in zip(written[k].parameters(), torch.autograd.grad(loss, list(written[k].parameters())), strict=True):
                    p.data -= 0.1 * g
        strategy = augury.strategy("dml", updates="alternating")
        assert strategy.turns == 2
        optimizer = torch.optim.SGD(start.parameters(), lr=0.1)
        for _ in range(2):
            for turn in range(2):
                _, found = gradients(strategy, start, Given(views), turn)
                assert [g is None for g in found] == ([False] * 2 + [True] * 2 if turn == 0 else [True] * 2 + [False] * 2)
                optimizer.step()
        for a, b in zip(start.parameters(), written.parameters(), strict=True):
            assert torch.allclose(a, b, atol=1e-6)
        simultaneous = nn.ModuleList(linear(k) for k in range(2))
        optimizer = torch.optim.SGD(simultaneous.parameters(), lr=0.1)
        for _ in range(2):
            gradients(augury.strategy("dml"), simultaneous, Given(views))
            optimizer.step()
        difference = max((a - b).abs().max().item() for a, b in zip(start.parameters(), simultaneous.parameters(), strict=True))
        assert difference > 1e-4, "alternating and simultaneous updates came out the same"

    def test_renewing_predictions_leaves_running_statistics_alone(self) -> None:
        networks = nn.ModuleList(small_cnn(k) for k in range(2)).train()
        strategy, views = augury.strategy("dml", updates="alternating"), Given(images(1))
        gradients(strategy, networks, views, 0)
        before = {k: v.clone() for k, v in networks.state_dict().items() if "running" in k or "tracked" in k}
        gradients(strategy, networks, views, 1)
        after = networks.state_dict()
        assert before and all(torch.equal(after[k], v) for k, v in before.items())
        momenta = {m.momentum for m in networks.modules() if isinstance(m, nn.BatchNorm2d)}
        assert momenta == {0.1}

    @pytest.mark.parametrize("updates", ["simultaneous", "alternating"])
    def test_without_weight_every_network_trains_alone_bit_for_bit(self, updates: str) -> None:
        networks, views = nn.ModuleList(small_cnn(k) for k in range(2)), images(1)
        strategy = augury.strategy("dml", weight=0, updates=updates)
        for number in range(2):
            if updates == "alternating" or number == 0:
                _, found = gradients(strategy, networks, Given(views), number)
            alone = small_cnn(number)
            _, expected = gradients(augury.strategy("erm"), alone, Given(views))
            half = found[number * len(expected) : (number + 1) * len(expected)]
            assert all(a is not None and b is not None and torch.equal(a, b) for a, b in zip(half, expected, strict=True))


class TestAugmixJsd:
    def test_the_loss_by_hand(self) -> None:
        model, views = linear(0), images(3)
        p = [model(v).detach().double().softmax(1).numpy() for v in views]
        mean = sum(p) / 3
        jsd = float((sum(entropy(q, mean, axis=1) for q in p) / 3).mean())
        given = Given(views)
        step = augury.strategy("augmix_jsd")(model, given)
        assert step.loss.item() == pytest.approx(cross_entropy(model, views[0]).item() + 12 * jsd, rel=1e-5)
        assert given.asked == [(0, 0), (1, 1), (2, 1)]

    def test_without_weight_only_the_first_view_counts(self) -> None:
        model, views = linear(0), images(3)
        _, found = gradients(augury.strategy("augmix_jsd", weight=0), model, Given(views))
        _, expected = gradients(augury.strategy("erm"), model, Given(views))
        assert all(
            a is not None and b is not None and torch.allclose(a, b, atol=1e-7) for a, b in zip(found, expected, strict=True)
        )


def test_views_with_different_numbers_of_labels_are_joined() -> None:
    plain = Targets.of(LABELS, 9)
    mixed = plain.mix(torch.tensor([1, 2, 3, 4, 0]), torch.full((5,), 0.25))
    pictures, targets = concat_views([(torch.zeros(5, 1, 2, 2), plain), (torch.ones(5, 1, 2, 2), mixed)])
    assert pictures.shape == (10, 1, 2, 2) and targets.index.shape == targets.weight.shape == (10, 2)
    assert torch.equal(targets.dense(), torch.cat([plain.dense(), mixed.dense()]))


@pytest.mark.parametrize("name", ["ait", "multi_ait", "dml", "augmix_jsd"])
def test_images_without_labels_are_refused(name: str) -> None:
    def unlabelled(view: int = 0, pipeline: int = 0, stream: str = "train") -> Batch:
        return Batch(images(1)[0], None, torch.arange(5))

    with pytest.raises(InputError, match=f"{name} needs labels"):
        augury.strategy(name)(nn.ModuleList([linear(0), linear(1)]), unlabelled)


@pytest.mark.parametrize("text", ["ait(weight=-1)", "ait(mode=code)", "ait(at=head)", "multi_ait(networks=1)", "dml(updates=both)"])
def test_values_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="must be"):
        augury.strategy(text)
