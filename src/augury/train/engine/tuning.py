"""Presets of settings for starting from trained weights: `--tune probe` and `--tune finetune`."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from augury.core import yaml_text
from augury.core.errors import InputError
from augury.core.registry import unknown

Tune = Literal["probe", "finetune", "none"]

# AdamW, since its steps do not depend on the scale of the features. finetune: rates that fall with depth, as in BEiT and timm.
_PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "probe": {"freeze": "backbone", "opt": "adamw", "lr": 1e-2, "weight_decay": 1e-2},
    "finetune": {"opt": "adamw", "lr": 1e-3, "layer_decay": 0.75, "weight_decay": 0.05, "warmup_epochs": 0.5, "clip_grad": 1.0},
    "none": {},
})  # fmt: skip


def layered(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of several sources, each overriding those before. In each, `tune` is replaced by the settings of its preset, which
    the source's other settings override.

    `pretrained` without `tune` implies the preset finetune, since the defaults, meant for training from scratch, would undo the
    weights. Without `model`, it is that of the run whose folder `pretrained` names. Raises InputError for an unknown preset, and
    for a preset without weights to start from.
    """
    merged: dict[str, Any] = {}
    asked = None
    for layer in layers:
        name = layer.get("tune")
        if name is None and _starts(layer):
            name = "finetune"
        asked = layer.get("tune") or asked
        merged = {**merged, **_preset(name), **{key: value for key, value in layer.items() if key != "tune"}}
    if asked not in (None, "none") and not _starts(merged):
        raise InputError(f"--tune {asked}: starts from trained weights; add --pretrained with a file, a run's folder or yes")
    if "model" not in merged and (model := run_model(merged.get("pretrained"))) is not None:
        merged["model"] = model
    return merged


def run_model(pretrained: object) -> str | None:
    """The network of the run whose folder `pretrained` names; None for anything else."""
    try:
        config = yaml_text.load(yaml_text.read_text(Path(str(pretrained)).expanduser() / "config.yaml", ""), "")
    except (OSError, ValueError):  # errors are reported when the weights are read
        return None
    model = config.get("model") if isinstance(config, dict) else None
    return model if isinstance(model, str) else None


def _starts(values: Mapping[str, Any]) -> bool:
    """Whether settings name trained weights, possibly as an option of the network."""
    return values.get("pretrained") not in (None, "none") or "pretrained=" in str(values.get("model", ""))


def _preset(name: object) -> Mapping[str, Any]:
    if name is None:
        return {}
    if name not in _PRESETS:
        raise InputError(f"--tune: {unknown('preset', str(name), list(get_args(Tune)))}")
    return _PRESETS[str(name)]
