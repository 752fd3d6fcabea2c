"""Scale, harm, affinity, saliency and cost on networks whose answers are known."""

import json
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import nn
from toys import Brightest, chains, subject, toy

import augury
from augury.augment.saliency.grad_cam import grad_cam
from augury.core.errors import InputError
from augury.explain.measurements.affinity_diversity import affinity_diversity
from augury.explain.measurements.cost import PARTS, advice, cost
from augury.explain.measurements.harm import harm, intervals
from augury.explain.measurements.photographs import photographs
from augury.explain.measurements.saliency import saliency
from augury.explain.measurements.scale import padded, scale


def pictures() -> torch.Tensor:
    return torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("pixels", [1, 4, 20])
def test_borders_against_numpy(pixels: int) -> None:
    images = pictures()
    sides = ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels))
    assert np.array_equal(padded(images, pixels, "zero").numpy(), np.pad(images.numpy(), sides))
    assert np.array_equal(padded(images, pixels, "tiled").numpy(), np.pad(images.numpy(), sides, mode="wrap"))
    whole = padded(images, pixels, "symmetric").numpy()
    inner = (..., slice(pixels, -pixels), slice(pixels, -pixels))
    assert np.array_equal(whole[inner], images.numpy())
    mirrored = np.pad(images.numpy(), sides, mode="symmetric").astype(float)
    reach = max(1, round(3 * pixels / 8))
    expected = gaussian_filter(mirrored, (0, 0, pixels / 8, pixels / 8), mode="nearest", radius=reach)
    expected[inner] = images.numpy()
    assert np.abs(whole - expected).max() <= 0.51


def test_scale_keeps_what_a_border_leaves_and_loses_what_it_hides() -> None:
    """Tiling keeps the mean colour, so the brightest channel stays; a border of the wrong colour would not."""
    found = scale([subject()], toy(), padding=(0.5, 1.0), images=None)
    (row,) = found.values["rows"]
    assert found.values["padding"] == [0.0, 0.5, 1.0] and found.values["top"] == [1]
    (accuracies,) = row["accuracies"]
    assert all(accuracies[border][k] == [100] for border in ("symmetric", "zero", "tiled") for k in range(3))
    assert [t.title.split(" ")[0] for t in found.tables] == ["Mirrored", "Black", "Tiled"]


