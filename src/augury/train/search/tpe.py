"""Searches RandAugment's parameters with Optuna: the tree-structured Parzen estimator, with pruning."""

import platform
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from augury.core.errors import InputError
from augury.train.engine.networks import derived_seed
from augury.train.search.outcome import Decisions, Outcome, Report
from augury.train.search.spaces import RandAugmentSpace

STARTUP = 5


@dataclass
class Tpe:
    """Children proposed by Optuna's TPE sampler and ended early by its median pruner.

    storage: a file for Optuna's journal, or the URL of a database; searches with the same storage and study learn from each other's
    trials, on one machine or several. owner: identifies this search's trials there. A trial that a killed search left running is
    resumed by its child's number. Every proposal has its own seed, so that resuming draws nothing twice. After 5 children, a child
    is ended early if it is below the median of the others once a third of its epochs are done. Raises InputError if Optuna is
    missing or the storage cannot be opened.
    """

    space: RandAugmentSpace
    seed: int
    storage: str
    study_name: str
    owner: str
    epochs: int
    round_size: int = 1
    study: Any = field(init=False, repr=False)
    trials: dict[int, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.study = opened(self.storage, self.study_name, self.epochs, create=True)
        for trial in self.study.get_trials(deepcopy=False):
            if trial.user_attrs.get("owner") == self.owner:
                self.trials[trial.user_attrs["child"]] = trial.number

    def ask(self, first: int, count: int) -> list[Decisions]:
        return [self._params(number) for number in range(first, first + count)]

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        from optuna.trial import TrialState

        for outcome in outcomes:
            number = self.trials[outcome.number]
            if self.study.get_trials(deepcopy=False)[number].state.is_finished():
                continue
            if outcome.accuracy is None:
                self.study.tell(number, state=TrialState.FAIL)
            elif outcome.pruned:
                self.study.tell(number, state=TrialState.PRUNED)
            else:
                self.study.tell(number, outcome.accuracy)

    def report(self, number: int) -> Report | None:
        return TrialReport(self.storage, self.study_name, self.epochs, self.trials[number])

    def _params(self, number: int) -> Decisions:
        import optuna

        if number not in self.trials:
            upcoming = len(self.study.get_trials(deepcopy=False))
            seed = derived_seed(self.seed, "tpe", upcoming) % 2**31
            self.study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP)
            trial = self.study.ask({
                "num_ops": optuna.distributions.IntDistribution(1, self.space.most_ops),
                "magnitude": optuna.distributions.IntDistribution(0, self.space.highest),
            })  # fmt: skip
            trial.set_user_attr("owner", self.owner)
            trial.set_user_attr("child", number)
            self.trials[number] = trial.number
        return dict(self.study.get_trials(deepcopy=False)[self.trials[number]].params)


@dataclass(frozen=True)
class TrialReport:
    """Reports a child's accuracy to its trial, from any process; returns True if the child should end."""

    storage: str
    study_name: str
    epochs: int
    number: int

    def __call__(self, epoch: int, accuracy: float) -> bool:
        import optuna

        study = opened(self.storage, self.study_name, self.epochs)
        frozen = study.get_trials(deepcopy=False)[self.number]
        if epoch not in frozen.intermediate_values:
            optuna.trial.Trial(study, frozen._trial_id).report(accuracy, epoch)
            frozen = study.get_trials(deepcopy=False)[self.number]
        return bool(study.pruner.prune(study, frozen))


def optuna_module() -> Any:
    """Optuna; InputError if it is not installed."""
    try:
        import optuna
    except ImportError:
        raise InputError("--sampler tpe: needs Optuna; pip install 'augury[search]', or use --sampler grid") from None
    return optuna


def opened(storage: str, name: str, epochs: int, *, create: bool = False) -> Any:
    """The study; if it does not exist and `create` is True, it is created. InputError if it cannot be opened."""
    optuna = optuna_module()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=max(1, epochs // 3))
    try:
        with _quiet():
            kept = _storage(storage)
            if create:
                return optuna.create_study(
                    storage=kept, study_name=name, direction="maximize", pruner=pruner, load_if_exists=True
                )  # fmt: skip
            return optuna.load_study(storage=kept, study_name=name, pruner=pruner)
    except Exception as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"--storage {storage}: cannot be opened ({words})") from None


def owner_of(folder: str, seed: int) -> str:
    """Identifies a search's trials in a shared storage."""
    return f"{platform.node()}:{folder}:{seed}"


def _storage(text: str) -> Any:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    return text if "://" in text else optuna.storages.JournalStorage(JournalFileBackend(text))


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
