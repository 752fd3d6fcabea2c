"""The linear model: the gain from points outside the span, the effect of same-class mixing, and when compositions hurt."""

import math
from typing import Annotated, Any, get_args

import torch
from torch import Tensor

from augury.core.options import Interval
from augury.core.registry import register
from augury.explain.measurements.measurement import Figure, Table, TableRow
from augury.explain.report.diagrams import Point, line_panel, side_by_side
from augury.explain.theory.claim import Checked, Claim, Pictures, pixels
from augury.explain.theory.mlp import Mix, ensemble, instability, probabilities
from augury.explain.theory.ridge import (
    Problem,
    gain,
    label_invariant,
    off_span,
    prediction_variance,
    ridge,
    same_class_mixing,
)  # fmt: skip

_SOURCE = "Wu et al. 2020, section 3; Automating the Art of Data Augmentation, part III"
_POINTS, _DIMENSIONS, _RANK, _LAMBDA, _LENGTH = 40, 100, 20, 0.5, 0.3
_DECAYS = (1e-4, 1e-3, 1e-2, 1e-1)
_INSTABILITY = 0.9
_MIXES = 20


@register(
    "theory", "linear_model",
    source="Wu et al. 2020, On the Generalization Effects of Linear Transformations in Data Augmentation, "
    "arXiv:2005.00695, section 3",
)  # fmt: skip
def linear_model(
    pictures: Pictures,
    *,
    problems: Annotated[int, Interval(5, 1000)] = 100,
    images: Annotated[int, Interval(50, 2000)] = 500,
    networks: Annotated[int, Interval(3, 50)] = 30,
    epochs: Annotated[int, Interval(1, 1000)] = 160,
    seed: Annotated[int, Interval(0)] = 0,
) -> Checked:
    """Ridge regression with more dimensions than points: effects of label-invariant points, same-class mixes and compositions.

    Points outside the span, points inside it and compositions are tested on `problems` random problems (40 points in 20 of 100
    dimensions, penalty 40 times 0.5); same-class mixing on `images` training images, by ridge regression on their pixels in
    closed form and by `networks` networks with one hidden layer that differ in the seed, after `epochs` epochs.
    """
    few = pictures.some(images, 1000, seed)
    outside = [_added(seed + k) for k in range(problems)]
    sweep = _compositions(seed)
    variances = _variances(few, seed)
    trained = _trained(few, networks, epochs)
    table = _variance_table(variances, few)
    return Checked(
        f"Ridge regression, in closed form, on {problems} random problems of {_POINTS} points in {_RANK} of {_DIMENSIONS} "
        f"dimensions (seeds {seed} to {seed + problems - 1}); same-class mixing on {len(few.train.labels)} images of "
        f"{few.name}, where {networks} networks of 64 hidden units reach {trained['accuracy_none']:.1f} % without mixes, "
        f"{trained['accuracy_add']:.1f} % with mixes added and {trained['accuracy_replace']:.1f} % with mixes alone on "
        f"{len(few.test.labels)} test images after {epochs} epochs.",
        (_outside_claim(outside), _inside_claim(outside), _moment_claim(variances), _variance_claim(variances),
         _network_claim(trained),
         _composition_claim(sweep)),
        (table,),
        (_figure(outside, sweep),),
    )  # fmt: skip


def _added(seed: int) -> dict[str, float]:
    """How the error changes if the part of F x outside, or inside, the span is added with its consistent label."""
    generator = torch.Generator().manual_seed(seed)
    problem = Problem.draw(_POINTS, _DIMENSIONS, _RANK, generator)
    inputs, beta, penalty = problem.inputs, problem.beta, _LAMBDA * _POINTS
    off = off_span(inputs)
    moved = label_invariant(inputs[0], off, beta, generator, _LENGTH)
    labels = inputs @ beta
    before = ridge(inputs, labels, penalty)

    def after(point: Tensor) -> Tensor:
        return ridge(torch.cat([inputs, point[None]]), torch.cat([labels, (point @ beta)[None]]), penalty)

    z, within = off @ moved, moved - off @ moved
    inside, outside = after(within), after(z)
    return {
        "gain": ((before - beta).square().sum() - (outside - beta).square().sum()).item(),
        "first_order": 2 * (z @ beta).item() ** 2 / penalty,
        "inside_outside": abs(((off @ (before - beta)).square().sum() - (off @ (inside - beta)).square().sum()).item()),
    }


