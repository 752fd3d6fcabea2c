"""Every front door refuses every wrong type with InputError that names the argument: one table, doors by things."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import augury
from augury.core.noise import Noise
from augury.core.targets import Targets

IMAGES = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
THINGS: list[Any] = [
    None, True, -1, 3, 10**400, 2.5, float("nan"), "", "a", "rotate(", b"bytes", [], ["a", 3], (), {}, {"a": {"b": 1}}, object(),
    int,    torch.zeros(3), torch.zeros(2, dtype=torch.bool), torch.tensor(1j), torch.zeros(0), Path("nowhere"), lambda: 0, {1, 2},
]  # fmt: skip
DOORS: dict[str, Callable[[Any], Any]] = {
    "pipeline": lambda x: augury.pipeline(x),
    "pipeline seed": lambda x: augury.pipeline("crop", seed=x),
    "pipeline option": lambda x: augury.pipeline("randaugment", num_ops=x),
    "policy": lambda x: augury.policy(x),
    "policy option": lambda x: augury.policy("randaugment", magnitude=x),
    "strategy": lambda x: augury.strategy(x),
    "strategy option": lambda x: augury.strategy("erm", smoothing=x),
    "model": lambda x: augury.model(x, classes=2),
    "apply name": lambda x: augury.apply(x, IMAGES),
    "apply images": lambda x: augury.apply("invert", x),
    "apply value": lambda x: augury.apply("rotate", IMAGES, degrees=x),
    "apply labels": lambda x: augury.apply("mixup", IMAGES, x, partner=torch.tensor([1, 0])),
    "apply partner": lambda x: augury.apply("mixup", IMAGES, partner=x),
    "apply top": lambda x: augury.apply("cutout", IMAGES, top=x),
    "call": lambda x: augury.pipeline("crop")(x),
    "call labels": lambda x: augury.pipeline("mixup")(IMAGES, x),
    "run": lambda x: augury.pipeline("crop").run(x, Noise.of(0, torch.arange(2))),
    "run noise": lambda x: augury.pipeline("crop").run(augury.Batch(IMAGES, None, torch.arange(2)), x),
    "replay": lambda x: augury.pipeline("crop").apply(augury.Batch(IMAGES, None, torch.arange(2)), x),
    "replay entry": lambda x: augury.pipeline("crop").apply(augury.Batch(IMAGES, None, torch.arange(2)), [x]),
    "targets": lambda x: Targets.of(x),
    "targets classes": lambda x: Targets.of(torch.tensor([0, 1]), x),
    "mix partner": lambda x: Targets.of(torch.tensor([0, 1])).mix(x, torch.ones(2)),
    "mix keep": lambda x: Targets.of(torch.tensor([0, 1])).mix(torch.tensor([1, 0]), x),
    "smoothed": lambda x: Targets.of(torch.tensor([0, 1])).smoothed(x),
    "logits": lambda x: Targets.of(torch.tensor([0, 1])).loss(x),
    "noise seed": lambda x: Noise.of(x, torch.arange(2)),
    "noise ids": lambda x: Noise.of(0, x),
    "noise visits": lambda x: Noise.of(0, torch.arange(2), visits=x),
    "dataset": lambda x: augury.dataset(x),
    "dataset validation": lambda x: augury.dataset("digits", validation=x),
    "plugin": lambda x: augury.load_plugin(x),
    "saliency": lambda x: augury.saliency(x),
    "fit data": lambda x: augury.fit(x, output="nowhere"),
    "fit output": lambda x: augury.fit("digits", output=x, epochs="none"),
    "compare seeds": lambda x: augury.compare("digits", output="nowhere", seeds=x, epochs="none"),
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_a_door_takes_a_thing_or_refuses_it_in_one_short_line(door: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed = []
    for thing in THINGS:
        try:
            DOORS[door](thing)
        except (augury.InputError, augury.RunError) as error:
            if len(str(error)) > 600 or "\x1b" in str(error):
                failed.append(f"{thing!r:.40}: too long: {error}")
        except Exception as error:
            failed.append(f"{thing!r:.40}: {type(error).__name__}: {error}")
    assert not failed, "\n".join(failed)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()], "something was written"


def test_a_door_keeps_its_signature() -> None:
    assert list(inspect.signature(augury.pipeline).parameters)[:2] == ["augmentation", "seed"]
    with pytest.raises(augury.InputError, match=r"pipeline\(seed='a'\) must be a whole number, got str"):
        augury.pipeline("crop", seed="a")  # type: ignore[arg-type]
