"""Every strategy's loss against its formula in float64, written in NumPy on the same logits."""

import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from scipy.stats import beta
from torch import Tensor, nn

import augury
from augury.augment.ops.build import op
from augury.core import registry
from augury.core.plan import Clock
from augury.train.data.groups import Groups

CARDS = Path(__file__).resolve().parents[2] / "docs" / "cards" / "strategy"
CLASSES, ROWS = 3, 6
LABELS = np.array([0, 2, 1, 1, 0, 2])
SUBGROUPS = np.array([0, 1, 0, 0, 1, 1])


class Fixed(nn.Module):
    """A network whose logits are the images, times a factor."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.head = nn.Linear(CLASSES, CLASSES, bias=False)
        self.head.weight.data = torch.eye(CLASSES, dtype=torch.float64) * factor
        self.taps = ()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(images)
        return logits


class Necked(Fixed):
    """The same with a BNNeck that changes nothing in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.bottleneck = nn.BatchNorm1d(CLASSES, eps=0, dtype=torch.float64).eval()

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(self.bottleneck(images))


def losses(logits: np.ndarray, labels: np.ndarray = LABELS, smoothing: float = 0.0) -> np.ndarray:
    log_p = log_softmax(logits, 1)
    return -(1 - smoothing) * log_p[np.arange(len(labels)), labels] - smoothing * log_p.mean(1)


