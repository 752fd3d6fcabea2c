"""What holds for every registered measurement: the smallest run, values that JSON holds, refusals in one line."""

import inspect
import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from toys import subject, toy

from augury.core import registry
from augury.core.errors import InputError
from augury.core.options import Spec, bind
from augury.explain.measurements.measurement import Measured
from augury.train.models.build import build

NAMES = registry.names("measurement")
# The smallest that each can be asked for, where its default is more.
SMALLEST: dict[str, dict[str, Any]] = {
    "transfer": {"sets": ["none", "flip"]}, "variation": {"sets": ["none", "flip"]}, "embedding": {"images": 3, "views": 2},
    "risk_gap": {"draws": 1}, "saliency": {"images": 1}, "affinity_diversity": {"augments": ["flip"], "train": True, "epochs": 1},
    "cost": {"steps": 1, "rounds": 1},
}  # fmt: skip
COMPARING = {"harm"}  # of trainings with a first one, so that the smallest run has two


def asked(name: str, options: dict[str, Any]) -> dict[str, Any]:
    return bind(registry.get("measurement", name), Spec(name, options), name)


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_run_gives_values_for_json(name: str) -> None:
    """Catches a tensor or a number that is not finite among the values, and a table whose rows are not as wide as its head."""
    function = registry.get("measurement", name)
    known = inspect.signature(function).parameters
    options = SMALLEST.get(name, {})
    assert set(options) <= set(known), "an option that is not asked for would leave the default, which is more"
    subjects = [subject(), subject("b", sharp=2.0)] if name in COMPARING else [subject()]
    found = function(subjects, toy(), **asked(name, options))
    assert isinstance(found, Measured) and found.summary.strip()
    assert json.loads(json.dumps(found.values, allow_nan=False)) == json.loads(json.dumps(found.values))
    for table in found.tables:
        assert table.title and table.rows and all(len(row) == len(table.columns) for row in table.rows)
    for figure in found.figures:
        assert "<" in figure.html


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("name", NAMES)
def test_images_of_any_number_of_channels_are_measured(name: str, channels: int) -> None:
    """Catches a picture that is made for colours alone."""
    options, data = {**SMALLEST.get(name, {}), **({"augment": "crop"} if name == "embedding" else {})}, toy()
    pick, statistics = torch.arange(channels) % 3, ((0.0,) * channels, (1.0,) * channels)
    part = replace(data.test, images=data.test.images[:, pick])
    data = replace(data, train=part, validation=part, test=part, mean=statistics[0], std=statistics[1])
    subjects = []
    for group in ("a", "b") if name in COMPARING else ("a",):
        network = build("small_cnn", classes=3, channels=channels).eval()
        subjects.append(replace(subject(group), model=network, mean=statistics[0], std=statistics[1]))
    found = registry.get("measurement", name)(subjects, data, **asked(name, options))
    assert isinstance(found, Measured) and json.dumps(found.values, allow_nan=False)


@pytest.mark.parametrize("name", NAMES)
def test_unknown_options_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(InputError, match="has no option 'nonsense'|takes no") as found:
        asked(name, {"nonsense": 1})
    assert "\n" not in str(found.value)