class Corner(Brightest):
    """Sees the channel that is brightest in the top left pixel: wherever a border covers it, it is wrong or undecided."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images[:, :, :1, :1])


def test_scale_sees_that_a_black_border_covers_the_corner() -> None:
    found = scale([replace(subject(), model=Corner().eval())], toy(), padding=(0.5,), borders=("zero", "symmetric"), images=None)
    (accuracies,) = found.values["rows"][0]["accuracies"]
    assert accuracies["zero"][0] == [100] and accuracies["zero"][1] == [pytest.approx(100 / 3)], "ties fall to the first class"
    assert accuracies["symmetric"][1] == [100], "the mirrored corner has the same colours"


class Blind(Brightest):
    """Never says the class `blind`."""

    def __init__(self, blind: int) -> None:
        super().__init__()
        self.head.weight.data[blind] = -9.0


def test_harm_finds_the_class_that_is_hurt_and_pairs_by_seed() -> None:
    dataset = toy()
    subjects = [subject("plain", 0), subject("plain", 1), subject("plain", 2)]
    subjects += [replace(subject("blind", seed), model=Blind(1).eval()) for seed in (1, 2, 7)]
    found = harm(subjects, dataset, by=("class",))
    rows = {row["name"]: row for row in found.values["class"]["blind"]}
    assert {name: row["mean"] for name, row in rows.items()} == {"r": 0, "g": -100, "b": 0}
    assert rows["g"]["differences"] == [-100, -100] and rows["g"]["images"] == 10 and rows["g"]["reference"] == 100
    assert found.values["reference"] == "plain" and found.tables[0].rows[0][0] == "g"


def test_harm_tests_nothing_with_one_seed_and_names_what_each_figure_shows() -> None:
    """Catches `0 hurt of 3` and promised intervals where one seed is shared, and figures that all have one title."""
    blind = [replace(subject(name, seed), model=Blind(1).eval()) for name in ("one", "two") for seed in (0, 1)]
    alone = harm([subject("plain", 0), *blind], toy(), by=("class",))
    assert alone.summary.count("with one seed in common nothing can be tested; from -100.0 (g)") == 2
    assert "hurt of" not in alone.summary
    assert not any("interval" in figure.caption for figure in alone.figures)
    for name, figure in zip(("one", "two"), alone.figures, strict=True):
        assert f"{name}: difference, points" in figure.html and figure.caption.startswith(f"{name} against plain")
    tied = harm([subject("plain", 0), subject("plain", 1), subject("same", 0), subject("same", 1)], toy(), by=("class",))
    assert {row["verdict"] for row in tied.values["class"]["same"]} == {"no spread"} and "agree exactly" in tied.summary
    some = harm([subject("plain", 0), subject("plain", 1), *blind[:1], subject("one", 1)], toy(), by=("class",))
    assert "0 helped, 0 hurt of 3" in some.summary and "95% intervals" in some.figures[0].caption


def test_harm_by_group_and_what_it_refuses() -> None:
    plain = toy()
    groups = torch.arange(30) // 15
    dataset = replace(plain, test=replace(plain.test, groups=groups), group_names=("early", "late"))
    pair = [subject("plain"), replace(subject("blind"), model=Blind(1).eval())]
    found = harm(pair, dataset)
    assert set(found.values) == {"reference", "class", "group"}
    assert [row["mean"] for row in found.values["group"]["blind"]] == pytest.approx([-100 / 3] * 2)
    assert {row["verdict"] for row in found.values["group"]["blind"]} == {"one seed"}
    with pytest.raises(InputError, match="one; name the run of a reference"):
        harm([subject()], plain)
    with pytest.raises(InputError, match="has no groups"):
        harm(pair, plain, by=("group",))
    with pytest.raises(InputError, match="group 'none' has no test image"):
        harm(pair, replace(dataset, group_names=("early", "late", "none")))
    with pytest.raises(InputError, match="shares no seed"):
        harm([subject("plain", 0), subject("other", 1)], plain)


def test_intervals_hold_together_as_often_as_they_say() -> None:
    """Simulated: three classes, five seeds, no true difference; all intervals hold 0 in about 95 % of 2000 rounds."""
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        differences = generator.normal(size=(3, 5))
        half = intervals(differences, 0.95, 3)
        held += all(width is not None and abs(mean) <= width for mean, width in zip(differences.mean(1), half, strict=True))
    assert 0.94 < held / 2000 < 0.98
    alone = intervals(np.array([[1.0, 2.0, 4.0]]), 0.95, 1)[0]
    from scipy.stats import t

    assert alone == pytest.approx(t.ppf(0.975, 2) * np.std([1, 2, 4], ddof=1) / 3**0.5)
    assert intervals(np.zeros((2, 1)), 0.95, 2) == [None, None]


def run_folder(path: Path, loss: float) -> Path:
    path.mkdir()
    (path / "metrics.jsonl").write_text(json.dumps({"epoch": 1, "train_loss": loss}) + "\n")
    return path


def test_affinity_is_relative_accuracy_and_diversity_relative_loss(tmp_path: Path) -> None:
    subjects = [
        subject("clean", folder=run_folder(tmp_path / "a", 0.5)),
        subject("inverted", augment="invert", folder=run_folder(tmp_path / "b", 1.5)),
    ]
    found = affinity_diversity(subjects, toy(), augments=chains("invert", "flip(p=1)", "color(factor=0)"))
    points = {point["augment"]: point for point in found.values["points"]}
    assert points["invert"]["affinity"] == [0] and points["flip(p=1)"]["affinity"] == [1]
    assert points["color(factor=0)"]["affinity"] == [pytest.approx(1 / 3)]
    assert points["invert"]["diversity"] == 3 and points["flip(p=1)"]["diversity"] is None


def test_affinity_covers_all_that_is_registered_and_mixes_nothing() -> None:
    found = affinity_diversity([subject("clean")], toy(), images=6)
    assert found.tables[0].columns == ("augmentation", "affinity")  # one run tells no diversity
    names = {point["augment"] for point in found.values["points"]}
    assert {"rotate", "cutout", "randaugment", "trivialaugment"} <= names and not {"mixup", "cutmix", "identity"} & names
    assert "--train" in found.summary
    with pytest.raises(InputError, match="begin with a run on none"):
        affinity_diversity([subject("mixed", augment="mixup")], toy())


def test_diversity_from_trainings_of_its_own() -> None:
    clean = subject("clean")
    clean = replace(clean, settings=replace(clean.settings, model="small_cnn(width=4)", batch_size=16, lr=0.01))
    found = affinity_diversity([clean], toy(), augments=chains("none", "invert(p=0.5)"), train=True, epochs=3)
    points = {point["augment"]: point["diversity"] for point in found.values["points"]}
    assert points["none"] == 1 and points["invert(p=0.5)"] > 1.02


def test_grad_cam_of_a_linear_head_on_pooled_maps() -> None:
    """The gradient of a logit by every map is its weight over the number of positions: the map is known in closed form."""
    network = augury.model("small_cnn", classes=4, width=4).train()
    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 3, 1])
    found = grad_cam(network, images, labels)
    assert network.training and all(p.grad is None for p in network.parameters())
    network.eval()
    maps = nn.Sequential(*(network.get_submodule(tap) for tap in network.taps))(images)
    weight = network.head.weight[labels] / maps[0, 0].numel()
    expected = torch.einsum("bchw,bc->bhw", maps, weight).relu()
    assert found.shape == (3, 16, 16)
    expected = nn.functional.interpolate(expected[:, None], (16, 16), mode="bilinear", align_corners=False)[:, 0]
    assert torch.allclose(found, expected, atol=1e-6) and found.max() > 0
    with pytest.raises(InputError, match="does not name its maps"):
        grad_cam(nn.Flatten(), images)


def test_saliency_shows_the_worst_images_and_marks_the_right_class() -> None:
    dataset = toy()
    wrong = replace(dataset.test, labels=torch.where(torch.arange(30) == 29, (dataset.test.labels + 1) % 3, dataset.test.labels))
    found = saliency([subject("a"), subject("b", sharp=9)], replace(dataset, test=wrong), images=2, worst=1)
    assert found.values["worst"] == [129] and len(found.values["rows"]) == 3
    html = found.figures[0].html
    assert html.count("<tr>") == 4 and html.count('class="right"') == 6
    assert all(row["networks"]["a"]["inner_half"]["gradient"] == pytest.approx(0.25) for row in found.values["rows"])
    first = found.values["rows"][0]["networks"]["a"]["best"][0]
    assert first[0] == dataset.classes[int(wrong.labels[found.values["ids"][0] - 100])] and first[1] > 0.4
    chosen = saliency([subject()], dataset, ids=(105, 110), worst=0, methods=("gradient",))
    assert chosen.values["ids"] == [105, 110]
    with pytest.raises(InputError, match="no test image has the number 7; they are 100 to 129"):
        saliency([subject()], dataset, ids=(7,))


def test_integrated_gradients_need_captum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)  # as if it were not installed
    with pytest.raises(InputError, match="captum"):
        saliency([subject()], toy(), methods=("integrated_gradients",))


def test_integrated_gradients_ask_for_the_images_own_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for captum: gradient times image, of the class that it is told."""
    told = []

    class IntegratedGradients:
        def __init__(self, model: nn.Module) -> None:
            self.model = model

        def attribute(self, images: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            told.append(target)
            images = images.clone().requires_grad_()
            self.model(images).gather(1, target[:, None]).sum().backward()
            return images.grad * images

    captum = types.ModuleType("captum.attr")
    captum.IntegratedGradients = IntegratedGradients  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "captum.attr", captum)
    monkeypatch.setitem(sys.modules, "captum", types.ModuleType("captum"))
    found = saliency([subject()], toy(), methods=("integrated_gradients",), ids=(105, 110), worst=0)
    labels = toy().test.labels[[toy().test.ids.tolist().index(k) for k in (105, 110)]]
    assert told[0].equal(labels) and "integrated gradients" in found.figures[0].html


