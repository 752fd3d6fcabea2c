"""Bad inputs of every kind that Augury reads, and how each is given to it."""

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import augury
from augury.augment.names import read_policy_file
from augury.core.grammar import parse_list
from augury.train.engine.config_file import read_config
from augury.train.engine.settings import Settings

Case = tuple[str, Callable[[Path], Any]]
LONG, ESCAPE = "x" * 5000, "\x1b[31mred\x1b[0m"


def cases() -> list[Case]:
    """What each is in words, and a function of an empty folder that reads it."""
    kinds = (_chains, _policy_files, _settings_files, _settings, _archives, _manifests, _folders)
    return [case for kind in kinds for case in kind()]


def _chains() -> Iterator[Case]:
    broken = [
        "",
        " ",
        "+",
        "crop+",
        "+crop",
        "crop++flip",
        "crop(",
        "crop)",
        "crop()(",
        "crop(,)",
        "crop(padding)",
        "crop(padding=)",
        "crop(=2)",
        "crop(padding=2",
        "crop(padding=2))",
        "crop(padding=2,padding=3)",
        "crop(paddin=2)",
        "crop(padding=-1)",
        "crop(padding=nan)",
        "crop(padding=inf)",
        "crop(padding=1e400)",
        "crop(padding=[)",
        "crop(padding={})",
        "crop(padding=crop)",
        "croop",
        "Crop",
        "crop flip",
        "crop;flip",
        "crop|flip",
        "crop,",
        ",crop",
        "crop,,flip",
        "rotate(degrees=text)",
        "rotate(degrees=uniform(1))",
        "rotate(degrees=uniform(9,1))",
        "rotate(degrees=uniform(a,b))",
        "rotate(degrees=nothing(1,2))",
        "rotate(p=2)",
        "rotate(p=-1)",
        "rotate(p=nan)",
        "randaugment(num_ops=0)",
        "randaugment(num_ops=1.5)",
        "randaugment(num_ops=99999999999)",
        "randaugment(magnitude=-3)",
        "randaugment(magnitude=nan)",
        "keep()",
        "keep(nothing)",
        "keep(crop,tau=7)",
        "keep(keep(keep(",
        "inaugment(patches=-1)",
        "inaugment(policy=nothing)",
        "cutout(length=-4)",
        "cutout(fraction=9)",
        "mixup(alpha=-1)",
        "mixup(alpha=text)",
        "cutmix(alpha=nan)",
        "normalize(mean=[])",
        "normalize(mean=[0.5],std=[0])",
        "normalize(mean=[nan],std=[1])",
        "normalize(mean=[0.5,0.5],std=[1,1,1])",
        "a" * 3000,
        "(" * 500,
        "keep(" * 200 + "crop" + ")" * 200,
        "crop" + "+crop(" * 50,
        ESCAPE,
        f"crop({ESCAPE}=1)",
        f"rotate(degrees={ESCAPE})",
        "\x00",
        "crop\n(",
        "\ud800",
        "\u202ecrop",
        "no_such_file.yaml",
        "/",
        ".",
        "..",
        "~",
        "none(1)",
        "invert(1)",
        "1",
        "1.10",
        "True",
        "crop(1,2,3)",
        "augmix(chains=0)",
        "augmix(depth=-2)",
        "random_erasing(p=3)",
        "grid_mask(ratio=text)",
        "posterize(bits=99)",
    ]
    for text in broken:
        yield f"augment {text!r:.50}", partial(_chain, text)


def _chain(text: str, folder: Path) -> None:
    for chain in parse_list(text, "--augment"):
        augury.pipeline(chain)


