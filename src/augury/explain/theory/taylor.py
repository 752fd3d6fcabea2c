"""The second-order expansion of the augmented loss, and its effect on the weights of major and minor features."""

import functools
import math
from typing import Annotated, Any

import torch
from torch import Tensor

from augury.core.noise import Noise
from augury.core.options import Interval
from augury.core.registry import register
from augury.explain.measurements.measurement import Figure, Table, TableRow
from augury.explain.report.diagrams import Point, line_panel, side_by_side
from augury.explain.theory.claim import Checked, Claim, Pictures, pixels
from augury.explain.theory.expansion import (
    exact,
    first_order,
    fit,
    remainder_bound,
    second_order,
    softmax_hessian,
    variance_term,
)  # fmt: skip
from augury.explain.theory.versions import FAMILIES, information, versions

_SOURCE = "He et al. 2019, section 3.3, equation 7"
_SCALES = tuple(2.0**-k for k in range(7))
_DEVIATIONS = (0.0, 0.125, 0.25, 0.5, 1.0)
_SLOPE = 0.1
_SIDE = 16


@register("theory", "expansion", source="He et al. 2019, Data Augmentation Revisited, arXiv:1909.09148, section 3.3, equation 7")
def expansion(
    pictures: Pictures,
    *,
    images: Annotated[int, Interval(50, 2000)] = 400,
    decay: Annotated[float, Interval(1e-6, 1)] = 1e-3,
    seed: Annotated[int, Interval(0)] = 0,
) -> Checked:
    """The softmax Hessian, the error of the second-order expansion, and weights on major and minor features.

    A softmax classifier of pixels (16 x 16) is fitted to `images` training images; its loss on augmented images is compared
    with the expansion, at full size and with the augmented features shrunk towards their mean. Then normal noise of growing
    standard deviation is added to the minor pixels, those below the median information gain, and the classifier is refitted.
    """
    few = pictures.some(images, 10, seed)
    inputs, labels = _with_one(pixels(few.train.images, _SIDE)), few.train.labels
    shape = inputs.shape[1], few.classes
    weights = fit(lambda w: first_order(w, inputs[:, None], labels).mean(), shape, decay)
    families = {name: _with_one(versions(few.train.images, name, _SIDE)) for name in FAMILIES}
    shrinking = {name: _shrinking(weights, features, labels) for name, features in families.items()}
    bounds = {name: _bound(weights, features, labels) for name, features in families.items()}
    shaken = _shaken(inputs, labels, shape, decay, seed)
    rows: list[TableRow] = [
        (name, f"{b['first']:.2e}", f"{b['second']:.2e}", f"{b['bound']:.2e}", s["first"]["slope"], s["second"]["slope"])
        for (name, b), s in zip(bounds.items(), shrinking.values(), strict=True)
    ]
    columns = ("augmentation", "error, first order", "second order", "bound", "power, first order", "second order")
    caption = f"Mean absolute errors over {len(labels)} images of {few.name}, in nats, at full size; powers from shrinking."
    shift = _shift(weights, families["rotation"], seed)
    return Checked(
        f"A softmax classifier of the pixels of {len(labels)} images of {few.name} (seed {seed}, double precision), and "
        f"{len(FAMILIES)} augmentations of 1 to 16 transformations in addition to the original.",
        (_hessian_claim(inputs[:50] @ weights, labels), _cubic_claim(shrinking), _bound_claim(bounds), _minor_claim(shaken),
         _shift_claim(shift)),
        (Table("The expansion on real augmentations", columns, tuple(rows), caption),),
        (_error_figure(shrinking), _minor_figure(shaken)),
    )  # fmt: skip


def _with_one(inputs: Tensor) -> Tensor:
    """Appends a feature that is always 1."""
    return torch.cat([inputs, torch.ones_like(inputs[..., :1])], -1)


def _hessian_claim(logits: Tensor, labels: Tensor) -> Claim:
    hessian = softmax_hessian(logits)
    least = torch.linalg.eigvalsh(hessian).min().item()
    classes = logits.shape[1]
    worst = 0.0
    for row in range(0, len(logits), 10):
        for label in range(classes):
            target = torch.tensor([label])
            loss = functools.partial(_loss, target)
            found = torch.autograd.functional.hessian(loss, logits[row])
            worst = max(worst, (found - hessian[row]).abs().max().item())
    return Claim(
        "For cross-entropy with softmax the Hessian is positive semidefinite and does not depend on the label.", _SOURCE,
        "Least eigenvalue at least -1e-12; the difference between diag(p) - p p^T and automatic differentiation at most 1e-10 "
        "for every label.",
        f"Least eigenvalue {least:.1e} over {len(logits)} images; largest difference {worst:.1e} over {classes} labels.",
        least >= -1e-12 and worst <= 1e-10, {"least_eigenvalue": least, "largest_difference": worst},
    )  # fmt: skip


