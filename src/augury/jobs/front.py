"""Training and comparing from Python: `augury.fit` and `augury.compare`. `tools/stubs.py` generates their typed signatures."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from augury.core.devices import on_the_cpu_by_default
from augury.core.doors import door
from augury.core.errors import InputError
from augury.core.grammar import text_from
from augury.jobs import compare as comparisons
from augury.jobs.comparison import Comparison, rows_from
from augury.jobs.runs import Run, open_run
from augury.jobs.train import train
from augury.train.engine.run import OnEpoch
from augury.train.engine.settings import Settings
from augury.train.engine.tuning import Tune, layered
from augury.train.pools.opened import Workers

_TEXTS = ("augment", "augment2", "strategy", "model")


@on_the_cpu_by_default
@door
def fit(
    data: str | Settings, *, output: str | os.PathLike[str], resume: bool = False, overwrite: bool = False, quiet: bool = False,
    on_epoch: OnEpoch | None = None, tune: Tune | None = None, refine_from: str | os.PathLike[str] | None = None, **settings: Any,
) -> Run:  # fmt: skip
    """Train a network, as `augury train` does, and open the finished run: `run.accuracy`, `run.networks[0]`, `run.result`.

    data: a name, folder or file as on the command line, with the settings as keywords, or `Settings`. Augmentations may be
    text or pipelines. output: the run's folder. on_epoch: is called after every epoch with its line of metrics.jsonl, a dictionary;
    what it raises ends the training, which `resume` continues. tune: settings for what `pretrained` gives, as `--tune`.
    refine_from: the folder of a run whose stage one is taken over, as `--refine-from`.

    Raises InputError, before anything is written, for wrong settings or data.
    """
    made, path = _settings(data, {**settings, "tune": tune}), Path(output)
    start = None if refine_from is None else Path(refine_from)
    if train(made, path, resume=resume, overwrite=overwrite, quiet=quiet, on_epoch=on_epoch, refine_from=start) is None:
        raise InputError("fit: runs in one process; `augury train` runs in several under torchrun")
    return open_run(path, made.device)


@on_the_cpu_by_default
@door
def compare(
    data: str | Settings, *, output: str | os.PathLike[str], seeds: int = 3, resume: bool = False, overwrite: bool = False,
    quiet: bool = False, parallel_seeds: bool = False, workers: int = 1, ray: str | None = None,
    on_epoch: OnEpoch | None = None, tune: Tune | None = None, **settings: Any,
) -> Comparison:  # fmt: skip
    """Compare augmentations and strategies at equal budget, as `augury compare` does; the first of each is the reference.

    augment, strategy: a list, or comma-separated text. seeds: trainings for each row. workers: processes that train at the same
    time; a script that asks for several guards its own calls by `if __name__ == "__main__":`. ray: a Ray cluster, `local`, `auto`
    or an address. on_epoch: as in `fit`, with the training's name as `training`. Everything else as in `fit`.
    """
    made, path = _settings(data, {**settings, "tune": tune}, several=True), Path(output)
    result = comparisons.compare(
        made, seeds, path, resume=resume, overwrite=overwrite, quiet=quiet, parallel_seeds=parallel_seeds,
        workers=Workers.of("compare", workers, ray), on_epoch=on_epoch,
    )  # fmt: skip
    return Comparison(path, rows_from(result), result)


def _settings(data: str | Settings, given: dict[str, Any], several: bool = False) -> Settings:
    if isinstance(data, Settings):
        given = {key: value for key, value in given.items() if key != "tune" or value is not None}
        if given:
            raise InputError(f"{next(iter(given))}: given in addition to Settings; set it there")
        return data
    values = dict(given)
    for key in _TEXTS:
        if values.get(key) is not None:
            values[key] = _text(values[key], key, several and key in ("augment", "strategy"))
    if isinstance(values.get("pretrained"), os.PathLike):
        values["pretrained"] = os.fspath(values["pretrained"])
    return Settings.of(layered({"data": data, **values}), "fit")


def _text(value: object, where: str, several: bool) -> str:
    """Names as text; a list means alternatives where several are compared, and stages otherwise."""
    if several and isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(_text(each, where, False) for each in value)
    if where == "model" and isinstance(value, list | tuple):
        return ",".join(_text(each, where, False) for each in value)
    return text_from(value, where)