def test_integrated_gradients_by_captum_itself() -> None:
    pytest.importorskip("captum")
    found = saliency([subject()], toy(), methods=("gradient", "integrated_gradients"), images=2, worst=0)
    assert all("integrated_gradients" in net["inner_half"] for row in found.values["rows"] for net in row["networks"].values())


def test_cost_finds_the_part_that_takes_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    from augury.augment.pipeline import Pipeline

    run = Pipeline.run

    def slow(self: Pipeline, *given: object, **named: object) -> object:
        time.sleep(0.03)
        return run(self, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Pipeline, "run", slow)
    trained = subject("a")
    trained = replace(trained, settings=replace(trained.settings, model="small_cnn(width=4)", batch_size=8, strategy="ait"))
    (row,) = cost([trained], toy(), rounds=2).values["rows"]
    assert list(row["shares"]) == list(PARTS) and sum(row["shares"].values()) == pytest.approx(100)
    assert row["bottleneck"] == "augmentation" and "times as fast" in row["advice"]
    # Two steps of eight images with two views each: at least 60 ms a step for augmentation alone.
    assert row["milliseconds"]["augmentation"] > 60 and row["images_per_second"] < 8 / 0.06
    assert row["shares"]["decoding"] == row["shares"]["saliency"] == 0


def test_advice_follows_from_the_shares() -> None:
    even = dict.fromkeys(PARTS, 0.0) | {"forward": 60.0, "backward": 35.0, "augmentation": 5.0}
    assert "no more than that" in advice(even, "cpu") and "already runs on the GPU" in advice(even, "cuda:0")
    assert "low_resolution" in advice(even | {"saliency": 30.0}, "cpu")


