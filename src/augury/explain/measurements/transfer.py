"""Augmentation transfer: accuracy under augmentations that networks were and were not trained with."""

from collections.abc import Sequence
from typing import Annotated

from augury.core.options import Chain, Interval
from augury.core.registry import register
from augury.explain.measurements.measurement import Figure, Measured, Spread, Subject, Table, TableRow, groups_of
from augury.explain.measurements.sets import AugmentedSet, logits_under, sets_named
from augury.explain.report.diagrams import dot_panel
from augury.train.data.dataset import Dataset


@register(
    "measurement", "transfer", source="Chen et al. 2021, Augmentation Invariant Training (ICCV workshops), section 4.4, table 5"
)
def transfer(
    subjects: Sequence[Subject], dataset: Dataset, *, sets: tuple[Chain, ...] | None = None, seed: Annotated[int, Interval(0)] = 0
) -> Measured:
    """Accuracy on augmented test sets, by the augmentation trained with and the one tested with.

    `sets`: augmentations by name; by default the original test part, random crop, grayscale and random colour. Each set is
    drawn once from `seed` and is the same for every network.
    """
    chosen = sets_named(sets)
    names = [each.name for each in chosen]
    found = {group: _accuracies(members, dataset, chosen, seed) for group, members in groups_of(subjects).items()}
    spreads = {group: [Spread(tuple(one[name] for one in seeds)) for name in names] for group, seeds in found.items()}
    rows: list[TableRow] = [(group, float(len(found[group])), *(s.text() for s in row)) for group, row in spreads.items()]
    images = len(dataset.test.ids)
    note = f"Percent of {images} test images; for several seeds the mean, with the lowest and the highest in brackets."
    return Measured(
        _summary(spreads, names, images),
        {
            "images": images,
            "seed": seed,
            "sets": {each.name: str(each.chain) for each in chosen},
            "rows": [{"trained": group, "n": len(seeds), "accuracies": seeds} for group, seeds in found.items()],
        },
        (Table("Accuracy by training and by test set", ("trained with", "n", *names), tuple(rows), note, digits=0),),
        (Figure("Accuracy on every test set", dot_panel("Accuracy, %", names, spreads), note),),
    )


def _accuracies(members: list[Subject], dataset: Dataset, chosen: list[AugmentedSet], seed: int) -> list[dict[str, float]]:
    """Per network: accuracy in percent by test set."""

    def accuracy(subject: Subject, each: AugmentedSet) -> float:
        logits = logits_under(subject, dataset.test, each.chain, seed)
        return 100 * (logits.argmax(1) == dataset.test.labels).double().mean().item()

    return [{each.name: accuracy(subject, each) for each in chosen} for subject in members]


def _summary(spreads: dict[str, list[Spread]], names: list[str], images: int) -> str:
    said = []
    for place, name in enumerate(names):
        best = max(spreads, key=lambda group: spreads[group][place].mean)
        said.append(f"{name}: {best} ({spreads[best][place].mean:.2f} %)")
    opening = f"Each network was tested on {len(names)} fixed versions of the same {images} test images."
    return f"{opening} Highest mean per set: {'; '.join(said)}." if len(spreads) > 1 else opening
