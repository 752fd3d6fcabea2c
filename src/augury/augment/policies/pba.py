"""Population based augmentation: replays a schedule found by a search."""

import json
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from augury.augment.policies.ladders import ladder
from augury.core.devices import constant
from augury.core.errors import InputError
from augury.core.files import read_text
from augury.core.noise import Noise
from augury.core.plan import Clock, Plan, Policy, Space
from augury.core.registry import register

OPERATIONS = (
    "rotate", "translate_x", "translate_y", "brightness", "color", "invert", "sharpness", "posterize", "shear_x", "solarize",
    "shear_y", "equalize", "auto_contrast", "cutout", "contrast",
)  # fmt: skip
COPIES = 2
COUNTS = (0.2, 0.3, 0.5)  # probabilities that 0, 1 or 2 operations are applied


@dataclass(frozen=True)
class Walk:
    """The operations are shuffled for every image and tried in order, each with its own probability, until 0, 1 or 2 have
    fired. periods: (fraction of the training at which it ends, probability and strength of all 30 operations)."""

    space: Space
    periods: tuple[tuple[float, tuple[float, ...], tuple[float, ...]], ...]
    slots: int = len(COUNTS) - 1

    def ask(self, noise: Noise, clock: Clock) -> Plan:
        _, chances, strengths = next((p for p in self.periods if clock.fraction < p[0]), self.periods[-1])
        device = noise.key.device
        chance, strength = (constant(numbers, torch.float32, device) for numbers in (chances, strengths))
        count = noise.fold("count").uniform(1)
        wanted = (count >= COUNTS[0]).to(torch.int64) + (count >= COUNTS[0] + COUNTS[1])
        fires = noise.fold("fires").uniform(len(chances)) < chance
        order = noise.fold("order").bits(len(chances)).argsort(1)
        fired = fires.gather(1, order)
        place = torch.where(fired, torch.arange(len(chances), device=device), len(chances))
        first = place.sort(1).values[:, : self.slots]
        on = (first < len(chances)) & (torch.arange(self.slots, device=device) < wanted)
        number = order.gather(1, first.clamp(max=len(chances) - 1))
        return Plan(number % len(self.space), strength[number], on, number)

    def log_prob(self, plan: Plan) -> Tensor:
        """Of the operations that fired is not in closed form; replay does not need it."""
        return torch.full((len(plan.op),), math.nan, dtype=torch.float32, device=plan.op.device)


@register("policy", "pba", source="Ho et al. 2019 (PBA, arXiv:1905.05393), section 3 and released code")
def pba(*, file: str) -> Policy:
    """Replays a schedule found by population based augmentation, stretched over the training.

    file: the search's log (one JSON list per line, whose last member holds `hp_policy`), or a JSON list of
    [epochs, hp_policy]. hp_policy is 60 whole numbers: probability 0 to 10 and magnitude 0 to 9 of 15 operations, twice.
    """
    magnitudes = ladder("tf")
    space = Space(tuple(magnitudes.entry(name) for name in OPERATIONS))
    read = _read(file)
    total = sum(epochs for epochs, _ in read)
    periods, passed = [], 0.0
    for epochs, numbers in read:
        passed += epochs
        chances = tuple(k / 10 for k in numbers[0::2])
        strengths = tuple(k / magnitudes.top for k in numbers[1::2])
        periods.append((passed / total, chances, strengths))
    return Walk(space, tuple(periods))


def _read(file: str) -> list[tuple[float, list[int]]]:
    try:
        text = read_text(file)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"pba(file={file}): cannot be read ({type(error).__name__}); give a schedule file") from None
    try:
        found = json.loads(text)
        rows = [(epochs, numbers) for epochs, numbers in found]
    except (ValueError, TypeError):
        rows = _from_log(text, file)
    if not rows:
        raise InputError(f"pba(file={file}): no schedule in it")
    for number, (epochs, numbers) in enumerate(rows, 1):
        _check(file, number, epochs, numbers)
    return [(float(epochs), numbers) for epochs, numbers in rows]


def _from_log(text: str, file: str) -> list[tuple[Any, Any]]:
    """Each line is a copy of another member's state: [its tag, the other's tag, step, step, configuration, configuration]."""
    rows, before = [], 0.0
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
            step, policy = float(content[3]), content[-1]["hp_policy"]
        except (ValueError, TypeError, IndexError, KeyError):
            raise InputError(f"pba(file={file}) line {number}: neither a log line nor [epochs, numbers]") from None
        rows.append((step - before, policy))
        before = step
    return rows


def _check(file: str, number: int, epochs: object, numbers: object) -> None:
    where = f"pba(file={file}) entry {number}"
    if isinstance(epochs, bool) or not isinstance(epochs, int | float) or not 0 < epochs < math.inf:
        raise InputError(f"{where}: {epochs!r} epochs; a number above 0 is needed")
    count = 2 * COPIES * len(OPERATIONS)
    if not isinstance(numbers, list) or len(numbers) != count:
        raise InputError(f"{where}: {count} numbers are needed, chance and magnitude of {COPIES * len(OPERATIONS)} operations")
    for k, value in enumerate(numbers):
        highest = 9 if k % 2 else 10
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= highest:
            raise InputError(f"{where}: number {k + 1} is {value!r}; whole numbers from 0 to {highest} are needed")
