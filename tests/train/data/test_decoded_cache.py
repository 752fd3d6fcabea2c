"""Files are decoded once: what the cache holds is what decoding gives, and a cache that cannot be used costs time alone."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from augury.cli import main
from augury.core.errors import InputError
from augury.jobs.evaluate import evaluate
from augury.jobs.train import train
from augury.train.data import decode
from augury.train.data.dataset import Dataset, Split, load
from augury.train.data.decoded_cache import VARIABLE, DecodedCache
from augury.train.engine.settings import Settings


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Two classes of twelve photographs of two sizes, and a file that is none."""
    random, root = np.random.default_rng(0), tmp_path / "photographs"
    for number in range(24):
        place = root / ("train" if number < 16 else "test") / ("ant" if number % 2 else "bee")
        place.mkdir(parents=True, exist_ok=True)
        height = 40 if number % 3 else 48
        Image.fromarray(random.integers(0, 256, (height, 40, 3), dtype=np.uint8)).save(place / f"{number}.jpg")
    (root / "train" / "bee" / "notes.jpg").write_text("no image")
    return root


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many files each call decoded."""
    plain, found = decode._decoded, list[int]()

    def counted(sources: Any, *rest: Any) -> Any:
        found.append(len(sources))
        return plain(sources, *rest)

    monkeypatch.setattr(decode, "_decoded", counted)
    return found


def same(one: Dataset, other: Dataset) -> bool:
    def pixels(split: Split) -> Any:
        return split.images[decode.torch.arange(len(split.ids))]

    pairs = [(getattr(one, name), getattr(other, name)) for name in ("train", "validation", "test")]
    parts = all(pixels(a).equal(pixels(b)) and a.ids.equal(b.ids) for a, b in pairs)
    return parts and (one.mean, one.std, one.notes, one.origin) == (other.mean, other.std, other.notes, other.origin)


def test_what_the_cache_holds_is_what_decoding_gives(photographs: Path, tmp_path: Path, decoded: list[int]) -> None:
    cache = str(tmp_path / "cache")
    plain = load(str(photographs), cache="off")
    assert decoded == [25] and any("notes.jpg" in note for note in plain.notes)
    assert same(load(str(photographs), cache=cache), plain) and decoded == [25, 25]
    assert same(load(str(photographs), cache=cache), plain) and decoded == [25, 25], "the second time nothing is decoded"
    smaller = load(str(photographs), cache=cache, image_size=16)
    assert smaller.train.images.shape[-1] == 16 and len(decoded) == 3, "another size is another entry"
    assert same(load(str(photographs), cache=cache), plain) and len(decoded) == 3


def test_streamed_files_are_looked_through_once(photographs: Path, tmp_path: Path, decoded: list[int]) -> None:
    cache = str(tmp_path / "cache")
    first, second = (load(str(photographs), cache=cache, stream="yes") for _ in range(2))
    assert decoded == [25] and same(first, second)


def test_an_edited_file_is_decoded_anew(photographs: Path, tmp_path: Path, decoded: list[int]) -> None:
    cache, file = str(tmp_path / "cache"), photographs / "train" / "bee" / "0.jpg"
    before, found = load(str(photographs), cache=cache), file.stat()
    data = bytearray(file.read_bytes())
    data[-200] ^= 1
    file.write_bytes(bytes(data))
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))  # same size and time, as copying with its time makes it
    after = load(str(photographs), cache=cache)
    assert len(decoded) == 2
    assert before.origin is not None and after.origin is not None
    assert "1 file changed" in before.origin.fingerprint.differences(after.origin.fingerprint)["train"]


@pytest.mark.parametrize("damage", ["pixels", "short", "json", "gone"])
def test_a_damaged_entry_is_decoded_anew_and_named(photographs: Path, tmp_path: Path, decoded: list[int], damage: str) -> None:
    cache = tmp_path / "cache"
    plain = load(str(photographs), cache=str(cache))
    (pixels,) = cache.glob("*.pixels")
    if damage == "pixels":
        data = bytearray(pixels.read_bytes())
        data[1000] ^= 255
        pixels.write_bytes(bytes(data))
    elif damage == "short":
        pixels.write_bytes(pixels.read_bytes()[:-1])
    elif damage == "gone":
        pixels.unlink()
    else:
        pixels.with_suffix(".json").write_text('{"shape": [')
    again = load(str(photographs), cache=str(cache))
    assert len(decoded) == 2 and again.train.images.equal(plain.train.images)
    assert damage == "gone" or [n for n in again.notes if n.startswith("cache: ") and "damaged" in n]
    assert same(load(str(photographs), cache=str(cache)), plain) and len(decoded) == 2, "the entry was made anew"


def test_the_entry_that_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    images = np.zeros((1, 3, 10, 10), np.uint8)
    tensor = decode.torch.from_numpy(images)
    cache = DecodedCache(tmp_path, limit=700)  # two entries of 300 bytes
    for number, key in enumerate(("a", "b")):
        assert cache.store(key, tensor, {}) is None
        os.utime(tmp_path / f"{key}.json", (number, number))
    assert cache.find("a")[0] is not None  # now b was not used for longer
    assert cache.store("c", tensor, {}) is None
    assert {file.stem for file in tmp_path.glob("*.pixels")} == {"a", "c"}
    note = DecodedCache(tmp_path, limit=200).store("d", tensor, {})
    assert note is not None and "not kept" in note and cache.find("a")[0] is not None


def test_a_cache_that_cannot_be_written_is_a_note(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("augury.train.data.decoded_cache._write", full)
    found = load(str(photographs), cache=str(tmp_path / "cache"))
    assert [n for n in found.notes if "No space left on device" in n and "--cache off" in n]
    assert same(found, load(str(photographs), cache="off")) is False and found.train.images.shape[0] > 0


def test_two_writers_leave_one_whole_entry(tmp_path: Path) -> None:
    tensors = [decode.torch.full((4, 3, 8, 8), value, dtype=decode.torch.uint8) for value in (1, 2)]
    one, other = DecodedCache(tmp_path), DecodedCache(tmp_path)
    one.store("k", tensors[0], {"by": 1})
    entry = one.find("k")[0]
    assert entry is not None and entry.images is not None
    other.store("k", tensors[1], {"by": 2})
    assert entry.images.equal(tensors[0]), "who has mapped the file before keeps what he has"
    again = one.find("k")[0]
    assert again is not None and again.images is not None and again.images.equal(tensors[1]) and again.about == {"by": 2}
    assert not list(tmp_path.glob(".*")), "nothing half-written stays"


def test_a_run_and_its_evaluation_share_an_entry(photographs: Path, tmp_path: Path, decoded: list[int]) -> None:
    settings = Settings(str(photographs), model="small_cnn(width=4)", epochs=1, device="cpu", cache=str(tmp_path / "cache"))
    result = train(settings, tmp_path / "run", quiet=True)
    assert result is not None and decoded == [25]
    assert evaluate(tmp_path / "run", device="cpu")["accuracy"] == result["accuracy"] and decoded == [25]
    assert evaluate(tmp_path / "run", device="cpu", cache="off")["accuracy"] == result["accuracy"] and decoded == [25, 25]
    page = json.loads((tmp_path / "run" / "result.json").read_text())
    assert not [note for note in page["notes"] if note.startswith("cache")]


@pytest.mark.parametrize("told", ["", " "])
def test_an_empty_cache_is_refused(told: str) -> None:
    with pytest.raises(InputError, match="--cache: is empty"):
        DecodedCache.of(told)


def test_a_file_is_no_cache(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    code = main(["train", str(photographs), "--output", str(tmp_path / "run"), "--cache", str(tmp_path / "file")])
    assert code == 2 and "--cache" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_the_variable_names_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert DecodedCache.of(None) == DecodedCache(tmp_path) and DecodedCache.of("off") is None
    monkeypatch.delenv(VARIABLE)
    found = DecodedCache.of(None)
    assert found is not None and found.folder == Path.home() / ".cache" / "augury" / "decoded"
