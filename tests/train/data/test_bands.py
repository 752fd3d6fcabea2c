"""Images of 2 to 16 channels from arrays and TIFF files, and what is said of those that do not fit."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import picture, save

import augury
from augury.augment.stages.keep import KeepStage
from augury.augment.stages.plan import PlanStage
from augury.cli import main
from augury.core.errors import InputError
from augury.jobs.recommend.candidates import candidates
from augury.jobs.recommend.look import look
from augury.train.data import bands
from augury.train.data.dataset import load
from augury.train.data.resize import fit_tensor
from augury.train.engine.prepare import check
from augury.train.engine.settings import Settings

needs_tifffile = pytest.mark.skipif(importlib.util.find_spec("tifffile") is None, reason="tifffile is not installed")


def values(number: int, channels: int, size: tuple[int, int] = (20, 24), deep: bool = False) -> np.ndarray:
    """[H,W,C], the class in the level of the last channel."""
    random = np.random.default_rng(number)
    made = random.integers(0, 200, (*size, channels), dtype=np.uint8)
    made[..., -1] = 40 + 150 * (number % 2)
    return made.astype(np.uint16) * 16 if deep else made


def write_tiffs(root: Path, channels: int, *, each: int = 12, deep: bool = False, separate: bool = False) -> Path:
    import tifffile

    for part in ("train", "test"):
        for number in range(each):
            path = root / part / ("dark", "light")[number % 2] / f"{number}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            made = values(number + 100 * (part == "test"), channels, deep=deep)
            planes = made.transpose(2, 0, 1) if separate else made
            tifffile.imwrite(path, planes, photometric="minisblack", planarconfig="separate" if separate else "contig")
    return root


def write_arrays(root: Path, channels: int, size: tuple[int, int] = (20, 24)) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for part, count, start in (("train", 48, 0), ("test", 24, 100)):
        x = np.stack([values(start + k, channels, size) for k in range(count)])
        np.savez(root / f"{part}.npz", x=x, y=np.arange(count) % 2, classes=np.array(["dark", "light"]))
    return root


@pytest.mark.parametrize("channels", [2, 4, 5, 13, 16])
def test_arrays(tmp_path: Path, channels: int) -> None:
    data = load(str(write_arrays(tmp_path, channels)))
    assert data.test.images.shape == (24, channels, 20, 24) and len(data.mean) == channels
    assert torch.equal(
        data.test.images, torch.stack([torch.from_numpy(values(100 + k, channels)).permute(2, 0, 1) for k in range(24)])
    )
    levels = data.train.images.double().transpose(0, 1).flatten(1) / 255
    assert data.mean == pytest.approx(levels.mean(1).tolist()) and data.std == pytest.approx(levels.std(1, correction=0).tolist())
    small = load(str(tmp_path), image_size=10)
    alone = fit_tensor(data.test.images[:, -1:], (10, 10))
    assert torch.equal(small.test.images[:, -1:], alone)


@needs_tifffile
@pytest.mark.parametrize("channels", [2, 4, 5, 13])
@pytest.mark.parametrize("separate", [False, True])
def test_tiff_files(tmp_path: Path, channels: int, separate: bool) -> None:
    data = load(str(write_tiffs(tmp_path, channels, separate=separate)), cache="off")
    assert data.train.images.shape[1:] == (channels, 20, 24) and len(data.std) == channels
    for number, image in zip(data.test.ids.tolist(), data.test.images, strict=True):
        file = int(Path(data.name_of(number)).stem)
        assert torch.equal(image, torch.from_numpy(values(100 + file, channels)).permute(2, 0, 1))


@needs_tifffile
def test_streamed_cached_and_deep_files_are_the_same(tmp_path: Path) -> None:
    write_tiffs(tmp_path / "d", 5, deep=True)
    plain = load(str(tmp_path / "d"), cache="off", image_size=16)
    assert any("became grey levels 0 to 255 in 24 images" in note for note in plain.notes), plain.notes
    kept = str(tmp_path / "cache")
    for more in ({"cache": kept}, {"cache": kept}, {"cache": "off", "stream": "yes"}):
        again = load(str(tmp_path / "d"), image_size=16, **more)  # type: ignore[arg-type]
        assert torch.equal(again.test.images[torch.arange(12)], plain.test.images) and again.mean == plain.mean
    exact = load(str(write_tiffs(tmp_path / "e", 5)), cache="off", image_size=16)
    assert torch.equal(exact.test.images, plain.test.images)  # 12 bits are the same levels, times 16


@needs_tifffile
def test_colours_and_transparency_stay_what_they_are(tmp_path: Path) -> None:
    import tifffile

    for part in ("train", "test"):
        for name in ("a", "b"):
            for number in range(2):
                (tmp_path / part / name).mkdir(parents=True, exist_ok=True)
                made = np.concatenate([picture(number), np.full((6, 6, 1), 255, np.uint8)], 2)
                extra = {"extrasamples": ["unassalpha"]} if number else {}
                tifffile.imwrite(tmp_path / part / name / f"{number}.tif", made[..., : 3 + number], photometric="rgb", **extra)
    data = load(str(tmp_path), cache="off")
    assert data.train.images.shape[1] == 3


@needs_tifffile
def test_bands_beside_other_images_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiffs(tmp_path / "d", 5)
    save(tmp_path / "d" / "train" / "dark" / "0.png", picture(0))
    assert main(["train", str(tmp_path / "d"), "--output", str(tmp_path / "out"), "--cache", "off"]) == 2
    err = capsys.readouterr().err
    assert "has 3 channels" in err and "has 5 channels" in err
    assert "give images with the same number of channels" in err and err.count("\n") == 1
    write_tiffs(tmp_path / "w", 20)
    with pytest.raises(InputError, match="has 20 channels; up to 16 are read"):
        load(str(tmp_path / "w"), cache="off")


@needs_tifffile
def test_without_the_package_one_line_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiffs(tmp_path, 5)
    monkeypatch.setattr(bands, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"has 5 channels, which needs the package tifffile; pip install 'augury\[tiff\]'"):
        load(str(tmp_path), cache="off")


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((8, 6, 6, 17), "with 1 to 16 channels"),
        ((8, 5, 30, 30), "put the channels last"),
        ((8, 3, 6, 6), "put the channels last"),
        ((8, 6, 6, 0), "with 1 to 16 channels"),
    ],
)
def test_arrays_of_other_shapes_are_refused(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    for part in ("train", "test"):
        np.savez(tmp_path / f"{part}.npz", x=np.zeros(shape, np.uint8), y=np.arange(8) % 2)
    with pytest.raises(InputError, match=message):
        load(str(tmp_path))


def test_parts_of_different_channels_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "train.npz", x=np.zeros((8, 6, 6, 5), np.uint8), y=np.arange(8) % 2)
    np.savez(tmp_path / "test.npz", x=np.zeros((8, 6, 6, 3), np.uint8), y=np.arange(8) % 2)
    with pytest.raises(InputError, match="x holds images of 3 channels, but 5 are needed"):
        load(str(tmp_path))


def test_a_network_is_trained_compared_evaluated_and_previewed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(write_arrays(tmp_path / "data", 5, (32, 32)))
    run = tmp_path / "run"
    chain = "crop+flip+randaugment(channels=any)"
    assert main(["train", data, "--augment", chain, "--epochs", "4", "--quiet", "--output", str(run)]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(run)]) == 0
    assert "accuracy" in capsys.readouterr().out
    compared = ["compare", data, "--augment", "crop+flip,cutmix", "--strategy", "erm", "--epochs", "1", "--seeds", "1"]
    assert main([*compared, "--quiet", "--output", str(tmp_path / "c")]) == 0
    assert main(["preview", data, "--augment", "crop+flip+cutout", "--output", str(tmp_path / "sheet.png")]) == 0
    for command in ("train", "compare"):
        assert main([command, data, "--augment", "randaugment", "--output", str(tmp_path / command)]) == 2
        err = capsys.readouterr().err
        assert "color and contrast take grey images or red, green and blue, and these have 5 channels" in err
        assert "randaugment(channels=any) leaves such operations out" in err and not (tmp_path / command).exists()
    assert (
        main(["diagnose", str(run), "--what", "saliency(images=2),embedding(augment=crop)", "--output", str(tmp_path / "d")]) == 0
    )
    capsys.readouterr()
    if importlib.util.find_spec("tifffile") is not None:
        write_tiffs(tmp_path / "images", 5)
        assert main(["predict", str(run), str(tmp_path / "images" / "test")]) == 0
        rows = capsys.readouterr().out.splitlines()[1:]
        assert len(rows) == 12
    save(tmp_path / "rgb" / "1.png", picture(1))
    assert main(["predict", str(run), str(tmp_path / "rgb")]) == 2
    assert "has no bands, but the others are images of 5 bands" in capsys.readouterr().err


def test_what_recommend_races_takes_bands(tmp_path: Path) -> None:
    """Every candidate on top of the default reference is accepted for five channels, and those for colours are the usual ones."""
    dataset = load(str(write_arrays(tmp_path, 5, (32, 32))))
    raced = candidates("crop+flip", None, 5)
    assert any("randaugment" in each.augment for each in raced) and not any("autoaugment" in each.augment for each in raced)
    for each in raced:
        check(Settings("x", augment=each.augment, strategy=each.strategy, batch_size=8), dataset)
    assert candidates("crop+flip", None, 3) == candidates("crop+flip", None, 1) == candidates("crop+flip", None)
    assert "of 5 channels" in look(dataset, None).words()


@pytest.mark.parametrize("model", ["small_cnn", "resnet20", "wrn_40_2", "timm:resnet18", "torchvision:resnet18"])
def test_networks_take_as_many_channels_as_the_data(model: str) -> None:
    from augury.core.options import parse_spec
    from augury.train.models.build import build

    if model.startswith("timm") and importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    assert build(parse_spec(model, "test"), classes=3, channels=5)(torch.zeros(2, 5, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize("strategy", ["adversarial_autoaugment(policies=2{})", "uncertainty(candidates=2{})"])
def test_strategies_that_draw_operations_do_without_colours_where_asked(
    strategy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(write_arrays(tmp_path / "data", 5, (16, 16)))
    call = ["train", data, "--epochs", "1", "--quiet", "--output", str(tmp_path / "run"), "--strategy"]
    assert main([*call, strategy.format("")]) == 2
    name = strategy.partition("(")[0]
    assert f"5 channels; {name}(channels=any) leaves such operations out" in capsys.readouterr().err
    assert main([*call, strategy.format(", channels=any")]) == 0


def test_keep_randaugment_does_without_colours_where_asked() -> None:
    stage = augury.pipeline("keep_randaugment(channels=any)").stages[0]
    assert isinstance(stage, KeepStage) and isinstance(stage.stages[0], PlanStage) and stage.stages[0].space.rgb == ()
