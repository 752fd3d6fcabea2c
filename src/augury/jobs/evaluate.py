"""`augury evaluate`: a finished run's networks on a test part."""

from pathlib import Path
from typing import Any

from augury.augment.stages.normalize import Normalize
from augury.jobs.runs import open_run, other_data
from augury.train.engine.evaluate import evaluate as evaluate_model
from augury.train.engine.retrieval import retrieve
from augury.train.engine.setup import on_device


def evaluate(run: Path, *, data: str | None = None, data_dir: str | None = None, device: str = "auto") -> dict[str, Any]:
    """Accuracy, top-5 accuracy and loss on the test part of the run's data, or of other data with the same classes.

    The first network's figures stand at the top, those of all under `networks`, and what the training cost under `counts`.
    Raises InputError where there is no finished run, or where the data's classes or image size do not fit the network.
    """
    opened = open_run(run, device)
    own = opened.dataset
    dataset = own if data is None else other_data(opened, data, data_dir)
    part, normalize = on_device(dataset.test, opened.device), Normalize(own.mean, own.std)
    found = [evaluate_model(network, part, normalize, len(own.classes)) for network in opened.networks]
    each = [{"accuracy": f.accuracy, "accuracy_top5": f.accuracy_top5, "loss": f.loss} for f in found]
    asked = {}
    if dataset.retrieval is not None:
        asked["retrieval"] = retrieve(opened.networks[0], dataset.retrieval, normalize, opened.device).dict()
    return {
        "version": 1, **each[0], "images": len(dataset.test.ids), "data": data or opened.settings.data,
        "networks": [{"model": model, **figures} for model, figures in zip(opened.models, each, strict=True)],
        "counts": opened.result["counts"], "notes": list(dataset.notes), **asked,
    }  # fmt: skip
