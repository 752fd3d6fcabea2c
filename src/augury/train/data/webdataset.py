"""WebDataset: images and labels in tar shards, read by the package webdataset without decoding anything but images."""

import json
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from augury.core.errors import InputError
from augury.core.files import NotRegularError, open_regular
from augury.core.registry import register
from augury.train.data.parts import Parts
from augury.train.data.preparation import AS_IS, ReadOptions
from augury.train.data.reader import Reader
from augury.train.data.rows import Row, check_labels, cut_rows, read_rows
from augury.train.data.words import few, one_form

_IMAGES = ("jpg", "jpeg", "png", "webp", "tif", "tiff", "bmp", "gif", "ppm")
_LABELS = ("label", "cls", "class", "labels", "target", "category")
# Names of the shards of a part: train-000.tar or train/000.tar.
_PART = re.compile(r"(?:^|[^a-z])(train|training|test|val|valid|validation)(?:$|[^a-z])", re.IGNORECASE)
_PARTS = {
    "train": "train", "training": "train", "test": "test", "val": "validation", "valid": "validation", "validation": "validation",
}  # fmt: skip


@register("reader", "webdataset", source="github.com/webdataset/webdataset, tar shards")
def webdataset() -> Reader:
    """Tar shards: one, a folder of them, or a pattern such as `data/train-{000..009}.tar`; needs the package webdataset."""
    return Reader(read_webdataset, is_shards)


def read_webdataset(place: str, options: ReadOptions = AS_IS) -> Parts:
    """Reads the parts of shards, recognised by their names or folders (train, val, test); if no shard names a part, about a fifth
    of every class is the test part. place: a shard, a folder, or a pattern with braces; several are separated by `::`.

    A sample has an image (jpg, png, ...) and a label: `cls`, a whole number or a name, or `json` with a field `label` (a list if
    images may have several labels). Raises InputError naming the shard and the sample that is incomplete or damaged.
    """
    package = _package(place)
    shards = _shards(place, package)
    parts: dict[str, list[Row]] = {}
    folder = Path(place).expanduser()
    below = len({shard.parent for shard in shards}) > 1 or (folder.is_dir() and shards[0].parent != folder)
    named = {shard: _part_of(shard, below) for shard in shards}
    notes: list[str] = []
    if not any(named.values()):
        rows = [row for shard in shards for row in _rows(shard, package)]
        parts = cut_rows(rows, "the shards name no part", notes) if rows else {}
    else:
        unnamed = [str(shard) for shard, part in named.items() if part is None]
        if unnamed:
            raise InputError(f"DATA {place}: {few(unnamed)} name no part; call them train-..., val-... or test-...")
        for shard, part in named.items():
            parts.setdefault(str(part), []).extend(_rows(shard, package))
        if "test" not in parts and "validation" in parts:
            parts["test"] = parts.pop("validation")
            notes.append(
                "the validation shards are the test part, since there are no others; validation is cut from the training part"
            )
    for part in ("train", "test"):
        if not parts.get(part):
            raise InputError(
                f"DATA {place}: has no samples of the {part} part; add shards called {part}-..., or name none by a part"
            )
    return read_rows(f"DATA {place}", parts, notes, options)


def is_shards(path: Path) -> bool:
    """Whether this is a shard, a pattern of shards, or a folder with shards in it or in a folder per part, and without other
    data: archives beside folders of images are leftovers."""
    if path.is_dir():
        folders = [each for each in path.iterdir() if each.is_dir() and not each.name.startswith(".")]
        held = [each for each in folders if any(each.glob("*.tar")) and not any(inner.is_dir() for inner in each.iterdir())]
        return held == folders and (bool(held) or any(path.glob("*.tar"))) and not (path / "train.npz").exists()
    return path.suffix.lower() == ".tar" and (path.is_file() or "{" in str(path))


def _package(place: str) -> ModuleType:
    try:
        import webdataset as package
        import webdataset.shardlists
        import webdataset.tariterators
    except ImportError:
        raise InputError(f"DATA {place}: needs the package webdataset; pip install 'augury[webdataset]'") from None
    made: ModuleType = package
    return made