def _policy_files() -> Iterator[Case]:
    row = "  - - {op: rotate, probability: 0.5, values: {degrees: 9}}\n"
    entries = [
        "{op: nothing}",
        "{}",
        "{probability: 1}",
        "{op: [a]}",
        "{op: rotate, probability: 2}",
        "{op: rotate, probability: .inf}",
        "{op: rotate, probability: .nan}",
        "{op: rotate, strength: -1}",
        "{op: rotate, strength: .inf}",
        "{op: rotate, values: 3}",
        "{op: rotate, values: {angle: 3}}",
        "{op: rotate, values: {degrees: .inf}}",
        "{op: rotate, values: {degrees: .nan}}",
        "{op: rotate, values: {degrees: text}}",
        "{op: rotate, values: {1: 3}}",
        "{op: rotate, values: {[a]: 3}}",
        "{op: rotate, options: {no_such: 1}}",
        "{op: rotate, options: 3}",
        "{op: rotate, options: {fill: [1]}}",
        "{op: rotate, options: {fill: {a: 1}}}",
        "{op: rotate, options: {fill: -1}}",
        "{op: rotate, options: {fill: text}}",
        "{op: rotate, options: {1: 2}}",
        "{op: rotate, options: {fill: null}}",
        "{op: rotate, signed: 3}",
        "{op: rotate, op: invert}",
        "{op: rotate, probabilty: 1}",
        f"{{op: {LONG}}}",
        '{op: "\\e[31mred"}',
        "rotate",
        "3",
        "[rotate]",
        "{op: rotate, options: {interpolation: nothing}}",
    ]
    for entry in entries:
        yield f"entry {entry:.50}", partial(_policy, f"augury_policy: 1\npolicies:\n  - - {entry}\n")
    heads = [
        "",
        "policies:\n" + row,
        "augury_policy: 99\npolicies:\n" + row,
        "augury_policy: true\npolicies:\n" + row,
        "augury_policy: one\npolicies:\n" + row,
        "augury_policy: 1\n",
        "augury_policy: 1\npolicies: []\n",
        "augury_policy: 1\npolicies: 3\n",
        "augury_policy: 1\npolicies:\n  - []\n",
        "augury_policy: 1\npolicies:\n" + row + "repeat: 0\n",
        "augury_policy: 1\npolicies:\n" + row + "repeat: 1000000\n",
        "augury_policy: 1\npolicies:\n" + row + "repeat: 1.5\n",
        "augury_policy: 1\npolicies:\n" + row + "repeat: true\n",
        "augury_policy: 1\npolicies:\n" + row * 40 + "repeat: 40\n",
        "augury_policy: 1\naugment: crop\nrepeat: 2\n",
        "augury_policy: 1\naugment: crop\npolicies:\n" + row,
        "augury_policy: 1\naugment: p.yaml\n",
        "augury_policy: 1\naugment: keep(p.yaml)\n",
        "augury_policy: 1\naugment: nothing\n",
        "augury_policy: 1\naugment: crop(\n",
        "augury_policy: 1\naugment: [crop]\n",
        "augury_policy: 1\nschedule: []\n",
        "augury_policy: 1\nschedule:\n  - until: 2\n    policies:\n    " + row.replace("\n", "\n    "),
        "augury_policy: 1\npolicies:\n" + row + "provenance: 3\n",
        "augury_policy: 1\npolicies:\n" + row + "plugins: 3\n",
        "augury_policy: 1\npolicies:\n" + row + "unknown: 3\n",
        "augury_policy: 1\n? [a]\n: 3\npolicies:\n" + row,
        "augury_policy: 1\n1: 2\npolicies:\n" + row,
        "augury_policy: 1\npolicies:\n  - - " + "[" * 60 + "]" * 60,
        "augury_policy: 1\npolicies:\n  -" + " - {op: invert}\n   " * 60,
        "augury_policy: 1\npolicies: &a [*a]\n",
        "[1, 2",
        "\x00",
        "augury_policy: " + "9" * 5000,
        "augury_policy: 1\npolicies: !!python/object/apply:os.system ['true']\n",
        "augury_policy: 1\npolicies: [" + "[{op: invert}]," * 21_000 + "]\n",
    ]
    for text in heads:
        yield f"policy {text[:40]!r}...{len(text)}", partial(_policy, text)


def _policy(text: str, folder: Path) -> None:
    (folder / "p.yaml").write_text(text)
    read_policy_file(str(folder / "p.yaml"))


def _settings_files() -> Iterator[Case]:
    texts = [
        "",
        "3",
        "[1]",
        "a: [1",
        "epochs: 1\nepochs: 2",
        "no_such: 1",
        f"{LONG}: 1",
        "1: 2",
        "[a]: 1",
        "epochs: " + "9" * 5000,
        "a: " + "[" * 60 + "]" * 60,
        "a: [" + "1," * 20_001 + "]",
        "a: &a [*a]",
        "epochs: 2024-99-99",
        "\x00",
        "plugins: 3",
        "plugins: {a: b}",
        "epochs: !!int abc",
        "augment: !!python/name:os.system",
        '"\\e[31mred": 1',
        "epochs: .nan",
    ]
    for text in texts:
        yield f"settings file {text[:40]!r}", partial(_config, text)