def _outside_claim(found: list[dict[str, float]]) -> Claim:
    gains, predicted = (torch.tensor([f[key] for f in found], dtype=torch.float64) for key in ("gain", "first_order"))
    ratio = (gains.sum() / predicted.sum()).item()
    return Claim(
        "A label-invariant transformation that leaves the span of the data reduces the ridge estimator's error by about "
        "2 <z, beta>^2 / (lambda n), z = P_perp F x.", _SOURCE,
        "Every gain is at least -1e-12, and their sum is within 5 % of the first order.",
        f"Smallest gain {gains.min():.1e}; their sum is {100 * ratio:.1f} % of the first order (n = {len(found)} problems).",
        bool(gains.min() >= -1e-12) and abs(ratio - 1) <= 0.05, {"ratio": ratio, "problems": found},
    )  # fmt: skip


def _inside_claim(found: list[dict[str, float]]) -> Claim:
    worst = max(f["inside_outside"] for f in found)
    return Claim(
        "A point inside the span does not change the estimator outside it.", _SOURCE,
        "Adding the part of F x inside the span changes the error outside it by at most 1e-10.",
        f"Largest change {worst:.1e} over {len(found)} problems.", worst <= 1e-10, {"largest_change": worst},
    )  # fmt: skip


def _variances(few: Pictures, seed: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    inputs, queries = pixels(few.train.images, 16), pixels(few.test.images, 16)
    labels = few.train.labels
    many = [same_class_mixing(labels, generator) for _ in range(_MIXES)]
    # Rows of all draws, with squared weights of 1/20, so that their moments are the mean of the draws'.
    averaged = torch.cat(many) / _MIXES**0.5
    counts = torch.bincount(labels, minlength=few.classes)
    means = torch.zeros(few.classes, inputs.shape[1], dtype=torch.float64).index_add_(0, labels, inputs) / counts[:, None].clamp(
        min=1
    )
    centred = inputs - means[labels]
    ratios = [((mixing @ centred).square().sum() / centred.square().sum()).item() for mixing in many]
    # Partners are drawn without replacement, so within a class of m images they correlate by -1 / (m - 1).
    share = (centred.square().sum(1) * (2 - 1 / (counts[labels] - 1).clamp(min=1)) / 3).sum() / centred.square().sum()
    centre = inputs.mean(0)
    rows = []
    for decay in _DECAYS:
        found = [prediction_variance(inputs - centre, m, queries - centre, decay) for m in (None, many[0], averaged)]
        rows.append(dict(zip(("decay", "plain", "once", "mixed"), (decay, *found), strict=True)))
    return {"rows": rows, "moment": ratios, "expected": share.item()}


def _moment_claim(found: dict[str, Any]) -> Claim:
    ratio = sum(found["moment"]) / len(found["moment"])
    return Claim(
        "Same-class mixup shrinks the data relative to the L2 term.", _SOURCE,
        "About the class mean the mixes' second moment is E[a^2 + (1 - a)^2] = 2/3 of the images' (minus 1/(3 (m - 1)) for "
        "partners drawn without replacement among m), within 0.03 over 20 draws.",
        f"{ratio:.3f}, expected {found['expected']:.3f}.", abs(ratio - found["expected"]) <= 0.03,
        {"ratios": found["moment"], "expected": found["expected"]},
    )  # fmt: skip


def _variance_claim(found: dict[str, Any]) -> Claim:
    ratios = {row["decay"]: row["mixed"] / row["plain"] for row in found["rows"]}
    return Claim(
        "So same-class mixup lowers the variance of the ridge estimator's predictions.",
        _SOURCE,
        f"With the mean over {_MIXES} draws of a mix per image, and the same penalty per row, the variance over label noise "
        "falls at every penalty. (A single draw weights the images unequally; training draws anew each epoch.)",
        "; ".join(f"{decay:g}: {100 * ratio:.1f} %" for decay, ratio in ratios.items()) 
        + " of that without mixes; with a single draw "
        + ", ".join(f"{100 * row['once'] / row['plain']:.0f} %" for row in found["rows"]) + ".",
        all(ratio < 1 for ratio in ratios.values()), {"rows": found["rows"]},
    )  # fmt: skip


def _variance_table(found: dict[str, Any], few: Pictures) -> Table:
    rows: list[TableRow] = [
        (f"{v['decay']:g}", *(f"{v[key]:.4f}" for key in ("plain", "once", "mixed")), v["mixed"] / v["plain"])
        for v in found["rows"]
    ]
    columns = ("penalty per row", "data alone", "one draw of mixes", f"mean of {_MIXES} draws", "ratio of mean to data alone")
    caption = f"{few.name}, 16 x 16 pixels, {len(few.train.labels)} images; mean over {len(few.test.labels)} test images."
    return Table("Variance of ridge predictions per unit of label noise", columns, tuple(rows), caption, digits=3)


def _trained(few: Pictures, networks: int, epochs: int) -> dict[str, float]:
    inputs, queries = pixels(few.train.images, 16) - 0.5, pixels(few.test.images, 16) - 0.5
    found: dict[str, float] = {"networks": networks}
    for mix in get_args(Mix):
        p = probabilities(ensemble(inputs, few.train.labels, few.classes, networks, mix=mix, epochs=epochs), queries)
        found[mix] = instability(p)
        found[f"accuracy_{mix}"] = 100 * (p.argmax(-1) == few.test.labels).double().mean().item()
    return found


def _network_claim(found: dict[str, float]) -> Claim:
    ratio, alone = found["add"] / found["none"], found["replace"] / found["none"]
    return Claim(
        "Adding mixes of same-class digits reduces the variance (instability) of a trained network's predictions.", _SOURCE,
        f"The variance of predicted probabilities over seeds is at most {_INSTABILITY:g} of that without mixes, once training "
        "has converged. (Changed after the first run, which used 40 epochs, and mixes in place of the images; the tolerance was "
        "kept.)",
        f"{found['add']:.5f} against {found['none']:.5f}: {100 * ratio:.0f} %; with mixes in place of the images "
        f"{100 * alone:.0f} % (n = {found['networks']:.0f} seeds each).",
        ratio <= _INSTABILITY, {**found, "ratio": ratio},
    )  # fmt: skip


def _compositions(seed: int, steps: int = 17) -> list[dict[str, float]]:
    """Gains of compositions F2 F1 by angle: F1 leaves the span in beta's direction outside it and keeps the label; F2 rotates
    that part by the angle, and the point keeps F1's label."""
    generator = torch.Generator().manual_seed(seed)
    problem = Problem.draw(_POINTS, _DIMENSIONS, _RANK, generator)
    inputs, beta, penalty = problem.inputs, problem.beta, _LAMBDA * _POINTS
    off = off_span(inputs)
    along = off @ beta
    unit = along / along.norm()
    other = off @ torch.randn(_DIMENSIONS, generator=generator, dtype=torch.float64)
    other = other - (other @ unit) * unit
    other, labels = other / other.norm(), inputs @ beta
    before = (ridge(inputs, labels, penalty) - beta).square().sum()
    found = []
    for step in range(steps):
        angle = math.pi * step / (steps - 1)
        z = _LENGTH * (math.cos(angle) * unit + math.sin(angle) * other)
        label = _LENGTH * along.norm()
        estimate = ridge(torch.cat([inputs, z[None]]), torch.cat([labels, label[None]]), penalty)
        measured = (before - (estimate - beta).square().sum()).item()
        found.append({"overlap": math.cos(angle), "gain": measured, "closed": gain(z, label.item(), beta, penalty)})
    return found


def _composition_claim(sweep: list[dict[str, float]]) -> Claim:
    worst = max(abs(s["gain"] - s["closed"]) for s in sweep)
    clear = [s for s in sweep if abs(s["overlap"]) >= 0.2]
    agree = sum((s["gain"] > 0) == (s["overlap"] > 0) for s in clear)
    return Claim(
        "A composition of label-invariant transformations can help or hurt, by the sign of <P_perp F2 F1 x, beta> against its "
        "label.",
        _SOURCE,
        "If the overlap is at least 0.2 in size, the gain has its sign; every gain equals the closed form within 1e-9.",
        f"{agree} of {len(clear)} signs agree; gains from {min(s['gain'] for s in sweep):+.4f} to "
        f"{max(s['gain'] for s in sweep):+.4f}, largest difference from the closed form {worst:.1e}.",
        agree == len(clear) and worst <= 1e-9, {"sweep": sweep},
    )  # fmt: skip


def _figure(outside: list[dict[str, float]], sweep: list[dict[str, float]]) -> Figure:
    pairs = sorted((f["first_order"], f["gain"]) for f in outside)
    measured: list[Point] = [(x, y, y, y) for x, y in pairs]
    line: list[Point] = [(x, x, x, x) for x, _ in pairs]
    names = {"closed form": "closed", "measured": "gain"}
    turns: dict[str, list[Point]] = {n: [(s["overlap"], s[k], s[k], s[k]) for s in sweep] for n, k in names.items()}
    panels = [
        line_panel("One point outside the span", {"closed form": line, "measured": measured},
                   ("2 <z, beta>² / (λ n)", "reduction of the error"), log="xy"),
        line_panel("A composition", turns, ("cosine of the overlap", "reduction of the error")),
    ]  # fmt: skip
    caption = (
        "Reduction of the estimator's squared error by one added point. Left: a dot per problem, on the line if the first order "
        "is exact. Right: below zero the composition hurts."
    )
    return Figure("What a point adds", side_by_side(panels, list(names)), caption)
