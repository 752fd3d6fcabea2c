"""Two processes: in every host each image draws what it draws in one, and the weights are those of one up to rounding."""

import importlib.util
from pathlib import Path

import processes
import pytest
import torch
from launched import Found, found_by

HERE = Path(__file__).resolve().parent
MISSING = [name for name in ("lightning", "transformers", "accelerate") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Draws and weights by (processes, rank)."""
    return found_by(HERE / "processes.py", tmp_path_factory.mktemp("processes"))


@pytest.mark.parametrize("name", processes.CASES)
def test_every_image_draws_what_it_draws_in_one_process(name: str, found: dict) -> None:
    one = {(number, view): total for number, view, total in found[1, 0][0][name]}
    two = {(number, view): total for rank in (0, 1) for number, view, total in found[2, rank][0][name]}
    assert len(one) >= processes.STEPS * processes.STEP_IMAGES and two == one


@pytest.mark.parametrize("name", processes.CASES)
def test_two_processes_train_as_one(name: str, found: dict) -> None:
    """Catches gradients that nobody sums, and group means of one process's images."""
    for a, b, c in zip(*(found[key][1][name] for key in ((1, 0), (2, 0), (2, 1))), strict=True):
        assert torch.equal(b, c)
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
