"""Waterbirds: birds cut out and placed on land or water, from the published folder."""

import torch

from augury.core.errors import InputError
from augury.core.registry import register
from augury.train.data.decoded_cache import DecodedCache
from augury.train.data.parts import Part, Parts
from augury.train.data.photographs import find, integer, published_size, read_photographs, read_table
from augury.train.data.resize import ImageSize, Resize

_FOLDERS = (".", "waterbird_complete95_forest2water2", "waterbirds_v1.0", "waterbirds")


@register("dataset", "waterbirds", source="Sagawa et al. 2020, arXiv:1911.08731, section 4; github.com/kohpangwei/group_DRO")
def waterbirds(
    *, data_dir: str | None = None, image_size: ImageSize = None, resize: Resize = "cover", cache: DecodedCache | None = None
) -> Parts:
    """Landbird or waterbird, on land or on water; reads the published folder with its metadata.csv.

    metadata.csv has img_filename, y (1: waterbird), place (1: water) and split (0 training, 1 validation, 2 test). As published,
    images are stretched to 8/7 of `image_size` (256 for the default 224) and the centre is cropped; 4,795 + 1,199 + 5,794 images,
    1.8 GB of memory at 224. The labels are the published ones, including three species of landbirds that are labelled as waterbirds
    because "eastern" and "western" contain "tern".
    """
    size = published_size(image_size, resize, (224, 224), "waterbirds")
    larger = round(size[0] * 8 / 7), round(size[1] * 8 / 7)
    folder = find(data_dir, "waterbirds", _FOLDERS, "metadata.csv")
    path = folder / "metadata.csv"
    rows = read_table(path, ("img_filename", "y", "place", "split"))
    parts, notes = [], list[str]()
    for number, name in enumerate(("training", "validation", "test")):
        chosen = [i for i, row in enumerate(rows) if integer(row, "split", (0, 1, 2), path) == number]
        if not chosen:
            raise InputError(f"{path}: no row with split {number}, so there is no {name} part")
        images, said = read_photographs([folder / rows[i]["img_filename"] for i in chosen], size, resize=larger, cache=cache)
        labels = torch.tensor([integer(rows[i], "y", (0, 1), path) for i in chosen])
        places = torch.tensor([integer(rows[i], "place", (0, 1), path) for i in chosen])
        notes += said
        parts.append(Part(images, labels, places))
    train, validation, test = parts
    return Parts(("landbird", "waterbird"), train, test, validation, ("land", "water"), tuple(notes))
