"""Extends a finished search: a larger budget, other controls, more seeds."""

from pathlib import Path
from typing import Any

from augury.augment.names import read_policy_file
from augury.core.errors import InputError
from augury.core.options import Spec
from augury.jobs.search.settings import SearchSettings
from augury.jobs.search.setup import controller_lr
from augury.train.engine.rundir import RunDirectory
from augury.train.search.budget import Budget

EXTENDABLE = ("budget", "controls", "seeds")


def extends(output: Path, options: SearchSettings, config: dict[str, Any]) -> bool:
    """Whether resuming extends the search by a larger budget, other controls or more seeds.

    InputError for an extension that is not possible.
    """
    old = RunDirectory(output).config() if output.is_dir() else None
    if old is None or all(old.get(key) == config[key] for key in EXTENDABLE):
        return False
    before, now = Budget.of(str(old["budget"])), Budget.of(options.budget)
    if not now.more_than(before):
        raise InputError(f"--budget {options.budget}: the search had {before}; --resume extends it by more of the same kind")
    if old["budget"] != options.budget:
        if options.method == "autoaugment" and options.controller_lr is None and controller_lr(now) != controller_lr(before):
            raise InputError(
                f"--budget {options.budget}: the controller's learning rate would change in the middle of the search; start a new "
                f"search with --controller-lr {controller_lr(before):g}"
            )
        if options.method == "tanda" and now.seconds is not None:
            raise InputError(
                f"--budget {options.budget}: TANDA divides a time among its generators, so it cannot grow; start a new search"
            )
    return True


def forget_trainings(retrained: Path, file: Path) -> None:
    """Remove the trainings of a policy that is no longer the found one."""
    for folder in sorted((retrained / "runs").glob("*")):
        config = RunDirectory(folder).config()
        if config is not None and str(Spec(str(file.resolve()))) in config["augment"]:
            RunDirectory(folder).clear()


def trained_as(file: Path) -> Any:
    """The parts of a policy file that its trainings depend on; None if it does not exist."""
    if not file.exists():
        return None
    policy = read_policy_file(file)
    return policy.periods, policy.repeat, policy.provenance.get("refine_share", 0.0)
