"""Data as people have them: class folders alone, tables of ids, parquet, one file of arrays, other values than grey levels."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from augury.core.errors import InputError
from augury.jobs.evaluate import evaluate
from augury.jobs.train import train
from augury.train.data.dataset import load
from augury.train.engine.settings import Settings

RANDOM = np.random.default_rng(0)


def pixels(count: int = 20, side: int = 8) -> np.ndarray:
    return RANDOM.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def encoded(image: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


def saved(folder: Path, names: list[str]) -> None:
    for name, image in zip(names, pixels(len(names)), strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / name)


def test_class_folders_alone_are_one_part(tmp_path: Path) -> None:
    names = [f"{'ant' if n % 2 else 'bee'}/{n}.png" for n in range(40)]
    saved(tmp_path / "insects", names)
    found = load(str(tmp_path / "insects"))
    assert found.classes == ("ant", "bee")
    total = len(found.train.ids) + len(found.validation.ids) + len(found.test.ids)
    assert total == 40 and 2 <= len(found.test.ids) <= 16
    assert any("holds class folders and no train/" in note for note in found.notes)
    saved(tmp_path / "insects", ["ant/99.png"])
    again = load(str(tmp_path / "insects"))
    before = {found.name_of(n) for n in found.test.ids.tolist()}
    assert before <= {again.name_of(n) for n in again.test.ids.tolist()}, "a new image moves no other"


@pytest.mark.parametrize("name", ["trian", "test", "val"])
def test_folders_that_mean_parts_are_no_classes(name: str, tmp_path: Path) -> None:
    saved(tmp_path, [f"{name}/ant/1.png", f"{name}/bee/2.png", "other/ant/3.png", "other/bee/4.png"])
    with pytest.raises(InputError, match="holds no train/ folder"):
        load(str(tmp_path))


@pytest.mark.parametrize("header", ["image_id,label", "id_code,diagnosis", "filename,class"])
@pytest.mark.parametrize("place", [".", "images", "train_images"])
@pytest.mark.parametrize("ending", ["", ".png"])
def test_tables_of_ids_find_their_images(header: str, place: str, ending: str, tmp_path: Path) -> None:
    saved(tmp_path / place, [f"i{n}.png" for n in range(20)])
    lines = [header, *(f"i{n}{ending},{n % 2}" for n in range(20))]
    (tmp_path / "train.csv").write_text("\n".join(lines))
    found = load(str(tmp_path / "train.csv"))
    assert found.classes == ("0", "1") and len(found.train.ids) + len(found.validation.ids) + len(found.test.ids) == 20


@pytest.mark.parametrize(("label", "message"), [("", "line 3: label is empty"), ("1.0", "label 1.0 is a float")])
def test_a_label_column_with_gaps_or_floats_is_one_line(label: str, message: str, tmp_path: Path) -> None:
    saved(tmp_path, ["a.png", "b.png"])
    (tmp_path / "t.csv").write_text(f"image_id,label\na,0\nb,{label}\n")
    with pytest.raises(InputError, match=message):
        load(str(tmp_path / "t.csv"))


def tables(rows: list[dict[str, Any]], path: Path) -> str:
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed (the extra `hf`)")
    from pyarrow import parquet

    parquet.write_table(arrow.Table.from_pylist(rows), path)
    return str(path)


@pytest.mark.parametrize("nested", [True, False])
def test_parquet_tables_hold_bytes_and_labels(nested: bool, tmp_path: Path) -> None:
    images = pixels()
    rows = [{"image": {"bytes": encoded(i), "path": None} if nested else encoded(i), "label": n % 2} for n, i in enumerate(images)]
    found = load(tables(rows, tmp_path / "all.parquet"))
    assert found.classes == ("0", "1") and len(found.test.ids) >= 2
    number = int(found.train.ids[0])
    row = int(found.name_of(number).split("[")[1][:-1])
    assert found.train.images[0].equal(torch.from_numpy(images[row].transpose(2, 0, 1)))
    folder = tmp_path / "parts"
    folder.mkdir()
    tables(rows[:12], folder / "train-00000-of-00002.parquet")
    tables(rows[12:16], folder / "train-00001-of-00002.parquet")
    tables(rows[16:], folder / "test-00000-of-00001.parquet")
    parts = load(str(folder))
    assert len(parts.train.ids) + len(parts.validation.ids) == 16 and len(parts.test.ids) == 4


def test_parquet_tables_name_files_and_parts(tmp_path: Path) -> None:
    saved(tmp_path, [f"i/{n}.png" for n in range(8)])
    rows = [{"path": f"i/{n}.png", "class": "ab"[n % 2], "split": "train" if n < 6 else "test"} for n in range(8)]
    found = load(tables(rows, tmp_path / "t.parquet"))
    assert found.classes == ("a", "b") and len(found.test.ids) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": None}, "row 1: has no label"),
        ({"label": 1.0}, r"row 1: label 1 is a float|row 0: label 0 is a float"),
        ({"image": None}, "row 1: holds neither an image's bytes nor the path"),
    ],
)
def test_a_parquet_row_that_is_wrong_is_one_line(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"image": encoded(i), "label": n % 2} for n, i in enumerate(pixels(6))]
    if change.get("label") == 1.0:
        rows = [{**row, "label": float(row["label"])} for row in rows]
    rows[1] = {**rows[1], **change}
    with pytest.raises(InputError, match=message):
        load(tables(rows, tmp_path / "t.parquet"))


def test_a_parquet_table_that_is_none_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed (the extra `hf`)")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no table PAR1")
    with pytest.raises(InputError, match="damaged or not a parquet table"):
        load(str(tmp_path / "t.parquet"))
    with pytest.raises(InputError, match="has no column of labels"):
        load(tables([{"image": encoded(pixels(1)[0])}], tmp_path / "u.parquet"))


def test_one_file_of_arrays(tmp_path: Path) -> None:
    x, y = pixels(40), np.arange(40) % 4
    np.savez(tmp_path / "one.npz", x=x, y=y)
    found = load(str(tmp_path / "one.npz"))
    assert len(found.test.ids) == 8 and torch.bincount(found.test.labels).tolist() == [2, 2, 2, 2]
    np.savez(tmp_path / "keras.npz", x_train=x[:30], y_train=y[:30], x_test=x[30:], y_test=y[30:])
    keras = load(str(tmp_path / "keras.npz"))
    assert keras.test.images.equal(torch.from_numpy(x[30:].transpose(0, 3, 1, 2).copy()))
    medical = {f"{part}_{what}": values for part, rows in (("train", slice(20)), ("val", slice(20, 30)), ("test", slice(30, 40)))
               for what, values in (("images", x[rows]), ("labels", y[rows, None]))}  # fmt: skip
    np.savez(tmp_path / "medical.npz", **medical)
    parts = load(str(tmp_path / "medical.npz"))
    assert [len(part.ids) for part in (parts.train, parts.validation, parts.test)] == [20, 10, 10]
    np.savez(tmp_path / "strange.npz", a=x)
    with pytest.raises(InputError, match="store x and y, or x_train"):
        load(str(tmp_path / "strange.npz"))


@pytest.mark.parametrize(("kind", "low", "high"), [(np.float32, 0.0, 1.0), (np.float64, -1.0, 1.0), (np.uint16, 0.0, 65535.0)])
def test_other_values_become_grey_levels_of_a_declared_range(kind: Any, low: float, high: float, tmp_path: Path) -> None:
    levels, y = pixels(40), np.arange(40) % 2
    values = levels / 255 * (high - low) + low
    np.savez(tmp_path / "a.npz", x=(np.rint(values) if kind is np.uint16 else values).astype(kind), y=y)
    found = load(str(tmp_path / "a.npz"), intensity_range=f"{low},{high}")
    plain = tmp_path / "plain.npz"
    np.savez(plain, x=levels, y=y)
    assert found.train.images.equal(load(str(plain)).train.images)
    with pytest.raises(InputError, match=r"--intensity-range LOW,HIGH, such as 0,1"):
        load(str(tmp_path / "a.npz"))


def test_values_that_are_no_numbers_are_one_line(tmp_path: Path) -> None:
    x = np.full((8, 4, 4), 0.5, np.float32)
    x[3, 0, 0] = np.nan
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(8) % 2)
    with pytest.raises(InputError, match="not finite"):
        load(str(tmp_path / "a.npz"), intensity_range="0,1")


def test_a_network_of_other_values_is_evaluated_as_it_was_trained(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=pixels(60, 16) / 255, y=np.arange(60) % 2)
    settings = Settings(str(tmp_path / "a.npz"), model="small_cnn(width=4)", epochs=1, device="cpu", intensity_range="0,1")
    result = train(settings, tmp_path / "run", quiet=True)
    assert result is not None and evaluate(tmp_path / "run", device="cpu")["accuracy"] == result["accuracy"]
    assert evaluate(tmp_path / "run", data=str(tmp_path / "a.npz"), device="cpu")["accuracy"] == result["accuracy"]