def _config(text: str, folder: Path) -> None:
    (folder / "c.yaml").write_text(text)
    Settings.of({"data": "digits", **read_config(folder / "c.yaml")}, "-c c.yaml")


def _settings() -> Iterator[Case]:
    """Every number among the settings as what it cannot be."""
    for field in fields(Settings):
        if any(kind in str(field.type) for kind in ("int", "float", "bool")):
            for value in (float("nan"), "text", {"a": 1}, [[]], LONG):
                yield f"{field.name}={value!r:.20}", partial(_setting, field.name, value)


def _setting(name: str, value: Any, folder: Path) -> None:
    Settings.of({"data": "digits", name: value}, "-c c.yaml")


def _archives() -> Iterator[Case]:
    x, y = np.zeros((4, 8, 8, 3), np.uint8), np.array([0, 1, 0, 1])
    wrong: dict[str, dict[str, Any]] = {
        "no labels": {"x": x},
        "no images": {"y": y},
        "floats": {"x": x.astype(float), "y": y},
        "lengths": {"x": x, "y": y[:3]},
        "flat": {"x": x.reshape(4, -1), "y": y},
        "seventeen channels": {"x": np.repeat(x[..., :1], 17, 3), "y": y},
        "empty": {"x": x[:0], "y": y[:0]},
        "negative labels": {"x": x, "y": y - 3},
        "labels of floats": {"x": x, "y": y + 0.5},
        "objects": {"x": np.array([None] * 4), "y": y},
        "few classes": {"x": x, "y": y, "classes": np.array(["a"])},
        "groups": {"x": x, "y": y, "group": y[:2]},
        "two dimensions of labels": {"x": x, "y": np.stack([y, y])},
    }
    for name, arrays in wrong.items():
        yield f"npz {name}", partial(_npz, arrays)
    for name, data in (
        ("empty", b""),
        ("text", b"text"),
        ("a single array", _bytes(x)),
        ("a zip of nothing", _zip({})),
        ("another zip", _zip({"a.txt": b"a"})),
        ("a lie", _zip({"x.npy": _header(10**9), "y.npy": _bytes(y)})),
        ("a bomb", _zip({"x.npy": _header(6 * 10**8) + bytes(6 * 10**8), "y.npy": _bytes(y)}, packed=True)),
    ):
        yield f"npz {name}", partial(_raw_npz, data)


def _bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _header(count: int) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (count,)})
    return file.getvalue()


def _zip(members: dict[str, bytes], packed: bool = False) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def _npz(arrays: dict[str, Any], folder: Path) -> None:
    for part in ("train", "test"):
        np.savez(folder / f"{part}.npz", **arrays)
    augury.dataset(str(folder))


def _raw_npz(data: bytes, folder: Path) -> None:
    for part in ("train", "test"):
        (folder / f"{part}.npz").write_bytes(data)
    augury.dataset(str(folder))


def _manifests() -> Iterator[Case]:
    texts = [
        "",
        "\n",
        "a,b\n1,2\n",
        "path\nx.png\n",
        "label\n1\n",
        "path,label\n",
        "path,label\nno_such.png,1\n",
        "path,label\nno_such.png\n",
        "path,label,split\nno_such.png,1,nowhere\n",
        "path,path,label\na,b,1\n",
        f"path,label\n{ESCAPE},1\n",
        f"path,label\n{LONG},1\n",
        "path,label\n/etc/passwd,1\n",
        "path,label\n.,1\n",
        'path,label\n"a,1\n',
        "path;label\na;1\n",
        "\x00",
        "path,label\n\x00,1\n",
    ]
    for text in texts:
        yield f"manifest {text[:30]!r}", partial(_manifest, text)


def _manifest(text: str, folder: Path) -> None:
    (folder / "m.csv").write_text(text)
    augury.dataset(str(folder / "m.csv"))


def _folders() -> Iterator[Case]:
    for files in (
        [],
        ["a.txt"],
        ["train/a.txt"],
        ["train/cat/a.txt"],
        ["train/cat/a.png"],
        ["train/a.png", "test/a.png"],
        ["train/cat/a.png", "train/dog/b.png", "test/cat/c.png"],
    ):
        yield f"folder {files}", partial(_folder, files)


def _folder(files: list[str], folder: Path) -> None:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("no image")
    augury.dataset(str(folder))