def test_padding_in_pixels_follows_the_photographs_own_size(tmp_path: Path) -> None:
    """White photographs of 16x16 and 64x32 in files, at 16x16, padded by 16 black pixels: a ninth and an eighth stay white."""
    root = tmp_path / "data"
    for part, count in (("train", 3), ("test", 2)):
        for number in range(count):
            for name, size in (("a", (16, 16)), ("b", (32, 64))):  # Pillow's order: width, height
                folder = root / part / name
                folder.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", size, (255, 255, 255)).save(folder / f"{number}.png")
    dataset = augury.dataset(str(root), image_size=16)
    settings = replace(subject().settings, data=str(root))
    found = photographs(dataset, settings, dataset.test)
    images = found.padded(torch.arange(len(dataset.test.ids)), 16, "zero", padded)
    share = (images.double() / 255).mean((1, 2, 3))
    small, large = share[dataset.test.labels == 0], share[dataset.test.labels == 1]
    # 16 of 16 + 32 on a side; 64x32 becomes 96x64, of which the central 64x64 shows 32 columns and all its rows: a half.
    assert small.tolist() == pytest.approx([1 / 9] * len(small), abs=0.03)
    assert large.tolist() == pytest.approx([1 / 2] * len(large), abs=0.03)


def test_arrays_are_photographs_of_their_own_size() -> None:
    dataset = toy()
    whole = photographs(dataset, subject().settings, dataset.test)
    by_pixels = whole.padded(torch.arange(30), 8, "zero", padded)
    assert by_pixels.shape == dataset.test.images.shape
    centre = by_pixels[:, :, 3:5, 3:5].double().mean((2, 3)) / dataset.test.images.double().mean((2, 3))
    assert float((centre - 1).abs().max()) < 0.25 and (by_pixels[:, :, :2] == 0).all() and (by_pixels[:, :, :, 6:] == 0).all()
