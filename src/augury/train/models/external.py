"""Networks from torchvision and timm by name, adapted to the interface of Augury's own."""

import importlib
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from augury.core.errors import InputError, RunError
from augury.core.options import Interval
from augury.core.registry import register, unknown
from augury.train.models.network import Channels, Classes

ImageSize = Annotated[int, Interval(1)]

# Auxiliary heads, which are removed.
AUXILIARY = ("AuxLogits", "aux1", "aux2")


class External(nn.Module):
    """A network from another library with the interface of Augury's own; its modules are under `network`.

    `head` is its linear layer at `head_path`. Images whose size is not `image_size` (rows = columns) are resized to it,
    bilinearly with antialiasing; None keeps every size.
    """

    def __init__(self, network: nn.Module, head: str, taps: tuple[str, ...], image_size: int | None) -> None:
        super().__init__()
        self.network = network
        self.taps = taps
        self.image_size = image_size
        self.head_path = head

    @property
    def head(self) -> nn.Linear:
        linear = self.network.get_submodule(self.head_path)
        assert isinstance(linear, nn.Linear)
        return linear

    def forward(self, images: Tensor) -> Tensor:
        size = self.image_size
        if size is not None and images.shape[-2:] != (size, size):
            images = functional.interpolate(images, (size, size), mode="bilinear", antialias=True)
        logits: Tensor = self.network(images)
        return logits


@register("library", "torchvision", source="torchvision.models")
def torchvision_network(
    name: str,
    /,
    *,
    classes: Classes,
    channels: Channels = 3,
    pretrained: bool | str = False,
    image_size: ImageSize | None = None,
) -> nn.Module:
    """A classification network from torchvision, with a new head for `classes`.

    `pretrained`: true for torchvision's default weights, trained on ImageNet, or the name of others, such as IMAGENET1K_V1. If
    `channels` is not 3, the first convolution is replaced; pretrained weights are adapted, see `for_channels`. `image_size`:
    resize images to this many rows and columns first; vision transformers always resize, to the size they are built for (this
    one without pretrained weights). Networks must end in a linear layer, unlike SqueezeNet.
    Raises InputError for unknown names and impossible sizes, RunError if the weights cannot be loaded.
    """
    models = importlib.import_module("torchvision.models")
    if not torchvision_has(name):
        raise InputError(f"--model: {unknown('torchvision model', name, models.list_models(module=models))}")
    arguments: dict[str, Any] = {} if pretrained else {"num_classes": classes}
    if image_size is not None and name.startswith("vit_") and not pretrained:
        arguments["image_size"] = image_size
    if name in ("googlenet", "inception_v3"):
        arguments["init_weights"] = not pretrained  # explicit, since torchvision warns of a changing default
    if pretrained:
        arguments["progress"] = False

    weights = pretrained if isinstance(pretrained, str) else "DEFAULT" if pretrained else None

    def make() -> nn.Module:
        network: nn.Module = models.get_model(name, weights=weights, **arguments)
        return network

    network = _loaded(make, f"torchvision:{name}", bool(pretrained))
    _drop_auxiliary(network)
    head = _last_linear(network, f"torchvision:{name}")
    if pretrained:
        old = network.get_submodule(head)
        assert isinstance(old, nn.Linear)
        network.set_submodule(head, nn.Linear(old.in_features, classes, bias=old.bias is not None))
    if channels != 3:
        _adapt_first_convolution(network, channels, bool(pretrained))
    own_size = getattr(network, "image_size", None) if name.startswith("vit_") else None
    return _wrap(network, head, _input_size(f"torchvision:{name}", own_size, image_size))


@register("library", "timm", source="timm, Wightman 2019, github.com/huggingface/pytorch-image-models")
def timm_network(
    name: str,
    /,
    *,
    classes: Classes,
    channels: Channels = 3,
    pretrained: bool = False,
    image_size: ImageSize | None = None,
) -> nn.Module:
    """A network from timm (an optional dependency), with its head and first convolution built for `classes` and `channels`.

    `pretrained`: load timm's weights of this name. `image_size`: resize images to this many rows and columns first;
    networks of a fixed size always resize, to their own.
    Raises InputError for unknown names and if timm is not installed, RunError if the weights cannot be loaded.
    """
    timm = timm_module(name)
    if not timm.is_model(name):
        raise InputError(f"--model: {unknown('timm model', name.split('.')[0], timm.list_models())}")

    def make() -> nn.Module:
        network: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=classes, in_chans=channels)
        return network

    network = _loaded(make, f"timm:{name}", pretrained)
    settings = getattr(network, "default_cfg", None) or {}
    own_size = settings["input_size"][-1] if settings.get("fixed_input_size") else None
    return _wrap(network, _last_linear(network, f"timm:{name}"), _input_size(f"timm:{name}", own_size, image_size))


