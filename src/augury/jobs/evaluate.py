"""`augury evaluate`: a finished run's network on a test part."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from augury.augment.stage import Normalize
from augury.core.errors import InputError
from augury.train.data.dataset import load
from augury.train.engine.evaluate import evaluate as evaluate_model
from augury.train.engine.loop import make_model, on_device, pick_device
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings


def evaluate(run: Path, *, data: str | None = None, data_dir: str | None = None, device: str = "auto") -> dict[str, Any]:
    """Accuracy, top-5 accuracy and loss on the test part of the run's data, or of other data with the same classes.

    Raises InputError where there is no finished run, or where the data's classes or image size do not fit the network.
    """
    directory = RunDirectory(run)
    config = directory.config() if run.is_dir() else None
    if config is None or directory.result() is None or not (run / "model.safetensors").exists():
        raise InputError(f"{run}: no finished run here; give the --output folder of `augury train`")
    settings = Settings.of(config, str(run / "config.yaml"))
    own = load(settings.data, data_dir=settings.data_dir, validation=settings.validation, image_size=settings.image_size)
    dataset = own
    if data is not None:
        side = settings.image_size or own.train.images.shape[-1]
        dataset = load(data, data_dir=data_dir, validation=settings.validation, image_size=side)
        if dataset.classes != own.classes:
            raise InputError(f"--data {data}: its classes {_few(dataset.classes)} are not the run's {_few(own.classes)}")
        if dataset.train.images.shape[1] != own.train.images.shape[1]:
            raise InputError(f"--data {data}: its images have another number of channels than the run's")
    target = pick_device(device)
    model = make_model(replace(settings, data=data or settings.data), own).to(target)
    try:
        model.load_state_dict(load_file(run / "model.safetensors"))
    except (SafetensorError, RuntimeError):
        raise InputError(f"{run / 'model.safetensors'}: damaged, or of another network; train again with --overwrite") from None
    found = evaluate_model(model, on_device(dataset.test, target), Normalize(own.mean, own.std), len(own.classes))
    return {
        "version": 1, "accuracy": found.accuracy, "accuracy_top5": found.accuracy_top5, "loss": found.loss,
        "images": len(dataset.test.ids), "data": data or settings.data, "notes": list(dataset.notes),
    }  # fmt: skip


def _few(classes: tuple[str, ...]) -> str:
    return ", ".join(classes[:5]) + (", ..." if len(classes) > 5 else "")
