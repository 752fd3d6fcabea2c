"""Search spaces: decisions (plain JSON values), the policies they describe, and how random search draws them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Protocol

from augury.augment.policies.file import PolicyRow
from augury.augment.policies.ladders import Magnitudes, ladder
from augury.augment.policies.randaugment import TORCHVISION
from augury.augment.policies.searched import PolicySpace, entry_of
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.plan import Space
from augury.train.data.dataset import Dataset
from augury.train.search.outcome import Decisions


@dataclass(frozen=True)
class Candidate:
    """The policy that decisions describe: its sub-policies, figures to log, and files to keep, by their ending.

    repeat: how many of the sub-policies an image gets. refine_share: the share of the epochs, at the end, that are trained without
    the policy.
    """

    rows: tuple[PolicyRow, ...]
    repeat: int = 1
    figures: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    refine_share: float = 0.0


class SearchSpace(Protocol):
    """`uniform` draws the decisions of random search for the child of that number (noise of one row). `candidate` turns
    decisions into a policy, for which it may train something on the data. `words` describes decisions in one line. `rgb` names the
    operations that take grey images or red, green and blue alone, and `without_rgb` is the space of the others."""

    def uniform(self, noise: Noise, number: int) -> Decisions: ...
    def candidate(self, decisions: Decisions, dataset: Dataset, seed: int) -> Candidate: ...
    def words(self, decisions: Decisions) -> str: ...
    @property
    def rgb(self) -> tuple[str, ...]: ...
    def without_rgb(self) -> "SearchSpace": ...


@dataclass(frozen=True)
class AutoAugmentSpace:
    """5 sub-policies of 2 operations: 30 decisions, given as a list of whole numbers."""

    policies: PolicySpace

    def uniform(self, noise: Noise, number: int) -> Decisions:
        return self.policies.uniform(noise)[0].tolist()

    def candidate(self, decisions: Decisions, dataset: Dataset, seed: int) -> Candidate:
        return Candidate(self.policies.rows(decisions))

    def words(self, decisions: Decisions) -> str:
        rows = self.policies.rows(decisions)
        return "; ".join(" + ".join(f"{e.op} {e.probability:g}@{e.strength:g}" for e in row) for row in rows)

    @property
    def rgb(self) -> tuple[str, ...]:
        return self.policies.space.rgb

    def without_rgb(self) -> "AutoAugmentSpace":
        names = tuple(name for name in self.policies.operations if name not in self.rgb)
        return replace(self, policies=replace(self.policies, operations=names))


@dataclass(frozen=True)
class RandAugmentSpace:
    """The number of operations (1 .. most_ops) and one magnitude for all (0 .. highest): {"num_ops", "magnitude"}.

    refine_shares: shares of the epochs, in [0, 1), that are trained without the policy at the end; if there are several,
    "refine_share" is a decision too.
    """

    operations: tuple[str, ...] = TORCHVISION
    most_ops: int = 3
    highest: int = 30
    magnitudes: Magnitudes = field(default_factory=lambda: ladder("torchvision_31"))
    refine_shares: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        if len(set(self.operations)) < 2:
            raise InputError("operations: name at least two operations to choose from")
        for name in self.operations:
            self.magnitudes.entry(name)
        if len(self.operations) ** self.most_ops > 5000:
            raise InputError(
                f"most_ops: {self.most_ops} of {len(self.operations)} operations have more than 5000 combinations; take fewer"
            )

    def grid(self, points: int) -> list[Decisions]:
        """At most `points` of the grid of num_ops and magnitudes, which are the centres of equal intervals, in ascending order."""
        columns = max(1, -(-points // (self.most_ops * len(self.refine_shares))))
        levels = [round((k + 0.5) * self.highest / columns) for k in range(columns)]
        axes = dict.fromkeys(levels), range(1, self.most_ops + 1), self.refine_shares
        every = [self._decisions(n, m, share) for m, n, share in product(*axes)]
        return every[:points]

    def uniform(self, noise: Noise, number: int) -> Decisions:
        count, magnitude = (int(noise.fold(name).integers(1, n)) for name, n in (("n", self.most_ops), ("m", self.highest + 1)))
        share = self.refine_shares[int(noise.fold("r").integers(1, len(self.refine_shares)))]
        return self._decisions(count + 1, magnitude, share)

    def _decisions(self, num_ops: int, magnitude: int, refine_share: float) -> Decisions:
        further = {"refine_share": refine_share} if len(self.refine_shares) > 1 else {}
        return {"num_ops": num_ops, "magnitude": magnitude, **further}

    def candidate(self, decisions: Decisions, dataset: Dataset, seed: int) -> Candidate:
        strength = decisions["magnitude"] / self.magnitudes.top
        entries = [entry_of(self.magnitudes.entry(name), 1.0, strength) for name in self.operations]
        share = decisions.get("refine_share", self.refine_shares[0])
        return Candidate(tuple((entry,) for entry in entries), decisions["num_ops"], refine_share=share)

    def words(self, decisions: Decisions) -> str:
        share = decisions.get("refine_share", self.refine_shares[0])
        refined = f", the last {100 * share:g} % of the epochs without it" if share else ""
        return f"randaugment(num_ops={decisions['num_ops']}, magnitude={decisions['magnitude']}){refined}"

    @property
    def rgb(self) -> tuple[str, ...]:
        return Space(tuple(map(self.magnitudes.entry, self.operations))).rgb

    def without_rgb(self) -> "RandAugmentSpace":
        return replace(self, operations=tuple(name for name in self.operations if name not in self.rgb))
