"""Starting from trained weights: what is taken, what is refused, what stays as it is, and how fast the rest learns."""

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional

from augury.core.errors import InputError
from augury.jobs.front import fit
from augury.jobs.runs import Run, open_run
from augury.jobs.train import train
from augury.train.engine.checkpoint import restore_optimizer
from augury.train.engine.frozen import rates_by_depth
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings
from augury.train.engine.source import load_for
from augury.train.engine.update import make_optimizer, set_rate
from augury.train.models.build import build
from augury.train.models.depth import depths
from augury.train.models.external import for_channels
from augury.train.models.pretrained import fit_weights
from augury.train.models.weights_file import read_weights

timm = pytest.importorskip("timm")
NETWORK = "timm:test_resnet"


def written(folder: Path, *, classes: int, channels: int = 3, images: int = 60, side: int = 16, seed: int = 0) -> Path:
    """Pictures of stripes whose direction and width are the class."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for part, number in (("train", images), ("test", images)):
        labels = np.arange(number) % classes
        row, column = np.mgrid[:side, :side]
        waves = [np.sin((row * (k % 2) + column * (1 - k % 2)) * (0.4 + 0.3 * k) + rng.uniform(0, 6)) for k in labels]
        pixels = np.stack(waves)[..., None] * 60 + 128 + rng.normal(0, 25, (number, side, side, channels))
        np.savez(folder / f"{part}.npz", x=pixels.clip(0, 255).astype(np.uint8), y=labels)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tuned")


@pytest.fixture(scope="module")
def other(place: Path) -> Path:
    return written(place / "other", classes=3, seed=1)


@pytest.fixture(scope="module")
def pretrained(place: Path) -> Run:
    data = written(place / "first", classes=6, images=240)
    return fit(data.as_posix(), model=NETWORK, epochs=3, batch_size=32, lr=0.05, output=place / "pretrained", quiet=True)


def tuned(data: Path, start: object, **more: Any) -> Settings:
    values = {"model": NETWORK, "epochs": 1, "batch_size": 16, "opt": "adamw", "lr": 1e-3, "precision": "float32"}
    return Settings.of({**values, "data": str(data), "pretrained": str(start), **more}, "test")


def test_a_run_gives_weights_normalisation_and_size_and_notes_say_so(pretrained: Run, other: Path) -> None:
    settings = tuned(other, pretrained.path)
    large = replace(settings, data=str(written(other.parent / "large", classes=3, side=20)))
    dataset = load_for(large)
    assert dataset.train.images.shape[-2:] == (16, 16)
    assert (dataset.mean, dataset.std) == (pretrained.identity.mean, pretrained.identity.std)
    own = load_for(replace(large, normalization="data"))
    assert own.mean != dataset.mean
    assert sum("size of the weights" in note for note in dataset.notes) == 1
    assert sum("as the weights expect" in note for note in dataset.notes) == 1
    assert load_for(replace(large, image_size=20)).train.images.shape[-1] == 20
    training = prepare(large, dataset)
    found, expected = training.model.state_dict(), pretrained.networks[0].state_dict()
    body = [key for key in expected if ".fc." not in key]
    assert all(torch.equal(found[key], expected[key]) for key in body) and found["network.fc.weight"].shape[0] == 3
    assert any("head is new in place of one for 6 classes" in note for note in training.progress.notes)
    # Whoever prepares data that were loaded plainly meets the same normalisation.
    assert prepare(large, load_for(replace(large, pretrained=None, image_size=16))).dataset.mean == dataset.mean


def test_networks_see_the_images_as_the_weights_were_trained(pretrained: Run, other: Path) -> None:
    training = prepare(tuned(other, pretrained.path, freeze="backbone"), load_for(tuned(other, pretrained.path)))
    images = training.data.train.images[:4]
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (pretrained.identity.mean, pretrained.identity.std))
    wanted = (images / 255 - mean) / std
    torch.testing.assert_close(training.method.normalize.normalise(images), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["pth", "safetensors", "ddp", "lightning", "timm trainer", "legacy"])
def test_files_as_people_save_them(kind: str, pretrained: Run, tmp_path: Path) -> None:
    plain = {k.removeprefix("network."): v.contiguous() for k, v in pretrained.networks[0].state_dict().items()}
    file = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
    averaged = {key: value + 1 if value.is_floating_point() else value for key, value in plain.items()}
    contents: dict[str, Any] = {
        "pth": plain, "ddp": {f"module.{k}": v for k, v in plain.items()}, "legacy": plain,
        "lightning": {"state_dict": {f"model.net.{k}": v for k, v in plain.items()} | {"loss.weight": torch.ones(3)}, "epoch": 3},
        "timm trainer": {"state_dict": averaged, "state_dict_ema": plain, "args": argparse.Namespace(lr=1)},
    }  # fmt: skip
    if kind == "safetensors":
        safetensors.torch.save_file(plain, file)
    else:
        torch.save(contents[kind], file, _use_new_zipfile_serialization=kind != "legacy")
    network = build(NETWORK, classes=3)
    fitted = fit_weights(network, read_weights(file, "--pretrained w"), "--pretrained w", NETWORK)
    assert torch.equal(network.network.layer4[0].conv1.weight, plain["layer4.0.conv1.weight"])  # type: ignore[union-attr, index]
    assert torch.equal(network.network.conv1[1].running_mean, plain["conv1.1.running_mean"])  # type: ignore[union-attr, index]
    assert not fitted.head and fitted.head_classes == 6


def test_weights_of_another_network_are_refused(pretrained: Run, other: Path, tmp_path: Path) -> None:
    deeper, file = timm.create_model("resnet34", num_classes=5), tmp_path / "deep.pth"
    torch.save(deeper.state_dict(), file)
    settings = tuned(other, file, model="timm:resnet18", normalization="data")
    with pytest.raises(InputError, match=r"deep.pth: not weights of timm:resnet18: 100 of its 100 tensors fit, but they hold"):
        prepare(settings, load_for(replace(settings, image_size=16)))
    with pytest.raises(InputError, match=r"of its \d+ tensors fit, the first that does not is layer1\.0\.conv1\.weight"):
        fit_weights(build("timm:resnet50", classes=3), deeper.state_dict(), "--pretrained deep.pth", "timm:resnet50")
    with pytest.raises(InputError, match=r"timm:resnet10t \(weights of timm:test_resnet\): \d+ of its .* --model"):
        prepare(tuned(other, pretrained.path, model="timm:resnet10t"), load_for(tuned(other, pretrained.path)))


def test_bad_files_are_one_line(tmp_path: Path, other: Path) -> None:
    torch.save(Path(), tmp_path / "object.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"a": 1}, tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("no weights")
    (tmp_path / "text.safetensors").write_text("no weights")
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe.pt")
    cases = {
        "object.pt": "could execute code", "list.pt": "no dictionary of weights", "none.pt": "no named weights",
        "text.pt": "damaged",
        "text.safetensors": "damaged", "gone.pt": "no such file", "empty": "no finished run", "pipe.pt": "named pipe",
    }  # fmt: skip
    for name, words in cases.items():
        settings = tuned(other, tmp_path / name, normalization="data", image_size=16)
        with pytest.raises(InputError, match=words) as caught:
            prepare(settings, load_for(settings))
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value), name


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pretrained": "no_such_tag"}, "known: r160_in1k, and no such file exists"),
        ({"pretrained": "yes", "model": "small_cnn"}, "no library has weights of small_cnn"),
        ({"pretrained": None, "freeze": "backbone"}, "would keep random weights"),
        ({"pretrained": None, "normalization": "data"}, "leave it out"),
        ({"pretrained": "none,none,none"}, "names 3, and the training has 1 network"),
        ({"freeze": 9}, "has 4 stages after its stem; give 1 to 4"),
        ({"freeze": 1, "refine_mode": "statistics", "refine_epochs": 1}, "leave one out"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    changes: dict[str, Any], words: str, pretrained: Run, other: Path
) -> None:  # fmt: skip
    settings = tuned(other, pretrained.path, **changes)
    with pytest.raises(InputError, match=words):
        prepare(settings, load_for(replace(settings, pretrained=None, image_size=16)))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_first_layer_is_adapted_as_timm_does_it(channels: int) -> None:
    weight = torch.randn(8, 3, 5, 5)
    torch.testing.assert_close(for_channels(weight, channels), timm.models.adapt_input_conv(channels, weight.clone()))
    source = timm.create_model("test_resnet", num_classes=4, in_chans=3)
    network = build(NETWORK, classes=2, channels=channels)
    fitted = fit_weights(network, source.state_dict(), "--pretrained w", NETWORK)
    assert fitted.channels == (None if channels == 3 else 3)
    found = network.network.conv1[0].weight  # type: ignore[union-attr, index]
    torch.testing.assert_close(found, timm.models.adapt_input_conv(channels, source.conv1[0].weight.detach().clone()))


def test_names_that_timm_translates(tmp_path: Path) -> None:
    """ConvNeXt's first published weights have names that timm's own loading code translates."""
    source = timm.create_model("test_convnext", num_classes=4)
    theirs = {
        key.replace("stem.", "downsample_layers.0.").replace("head.norm.", "norm.").replace("head.fc.", "head."): value
        for key, value in source.state_dict().items()
    }
    for stage in range(4):
        theirs = {
            key.replace(f"stages.{stage}.downsample.", f"downsample_layers.{stage}.")
            .replace(f"stages.{stage}.blocks.", f"stages.{stage}.").replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv"): value
            for key, value in theirs.items()
        }  # fmt: skip
    assert set(theirs) != set(source.state_dict())
    network = build("timm:test_convnext", classes=3)
    fit_weights(network, theirs, "--pretrained w", "timm:test_convnext")
    for key, value in source.state_dict().items():
        if "head.fc" not in key:
            assert torch.equal(network.network.state_dict()[key], value), key  # type: ignore[union-attr, operator]


def test_a_head_is_kept_for_the_same_classes_alone(pretrained: Run, place: Path) -> None:
    same = tuned(place / "first", pretrained.path)
    assert torch.equal(prepare(same, load_for(same)).networks[0].head.weight, pretrained.networks[0].head.weight)
    renamed = written(place / "renamed", classes=6)
    with np.load(renamed / "train.npz") as found:
        np.savez(renamed / "train.npz", **found, classes=np.array(list("abcdef")))
    others = tuned(renamed, pretrained.path)
    assert not torch.equal(prepare(others, load_for(others)).networks[0].head.weight, pretrained.networks[0].head.weight)


@pytest.mark.parametrize(
    ("freeze", "still"),
    [("backbone", ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")), (2, ("conv1", "bn1", "layer1", "layer2"))],
)
def test_what_is_frozen_is_equal_to_the_bit_after_training(
    freeze: str | int, still: tuple[str, ...], pretrained: Run, other: Path
) -> None:  # fmt: skip
    settings = tuned(other, pretrained.path, freeze=freeze, epochs=2, model_ema_decay=0.5, weight_decay=0.1)
    training = prepare(settings, load_for(settings))
    Trainer(training).run()
    before = pretrained.networks[0].state_dict()
    for model in (training.model, training.shown):
        for key, value in model.state_dict().items():
            part = key.removeprefix("network.").split(".")[0]
            if part in still:
                assert torch.equal(value, before[key]), key
            elif value.is_floating_point() and value.shape == before[key].shape:
                assert not torch.equal(value, before[key]), key  # running statistics of what learns move too
    modes = {name: module.training for name, module in training.networks[0].named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert all(training_mode == (name.split(".")[1] not in still) for name, training_mode in modes.items())
    assert any("frozen" in note for note in training.progress.notes)


def test_a_probe_learns_what_logistic_regression_on_the_features_learns(pretrained: Run, other: Path) -> None:
    """Steps of SGD over the whole training part are gradient descent on the features' logistic regression."""
    settings = tuned(other, pretrained.path, freeze="backbone", opt="sgd", lr=0.5, weight_decay=0, momentum=0, nesterov=False,
                     sched="constant", epochs=5, batch_size=54)  # fmt: skip
    training = prepare(settings, load_for(settings))
    network, part = training.networks[0], training.data.train
    assert len(part.ids) == 54
    weight, bias = network.head.weight.detach().clone(), network.head.bias.detach().clone()
    with torch.no_grad():
        seen: list[torch.Tensor] = []
        hook = network.head.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        network.eval()(training.method.normalize.normalise(part.images))
        hook.remove()
    features = seen[0]
    for _ in range(5):
        difference = (functional.linear(features, weight, bias).softmax(1) - functional.one_hot(part.labels, 3)) / 54
        weight, bias = weight - 0.5 * difference.T @ features, bias - 0.5 * difference.sum(0)
    Trainer(training).run()
    torch.testing.assert_close(network.head.weight.detach(), weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.head.bias.detach(), bias, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "resnet18", "efficientnet_b0"])
