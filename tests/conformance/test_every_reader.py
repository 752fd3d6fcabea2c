"""What holds for every registered reader: it recognises its own form and no other, and its parts are those written."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from augury.core import registry
from augury.core.errors import InputError
from augury.train.data.dataset import load
from augury.train.data.preparation import ReadOptions
from augury.train.data.reader import Reader


def picture(path: Path, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), 20 + 3 * number, np.uint8)).save(path)
    return path


def as_folder(root: Path) -> Path:
    for part, count in (("train", 6), ("test", 4)):
        for number in range(count):
            picture(root / part / f"class{number % 2}" / f"{number}.png", number)
    return root


def as_npz(root: Path) -> Path:
    root.mkdir()
    for part, count in (("train", 6), ("test", 4)):
        x = np.stack([np.full((8, 8, 3), 20 + 3 * number, np.uint8) for number in range(count)])
        np.savez(root / f"{part}.npz", x=x, y=np.arange(count) % 2)
    return root


def as_manifest(root: Path) -> Path:
    lines = ["path,label,split"]
    for part, count in (("train", 6), ("test", 4)):
        for number in range(count):
            picture(root / f"{part}{number}.png", number)
            lines.append(f"{part}{number}.png,class{number % 2},{part}")
    (root / "data.csv").write_text("\n".join(lines), encoding="utf-8")
    return root / "data.csv"


def as_market(root: Path) -> Path:
    number = 0
    for folder, persons in (("bounding_box_train", (1, 2)), ("query", (3, 4)), ("bounding_box_test", (3, 4))):
        for person in persons:
            for shot in range(3 if folder == "bounding_box_train" else 1):
                camera = 2 if folder == "bounding_box_test" else 1
                picture(root / folder / f"{person:04d}_c{camera}s1_{shot:06d}_00.jpg", number)
                number += 1
    return root


def as_parquet(root: Path) -> Path:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed (the extra `hf`)")
    from pyarrow import parquet

    rows = [
        {"path": picture(root / f"{part}{n}.png", n).name, "label": f"class{n % 2}", "split": part}
        for part, count in (("train", 6), ("test", 4))
        for n in range(count)
    ]
    parquet.write_table(arrow.Table.from_pylist(rows), root / "data.parquet")
    return root / "data.parquet"


def as_webdataset(root: Path) -> Path:
    library = pytest.importorskip("webdataset", reason="webdataset is not installed (the extra `webdataset`)")
    root.mkdir()
    for part, count in (("train", 6), ("test", 4)):
        with library.TarWriter(str(root / f"{part}-000.tar")) as shard:
            for n in range(count):
                file = picture(root.parent / "pictures" / f"{n}.png", n)
                shard.write({"__key__": f"{part}{n}", "png": file.read_bytes(), "cls": n % 2})
    return root


WRITTEN: dict[str, Callable[[Path], Path]] = {
    "folder": as_folder,
    "npz": as_npz,
    "manifest": as_manifest,
    "market": as_market,
    "parquet": as_parquet,
    "webdataset": as_webdataset,
}
# Read from elsewhere than a path; tests/train/data has their tests.
ELSEWHERE = {"hf"}


def test_every_reader_is_here() -> None:
    assert set(registry.names("reader")) == set(WRITTEN) | ELSEWHERE


@pytest.mark.parametrize("name", WRITTEN)
def test_a_reader_recognises_its_form_alone_and_may_be_named(name: str, tmp_path: Path) -> None:
    """Catches a form that two readers claim, one that none does, and a name that reads something else than the path alone."""
    place = WRITTEN[name](tmp_path / "data")
    readers: dict[str, Reader] = {each: registry.get("reader", each)() for each in registry.names("reader")}
    assert [each for each, reader in readers.items() if reader.recognises(place)] == [name]
    alone, named = load(str(place), validation=0.34), load(f"{name}:{place}", validation=0.34)
    assert alone.classes == named.classes and len(alone.classes) == 2
    for part in ("train", "validation", "test"):
        one, two = getattr(alone, part), getattr(named, part)
        assert one.images[:].equal(two.images[:]) and one.labels.equal(two.labels) and one.ids.equal(two.ids)
    assert alone.origin is not None and named.origin is not None
    assert alone.origin.place == named.origin.place == str(place)
    assert alone.origin.fingerprint == named.origin.fingerprint


@pytest.mark.parametrize("name", registry.names("reader"))
def test_what_is_not_there_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    """Catches a traceback of the operating system's, and a message without the place."""
    with pytest.raises((InputError, OSError)) as found:
        registry.get("reader", name)().read(str(tmp_path / "nowhere"), ReadOptions())
    if isinstance(found.value, InputError):
        assert "\n" not in str(found.value)
    with pytest.raises(InputError) as said:
        load(f"{name}:{tmp_path / 'nowhere'}")
    assert "nowhere" in str(said.value) and "\n" not in str(said.value)
