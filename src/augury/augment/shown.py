"""How notebooks show pipelines: a table of stages with their options, and pictures of several draws."""

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from augury.augment.pil import to_pil
from augury.augment.stages.plan import PlanStage
from augury.core.grammar import parse_spec, show
from augury.core.op import UNUSED
from augury.core.plan import Single, SpaceEntry
from augury.core.stage import Stage

_CELL = "padding:.25em .8em;text-align:left;vertical-align:top"


def table(stages: Sequence[Stage], texts: Sequence[str | None], origin: str | None) -> str:
    """HTML with one row per stage: its name, the options that were given, what it draws and what it works on."""
    heads = "".join(f'<th scope="col" style="{_CELL}">{word}</th>' for word in ("", "stage", "options", "draws", "works on"))
    rows = "".join(_row(number, stage, text) for number, (stage, text) in enumerate(zip(stages, texts, strict=True)))
    title = "" if origin is None else f'<caption style="text-align:left"><code>{html.escape(origin)}</code></caption>'
    return f'<table style="border-collapse:collapse">{title}<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'


def _row(number: int, stage: Stage, text: str | None) -> str:
    works = ["uint8 pixels" if stage.domain == "pixels" else "pixels or normalised values"]
    works += [f"needs {need}" for need in sorted(stage.needs)] + (["mixes labels"] if stage.mixes_labels else [])
    cells = [str(number), stage.name, "" if text is None else _options(text), _draws(stage), ", ".join(works)]
    return "<tr>" + "".join(f'<td style="{_CELL}">{html.escape(cell)}</td>' for cell in cells) + "</tr>"


def _options(text: str) -> str:
    spec = parse_spec(text, "pipeline")
    return ", ".join([*map(show, spec.first), *(f"{key}={show(value)}" for key, value in spec.options.items())])


def _draws(stage: Stage) -> str:
    """What a policy's stage draws for an image, in words."""
    if not isinstance(stage, PlanStage):
        return ""
    if isinstance(stage.policy, Single):
        entry = stage.policy.entry  # "-30 to 30 degrees", and not "degrees -30 to 30 degrees"
        drawn = {name: parameter.unit for name, parameter in entry.op.parameters.items() if parameter.unit != UNUSED}
        laws = [f"{'' if unit == name else f'{name} '}{_law(entry, name)}" for name, unit in drawn.items()]
        return ", ".join([*laws, f"fires with p = {stage.policy.p:g}"])
    names = list(dict.fromkeys(entry.op.name for entry in stage.space.entries))
    few = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    return f"{stage.policy.slots} of {few}"


def _law(choice: SpaceEntry, parameter: str) -> str:
    law, unit = choice.law(parameter), choice.op.parameters[parameter].unit
    support = law.support
    span = f"{support.low:g}" if support.low == support.high else f"{support.low:g} to {support.high:g}"
    return f"{span} {unit}".strip()


@dataclass(frozen=True)
class Samples:
    """Images before and after a pipeline. before: uint8 [N,C,H,W]; after: one such tensor per draw; words: what was drawn."""

    title: str
    before: Tensor
    after: list[Tensor]
    words: list[list[str]]

    def _repr_html_(self) -> str:
        heads = [original_heading(self.before.shape[1]), *(f"draw {number}" for number in range(1, len(self.after) + 1))]
        head = "".join(f'<th scope="col" style="{_CELL}">{word}</th>' for word in heads)
        rows = "".join(self._row(row) for row in range(len(self.before)))
        title = f'<caption style="text-align:left"><code>{html.escape(self.title)}</code></caption>'
        return f'<table style="border-collapse:collapse">{title}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'

    def _row(self, row: int) -> str:
        cells = [(self.before[row], "")] + [(done[row], words[row]) for done, words in zip(self.after, self.words, strict=True)]
        return "<tr>" + "".join(_picture(image, words or "unchanged") for image, words in cells) + "</tr>"


def shown_bands(channels: int) -> tuple[int, ...]:
    """The channels to display: the first of one or two, as grey, or the first three as red, green and blue."""
    return (0,) if channels < 3 else (0, 1, 2)


def which_bands(channels: int) -> str:
    """What a heading adds where only some channels are displayed."""
    return {1: "", 3: "", 2: ", channel 1 of 2"}.get(channels, f", channels 1-3 of {channels}")


def original_heading(channels: int) -> str:
    """The heading above pictures of the images as they were."""
    return f"original{which_bands(channels)}"


def _picture(image: Tensor, words: str) -> str:
    """An image, uint8 [C,H,W] or float in [0, 1], as a table cell with what was drawn below it."""
    pixels = image if not image.is_floating_point() else (image.clamp(0, 1) * 255).round().byte()
    content = io.BytesIO()
    to_pil(pixels[list(shown_bands(len(pixels)))]).save(content, "PNG")
    data, text = base64.b64encode(content.getvalue()).decode(), html.escape(words)
    style = "width:8em;image-rendering:pixelated;display:block"
    picture = f'<img alt="{text}" style="{style}" src="data:image/png;base64,{data}">'
    return f'<td style="{_CELL};width:8em">{picture}<small>{text}</small></td>'
