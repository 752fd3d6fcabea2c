"""When consistently labelled points still hurt: minimum-norm interpolation, and X-regularisation as the remedy."""

from typing import Annotated, Any

import torch
from torch import Tensor

from augury.core.options import Interval
from augury.core.registry import register
from augury.explain.measurements.measurement import Table, TableRow
from augury.explain.theory.claim import Checked, Claim, Pictures, pixels
from augury.explain.theory.versions import transformed

_SOURCE = "Xie et al. 2019; Raghunathan et al. 2020, sections 3 and 4"
_SIDE = 16
_IMAGES, _UNLABELLED = 40, 200


@register(
    "theory", "minimum_norm",
    source="Xie et al. 2019 (X-regularization); Raghunathan et al. 2020, Understanding and Mitigating the Tradeoff Between "
    "Robustness and Accuracy, arXiv:2002.10716, sections 3 and 4",
)  # fmt: skip
def minimum_norm(
    pictures: Pictures, *, problems: Annotated[int, Interval(5, 1000)] = 100, seed: Annotated[int, Interval(0)] = 0
) -> Checked:
    """Linear regression without noise: rotated images with consistent labels can raise the error; X-regularisation cannot.

    A problem draws 40 images, rotates ten of them by 15 degrees, and draws the true weights. The estimator is the interpolant of
    smallest norm. Its error is measured under the second moments of all images of the data, and under the identity.
    """
    every = pixels(pictures.train.images, _SIDE)
    centre = every.mean(0)
    rotated = pixels(transformed(pictures.train.images, "rotation")[-1], _SIDE) - centre
    every = every - centre
    found = [_problem(every, rotated, seed + k) for k in range(problems)]
    hurting = sum(f["data"]["standard"] < f["data"]["augmented"] for f in found)
    return Checked(
        f"{problems} problems (seeds {seed} to {seed + problems - 1}) of {_IMAGES} images of {pictures.name}, {_SIDE} x {_SIDE} "
        f"pixels, and 10 of them rotated; the true weights are random. The rotated images raise the error on {hurting}.",
        (_hurt_claim(found), _isotropic_claim(found), _regularised_claim(found)),
        (_table(found),),
    )  # fmt: skip


def interpolate(inputs: Tensor, beta: Tensor) -> Tensor:
    """float64 [p]: the weights of smallest norm that predict X beta on the rows of X, i.e. beta's projection onto their span."""
    _, values, right = torch.linalg.svd(inputs, full_matrices=False)
    basis = right[values > values.max() * 1e-10]
    return basis.T @ (basis @ beta)


def error_of(estimate: Tensor, beta: Tensor, moments: Tensor) -> float:
    """(b - beta)^T S (b - beta): the mean squared error of predictions on inputs with second moments S [p,p]."""
    gap = estimate - beta
    return (gap @ moments @ gap).item()


def change(standard: Tensor, augmented: Tensor, beta: Tensor, moments: Tensor) -> float:
    """The change of the error by the added points: -(w^T S w + 2 w^T S v).

    w is the part of beta that the added points reveal, v the part still missing. The points hurt if 2 w^T S v < -w^T S w, which
    requires S to couple the two: for S = I they are orthogonal and the change is -|w|^2.
    """
    taught, missing = augmented - standard, beta - augmented
    return -(taught @ moments @ taught + 2 * taught @ moments @ missing).item()


def x_regularised(inputs: Tensor, standard: Tensor, augmented: Tensor, moments: Tensor) -> Tensor:
    """The weights that fit all of X [n,p] and whose predictions, under the moments S, are closest to those of `standard`.

    Minimises (b - standard)^T S (b - standard) over interpolating b, in closed form over the null space of X; if S is
    singular, with the step of smallest norm.
    """
    _, values, right = torch.linalg.svd(inputs, full_matrices=True)
    null = right[int((values > values.max() * 1e-10).sum()) :].T
    step = torch.linalg.lstsq(null.T @ moments @ null, null.T @ (moments @ (augmented - standard)), driver="gelsd").solution
    return augmented - null @ step


