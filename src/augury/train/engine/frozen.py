"""Freezes parts of networks, and gives layers further from the head smaller learning rates."""

from collections.abc import Iterable

from torch import nn

from augury.core.errors import InputError
from augury.train.engine.settings import Settings
from augury.train.models.backbone import head_of
from augury.train.models.depth import depths


def freeze(settings: Settings, networks: Iterable[nn.Module]) -> list[str]:
    """Freeze the parameters that `--freeze` names; returns notes on them. InputError for more stages than the network has."""
    if settings.freeze is None:
        return []
    notes = []
    for network in networks:
        still, what = _still(network, settings)
        named = dict(network.named_parameters())
        for name in still:
            named[name].requires_grad_(False)
        own, every = sum(named[name].numel() for name in still), sum(p.numel() for p in named.values())
        note = f"frozen: {what}, {own:,} of {every:,} parameters; their batch normalisation stays in evaluation mode"
        if note not in notes:
            notes.append(note)
    return notes


def _still(network: nn.Module, settings: Settings) -> tuple[list[str], str]:
    """The names of the parameters to freeze, and a description of them."""
    if settings.freeze == "backbone":
        head = head_of(network)
        return [name for name, _ in network.named_parameters() if not name.startswith(f"{head}.")], "all but the head"
    found = depths(network, stages=True)
    stages, wanted = max(found.values()) - 1, int(settings.freeze or 0)
    if wanted > stages:
        raise InputError(f"--freeze {wanted}: {settings.model} has {stages} stages after its stem; give 1 to {stages}, or backbone")
    return [name for name, depth in found.items() if depth <= wanted], f"the stem and {wanted} of {stages} stages"


def stay(settings: Settings, networks: Iterable[nn.Module]) -> None:
    """Put frozen modules into evaluation mode, with all their submodules. Call it whenever networks are put into training mode, so
    that frozen batch normalisation keeps its statistics and frozen dropout drops nothing."""
    if settings.freeze is None:
        return
    for network in networks:
        for module in network.modules():
            parameters = list(module.parameters())
            if parameters and not any(parameter.requires_grad for parameter in parameters):
                module.eval()


def rates_by_depth(settings: Settings, networks: Iterable[nn.Module]) -> dict[nn.Parameter, float] | None:
    """The factor of each parameter's learning rate: `layer_decay` to the power of the number of layers from it to the head (Clark
    et al. 2020, arXiv:2003.10555; BEiT, arXiv:2106.08254). None if all have the full rate."""
    if settings.layer_decay is None:
        return None
    rates: dict[nn.Parameter, float] = {}
    for network in networks:
        found = depths(network)
        deepest = max(found.values())
        rates |= {p: settings.layer_decay ** (deepest - found[name]) for name, p in network.named_parameters()}
    return rates


def check_tuning(settings: Settings) -> None:
    """InputError for settings of trained weights that contradict each other or have nothing to act on."""
    trained = settings.pretrained not in (None, "none") or "pretrained=" in settings.model
    if settings.freeze is not None and not trained:
        raise InputError(f"--freeze {settings.freeze}: would keep random weights; add --pretrained, or leave it out")
    if settings.normalization == "data" and settings.pretrained is None:
        raise InputError("--normalization data: is the default without --pretrained; leave it out")
    if settings.freeze is not None and settings.refine_mode == "statistics":
        raise InputError("--refine-mode statistics: estimates statistics that --freeze keeps; leave one out")
