"""Strategies x hosts: the first five losses and the weights after them equal the own engine's bit for bit."""

import hosts
import pytest
import torch


@pytest.mark.parametrize("name", hosts.names())
def test_plain_pytorch_trains_as_the_own_engine_does(name: str) -> None:
    """Catches an argument of a step that the method leaves out: a view, a stream, the epoch's address, a visit."""
    case = hosts.case_of(name)
    trainer, expected = hosts.own_engine(case)
    losses, weights = hosts.plain_pytorch(case, trainer.read)
    assert [float(loss) for loss in losses] == [float(loss) for loss in trainer.losses]
    assert len(weights) == len(expected) and all(torch.equal(a, b) for a, b in zip(weights, expected, strict=True))