def _shards(place: str, package: Any) -> list[Path]:
    """The shards in order; all of them exist."""
    folder = Path(place).expanduser()
    if folder.is_dir():
        return sorted([*folder.glob("*.tar"), *folder.glob("*/*.tar")])
    if re.match(r"(?:pipe|https?|s3|gs|file|hdfs|rclone):", place):
        raise InputError(f"DATA {place}: only shards on this computer are read; download them first")
    try:
        found = [Path(text).expanduser() for text in package.shardlists.expand_urls(place)]
    except Exception as error:  # errors of braceexpand or webdataset
        raise InputError(f"DATA {place}: is not a pattern of shards ({error}); write data/train-{{000..009}}.tar") from None
    missing = [str(path) for path in found if not path.exists()]
    if missing:
        raise InputError(f"DATA {place}: no such shard as {few(missing)}; put it there, or name fewer")
    return found


def _part_of(shard: Path, below: bool) -> str | None:
    """The part that the shard's name gives or, if `below`, that of its folder; None if neither gives one."""
    names = [shard.stem, shard.parent.name] if below else [shard.stem]
    return next((_PARTS[found[1].lower()] for name in names if (found := _PART.search(name))), None)


def _rows(shard: Path, package: Any) -> Iterator[Row]:
    """Yields the samples of a shard. Opened here, since the package's own way of opening runs commands that a name may hold."""
    tools = package.tariterators
    try:
        with open_regular(shard) as stream:
            if not _ends(stream):
                raise tarfile.ReadError("it is cut off")
            source = iter([{"url": str(shard), "stream": stream}])
            for sample in tools.group_by_keys(tools.tar_file_expander(source)):
                yield _row(shard, sample)
    except InputError:
        raise
    except NotRegularError as error:
        raise InputError(f"DATA {shard}: is {error.strerror}; give tar shards") from None
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as error:
        reason = str(error.args[0] if error.args else error).split(" @ ")[0].splitlines()
        said = reason[0][:150] if reason and reason[0] else type(error).__name__
        raise InputError(f"DATA {shard}: is damaged or not a tar shard ({said}); write it again") from None


def _ends(stream: BinaryIO) -> bool:
    """Whether a tar ends with the zeros that mark its end; otherwise one that is cut off between two files would look complete.
    Compressed ones have a checksum instead."""
    head = stream.read(512)
    size = stream.seek(0, 2)
    plain = head[257:262] == b"ustar"
    stream.seek(max(0, size - 1024))
    ended = stream.read() == bytes(1024)
    stream.seek(0)
    return ended or not plain


def _row(shard: Path, sample: Mapping[str, Any]) -> Row:
    name, where = f"{shard.name}/{sample['__key__']}", f"DATA {shard}: the sample {sample['__key__']!r}"
    image = next((sample[kind] for kind in _IMAGES if kind in sample), None)
    kinds = [kind for kind in sample if not kind.startswith("__")]
    if image is None:
        raise InputError(f"{where} has no image, only {few(kinds)}; store it as jpg or png")
    if "cls" in sample:
        labels: Any = _plain(_text(where, sample["cls"]).strip())
    elif "json" in sample:
        labels = _of_json(where, sample["json"])
    else:
        raise InputError(f"{where} has no label, only {few(kinds)}; store it as cls, or as json with a field label")
    several = isinstance(labels, list)
    given = labels if isinstance(labels, list) else [labels]
    check_labels(where, given)
    return Row(image, name, tuple(one_form(label) if isinstance(label, str) else label for label in given), several)


def _of_json(where: str, data: bytes) -> Any:
    try:
        found = json.loads(_text(where, data))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where} has an invalid json ({error}); write it again") from None
    if isinstance(found, dict):
        field = next((name for name in _LABELS if name in found), None)
        if field is None:
            raise InputError(f"{where} has a json without a field label, only {few(sorted(map(str, found)))}; call it label")
        found = found[field]
    labels = found if isinstance(found, list) else [found]
    for label in labels:
        if isinstance(label, bool) or not isinstance(label, int | float | str | None):
            raise InputError(f"{where} has the label {json.dumps(label)[:60]}; store a whole number, a name or a list of them")
    return found


def _text(where: str, data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{where} has a label that is not UTF-8 text; write it as text") from None
    if not text.strip():
        raise InputError(f"{where} has an empty label; fill the gap or remove the sample")
    return text


def _plain(text: str) -> Any:
    """A label from its text: a whole number, a float or a name."""
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?\d+\.\d*", text) else text