def test_rates_by_depth_are_timms(name: str) -> None:
    from timm.optim import param_groups_layer_decay

    with torch.device("meta"):
        network = build(f"timm:{name}", classes=3)
    found = rates_by_depth(Settings("x", layer_decay=0.75), [network])
    assert found is not None
    groups = param_groups_layer_decay(network.network, layer_decay=0.75)  # type: ignore[arg-type]
    theirs = {parameter: group["lr_scale"] for group in groups for parameter in group["params"]}
    assert found == {parameter: pytest.approx(scale) for parameter, scale in theirs.items()}


def test_rates_by_depth_follow_their_closed_form() -> None:
    network = build("torchvision:resnet18", classes=3)
    found = rates_by_depth(Settings("x", layer_decay=0.5), [network])
    assert found is not None
    rates = {name: found[parameter] for name, parameter in network.named_parameters()}
    assert rates["network.conv1.weight"] == rates["network.bn1.bias"] == 0.5**9
    for stage in (1, 2, 3, 4):
        for block in (0, 1):
            assert rates[f"network.layer{stage}.{block}.conv2.weight"] == 0.5 ** (9 - (2 * stage - 1 + block))
    assert rates["network.fc.weight"] == rates["network.fc.bias"] == 1.0


NETWORKS = [
    "small_cnn", "resnet20", "wrn_28_10", "preact_resnet18", "bnneck(resnet18)", "torchvision:vit_b_16", "torchvision:densenet121",
    "torchvision:vgg11", "torchvision:shufflenet_v2_x1_0", "torchvision:googlenet", "timm:test_vit", "timm:convnext_tiny",
]  # fmt: skip