def _loss(target: Tensor, logits: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits[None], target)


def _shrinking(weights: Tensor, features: Tensor, labels: Tensor) -> dict[str, Any]:
    """Mean absolute errors with the augmented features shrunk towards their mean, and the power at small scales."""
    middle = features.mean(1, keepdim=True)
    found: dict[str, list[float]] = {"first": [], "second": []}
    for scale in _SCALES:
        near = middle + scale * (features - middle)
        truth = exact(weights, near, labels)
        found["first"].append((truth - first_order(weights, near, labels)).abs().mean().item())
        found["second"].append((truth - second_order(weights, near, labels)).abs().mean().item())
    return {
        key: {"errors": errors, "slope": _power(errors)}
        for key, errors in found.items()
    }  # fmt: skip


def _power(errors: list[float]) -> float:
    return math.log(max(errors[-3], 1e-300) / max(errors[-1], 1e-300)) / math.log(_SCALES[-3] / _SCALES[-1])


def _cubic_claim(shrinking: dict[str, Any]) -> Claim:
    first = {name: float(s["first"]["slope"]) for name, s in shrinking.items()}
    second = {name: float(s["second"]["slope"]) for name, s in shrinking.items()}
    holds = all(abs(s - 2) <= _SLOPE for s in first.values()) and all(s >= 3 - _SLOPE for s in second.values())
    return Claim(
        "The expansion to second order errs by the third power of the augmentation's size.", _SOURCE,
        f"As augmented features shrink towards their mean, the error of feature averaging alone falls with the power 2 within "
        f"{_SLOPE}, that of the second order with a power of at least 3 - {_SLOPE} (4 if the third moments cancel).",
        "; ".join(f"{name} {first[name]:.2f} and {second[name]:.2f}" for name in first) + ".",
        holds, {"first": first, "second": second, "errors": shrinking, "scales": list(_SCALES)},
    )  # fmt: skip


def _bound(weights: Tensor, features: Tensor, labels: Tensor) -> dict[str, float]:
    truth, second = exact(weights, features, labels), second_order(weights, features, labels)
    first, bound = first_order(weights, features, labels), remainder_bound(weights, features)
    over = ((truth - second).abs() > bound * (1 + 1e-9) + 1e-12).sum().item() + (truth - first < -1e-12).sum().item()
    return {"first": (truth - first).abs().mean().item(), "second": (truth - second).abs().mean().item(),
            "bound": bound.mean().item(), "violations": float(over)}  # fmt: skip


def _bound_claim(bounds: dict[str, dict[str, float]]) -> Claim:
    over = sum(int(b["violations"]) for b in bounds.values())
    return Claim(
        "Feature averaging never exceeds the augmented loss (Jensen), and the rest beyond the second order is bounded.", _SOURCE,
        "For every image and augmentation at full size, the gap to feature averaging is at least 0 and the error of the second "
        "order at most the mean of r^3 / (36 sqrt 3), r the range of the logits' displacement: our bound, from the largest third "
        "central moment of a bounded variable.",
        f"{over} violations; mean errors of the second order " + ", ".join(f"{n} {b['second']:.1e}" for n, b in bounds.items())
        + f"; at most {100 * max(b['second'] / b['bound'] for b in bounds.values() if b['bound'] > 0):.0f} % of the mean bound.",
        over == 0, {"augmentations": bounds},
    )  # fmt: skip


def _shaken(inputs: Tensor, labels: Tensor, shape: tuple[int, int], decay: float, seed: int) -> list[dict[str, float]]:
    """Weights after fitting the second-order objective. Normal noise of variance v on the minor pixels adds v to each one's
    variance, so the variance term is known without drawing."""
    gains = information(inputs[:, :-1], labels)
    minor = gains < gains.median()
    found = []
    start = None
    for deviation in _DEVIATIONS:

        def objective(w: Tensor, variance: float = deviation**2) -> Tensor:
            logits = inputs @ w
            p = logits.softmax(1)
            rows = w[:-1][minor]
            shared = (p @ rows.T).square().sum(1)
            term = variance / 2 * (p @ rows.square().sum(0) - shared)
            return torch.nn.functional.cross_entropy(logits, labels) + term.mean()

        start = weights = fit(objective, shape, decay, start=start)
        centred = weights[:-1] - weights[:-1].mean(1, keepdim=True)
        drawn = _drawn(weights, inputs, labels, minor, deviation, seed)
        found.append(
            {
                "deviation": deviation, "minor": centred[minor].norm().item(), "major": centred[~minor].norm().item(),
                "objective": objective(weights).item(), "drawn": drawn,
            }
        )  # fmt: skip
    return found


