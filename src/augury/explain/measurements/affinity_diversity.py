"""Affinity and diversity: how far an augmentation shifts the data, and how hard augmented data are to fit."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from augury.augment.names import build
from augury.core import registry
from augury.core.errors import InputError
from augury.core.options import Chain, Interval, parse_chain, parse_spec
from augury.core.registry import register
from augury.explain.measurements.measurement import Figure, Measured, Spread, Subject, Table, TableRow, groups_of
from augury.explain.measurements.sets import check_set, logits_under, some
from augury.explain.report.diagrams import dot_panel, plane_panel
from augury.train.data.dataset import Dataset, Split
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings
from augury.train.strategies.build import strategy as build_strategy

_WHERE = "--what: affinity_diversity"
_LEFT_OUT = ("identity",)


@register(
    "measurement",
    "affinity_diversity",
    source="Gontijo-Lopes et al. 2020, Tradeoffs in Data Augmentation, arXiv:2002.08973, section 3",
)
def affinity_diversity(
    subjects: Sequence[Subject],
    dataset: Dataset,
    *,
    augments: tuple[Chain, ...] | None = None,
    images: Annotated[int, Interval(2)] | None = 1000,
    train: bool = False,
    epochs: Annotated[int, Interval(1)] = 5,
    seed: Annotated[int, Interval(0)] = 0,
) -> Measured:
    """Affinity of every operation and policy, and its diversity if there are training runs to measure it.

    Affinity is the accuracy of a network trained without the augmentation on augmented validation images, divided by its
    accuracy on the same images without augmentation; 1 means that the augmentation does not shift the data. That network is the
    first run named, which must be trained on no more than crop and flip. Diversity is the final training loss with the
    augmentation, divided by the loss without. It is taken from the other runs named that differ in the augmentation alone, or,
    with `train` (`--train`), from a training of `epochs` epochs per augmentation. `augments`: augmentations to measure; by default
    every registered operation and policy that does not mix samples. Uses validation images, since the results may select one.
    """
    reference, *_ = groups_of(subjects)
    clean = groups_of(subjects)[reference]
    _check_clean(clean[0])
    split = some(dataset.validation, images, seed)
    chains = _points() if augments is None else list(augments)
    for chain in chains:
        check_set(chain, f"{_WHERE}(augments)")
    base = [_accuracy(s, split, parse_chain("none", _WHERE), seed) for s in clean]
    if min(base) <= 0:
        raise InputError(
            f"{_WHERE}: {reference!r} classifies no validation image correctly, so no ratio is defined; train it longer"
        )
    affinity = {
        str(chain): [_accuracy(s, split, chain, seed) / b for s, b in zip(clean, base, strict=True)] for chain in chains
    }  # fmt: skip
    diversity = _of_runs(subjects, clean[0].settings, affinity)
    if train:
        diversity |= _trained(clean[0].settings, dataset, chains, epochs)
    rows: list[TableRow] = [
        (name, Spread(tuple(values)).text(3), *([f"{diversity[name]:.3f}" if name in diversity else None] if diversity else []))
        for name, values in sorted(affinity.items(), key=lambda item: -sum(item[1]))
    ]
    how = f"{epochs} epochs each" if train else "the runs named"
    note = (
        f"Affinity on {len(split.ids)} validation images by {len(clean)} network{'s' if len(clean) > 1 else ''} of {reference}"
        f"{f'; diversity from {how}' if diversity else ''}."
    )
    means = {name: sum(values) / len(values) for name, values in affinity.items()}
    figures = [_affinities(affinity, note)]
    if len(diversity) > 1:
        points = {name: (means[name], diversity[name]) for name in diversity if name in means}
        figures.insert(
            0, Figure("The plane", plane_panel("Affinity and diversity", points, ("affinity", "diversity"), (1.0, 1.0)), note)
        )
    values = {
        "images": len(split.ids), "reference": reference, "clean_accuracy": base, "seed": seed, "epochs": epochs if train else None,
        "points": [{"augment": name, "affinity": affinity[name], "diversity": diversity.get(name)} for name in affinity],
    }  # fmt: skip
    columns = ("augmentation", "affinity", *(["diversity"] if diversity else []))
    table = Table("Points", columns, tuple(rows), note, digits=0)
    return Measured(_summary(means, diversity), values, (table,), tuple(figures))


def _check_clean(subject: Subject) -> None:
    pipeline = build(parse_chain(subject.settings.augment, _WHERE), (subject.mean, subject.std))
    strategy = build_strategy(parse_spec(subject.settings.strategy, _WHERE))
    own = strategy.intensive or any(strategy.stages)  # it augments too: within the network, or by policies that it learns
    if own or any(stage.intensive for stage in pipeline.stages):
        told = subject.settings.strategy if own else subject.settings.augment
        raise InputError(f"{_WHERE}: the first run is trained with {told!r}; begin with a run on none or standard")


def _points() -> list[Chain]:
    """Every operation and policy that can be built from its name alone and can produce a test set."""
    found = []
    for names in (registry.names("op"), registry.names("policy")):
        for name in names:
            chain = parse_chain(name, _WHERE)
            try:
                check_set(chain, _WHERE)
            except InputError:
                continue
            if name not in _LEFT_OUT:
                found.append(chain)
    return found


def _accuracy(subject: Subject, split: Split, chain: Chain, seed: int) -> float:
    logits = logits_under(subject, split, chain, seed)
    return (logits.argmax(1) == split.labels).double().mean().item()


def _of_runs(subjects: Sequence[Subject], clean: Settings, affinity: dict[str, list[float]]) -> dict[str, float]:
    """Diversity from the runs that differ from the clean one in the augmentation alone; adds no augmentations."""
    same = replace(clean, augment="", seed=0, device="", data_dir=None)
    losses: dict[str, list[float]] = {}
    for subject in subjects:
        if replace(subject.settings, augment="", seed=0, device="", data_dir=None) != same:
            continue
        loss = _final_loss(subject)
        if loss is not None:
            losses.setdefault(subject.settings.augment, []).append(loss)
    base = losses.get(clean.augment)
    if not base:
        return {}
    floor = sum(base) / len(base)
    found = {}
    for augment, seen in losses.items():
        name = _beyond(augment, clean.augment)
        if name in affinity and floor > 0:
            found[name] = sum(seen) / len(seen) / floor
    return found


def _beyond(augment: str, clean: str) -> str:
    """What a run's augmentation adds to the clean one's: `cutout` for `crop+flip+cutout` and `crop+flip`."""
    return augment.removeprefix(f"{clean}+")


def _final_loss(subject: Subject) -> float | None:
    file = subject.folder / "metrics.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return float(json.loads(lines[-1])["train_loss"]) if lines else None


def _trained(clean: Settings, dataset: Dataset, chains: Sequence[Chain], epochs: int) -> dict[str, float]:
    """Diversity from short training runs with the clean run's settings."""

    def loss(augment: str) -> float:
        trainer = Trainer(prepare(replace(clean, augment=augment, epochs=epochs), dataset))
        found = 0.0
        for _ in range(epochs):
            found = float(trainer.train_epoch()["train_loss"])
        return found

    floor = max(loss(clean.augment), 1e-12)
    own = "" if clean.augment == "none" else f"{clean.augment}+"
    return {str(chain): loss(f"{own}{chain}") / floor for chain in chains}


def _affinities(affinity: dict[str, list[float]], note: str) -> Figure:
    ranked = sorted(affinity, key=lambda name: -sum(affinity[name]))
    panel = dot_panel("Affinity", ranked, {"affinity": [affinity[name] for name in ranked]})
    return Figure("Affinity", panel, f"{note} A dot is the mean over the networks; a line spans the lowest to the highest.")


def _summary(means: dict[str, float], diversity: dict[str, float]) -> str:
    ranked = sorted(means, key=lambda name: means[name])
    said = f"Farthest from the data: {', '.join(f'{n} ({means[n]:.2f})' for n in ranked[:3])}"
    said += f"; closest: {', '.join(f'{n} ({means[n]:.2f})' for n in ranked[-3:])}."
    if not diversity:
        return f"{said} Diversity needs training runs: name runs with other augmentations beside the first, or add --train."
    top = max(diversity, key=lambda name: diversity[name])
    return f"{said} Most diverse: {top} ({diversity[top]:.2f} times the training loss without)."