@pytest.mark.parametrize("stages", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_depths_rise_from_the_stem_to_the_head(name: str, stages: bool) -> None:
    with torch.device("meta"):
        network = build(name, classes=3)
    found = depths(network, stages=stages)
    assert list(found) == [key for key, _ in network.named_parameters()]
    assert set(found.values()) == set(range(max(found.values()) + 1)) and max(found.values()) >= 2
    heads = [key for key, parameter in network.named_parameters() if any(parameter is p for p in network.head.parameters())]
    assert heads and all(found[key] == max(found.values()) for key in heads)
    body = [depth for key, depth in found.items() if key not in heads]
    assert body == sorted(body) or "cls_token" in "".join(found)


def test_steps_are_as_large_as_their_rates(pretrained: Run, other: Path) -> None:
    """Plain SGD moves every parameter by its rate times its gradient."""
    settings = tuned(other, pretrained.path, layer_decay=0.5, opt="sgd", momentum=0, nesterov=False, weight_decay=0, lr=0.2,
                     sched="constant", batch_size=54)  # fmt: skip
    training = prepare(settings, load_for(settings))
    before = {name: p.detach().clone() for name, p in training.networks[0].named_parameters()}
    Trainer(training).train_epoch()
    rates = {"conv1": 0.5**5, "layer1": 0.5**4, "layer2": 0.5**3, "layer3": 0.5**2, "layer4": 0.5, "fc": 1.0}
    for name, parameter in training.networks[0].named_parameters():
        part = name.split(".")[1].replace("bn1", "conv1")
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.detach(), before[name] - 0.2 * rates[part] * parameter.grad, rtol=1e-4, atol=1e-6)
    assert [group["lr"] for group in training.optimizer.param_groups] == [pytest.approx(0.2 * 0.5**k) for k in range(6)]


