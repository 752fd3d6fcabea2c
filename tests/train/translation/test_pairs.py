"""Which translations are learned from what, and where every training image goes."""

import pytest
import torch
from grouped import groups
from torch import Tensor, nn

from augury.core.errors import InputError
from augury.train.data.dataset import Dataset, Split
from augury.train.strategies.clamp import consistency
from augury.train.translation.pairs import Translators, notes_of, pairs_of, sources, translate_split

FOUR = groups([(0, 0), (0, 1), (1, 0), (1, 1)], [6, 2, 3, 5])


class Add(nn.Module):
    """A generator that shifts brightness by so many grey levels, and by a guide where it reads one."""

    def __init__(self, levels: int, *, guided: bool = False) -> None:
        super().__init__()
        self.levels, self.guided = nn.Parameter(torch.tensor(float(levels))), guided

    def forward(self, images: Tensor, guide: Tensor | None = None) -> Tensor:
        return images + self.levels / 127.5 + (0 if guide is None else guide)


def split_of(found: object) -> Split:
    """Images of the groups' counts, each of its own brightness."""
    labels = torch.cat([torch.full((n,), y) for y, n in zip(found.classes.tolist(), found.counts.tolist(), strict=True)])  # type: ignore[attr-defined]
    inside = torch.cat([torch.full((n,), z) for z, n in zip(found.subgroups.tolist(), found.counts.tolist(), strict=True)])  # type: ignore[attr-defined]
    images = (100 + torch.arange(len(labels)))[:, None, None, None].expand(-1, 1, 4, 4).to(torch.uint8)
    return Split(images, labels, torch.arange(len(labels)), inside)


def dataset_of(split: Split) -> Dataset:
    return Dataset("made", ("0", "1"), split, split, split, (0.5,), (0.5,))


def test_pairs_per_class_and_for_all() -> None:
    assert [(p.classes, p.a, p.b) for p in pairs_of(FOUR)] == [((0,), 0, 1), ((1,), 0, 1)]
    assert [(p.classes, p.a, p.b) for p in pairs_of(FOUR, "all")] == [((0, 1), 0, 1)]
    three = groups([(0, 0), (0, 1), (0, 2), (1, 0), (1, 2)], [2, 2, 2, 2, 2])
    assert [(p.classes, p.a, p.b) for p in pairs_of(three)] == [((0,), 0, 1), ((0,), 0, 2), ((0,), 1, 2), ((1,), 0, 2)]
    assert [(p.classes, p.a, p.b) for p in pairs_of(three, "all")] == [((0,), 0, 1), ((0, 1), 0, 2), ((0,), 1, 2)]
    assert len({p.name for p in pairs_of(three)}) == 4


def test_a_class_alone_is_left_out_and_noted() -> None:
    alone = groups([(0, 0), (0, 1), (1, 1)], [30, 30, 30])
    assert [p.classes for p in pairs_of(alone)] == [(0,)] == [p.classes for p in pairs_of(alone, "all")]
    assert any("class '1' has the single subgroup '1'" in note for note in notes_of(alone))


def test_tiny_groups_are_refused_or_noted() -> None:
    with pytest.raises(InputError, match="group '0, 1' has 1 training image"):
        pairs_of(groups([(0, 0), (0, 1)], [9, 1]))
    with pytest.raises(InputError, match="single subgroup in training"):
        pairs_of(groups([(0, 0), (1, 1)], [9, 9]))
    with pytest.raises(InputError, match="single subgroup in training"):
        pairs_of(groups([(0, 0), (0, 1), (1, 1)], [9, 0, 9]))
    assert any("'0, 1' has 2 training images" in note for note in notes_of(FOUR))


def test_sources_are_the_two_subgroups() -> None:
    split = split_of(FOUR)
    a, b = sources(split, pairs_of(FOUR)[1])
    assert a.ids.tolist() == [8, 9, 10] and b.ids.tolist() == [11, 12, 13, 14, 15]
    a, b = sources(split, pairs_of(FOUR, "all")[0])
    assert len(a.ids) == 9 and sorted(set(a.strata.tolist())) == [0, 1] and len(b.ids) == 7


