"""Every policy that can be imported, value by value, against the library it comes from."""

import pytest
import torch

import augury
from augury.augment.policies.convert import from_timm, from_torchvision
from augury.core.errors import InputError
from augury.explain.fidelity import policies

pytest.importorskip("timm", reason="timm is not installed: its policies cannot be compared")
FOUND, VERSIONS, _ = policies.comparisons()


@pytest.mark.parametrize("found", FOUND, ids=lambda c: f"{c.library}-{c.name}")
def test_every_entry_is_the_librarys_to_the_bit(found: policies.Comparison) -> None:
    # Catches any level that float32 takes elsewhere, and a ladder that mixes two of timm's.
    assert found.entries > 0 and not found.reason
    assert found.different == 0, found.first


def test_all_that_is_imported_is_compared() -> None:
    names = " ".join(c.name for c in FOUND)
    for name in ("IMAGENET", "CIFAR10", "SVHN", "RandAugment", "TrivialAugmentWide", "AugMix"):
        assert name in names
    for name in ("original", "originalr", "v0", "v0r", "rand-m0", "inc1", "augmix"):
        assert name in names
    assert set(VERSIONS) == {"torchvision", "timm"}


def test_a_value_an_ulp_away_and_a_missing_operation_are_found() -> None:
    one = [(("color", 1.0, (1.27, 0.73)),)]
    near = [(("color", 1.0, (1.27, float(torch.nextafter(torch.tensor(0.73), torch.tensor(0.0))))),)]
    assert policies.compared("x", "y", "z", one, one).different == 0
    assert policies.compared("x", "y", "z", one, near).different == 1
    assert policies.compared("x", "y", "z", one, [*one, *one]).different == 1


@pytest.mark.parametrize(
    ("text", "expected", "said"),
    [
        ("rand-m15", "randaugment(num_ops=2, magnitude=10, version=timm)", "m15 is 10"),
        ("rand-m15-mmax20", "randaugment(num_ops=2, magnitude=15, version=timm)", ""),
        ("rand-m25-mmax20", "randaugment(num_ops=2, magnitude=20, version=timm)", "m25 is 20: timm clips magnitudes at mmax"),
        (
            "rand-m15-mmax20-mstd2",
            "randaugment(num_ops=2, magnitude=15, version=timm, spread=2, max_magnitude=20)",
            "",
        ),
        ("rand-m9-mstd101", "randaugment(num_ops=2, magnitude=9, version=timm, level=uniform)", ""),
        ("rand-m9-t9", "randaugment(num_ops=2, magnitude=9, version=timm)", "t9 names no set of operations"),
        ("original-mstd0.5", "autoaugment(table=imagenet, ladder=timm_original, spread=0.5)", "whole pixels"),
        ("augmix-m5-b1", "augmix(severity=5, width=3, version=timm)", "b1"),
        ("augmix-m5-mstd1-a2", "augmix(severity=5, width=3, version=timm, alpha=2, spread=1)", "rounded"),
    ],
)
def test_what_timm_clips_and_what_is_left_out_is_said(text: str, expected: str, said: str) -> None:
    found = from_timm(text)
    assert found.text == expected
    assert not said or any(said in note for note in found.notes)
    assert any("whole pixels" in note for note in found.notes)
    images = torch.randint(0, 256, (8, 3, 24, 24), dtype=torch.uint8)
    assert augury.pipeline(found.text)(images).shape == images.shape


@pytest.mark.parametrize(
    ("text", "part"), [("rand-m9-tweights", "weights"), ("rand-m9.5", "whole number"), ("rand-w0", "'w0'"), ("v0-m9", "'m9'")]
)
def test_what_cannot_be_said_is_refused(text: str, part: str) -> None:
    with pytest.raises(InputError, match=part):
        from_timm(text)


def test_the_documented_magnitude_of_timm_rotates_by_no_more_than_30_degrees() -> None:
    # rand-m15 rotated by 45.
    (stage,) = augury.pipeline(from_timm("rand-m15-mstd1").text).stages
    batch = augury.Batch(torch.zeros(3000, 3, 8, 8, dtype=torch.uint8), None, torch.arange(3000))
    trace = stage.sample(batch, augury.Noise.of(0, batch.ids))
    rotate = next(k for k, entry in enumerate(stage.space.entries) if entry.op.name == "rotate")
    degrees = trace["value"][..., 0][trace["op"] == rotate].abs()
    assert 29.9 < float(degrees.max()) <= 30 and float(degrees.min()) > 15


def test_torchvisions_augmix_changes_colours_by_a_fifth_at_most() -> None:
    # Google's ladder gave factors from 0.1 to 0.64.
    (stage,) = augury.pipeline(from_torchvision("AugMix").text).stages
    ids = torch.arange(2000)
    trace = stage.sample(augury.Batch(torch.zeros(2000, 3, 8, 8, dtype=torch.uint8), None, ids), augury.Noise.of(0, ids))
    space = stage.stage.space
    color = next(k for k, entry in enumerate(space.entries) if entry.op.name == "color")
    factors = trace["chain/0/value"][..., 0][trace["chain/0/op"] == color]
    assert sorted(set(factors.tolist())) == pytest.approx([0.8, 0.9, 1.0, 1.1, 1.2], abs=1e-6)
