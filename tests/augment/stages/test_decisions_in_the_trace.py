"""What a stage decided when it drew holds when it is applied: InAugment's patches, KeepAugment's places and labels."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

import augury
from augury.augment.ops.build import op
from augury.core import registry
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.targets import Targets

OPTIONS = ["", "source=0.5", "source=0.4, order=resize_first, target=0.3", "patches=3", "same_draw=false, source=0.5"]
OPTIONS += ["source=0.25, scale=0.5", "source=0.5, trim=false", "where=salient, source=0.5"]


def batch_of(side: int, count: int = 24, channels: int = 3) -> Batch:
    images = torch.randint(0, 256, (count, channels, side, side), generator=torch.Generator().manual_seed(side), dtype=torch.uint8)
    return Batch(images, Targets.of(torch.arange(count) % 4, 4), torch.arange(count), saliency=images[:, 0].float())


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("side", [16, 48, 64, 100, 256])
def test_patches_meet_the_operations_that_were_drawn_for_the_image(side: int, option: str) -> None:
    """The policy by side against the one that it stands for. Catches a patch that chooses anew by its own canvas: at 64
    pixels and source=0.5 all of them did."""
    batch = batch_of(side, 6 if side > 100 else 24)
    named = "autoaugment(table=cifar10)" if side < 64 else "autoaugment(table=imagenet)"
    noise, more = Noise.of(3, batch.ids), f", {option}" if option else ""
    by_side, explicit = (augury.pipeline(f"inaugment(policy={p}{more})") for p in ("autoaugment", named))
    assert by_side.run(batch, noise)[0].images.equal(explicit.run(batch, noise)[0].images)


def on_pillow(image: Image.Image, name: str, value: float) -> Image.Image:
    enhance = {"color": "Color", "contrast": "Contrast", "brightness": "Brightness", "sharpness": "Sharpness"}
    if name in enhance:
        return getattr(ImageEnhance, enhance[name])(image).enhance(value)
    plain = {"invert": ImageOps.invert, "equalize": ImageOps.equalize, "auto_contrast": ImageOps.autocontrast}
    if name in plain:
        return plain[name](image)
    if name == "posterize":
        return ImageOps.posterize(image, int(value))
    if name == "solarize":
        return ImageOps.solarize(image, value)  # type: ignore[arg-type]
    if name == "rotate":
        return image.rotate(value, fillcolor=(128,) * 3)
    assert name in ("shear_x", "shear_y"), name
    matrix = (1, value, 0, 0, 1, 0) if name == "shear_x" else (1, 0, 0, value, 1, 0)
    return image.transform(image.size, Image.Transform.AFFINE, matrix, fillcolor=(128,) * 3)


@pytest.mark.parametrize("side", [40, 64, 128])
def test_a_patch_is_its_window_through_pillow(side: int) -> None:
    batch = batch_of(side, 20)
    pipeline = augury.pipeline("inaugment(source=0.5)")
    done, (trace,) = pipeline.run(batch, Noise.of(1, batch.ids))
    assert trace is not None
    stage = pipeline.stages[0].stages[0]
    space = (stage.large if "image/0/large" in trace else stage.small).space
    compared = 0
    for row in range(len(batch)):
        top, left, bottom, right = trace["box"][row, 0].tolist()
        image = Image.fromarray(batch.images[row].permute(1, 2, 0).numpy()).crop((left, top, right, bottom))
        names = [space[int(k)].op.name for k in trace["image/0/op"][row]]
        if any("translate" in name for name in names):
            continue  # a fraction of the patch's own side, compared by the test above
        for slot, name in enumerate(names):
            if trace["image/0/on"][row, slot]:
                image = on_pillow(image, name, float(trace["image/0/value"][row, slot, 0]))
        patch = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        y, x = trace["corner"][row, 0].tolist()
        rows, columns = slice(max(0, y), min(side, y + bottom - top)), slice(max(0, x), min(side, x + right - left))
        seen = patch[:, rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
        assert torch.equal(done.images[row][:, rows, columns], seen), (row, names)
        compared += 1
    assert compared >= 8


def test_the_i_th_patch_is_half_the_one_before() -> None:
    """Three full-size patches would cover the image. The paper: 0.5^(i - 1)."""
    batch = batch_of(32)
    for name, count in (("inaugment(patches=3)", 3), ("inaugment(setting=shake_shake, patches=4)", 4), ("inaugment", 1)):
        _, (trace,) = augury.pipeline(name).run(batch, Noise.of(0, batch.ids))
        assert trace is not None
        window = trace["box"][..., 2:] - trace["box"][..., :2]
        expected = torch.stack([(window[:, k].double() * 0.5**k + 1e-9).long() for k in range(count)], 1)
        assert torch.equal(trace["size"], expected)


def test_lengths_in_pixels_are_shares_of_the_side() -> None:
    batch = batch_of(32)
    for pixels, share in (("source=16", "source=0.5"), ("source=16, target=8", "source=0.5, target=0.25")):
        one, two = (augury.pipeline(f"inaugment({text})").run(batch, Noise.of(0, batch.ids))[0].images for text in (pixels, share))
        assert one.equal(two)
    with pytest.raises(augury.InputError, match="up to 4 a share of the shorter side is meant, above it pixels"):
        augury.pipeline("inaugment(source=uniform(1, 16))")


REGIONS = [name for name in registry.names("op") if op(name).shape is not None and name != "grid_mask"]


@pytest.mark.parametrize("name", REGIONS)
def test_an_operations_candidates_are_where_it_places_its_boxes(name: str) -> None:
    """Catches a law of placement that is said to be another than it is."""
    operation, count = op(name), 4000
    assert operation.shape is not None and operation.place is not None
    size = torch.tensor([[32, 24]]).expand(count, 2)
    noise = Noise.of(0, torch.arange(count))
    values = {key: p.law.value(noise.fold(key).uniform(1)[:, 0], torch.ones(count)) for key, p in operation.parameters.items()}
    extent = operation.shape(values, size)
    corner = operation.place(noise.uniform(2), extent, size)
    outside = ((corner < 0) | (corner + extent > size)).any(1)
    assert bool(outside.any()) == (operation.candidates == "centred")


@pytest.mark.parametrize("length", [20, 24])
def test_kept_cutout_need_not_lose_the_centre(length: int) -> None:
    """Boxes inside of 20 or 24 of 32 all cover the central 8x8 or 16x16 pixels; Cutout's own do not."""
    batch = batch_of(32, 200)
    always = {}
    for law in ("own", "inside", "centred"):
        _, (trace,) = augury.pipeline(f"keep_cutout(length={length}, candidates={law})").run(batch, Noise.of(0, batch.ids))
        assert trace is not None
        box = trace["box"][:, 0]
        middle = (box[:, :2] <= 15).all(1) & (box[:, 2:] > 15).all(1)
        always[law] = bool(middle.all())
    assert always == {"own": False, "inside": True, "centred": False}


