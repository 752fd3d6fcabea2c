"""Keep within a training: off it is the plain method bit for bit, on it costs what is counted and resumes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from augury.augment.stages.keep import KeepStage
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.targets import Targets
from augury.jobs.compare import compare
from augury.jobs.preview import Request, preview
from augury.jobs.train import train
from augury.train.data.dataset import Dataset, load
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.engine.training import Training
from augury.train.strategies.early_head import WithEarlyHead

SHORT = Settings("digits", epochs=1, batch_size=50)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    found = load("digits")
    return replace(found, test=replace(found.test, **{k: getattr(found.test, k)[:100] for k in ("images", "labels", "ids")}))


def weights(training: Training) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in training.model.state_dict().items()}


def trained(digits: Dataset, augment: str, strategy: str = "erm", **changes: object) -> tuple[Training, dict]:
    training = prepare(replace(SHORT, augment=augment, strategy=strategy, **changes), digits)
    return training, Trainer(training).run()


@pytest.mark.parametrize("inner", ["cutout", "randaugment", "cutmix"])
def test_switched_off_the_training_is_bit_identical_to_the_plain_method(digits: Dataset, inner: str) -> None:
    plain, told = trained(digits, f"crop+{inner}")
    off, also = trained(digits, f"crop+keep({inner}, p=0)")
    assert all(torch.equal(value, weights(off)[name]) for name, value in weights(plain).items())
    assert told["counts"] == also["counts"]


def test_looking_alone_changes_nothing(digits: Dataset) -> None:
    """A map is made for every batch and the box it leads to is empty: the weights are those of plain training."""
    plain, _ = trained(digits, "crop+cutout(length=8)")
    for saliency in ("full", "low_resolution"):
        looked, _ = trained(digits, f"crop+cutout(length=8)+keep(cutout(length=0), saliency={saliency})")
        assert looked.method.saliency is not None
        assert all(torch.equal(value, weights(looked)[name]) for name, value in weights(plain).items())


def test_every_step_counts_one_more_pass_each_way(digits: Dataset) -> None:
    plain, off = trained(digits, "cutout")
    assert plain.method.saliency is None
    for augment in ("keep_cutout", "keep_cutout(saliency=low_resolution)", "keep_cutout(saliency=early_head)"):
        _, on = trained(digits, augment)
        assert on["counts"] == {**off["counts"], "forward": 2 * off["counts"]["forward"], "backward": 2 * off["counts"]["backward"]}
    _, half = trained(digits, "keep(cutout, every=2)")
    assert half["counts"]["forward"] == off["counts"]["forward"] + 2  # of four steps


@pytest.mark.parametrize("saliency", ["full", "early_head"])
def test_a_run_that_keeps_resumes_bit_for_bit(tmp_path: Path, digits: Dataset, saliency: str) -> None:
    settings = replace(SHORT, augment=f"crop+keep(cutout, saliency={saliency})", epochs=2)
    unbroken = prepare(settings, digits)
    Trainer(unbroken).run()
    directory = RunDirectory.open(tmp_path / "run", settings.dict())

    def interrupt(row: dict) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(prepare(settings, digits)).run(directory, interrupt)
    resumed = prepare(settings, digits)
    result = Trainer(resumed).run(directory)
    assert all(torch.equal(value, weights(resumed)[name]) for name, value in weights(unbroken).items())
    for name, value in unbroken.method.extra.state_dict().items():
        assert torch.equal(value, resumed.method.extra.state_dict()[name])
    assert result["counts"]["forward"] == 2 * result["counts"]["steps"]


def test_the_early_head_adds_its_loss_and_is_dropped_at_test(tmp_path: Path, digits: Dataset) -> None:
    settings = replace(SHORT, augment="keep_cutout(saliency=early_head)")
    train(settings, tmp_path / "run", quiet=True)
    assert not [name for name in load_file(tmp_path / "run" / "model.safetensors") if "early" in name]
    training = prepare(settings, digits)
    assert isinstance(training.strategy, WithEarlyHead) and training.strategy.weight == 0.3
    split = training.data.train
    images = split.images[:8].float() / 255
    batch = Batch(images, Targets.of(split.labels[:8], 10), split.ids[:8])
    training.model.train()
    step = training.strategy(training.model, lambda view=0, pipeline=0, stream="train": batch)
    plain = training.strategy.strategy(training.model, lambda view=0, pipeline=0, stream="train": batch)
    maps = training.model.stage1(training.model.stem(images))
    early = torch.nn.functional.cross_entropy(training.method.extra["early_head"].linear(maps.mean((2, 3))), split.labels[:8])
    torch.testing.assert_close(step.loss, plain.loss + 0.3 * early)
    step.loss.backward()
    assert training.method.extra["early_head"].linear.weight.grad is not None
    before = training.method.extra["early_head"].linear.weight.clone()
    Trainer(training).train_epoch()
    assert not torch.equal(before, training.method.extra["early_head"].linear.weight)


@pytest.mark.parametrize("strategy", ["ait", "dml", "uda(ratio=1, weak=crop)"])
def test_the_early_head_finds_the_labels_of_other_strategies(digits: Dataset, strategy: str) -> None:
    training, _ = trained(digits, "keep_cutout(saliency=early_head)", strategy)
    assert isinstance(training.strategy, WithEarlyHead)


def test_an_early_head_refuses_images_whose_labels_it_cannot_know(digits: Dataset) -> None:
    training = prepare(replace(SHORT, augment="keep_cutout(saliency=early_head)"), digits)
    batch = Batch(torch.rand(4, 1, 32, 32), Targets.of(torch.arange(4), 10), torch.arange(4))

    class Mixed:
        def __call__(self, model: torch.nn.Module, views: object, **_: object) -> None:
            model(views().images * 0.5)

    training.strategy.strategy = Mixed()
    training.model.train()
    with pytest.raises(InputError, match="not its views"):
        training.strategy(training.model, lambda view=0, pipeline=0, stream="train": batch)


def test_what_cannot_be_is_refused_before_anything_is_written(digits: Dataset) -> None:
    for augment, model, words in [
        ("keep(cutout)+keep(cutmix, saliency=low_resolution)", "small_cnn", "one kind of saliency map"),
        ("keep_cutout(saliency=low_resolution)", "torchvision:resnet18(image_size=64)", "saves nothing"),
        ("keep_cutout(saliency=low_resolution)", "torchvision:vgg11(image_size=32)", "saves nothing"),
    ]:
        with pytest.raises(InputError, match=words):
            prepare(replace(SHORT, augment=augment, model=model), digits)


def test_reports_and_preview_show_what_the_network_decides(tmp_path: Path) -> None:
    settings = replace(SHORT, augment="crop+keep_cutout(saliency=early_head)")
    result = train(settings, tmp_path / "run", quiet=True)
    assert result["counts"]["forward"] == 2 * result["counts"]["steps"]
    compared = compare(replace(SHORT, augment="none,keep_randaugment"), 1, tmp_path / "both", quiet=True)
    assert [row["augment"] for row in compared["rows"]] == ["none", "keep_randaugment"]
    assert json.loads((tmp_path / "both" / "result.json").read_text())["rows"][1]["counts"]["forward"] == 8
    for augment in ("keep_cutout", "crop+keep_randaugment", "keep_cutout(saliency=early_head)", "none"):
        preview(Request("digits", augment, 2, 1, model=tmp_path / "run"), tmp_path / "sheet.png", overwrite=True)
        from PIL import Image

        with Image.open(tmp_path / "sheet.png") as sheet:
            columns = (sheet.width - 28) // 102  # 96 pixels and a gap each
        assert columns == (2 if augment == "none" else 4)
    with pytest.raises(InputError, match="add --model RUN"):
        preview(Request("digits", "keep_cutout"), tmp_path / "other.png")
    with pytest.raises(InputError, match="no finished run"):
        preview(Request("digits", "keep_cutout", model=tmp_path), tmp_path / "other.png")


@pytest.mark.parametrize(
    "augment",
    [
        "crop+keep_cutout(candidates=inside)",
        "crop+keep_cutmix(p=1, candidates=inside)",
        "crop+keep_randaugment",
        "crop+keep(inaugment)",
    ],
)
@pytest.mark.parametrize("saliency", ["full", "low_resolution"])
def test_every_image_of_a_training_keeps_what_is_important(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch, augment: str, saliency: str
) -> None:
    """All steps of a real training: by brute force over the map that the stage saw, every box is on its side of the threshold."""
    seen: list[tuple[KeepStage, Batch, dict[str, Tensor]]] = []
    sample = KeepStage.sample

    def noted(self: KeepStage, batch: Batch, *given: Any, **options: Any) -> dict[str, Tensor]:
        seen.append((self, batch, sample(self, batch, *given, **options)))
        return seen[-1][2]

    monkeypatch.setattr(KeepStage, "sample", noted)
    name = augment.replace("crop+", "")
    kept = f"{name[:-1]}, saliency={saliency})" if name.endswith(")") else f"{name}(saliency={saliency})"
    trained(digits, f"crop+{kept}")
    assert len(seen) == 4
    checked = 0
    for stage, batch, trace in seen:
        assert bool(batch.saliency.isfinite().all())
        height, width = (extent.tolist() for extent in stage.extent(batch, trace))
        boxes = trace["box"].reshape(len(batch), 4).tolist()
        for row, (top, left, bottom, right) in enumerate(boxes):
            high, wide = height[row], width[row]
            windows = batch.saliency[row].double()
            if not 0 < high < 32 or not 0 < wide < 32 or (bottom - top, right - left) != (high, wide):
                continue
            every = windows.unfold(0, high, 1).unfold(1, wide, 1).sum((2, 3))
            limit = every.flatten().quantile(0.6)
            slack = 1e-6 * float(limit)  # the stage sums the map in whole levels of 2^-30
            assert every[top, left] < limit + slack if stage.cuts else every[top, left] > limit - slack
            checked += 1
    assert checked > 150


def begun(folder: Path) -> Path:
    """The folder of a run that was interrupted after its first epoch."""

    def interrupt(row: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(replace(SHORT, augment="none", epochs=2), folder, quiet=True, on_epoch=interrupt)
    return folder


def test_attention_comes_from_the_network_that_is_named(tmp_path: Path, digits: Dataset) -> None:
    train(replace(SHORT, augment="none", model="patch_cnn"), tmp_path / "run", quiet=True)
    state = load_file(tmp_path / "run" / "model.safetensors")
    own, told = trained(digits, "attentive_cutmix")
    assert own.method.saliency is not None and own.method.saliency.source.network is own.model
    assert told["counts"]["forward"] == 2 * told["counts"]["backward"] == 8  # looking costs no backward pass
    other, _ = trained(digits, f"attentive_cutmix(network={tmp_path / 'run'})")
    assert other.method.saliency is not None
    looked = other.method.saliency.source.network
    assert all(torch.equal(value, state[name]) for name, value in looked.state_dict().items())
    assert not any(parameter.requires_grad for parameter in looked.parameters())
    named = [(tmp_path, "no finished run here"), ("resnet2", "unknown model"), (begun(tmp_path / "begun"), "not finished; run")]
    for network, words in named:
        with pytest.raises(InputError, match=words):
            trained(digits, f"attentive_cutmix(network={network})")
    with pytest.raises(InputError, match="one kind of saliency map"):
        trained(digits, "attentive_cutmix+attentive_cutmix(network=small_cnn)")
