"""Several labels per image: the loss is PyTorch's, mixes are exact, and what needs one class per image is refused."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import augury
from augury.core.errors import InputError
from augury.core.target_kind import TargetKind
from augury.core.targets import Targets

LABELS = torch.tensor([[1, 0, 1, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1]], dtype=torch.bool)
LOGITS = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)) * 4


def mixed() -> tuple[Targets, Tensor]:
    """Targets after two mixes, and the label vectors that they stand for."""
    partner, other = torch.tensor([1, 2, 3, 0]), torch.tensor([2, 3, 0, 1])
    weight, share = torch.tensor([0.3, 0.5, 1.0, 0.9]), torch.tensor([0.6, 0.25, 0.0, 1.0])
    once = LABELS.double() * weight[:, None] + LABELS.double()[partner] * (1 - weight[:, None])
    twice = once * share[:, None] + once[other] * (1 - share[:, None])
    return Targets.of(LABELS).mix(partner, weight).mix(other, share), twice


def test_the_loss_is_pytorchs() -> None:
    targets = Targets.of(LABELS)
    assert targets.loss(LOGITS).mean() == pytest.approx(float(nn.BCEWithLogitsLoss()(LOGITS, LABELS.float())), abs=1e-7)
    weight = torch.tensor([0.5, 2.0, 1.0, 7.0, 3.0])
    wanted = nn.BCEWithLogitsLoss(pos_weight=weight)(LOGITS, LABELS.float())
    assert targets.weighted(weight).loss(LOGITS).mean() == pytest.approx(float(wanted), abs=1e-6)
    assert targets.weighted(weight)[torch.tensor([2])].loss(LOGITS[[2]]).mean() != pytest.approx(float(targets.loss(LOGITS)[2]))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_mixes_of_label_vectors_are_exact(smoothing: float) -> None:
    targets, wanted = mixed()
    assert targets.dense().double() == pytest.approx(wanted, abs=1e-7)
    smooth = wanted * (1 - smoothing) + smoothing / 2
    expected = functional.binary_cross_entropy_with_logits(LOGITS.double(), smooth, reduction="none").mean(1)
    assert targets.loss(LOGITS, smoothing) == pytest.approx(expected, abs=1e-5)
    assert targets.smoothed(smoothing).loss(LOGITS) == pytest.approx(expected, abs=1e-5)


def test_entropy_is_the_lowest_loss() -> None:
    targets, wanted = mixed()
    best = torch.logit(wanted.float(), eps=1e-7)
    assert targets.loss(best) == pytest.approx(targets.entropy(), abs=1e-5)
    assert Targets.of(LABELS).entropy().abs().max() == 0


def test_parts_keep_what_they_are() -> None:
    targets = Targets.of(LABELS).weighted(torch.arange(5.0))
    for same in (
        targets[torch.arange(2)],
        Targets.cat([targets, targets]),
        targets.to("cpu"),
        targets.mix(torch.arange(4), torch.ones(4)),
    ):
        assert same.kind is TargetKind.SEVERAL and same.positive is not None
    with pytest.raises(InputError, match="cat takes"):
        Targets.cat([targets, Targets.of(torch.zeros(4, dtype=torch.int64), 5)])
    with pytest.raises(InputError, match="several labels"):
        targets.pair()
    with pytest.raises(InputError, match="3 columns for 5 classes"):
        targets.loss(LOGITS[:, :3])
    with pytest.raises(InputError, match="5 columns of labels for 4 classes"):
        Targets.of(LABELS, 4)


@pytest.mark.parametrize("chain", ["mixup", "cutmix", "mixup + cutmix(p=0.5)"])
def test_a_pipeline_mixes_label_vectors_with_the_share_of_the_pixels(chain: str) -> None:
    """A white image has both labels and a black one has none: each label's weight is then the image's brightness."""
    images = torch.zeros(6, 1, 16, 16, dtype=torch.uint8)
    images[::2] = 255
    labels = torch.zeros(6, 2, dtype=torch.bool)
    labels[::2] = True
    done, targets = augury.pipeline(chain)(images, labels)
    assert targets.kind is TargetKind.SEVERAL
    brightness = done.double().mean((1, 2, 3)) / 255
    assert targets.dense().double() == pytest.approx(brightness[:, None].expand(-1, 2), abs=3e-3)
    assert bool(((brightness > 0.01) & (brightness < 0.99)).any())


def test_labels_of_plain_pipelines_stay_as_they_are() -> None:
    _, labels = augury.pipeline("flip")(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), LABELS)
    assert labels is LABELS


def test_maps_that_explain_a_class_are_refused() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 5))
    images = torch.zeros(4, 1, 8, 8)
    batch = augury.Batch(images, Targets.of(LABELS), torch.arange(4))
    with pytest.raises(InputError, match="saliency=full: explains one class per image"):
        augury.saliency(network)(batch)
    assert augury.saliency(network, "attention")(batch).saliency is not None


def test_the_rarest_label_decides_what_images_are_stratified_by() -> None:
    labels = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 0], [1, 0, 1]], dtype=torch.bool)
    assert TargetKind.SEVERAL.strata(labels).tolist() == [1, 0, 2, 3, 2]
    assert TargetKind.ONE.strata(torch.tensor([2, 0])).tolist() == [2, 0]
    assert TargetKind.SEVERAL.strata(labels[:0]).tolist() == []


def test_answers_and_their_probabilities() -> None:
    probability = torch.tensor([[0.9, 0.5, 0.2], [0.1, 0.4, 0.3]])
    answer, sure = TargetKind.SEVERAL.answer(probability)
    assert answer.tolist() == [[True, True, False], [False, False, False]]
    assert sure.tolist() == pytest.approx([0.9 * 0.5 * 0.8, 0.9 * 0.6 * 0.7])
    given = torch.tensor([[False, True, False], [True, False, False]])
    assert TargetKind.SEVERAL.probability_of(given, probability).tolist() == pytest.approx([0.1 * 0.5 * 0.8, 0.1 * 0.6 * 0.7])
    assert (
        TargetKind.SEVERAL.named(answer[0], ("a", "b", "c")) == "a|b"
        and TargetKind.SEVERAL.named(answer[1], ("a", "b", "c")) == "none"
    )