def test_random_erasing_keeps_its_own_law_inside() -> None:
    batch = batch_of(32, 200)
    one, two = (
        augury.pipeline(f"keep_random_erasing(p=1{more})").run(batch, Noise.of(0, batch.ids))[0].images
        for more in ("", ", candidates=inside")
    )
    assert one.equal(two)


def test_controls_take_another_images_map_or_none() -> None:
    batch = batch_of(32, 64)
    noise = Noise.of(0, batch.ids)
    boxes = {m: augury.pipeline(f"keep_cutout(map={m})").run(batch, noise)[1][0]["box"] for m in ("own", "foreign", "constant")}
    assert not boxes["own"].equal(boxes["foreign"]) and not boxes["own"].equal(boxes["constant"])
    blind = batch.replace(saliency=None)  # a constant map needs no network
    assert augury.pipeline("keep_cutout(map=constant)").run(blind, noise)[1][0]["box"].equal(boxes["constant"])
    with pytest.raises(augury.InputError, match="needs a saliency map"):
        augury.pipeline("keep_cutout(map=foreign)").run(blind, noise)


@pytest.mark.parametrize("chain", ["flip+cutmix(p=1)", "randaugment+cutmix(p=1)", "cutmix(p=1)+invert", "mixup", "invert+mixup"])
def test_labels_follow_pixels_under_a_pasted_box(chain: str) -> None:
    """Against a count of whose every pixel is. Catches .675 where .774 of the pixels are the image's own."""
    batch = batch_of(32, 48)
    pipeline = augury.pipeline(f"keep({chain}, length=16)")
    done, (trace,) = pipeline.run(batch, Noise.of(0, batch.ids))
    assert trace is not None and done.targets is not None
    number = next(k for k, stage in enumerate(pipeline.stages[0].stages) if stage.mixes_labels)
    own = {key.removeprefix(f"{number}."): part for key, part in trace.items() if key.startswith(f"{number}.")}
    for row in range(len(batch)):
        mine = torch.ones(32, 32)
        if "box" in own:
            top, left, bottom, right = own["box"][row, 0].tolist()
            mine[top:bottom, left:right] = 0
        else:
            mine[:] = float(own["value"][row, 0, 0]) if own["on"][row, 0] else 1.0
        top, left, bottom, right = trace["box"][row].tolist()
        mine[top:bottom, left:right] = 1
        partner = int(own["partner"][row, 0])
        expected = torch.zeros(4).index_add_(0, torch.tensor([row % 4, partner % 4]), torch.stack([mine.mean(), 1 - mine.mean()]))
        assert torch.allclose(done.targets.dense()[row], expected, atol=1e-5), row


@pytest.mark.parametrize("chain", ["cutmix+randaugment", "cutmix+mixup", "mixup+rotate"])
def test_labels_that_could_not_follow_are_refused(chain: str) -> None:
    with pytest.raises(augury.InputError, match="labels c"):
        augury.pipeline(f"keep({chain})")


@pytest.mark.parametrize(
    "name", ["cutout(length=8, fill=128)", "random_erasing(content=constant, fill=128, p=1)", "grid_mask(fill=128)"]
)
def test_128_is_grey_wherever_a_stage_stands(name: str) -> None:
    """Catches 128.0 written into normalised values."""
    from augury.augment.names import build
    from augury.core.options import parse_chain

    batch = batch_of(32).replace(images=torch.zeros(24, 3, 32, 32, dtype=torch.uint8))
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    for chain in (name, f"{name}+mixup", f"flip+{name}"):
        done, _ = build(parse_chain(chain, "x"), (mean, std)).run(batch, Noise.of(0, batch.ids))
        for channel in range(3):
            levels = (done.images[:, channel] * std[channel] + mean[channel]) * 255
            assert float(levels.min()) > -0.01 and float(levels.max()) == pytest.approx(128, abs=0.01)


def test_without_a_fill_cutout_is_the_mean_colour_as_published() -> None:
    from augury.augment.names import build
    from augury.core.options import parse_chain

    batch = batch_of(32)
    done, _ = build(parse_chain("cutout(length=8)", "x"), ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))).run(batch, Noise.of(0, batch.ids))
    assert (done.images == 0).any()
