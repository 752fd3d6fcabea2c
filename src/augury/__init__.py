"""Augury: find, apply and prove image augmentation for classifiers.

    pipeline = augury.pipeline("randaugment", num_ops=2, magnitude=9)
    images = pipeline(images)                       # uint8 [B,C,H,W]: every image gets its own draw
    images, targets = augury.pipeline("cutmix")(images, labels)
    loss = targets.loss(model(images)).mean()

Names load on first use, so that `import augury` costs nothing.
"""

import importlib
from typing import Any

_HOME = {
    "pipeline": "augury.augment.names",
    "apply": "augury.augment.apply",
    "policy": "augury.augment.names",
    "saliency": "augury.augment.saliency.fill",
    "strategy": "augury.train.strategies.build",
    "model": "augury.train.models.build",
    "dataset": "augury.train.data.dataset",
    "names": "augury.core.registry",
    "Batch": "augury.core.batch",
    "Targets": "augury.core.targets",
    "Noise": "augury.core.noise",
    "InputError": "augury.core.errors",
}
_ALIAS = {"model": "build", "dataset": "load"}
__version__ = "0.1.0"
__all__ = list(_HOME)  # pyright: ignore


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'augury' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), _ALIAS.get(name, name))
