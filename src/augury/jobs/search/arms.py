"""An arm of a search, the learner or a control, in words."""

from collections.abc import Mapping
from typing import Any


def arm_words(name: str, arm: Mapping[str, Any]) -> str:
    """One line on an arm of the search."""
    extras = [f"{arm[key]} {word}" for key, word in (("failed", "crashed"), ("pruned", "ended early")) if arm[key]]
    said = ", ".join([f"{arm['children']} children", *extras, f"{arm['epochs']} epochs", f"{arm['seconds']:.0f} s"])
    accuracies = ", ".join(f"{value:.1f} %" for value in arm["validation_accuracy"])
    what = "" if "score" not in arm or arm["score"] == "accuracy" else f" {arm['score']}"
    noise = f"; {arm['noise']}" if arm.get("noise") else ""
    return f"{name}: {said}; best on the validation part with{what} {accuracies}: {' | '.join(arm['policy'])}{noise}"