def kl(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """KL(softmax a || softmax b) per row."""
    p, q = log_softmax(a, 1), log_softmax(b, 1)
    return (np.exp(p) * (p - q)).sum(1)


def symmetric(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return kl(a, b) + kl(b, a)


def jensen_shannon(*views: np.ndarray) -> np.ndarray:
    each = [np.exp(log_softmax(v, 1)) for v in views]
    middle = np.log(np.mean(each, 0))
    return np.mean([(p * (np.log(p) - middle)).sum(1) for p in each], 0)


def views_of(stream: str = "train", count: int = 8) -> list[np.ndarray]:
    seed = {"train": 0, "unlabelled": 1, "translated": 2}[stream]
    rows = 2 * ROWS if stream == "translated" else ROWS
    return list(np.random.default_rng(seed).normal(0, 2, (count, rows, CLASSES)))


V, U = views_of(), views_of("unlabelled")
T = views_of("translated")[0].reshape(ROWS, 2, CLASSES)
FACTORS = (1.0, 0.5, -0.7)  # of the networks, where there are several


def ait(weight: float, distance: Callable[[np.ndarray, np.ndarray], np.ndarray], mean: bool = False) -> float:
    both = (losses(V[0]).mean() + losses(V[1]).mean()) * (0.5 if mean else 1)
    return float(both + weight * distance(V[0], V[1]).mean())


def euclidean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.linalg.norm(a - b, axis=1)


def multi_ait(weight: float, networks: int) -> float:
    seen = [v * k for v, k in zip(V, FACTORS, strict=False)][:networks]
    apart = sum(symmetric(a, b).mean() for a, b in combinations(seen, 2)) / (networks - 1)
    return float(sum(losses(v).mean() for v in seen) + weight * apart)


def dml(weight: float, networks: int) -> float:
    seen = [V[0] * k for k in FACTORS[:networks]]
    from_others = [np.mean([kl(b, a).mean() for b in seen if b is not a]) for a in seen]
    return float(sum(losses(v).mean() for v in seen) + weight * sum(from_others))


def uda(weight: float, temperature: float, confidence: float) -> float:
    """Labelled images in view 0, unlabelled ones weakly augmented in view 0 and strongly in view 1."""
    weak, strong = U[0], U[1]
    certain = np.exp(log_softmax(weak, 1)).max(1) > confidence
    assert certain.any()
    return float(losses(V[0]).mean() + weight * np.where(certain, kl(weak / temperature, strong), 0).mean())


def stability(weight: float, passes: int) -> float:
    """`passes` augmented views and a clean one, whose number is 0 of its own pipeline: here the same logits as view 0."""
    predicted = [np.exp(log_softmax(v, 1)) for v in (*V[:passes], V[0])]
    pairs = [np.square(a - b).sum(1) for a, b in combinations(predicted, 2)]
    return float(losses(V[0]).mean() + weight * np.mean(pairs))


GROUPS = Groups.of_labels(
    torch.from_numpy(np.repeat(LABELS, 4)), torch.from_numpy(np.concatenate([np.repeat(SUBGROUPS[:5], 4), [0, 1, 1, 1]])), classes=3
)


def group_means(values: np.ndarray) -> np.ndarray:
    cells = GROUPS.of(torch.from_numpy(LABELS), torch.from_numpy(SUBGROUPS)).numpy()
    return np.array([values[cells == g].mean() if (cells == g).any() else 0 for g in range(len(GROUPS))])


def present() -> np.ndarray:
    cells = GROUPS.of(torch.from_numpy(LABELS), torch.from_numpy(SUBGROUPS)).numpy()
    return np.isin(np.arange(len(GROUPS)), cells)


def group_dro(step: float, adjustment: float = 0.0, by_class: bool = False) -> float:
    means, counts = group_means(losses(V[0])), GROUPS.counts.numpy()
    gained = np.where(present(), means + adjustment / np.sqrt(counts), 0)
    raw = np.exp(step * gained)
    of = GROUPS.classes.numpy()
    share = raw / (np.array([raw[of == y].sum() for y in of]) if by_class else raw.sum())
    if by_class:
        share = share * np.array([np.mean(of == y) for y in of])
    return float((share * gained).sum())


def clamp(weight: float, irm: float = 0.0) -> float:
    """Translations exist for an image of a class with two groups; with adjustment 1 and step 0.01 within each class."""
    numbers = np.bincount(GROUPS.classes.numpy(), minlength=3)[LABELS]
    p0, pk = log_softmax(V[0], 1), log_softmax(T, 2)
    middle = np.log(np.exp(pk).mean(1))
    one = (np.exp(p0) * (p0 - middle)).sum(1)
    other = (np.exp(pk) * (pk - middle[:, None])).sum(2).mean(1)
    apart = np.where(numbers > 1, one / 2 + other / 2, 0)
    slope = (np.exp(p0) * V[0]).sum(1) - V[0][np.arange(ROWS), LABELS]
    penalty = np.square(group_means(slope)).sum()
    return float(group_dro(0.01, 1.0, by_class=True) + weight * group_means(apart).sum() + irm * penalty)


def reid(margin: float, smoothing: float, triplet: float, centre: float = 0.0) -> float:
    """Batch-hard triplets of features before the neck; every identity has two images, its centre at 0."""
    apart = np.linalg.norm(V[0][:, None] - V[0], axis=2)
    same = LABELS[:, None] == LABELS
    gap = np.where(same, apart, -np.inf).max(1) - np.where(same, np.inf, apart).min(1)
    hard = np.maximum(gap + margin, 0).mean()
    return float(losses(V[0], smoothing=smoothing).mean() + triplet * hard + centre * np.square(V[0]).sum(1).mean())


def uncertainty(candidates: int) -> float:
    """The highest of each image's losses over its candidates."""
    return float(np.max([losses(v) for v in V[:candidates]], 0).mean())


FORMS: dict[str, Callable[[], float]] = {
    "erm": lambda: float(losses(V[0]).mean()),
    "erm(smoothing=0.2)": lambda: float(losses(V[0], smoothing=0.2).mean()),
    "ait(weight=0.7)": lambda: ait(0.7, symmetric),
    "ait(weight=0.7, mode=reference)": lambda: ait(0.7, symmetric, mean=True),
    "ait(weight=0.3, similarity=euclidean)": lambda: ait(0.3, euclidean),
    "ait(weight=0.3, similarity=both, at=features)": lambda: ait(0.3, lambda a, b: symmetric(a, b) + euclidean(a, b)),
    "multi_ait(weight=2)": lambda: multi_ait(2, 2),
    "multi_ait(weight=2, networks=3)": lambda: multi_ait(2, 3),
    "dml(weight=1.5)": lambda: dml(1.5, 2),
    "dml(weight=1.5, networks=3)": lambda: dml(1.5, 3),
    "dml(weight=1.5, updates=alternating)": lambda: dml(1.5, 2),
    "augmix_jsd(weight=3)": lambda: float(losses(V[0]).mean() + 3 * jensen_shannon(*V[:3]).mean()),
    "stability(weight=2, passes=3)": lambda: stability(2, 3),
    "uda(weight=1.5, confidence=0.6)": lambda: uda(1.5, 0.4, 0.6),
    "uda(weight=1.5, temperature=1, confidence=0)": lambda: uda(1.5, 1, 0),
    "group_dro(step_size=0.5)": lambda: group_dro(0.5),
    "group_dro(step_size=0.5, adjustment=2, class_conditional=true)": lambda: group_dro(0.5, 2, by_class=True),
    "clamp(weight=2)": lambda: clamp(2),
    "clamp(weight=2, irm=0.4)": lambda: clamp(2, 0.4),
    "reid(centre=0)": lambda: reid(0.3, 0.1, 1),
    "reid(margin=0.5, smoothing=0, triplet=2, centre=0.1)": lambda: reid(0.5, 0, 2, 0.1),
    "uncertainty(select=topk)": lambda: uncertainty(4),
    "uncertainty(select=topk, candidates=2)": lambda: uncertainty(2),
    "adversarial_autoaugment(policies=3)": lambda: float(np.mean([losses(v).mean() for v in V[:3]])),
}
# A mix draws its weights; its formula, with the draws put in, is the test below.
DRAWN = {"manifold_mixup"}


def given(view: int = 0, pipeline: int = 0, stream: str = "train") -> augury.Batch:
    number = max(view, pipeline) if stream == "train" else view
    images = torch.from_numpy(views_of(stream)[number])
    labels = None if stream != "train" else augury.Targets.of(torch.from_numpy(LABELS), CLASSES)
    groups = torch.from_numpy(SUBGROUPS) if stream == "train" else None
    return augury.Batch(images, labels, torch.arange(len(images)), groups=groups)


def as_view(view: int = 0, pipeline: int = 0, stream: str = "train") -> augury.Batch:
    """Views numbered by `view` alone: a pipeline is another augmentation of the same draw."""
    return given(view, 0, stream)


def steps_of(text: str) -> list[augury.Step]:
    """The steps of every turn, without updates in between."""
    strategy = augury.strategy(text)
    model: nn.Module = Necked() if text.startswith("reid") else Fixed()
    if strategy.networks > 1:
        model = nn.ModuleList(Fixed(factor) for factor in FACTORS[: strategy.networks])
    strategy.begin(GROUPS)
    strategy.modules(model)
    views = as_view if text.startswith(("stability", "uncertainty", "uda")) else given
    return [strategy(model, views, turn=turn) for turn in range(strategy.turns)]


def step_of(text: str) -> augury.Step:
    return steps_of(text)[-1]


def loss_of(text: str) -> float:
    return float(torch.stack([step.loss.double() for step in steps_of(text)]).sum().detach())


def test_every_strategy_has_its_formula_here() -> None:
    assert {text.partition("(")[0] for text in FORMS} | DRAWN == set(registry.names("strategy"))


@pytest.mark.parametrize("text", FORMS)
def test_the_loss_is_its_closed_form(text: str) -> None:
    assert loss_of(text) == pytest.approx(FORMS[text](), rel=5e-6)


@pytest.mark.parametrize("text", FORMS)
def test_a_step_tells_each_images_loss_and_keeps_no_graph(text: str) -> None:
    """Catches a graph that is kept for an epoch, and losses of other rows than those trained on."""
    step = step_of(text)
    assert step.per_sample is not None and not step.per_sample.requires_grad
    assert all(value.ndim == 0 and not value.requires_grad for value in step.logs.values())
    name = text.partition("(")[0]
    if name == "uncertainty":
        assert step.per_sample.mean().item() == pytest.approx(FORMS[text](), rel=5e-6)
        return
    views = [losses(v, smoothing=0.2 if "smoothing=0.2" in text else 0.1 if text == "reid(centre=0)" else 0.0) for v in V]
    factors = FACTORS[: augury.strategy(text).networks]
    expected = {
        "ait": np.mean(views[:2], 0), "adversarial_autoaugment": np.mean(views[:3], 0),
        "multi_ait": np.mean([losses(v * k) for v, k in zip(V, factors, strict=False)], 0),
        "dml": losses(V[0] * factors[-1]) if "alternating" in text else np.mean([losses(V[0] * k) for k in factors], 0),
    }.get(name, views[0])  # fmt: skip
    np.testing.assert_allclose(step.per_sample.double().numpy(), expected, rtol=5e-6)


PARTS = {
    "ait": {"classification", "consistency"}, "multi_ait": {"classification", "consistency"},
    "dml": {"classification", "consistency"}, "augmix_jsd": {"classification", "consistency"},
    "uda": {"classification", "consistency", "confident"}, "stability": {"classification", "smoothness"},
    "group_dro": {"worst_group_loss"}, "clamp": {"worst_group_loss", "consistency"}, "reid": {"identity", "triplet"},
    "uncertainty": {"candidate_loss", "kept_loss"}, "adversarial_autoaugment": {"hardest_policy", "easiest_policy"}, "erm": set(),
}  # fmt: skip


@pytest.mark.parametrize("text", FORMS)
def test_the_logs_of_a_step_are_the_parts_of_its_loss(text: str) -> None:
    logs = {name: value.item() for name, value in step_of(text).logs.items()}
    name, _, options = text.partition("(")
    assert set(logs) == PARTS[name] | ({"centre"} if "centre=0.1" in text else set())
    weight = float(found.group(1)) if (found := re.search(r"weight=([\d.]+)", options)) else 1.0
    if "classification" in logs:
        whole = logs["classification"] + weight * logs.get("consistency", logs.get("smoothness", 0.0))
        parts = FORMS[text]() if "alternating" not in text else step_of(text).loss.item()
        assert whole == pytest.approx(parts, rel=5e-6)
    elif name == "reid":
        triplet, centre = (2, 0.1) if "triplet=2" in text else (1, 0)
        assert logs["identity"] + triplet * logs["triplet"] + centre * logs.get("centre", 0) == pytest.approx(FORMS[text]())
    elif name in ("group_dro", "clamp"):
        assert logs["worst_group_loss"] == pytest.approx(group_means(losses(V[0])).max())
    elif name == "uncertainty":
        every = [losses(v).mean() for v in V[: 2 if "candidates=2" in text else 4]]
        assert logs["candidate_loss"] == pytest.approx(np.mean(every)) and logs["kept_loss"] == pytest.approx(FORMS[text]())
    elif name == "adversarial_autoaugment":
        every = [losses(v).mean() for v in V[:3]]
        assert (logs["hardest_policy"], logs["easiest_policy"]) == (pytest.approx(max(every)), pytest.approx(min(every)))
    if "confident" in logs:
        limit = 0.6 if "confidence=0.6" in text else 0.0
        assert logs["confident"] == pytest.approx(np.mean(np.exp(log_softmax(U[0], 1)).max(1) > limit))


@pytest.mark.parametrize("name", ["uda", "stability"])
def test_without_a_weight_only_labelled_images_are_read(name: str) -> None:
    strategy, asked = augury.strategy(name, weight=0), []

    def noted(view: int = 0, pipeline: int = 0, stream: str = "train") -> augury.Batch:
        asked.append((view, pipeline, stream))
        return as_view(view, pipeline, stream)

    step = strategy(Fixed(), noted)
    assert step.loss.item() == pytest.approx(losses(V[0]).mean(), rel=5e-6) and step.logs == {}
    assert step.per_sample is not None and not step.per_sample.requires_grad
    np.testing.assert_allclose(step.per_sample.double().numpy(), losses(V[0]), rtol=5e-6)
    assert asked == [(each.view, each.pipeline, each.stream) for each in strategy.seen] and len(asked) == 1


def settings_of(card: str) -> str:
    """The defaults that a card names, as options: `weight=1, mode=paper`."""
    named = re.findall(r"^- `(\w+)`: default ([^;.]+(?:\.\d+)?)[;.]", card, re.MULTILINE)
    return ", ".join(f"{name}={value}" for name, value in named if value != "none")


def declared(strategy: augury.Strategy) -> dict[str, str]:
    """What a strategy holds that tells it from others, in words."""
    return {key: re.sub(r" at 0x\w+", "", repr(value)) for key, value in vars(strategy).items()}


@pytest.mark.parametrize("name", registry.names("strategy"))
def test_without_options_a_strategy_has_the_settings_of_its_card(name: str) -> None:
    settings = settings_of((CARDS / f"{name}.md").read_text(encoding="utf-8"))
    assert "=" in settings
    text = f"{name}({settings})"
    assert declared(augury.strategy(name)) == declared(augury.strategy(text))
    if name not in DRAWN:
        assert loss_of(name) == loss_of(text)


@pytest.mark.parametrize("text", ["manifold_mixup(alpha=0.7)", "manifold_mixup(alpha=2, batch_wide=true)"])
def test_manifold_mixup_is_the_mixed_loss_of_mixed_images(text: str) -> None:
    """With the draws put in: images and both cross-entropies weigh as the Beta law's quantiles say."""
    strategy = augury.strategy(f"{text[:-1]}, layers=[0])")
    strategy.modules(Fixed())
    noise = augury.Noise.of(3, torch.arange(ROWS), epoch=1)
    batch = given().replace(key=noise.key)
    found = strategy(Fixed(), lambda *_: batch, program=strategy.program(Clock(seed=3)))
    own = noise.fold("manifold_mixup")
    partner, u = own.fold("partner").partners().numpy(), own.uniform(1)[:, 0].double().numpy()
    if "batch_wide" in text:
        u = np.full(ROWS, u[int(own.key.argmin())])
    alpha = 0.7 if "0.7" in text else 2.0
    weight = beta.ppf(u, alpha, alpha)
    logits = V[0] * weight[:, None] + V[0][partner] * (1 - weight[:, None])
    expected = weight * losses(logits) + (1 - weight) * losses(logits, LABELS[partner])
    assert float(found.loss.detach()) == pytest.approx(expected.mean(), rel=1e-3), "the Beta law's quantiles come from a table"


@pytest.mark.parametrize("name", [name for name in registry.names("op") if op(name).mixes_labels])
def test_mixed_labels_weigh_what_is_seen_of_each_image(name: str) -> None:
    """On images of one grey level each, pixels tell the weights; the loss is both cross-entropies weighed alike."""
    count, side = 12, 32
    levels = 20.0 * np.arange(count)
    images = torch.from_numpy(levels.astype(np.uint8))[:, None, None, None].expand(count, 1, side, side).contiguous()
    given_ = augury.Batch(images, augury.Targets.of(torch.arange(count), count), torch.arange(count))
    batch, _ = augury.pipeline(name).run(given_, augury.Noise.of(7, torch.arange(count), epoch=0))
    assert batch.targets is not None
    mean = batch.images.double().numpy().mean((1, 2, 3))
    first, second, weight = (part.numpy() for part in batch.targets.pair())
    mixed = first != second
    assert mixed.sum() >= count / 2 and (first == np.arange(count)).all()
    seen = (mean - levels[second])[mixed] / (levels[first] - levels[second])[mixed]
    # A mixed pixel is rounded to a grey level, of at least 20 that lie between the two images.
    np.testing.assert_allclose(weight[mixed], seen, atol=0.051)
    logits = np.random.default_rng(0).normal(0, 2, (count, count))
    expected = weight * losses(logits, first) + (1 - weight) * losses(logits, second)
    np.testing.assert_allclose(batch.targets.loss(torch.from_numpy(logits)).numpy(), expected, rtol=5e-6)
