"""A run's weights as a detector's backbone: torchvision's detectors take them, learn boxes, and average precision says so."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models import resnet18
from torchvision.models.detection import FasterRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator

from augury.cli import main
from augury.core.errors import InputError
from augury.explain.detection import average_precision, intersection_over_union, mean_average_precision
from augury.jobs.export import export
from augury.jobs.train import train
from augury.train.engine.settings import Settings
from augury.train.models.backbone import detection_backbone, read_card


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two short runs on made colour images: a network of torchvision's and one of ours; and one without stages."""
    root = tmp_path_factory.mktemp("runs")
    random = np.random.default_rng(0)
    (root / "data").mkdir()
    for part, count in (("train", 40), ("test", 20)):
        labels = np.arange(count) % 2
        images = random.integers(0, 120, (count, 32, 32, 3)) + 100 * labels[:, None, None, None]
        np.savez(root / "data" / f"{part}.npz", x=images.astype(np.uint8), y=labels)
    for name, model in (
        ("torchvision", "torchvision:resnet18"), ("ours", "resnet20(stem_stride=2)"), ("neck", "bnneck(torchvision:resnet18)"),
    ):  # fmt: skip
        train(Settings(str(root / "data"), model=model, epochs=1, batch_size=18), root / name, quiet=True)
        export(root / name, root / f"{name}-export")
    return root


def test_the_weights_have_torchvisions_names_and_fit_its_network(runs: Path) -> None:
    for name, prefix in (("torchvision", "network."), ("neck", "network.network.")):
        found = load_file(runs / f"{name}-export" / "backbone.safetensors")
        missing = resnet18(weights=None).load_state_dict(found, strict=False)
        assert missing.unexpected_keys == [] and missing.missing_keys == ["fc.weight", "fc.bias"]
        trained = load_file(runs / name / "model.safetensors")
        assert all(torch.equal(value, trained[prefix + key]) for key, value in found.items())


def test_the_card_says_what_the_weights_are_for(runs: Path) -> None:
    card = read_card(runs / "ours-export")
    assert (card.layers, card.widths, card.channels) == (["stage1", "stage2", "stage3"], [16, 32, 64], 3)
    assert read_card(runs / "neck-export").model == "torchvision:resnet18" and all(0 < m < 1 for m in card.mean)


def test_the_pyramid_gives_what_the_networks_stages_give(runs: Path) -> None:
    backbone = detection_backbone(runs / "torchvision-export", out_channels=8).eval()
    plain = resnet18(weights=None)
    plain.load_state_dict(load_file(runs / "torchvision-export" / "backbone.safetensors"), strict=False)
    plain.eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        maps = plain.relu(plain.bn1(plain.conv1(images)))
        last = plain.layer4(plain.layer3(plain.layer2(plain.layer1(plain.maxpool(maps)))))
        torch.testing.assert_close(backbone.body(images)["3"], last, rtol=1e-2, atol=1e-2)
        assert {key: value.shape[1] for key, value in backbone(images).items()} == dict.fromkeys(["0", "1", "2", "3", "pool"], 8)


def boxes_of(count: int) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Dark images with one bright square each."""
    generator = torch.Generator().manual_seed(0)
    images, truths = [], []
    for number in range(count):
        side = 20 + 4 * (number % 3)
        top, left = torch.randint(0, 64 - side, (2,), generator=generator).tolist()
        image = torch.rand(3, 64, 64, generator=generator) * 0.2
        image[:, top : top + side, left : left + side] = 0.9
        images.append(image)
        truths.append({"boxes": torch.tensor([[left, top, left + side, top + side]]).float(), "labels": torch.tensor([1])})
    return images, truths


@pytest.mark.parametrize("name", ["torchvision", "ours"])
@pytest.mark.parametrize("detector", ["faster_rcnn", "retinanet"])
def test_torchvisions_detectors_learn_on_it(runs: Path, name: str, detector: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone, card = detection_backbone(runs / f"{name}-export", stages=2, out_channels=16), read_card(runs / f"{name}-export")
        anchors = AnchorGenerator(((16,), (24,), (32,)), ((1.0,),) * 3)
        make = FasterRCNN if detector == "faster_rcnn" else RetinaNet
        named = {"rpn_anchor_generator": anchors} if detector == "faster_rcnn" else {"anchor_generator": anchors}
        model = make(backbone, num_classes=2, min_size=64, max_size=64, image_mean=card.mean, image_std=card.std, **named)
        images, truths = boxes_of(6)
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.005, momentum=0.9)
        losses = []
        for _ in range(6):
            loss = sum(model(images, truths).values())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] and all(np.isfinite(losses))
    with torch.no_grad():
        found = model.eval()(images)
    assert 0 <= mean_average_precision(found, truths, thresholds=(0.5,)) <= 100


def test_a_perfect_detector_and_none_at_all() -> None:
    _, truths = boxes_of(5)
    perfect = [{**truth, "scores": torch.ones(1)} for truth in truths]
    assert mean_average_precision(perfect, truths) == pytest.approx(100)
    assert mean_average_precision(perfect, truths, thresholds=(0.5,), interpolation="voc") == pytest.approx(100)
    nothing = [{"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0, dtype=torch.int64)}] * 5
    assert mean_average_precision(nothing, truths) == 0
    wrong = [{**given, "labels": torch.tensor([2])} for given in perfect]
    assert mean_average_precision(wrong, truths) == 0


def test_average_precision_by_hand() -> None:
    """Three boxes in two images; right, wrong (a second hit of one box), right, and one never found."""
    square = torch.tensor([[0.0, 0, 10, 10]])
    truths = [{"boxes": torch.cat([square, square + 20]), "labels": torch.ones(2)}, {"boxes": square, "labels": torch.ones(1)}]
    predictions = [
        {"boxes": torch.cat([square, square + 1]), "scores": torch.tensor([0.9, 0.8]), "labels": torch.ones(2)},
        {"boxes": square + 2, "scores": torch.tensor([0.7]), "labels": torch.ones(1)},
    ]
    # Overlaps: 1, 81/119 = 0.68 (taken already), 64/136 = 0.47. At 0.4: precisions 1, 1/2, 2/3 at recalls 1/3, 1/3, 2/3.
    assert average_precision(predictions, truths, 0.4, "voc") == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)
    assert average_precision(predictions, truths, 0.4, "coco") == pytest.approx((34 * 1 + 33 * 2 / 3) / 101)
    assert average_precision(predictions, truths, 0.5, "voc") == pytest.approx(1 / 3)
    overlap = intersection_over_union(square, torch.cat([square, square + 1, square + 2, square + 20]))
    assert overlap[0].tolist() == pytest.approx([1, 81 / 119, 64 / 136, 0])


def test_what_cannot_be_exported_is_refused(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(runs / "ours"), "--output", str(tmp_path / "x")]) == 0
    assert "stage3 (64)" in capsys.readouterr().out
    assert main(["export", str(runs / "ours"), "--output", str(tmp_path / "x")]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["export", str(tmp_path), "--output", str(tmp_path / "y")]) == 2
    assert main(["export", str(runs / "ours"), "--network", "2", "--output", str(tmp_path / "y")]) == 2
    with pytest.raises(InputError, match="no export here"):
        detection_backbone(tmp_path)
    (tmp_path / "x" / "backbone.safetensors").write_bytes((runs / "torchvision-export" / "backbone.safetensors").read_bytes())
    with pytest.raises(InputError, match="of another network"):
        detection_backbone(tmp_path / "x")
