"""What the papers claim, and what our own comparisons show of it: a sentence for each paper, on docs/results.md."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from augury.explain.statistics import compare_rows
from augury.recipes.recipe import load

Rows = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Claim:
    """A row that a paper puts above another; below it where `rises` is false, as a loss. published: the recipe and the row
    whose printed difference to its reference is the paper's own figure for it, on other data or with another network."""

    row: str
    against: str
    published: tuple[str, str] | None = None
    rises: bool = True


@dataclass(frozen=True)
class Paper:
    """A paper, what it claims in one sentence, and the comparisons that speak for or against it."""

    name: str
    claim: str
    compared: tuple[Claim, ...]


_CLEAN = "risk-{}-refined-clean", "risk-{}-clean"
PAPERS = (
    Paper(
        "InAugment",
        "patches of the image, augmented alike and pasted over it, do more after AutoAugment than Cutout does",
        (
            Claim("autoaugment-inaugment", "autoaugment-cutout", ("inaugment_table3", "cifar10-preact18-aa-inaugment")),
            Claim("loss-inaugment", "loss-autoaugment", rises=False),
            *(Claim(f"scale-inaugment-{pixels}", f"scale-autoaugment-{pixels}") for pixels in (2, 4, 8)),
        ),
    ),
    Paper(
        "Refined augmentation",
        "a short training without the intensive augmentation at the end raises accuracy and lowers the risk on clean images",
        (
            Claim("mixup-refined", "mixup", ("refined_table1", "cifar10-preact18-mixup-refined")),
            Claim("mixup-refined", "mixup-statistics"),
            Claim("cutmix-refined", "cutmix", ("refined_table1", "cifar10-preact18-cutmix-refined")),
            Claim("cutmix-refined", "cutmix-statistics"),
            Claim("manifold-mixup-refined", "manifold-mixup", ("refined_table1", "cifar10-preact18-manifold-refined")),
            *(Claim(_CLEAN[0].format(mix), _CLEAN[1].format(mix), rises=False) for mix in ("mixup", "cutmix")),
        ),
    ),
    Paper(
        "KeepAugment",
        "augmentation that leaves the salient part of an image alone is better, and it is the map that makes it so",
        (
            Claim("keep-cutout", "cutout", ("keepaugment_table1", "resnet18-keep-cutout")),
            Claim("keep-cutout", "cutout-400"),
            Claim("keep-cutout", "keep-cutout-foreign"),
            Claim("keep-cutout", "keep-cutout-constant"),
            Claim("keep-randaugment", "randaugment"),
            Claim("keep-randaugment", "randaugment-400"),
            Claim("keep-randaugment", "keep-randaugment-foreign"),
        ),
    ),
    Paper(
        "Automating the art of data augmentation",
        "policies that are learned or chosen by the loss are better than random ones",
        (
            Claim("adversarial-random", "adversarial-fixed"),
            Claim("adversarial-learned", "adversarial-random"),
            Claim("adversarial-learned", "standard-800"),
            Claim("uncertainty-topk", "uncertainty-one"),
            Claim("uncertainty-proportional", "uncertainty-one"),
        ),
    ),
    Paper(
        "Model patching",
        "consistency over learned translations between subgroups raises the worst subgroup beyond group DRO",
        (Claim("clamp", "group-dro"), Claim("clamp", "clamp-true"), Claim("balanced", "erm")),
    ),
    Paper(
        "Augmentation invariant training",
        "a price on predictions that differ between two views raises accuracy, with wrong labels above all",
        (
            Claim("ait", "standard", ("ait_table1", "cifar10-resnet32-ait")),
            Claim("ait", "standard-400"),
            Claim("ait", "batch-augment-2"),
            Claim("cifar100-ait", "cifar100-baseline", ("ait_table1", "cifar100-resnet32-ait")),
            Claim("cifar100-ait", "cifar100-baseline-120"),
            Claim("multi-ait", "dml"),
            Claim("noise-50-ait", "noise-50", ("ait_table3", "noise-50-ait")),
            Claim("noise-50-ait", "noise-50-400"),
        ),
    ),
)  # fmt: skip


def sentences(rows: Rows) -> list[str]:
    """A line for each paper, by what the rows say. rows: measured rows by their ids."""
    return [f"- **{paper.name}** claims: {paper.claim}. {_seen(paper, rows)}" for paper in PAPERS]


def _seen(paper: Paper, rows: Rows) -> str:
    said = [_said(claim, rows) for claim in paper.compared if claim.row in rows and claim.against in rows]
    missing = len(paper.compared) - len(said)
    lacking = f"{missing} of {len(paper.compared)} comparisons are not measured yet" if missing else ""
    if not said:
        return "Seen here: nothing yet; the rows are not trained."
    return f"Seen here: {'; '.join(said)}{'; ' + lacking if lacking else ''}."


def _said(claim: Claim, rows: Rows) -> str:
    shown = rows[claim.row], rows[claim.against]
    row, other = _alike(*shown)
    found = difference(row, other)
    if found is None:
        return f"`{claim.row}` and `{claim.against}` share no seed of one precision"
    mean, low, high, count = found
    published = _published(claim)
    words = f"`{claim.row}` against `{claim.against}` {mean:+.2f}{between(low, high)}, n = {count}"
    words += "" if (row, other) == shown else f", both in {row['precision']}"
    words += "" if published is None else f", published {published:+.2f}"
    if low is None or high is None or low <= 0 <= high:
        return f"{words}, no difference shown"
    agrees = (mean > 0) == claim.rises
    size = "" if published is None else ", the published size lies within" if low <= published <= high else ", another size"
    return f"{words}, {'the sign agrees' if agrees else 'the other sign'}{size}"


def difference(row: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[float, float | None, float | None, int] | None:
    """Row minus other, paired by seed: the mean, its 95 % interval (None for one seed), n; None where they share no seed, or were
    trained in different precisions."""
    same = row.get("precision") == other.get("precision")
    seeds = [seed for seed in row["by_seed"] if same and seed in other["by_seed"]]
    if not seeds:
        return None
    pairs = [[each["by_seed"][seed] for seed in seeds] for each in (other, row)]
    found = compare_rows(pairs)[1]
    assert found.difference is not None
    return found.difference, found.difference_low, found.difference_high, len(seeds)


def _alike(row: Mapping[str, Any], other: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The two rows as they were trained in one precision, if there is one, that in which the table has them first."""
    rows, others = ({each.get("precision"): each for each in (one, *one.get("also", {}).values())} for one in (row, other))
    return next(((rows[precision], others[precision]) for precision in rows if precision in others), (row, other))


def between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" ({low:+.2f} to {high:+.2f})"


def _published(claim: Claim) -> float | None:
    if claim.published is None:
        return None
    rows = {row.id: row for row in load(claim.published[0]).rows}
    row = rows[claim.published[1]]
    reference = rows[row.reference or ""]
    return None if row.published is None or reference.published is None else row.published - reference.published
