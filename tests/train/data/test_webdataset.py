"""WebDataset: shards that the package itself wrote are read as they are; what is missing or damaged is one line."""

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import data_files
import numpy as np
import pytest
import torch
from data_files import picture
from PIL import Image

from augury.cli import main
from augury.core.errors import InputError
from augury.core.target_kind import TargetKind
from augury.train.data.dataset import load

library = pytest.importorskip("webdataset")


def png(number: int) -> bytes:
    made = io.BytesIO()
    Image.fromarray(picture(number)).save(made, "PNG")
    return made.getvalue()


def write(path: Path, samples: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with library.TarWriter(str(path)) as sink:
        for sample in samples:
            sink.write(sample)
    return path


def sample(number: int, **fields: Any) -> dict[str, Any]:
    return {"__key__": f"{number:04d}", "png": png(number), **(fields or {"cls": number % 3})}


def shards(root: Path, *, each: int = 9, pattern: str = "{part}-{shard:03d}.tar", **fields: Any) -> Path:
    for start, part, count in ((0, "train", 3), (100, "test", 2)):
        for shard in range(count):
            numbers = range(start + each * shard, start + each * (shard + 1))
            write(root / pattern.format(part=part, shard=shard), [sample(number, **fields) for number in numbers])
    return root


@pytest.mark.parametrize("pattern", ["{part}-{shard:03d}.tar", "{part}/{shard:03d}.tar", "birds_{part}_{shard:03d}.tar"])
def test_a_folder_of_shards(tmp_path: Path, pattern: str) -> None:
    data = load(str(shards(tmp_path, pattern=pattern)), cache="off")
    assert data.classes == ("0", "1", "2") and len(data.test.ids) == 18 and len(data.train.ids) + len(data.validation.ids) == 27
    for number, image, label in zip(data.test.ids.tolist(), data.test.images, data.test.labels.tolist(), strict=True):
        key = int(data.name_of(number).split("/")[-1])
        assert torch.equal(image, torch.from_numpy(picture(key)).permute(2, 0, 1)) and label == key % 3


def test_patterns_with_braces(tmp_path: Path) -> None:
    shards(tmp_path)
    whole = load(str(tmp_path), cache="off")
    for text in (
        f"{tmp_path}/{{train-{{000..002}},test-{{000..001}}}}.tar",
        f"webdataset:{tmp_path}/train-{{000..002}}.tar::{tmp_path}/test-{{000..001}}.tar",
    ):
        found = load(text, cache="off")
        assert torch.equal(found.train.images, whole.train.images) and torch.equal(found.test.images, whole.test.images)
    fewer = load(f"{tmp_path}/{{train-000,test-001}}.tar", cache="off")
    assert len(fewer.test.ids) == 9 and {name.split("/")[0] for name in fewer.origin.names} == {"train-000.tar", "test-001.tar"}  # type: ignore[union-attr]


def test_validation_shards(tmp_path: Path) -> None:
    for part, count in (("train", 9), ("val", 6), ("test", 3)):
        write(tmp_path / f"{part}-0.tar", [sample(number + ord(part[0])) for number in range(count)])
    data = load(str(tmp_path), cache="off")
    assert [len(part.ids) for part in (data.train, data.validation, data.test)] == [9, 6, 3]
    (tmp_path / "test-0.tar").unlink()
    data = load(str(tmp_path), cache="off")
    assert len(data.test.ids) == 6 and any("the validation shards are the test part" in note for note in data.notes)


def test_shards_that_name_no_part_are_cut(tmp_path: Path) -> None:
    write(tmp_path / "000.tar", [sample(number) for number in range(40)])
    data = load(str(tmp_path / "000.tar"), cache="off")
    assert 4 <= len(data.test.ids) <= 14 and any("the shards name no part" in note for note in data.notes)
    write(tmp_path / "001.tar", [sample(number) for number in range(40, 60)])
    more = load(str(tmp_path), cache="off")
    held = [{d.name_of(int(i)) for i in d.test.ids} for d in (data, more)]
    assert held[0] <= held[1]


def test_labels_in_json_by_name_and_several(tmp_path: Path) -> None:
    names = ("dog", "ball", "cat")
    for part, start in (("train", 0), ("test", 50)):
        one = [sample(n, json={"label": names[n % 3], "more": 1}) for n in range(start, start + 9)]
        write(tmp_path / "one" / f"{part}.tar", one)
        write(tmp_path / "names" / f"{part}.tar", [sample(n, cls=names[n % 3].encode()) for n in range(start, start + 9)])
        some = [sample(n, json={"labels": [name for k, name in enumerate(names) if n % (k + 2)]}) for n in range(start, start + 9)]
        write(tmp_path / "several" / f"{part}.tar", some)
    for form in ("one", "names"):
        data = load(str(tmp_path / form), cache="off")
        assert data.kind is TargetKind.ONE and data.classes == ("ball", "cat", "dog")
        assert [data.classes[k] for k in data.test.labels.tolist()] == [names[n % 3] for n in range(50, 59)]
    data = load(str(tmp_path / "several"), cache="off")
    assert data.kind is TargetKind.SEVERAL
    wanted = [{name for k, name in enumerate(names) if n % (k + 2)} for n in range(50, 59)]
    assert [{c for c, there in zip(data.classes, row, strict=True) if there} for row in data.test.labels.tolist()] == wanted


def test_a_network_is_trained_and_compared_and_the_cache_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards(tmp_path / "d", each=18)
    where = f"{tmp_path}/d/{{train-{{000..002}},test-{{000..001}}}}.tar"
    cache = tmp_path / "cache"
    assert main(["train", where, "--epochs", "1", "--quiet", "--cache", str(cache), "--output", str(tmp_path / "run")]) == 0
    kept = sorted(os.listdir(cache))
    compared = ["compare", where, "--augment", "none,flip", "--strategy", "erm", "--epochs", "1", "--seeds", "1"]
    assert main([*compared, "--quiet", "--cache", str(cache), "--output", str(tmp_path / "c")]) == 0
    assert kept and sorted(os.listdir(cache)) == kept
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), "--cache", str(cache)]) == 0


