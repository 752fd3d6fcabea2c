"""A trained classifier as a detector's backbone: its weights without the head, and a feature pyramid on its stages."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from augury.core.errors import InputError
from augury.train.models.bnneck import BnNeck
from augury.train.models.build import build
from augury.train.models.external import External

WEIGHTS, CARD = "backbone.safetensors", "export.json"


@dataclass(frozen=True)
class Card:
    """The content of export.json: how to build the network that the weights belong to, and the input it expects.

    layers: names of its stages in forward order; widths: their channels. mean, std: per channel in [0, 1].
    """

    model: str
    classes: int
    channels: int
    layers: list[str]
    widths: list[int]
    mean: list[float]
    std: list[float]
    version: int = 1

    def dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def unwrapped(network: nn.Module) -> tuple[nn.Module, str, str]:
    """The network without Augury's wrappers (`BnNeck`, `External`), the prefix of its parameters' names (such as `network.`), and
    the path of its head."""
    path, head, inner = "", "", network
    while isinstance(inner, BnNeck | External):
        head = inner.head_path if isinstance(inner, External) else ""
        inner, path = inner.network, f"{path}network."
    return inner, path, head or head_of(inner)


def head_of(network: nn.Module) -> str:
    """The path of a network's `head`, or of its last linear layer if it has no such attribute."""
    linear = [path for path, module in network.named_modules() if isinstance(module, nn.Linear)]
    last = getattr(network, "head", None)
    return next((path for path, module in network.named_modules() if module is last), linear[-1] if linear else "head")


def body(network: nn.Module) -> tuple[nn.Module, list[str]]:
    """The plain network (see `unwrapped`) and the names of its stages without the stem."""
    inner, path, _ = unwrapped(network)
    taps = [tap.removeprefix(path) for tap in getattr(network, "taps", ())]
    names = [tap for tap in taps if "." not in tap]
    if not names or names != taps or any(name not in dict(inner.named_children()) for name in names):
        raise InputError(
            "RUN: export needs a network whose stages are its direct children, such as resnet18, wrn_28_10 or torchvision:resnet50"
        )
    return inner, [name for name in names if name != "stem"]


def weights(network: nn.Module) -> dict[str, Tensor]:
    """The weights up to the last stage, under their names in the plain network: for a torchvision network, torchvision's."""
    inner, layers = body(network)
    children = list(dict(inner.named_children()))
    wanted = children[: children.index(layers[-1]) + 1]
    state = inner.state_dict()
    return {key: value.detach().cpu().contiguous() for key, value in state.items() if key.split(".")[0] in wanted}


def widths(network: nn.Module, channels: int, side: int = 64) -> list[int]:
    """The number of channels that each stage outputs."""
    inner, layers = body(network)
    seen: dict[str, int] = {}
    hooks = [
        inner.get_submodule(name).register_forward_hook(lambda module, given, made, name=name: seen.update({name: made.shape[1]}))
        for name in layers
    ]
    parameter, training = next(network.parameters()), network.training
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, channels, side, side, device=parameter.device))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return [seen[name] for name in layers]


def read_card(folder: Path) -> Card:
    """Reads an export's description; InputError if there is none."""
    try:
        return Card(**json.loads((folder / CARD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        raise InputError(f"{folder}: no export here; give the --output folder of `augury export`") from None


def detection_backbone(folder: str | Path, *, stages: int = 4, out_channels: int = 256, frozen_norms: bool = True) -> nn.Module:
    """An export as torchvision's `BackboneWithFPN`, for its `FasterRCNN(backbone, num_classes)` and `RetinaNet`.

    stages: the number of last stages that the pyramid is built on. frozen_norms: batch normalisation keeps its statistics, as
    in torchvision's pretrained backbones. Pass the export's mean and std to the detector as `image_mean` and `image_std`.
    Raises InputError for a folder without an export and for damaged weights.
    """
    from torchvision.models.detection.backbone_utils import BackboneWithFPN

    place = Path(folder)
    card = read_card(place)
    with torch.random.fork_rng(devices=[]):
        inner, layers = body(build(card.model, classes=card.classes, channels=card.channels))
    try:
        missing = inner.load_state_dict(load_file(place / WEIGHTS), strict=False)
    except OSError as error:
        raise InputError(f"{place / WEIGHTS}: cannot be read ({error.strerror or error}); make it readable") from None
    except (SafetensorError, RuntimeError):
        raise InputError(f"{place / WEIGHTS}: damaged, or of another network; export again") from None
    before = list(dict(inner.named_children()))[: list(dict(inner.named_children())).index(layers[-1]) + 1]
    if missing.unexpected_keys or any(key.split(".")[0] in before for key in missing.missing_keys):
        raise InputError(f"{place / WEIGHTS}: of another network; export again")
    if frozen_norms:
        _freeze(inner)
    chosen = layers[-stages:]
    made: nn.Module = BackboneWithFPN(
        inner, {name: str(number) for number, name in enumerate(chosen)}, card.widths[-stages:], out_channels
    )
    return made


def _freeze(module: nn.Module) -> None:
    """Replaces every batch normalisation by torchvision's frozen one with the same weights and statistics."""
    from torchvision.ops import FrozenBatchNorm2d

    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(child.num_features, eps=child.eps)
            frozen.load_state_dict(child.state_dict())
            setattr(module, name, frozen)
        else:
            _freeze(child)