@pytest.mark.parametrize("scope", ["class", "all"])
def test_every_image_passes_through_the_generators_to_both_subgroups(scope: str) -> None:
    split, pairs = split_of(FOUR), pairs_of(FOUR, scope)  # type: ignore[arg-type]
    made = Translators(pairs, {n: (Add(10 * (n + 1)), Add(-10 * (n + 1))) for n in range(len(pairs))})  # type: ignore[misc]
    found = translate_split(dataset_of(split), FOUR, made, seed=0).float()
    by_class = torch.tensor([10.0, 20.0]) if scope == "class" else torch.tensor([10.0, 10.0])
    step = by_class[split.labels][:, None, None, None]
    images = split.images.float()
    assert torch.equal(found[:, 0], images - step), "first to subgroup 0"
    assert torch.equal(found[:, 1], images + step), "then to subgroup 1"


def test_three_subgroups_go_by_pairs_and_absent_ones_are_repeated() -> None:
    three = groups([(0, 0), (0, 1), (0, 2), (1, 0), (1, 2)], [2, 2, 2, 2, 2])
    pairs = pairs_of(three)
    shift = {n: 10 ** (n % 2 + 1) // (1 + n // 2) for n in range(4)}  # 10, 100, 5, 50
    made = Translators(pairs, {n: (Add(shift[n]), Add(-shift[n])) for n in range(4)})  # type: ignore[misc]
    split = split_of(three)
    found = (translate_split(dataset_of(split), three, made, seed=0).float() - split.images[:, None].float())[:, :, 0, 0, 0]
    assert found[0].tolist() == [-10, 10, 100], "0 to 0 and 1 by the pair 0-1, to 2 by 0-2"
    assert found[2].tolist() == [-10, 10, 5] and found[4].tolist() == [-100, -5, 100]
    assert found[6].tolist() == [-50, 50, 0], "class 1 has two subgroups: the third place repeats the image"


def test_identity_translators_give_no_inconsistency() -> None:
    split, pairs = split_of(FOUR), pairs_of(FOUR)
    made = Translators(pairs, {n: (Add(0), Add(0)) for n in range(len(pairs))})  # type: ignore[misc]
    found = translate_split(dataset_of(split), FOUR, made, seed=0)
    assert torch.equal(found, split.images[:, None].expand_as(found))
    network = nn.Linear(16, 3)
    logits = network(split.images.flatten(1).float() / 255)
    others = network(found.flatten(0, 1).flatten(1).float() / 255).reshape(len(logits), 2, 3)
    assert consistency(logits, others, torch.ones(len(logits), 2, dtype=torch.bool)).abs().max() < 1e-6


@pytest.mark.parametrize(("lost", "taken"), [(60, "the example's way"), (-200, "the way without")])
def test_guided_translations_take_the_way_that_comes_nearer_to_the_target(lost: int, taken: str) -> None:
    """The target is 60 levels brighter. An example loses 60 on its way out, which is what it should guide to, or gains 200."""
    two = groups([(0, 0), (0, 1)], [5, 4])
    split = split_of(two)
    bright = Split(split.images + 60 * split.groups[:, None, None, None].to(torch.uint8), split.labels, split.ids, split.groups)
    translators = Translators(pairs_of(two), {0: (Add(0, guided=True), Add(-lost, guided=True))})  # type: ignore[dict-item]
    made = translate_split(dataset_of(bright), two, translators, seed=0)
    assert translators.by_example[0, 0, 1] == (taken == "the example's way")
    expected = bright.images[:5] + (60 if taken == "the example's way" else 0)
    assert torch.equal(made[:5, 1], expected)
    assert torch.equal(made[5:, 1], bright.images[5:]), "to its own subgroup an image goes without an example"
