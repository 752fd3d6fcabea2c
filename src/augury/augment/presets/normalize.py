"""Normalize: the place in a chain where pixels become the values that a network reads."""

from augury.augment.stages.normalize import Normalize, checked_statistics
from augury.core.errors import InputError
from augury.core.registry import register


@register("preset", "normalize", source="LeCun et al. 1998, Efficient BackProp, section 4.3")
def normalize(*, mean: tuple[float, ...] | None = None, std: tuple[float, ...] | None = None) -> list[Normalize]:
    """(x / 255 - mean) / std per channel; later stages work on normalised values, where 0 is the mean colour.

    Without numbers, it uses those of the data set in a training, or of `pipeline(..., normalize=(mean, std))`. A chain that
    does not name it normalises after its last stage that needs pixels.
    """
    if mean is None and std is None:
        return [Normalize((), ())]
    if mean is None or std is None:
        raise InputError("normalize: give both mean and std, or neither")
    return [Normalize(*checked_statistics(mean, std))]
