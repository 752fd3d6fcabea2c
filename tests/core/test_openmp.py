"""Small tensor operations keep to the calling thread, and the kernels of the images get all of them."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from samples import noise_of, noisy

import augury
from augury.augment.forms import chain
from augury.augment.stages import plan
from augury.core import openmp
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.openmp import OneThread
from augury.core.plan import Clock, Plan, Policy, Space

pytestmark = pytest.mark.skipif(openmp._limits() is None, reason="PyTorch's OpenMP cannot be reached here")


@pytest.fixture(autouse=True)
def _three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_the_number_of_threads_is_one_inside_and_restored_after_an_error() -> None:
    with pytest.raises(KeyError), OneThread():
        with OneThread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1  # catches an inner context that restores what it did not change
        raise KeyError
    assert torch.get_num_threads() == 3


def test_threads_that_begin_meanwhile_keep_their_number() -> None:
    # Catches torch.set_num_threads(1), which holds for good in every thread that begins before it is taken back.
    found = []
    with OneThread():
        other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        other.start()
        other.join()
    assert found == [3]


@dataclass(frozen=True)
class Watched:
    """A policy that notes how many threads its draws may take."""

    policy: Policy
    seen: list[int]

    @property
    def space(self) -> Space:
        return self.policy.space

    @property
    def slots(self) -> int:
        return self.policy.slots

    def ask(self, noise: Noise, clock: Clock) -> Plan:
        self.seen.append(torch.get_num_threads())
        return self.policy.ask(noise, clock)

    def log_prob(self, plan: Plan) -> torch.Tensor:
        return self.policy.log_prob(plan)


def test_draws_and_records_take_one_thread_and_kernels_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGURY_BACKEND", "numba")
    monkeypatch.setenv("AUGURY_FUSE", "1")
    seen: dict[str, list[int]] = {"draws": [], "records": [], "kernels": []}

    def watched(name: str, function: Any) -> Any:
        def called(*given: Any) -> Any:
            seen[name].append(torch.get_num_threads())
            return function(*given)

        return called

    monkeypatch.setattr(plan, "lower", watched("records", plan.lower))
    monkeypatch.setattr(chain, "in_parts", watched("kernels", chain.in_parts))
    stage = plan.PlanStage("watched", Watched(augury.policy("randaugment"), seen["draws"]))
    batch = Batch(noisy(8, height=16, width=16), None, torch.arange(8))
    augury.pipeline([stage]).run(batch, noise_of(batch))
    assert seen == {"draws": [1], "records": [1], "kernels": [3]}
