"""Augmentation as averaging over a group: its effect on variance and estimators, with and without an invariant distribution."""

from typing import Annotated, Any

import torch
from torch import Tensor

from augury.core.options import Interval
from augury.core.registry import register
from augury.explain.measurements.measurement import Table, TableRow
from augury.explain.theory.claim import Checked, Claim, Pictures, pixels

_SOURCE = "Chen et al. 2019, sections 3 to 5"
_SIDE, _PENALTY, _NOISE = 12, 1.0, 0.5
_SAMPLES = 150


@register(
    "theory", "group_invariance",
    source="Chen et al. 2019, A Group-Theoretic Framework for Data Augmentation, arXiv:1907.10905, sections 3 to 5",
)  # fmt: skip
def group_invariance(
    pictures: Pictures,
    *,
    images: Annotated[int, Interval(50, 2000)] = 300,
    repeats: Annotated[int, Interval(10, 500)] = 40,
    seed: Annotated[int, Interval(0)] = 0,
) -> Checked:
    """Averages over the eight symmetries of the square: less variance if the distribution is invariant, bias if it is not.

    The eight rotations and reflections act on 12 x 12 pixels without rounding. Applying all of them to `images` images gives an
    exactly invariant distribution; the images alone have one that is not. Regressions are repeated on `repeats` samples.
    """
    few = pictures.some(images, 1000, seed)
    grids = pixels(few.train.images, _SIDE).view(-1, _SIDE, _SIDE)
    orbits = symmetries(grids).flatten(2)
    averaged = _averages(orbits, seed)
    fixed = _fixed(orbits, seed)
    risks = _risks(orbits, repeats, seed)
    parts = _bias_and_variance(few, repeats, seed)
    return Checked(
        f"{len(grids)} images of {pictures.name}, {_SIDE} x {_SIDE} pixels, and the eight symmetries of the square. Regressions on "
        f"{_SAMPLES} images each, {repeats} samples from seed {seed}.",
        (_variance_claim(averaged), _fixed_claim(fixed), _risk_claim(risks), _bias_claim(parts)),
        (_table(parts),),
    )


def symmetries(grids: Tensor) -> Tensor:
    """[N,S,S] to [N,8,S,S]: every image under the symmetries of the square, starting with the image itself."""
    turned = [grids.rot90(k, (1, 2)) for k in range(4)]
    return torch.stack([*turned, *(each.flip(2) for each in turned)], 1)


def ridge_on(orbits: Tensor, labels: Tensor, penalty: float = _PENALTY) -> Tensor:
    """float64 [p,k]: ridge regression on all versions [n,g,p] of images with labels [n,k], each version with weight 1 / g."""
    rows = orbits.flatten(0, 1)
    gram = rows.T @ rows / orbits.shape[1] + penalty * torch.eye(rows.shape[1], dtype=rows.dtype)
    return torch.linalg.solve(gram, orbits.mean(1).T @ labels)


