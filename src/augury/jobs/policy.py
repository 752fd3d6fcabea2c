"""`augury policy`: show, import, export and compare policies."""

from itertools import product
from pathlib import Path
from typing import Any

from augury.augment.exported.export import Exported, Target, export_policy
from augury.augment.names import is_policy_file, read_policy_file, stages_of
from augury.augment.policies.convert import (
    TIMM_KINDS,
    Imported,
    as_file,
    counted,
    differences,
    from_timm,
    from_torchvision,
)
from augury.augment.policies.fast_autoaugment import NAMES, read_list
from augury.augment.policies.file import PolicyFile, write_policy
from augury.augment.stages.by_side import BySideStage
from augury.augment.stages.plan import PlanStage
from augury.core.errors import InputError
from augury.core.options import parse_chain
from augury.train.engine.checkpoint import write_atomically


def content_of(text: str, *, side_pixels: int = 32) -> PolicyFile:
    """A policy by name with options, or a policy file's path, as a policy file's content.

    side_pixels: for policies whose values depend on the image's side. A policy that no list of sub-policies can express is
    given as an augmentation's text. Raises InputError for a chain.
    """
    if is_policy_file(text):
        return read_policy_file(text)
    chain = parse_chain(text, "POLICY")
    stages = stages_of(chain, "POLICY")
    if len(chain.stages) != 1:
        raise InputError(f"POLICY {text}: is a chain; name a single policy")
    stage, name = stages[0] if stages else None, chain.stages[0].name
    if len(stages) != 1 or not isinstance(stage, PlanStage | BySideStage):
        return PolicyFile(name, (), _source(name), augment=str(chain))
    if isinstance(stage, BySideStage):
        stage = stage.small if side_pixels < stage.limit_pixels else stage.large
    try:
        return as_file(stage.policy, text, _source(name))
    except InputError:
        return PolicyFile(name, (), _source(name), augment=str(chain))


def _source(name: str) -> str:
    from augury.core import registry

    return next((entry.source for kind in ("policy", "preset", "op") for entry in registry.entries(kind) if entry.name == name), "")


def show(text: str, side_pixels: int) -> dict[str, Any]:
    """Name, source, provenance and every sub-policy in words, with equal ones merged."""
    content = content_of(text, side_pixels=side_pixels)
    if content.augment:
        periods = [{"until": 1.0, "policies": [content.augment]}]
        return {"name": content.name, "source": content.source, "periods": periods, "provenance": content.provenance}
    periods = [{"until": until, "policies": counted(rows)} for until, rows in content.periods]
    return {
        "name": content.name,
        "source": content.source,
        "repeat": content.repeat,
        "periods": periods,
        "provenance": content.provenance,
    }


def import_policy(text: str, output: Path | None, *, overwrite: bool = False, side_pixels: int = 32) -> Imported:
    """Augury's equivalent of another library's policy `text`, with notes; written as a policy file if `output` is given.

    Understands timm strings, torchvision classes and enums, and a fast-autoaugment list in a file.
    """
    if Path(text).is_file():
        read_list(text)
        made = Imported(f"fast_autoaugment(file={text})")
    elif text.split("-")[0] in TIMM_KINDS:
        made = from_timm(text)
    else:
        made = from_torchvision(text)
    if output is not None:
        _write(output, write_policy(content_of(made.text, side_pixels=side_pixels)).encode(), overwrite)
    return made


def code_of(text: str, library: Target, output: Path | None, *, overwrite: bool = False, side_pixels: int = 32) -> Exported:
    """A policy, a policy file or a chain as code of a library; written where `output` is given."""
    made = export_policy(text, library, image_size=side_pixels)
    if output is not None:
        _write(output, made.code.encode(), overwrite)
    return made


def write_notation(text: str, kind: str, output: Path, *, overwrite: bool = False, side_pixels: int = 32) -> list[str]:
    """Write a policy as `yaml` or `fast_autoaugment`; returns what could not be said."""
    content = content_of(text, side_pixels=side_pixels)
    if kind == "yaml":
        _write(output, write_policy(content).encode(), overwrite)
        return []
    if content.augment:
        raise InputError(f"POLICY {text}: {content.augment} is not a list of sub-policies; export it as yaml")
    rows, lost = _fast_autoaugment(content)
    _write(output, (repr(rows) + "\n").encode(), overwrite)
    return lost


def _fast_autoaugment(content: PolicyFile) -> tuple[list[list[tuple[str, float, float]]], list[str]]:
    """The list, and notes on what it cannot express. Values become levels in the ranges of that code."""
    from augury.augment.policies.ladders import ladder

    names, ranges = {ours: theirs for theirs, ours in NAMES.items()}, ladder("fast_autoaugment")
    lost = [] if len(content.periods) == 1 else ["the schedule: all periods are merged"]
    made = []
    for _, rows in content.periods:
        for sequence in product(rows, repeat=content.repeat):
            items = []
            for entry in (entry for row in sequence for entry in row):
                if entry.op not in names:
                    lost.append(f"{entry.op}: fast-autoaugment has no such operation; left out")
                    continue
                level = 0.0
                for parameter, value in entry.values.items():
                    low, high = ranges.entries[entry.op][1][parameter].low, ranges.entries[entry.op][1][parameter].high  # type: ignore[attr-defined]
                    level = (value - low) / (high - low)
                    if not 0 <= level <= 1:
                        lost.append(f"{entry.op} {parameter} {value:g}: outside fast-autoaugment's range; clipped")
                        level = min(max(level, 0.0), 1.0)
                if entry.op in ("brightness", "color", "contrast", "sharpness") and entry.signed:
                    lost.append(f"{entry.op}: its random sign; only the stronger side is kept")
                items.append((names[entry.op], entry.probability, round(level, 6)))
            if items:
                made.append(items)
    if not made:
        raise InputError("POLICY: none of its operations can be expressed as a fast-autoaugment list; export it as yaml")
    return made, sorted(set(lost))


def diff(first: str, second: str, side_pixels: int) -> list[str]:
    """The differences between two policies, a line per sub-policy."""
    return differences(content_of(first, side_pixels=side_pixels), content_of(second, side_pixels=side_pixels))


def _write(output: Path, data: bytes, overwrite: bool) -> None:
    if output.exists() and not overwrite:
        raise InputError(f"--output {output}: exists; add --overwrite to replace it")
    if not output.parent.is_dir():
        raise InputError(f"--output {output}: the folder {output.parent} does not exist")
    write_atomically(output, data)
