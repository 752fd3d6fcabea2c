"""Builds networks by name."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from augury.core import registry
from augury.core.doors import door
from augury.core.errors import InputError
from augury.core.options import Chain, Spec, bind, parse_spec
from augury.train.models import external

_FROM_DATA = ("classes", "channels")


@door
def build(name: str | Spec, /, *, classes: int, channels: int = 3, **options: Any) -> nn.Module:
    """A network by its name, `build("wrn_28_10", classes=100)` or `build("torchvision:resnet50(pretrained=true)", classes=2)`.

    `name`: a registered name, or LIBRARY:NAME with a registered library of networks; options are given in brackets or as keywords.
    Weights are drawn from PyTorch's default generators. The result has the interface described in `augury.train.models`.
    Raises InputError for unknown names and options, RunError if pretrained weights cannot be loaded.
    """
    spec = parse_spec(name, "--model") if isinstance(name, str) else name
    make, leading = _maker(spec.name)
    given = {**_keyed(make, spec), **options}
    for key in _FROM_DATA:
        if key in given:
            raise InputError(f"--model: {spec.name}({key}=...) comes from the data; leave it out")
    values = bind(make, Spec(spec.name, {**given, "classes": classes, "channels": channels}), "--model")
    return make(*leading, **values)


def innermost(spec: Spec) -> Spec:
    """The spec of the plain network: the one inside a BNNeck, or `spec` itself."""
    inside = _inside(spec)
    return spec if inside is None else innermost(inside)


def on_innermost(spec: Spec, change: Callable[[Spec], Spec]) -> Spec:
    """The spec with `change` applied to the plain network in it."""
    inside = _inside(spec)
    if inside is None:
        return change(spec)
    options = {key: value for key, value in spec.options.items() if key != "of"}
    return Spec(spec.name, {"of": Chain((on_innermost(inside, change),)), **options})


def _inside(spec: Spec) -> Spec | None:
    """The spec inside a BNNeck's; None for other networks."""
    if spec.name != "bnneck":
        return None
    inner = spec.first[0] if spec.first else spec.options.get("of", "resnet18")
    if isinstance(inner, Chain):
        return inner.stages[0]
    return inner if isinstance(inner, Spec) else parse_spec(str(inner), "--model")


def without_weights(spec: Spec) -> Spec:
    """The same network without `pretrained`, whose weights would be downloaded only to be overwritten."""
    return on_innermost(spec, lambda s: Spec(s.name, {k: v for k, v in s.options.items() if k != "pretrained"}, s.first))


def _maker(name: str) -> tuple[Callable[..., nn.Module], tuple[str, ...]]:
    """The function that builds the network, and its positional arguments."""
    library, colon, member = name.partition(":")
    if colon:
        if not registry.has("library", library):
            raise InputError(f"--model: {registry.unknown('library of networks', library, registry.names('library'))}")
        return registry.get("library", library), (member,)
    if not registry.has("model", name) and external.torchvision_has(name):
        raise InputError(f"--model: unknown model {name!r}; did you mean 'torchvision:{name}'?")
    try:
        return registry.get("model", name), ()
    except InputError as error:
        libraries = "".join(f", {library}:NAME" for library in registry.names("library"))
        also = "" if "did you mean" in str(error) else libraries
        raise InputError(f"--model: {error}{also}") from None


def _keyed(make: Callable[..., nn.Module], spec: Spec) -> dict[str, Any]:
    """The options by key; a single value without a key is the first option's."""
    if not spec.first:
        return dict(spec.options)
    keywords = [n for n, p in inspect.signature(make).parameters.items() if p.kind is p.KEYWORD_ONLY]
    key = next((n for n in keywords if n not in _FROM_DATA), None)
    if key is None or len(spec.first) > 1 or key in spec.options:
        raise InputError(f"--model: {spec}: write options as key=value")
    return {key: spec.first[0], **spec.options}