def _problem(every: Tensor, rotated: Tensor, seed: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(every), generator=generator)
    own, unlabelled = rows[:_IMAGES], rows[: _IMAGES + _UNLABELLED]
    beta = torch.randn(every.shape[1], generator=generator, dtype=torch.float64)
    beta = beta / beta.norm()
    inputs = every[own]
    both = torch.cat([inputs, rotated[own[:10]]])
    standard, augmented = interpolate(inputs, beta), interpolate(both, beta)
    moments = {"data": every.T @ every / len(every), "identity": torch.eye(len(beta), dtype=torch.float64)}
    sample = every[unlabelled].T @ every[unlabelled] / len(unlabelled)
    found: dict[str, Any] = {}
    for name, moment in moments.items():
        found[name] = {
            "standard": error_of(standard, beta, moment), "augmented": error_of(augmented, beta, moment),
            "change": change(standard, augmented, beta, moment),
        }  # fmt: skip
    regularised = x_regularised(both, standard, augmented, moments["data"])
    found["data"]["regularised"] = error_of(regularised, beta, moments["data"])
    few = x_regularised(both, standard, augmented, sample)
    found["data"]["regularised_few"] = error_of(few, beta, moments["data"])
    found["fit"] = (both @ (regularised - beta)).abs().max().item()
    return found


def _hurt_claim(found: list[dict[str, Any]]) -> Claim:
    each = [f["data"] for f in found]
    worst = max(abs(e["augmented"] - e["standard"] - e["change"]) / e["standard"] for e in each)
    hurting = sum(e["augmented"] > e["standard"] for e in each)
    return Claim(
        "Points that the true function fits can raise the error of the minimum-norm estimator: exactly if 2 w^T S v < -w^T S w.",
        _SOURCE,
        "The change of the error equals the closed form within 1e-9 of the error, and it is an increase on some problems.",
        f"Largest difference {worst:.1e}; an increase on {hurting} of {len(each)} problems, by at most "
        f"{100 * max(e['augmented'] / e['standard'] - 1 for e in each):.1f} %.",
        worst <= 1e-9 and hurting > 0, {"difference": worst, "rises": hurting, "problems": each},
    )  # fmt: skip


def _isotropic_claim(found: list[dict[str, Any]]) -> Claim:
    each = [f["identity"] for f in found]
    worst = max(e["augmented"] - e["standard"] for e in each)
    return Claim(
        "If all directions count alike (S = I), consistent points never hurt the minimum-norm estimator.", _SOURCE,
        "No problem's error rises by more than 1e-12.", f"Largest change {worst:+.1e} over {len(each)} problems.", worst <= 1e-12,
        {"largest_change": worst},
    )  # fmt: skip


def _regularised_claim(found: list[dict[str, Any]]) -> Claim:
    each = [f["data"] for f in found]
    worst = max(e["regularised"] / e["standard"] - 1 for e in each)
    fit = max(f["fit"] for f in found)
    few = sum(e["regularised_few"] > e["standard"] * (1 + 1e-9) for e in each)
    return Claim(
        "X-regularisation towards the predictions of the un-augmented estimator fits all points and never raises the error.",
        _SOURCE,
        "With the second moments of all images no problem's error rises by more than 1e-8 of it, and all points are fitted within "
        "1e-8.",
        f"Largest rise {worst:+.1e}, worst fit {fit:.1e}; with the moments of {_IMAGES + _UNLABELLED} images the error rises on "
        f"{few} of {len(each)}.",
        worst <= 1e-8 and fit <= 1e-8, {"largest_rise": worst, "fit": fit, "rises_with_few": few},
    )  # fmt: skip


def _table(found: list[dict[str, Any]]) -> Table:
    each = [f["data"] for f in found]
    names = {
        "images alone": "standard",
        "with rotated images": "augmented",
        "X-regularised": "regularised",
        f"X-regularised, moments of {_IMAGES + _UNLABELLED} images": "regularised_few",
    }
    rows: list[TableRow] = [
        (
            name,
            f"{sum(e[key] for e in each) / len(each):.4f}",
            f"{sum(e[key] > e['standard'] * (1 + 1e-9) for e in each)}",
        )
        for name, key in names.items()
    ]
    return Table(
        "Error of the minimum-norm estimator", ("estimator", "mean squared error", "problems on which it is higher"), tuple(rows),
        f"n = {len(each)} problems; true weights of norm 1.",
    )  # fmt: skip
