"""In a DataLoader, draws differ between workers and epochs, and a seeded generator reproduces them all."""

import pytest
import torch
from loaded import Augmented
from torch.utils.data import DataLoader


def epochs(context: str | None, seed: int, count: int = 2, keep: bool = False, pipeline_seed: int = 0) -> list[dict[int, bytes]]:
    """What each index became in every epoch."""
    generator = torch.Generator().manual_seed(seed)
    loader = DataLoader(
        Augmented("rotate(degrees=uniform(-180, 180))", pipeline_seed), batch_size=4, num_workers=2 if context else 0,
        multiprocessing_context=context, generator=generator, persistent_workers=keep and context is not None,
    )  # fmt: skip
    found = []
    for _ in range(count):
        pairs = [(int(i), image.numpy().tobytes()) for indices, images in loader for i, image in zip(indices, images, strict=True)]
        found.append(dict(pairs))
    return found


def alike(left: dict[int, bytes], right: dict[int, bytes]) -> int:
    """How many of the sixteen images are equal in both; chance gives about none."""
    return sum(left[k] == right[k] for k in range(16))


@pytest.mark.parametrize(("context", "keep"), [("fork", False), ("fork", True), ("spawn", True)])
def test_workers_epochs_and_seeds(context: str, keep: bool) -> None:
    # All images are equal, so equal results are equal draws. Catches a pipeline whose counter starts alike in every worker.
    first, second = epochs(context, 1, keep=keep)
    assert len(set(first.values())) > 12, "workers or images of an epoch share their draws"
    assert alike(first, second) < 4, "epochs repeat each other"
    assert not set(first.values()) & set(second.values()) or len(set(first.values()) & set(second.values())) < 4
    if context == "fork":
        again = epochs(context, 1, keep=keep)
        assert again == [first, second], "a seeded generator does not repeat the draws"
        assert alike(first, epochs(context, 2, 1)[0]) < 4
        assert alike(first, epochs(context, 1, 1, pipeline_seed=1)[0]) < 4


def test_without_workers_the_pipelines_own_counter_goes_on() -> None:
    first, second = epochs(None, 1)
    assert len(set(first.values())) > 12 and alike(first, second) < 4
    assert epochs(None, 2) == [first, second]
