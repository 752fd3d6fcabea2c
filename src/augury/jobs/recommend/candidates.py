"""What is raced: augmentations and strategies, the likeliest to help first."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from augury.augment.stages.plan import WITHOUT_RGB
from augury.core.errors import InputError
from augury.core.options import Spec, parse_list, parse_spec
from augury.train.engine.settings import Settings
from augury.train.search.child import refined_from


@dataclass(frozen=True)
class Candidate:
    """An augmentation with a strategy. refine_share: the share of the epochs, at the end, without intensive stages.
    passes: forward passes for each image, compared with plain training, as a first guess of what a training costs."""

    augment: str
    strategy: str = "erm"
    refine_share: float = 0.0
    passes: float = 1.0

    @staticmethod
    def of(row: Mapping[str, Any]) -> "Candidate":
        """From a row of result.json, such as `row` gives."""
        return Candidate(row["augment"], row["strategy"], row.get("refine_share", 0.0))

    @property
    def name(self) -> str:
        """For people."""
        parts = [self.augment, *([] if self.strategy == "erm" else [self.strategy])]
        return " with ".join(parts) + (f", refined for the last {self.refine_share:.0%}" if self.refine_share else "")

    def settings(self, base: Settings, epochs: int, seed: int) -> Settings:
        """Those of one of its trainings."""
        made = replace(base, augment=self.augment, strategy=self.strategy, epochs=epochs, seed=seed)
        return replace(made, **refined_from(epochs, self.refine_share))

    def row(self) -> dict[str, Any]:
        """For result.json."""
        named: dict[str, Any] = {"augment": self.augment, "strategy": self.strategy}
        return named | ({"refine_share": self.refine_share} if self.refine_share else {})


# After crop and flip, in the order in which they are left out when there is no time for all. Flips are wrong for characters and
# crops for what fills the frame, so that doing less is a candidate too.
_AFTER = (
    Candidate("trivialaugment"), Candidate("randaugment(num_ops=2, magnitude=9)"), Candidate("cutmix"), Candidate("cutout"),
    Candidate("mixup"), Candidate("autoaugment"), Candidate("random_erasing"), Candidate("randaugment(num_ops=1, magnitude=5)"),
    Candidate("cutmix", refine_share=0.2), Candidate("inaugment"), Candidate("keep_cutout", passes=1.6), Candidate("augmix"),
    Candidate("randaugment(num_ops=2, magnitude=15)"), Candidate("", "ait", passes=2.0),
)  # fmt: skip
_INSTEAD = ("crop", "none")
# Of these, images of other channels than grey or red, green and blue have nothing in place.
_RGB_ALONE = ("autoaugment", "inaugment")


def candidates(reference: str, named: str | None, channels: int = 3) -> list[Candidate]:
    """The reference first, then those that the user names, or the list above on top of the reference, of which images of other
    channels than 1 or 3 get those that they have.

    Raises InputError if a name occurs twice or cannot be read.
    """
    first = Candidate(reference)
    if named is not None:
        others = [Candidate(str(chain)) for chain in parse_list(named, "--candidates")]
        for other in others:
            if others.count(other) > 1:
                raise InputError(f"--candidates: {other.augment!r} is named twice; name every candidate once")
        return [first, *(other for other in others if other != first)]
    after = _AFTER if channels in (1, 3) else [_of_bands(each) for each in _AFTER if each.augment not in _RGB_ALONE]
    above = [replace(each, augment="+".join(part for part in (_plain(reference), each.augment) if part)) for each in after]
    below = [Candidate(each) for each in _INSTEAD if each != reference]
    return [first, *above[:4], *below, *above[4:]]


def _of_bands(candidate: Candidate) -> Candidate:
    """Without operations on red, green and blue."""
    if candidate.augment.partition("(")[0] not in WITHOUT_RGB:
        return candidate
    spec = parse_spec(candidate.augment, "--candidates")
    return replace(candidate, augment=str(Spec(spec.name, {**spec.options, "channels": "any"}, spec.first)))


def _plain(reference: str) -> str:
    return "" if reference == "none" else reference
