"""Loads the data of a training as its settings specify."""

from dataclasses import replace
from typing import Any

from augury.train.data.dataset import Dataset, load
from augury.train.data.preparation import Preparation
from augury.train.data.subsets import reduced
from augury.train.engine.pretrained import expecting, size_of_weights
from augury.train.engine.settings import Settings


def data_key(settings: Settings) -> tuple[Any, ...]:
    """A key for the data that `load_for` returns: settings with equal keys share them."""
    s = settings
    weights = None if s.pretrained is None else (s.pretrained, s.normalization, s.model)
    return s.data, s.data_dir, s.validation, s.image_size, s.resize, s.intensity_range, s.fraction, s.label_noise, weights


def load_for(settings: Settings, like: Preparation | None = None) -> Dataset:
    """The data set with the settings' fraction of training images and label noise; raises InputError as `load` does.

    With pretrained weights, images have the size (unless one is set) and the normalisation that the weights expect, as the
    notes say. like: prepare files exactly like this instead, as a trained network requires.
    """
    size = settings.image_size
    weights = None if settings.pretrained is None or size is not None or like is not None else size_of_weights(settings)
    dataset = load(
        settings.data, data_dir=settings.data_dir, validation=settings.validation, image_size=weights or size,
        resize=settings.resize, stream=settings.stream, intensity_range=settings.intensity_range, like=like,
        cache=settings.cache,
    )  # fmt: skip
    if weights is not None:
        note = f"images are resized to {weights[0]}x{weights[1]}, the size of the weights; set --image-size for another"
        dataset = replace(dataset, notes=(*dataset.notes, note))
    if like is None:
        dataset = expecting(dataset, settings)
    return reduced(dataset, fraction=settings.fraction, label_noise=settings.label_noise)