def torchvision_has(name: str) -> bool:
    """Whether torchvision has a classification network of this name."""
    models = importlib.import_module("torchvision.models")
    return name in models.list_models(module=models)


def timm_module(name: str) -> ModuleType:
    """The timm module; InputError, naming the network that needs it, if it is not installed."""
    try:
        return importlib.import_module("timm")
    except ImportError:
        raise InputError(f"--model: timm:{name} needs timm; install it with `pip install 'augury[timm]'`") from None


def _loaded(make: Callable[[], nn.Module], name: str, pretrained: bool) -> nn.Module:
    """The network that `make` builds; on any exception, RunError for pretrained networks, InputError for others."""
    try:
        return make()
    except Exception as error:  # the only common base of the errors of urllib, torch.hub, huggingface_hub and httpx
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if not pretrained:
            raise InputError(f"--model: {name} cannot be made with these options: {reason}") from error
        place = f", put the file into {torch.hub.get_dir()}/checkpoints" if name.startswith("torchvision") else ""
        raise RunError(
            f"--model {name}: the pretrained weights could not be loaded ({reason}); "
            f"check the connection{place}, or get the file elsewhere and pass it with --pretrained FILE"
        ) from error


def _input_size(name: str, own: int | None, asked: int | None) -> int | None:
    """The size to resize images to; InputError if a network of fixed size is asked for another."""
    if own is not None and asked not in (None, own):
        raise InputError(f"--model: {name}(image_size={asked}) must be {own}, the size it is built for; leave it out")
    return own or asked


def _drop_auxiliary(network: nn.Module) -> None:
    """Remove the auxiliary heads of GoogLeNet and Inception, which turn the output in training mode into a tuple."""
    if getattr(network, "aux_logits", False):
        network.__dict__["aux_logits"] = False
        for name in AUXILIARY:
            if hasattr(network, name):
                setattr(network, name, None)


def _last_linear(network: nn.Module, name: str) -> str:
    """The path of the head; InputError if the network does not end in a linear layer."""
    last = [path for path, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)][-1]
    if not isinstance(network.get_submodule(last), nn.Linear):
        raise InputError(f"--model: {name} must end in a linear layer, from which features are read; choose another")
    return last


def _adapt_first_convolution(network: nn.Module, channels: int, pretrained: bool) -> None:
    path, old = next((path, module) for path, module in network.named_modules() if isinstance(module, nn.Conv2d))
    geometry: dict[str, Any] = {"kernel_size": old.kernel_size, "stride": old.stride, "padding": old.padding}
    new = nn.Conv2d(channels, old.out_channels, **geometry, bias=old.bias is not None)
    with torch.no_grad():
        if pretrained:
            new.weight.copy_(for_channels(old.weight, channels))
            if old.bias is not None and new.bias is not None:
                new.bias.copy_(old.bias)
        else:
            # Keeps the outputs' variance: of the fan-in, only the channels change.
            new.weight.normal_().mul_(old.weight.std() * (old.in_channels / channels) ** 0.5)
            if old.bias is not None and new.bias is not None:
                new.bias.zero_()
    network.set_submodule(path, new)


def for_channels(weight: Tensor, channels: int) -> Tensor:
    """A first convolution's weights [O,I,h,w] adapted to another number of channels, as in timm.

    For one channel they are summed, so that a grey image gives the output of its colour copy; otherwise they are repeated
    cyclically and scaled by I / channels, so that outputs keep their scale.
    """
    known = weight.shape[1]
    if channels == known:
        return weight
    if channels == 1:
        return weight.sum(1, keepdim=True)
    return weight.repeat(1, -(-channels // known), 1, 1)[:, :channels] * (known / channels)


def _wrap(network: nn.Module, head: str, image_size: int | None) -> External:
    for module in network.modules():
        if getattr(module, "inplace", None) is True:
            module.__dict__["inplace"] = False  # so that hooks on taps may keep the output
    return External(network, head, tuple(f"network.{path}" for path in _taps(network)), image_size)


def _taps(network: nn.Module) -> Iterable[str]:
    """The consecutive stages of common designs; none for other designs."""
    layers = [name for name, _ in network.named_children() if name.startswith("layer") and name[5:].isdigit()]
    if layers:
        return layers
    for name in ("features", "stages", "blocks"):
        stages = getattr(network, name, None)
        if isinstance(stages, nn.Sequential):
            return [f"{name}.{child}" for child, _ in stages.named_children()]
    return []
