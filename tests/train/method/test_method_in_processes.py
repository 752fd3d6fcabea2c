"""Two processes: every image gets the draws that it gets in one, and the weights are those of one up to rounding."""

from pathlib import Path

import pytest
import together
import torch
from launched import Found, found_by

from augury.core import registry

REFUSED = {"reid": "compares the images of whole batches"}
# They mix images, and a process mixes its own rows: partners are others than in one process.
PARTNERS = {"manifold_mixup", "adversarial_autoaugment", "uncertainty", "uncertainty(candidates=2)"}
HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Findings and weights by (processes, rank)."""
    return found_by(HERE / "together.py", tmp_path_factory.mktemp("together"))


def test_every_image_gets_the_same_draws_in_one_process_and_in_two(found: dict) -> None:
    one = {(number, view): total for number, view, total in found[1, 0][0]["drawn"]}
    two = {(number, view): total for rank in (0, 1) for number, view, total in found[2, rank][0]["drawn"]}
    assert len(one) == 2 * 160 and two == one


def test_a_method_within_ddp_trains_as_in_one_process(found: dict) -> None:
    for a, b, c in zip(found[1, 0][1]["ddp"], found[2, 0][1]["ddp"], found[2, 1][1]["ddp"], strict=True):
        assert torch.equal(b, c)
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_overlapped_sums_are_the_plain_ones_bit_for_bit(found: dict) -> None:
    """Catches the wrapper's mean in place of the sum, and a backward pass whose buckets are not summed."""
    weights = found[2, 0][1]
    pairs = [(name, f"{name}, summed") for name in weights if f"{name}, summed" in weights]
    assert len(pairs) == 4
    for name, plain in pairs:
        assert all(torch.equal(a, b) for a, b in zip(weights[name], weights[plain], strict=True)), name


@pytest.mark.parametrize("strategy", dict.fromkeys([*registry.names("strategy"), *together.MORE]))
def test_every_strategy_trains_as_in_one_process_or_is_refused(strategy: str, found: dict) -> None:
    """Catches group means of a process's own images in place of the whole step's, and state that processes do not share."""
    if strategy in REFUSED:
        assert all(REFUSED[strategy] in found[2, rank][0]["refused"][strategy] for rank in (0, 1))
        return
    for a, b, c in zip(*(found[key][1][strategy] for key in ((1, 0), (2, 0), (2, 1))), strict=True):
        assert torch.equal(b, c)
        if strategy not in PARTNERS:
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_without_ids_processes_draw_differently(found: dict) -> None:
    first, second = found[2, 0][0]["without_ids"], found[2, 1][0]["without_ids"]
    assert not set(first) & set(second)
    assert found[1, 0][0]["without_ids"] == first, "the first process draws as one alone does"