def test_captured_steps_read_every_groups_rate_from_a_tensor_of_its_own() -> None:
    weights = [nn.Parameter(torch.ones(2)) for _ in range(3)]
    optimizer = make_optimizer(Settings("x", lr=0.2), weights, tensor_rate=True, rates={weights[0]: 0.25, weights[1]: 0.5})
    held = [group["lr"] for group in optimizer.param_groups]
    assert [float(rate) for rate in held] == pytest.approx([0.2, 0.1, 0.05])
    set_rate(optimizer, 0.4)
    restore_optimizer(optimizer, {})
    set_rate(optimizer, 0.8)
    assert [float(rate) for rate in held] == pytest.approx([0.8, 0.4, 0.2])
    assert all(group["lr"] is rate for group, rate in zip(optimizer.param_groups, held, strict=True))


STRATEGIES = [
    {"augment": "crop+keep_cutout(saliency=early_head)"}, {"strategy": "manifold_mixup"}, {"strategy": "ait"},
    {"strategy": "dml"}, {"strategy": "dml(updates=alternating)"}, {"augment": "mixup", "model_ema_decay": 0.9},
]  # fmt: skip


@pytest.mark.parametrize("freeze", ["backbone", 4, None])
@pytest.mark.parametrize("changes", STRATEGIES, ids=lambda changes: "+".join(map(str, changes.values())))
def test_every_kind_of_strategy_trains_it(changes: dict[str, Any], freeze: Any, pretrained: Run, other: Path) -> None:
    settings = tuned(other, pretrained.path, freeze=freeze, layer_decay=0.75, **changes)
    training = prepare(settings, load_for(settings))
    heads = [network.head.weight.detach().clone() for network in training.networks]
    assert len(heads) == 1 or not torch.equal(heads[0], heads[1])  # each network has a head of its own
    result = Trainer(training).run()
    for network, head in zip(training.networks, heads, strict=True):
        assert not torch.equal(network.head.weight, head)
        kept = torch.equal(network.network.conv1[0].weight, pretrained.networks[0].network.conv1[0].weight)  # type: ignore[union-attr, index]
        assert kept == (freeze is not None)
    assert result["accuracy"] > 0


