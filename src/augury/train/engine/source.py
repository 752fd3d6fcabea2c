"""The data of a training, as its settings say."""

from typing import Any

from augury.train.data.dataset import Dataset, load
from augury.train.data.preparation import Preparation
from augury.train.data.subsets import reduced
from augury.train.engine.settings import Settings


def data_key(settings: Settings) -> tuple[Any, ...]:
    """The key of the data that `load_for` gives: settings with the same key share them."""
    s = settings
    return s.data, s.data_dir, s.validation, s.image_size, s.resize, s.intensity_range, s.fraction, s.label_noise


def load_for(settings: Settings, like: Preparation | None = None) -> Dataset:
    """The data set with the settings' fraction of training images and noise in their labels; InputError as `load`.

    like: bring files to exactly this, as a trained network needs it.
    """
    dataset = load(
        settings.data, data_dir=settings.data_dir, validation=settings.validation, image_size=settings.image_size,
        resize=settings.resize, stream=settings.stream, intensity_range=settings.intensity_range, like=like,
        cache=settings.cache,
    )  # fmt: skip
    return reduced(dataset, fraction=settings.fraction, label_noise=settings.label_noise)
