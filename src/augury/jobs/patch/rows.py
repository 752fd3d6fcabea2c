"""The rows of `augury patch`: strategies, each with its sampling and its own settings."""

from dataclasses import dataclass, replace
from itertools import product
from typing import Annotated, Any, Literal

from augury.core.errors import InputError
from augury.core.options import Chain, Interval, Spec, bind, parse_list
from augury.core.registry import unknown
from augury.train.engine.settings import Settings
from augury.train.strategies.build import strategy as build_strategy
from augury.train.strategies.clamp import STREAM

TRUE_ROW = "clamp(adjustment=1)+true"
_MODIFIERS = ("balanced", "true", "with", "tuned")
Positive = Annotated[float, Interval(0)]


@dataclass(frozen=True)
class PatchRow:
    """A strategy with its settings. name: as the user wrote it. label: the shortest unique name. own: settings that differ
    from the command's. grid: settings to try, of which the best on the validation part is used; a single entry if nothing is
    tried. true: train on the true counterparts, which synthetic data have, instead of learned translations."""

    name: str
    strategy: str
    own: dict[str, Any]
    grid: tuple[dict[str, Any], ...]
    label: str = ""
    true: bool = False

    @property
    def reads_translations(self) -> bool:
        """Whether the row is trained on translations, learned or true."""
        return STREAM in build_strategy(self.strategy).streams

    @property
    def translated(self) -> bool:
        """Whether the row is trained on learned translations."""
        return self.reads_translations and not self.true

    def settings(self, common: Settings, choice: int = 0, seed: int | None = None) -> Settings:
        """The training's settings with the given entry of the grid."""
        values = {**self.own, **self.grid[choice]}
        return replace(common, strategy=self.strategy, seed=common.seed if seed is None else seed, **values)


def patch_rows(text: str) -> list[PatchRow]:
    """The rows written as `erm,erm+balanced,clamp(weight=5)+with(lr=0.001)`; InputError for anything else.

    A row is a strategy and, after `+`, any of: `balanced` (every batch has equally many images of every group, as strategies
    that weight groups do anyway), `true` (true translations, on synthetic data), `with(lr=..., weight_decay=...,
    sampling=...)` (settings of its own), `tuned(...)` (values to choose from on the validation part).
    """
    rows = [_row(chain) for chain in parse_list(text, "--strategy")]
    for row in rows:
        if sum(other.name == row.name for other in rows) > 1:
            raise InputError(f"--strategy: {row.name!r} is named twice; name every row once")
    # The longest is the name itself, which no other row has.
    lengths = [[_without(row.name, ("with", "tuned")), row.name] for row in rows]
    shortest = [names[0] for names in lengths]
    return [
        replace(row, label=next(name for name in names if shortest.count(name) < 2 or name == row.name))
        for row, names in zip(rows, lengths, strict=True)
    ]


def _without(name: str, additions: tuple[str, ...]) -> str:
    """A row's name without these additions, except that `tuned` leaves its bare name."""
    stages = parse_list(name, "--strategy")[0].stages
    kept = [("tuned" if s.name == "tuned" else "") if s.name in additions else str(s) for s in stages]
    return "+".join(part for part in kept if part)


def with_settings(
    *, lr: Positive | None = None, weight_decay: Positive | None = None, sampling: Literal["shuffled", "groups"] | None = None
) -> dict[str, Any]:
    """Settings that are the row's own."""
    given = {"lr": lr, "weight_decay": weight_decay, "sampling": sampling}
    return {key: value for key, value in given.items() if value is not None}


def tuned(
    *, weight_decay: tuple[Positive, ...] = (0.0, 5e-4, 5e-3, 5e-2), lr: tuple[Positive, ...] = ()
) -> tuple[dict[str, Any], ...]:
    """Every combination of the values."""
    lists = {"weight_decay": weight_decay, "lr": lr}
    named = {key: values for key, values in lists.items() if values}
    return tuple(dict(zip(named, values, strict=True)) for values in product(*named.values()))


def _row(chain: Chain) -> PatchRow:
    first, *further = chain.stages
    where = f"--strategy {chain}"
    made = build_strategy(first)
    own: dict[str, Any] = {"sampling": "groups"} if made.needs_groups else {}
    grid: tuple[dict[str, Any], ...] = ({},)
    true = False
    for spec in further:
        if spec.name == "balanced":
            _no_options(spec, where)
            own["sampling"] = "groups"
        elif spec.name == "true":
            _no_options(spec, where)
            if STREAM not in made.streams:
                raise InputError(f"{where}: {first.name} uses no translations; leave out +true")
            true = True
        elif spec.name == "with":
            own |= with_settings(**bind(with_settings, spec, where))
        elif spec.name == "tuned":
            grid = tuned(**bind(tuned, spec, where))
        else:
            raise InputError(f"{where}: {unknown('addition', spec.name, list(_MODIFIERS))}")
    return PatchRow(str(chain), str(first), own, grid, true=true)


def _no_options(spec: Spec, where: str) -> None:
    if spec.options or spec.first:
        raise InputError(f"{where}: {spec.name} takes no options")