def test_two_networks_start_from_weights_of_their_own(pretrained: Run, other: Path) -> None:
    settings = tuned(other, f"{pretrained.path},none", model=f"{NETWORK},small_cnn", strategy="dml")
    training = prepare(settings, load_for(settings))
    assert torch.equal(training.networks[0].network.conv1[0].weight, pretrained.networks[0].network.conv1[0].weight)  # type: ignore[union-attr, index]
    with pytest.raises(InputError, match="not weights of small_cnn"):
        prepare(replace(settings, pretrained=str(pretrained.path)), load_for(settings))


def test_resuming_is_exact_and_other_weights_are_refused(pretrained: Run, other: Path, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    file.write_bytes((pretrained.path / "model.safetensors").read_bytes())
    settings = tuned(other, file, epochs=3, freeze=1, layer_decay=0.75, image_size=16)
    train(settings, tmp_path / "whole", quiet=True)

    class Stop(Exception):
        pass

    def stop(row: dict[str, Any]) -> None:
        if row["epoch"] == 2:
            raise Stop

    with pytest.raises(Stop):
        train(settings, tmp_path / "broken", quiet=True, on_epoch=stop)
    moved = tmp_path / "elsewhere.safetensors"
    moved.write_bytes(file.read_bytes())
    network = safetensors.torch.load_file(file)
    safetensors.torch.save_file({key: value + 1 for key, value in network.items()}, file)
    with pytest.raises(InputError, match=rf"--resume: .*broken: the weights {file} are not those it was started from"):
        train(settings, tmp_path / "broken", resume=True, quiet=True)
    # The same weights in another place are the same weights.
    train(replace(settings, pretrained=str(moved)), tmp_path / "broken", resume=True, quiet=True)
    one, two = (safetensors.torch.load_file(tmp_path / name / "model.safetensors") for name in ("whole", "broken"))
    assert one.keys() == two.keys() and all(torch.equal(one[key], two[key]) for key in one)
    # A finished run needs its weights no more.
    moved.unlink()
    file.unlink()
    assert open_run(tmp_path / "broken").dataset.mean == open_run(tmp_path / "whole").dataset.mean
    with pytest.raises(InputError, match="no such file"):
        train(settings, tmp_path / "again", quiet=True)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """timm's weights in the hub's cache, as its own client keeps them, without a connection."""
    import huggingface_hub.constants as constants

    cache, commit = tmp_path / "hub", "0" * 40
    folder = cache / "models--timm--test_resnet.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    (folder / "snapshots" / commit).mkdir(parents=True)
    weights: dict[str, torch.Tensor] = timm.create_model("test_resnet").state_dict()
    safetensors.torch.save_file(weights, folder / "snapshots" / commit / "model.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(cache), raising=False)
    return weights


@pytest.mark.parametrize("tag", ["yes", "r160_in1k"])
def test_published_weights_come_by_timms_own_loading_code(tag: str, hub: dict[str, torch.Tensor], other: Path) -> None:
    settings = tuned(other, tag, freeze="backbone")
    dataset = load_for(settings)
    assert dataset.mean == dataset.std == (0.5, 0.5, 0.5) and dataset.train.images.shape[-2:] == (160, 160)
    training = prepare(replace(settings, image_size=32), load_for(replace(settings, image_size=32)))
    assert torch.equal(training.networks[0].network.layer4[0].conv1.weight, hub["layer4.0.conv1.weight"])  # type: ignore[union-attr, index]
    assert any("published weights" in note for note in training.progress.notes)


def test_a_hub_that_cannot_be_reached_is_one_line(other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants as constants

    from augury.core.errors import RunError

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    settings = tuned(other, "yes", image_size=16)
    with pytest.raises(RunError, match=r"timm:test_resnet.*could not be loaded.*--pretrained FILE") as caught:
        prepare(settings, load_for(settings))
    assert "\n" not in str(caught.value)
