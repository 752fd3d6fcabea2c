"""What decides a search's result, beside the settings of its trainings."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from augury.augment.policies.controller import Rule
from augury.augment.policies.generators import Kind
from augury.augment.policies.randaugment import TORCHVISION
from augury.augment.policies.searched import OPERATIONS, PolicySpace
from augury.augment.policies.tanda import expanded
from augury.core.errors import InputError
from augury.core.options import Interval, parse_list
from augury.train.data.dataset import Dataset
from augury.train.engine.settings import Settings, checked
from augury.train.search.budget import Budget
from augury.train.search.searchers import Chance, Controlled, Listed, Searcher
from augury.train.search.spaces import AutoAugmentSpace, Decisions, RandAugmentSpace, SearchSpace
from augury.train.search.tanda_space import TandaSpace

Method = Literal["tanda", "autoaugment", "randaugment"]
CHILD_EPOCHS = 10
MINUTES_PER_CANDIDATE = 5
GRID_POINTS = 30

# Which methods an option belongs to, where not to all.
_ONLY = {
    "functions": ("tanda",), "length": ("tanda",), "generator": ("tanda",), "generator_steps": ("tanda",),
    "generator_lr": ("tanda",), "discriminator_lr": ("tanda",), "operations": ("autoaugment", "randaugment"),
    "rule": ("autoaugment",), "controller_lr": ("autoaugment",), "round_size": ("autoaugment",), "sampler": ("randaugment",),
    "refine_shares": ("randaugment",),
}  # fmt: skip


@dataclass(frozen=True)
class SearchSettings:
    """A search. seeds, final_epochs: of the trainings on the full training part at the end. proxy: images children train on.

    child_model: the children's network, the final one by default. controls: augmentations trained at the end beside the
    winner and random search's. The others belong to one method each; round_size: children that the controller learns from at a
    time; refine_shares: shares of the epochs at the end to be tried without the policy.
    """

    method: Method
    budget: str = "40"
    seeds: Annotated[int, Interval(1, 1000)] = 5
    final_epochs: Annotated[int, Interval(1)] = 60
    proxy: Annotated[int, Interval(2)] = 4000
    child_model: str | None = None
    controls: str = "trivialaugment"
    functions: str | None = None
    length: Annotated[int, Interval(1, 100)] = 10
    generator: Kind = "lstm"
    generator_steps: Annotated[int, Interval(1)] = 500
    generator_lr: Annotated[float, Interval(0)] = 1e-3
    discriminator_lr: Annotated[float, Interval(0)] | None = None
    operations: str | None = None
    rule: Rule = "ppo"
    controller_lr: Annotated[float, Interval(0)] | None = None
    round_size: Annotated[int, Interval(2, 10_000)] = 8
    sampler: Literal["grid", "tpe"] = "grid"
    refine_shares: tuple[Annotated[float, Interval(0, 0.99)], ...] = (0.0,)

    @staticmethod
    def of(values: dict[str, Any], where: str) -> "SearchSettings":
        """From a flat mapping; InputError for wrong values, for a missing method, for options of another method."""
        if values.get("budget") is not None:
            Budget.of(str(values["budget"]))
        if values.get("method") is None:
            raise InputError("--method: name one of tanda, autoaugment, randaugment")
        made = SearchSettings(**checked(SearchSettings, {**values, "budget": str(values.get("budget", "40"))}, where))
        plain = {part.name: part.default for part in fields(SearchSettings)}
        if made.sampler == "tpe" and len(made.refine_shares) > 1:
            raise InputError("--refine-shares: --sampler tpe searches numbers of operations and magnitudes alone; use the grid")
        for name, methods in _ONLY.items():
            if getattr(made, name) != plain[name] and made.method not in methods:
                raise InputError(f"--{name.replace('_', '-')}: belongs to --method {' or '.join(methods)}; leave it out")
        return made


def space_of(search: SearchSettings, dataset: Dataset, device: str) -> SearchSpace:
    """The space that is searched. Raises InputError for unknown operations and for fewer than two."""
    if search.method == "autoaugment":
        return AutoAugmentSpace(PolicySpace(operations=_operations(search, OPERATIONS)))
    if search.method == "randaugment":
        return RandAugmentSpace(operations=_operations(search, TORCHVISION), refine_shares=search.refine_shares)
    grey = dataset.train.images.shape[1] == 1
    default = "mnist" if grey else "cifar10"
    chains = parse_list(search.functions or default, "--functions")
    if any(len(chain.stages) > 1 for chain in chains):
        raise InputError("--functions: a function is one operation, not a chain; part functions by commas")
    functions = expanded([chain.stages[0] for chain in chains])
    budget = Budget.of(search.budget)
    seconds = None if budget.seconds is None else budget.seconds / candidates_in(budget.seconds)
    return TandaSpace(
        functions, search.length, search.generator, search.generator_steps, seconds, generator_lr=search.generator_lr,
        discriminator_lr=search.discriminator_lr, grey=grey, device=device,
    )  # fmt: skip


def candidates_in(seconds: float) -> int:
    """How many generators TANDA trains in a time: one for every five minutes, at least one, at most the grid."""
    return max(1, min(12, int(seconds / 60 / MINUTES_PER_CANDIDATE)))


def searcher_of(
    search: SearchSettings, space: SearchSpace, settings: Settings, tpe: dict[str, Any], known: Sequence[Decisions] = ()
) -> tuple[Searcher, Budget]:
    """Who proposes the method's children, and how many. tpe: where Optuna keeps its study. known: what was tried before, by a
    search that is extended; a grid goes on with points that are not among them.
    """
    budget = Budget.of(search.budget)
    if isinstance(space, AutoAugmentSpace):
        rate = search.controller_lr or controller_lr(budget)
        return Controlled(space.policies, settings.seed, search.rule, rate, search.round_size, moving_average=rate < 1e-3), budget
    if isinstance(space, TandaSpace):
        count = budget.children or candidates_in(budget.seconds or 0)
        grid = space.candidates()
        return Listed([grid[number % len(grid)] for number in range(count)]), Budget(count)
    assert isinstance(space, RandAugmentSpace)
    if search.sampler == "tpe":
        from augury.train.search.tpe import Tpe

        return Tpe(space, settings.seed, epochs=settings.epochs, **tpe), budget
    new = [point for point in space.grid(budget.children or GRID_POINTS) if point not in known]
    return Listed([*known, *new]), budget


def controller_lr(budget: Budget) -> float:
    """AutoAugment's 3.5e-4 needs thousands of children to move the controller; with fewer than 1000 it is 0.01."""
    return 3.5e-4 if (budget.children or 0) >= 1000 else 0.01


def random_searcher(space: SearchSpace, seed: int) -> Chance:
    """The control: as many children, drawn uniformly."""
    return Chance(space, seed)


def _operations(search: SearchSettings, default: tuple[str, ...]) -> tuple[str, ...]:
    if search.operations is None:
        return default
    chains = parse_list(search.operations, "--operations")
    if any(len(chain.stages) > 1 or chain.stages[0].options or chain.stages[0].first for chain in chains):
        raise InputError("--operations: names of operations parted by commas, without options; the ladder gives their values")
    return tuple(chain.stages[0].name for chain in chains)