def _drawn(weights: Tensor, inputs: Tensor, labels: Tensor, minor: Tensor, deviation: float, seed: int, times: int = 40) -> float:
    """The augmented loss, averaged over `times` draws per image."""
    generator, total = torch.Generator().manual_seed(seed), 0.0
    for _ in range(times):
        moved = inputs.clone()
        noise = torch.randn(len(inputs), int(minor.sum()), generator=generator, dtype=torch.float64)
        moved[:, : len(minor)][:, minor] += deviation * noise
        total += torch.nn.functional.cross_entropy(moved @ weights, labels).item()
    return total / times


def _minor_claim(shaken: list[dict[str, float]]) -> Claim:
    first, last = shaken[0], shaken[-1]
    falls = all(b["minor"] < a["minor"] for a, b in zip(shaken, shaken[1:], strict=False))
    kept, left = last["major"] / first["major"], last["minor"] / first["minor"]
    return Claim(
        "If a feature varies strongly under augmentation, the loss drives its weights to zero: for minor features, not major ones.",
        _SOURCE,
        "The norm of the minor pixels' weights (minus their mean over classes) falls with every step of the deviation and ends "
        "below a quarter of its initial value; that of the major pixels stays above half.",
        f"Minor {first['minor']:.2f} to {last['minor']:.3f} ({100 * left:.0f} %), major {first['major']:.2f} to "
        f"{last['major']:.2f} ({100 * kept:.0f} %) from deviation 0 to {last['deviation']:g}.",
        falls and left < 0.25 and kept > 0.5, {"steps": shaken},
    )  # fmt: skip


def _shift(weights: Tensor, features: Tensor, seed: int) -> float:
    """The relative change of the variance term if the same vector is added to the weights of all classes."""
    size = features.shape[-1]
    shift = 10 * (2 * Noise.of(seed, torch.arange(size)).fold("shift").uniform(1).double() - 1)
    before = variance_term(weights, features)
    return ((variance_term(weights + shift, features) - before).abs().max() / before.max().clamp(min=1e-300)).item()


def _shift_claim(shift: float) -> Claim:
    return Claim(
        "The augmented loss directly drives w_{i,d} -> 0 for minor features; the clean loss only requires w_{i,d} = w_{j,d}.",
        _SOURCE,
        "Adding one vector to the weights of all classes changes the second-order term by more than 1e-6 of it.",
        f"By {shift:.1e} of it: since H 1 = 0, the term depends only on differences between classes. That the weights themselves "
        "vanish is due to weight decay, so both losses have the same effect, one of them more strongly.",
        shift > 1e-6, {"relative_change": shift},
    )  # fmt: skip


def _error_figure(shrinking: dict[str, Any]) -> Figure:
    panels = []
    for key, title in (("first", "Feature averaging alone"), ("second", "With the variance term")):
        lines: dict[str, list[Point]] = {}
        for name, found in shrinking.items():
            errors: list[float] = found[key]["errors"]
            lines[name] = [(scale, e, e, e) for scale, e in zip(_SCALES, errors, strict=True)]
        panels.append(line_panel(title, lines, ("size of the augmentation", "error, nats"), log="xy"))
    caption = "Mean absolute difference from the augmented loss as augmented features shrink towards their mean (1: full size)."
    return Figure("The error of the expansion", side_by_side(panels, list(shrinking)), caption)


def _minor_figure(shaken: list[dict[str, float]]) -> Figure:
    def line(key: str) -> list[Point]:
        return [(s["deviation"], s[key], s[key], s[key]) for s in shaken]

    norms, losses = {"major": line("major"), "minor": line("minor")}, {"drawn": line("drawn"), "expanded": line("objective")}
    panels = [
        side_by_side([line_panel("Norm of the weights", norms, ("deviation of the noise", "norm"))], list(norms)),
        side_by_side([line_panel("Augmented loss", losses, ("deviation of the noise", "nats"))], list(losses)),
    ]
    caption = (
        "Normal noise is added to pixels below the median information gain (minor). First the norm of the weights, minus their "
        "mean over classes; then the loss over 40 draws and its expansion to second order, at the same weights."
    )
    return Figure("Major and minor features", "".join(panels), caption)
