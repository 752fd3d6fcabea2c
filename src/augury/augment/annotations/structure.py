"""What users pass: images and what belongs to them, in dicts, lists and tuples, one sample or a batch of them.

As in torchvision, a tensor without a type counts as the image where no typed image is there, and passes through otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from PIL import Image
from torch import Tensor
from torch.utils import _pytree as pytree

from augury.core.errors import InputError

Kind = Literal["image", "mask", "boxes", "points", "other"]
Path = tuple[Any, ...]
_IMAGE_KEYS = ("image", "images", "img")
WRAP = "wrap a mask in torchvision.tv_tensors.Mask"


@dataclass(frozen=True)
class Leaf:
    """One part of what was passed. path: indices and keys from the top. row: whose it is, None if it is of all samples.

    frames: whether an image is a video, [T,C,H,W], whose frames get one draw.
    """

    kind: Kind
    value: Any
    path: Path
    row: int | None
    frames: bool = False


@dataclass(frozen=True)
class Parsed:
    """What was passed: its leaves, how to put them together again, and how many samples they are of.

    count: None if it is one sample without a batch dimension.
    """

    leaves: list[Leaf]
    spec: Any
    count: int | None

    def rebuilt(self, values: list[Any]) -> Any:
        return pytree.tree_unflatten(values, self.spec)


def is_structure(images: object, labels: object) -> bool:
    """Whether a call is on more than plain images and class labels."""
    if type(images) is Tensor and (labels is None or type(labels) is Tensor):
        return False
    if isinstance(images, dict | list | tuple | Mapping) or _typed(images):
        return True
    if isinstance(labels, list | tuple):
        return any(isinstance(each, dict | list | tuple | Image.Image) or _typed(each) for each in labels)
    return isinstance(labels, Mapping | Image.Image) or _typed(labels)


def _typed(value: object) -> bool:
    if type(value) is Tensor or not isinstance(value, Tensor):
        return False
    from torchvision import tv_tensors

    return isinstance(value, tv_tensors.TVTensor)


def parse(args: object) -> Parsed:
    """The leaves of what was passed, each with its kind and its sample. Raises InputError for what cannot be said."""
    flat, spec = pytree.tree_flatten_with_path(args)
    paths = [tuple(_step(key) for key in path) for path, _ in flat]
    values = [value for _, value in flat]
    depth, count = _batch(args)
    rows = [_row(args, path, depth, count) for path in paths]
    kinds = [_kind(value) for value in values]
    for sample in {*rows}:
        _find_plain_image(kinds, values, [k for k, row in enumerate(rows) if row == sample], depth is None or sample is not None)
    if depth is None:
        images = [value for value, kind in zip(values, kinds, strict=True) if kind == "image" and isinstance(value, Tensor)]
        batched = [image for image in images if image.ndim == (5 if _is_video(image) else 4)]
        count = len(batched[0]) if batched else None
        holders = [path for path, value in zip(paths, values, strict=True) if any(value is image for image in batched)]
        rows = [_split(args, path, count, holders) for path in paths]
    each = zip(kinds, values, paths, rows, strict=True)
    return Parsed([Leaf(k, v, p, r, _is_video(v)) for k, v, p, r in each], spec, count)


def _step(key: object) -> Any:
    for name in ("idx", "key", "name"):
        if hasattr(key, name):
            return getattr(key, name)
    raise InputError(f"images: cannot look into a {type(key).__name__}; pass dicts, lists and tuples")


def _kind(value: object) -> Kind:
    if isinstance(value, Image.Image):
        if value.mode == "P":
            raise InputError(f"images: a palette image is a mask in most data sets; {WRAP}, or convert it to RGB")
        return "image"
    if not _typed(value):
        return "other"
    from torchvision import tv_tensors

    if isinstance(value, tv_tensors.Image | tv_tensors.Video):
        return "image"
    if isinstance(value, tv_tensors.Mask):
        return "mask"
    if isinstance(value, tv_tensors.BoundingBoxes):
        return "boxes"
    if isinstance(value, getattr(tv_tensors, "KeyPoints", ())):  # from torchvision 0.23 on
        return "points"
    return "other"


def _is_video(value: object) -> bool:
    if not _typed(value):
        return False
    from torchvision import tv_tensors

    return isinstance(value, tv_tensors.Video)


def _find_plain_image(kinds: list[Kind], values: list[Any], mine: list[int], wanted: bool) -> None:
    """Where a sample has no typed image, its first tensor is the image."""
    if not wanted or any(kinds[k] == "image" for k in mine):
        return
    first = next((k for k in mine if kinds[k] == "other" and isinstance(values[k], Tensor)), None)
    if first is not None and values[first].ndim in (3, 4):
        kinds[first] = "image"


def _batch(args: object) -> tuple[int | None, int | None]:
    """Where a batch is a list of samples: at which depth of the path their number stands, and how many they are."""
    if isinstance(args, list | tuple) and args:
        if all(map(_holds_image, args)):
            return 0, len(args)
        first = args[0]
        if isinstance(first, list | tuple) and first and all(map(_holds_image, first)):
            return 1, len(first)
    return None, None


def _holds_image(entry: object) -> bool:
    """Whether this is an image of [C,H,W], or a sample with one."""
    if isinstance(entry, Image.Image):
        return True
    if isinstance(entry, Tensor):
        plain = not _typed(entry) and entry.ndim == 3 and entry.shape[0] in (1, 3)
        return plain or (_kind(entry) == "image" and entry.ndim == (4 if _is_video(entry) else 3))
    if isinstance(entry, Mapping):
        named = [value for key, value in entry.items() if str(key).lower() in _IMAGE_KEYS]
        return any(map(_holds_image, named)) or any(_typed(v) and _holds_image(v) for v in pytree.tree_leaves(entry))
    if isinstance(entry, list | tuple):
        typed = (v for v in pytree.tree_leaves(entry) if _typed(v) or isinstance(v, Image.Image))
        return any(map(_holds_image, entry[:1])) or any(map(_holds_image, typed))
    return False


def _row(args: Any, path: Path, depth: int | None, count: int | None) -> int | None:
    """The sample of a leaf in a batch that is a list of samples, or that has one list for each kind of thing."""
    if depth is None:
        return None
    if depth == 0:
        return int(path[0])
    part = args[path[0]]
    if isinstance(part, list | tuple) and len(part) == count:
        return int(path[1])
    return None


def _split(args: object, path: Path, count: int | None, holders: list[Path]) -> int | None:
    """The sample of a leaf beside a batched image: its place in the first list of as many entries that holds no batched image."""
    if count is None:
        return 0
    node = args
    for depth, step in enumerate(path):
        inside = any(holder[:depth] == path[:depth] for holder in holders)
        if isinstance(node, list | tuple) and len(node) == count and not inside:
            return int(step)
        node = node[step] if isinstance(node, list | tuple | Mapping) else getattr(node, str(step))
    return None


def sides(value: Any) -> tuple[int, int]:
    """Rows and columns of an image."""
    return (value.height, value.width) if isinstance(value, Image.Image) else tuple(value.shape[-2:])
