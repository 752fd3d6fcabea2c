"""A row's settings at each scale: `full` as published, `short` with a shorter schedule, `smoke` for one epoch on digits.

A shortened schedule keeps its shape: milestones, warm-up, refinement and measured epochs scale with the number of epochs.
"""

import hashlib
import json
from typing import Any, Literal, get_args

from augury.core.errors import InputError
from augury.core.grammar import parse_list, show
from augury.core.registry import unknown
from augury.recipes.recipe import Recipe, RecipeRow
from augury.train.engine.settings import Settings

Scale = Literal["smoke", "short", "full"]
SCALES: tuple[Scale, ...] = get_args(Scale)
SHORT_EPOCHS = 30
SMOKE: dict[str, Any] = {
    "data": "digits", "batch_size": 32, "lr": 0.02, "lr_base_size": None, "fraction": 0.15, "validation": 0.1, "image_size": None,
    "resize": None, "model_ema_decay": None, "labels": None, "refine_lr": None, "grad_accum_steps": 1,
}  # fmt: skip
SMOKE_PATCH: dict[str, Any] = {"translate_steps": 2, "translate_batch_size": 4, "translate_augment": "none"}
SMALL = ("small_cnn", "small_cnn(width=8)")
# Settings that do not identify a training: its seed, and where and how it runs.
_PLACE = ("seed", "device", "data_dir", "workers", "decode_workers", "stream", "checkpoint_seconds")


def scale_named(text: str) -> Scale:
    """The scale of that name; InputError if it is unknown."""
    for scale in SCALES:
        if text == scale:
            return scale
    raise InputError(f"--scale: {unknown('scale', text, list(SCALES))}")


def settings_at(recipe: Recipe, row: RecipeRow, scale: Scale, overrides: dict[str, Any] | None = None) -> dict[str, Any]:
    """The settings of a row's run at a scale. overrides: the user's settings, which take precedence at scale `short`."""
    full = {key: value for key, value in row.settings.items() if value is not None}
    if scale == "full":
        return full
    epochs = full.get("epochs", 60)
    if scale == "short":
        changed = {"epochs": min(epochs, SHORT_EPOCHS), **recipe.short, **(overrides or {})}
    else:
        changed = {
            **SMOKE,
            "model": _small(full.get("model", "small_cnn")),
            "epochs": 2 if "refine_at" in full else 1,
            **recipe.smoke,
        }
        if recipe.job == "patch":
            # Subgroups are small, so use all images and batches that contain some of each.
            changed = {**changed, "batch_size": 16, "fraction": 1.0}
    return {key: value for key, value in {**_shortened(full, epochs, changed["epochs"]), **changed}.items() if value is not None}


def patch_at(recipe: Recipe, scale: Scale) -> dict[str, Any]:
    """The settings of `augury patch` other than its runs'; the training of translations is shorter at smaller scales."""
    if scale == "full":
        return dict(recipe.patch)
    if scale == "smoke":
        return {**recipe.patch, **SMOKE_PATCH}
    return {**recipe.patch, "translate_steps": min(3000, recipe.patch.get("translate_steps", 1000))}


def changes(full: dict[str, Any], used: dict[str, Any]) -> list[str]:
    """The differences from the published settings, such as `epochs 200 -> 30`."""
    defaults = Settings.__dataclass_fields__

    def value(values: dict[str, Any], key: str) -> Any:
        found = values.get(key, defaults[key].default)
        return list(found) if isinstance(found, tuple) else found

    kept = [key for key in {**full, **used} if key not in _PLACE]
    differing = [key for key in kept if value(full, key) != value(used, key)]
    return [f"{key} {show_value(value(full, key))} -> {show_value(value(used, key))}" for key in differing]


def key_of(settings: dict[str, Any]) -> str:
    """A short hash of the settings: rows with the same hash share one training run."""
    kept = {key: value for key, value in settings.items() if key not in _PLACE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=list).encode()).hexdigest()[:10]


def show_value(value: object) -> str:
    return "none" if value is None else str(value) if isinstance(value, str) else show(value)


def _shortened(full: dict[str, Any], old: int, new: int) -> dict[str, Any]:
    """Scales the other epochs of the schedule from `old` to `new` epochs."""
    made, share = dict(full), new / old
    if "decay_milestones" in full:
        made["decay_milestones"] = [m if m < 1 else round(m / old, 6) for m in full["decay_milestones"]]
    for key in ("decay_epochs", "warmup_epochs"):
        if key in full:
            made[key] = max(0.01, round(full[key] * share, 4))
    refined = full.get("refine_epochs", 0)
    if refined:
        made["refine_epochs"] = max(1, round(refined * share))
    if "refine_at" in full:
        made["refine_at"] = min(max(1, round(full["refine_at"] * share)), new - 1)
    if "risk_epochs" in full:
        last = made.get("refine_epochs", 0)
        early = {max(1, round(epoch * share)) for epoch in full["risk_epochs"] if epoch <= old}
        late = {new + max(1, round((epoch - old) / refined * last)) for epoch in full["risk_epochs"] if epoch > old}
        made["risk_epochs"] = sorted(early | late)
    return made


def _small(model: str) -> str:
    """As many small networks as the row has networks."""
    count = len(parse_list(model, "model")) if "," in model else 1
    return ",".join(SMALL[number % 2] for number in range(count))
