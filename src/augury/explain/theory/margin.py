"""The margin that augmentation enforces: how many added points around an image keep every separator away from it."""

import math
from typing import Annotated, Any

import numpy as np
import torch
from scipy.optimize import linprog
from scipy.spatial import ConvexHull
from sklearn.linear_model import Perceptron
from torch import Tensor

from augury.core.errors import InputError
from augury.core.options import Interval
from augury.core.registry import register
from augury.explain.measurements.measurement import Table, TableRow
from augury.explain.theory.claim import Checked, Claim, Pictures, pixels

_SOURCE = "Rajput et al. 2019, sections 3 and 4"
_SIDE, _RADIUS = 4, 0.1
_WENDEL = tuple((d, n) for d in (3, 5, 8) for n in (d + 1, 2 * d, 3 * d))
_HULLS = tuple((d, n) for d in (2, 3, 4, 5) for n in (16, 32, 64, 128))


@register(
    "theory", "margin",
    source="Rajput et al. 2019, Does Data Augmentation Lead to Positive Margin?, arXiv:1905.03177, sections 3 and 4",
)  # fmt: skip
def margin(
    pictures: Pictures, *, draws: Annotated[int, Interval(20, 2000)] = 200, seed: Annotated[int, Interval(0)] = 0
) -> Checked:
    """The margin enforced by correctly classified points at distance r from an image: r / d for a simplex, 0 for d points.

    Every separator that classifies the added points correctly has at least this margin at the image: the radius of the largest
    ball around it inside their convex hull. Checked for regular simplices, for random points on a sphere (`draws` each), and for
    perceptrons on two classes of the data.
    """
    simplices = [_simplex_margin(d, seed) for d in range(2, 13)]
    few = [_few(d, seed + k) for d in (2, 5, 20) for k in range(draws // 10)]
    wendel = [_wendel(d, n, draws, seed) for d, n in _WENDEL]
    hulls = [_hull(d, n, seed + k) for d, n in _HULLS for k in range(5)]
    trained = _perceptrons(pictures, seed)
    return Checked(
        f"Regular simplices in 2 to 12 dimensions; {draws} draws of random points for each of {len(_WENDEL)} pairs of dimensions "
        f"and points; perceptrons on {trained['images']} images of two classes of {pictures.name}, {_SIDE} x {_SIDE} pixels, each "
        f"image with the {_SIDE**2 + 1} points of a simplex of radius {_RADIUS} around it.",
        (_simplex_claim(simplices), _few_claim(few), _wendel_claim(wendel), _bound_claim(hulls), _perceptron_claim(trained)),
        (_hull_table(hulls),),
    )  # fmt: skip


def simplex(dimensions: int) -> Tensor:
    """float64 [d+1,d]: the corners of a regular simplex centred at the origin, at distance 1 from it."""
    corners = torch.eye(dimensions + 1, dtype=torch.float64) - 1 / (dimensions + 1)
    basis = torch.linalg.svd(corners).Vh[:dimensions]
    found = corners @ basis.T
    return found / found.norm(dim=1, keepdim=True)


def enforced(points: Tensor) -> float:
    """The least distance from the origin to a hyperplane with all points [n,d] on one side or on it; 0 if one can touch it.

    This is the distance to the nearest facet of the convex hull if the origin is inside the hull.
    """
    hull = ConvexHull(points.numpy())
    return max(0.0, float((-hull.equations[:, -1]).min()))


def wendel(points: int, dimensions: int) -> float:
    """Probability that the hull of `points` independent draws of a symmetric distribution contains the origin (Wendel 1962)."""
    return 1 - sum(math.comb(points - 1, k) for k in range(dimensions)) / 2 ** (points - 1)


def touched(points: Tensor) -> bool:
    """Whether some hyperplane through the origin has all points on one side, by linear programming: w . p >= 1 for all p."""
    found = linprog(np.zeros(points.shape[1]), A_ub=-points.numpy(), b_ub=-np.ones(len(points)), bounds=(None, None))
    return bool(found.status == 0)


def _sphere(count: int, dimensions: int, generator: torch.Generator) -> Tensor:
    points = torch.randn(count, dimensions, generator=generator, dtype=torch.float64)
    return points / points.norm(dim=1, keepdim=True)


def _simplex_margin(dimensions: int, seed: int) -> dict[str, float]:
    corners = simplex(dimensions)
    normals = _sphere(2000, dimensions, torch.Generator().manual_seed(seed))
    # A separator with normal w that just classifies all corners correctly passes through the corner with the least w . corner.
    tried = (-(normals @ corners.T).min(1).values).min().item()
    # The facet opposite a corner has that corner's direction as its normal.
    facets = -(corners @ corners.T).min(1).values
    off = (facets - 1 / dimensions).abs().max().item()
    return {"dimensions": dimensions, "tried": tried, "off": off, "expected": 1 / dimensions}


def _simplex_claim(found: list[dict[str, float]]) -> Claim:
    off = max(f["off"] for f in found)
    below = min(f["tried"] - f["expected"] for f in found)
    return Claim(
        "The d + 1 corners of a simplex of radius r around a point enforce a margin of r / d, and no more.", _SOURCE,
        "The separators along the facets have margin r / d within 1e-12; none of 2,000 random ones has less.",
        f"Facets differ by at most {off:.1e}; random separators are at least {below:+.3f} r above, in 2 to 12 dimensions.",
        off <= 1e-12 and below >= -1e-12, {"dimensions": found},
    )  # fmt: skip


def _few(dimensions: int, seed: int) -> float:
    """The least w . p of a separator through the origin solved for d random points; positive if it classifies all of them."""
    points = _sphere(dimensions, dimensions, torch.Generator().manual_seed(seed))
    normal = torch.linalg.solve(points, torch.ones(dimensions, dtype=torch.float64))
    return (points @ normal).min().item()


def _few_claim(found: list[float]) -> Claim:
    return Claim(
        "With at most d added points a separator may pass through the image itself: no margin is enforced.", _SOURCE,
        "For every draw of d points there is a hyperplane through the image with all of them on one side.",
        f"{sum(f > 0 for f in found)} of {len(found)} draws.", all(f > 0 for f in found), {"least": min(found)},
    )  # fmt: skip


def _wendel(dimensions: int, points: int, draws: int, seed: int) -> dict[str, float]:
    generator = torch.Generator().manual_seed(seed)
    inside = sum(not touched(_sphere(points, dimensions, generator)) for _ in range(draws))
    return {"dimensions": dimensions, "points": points, "share": inside / draws, "expected": wendel(points, dimensions), "n": draws}


def _wendel_claim(found: list[dict[str, float]]) -> Claim:
    def apart(f: dict[str, float]) -> float:
        spread = math.sqrt(max(f["expected"] * (1 - f["expected"]), 1 / f["n"]) / f["n"])
        return abs(f["share"] - f["expected"]) / spread

    worst = max(map(apart, found))
    return Claim(
        "Random points on a sphere enforce a positive margin with probability 1 - 2^(1-n) sum_{k<d} C(n-1, k), which is one half "
        "for about 2 d points.", _SOURCE,
        "The share of draws is within 4 standard errors of it for every pair of dimensions and points.",
        "; ".join(f"d={f['dimensions']} n={f['points']}: {f['share']:.2f} ({f['expected']:.2f})" for f in found)
        + f"; at most {worst:.1f} standard errors.",
        worst <= 4, {"pairs": found},
    )  # fmt: skip


def _hull(dimensions: int, points: int, seed: int) -> dict[str, float]:
    found = enforced(_sphere(points, dimensions, torch.Generator().manual_seed(seed)))
    return {"dimensions": dimensions, "points": points, "margin": found, "bound": math.sqrt(2 * math.log(points) / dimensions)}


def _bound_claim(found: list[dict[str, float]]) -> Claim:
    nearest = max(f["margin"] / min(1.0, f["bound"]) for f in found)
    means = {pair: _mean(found, *pair) for pair in _HULLS}
    falling = all(means[d, n] > means[d + 1, n] for d, n in _HULLS if (d + 1, n) in means)
    return Claim(
        "Random points at distance r enforce at most r sqrt(2 ln n / d): a fixed share of r needs a number of points that is "
        "exponential in d.", _SOURCE,
        "No draw is above the bound, and for every number of points the mean margin falls with the dimension.",
        f"At most {100 * nearest:.0f} % of the bound (or of r); with 128 points "
        + ", ".join(f"{means[d, 128]:.2f} r in {d}" for d in (2, 3, 4, 5)) + " dimensions.",
        nearest <= 1 + 1e-12 and falling, {"hulls": found},
    )  # fmt: skip


def _mean(found: list[dict[str, float]], dimensions: int, points: int) -> float:
    each = [f["margin"] for f in found if (f["dimensions"], f["points"]) == (dimensions, points)]
    return sum(each) / len(each)


def _hull_table(found: list[dict[str, float]]) -> Table:
    counts = sorted({n for _, n in _HULLS})
    rows: list[TableRow] = [(d, *(f"{_mean(found, d, n):.3f}" for n in counts)) for d in sorted({d for d, _ in _HULLS})]
    columns = ("dimensions", *(f"{n} points" for n in counts))
    return Table("Margin enforced by random points, as a share of r", columns, tuple(rows), "Means over 5 draws.")


def _perceptrons(pictures: Pictures, seed: int) -> dict[str, Any]:
    """The least margin at the images of perceptrons that classify everything correctly, with and without the simplices."""
    if pictures.classes < 2:
        raise InputError("DATA: the margin needs images of two classes")
    rows = ((pictures.train.labels == 0) | (pictures.train.labels == 1)).nonzero()[:, 0][:40]
    inputs, labels = pixels(pictures.train.images[rows], _SIDE), pictures.train.labels[rows]
    around = _RADIUS * simplex(inputs.shape[1])
    added = torch.cat([inputs[:, None], inputs[:, None] + around], 1).flatten(0, 1)
    found: dict[str, Any] = {"images": len(rows), "expected": _RADIUS / inputs.shape[1], "plain": [], "simplex": []}
    for trial in range(10):
        for name, points, classes in (
            ("plain", inputs, labels),
            ("simplex", added, labels.repeat_interleave(1 + len(around))),
        ):
            model = Perceptron(max_iter=5000, tol=None, n_iter_no_change=5000, random_state=seed + trial)
            model.fit(points.numpy(), classes.numpy())
            if model.score(points.numpy(), classes.numpy()) < 1:
                continue
            normal = torch.from_numpy(model.coef_[0])
            signs = 2.0 * labels - 1
            found[name].append(((signs * (inputs @ normal + model.intercept_[0])).min() / normal.norm()).item())
    return found


def _perceptron_claim(found: dict[str, Any]) -> Claim:
    least = min(found["simplex"], default=float("nan"))
    plain = min(found["plain"], default=float("nan"))
    return Claim(
        "A separator trained on images with simplices around them keeps the margin r / d from every image.", _SOURCE,
        "The least margin of those of ten perceptrons that classify everything correctly is at least r / d.",
        f"{least:.4f} against {found['expected']:.4f} (n = {len(found['simplex'])}); without the simplices {plain:.4f} "
        f"(n = {len(found['plain'])}).",
        least >= found["expected"] - 1e-9, found,
    )  # fmt: skip
