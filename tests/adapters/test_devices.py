"""Devices other than CPU and CUDA: `meta` stands in, watched for double precision, which mps lacks."""

from dataclasses import replace
from typing import Any

import hosts
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import augury
from augury.core.errors import InputError
from augury.train.method import inputs

IMAGES = torch.zeros(4, 3, 16, 16, dtype=torch.uint8)


class NoDoubles(TorchDispatchMode):
    """Fails where anything in double precision is made on the device, which mps cannot."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        done = function(*args, **(kwargs or {}))
        for each in tree_leaves(done):
            assert not (isinstance(each, Tensor) and each.is_meta and each.dtype == torch.float64), function
        return done


WITHOUT_MAPS = [name for name in hosts.names() if "alone" not in name and "head" not in name]  # saliency needs numbers


@pytest.mark.parametrize("name", WITHOUT_MAPS)
def test_images_are_augmented_on_the_cpu_and_trained_on_where_the_network_is(name: str) -> None:
    """Catches draws on the device, double precision on it, and images, labels or weights that stay behind."""
    case = hosts.case_of(name)
    case = replace(case, augment=case.augment.replace("keep(cutmix)", "cutmix"))
    method = hosts.method_of(case).to("meta")
    method.start_epoch(0, epochs=2)
    trainer, _ = hosts.own_engine(name)
    batch = hosts.batches_of(case, trainer.read)[0]
    with NoDoubles():
        for step in method.turns(**batch):
            step.loss.backward()
            assert step.loss.is_meta
    assert any(p.grad is not None for p in method.parameters())


@pytest.mark.parametrize("call", [augury.pipeline("rotate"), lambda images: augury.apply("invert", images)])
def test_pipelines_refuse_in_one_line_that_says_what_to_do(call: Any) -> None:
    with pytest.raises(InputError, match=r"augment before moving them: pipeline\(images\.cpu\(\)\)\.to\('meta'\)") as caught:
        call(IMAGES.to("meta"))
    assert "\n" not in str(caught.value)


def test_evaluation_normalises_anywhere() -> None:
    transform = augury.pipeline("normalize", normalize=([0.5] * 3, [0.25] * 3))
    with NoDoubles():
        assert transform(IMAGES.to("meta")).is_meta


def test_images_that_lie_elsewhere_are_fetched_and_it_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "augments", lambda device: False)
    method = hosts.method_of(hosts.case_of("erm"))
    images, labels = hosts.training_part(hosts.case_of("erm"))
    method.start_epoch(0, epochs=1)
    with pytest.warns(UserWarning, match="leave them on the CPU to spare a copy") as said:
        losses = [
            method(images[:8], labels[:8], ids=torch.arange(8), visits=torch.zeros(8, dtype=torch.int64)).loss for _ in range(2)
        ]
    assert len(said) == 1 and torch.equal(*losses)
