"""Strategies x hosts: the first five losses and the weights after them equal the own engine's bit for bit."""

from pathlib import Path

import hosts
import pytest
import torch

from augury.core.errors import InputError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own-loop.md"
pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own


@pytest.mark.parametrize("name", hosts.names())
@pytest.mark.parametrize("host", hosts.HOSTS)
def test_every_host_trains_as_the_own_engine_does(name: str, host: str) -> None:
    """Catches an argument of a step that a host leaves out: a view, a stream, the epoch's address, a visit."""
    for library in {"Lightning": ["lightning"], "HF Trainer": ["transformers", "datasets"], "timm loader": ["timm"]}.get(host, []):
        pytest.importorskip(library)
    case = hosts.case_of(name)
    trainer, expected = hosts.own_engine(name)
    if (name, host) in hosts.REFUSED:
        with pytest.raises(InputError, match=hosts.REFUSED[name, host][0]):
            hosts.loop_of(case, host)(case, trainer.read)
        return
    losses, weights = hosts.loop_of(case, host)(case, trainer.read)
    assert [float(loss) for loss in losses] == [float(loss) for loss in trainer.losses]
    assert len(weights) == len(expected) and all(torch.equal(a, b) for a, b in zip(weights, expected, strict=True))


def test_timm_without_its_prefetcher_gives_the_same() -> None:
    pytest.importorskip("timm")
    case = hosts.case_of("ait")
    trainer, expected = hosts.own_engine("ait")
    _, weights = hosts.timm(case, trainer.read, prefetcher=False)
    assert all(torch.equal(a, b) for a, b in zip(weights, expected, strict=True))


def test_the_page_shows_this_table() -> None:
    assert hosts.table() in PAGE.read_text(encoding="utf-8")


def test_few_lines_of_a_loop_are_about_augury() -> None:
    """Three for an augmentation alone and at most six for a strategy."""
    for name in hosts.names():
        case = hosts.case_of(name)
        assert all(hosts.lines(case, host) <= (3 if case.alone else 6) for host in hosts.HOSTS), name
