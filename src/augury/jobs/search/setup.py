"""The space, the searcher and the budget that a search's settings ask for."""

from collections.abc import Sequence
from typing import Any

from augury.augment.policies.randaugment import TORCHVISION
from augury.augment.policies.searched import OPERATIONS, PolicySpace
from augury.augment.policies.tanda import expanded
from augury.core.errors import InputError
from augury.core.grammar import Chain
from augury.core.options import parse_list
from augury.jobs.search.settings import SearchSettings
from augury.train.data.dataset import Dataset
from augury.train.engine.settings import Settings
from augury.train.search.budget import Budget
from augury.train.search.outcome import Decisions
from augury.train.search.searchers import ControllerSearch, GridSearch, RandomSearch, Searcher
from augury.train.search.spaces import AutoAugmentSpace, RandAugmentSpace, SearchSpace
from augury.train.search.tanda_space import TandaSpace

MINUTES_PER_CANDIDATE = 5
GRID_POINTS = 30
COLOURS = (1, 3)  # numbers of channels that every operation takes


def space_of(search: SearchSettings, dataset: Dataset, device: str) -> tuple[SearchSpace, list[str]]:
    """The search space, and a note where it lacks published operations that the images' channels do not allow.

    Raises InputError for unknown operations, for fewer than two, and for some that were asked for and are not allowed.
    """
    space, channels = _space(search, dataset, device), dataset.train.images.shape[1]
    if channels in COLOURS or not space.rgb:
        return space, []
    tanda, which = search.method == "tanda", f"{', '.join(space.rgb)}: for grey images or red, green and blue"
    flag, asked = ("--functions", search.functions) if tanda else ("--operations", search.operations)
    if asked is not None:
        raise InputError(f"{flag}: {which}, and these have {channels} channels; leave them out")
    return space.without_rgb(), [f"channels: the search leaves out {which}, since these images have {channels} channels"]


def controls_for(search: SearchSettings, dataset: Dataset) -> str:
    """What is trained beside the winners: what was asked for, or TrivialAugment with the operations that the images allow."""
    plain = dataset.train.images.shape[1] in COLOURS
    return search.controls or ("trivialaugment" if plain else "trivialaugment(channels=any)")


def controls_of(search: SearchSettings) -> list[Chain]:
    """The chains of settings that `controls_for` has completed."""
    assert search.controls is not None
    return parse_list(search.controls, "--controls")


def _space(search: SearchSettings, dataset: Dataset, device: str) -> SearchSpace:
    if search.method == "autoaugment":
        return AutoAugmentSpace(PolicySpace(operations=_operations(search, OPERATIONS)))
    if search.method == "randaugment":
        return RandAugmentSpace(operations=_operations(search, TORCHVISION), refine_shares=search.refine_shares)
    grey = dataset.train.images.shape[1] == 1
    default = "mnist" if grey else "cifar10"
    chains = parse_list(search.functions or default, "--functions")
    if any(len(chain.stages) > 1 for chain in chains):
        raise InputError("--functions: a function is one operation, not a chain; separate functions by commas")
    functions = expanded([chain.stages[0] for chain in chains])
    budget = Budget.of(search.budget)
    seconds = None if budget.seconds is None else budget.seconds / candidates_in(budget.seconds)
    return TandaSpace(
        functions, search.length, search.generator, search.generator_steps, seconds, generator_lr=search.generator_lr,
        discriminator_lr=search.discriminator_lr, grey=grey, device=device,
    )  # fmt: skip


def candidates_in(seconds: float) -> int:
    """How many generators TANDA trains in the given time: one for every five minutes, at least one, at most the 12 of its
    grid."""
    return max(1, min(12, int(seconds / 60 / MINUTES_PER_CANDIDATE)))


def searcher_of(
    search: SearchSettings, space: SearchSpace, settings: Settings, tpe: dict[str, Any], known: Sequence[Decisions] = ()
) -> tuple[Searcher, Budget]:
    """The searcher that proposes the method's children, and its budget. tpe: options of Optuna's study. known: decisions tried
    before a search was extended; a grid continues with new points.
    """
    budget = Budget.of(search.budget)
    if isinstance(space, AutoAugmentSpace):
        rate = search.controller_lr or controller_lr(budget)
        return ControllerSearch(
            space.policies, settings.seed, search.rule, rate, search.round_size, moving_average=rate < 1e-3
        ), budget
    if isinstance(space, TandaSpace):
        count = budget.children or candidates_in(budget.seconds or 0)
        grid = space.candidates()
        return GridSearch([grid[number % len(grid)] for number in range(count)]), Budget(count)
    assert isinstance(space, RandAugmentSpace)
    if search.sampler == "tpe":
        from augury.train.search.tpe import Tpe

        return Tpe(space, settings.seed, epochs=settings.epochs, **tpe), budget
    new = [point for point in space.grid(budget.children or GRID_POINTS) if point not in known]
    return GridSearch([*known, *new]), budget


def controller_lr(budget: Budget) -> float:
    """AutoAugment's rate of 3.5e-4 takes thousands of children to change the controller; below 1000 children it is 0.01."""
    return 3.5e-4 if (budget.children or 0) >= 1000 else 0.01


def random_searcher(space: SearchSpace, seed: int) -> RandomSearch:
    """The control: children drawn uniformly."""
    return RandomSearch(space, seed)


def _operations(search: SearchSettings, default: tuple[str, ...]) -> tuple[str, ...]:
    if search.operations is None:
        return default
    chains = parse_list(search.operations, "--operations")
    if any(len(chain.stages) > 1 or chain.stages[0].options or chain.stages[0].first for chain in chains):
        raise InputError(
            "--operations: give names of operations, separated by commas, without options; the search chooses their values"
        )
    return tuple(chain.stages[0].name for chain in chains)
