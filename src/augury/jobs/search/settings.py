"""The settings that determine a search's result, beyond those of its trainings."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from augury.core.errors import InputError
from augury.core.flags import flag, required
from augury.core.options import Interval
from augury.train.engine.settings import checked
from augury.train.search.budget import Budget

Method = Literal["tanda", "autoaugment", "randaugment"]
CHILD_EPOCHS = 10
FINAL_TIMES = 6

# The methods that an option applies to, if not to all.
_ONLY = {
    "functions": ("tanda",), "length": ("tanda",), "generator": ("tanda",), "generator_steps": ("tanda",),
    "generator_lr": ("tanda",), "discriminator_lr": ("tanda",), "operations": ("autoaugment", "randaugment"),
    "rule": ("autoaugment",), "controller_lr": ("autoaugment",), "round_size": ("autoaugment",), "sampler": ("randaugment",),
    "refine_shares": ("randaugment",),
}  # fmt: skip


@dataclass(frozen=True)
class SearchSettings:
    """A search. seeds, final_epochs: of the final trainings on the full training part. proxy: number of images children train on.

    child_model: the children's network, the final one by default. controls: augmentations trained at the end to compare with
    the two winners. Each of the others applies to one method; round_size: children that the controller learns from at a time;
    refine_shares: shares of the epochs, at the end, to try without the policy.
    """

    method: Method = required("Search", "search method")
    budget: str = flag(
        "40",
        "Search",
        "the method's budget: a number of child trainings, such as 40, or a time, such as 20m; random search gets an equal one",
        value="N|TIME",
    )
    seeds: Annotated[int, Interval(1, 1000)] = flag(5, "Search", "trainings of each winner at the end")
    final_epochs: Annotated[int, Interval(1)] | None = flag(
        None, "Search", "epochs of the trainings at the end", unset=f"{FINAL_TIMES} times --epochs"
    )
    proxy: Annotated[int, Interval(2)] = flag(4000, "Search", "largest number of training images that children see")
    child_model: str | None = flag(None, "Search", "the children's network", value="NETWORK", unset="that of --model")
    controls: str | None = flag(
        None,
        "Search",
        "augmentations, separated by commas, trained at the end to compare with the two winners",
        value="A,B,...",
        unset="trivialaugment",
    )
    functions: str | None = flag(
        None,
        "Search",
        "tanda: operations with fixed values separated by commas, or one of the published lists mnist and cifar10",
        value="F,G,...",
        unset="depends on the images",
    )
    length: Annotated[int, Interval(1, 100)] = flag(10, "Search", "tanda: functions per image")
    generator: Literal["lstm", "gru", "mean_field"] = flag("lstm", "Search", "tanda: model that generates sequences of functions")
    generator_steps: Annotated[int, Interval(1)] = flag(
        500, "Search", "tanda: training steps of each generator, if --budget counts children"
    )
    generator_lr: Annotated[float, Interval(0)] = flag(1e-3, "Search", "tanda: the generator's learning rate", value="RATE")
    discriminator_lr: Annotated[float, Interval(0)] | None = flag(
        None,
        "Search",
        "tanda: the discriminator's learning rate",
        value="RATE",
        unset="a grid of the released values, 5e-6 to 5e-5",
    )
    operations: str | None = flag(
        None,
        "Search",
        "autoaugment, randaugment: operations, separated by commas, that policies choose from",
        value="A,B,...",
        unset="the published ones",
    )
    rule: Literal["ppo", "reinforce"] = flag("ppo", "Search", "autoaugment: learning rule of the controller")
    controller_lr: Annotated[float, Interval(0)] | None = flag(
        None, "Search", "autoaugment: the controller's learning rate", value="RATE", unset="0.01; 3.5e-4 from 1000 children on"
    )
    round_size: Annotated[int, Interval(2, 10_000)] = flag(
        8, "Search", "autoaugment: children that the controller learns from at a time; at least --workers"
    )
    refine_shares: tuple[Annotated[float, Interval(0, 0.99)], ...] = flag(
        (0.0,),
        "Search",
        "randaugment: shares of the epochs, at the end, to try without the policy, such as 0,0.2",
        value="F,G,...",
    )
    sampler: Literal["grid", "tpe"] = flag("grid", "Search", "randaugment: a grid, or Optuna's tpe with pruning")

    @staticmethod
    def of(values: dict[str, Any], where: str) -> "SearchSettings":
        """From a flat mapping; InputError for wrong values, a missing method or options of another method."""
        if values.get("budget") is not None:
            Budget.of(str(values["budget"]))
        if values.get("method") is None:
            raise InputError("--method: name one of tanda, autoaugment, randaugment")
        made = SearchSettings(**checked(SearchSettings, {**values, "budget": str(values.get("budget", "40"))}, where))
        plain = {part.name: part.default for part in fields(SearchSettings)}
        for name, methods in _ONLY.items():
            if getattr(made, name) != plain[name] and made.method not in methods:
                raise InputError(f"--{name.replace('_', '-')}: applies to --method {' or '.join(methods)} only; leave it out")
        if made.sampler == "tpe" and len(made.refine_shares) > 1:
            raise InputError(
                "--refine-shares: --sampler tpe searches only numbers of operations and magnitudes; use --sampler grid"
            )
        return made
