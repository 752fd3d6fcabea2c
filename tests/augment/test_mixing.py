"""Mixing as published, with one draw for a batch, and labels as (a, b, keep)."""

import pytest
import torch

import augury
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.targets import Targets

IMAGES = torch.randint(0, 256, (40, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
LABELS = torch.arange(40) % 10


def traced(name: str, rows: torch.Tensor, epoch: int = 0) -> dict[str, torch.Tensor]:
    batch = Batch(IMAGES[rows], Targets.of(LABELS[rows], 10), rows)
    return augury.pipeline(name).run(batch, Noise.of(0, rows, epoch=epoch))[1][0]


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_a_batch_wide_mix_draws_once_and_keeps_partners_apart(name: str) -> None:
    # Catches a shared draw that depends on the order of the batch, or is the same in every epoch.
    rows = torch.arange(40)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    trace, turned = traced(f"{name}(batch_wide=true)", rows), traced(f"{name}(batch_wide=true)", order)
    for key in ("value", "on", *(["box"] if name == "cutmix" else [])):
        assert (trace[key] == trace[key][:1]).all() and trace[key][0].equal(turned[key][0])
    assert trace["partner"].unique().numel() == 40
    assert traced(name, rows)["value"].unique().numel() > 20
    assert torch.stack([traced(f"{name}(batch_wide=true)", rows, epoch)["value"][0] for epoch in range(5)]).unique().numel() == 5


def test_a_batch_wide_cutmix_fires_for_all_or_none() -> None:
    fired = [bool(traced("cutmix(batch_wide=true)", torch.arange(40), epoch)["on"][0]) for epoch in range(60)]
    assert 15 < sum(fired) < 45


def test_pairs_are_the_labels_the_dense_rows_say() -> None:
    _, mixed = augury.pipeline("cutmix(p=1)")(IMAGES, LABELS, classes=10)
    a, b, keep = mixed.pair()
    expected = torch.zeros(40, 10).scatter_add_(1, a[:, None], keep[:, None]).scatter_add_(1, b[:, None], 1 - keep[:, None])
    assert a.equal(LABELS) and mixed.dense().allclose(expected)
    plain_a, plain_b, plain_keep = Targets.of(LABELS, 10).pair()
    assert plain_a.equal(LABELS) and plain_b.equal(LABELS) and plain_keep.eq(1).all()


def test_pairs_of_two_classes_and_after_two_mixes() -> None:
    _, mixed = augury.pipeline("mixup")(IMAGES, LABELS % 2, classes=2)
    a, b, keep = mixed.pair()
    dense = torch.zeros(40, 2).scatter_add_(1, a[:, None], keep[:, None]).scatter_add_(1, b[:, None], 1 - keep[:, None])
    assert dense.allclose(mixed.dense())
    _, twice = augury.pipeline("mixup+cutmix(p=1)")(IMAGES, LABELS, classes=10)
    with pytest.raises(InputError, match="4 weighted labels, not two"):
        twice.pair()