def test_what_names_open_is_never_run(tmp_path: Path) -> None:
    for place in ("pipe:touch ran", "https://example.org/train-000.tar", "s3://bucket/train-{000..002}.tar"):
        with pytest.raises(InputError, match="only shards on this computer are read"):
            load(f"webdataset:{place}", cache="off")


def broken(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_tar(path: Path) -> None:
    path.write_bytes(b"no tar at all" * 99)


def twice(path: Path) -> None:
    with tarfile.open(path, "w") as sink:
        for name in ("0.png", "0.png"):
            info = tarfile.TarInfo(name)
            info.size = len(png(1))
            sink.addfile(info, io.BytesIO(png(1)))


@pytest.mark.parametrize("damage", [broken, no_tar, twice])
def test_a_damaged_shard_is_named(tmp_path: Path, damage: Any) -> None:
    damage(shards(tmp_path) / "train-001.tar")
    with pytest.raises(InputError, match=r"train-001\.tar: is damaged or not a tar shard \(.*\); write it again") as caught:
        load(str(tmp_path), cache="off")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"txt": "dog"}, "the sample '0007' has no label, only 'png', 'txt'; store it as cls"),
        ({"json": {"name": "dog"}}, "has a json without a field label, only 'name'"),
        ({"json": b"{"}, "has an invalid json"),
        ({"json": {"label": None}}, "has no label; fill the gap"),
        ({"json": {"label": 1.5}}, "label 1.5 is a float"),
        ({"json": {"label": {"a": 1}}}, "has the label .*; store a whole number, a name or a list"),
        ({"json": {"label": ["a", "a"]}}, "has the label 'a' twice"),
        ({"cls": b"1.0"}, "label 1 is a float"),
        ({"cls": b" "}, "has an empty label"),
        ({"cls": b"\xff"}, "has a label that is not UTF-8 text"),
    ],
)
def test_a_sample_that_lacks_something_is_named(tmp_path: Path, fields: dict[str, Any], message: str) -> None:
    shards(tmp_path)
    written = {**sample(7, **fields)}
    raw = {key: value for key, value in written.items() if isinstance(value, bytes) and key in ("cls", "json")}
    plain = {key: value for key, value in written.items() if key not in raw}
    path = tmp_path / "train-001.tar"
    with library.TarWriter(str(path), encoder=False) as sink:
        sink.write({key: value if isinstance(value, bytes | str) and key in ("__key__", "png") else _raw(value) for key, value in
                    {**plain, **raw}.items()})  # fmt: skip
    with pytest.raises(InputError, match=message) as caught:
        load(str(tmp_path), cache="off")
    assert "train-001.tar" in str(caught.value) and "'0007'" in str(caught.value) and "\n" not in str(caught.value)


def _raw(value: Any) -> bytes:
    return value if isinstance(value, bytes) else value.encode() if isinstance(value, str) else json.dumps(value).encode()


def test_a_sample_without_an_image_and_an_unreadable_one(tmp_path: Path) -> None:
    shards(tmp_path)
    write(tmp_path / "train-001.tar", [{"__key__": "0007", "cls": 1}])
    with pytest.raises(InputError, match="the sample '0007' has no image, only 'cls'; store it as jpg or png"):
        load(str(tmp_path), cache="off")
    write(tmp_path / "train-001.tar", [{"__key__": "0007", "png": b"none", "cls": 1}])
    assert any("train-001.tar/0007" in note and "skipped" in note for note in load(str(tmp_path), cache="off").notes)


@pytest.mark.parametrize(
    ("make", "where", "message"),
    [
        (lambda root: shards(root), "{train-{000..004},test-000}.tar", "no such shard as .*train-003.tar"),
        (lambda root: write(root / "train-0.tar", [sample(1)]), "", "has no samples of the test part; add shards called test-"),
        (lambda root: (shards(root), write(root / "other.tar", [sample(1)])), "", "other.tar' name no part"),
    ],
)
def test_shards_that_are_not_there(tmp_path: Path, make: Any, where: str, message: str) -> None:
    make(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        load(f"{tmp_path}/{where}" if where else str(tmp_path), cache="off")
    assert "\n" not in str(caught.value)


def test_without_the_package_one_line_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    shards(tmp_path)
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(InputError, match=r"needs the package webdataset; pip install 'augury\[webdataset\]'"):
        load(str(tmp_path), cache="off")


def test_archives_beside_folders_of_images_are_left_alone(tmp_path: Path) -> None:
    data_files.image_folder(tmp_path)
    for place in (tmp_path, tmp_path / "train"):
        write(place / "downloaded.tar", [sample(1)])
    assert load(str(tmp_path), cache="off").classes == ("cat", "dog")


def test_other_archives_and_patterns_are_refused_as_before(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(InputError, match="no such folder or file"):
        load(f"{tmp_path}/train-{{0..3}}.npz")
