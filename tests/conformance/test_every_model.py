"""What holds for every registered network: the card's count, odd sizes, taps, any library by name."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import augury
from augury.core import registry
from augury.core.errors import InputError

CARD = Path(__file__).resolve().parents[2] / "docs" / "cards" / "models.md"
COUNTS = {
    name: int(count.replace(",", ""))
    for name, count in re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", CARD.read_text("utf-8"), re.MULTILINE)
}
every_model = pytest.mark.parametrize("name", registry.names("model"))


def on_nothing(name: str, classes: int = 10, channels: int = 3) -> nn.Module:
    """The network without memory: shapes are computed, values are not."""
    with torch.device("meta"):
        return augury.model(name, classes=classes, channels=channels)


@every_model
def test_the_card_counts_its_parameters(name: str) -> None:
    """Catches a layer more or less than the card's."""
    assert sum(p.numel() for p in on_nothing(name).parameters()) == COUNTS[name]


@every_model
def test_odd_sizes_give_logits_and_taps_are_modules_in_order(name: str) -> None:
    """Catches a fixed number of positions before the head, and a tap that the forward pass does not go through."""
    network = on_nothing(name, 5, 1).eval()
    assert network.taps, "without taps nothing can be mixed or looked at within the network"
    reached: list[str] = []

    def note(tap: str) -> None:
        def hook(module: nn.Module, given: object, made: Tensor) -> None:
            reached.append(tap)
            assert made.shape[0] == 3

        network.get_submodule(tap).register_forward_hook(hook)

    for tap in network.taps:
        note(tap)
    logits = network(torch.zeros(3, 1, 33, 47, device="meta"))
    assert logits.shape == (3, network.head.out_features) == (3, 5) and tuple(reached) == tuple(network.taps)


@pytest.mark.parametrize("library", registry.names("library"))
def test_libraries_are_asked_by_name(library: str) -> None:
    pytest.importorskip(library)
    network = augury.model(f"{library}:resnet18", classes=4, channels=1)
    assert isinstance(network.head, nn.Linear) and network.head.out_features == 4 and network.taps
    with pytest.raises(InputError, match="did you mean 'resnet18'|resnet"):
        augury.model(f"{library}:resnet1888", classes=4)
    with pytest.raises(InputError, match="comes from the data"):
        augury.model(f"{library}:resnet18(classes=3)", classes=4)


def test_another_library_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match="unknown library of networks 'torchvison'; did you mean 'torchvision'"):
        augury.model("torchvison:resnet18", classes=4)
