"""Exported code runs as pasted, and does what Augury does where the library draws nothing differently."""

import importlib.util
import itertools
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors

import augury
from augury.augment.exported.export import export_policy
from augury.explain.fidelity.pillow import as_pil, as_tensor

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
pytestmark = pytest.mark.filterwarnings("ignore")
LIBRARIES = ("python", "torchvision", "timm", "albumentations")


def picture(height: int = 40, width: int = 56) -> Tensor:
    """Smooth structure with noise on top."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(1, 3, 5, 7, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")[0] * 255
    return (smooth + 20 * torch.randn(3, height, width, generator=generator)).clamp(0, 255).to(torch.uint8)


def run(code: str) -> dict[str, Any]:
    """The code in a name space of its own, as if pasted into a file."""
    space: dict[str, Any] = {"__name__": "pasted"}
    exec(compile(code, "pasted", "exec"), space)
    assert "augury" not in " ".join(line for line in code.splitlines() if "import" in line)
    return space


def skip_without(library: str) -> None:
    if library in ("timm", "albumentations") and importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")


def called(library: str, code: str, image: Tensor) -> Tensor:
    """The exported transform on an image [3,H,W]."""
    space = run(code)
    if library == "albumentations":
        return torch.from_numpy(space["transform"](image=image.permute(1, 2, 0).contiguous().numpy())["image"]).permute(2, 0, 1)
    return as_tensor(space["augment" if library == "python" else "transform"](as_pil(image)))


# Chains in which nothing is drawn, and how many pixels may be otherwise: where torchvision's matrix is rounded otherwise, a few.
EXACT = [
    "flip(p=1)", "flip_vertical(p=1)", "rotate(degrees=17)", "rotate(degrees=17, interpolation=bilinear, fill=99)", "invert",
    "shear_x(slope=0.25, fill=128)", "shear_y(slope=-0.125)", "translate_x(fraction=0.25)", "translate_y(fraction=-0.1, fill=7)",
    "translate_x(fraction=0.3, reach=20)", "zoom(factor=1.25)", "posterize(bits=3)", "solarize(threshold=100)", "auto_contrast",
    "solarize_add(amount=40)", "equalize", "brightness(factor=1.4)", "contrast(factor=0.6)", "color(factor=0.3)",
    "sharpness(factor=1.7)", "grayscale(p=1)", "hue(shift=0.2)", "identity", "flip(p=1)+rotate(degrees=-30)+color(factor=2)",
]  # fmt: skip
NEAR = {"torchvision": 0.97, "albumentations": 0.9}  # share of pixels, where geometry is rounded otherwise
GEOMETRIC = ("rotate", "shear", "translate", "zoom")


@pytest.mark.parametrize("text", EXACT)
@pytest.mark.parametrize("library", LIBRARIES)
def test_what_draws_nothing_is_equal(library: str, text: str) -> None:
    """Catches a number in another unit, a sign, a fill or an interpolation that is lost, an order of steps."""
    skip_without(library)
    centred = library == "albumentations" and ("shear" in text or "reach" in text)
    image, expected = picture(), augury.pipeline(text)(picture())
    if centred and "reach" in text:
        with pytest.raises(augury.InputError, match="reach in pixels"):
            export_policy(text, "albumentations")
        return
    exported = export_policy(text, library, image_size=40)  # type: ignore[arg-type]
    got = called(library, exported.code, image)
    assert got.shape == expected.shape
    if centred:
        assert any("centre" in note for note in exported.notes)
        return
    exact = library in ("python", "timm", "torchvision") and not (library != "python" and any(name in text for name in GEOMETRIC))
    levels = 0 if exact else 2
    close = ((got.int() - expected.int()).abs() <= levels).float().mean()
    assert close == 1 if exact else close > NEAR.get(library, 0.97), float(close)


@pytest.mark.parametrize("text", ["randaugment(num_ops=3, magnitude=15)", "randaugment(num_ops=1, magnitude=0)", "randaugment"])
def test_a_found_randaugment_is_torchvisions_own(text: str, tmp_path: Path) -> None:
    from augury.jobs.policy import write_notation

    options = {"num_ops=3": 3, "num_ops=1": 1}
    num_ops = next((n for key, n in options.items() if key in text), 2)
    magnitude = 15 if "15" in text else 0 if "=0" in text else 9
    expected = f"transform = v2.RandAugment(num_ops={num_ops}, magnitude={magnitude})"
    assert expected in export_policy(text).code
    write_notation(text, "yaml", tmp_path / "found.yaml")
    assert expected in export_policy(str(tmp_path / "found.yaml")).code
    (tmp_path / "text.yaml").write_text(f"augury_policy: 1\nname: found\naugment: {text}\n")
    assert expected in export_policy(str(tmp_path / "text.yaml")).code


@pytest.mark.parametrize(("text", "library", "expected"), [
    ("autoaugment(table=cifar10, ladder=torchvision)", "torchvision", "v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10)"),
    ("autoaugment(table=svhn, ladder=torchvision)", "torchvision", "v2.AutoAugment(v2.AutoAugmentPolicy.SVHN)"),
    ("trivialaugment", "torchvision", "v2.TrivialAugmentWide()"),
    ("augmix(version=torchvision, severity=5)", "torchvision", "v2.AugMix(severity=5, mixture_width=3, chain_depth=-1, alpha=1.0)"),
    ("flip+randaugment+cutmix(p=1, alpha=0.5)", "torchvision", "mix = v2.CutMix(alpha=0.5, num_classes=CLASSES)"),
    ("randaugment(version=timm_increasing, magnitude=9, spread=0.5)", "timm", "rand_augment_transform('rand-m9-n2-mstd0.5-inc1', "),
    ("randaugment(version=timm, magnitude=12, max_magnitude=12, p=1)", "timm", "rand_augment_transform('rand-m12-n2-mmax12-p1'"),
    ("autoaugment(table=imagenet, ladder=timm_original, spread=0.5)", "timm", "auto_augment_transform('original-mstd0.5', "),
    ("augmix(version=timm, severity=4, width=4)", "timm", "augment_and_mix_transform('augmix-m4-w4-a1', HPARAMS)"),
])  # fmt: skip
def test_a_librarys_own_policy_is_told_by_what_it_does_and_runs(text: str, library: str, expected: str) -> None:
    skip_without(library)
    exported = export_policy(text, library)  # type: ignore[arg-type]
    assert expected in exported.code
    space = run(exported.code)
    assert space["transform"](as_pil(picture())).size == (56, 40)
    if "mix" in space:
        images, labels = space["mix"](torch.rand(4, 3, 8, 8), torch.arange(4))
        assert labels.shape == (4, 10) and images.shape == (4, 3, 8, 8)


def test_timm_strings_come_back_as_they_went_out() -> None:
    from augury.augment.policies.convert import from_timm

    for string in ("rand-m9-n2-mstd0.5-inc1", "rand-m7-n3", "rand-m5-n1-p1", "original-mstd0.5", "v0r"):
        assert f"'{string}'" in export_policy(from_timm(string).text, "timm").code


POLICIES = [
    "autoaugment(table=cifar10)", "randaugment(version=tpu, num_ops=2, magnitude=8)", "randaugment(num_ops=2, magnitude=9)",
    "crop+flip+trivialaugment", "color_jitter+grayscale(p=0.2)", "resized_crop+flip+rotate(degrees=[-6,6], p=0.7)",
    "autoaugment(table=imagenet, ladder=timm_research)", "standard+cutout(8)", "zoom+random_erasing(p=1)",
]  # fmt: skip


@pytest.mark.parametrize("text", POLICIES)
@pytest.mark.parametrize("library", LIBRARIES)
def test_policies_and_chains_run_as_pasted_or_are_refused_in_one_line(library: str, text: str) -> None:
    skip_without(library)
    try:
        exported = export_policy(text, library, image_size=40)  # type: ignore[arg-type]
    except augury.InputError as error:
        assert "\n" not in str(error) and library in ("timm", "albumentations")
        return
    space = run(exported.code)
    seen = set()
    for _ in range(32):  # of 8 draws, one in 300 had two results only
        if library == "albumentations":
            done = space["transform"](image=picture(40, 40).permute(1, 2, 0).contiguous().numpy())["image"]
            assert done.shape == (40, 40, 3) and done.dtype == np.uint8
        elif library == "python":
            done = np.asarray(space["augment"](as_pil(picture(40, 40))))
        else:
            tensor = "Operation(cutout" in exported.code or "RandomErasing" in exported.code
            done = np.asarray(space["transform"](picture(40, 40) if tensor else as_pil(picture(40, 40))))
        assert done.size == 40 * 40 * 3
        seen.add(done.tobytes())
    assert len(seen) > 2


def test_exported_code_draws_from_the_same_laws() -> None:
    """Rates of firing and numbers of a sub-policy, counted. Catches a p that became a weight, and a side that is never drawn."""
    text = "rotate(degrees=[-10, 10], p=0.4)"
    expected = {augury.apply("rotate", picture(), degrees=d).numpy().tobytes(): d for d in (-10.0, 10.0)}
    for library in LIBRARIES:
        if library in ("timm", "albumentations"):
            continue
        space = run(export_policy(text, library).code)  # type: ignore[arg-type]
        random.seed(0)
        torch.manual_seed(0)
        transform = space["augment" if library == "python" else "transform"]
        drawn = [as_tensor(transform(as_pil(picture()))) for _ in range(300)]
        sides = [expected.get(each.numpy().tobytes(), 0.0) for each in drawn]
        assert 30 < sides.count(-10.0) < 95 and 30 < sides.count(10.0) < 95 and 140 < sides.count(0.0) < 220


def test_weights_of_choices_survive_albumentations_one_of() -> None:
    skip_without("albumentations")
    from augury.augment.policies.file import PolicyEntry, PolicyFile, write_policy

    rows = ((PolicyEntry("invert", 0.2),), (PolicyEntry("flip", 1.0),))
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"augury-weights-{os.getpid()}.yaml"
    path.write_text(write_policy(PolicyFile("two", ((1.0, rows),))))
    try:
        space = run(export_policy(str(path), "albumentations").code)
    finally:
        path.unlink()
    image = picture().permute(1, 2, 0).contiguous().numpy()
    flipped = sum(np.array_equal(space["transform"](image=image)["image"], image[:, ::-1]) for _ in range(400))
    assert 150 < flipped < 250  # half, and not 1 / 1.2 of all


def test_torchvisions_code_moves_masks_and_boxes_by_the_images_draw() -> None:
    space = run(export_policy("rotate(degrees=[-90, 90])+translate_x(fraction=uniform(-0.3, 0.3))+color(factor=0.5)").code)
    pixels = picture(40, 40)[:1]
    for _ in range(5):
        image, mask = space["transform"](tv_tensors.Image(pixels), tv_tensors.Mask(pixels))
        assert torch.equal(image.as_subclass(Tensor), mask.as_subclass(Tensor))


@pytest.mark.parametrize(("text", "library", "message"), [
    ("keep(cutout)", "torchvision", r"keep\(cutout\): no library has it"),
    ("inaugment", "python", "inaugment: no library has it"),
    ("swirl+erode", "torchvision", "torchvision has no erode, swirl; leave them out"),
    ("cutmix", "torchvision", r"cutmix: torchvision mixes every batch.*write cutmix\(p=1\)"),
    ("mixup", "python", "mixup: reads another image of the batch"),
    ("elastic", "torchvision", r"elastic\(alpha\): torchvision takes one strength and no range"),
    ("rotate(degrees=7)+elastic", "python", "Pillow has no elastic; leave it out"),
    ("randaugment(spread=0.5)", "torchvision", "the jitter of its magnitude"),
    ("randaugment(version=timm, num_ops=2, magnitude=9)+color_jitter", "timm", "timm has no order that is drawn anew"),
    ("color_jitter", "albumentations", "A.ColorJitter shuffles by itself"),
    ("trivialaugment", "timm", r"shear_x with .*: timm draws the side"),
    ("no_such_policy", "python", "unknown augmentation 'no_such_policy'"),
])  # fmt: skip
def test_what_a_library_cannot_do_is_said_in_one_line(text: str, library: str, message: str) -> None:
    with pytest.raises(augury.InputError, match=message) as found:
        export_policy(text, library)  # type: ignore[arg-type]
    assert "\n" not in str(found.value)


def test_a_pipeline_and_every_pair_of_exact_operations_in_python() -> None:
    chosen = [text for text in EXACT if "+" not in text][::3]
    for first, second in itertools.pairwise(chosen):
        pipeline = augury.pipeline([first, second])
        got = as_tensor(run(export_policy(pipeline, "python").code)["augment"](as_pil(picture())))
        assert torch.equal(got, pipeline(picture()))
    grey = Image.fromarray(np.asarray(as_pil(picture()).convert("L")))
    text = "rotate(degrees=9, fill=30)+solarize(threshold=90)"
    got = as_tensor(run(export_policy(text, "python").code)["augment"](grey))
    assert torch.equal(got, augury.pipeline(text)(as_tensor(grey)))
