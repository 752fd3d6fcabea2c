"""`augury evaluate`: a finished run's networks on a test part."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from augury.core.target_kind import TargetKind
from augury.jobs.runs import Run, open_run, other_data
from augury.train.data.dataset import Retrieval, Split
from augury.train.data.fingerprint import FileMark
from augury.train.data.images_alone import is_alone, read_alone
from augury.train.data.words import count, few
from augury.train.engine.answers import Answers
from augury.train.engine.evaluate import evaluate as evaluate_model
from augury.train.engine.outcome import judged, top5
from augury.train.engine.retrieval import retrieve
from augury.train.engine.setup import on_device


@dataclass(frozen=True)
class _Tested:
    """What is evaluated: a split, notes on it, and the query and gallery images if the data have them."""

    split: Split
    notes: list[str]
    retrieval: Retrieval | None = None


def evaluate(
    run: Path, *, data: str | None = None, data_dir: str | None = None, device: str = "auto", cache: str | None = None
) -> dict[str, Any]:
    """Accuracy, top-5 accuracy and loss on the test part of the run's data, or on other data; where an image may have several
    labels, every metric and each class too.

    The run's own classes, mean, standard deviation and image size are used, even if the data have changed since; changes are
    noted. data: a data set like the training's, whose test part is used, or labelled images alone (class folders, test/ or
    test.npz, a manifest); classes are matched by name. The first network's figures are at the top level, those of all networks
    under `networks`, and the training's cost under `counts`. cache: in place of the run's own. Raises InputError if there is
    no finished run, or if the data do not fit the network.
    """
    opened = open_run(run, device)
    if cache is not None:
        opened = replace(opened, settings=replace(opened.settings, cache=cache))
    tested = _tested(opened, data, data_dir)
    part, normalize = on_device(tested.split, opened.device), opened.normalize
    classes = len(opened.identity.classes)
    found = [evaluate_model(network, part, normalize, classes) for network in opened.networks]
    each = [{"accuracy": f.accuracy, "accuracy_top5": top5(f, classes), "loss": f.loss} for f in found]
    asked: dict[str, Any] = {}
    if part.kind is TargetKind.SEVERAL:
        asked |= judged(Answers.of(found[0].prediction, found[0].probability, part), opened.identity.classes)
    if tested.retrieval is not None:
        asked["retrieval"] = retrieve(opened.networks[0], tested.retrieval, normalize, opened.device).dict()
    return {
        "version": 1, **each[0], "images": len(part.ids), "data": data or opened.settings.data,
        "networks": [{"model": model, **figures} for model, figures in zip(opened.models, each, strict=True)],
        "counts": opened.result["counts"], "notes": tested.notes, **asked,
    }  # fmt: skip


def _tested(run: Run, data: str | None, data_dir: str | None) -> _Tested:
    own = data is not None and run.identity.place == os.path.abspath(os.path.expanduser(data))
    if data is None or own:
        dataset = run.dataset
    elif is_alone(data):
        part, notes = read_alone(data, run.identity.classes, run.identity.preparation, run.settings.cache, run.identity.kind)
        split = Split(part.images, part.labels, torch.arange(len(part)))
        return _Tested(split, [*notes, *_trained_on(run, part.marks)])
    else:
        dataset = other_data(run, data, data_dir)
    marks = () if data is None or dataset.origin is None else dataset.origin.fingerprint.parts.get("test", ())
    return _Tested(dataset.test, [*dataset.notes, *_trained_on(run, marks)], dataset.retrieval)


def _trained_on(run: Run, marks: tuple[FileMark, ...]) -> list[str]:
    """A note if test files were in the training part."""
    trained = {(mark.size, mark.digest) for mark in run.identity.fingerprint.parts.get("train", ()) if mark.label}
    found = [mark.name for mark in marks if mark.label and mark.size and (mark.size, mark.digest) in trained]
    if not found:
        return []
    return [f"trained on: {count(len(found), 'image')} of {len(marks):,} were in the run's training part ({few(found)})"]
