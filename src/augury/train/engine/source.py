"""The data of a training, as its settings say."""

from augury.train.data.dataset import Dataset, load
from augury.train.data.subsets import reduced
from augury.train.engine.settings import Settings


def load_for(settings: Settings) -> Dataset:
    """The data set with the settings' fraction of training images and noise in their labels; InputError as `load`."""
    dataset = load(
        settings.data, data_dir=settings.data_dir, validation=settings.validation, image_size=settings.image_size,
        resize=settings.resize, stream=settings.stream, intensity_range=settings.intensity_range,
    )  # fmt: skip
    return reduced(dataset, fraction=settings.fraction, label_noise=settings.label_noise)