def _averages(orbits: Tensor, seed: int) -> dict[str, float]:
    """Compares a gradient of the logistic loss with its orbit averages: mean and covariance under the invariant distribution."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(orbits.shape[2], generator=generator, dtype=torch.float64)
    values = torch.sigmoid(orbits @ weights)[..., None] * orbits
    plain = values.flatten(0, 1)
    means = values.mean(1)
    within = (values - means[:, None]).flatten(0, 1)
    gap = _covariance(plain) - _covariance(means) - within.T @ within / len(within)
    return {
        "mean": (plain.mean(0) - means.mean(0)).abs().max().item(), "identity": gap.abs().max().item(),
        "share": (_covariance(means).trace() / _covariance(plain).trace()).item(),
        "least": torch.linalg.eigvalsh(_covariance(plain) - _covariance(means)).min().item(),
    }  # fmt: skip


def _covariance(rows: Tensor) -> Tensor:
    centred = rows - rows.mean(0)
    return centred.T @ centred / len(rows)


def _variance_claim(found: dict[str, float]) -> Claim:
    return Claim(
        "Averaging over the group keeps the mean and lowers the covariance by the mean covariance within orbits, whatever is "
        "averaged.", _SOURCE,
        "On the invariant law both equalities hold within 1e-10, and no direction gains variance (eigenvalues at least -1e-10).",
        f"Means differ by {found['mean']:.1e}, covariances by {found['identity']:.1e}; {100 * found['share']:.0f} % of the "
        "variance remains.",
        found["mean"] <= 1e-10 and found["identity"] <= 1e-10 and found["least"] >= -1e-10, found,
    )  # fmt: skip


def _fixed(orbits: Tensor, seed: int) -> dict[str, float]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randn(len(orbits), 3, generator=generator, dtype=torch.float64)
    whole, alone = ridge_on(orbits, labels), ridge_on(orbits[:, :1], labels)
    return {"augmented": _movement(whole), "plain": _movement(alone)}


def _movement(weights: Tensor) -> float:
    """How far the symmetries move regression weights [p,k], relative to their size."""
    grids = weights.T.reshape(-1, _SIDE, _SIDE)
    return ((symmetries(grids) - grids[:, None]).norm() / (8**0.5 * grids.norm())).item()


def _fixed_claim(found: dict[str, float]) -> Claim:
    return Claim(
        "Trained on whole orbits, an estimator is invariant itself.", _SOURCE,
        "The symmetries change the ridge weights fitted to all versions by at most 1e-10 of their size, and those fitted to the "
        "images alone by more.",
        f"{found['augmented']:.1e} and {found['plain']:.2f}.", found["augmented"] <= 1e-10 < found["plain"], found,
    )  # fmt: skip


def _risks(orbits: Tensor, repeats: int, seed: int) -> dict[str, Any]:
    """Each sample's prediction error for invariant true weights, computed exactly under the invariant distribution."""
    flat = orbits.flatten(0, 1)
    moments = flat.T @ flat / len(flat)
    beta = symmetries(torch.randn(1, _SIDE, _SIDE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
    truth = beta.mean(1).flatten()[:, None]
    found: dict[str, Any] = {"plain": [], "augmented": []}
    for repeat in range(repeats):
        generator = torch.Generator().manual_seed(seed + 1 + repeat)
        rows = torch.randint(len(orbits), (_SAMPLES,), generator=generator)
        turn = torch.randint(8, (_SAMPLES,), generator=generator)
        drawn = symmetries(orbits[rows, turn].view(-1, _SIDE, _SIDE)).flatten(2)
        labels = drawn[:, 0] @ truth + _NOISE * torch.randn(_SAMPLES, 1, generator=generator, dtype=torch.float64)
        for name, versions in (("plain", drawn[:, :1]), ("augmented", drawn)):
            gap = ridge_on(versions, labels) - truth
            found[name].append((gap.T @ moments @ gap).item())
    return found


def _risk_claim(found: dict[str, Any]) -> Claim:
    ratios = [a / p for a, p in zip(found["augmented"], found["plain"], strict=True)]
    wins = sum(r < 1 for r in ratios)
    return Claim(
        "If the law is invariant, training on orbits lowers the error of a regression.", _SOURCE,
        "The augmented estimator has the lower error on at least 95 % of the samples.",
        f"On {wins} of {len(ratios)}; on average {100 * sum(ratios) / len(ratios):.0f} % of the plain one's.",
        wins >= 0.95 * len(ratios), {**found, "ratio": sum(ratios) / len(ratios)},
    )  # fmt: skip


def _bias_and_variance(few: Pictures, repeats: int, seed: int) -> dict[str, dict[str, float]]:
    """Squared bias, variance and accuracy of ridge classifiers on the unmodified data, over samples of half the images."""
    train = symmetries(pixels(few.train.images, _SIDE).view(-1, _SIDE, _SIDE)).flatten(2)
    test = pixels(few.test.images, _SIDE)
    targets = torch.nn.functional.one_hot(few.train.labels, few.classes).double()
    truth = torch.nn.functional.one_hot(few.test.labels, few.classes).double()
    found = {}
    for name, versions in (("plain", train[:, :1]), ("augmented", train)):
        predicted = []
        for repeat in range(repeats):
            generator = torch.Generator().manual_seed(seed + repeat)
            rows = torch.randperm(len(train), generator=generator)[: len(train) // 2]
            predicted.append(test @ ridge_on(versions[rows], targets[rows]))
        every = torch.stack(predicted)
        found[name] = {
            "bias": (every.mean(0) - truth).square().sum(1).mean().item(),
            "variance": every.var(0, unbiased=False).sum(1).mean().item(),
            "accuracy": 100 * (every.argmax(2) == few.test.labels).double().mean().item(),
        }
    return found


def _bias_claim(found: dict[str, dict[str, float]]) -> Claim:
    plain, augmented = found["plain"], found["augmented"]
    return Claim(
        "If the law is not invariant, averaging trades variance for bias.", _SOURCE,
        "On the unmodified images, the variance of predictions over samples falls and their squared bias rises.",
        f"Variance {plain['variance']:.4f} to {augmented['variance']:.4f}, squared bias {plain['bias']:.4f} to "
        f"{augmented['bias']:.4f}, accuracy {plain['accuracy']:.1f} to {augmented['accuracy']:.1f} %.",
        augmented["variance"] < plain["variance"] and augmented["bias"] > plain["bias"], dict(found),
    )  # fmt: skip


def _table(found: dict[str, dict[str, float]]) -> Table:
    rows: list[TableRow] = [(name, f"{f['bias']:.4f}", f"{f['variance']:.4f}", f"{f['accuracy']:.1f}") for name, f in found.items()]
    columns = ("ridge classifier", "squared bias", "variance", "accuracy, %")
    return Table("The eight symmetries on images whose law is not invariant", columns, tuple(rows), "Mean over test images.")
