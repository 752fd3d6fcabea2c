"""The translations that a data set needs, and every training image translated to the subgroups of its class."""

from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.train.data.dataset import Dataset, Split
from augury.train.data.groups import Groups
from augury.train.translation.cyclegan import Example, Source, translate
from augury.train.translation.generator import TranslationGenerator
from augury.train.translation.quality import MOST_COMPARED, energy_distance, features, rows_of

Scope = Literal["class", "all"]
FEWEST = 2
FEW = 20


@dataclass(frozen=True)
class Pair:
    """A translation between subgroups a and b, for the images of `classes` (one class, or all that have both). name: for its
    files. title: for readers."""

    classes: tuple[int, ...]
    a: int
    b: int
    name: str
    title: str


def pairs_of(groups: Groups, scope: Scope = "class") -> list[Pair]:
    """Every pair of subgroups that occur together in a class: per class, or once for all classes.

    Raises InputError if no class has two subgroups, and for a group with fewer than two training images.
    """
    inside = {y: [int(groups.subgroups[g]) for g in groups.trained(y)] for y in range(len(groups.class_names))}
    if all(len(own) < 2 for own in inside.values()):
        raise InputError("DATA: every class has a single subgroup in training, so there is nothing to translate or to patch")
    for g, count in enumerate(groups.counts.tolist()):
        if 0 < count < FEWEST and len(inside[int(groups.classes[g])]) > 1:
            raise InputError(
                f"DATA: group {groups.names[g]!r} has {count} training image; a translation is learned from at least {FEWEST}: "
                "add images or leave the group out"
            )
    names = groups.subgroup_names
    if scope == "class":
        asked: list[tuple[tuple[int, ...], int, int]] = [((y,), a, b) for y, own in inside.items() for a, b in combinations(own, 2)]
    else:
        both = sorted({pair for own in inside.values() for pair in combinations(own, 2)})
        asked = [(tuple(y for y, own in inside.items() if {a, b} <= set(own)), a, b) for a, b in both]
    found = []
    for number, (classes, a, b) in enumerate(asked):
        whose = groups.class_names[classes[0]] if scope == "class" else "all classes"
        file = "-".join((str(number), *map(_file, (whose, names[a], names[b]))))
        found.append(Pair(classes, a, b, file, f"{whose}: {names[a]} and {names[b]}"))
    return found


def notes_of(groups: Groups) -> list[str]:
    """Notes for readers on small groups and on classes with a single subgroup."""
    notes = []
    for y, name in enumerate(groups.class_names):
        own = groups.trained(y)
        if len(own) == 1:
            notes.append(f"class {name!r} has the single subgroup {_subgroup(groups, own[0])!r}: no translation and no gap")
        few = [g for g in own if len(own) > 1 and int(groups.counts[g]) < FEW]
        notes += [
            f"group {groups.names[g]!r} has {int(groups.counts[g])} training images: look at its translations before trusting them"
            for g in few
        ]
    return notes


def sources(split: Split, pair: Pair) -> tuple[Source, Source]:
    """The training images of a pair's two subgroups; if of several classes, these are drawn equally often."""
    assert split.groups is not None
    inside = torch.isin(split.labels, torch.tensor(pair.classes))
    found = []
    for subgroup in (pair.a, pair.b):
        rows = (inside & (split.groups == subgroup)).nonzero()[:, 0]
        found.append(Source(split.images[rows], split.ids[rows], split.labels[rows]))
    return found[0], found[1]


@dataclass(frozen=True)
class Translators:
    """Trained generators: by a pair's number, the one to its `b` and the one to its `a`. by_example: by class, start and target
    of the guided translations made so far, whether those with an example are nearer to the target."""

    pairs: list[Pair]
    generators: dict[int, tuple[TranslationGenerator, TranslationGenerator]] = field(default_factory=dict)
    by_example: dict[tuple[int, int, int], bool] = field(default_factory=dict)

    def generator(self, label: int, start: int, target: int) -> TranslationGenerator:
        """The generator for a class's images from a subgroup to a target; to their own, one that should change little."""
        ends = {start, target}
        number = next(n for n, pair in enumerate(self.pairs) if label in pair.classes and ends <= {pair.a, pair.b})
        to_b, to_a = self.generators[number]
        return to_b if target == self.pairs[number].b else to_a


def translate_split(dataset: Dataset, groups: Groups, translators: Translators, *, seed: int) -> Tensor:
    """uint8 [N,K,C,H,W]: the translations of every training image to the K subgroups of its class.

    As published, an image also passes through a generator to its own subgroup, which should be near the identity. K is the
    largest number of subgroups in a class; in classes with fewer, the image itself fills the rest, which the strategy ignores.
    Guided generators translate with and without an example, and for each subgroup the result nearer to the target is kept.
    """
    split = dataset.train
    inside = {y: [int(groups.subgroups[g]) for g in groups.trained(y)] for y in range(len(groups.class_names))}
    count = max(len(own) for own in inside.values())
    found = split.images[:, None].repeat(1, count, 1, 1, 1)
    for y, own in inside.items():
        if len(own) < 2:
            continue
        for start in own:
            rows = rows_of(split, y, start)
            for place, target in enumerate(own):
                generator = translators.generator(y, start, target)
                made = translate(generator, split.images[rows], seed=seed + place)
                if generator.guided and start != target:
                    real = rows_of(split, y, target)
                    guided = _guided(translators, split, rows, real, (y, start, target), seed + place)
                    nearer = _apart(guided, split, real) < _apart(made, split, real)
                    translators.by_example[y, start, target] = nearer
                    made = guided if nearer else made
                found[rows, place] = made
    return found


def _guided(translators: Translators, split: Split, rows: Tensor, real: Tensor, way: tuple[int, int, int], seed: int) -> Tensor:
    """Translate the images in `rows` by `way` (class, start, target), each with an example from the `real` rows of the target."""
    label, start, target = way
    drawn = Noise.of(seed, split.ids[rows]).fold("example").integers(1, len(real))[:, 0]
    example = Example(split.images[real[drawn]], translators.generator(label, target, start))
    return translate(translators.generator(*way), split.images[rows], seed=seed, example=example)


def _apart(made: Tensor, split: Split, real: Tensor) -> float:
    return energy_distance(features(made[:MOST_COMPARED]), features(split.images[real[:MOST_COMPARED]]))


def _subgroup(groups: Groups, g: int) -> str:
    return groups.subgroup_names[int(groups.subgroups[g])]


def _file(word: str) -> str:
    return "".join(c if c.isalnum() or c in "._" else "_" for c in word)[:40]
