"""What users write: samples and batches of images with masks, boxes and key points, in the containers data sets give them in."""

import pickle
from collections import OrderedDict, namedtuple
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

import augury

if not hasattr(tv_tensors, "KeyPoints"):
    pytest.skip("key points came with torchvision 0.23", allow_module_level=True)

HEIGHT, WIDTH = 24, 40
CANVAS = (HEIGHT, WIDTH)


def picture(seed: int = 0, height: int = HEIGHT, width: int = WIDTH, channels: int = 3) -> tv_tensors.Image:
    generator = torch.Generator().manual_seed(seed)
    return tv_tensors.Image(torch.randint(1, 256, (channels, height, width), generator=generator).to(torch.uint8))


def some_boxes(height: int = HEIGHT, width: int = WIDTH) -> tv_tensors.BoundingBoxes:
    return tv_tensors.BoundingBoxes([[2.0, 3, 12, 20], [20, 1, 38, 9]], format="XYXY", canvas_size=(height, width))


def target(seed: int = 0) -> dict[str, Any]:
    return {
        "boxes": some_boxes(),
        "masks": tv_tensors.Mask(torch.arange(2 * HEIGHT * WIDTH).reshape(2, HEIGHT, WIDTH) % (7 + seed) > 3),
        "keypoints": tv_tensors.KeyPoints([[[3.0, 4], [10, 18]], [[21, 2], [37, 8]]], canvas_size=CANVAS),
        "labels": torch.tensor([5, 6]),
        "image_id": 17,
        "name": "street",
    }


def same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and torch.equal(left.as_subclass(Tensor), right.as_subclass(Tensor))


def test_a_detection_data_sets_sample_comes_back_in_its_own_types() -> None:
    image, given = picture(), target()
    moved, done = augury.pipeline("flip(p=1)+color(factor=0.3)")(image, given)
    assert list(done) == list(given) and done["image_id"] == 17 and done["name"] == "street"
    assert all(type(done[key]) is type(given[key]) for key in given) and type(moved) is tv_tensors.Image
    assert (
        done["boxes"].tolist() == [[28.0, 3, 38, 20], [2, 1, 20, 9]] and done["boxes"].clamping_mode == given["boxes"].clamping_mode
    )
    assert done["masks"].dtype == torch.bool and torch.equal(done["masks"], given["masks"].flip(-1))
    assert done["keypoints"].tolist()[0] == [[36.0, 4], [29, 18]] and torch.equal(done["labels"], given["labels"])
    assert same(image, picture()) and same(given["boxes"], some_boxes())  # nothing is changed in place


@pytest.mark.parametrize("container", ["dict", "ordered", "tuple", "list", "named", "nested", "pil"])
def test_containers_come_back_as_they_went_in(container: str) -> None:
    image, box = picture(), some_boxes()
    Pair = namedtuple("Pair", ["image", "boxes"])
    given: Any = {
        "dict": {"image": image, "boxes": box}, "ordered": OrderedDict(image=image, boxes=box), "tuple": (image, box),
        "list": [image, box],
        "named": Pair(image, box), "nested": {"in": {"image": image}, "out": [box, None, "text"]},
        "pil": (Image.fromarray(image.permute(1, 2, 0).numpy()), box),
    }[container]  # fmt: skip
    done = augury.pipeline("flip(p=1)")(given)
    assert type(done) is type(given)
    leaves = torch.utils._pytree.tree_leaves(done)
    if container == "pil":
        assert np.array_equal(np.asarray(leaves[0]), image.flip(-1).permute(1, 2, 0).numpy())
    else:
        assert same(leaves[0], tv_tensors.wrap(image.as_subclass(Tensor).flip(-1), like=image))
    moved = next(leaf for leaf in leaves if isinstance(leaf, tv_tensors.BoundingBoxes))
    assert moved.tolist() == [[28.0, 3, 38, 20], [2, 1, 20, 9]]


def test_a_plain_tensor_is_the_image_where_no_typed_one_is_there_as_in_torchvision() -> None:
    pixels = picture().as_subclass(Tensor)
    extra = torch.ones(3, HEIGHT, WIDTH)
    moved, done = augury.pipeline("invert")(pixels, {"boxes": some_boxes(), "extra": extra})
    assert type(moved) is Tensor and torch.equal(moved, 255 - pixels) and done["extra"] is extra
    typed = augury.pipeline("invert")({"extra": extra, "image": picture()})
    assert typed["extra"] is extra and torch.equal(typed["image"], 255 - pixels)


def test_each_type_alone_and_float_images() -> None:
    flip = augury.pipeline("flip(p=1)")
    assert flip(some_boxes()).tolist()[0] == [28.0, 3, 38, 20]
    assert same(flip(target()["masks"]), tv_tensors.Mask(target()["masks"].flip(-1)))
    assert flip(target()["keypoints"]).tolist()[1] == [[18.0, 2], [2, 8]]
    assert type(flip(picture())) is tv_tensors.Image
    values = tv_tensors.Image(picture().as_subclass(Tensor).double() / 255)
    done = flip({"image": values})["image"]
    assert type(done) is tv_tensors.Image and done.dtype == torch.float64 and torch.allclose(done, values.flip(-1))


def test_a_batch_has_a_draw_for_every_image_and_each_target_follows_its_own() -> None:
    count = 6
    images = tv_tensors.Image(torch.stack([picture(k).as_subclass(Tensor) for k in range(count)]))
    masks = tv_tensors.Mask(images.as_subclass(Tensor).to(torch.int64))
    batch = {
        "image": images,
        "semantic": masks,
        "boxes": [some_boxes() for _ in range(count)],
        "points": tv_tensors.KeyPoints(torch.tensor([[[3.0, 4]]]).expand(count, 1, 2).contiguous(), canvas_size=CANVAS),
    }
    done = augury.pipeline("flip+translate_x(fraction=uniform(-0.3, 0.3))", seed=1)(batch)
    assert torch.equal(done["image"].as_subclass(Tensor).long(), done["semantic"].as_subclass(Tensor))
    assert len({tuple(box[0].tolist()) for box in done["boxes"]}) > 2
    # As a list of samples, each for itself, it draws the same: rows are numbered in both.
    samples = [{"image": images[k], "boxes": some_boxes()} for k in range(count)]
    samples = [{"image": tv_tensors.Image(s["image"]), "boxes": s["boxes"]} for s in samples]
    listed = augury.pipeline("flip+translate_x(fraction=uniform(-0.3, 0.3))", seed=1)(samples)
    assert all(torch.equal(one["image"], row) for one, row in zip(listed, done["image"], strict=True))
    assert all(torch.equal(one["boxes"], box) for one, box in zip(listed, done["boxes"], strict=True))


def test_images_of_different_sizes_with_their_targets_as_detectors_take_them() -> None:
    shapes = [(24, 40), (30, 20), (24, 40)]
    images = [picture(k, *shape) for k, shape in enumerate(shapes)]
    targets = [{"boxes": some_boxes(*shape), "labels": torch.tensor([1, 2])} for shape in shapes]
    moved, done = augury.pipeline("flip(p=1)")(tuple(images), tuple(targets))
    assert type(moved) is tuple and [tuple(one.shape[-2:]) for one in moved] == shapes
    for (_, width), one, after, own in zip(shapes, images, moved, done, strict=True):
        assert torch.equal(after, one.flip(-1)) and own["boxes"][0].tolist() == [width - 12.0, 3, max(0, width - 2), 20]


def test_a_video_gets_one_draw_for_all_its_frames_and_pictures_of_a_sample_one_for_all() -> None:
    clip = tv_tensors.Video(torch.stack([picture().as_subclass(Tensor)] * 4))
    boxes = some_boxes()
    for _ in range(4):
        done, moved = augury.pipeline("randaugment+flip", seed=4)(clip, boxes)
        assert type(done) is tv_tensors.Video and all(torch.equal(frame, done[0]) for frame in done)
    clips = tv_tensors.Video(torch.stack([clip.as_subclass(Tensor)] * 5))
    done = augury.pipeline("translate_x", seed=4)(clips)
    assert all(torch.equal(frame, one[0]) for one in done for frame in one) and not torch.equal(done[0], done[1])
    stereo = augury.pipeline("translate_x", seed=4)({"left": picture(), "right": picture()})
    assert torch.equal(stereo["left"], stereo["right"])


def test_boxes_of_which_too_little_is_left_go_with_everything_of_theirs() -> None:
    options = augury.Annotations(min_visible=0.5, rows=("labels", "area", "names"))
    pipeline = augury.pipeline("translate_x(fraction=0.25)", annotations=options)
    given = target() | {"area": np.array([1.0, 2.0]), "names": ["left", "right"], "scene": torch.tensor([1, 2])}
    _, done = pipeline(picture(), given)  # ten pixels to the left: of the first box, 2 of 10 columns remain
    assert done["boxes"].tolist() == [[10.0, 1, 28, 9]] and done["labels"].tolist() == [6] and done["names"] == ["right"]
    assert done["masks"].shape == (1, HEIGHT, WIDTH) and done["keypoints"].shape == (1, 2, 2) and done["area"].tolist() == [2.0]
    assert torch.equal(done["scene"], given["scene"])
    with pytest.raises(augury.InputError, match="labels: 3 entries beside 2 boxes"):
        pipeline(picture(), target() | {"labels": torch.tensor([1, 2, 3])})
    _, boxes, labels = pipeline((picture(), some_boxes(), torch.tensor([5, 6])))
    assert len(boxes) == 1 and labels.tolist() == [6]
    columns = {"image": tv_tensors.Image(picture()[None]), "boxes": [some_boxes()], "labels": [torch.tensor([5, 6])]}
    assert [label.tolist() for label in pipeline(columns)["labels"]] == [[6]]
    assert len(pickle.loads(pickle.dumps(pipeline))(picture(), target())[1]["boxes"]) == 1
    for joined in (pipeline + "invert", augury.pipeline("invert") + pipeline, "invert" + pipeline, pipeline[:1]):
        assert len(pickle.loads(pickle.dumps(joined))(picture(), target())[1]["boxes"]) == 1
    assert len(augury.pipeline("translate_x(fraction=0.25)")(picture(), target())[1]["boxes"]) == 2


def test_masks_have_a_fill_of_their_own_and_are_erased_where_asked_for() -> None:
    semantic = tv_tensors.Mask(torch.full(CANVAS, 3))
    moved = augury.pipeline("translate_x(fraction=0.25)", annotations=augury.Annotations(mask_fill=255))(picture(), semantic)[1]
    assert (moved[:, -10:] == 255).all() and (moved[:, :-10] == 3).all()
    for text in ("cutout(fill=9)", "random_erasing(p=1)", "grid_mask"):
        image, kept = augury.pipeline(text, seed=3)(picture(), semantic)
        assert torch.equal(kept, semantic)
        options = augury.Annotations(mask_fill=255, erase_masks=True)
        image, erased = augury.pipeline(text, seed=3, annotations=options)(picture(), semantic)
        changed = (image != picture()).any(0)
        assert bool((erased == 255).any()) and not bool((changed & (erased == 3)).any())
    with pytest.raises(augury.InputError, match="mask_fill=-1 cannot be written into a mask of torch.uint8"):
        augury.pipeline("flip", annotations=augury.Annotations(mask_fill=-1))(picture(), tv_tensors.Mask(semantic.byte()))


def test_cutmix_mixes_masks_and_labels_and_refuses_boxes_and_single_images() -> None:
    images = torch.stack([torch.full((3, *CANVAS), 10 * k + 10, dtype=torch.uint8) for k in range(5)])
    given = {"image": tv_tensors.Image(images), "mask": tv_tensors.Mask(images[:, 0].long()), "label": torch.arange(5)}
    done = augury.pipeline("cutmix(p=1)", seed=1)(given, classes=5)
    assert torch.equal(done["image"][:, 0].long(), done["mask"].as_subclass(Tensor)) and len(done["mask"].unique()) == 5
    mixed = [row.unique().tolist() for row in done["mask"]]
    share = [float((row == 10 * k + 10).float().mean()) for k, row in enumerate(done["mask"])]
    assert max(map(len, mixed)) == 2 and torch.allclose(done["label"].dense()[range(5), range(5)], torch.tensor(share))
    listed = augury.pipeline("cutmix(p=1)", seed=1)(
        [{"image": tv_tensors.Image(i), "mask": tv_tensors.Mask(i[0].long())} for i in images]
    )
    assert all(torch.equal(one["mask"], row) for one, row in zip(listed, done["mask"], strict=True))
    with pytest.raises(augury.InputError, match="needs a batch"):
        augury.pipeline("cutmix")(picture(), target())
    with pytest.raises(augury.InputError, match="cutmix: pastes a part of another image; boxes and key points cannot follow"):
        augury.pipeline("cutmix")({"image": given["image"], "label": given["label"], "boxes": [some_boxes()] * 5})
    with pytest.raises(augury.InputError, match="mixup: shows two images at once"):
        augury.pipeline("mixup")(given)


@pytest.mark.parametrize(("text", "boxes_follow"), [
    ("standard", True), ("color_jitter", True), ("augmix", None), ("inaugment", False), ("inaugment(patches=0)", True),
    ("keep(cutout, p=0)", True), ("keep(rotate, map=constant)", False), ("keep(invert, map=constant)", True),
    ("batch_augment", None),
    ("autoaugment", True), ("randaugment(version=tpu)", True),
])  # fmt: skip
def test_policies_and_presets_follow_or_refuse(text: str, boxes_follow: bool | None) -> None:
    count = 4
    images = tv_tensors.Image(torch.stack([picture(k).as_subclass(Tensor) for k in range(count)]))
    masks = {"image": images, "mask": tv_tensors.Mask(images[:, 0].long())}
    both = masks | {"boxes": [some_boxes()] * count}
    if boxes_follow is None:
        with pytest.raises(augury.InputError):
            augury.pipeline(text)(masks)
        return
    assert augury.pipeline(text)(masks)["mask"].shape == masks["mask"].shape
    if boxes_follow:
        assert len(augury.pipeline(text)(both)["boxes"]) == count
    else:
        with pytest.raises(augury.InputError, match="boxes and key points cannot follow"):
            augury.pipeline(text)(both)


def test_inaugments_patches_are_in_the_masks() -> None:
    """Image and mask are the same numbers, and every operation takes the nearest pixel: they stay the same numbers."""
    pixels = torch.stack([picture(k, 32, 32, channels=1).as_subclass(Tensor) for k in range(4)])
    for text in (
        "inaugment(policy=translate_x, patches=2, resample=nearest)",
        "inaugment(policy=rotate, patches=3, resample=nearest)",
    ):
        image, mask = augury.pipeline(text, seed=3)(tv_tensors.Image(pixels), tv_tensors.Mask(pixels))
        assert float((image == mask.as_subclass(Tensor)).float().mean()) == 1
        assert not torch.equal(mask, pixels)


@pytest.mark.parametrize(("args", "message"), [
    (lambda: (picture(), {"boxes": some_boxes(10, 10)}), r"boxes: their canvas_size is \(10, 10\) and their image is \(24, 40\)"),
    (lambda: (picture(), {"masks": tv_tensors.Mask(torch.zeros(10, 10))}), "masks: are .10, 10. and their image"),
    (lambda: ({"boxes": [[1, 2, 3, 4]]},), "nothing in what was passed is an image"),
    (lambda: (tv_tensors.Image(picture()[None]), some_boxes()), "boxes: a batch of 1 images needs a list"),
    (lambda: ((picture(), Image.new("P", (40, 24))),), "palette image is a mask"),
    (lambda: ([picture(), picture(channels=1)],), "1 and 3 channels"),
    (lambda: ({"left": picture(), "right": picture(0, 8, 8)},), "which one draw cannot be for"),
    (lambda: (tv_tensors.BoundingBoxes(torch.ones(1, 5), format="XYWHR", canvas_size=CANVAS),), "rotated, which is not supp"),
    (lambda: ({"image": tv_tensors.Image(torch.full((3, 4, 4), 7.0))},), r"must lie in \[0, 1\]"),
])  # fmt: skip
def test_refusals_name_the_field_and_the_remedy(args: Any, message: str) -> None:
    with pytest.raises(augury.InputError, match=message) as found:
        augury.pipeline("flip")(*args())
    assert "\n" not in str(found.value)


def test_as_a_layer_it_augments_in_training_and_passes_through_in_evaluation() -> None:
    layer = augury.pipeline("flip(p=1)").module()
    assert layer(picture(), some_boxes())[1].tolist()[0] == [28.0, 3, 38, 20]
    assert same(layer.eval()({"image": picture(), "boxes": some_boxes()})["boxes"], some_boxes())
    layer = augury.pipeline("flip(p=1)", normalize=([0.5] * 3, [0.25] * 3)).module().eval()
    image, boxes = layer(picture(), some_boxes())
    assert same(boxes, some_boxes()) and torch.allclose(image, (picture().float() / 255 - 0.5) / 0.25, atol=1e-6)


def test_own_functions_refuse_until_they_say_where_pixels_go() -> None:
    def run(images: Tensor, values: dict[str, Tensor], size: Tensor) -> Tensor:
        return images.flip(-1)

    from augury.augment.stages.plan import PlanStage
    from augury.core.plan import Single, SpaceEntry

    stage = PlanStage("mine", Single(SpaceEntry(augury.Op("mine", "map", run))))
    with pytest.raises(augury.InputError, match=r"mine: .*does not say where pixels go \(Op\(reads=...\)\)"):
        augury.pipeline([stage])(picture(), some_boxes())

    def reads(values: dict[str, Tensor], size: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
        return y.expand(len(size), -1, -1), (width - 1 - x).expand(len(size), -1, -1)

    stage = PlanStage("mine", Single(SpaceEntry(augury.Op("mine", "map", run, reads=reads))))
    image, box = augury.pipeline([stage])(picture(), some_boxes())
    assert torch.equal(image, picture().flip(-1)) and torch.allclose(box, augury.pipeline("flip(p=1)")(some_boxes()))


class Street(Dataset[Any]):
    def __init__(self, transform: Any) -> None:
        self.transform = transform

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        return self.transform(picture(index), target())


def test_in_a_data_set_with_workers_and_in_a_compose() -> None:
    transform = v2.Compose([v2.RandomPhotometricDistort(), augury.pipeline("randaugment+flip"), v2.SanitizeBoundingBoxes()])
    loader = DataLoader(Street(transform), batch_size=3, num_workers=1, collate_fn=lambda b: tuple(zip(*b, strict=True)))
    images, targets = next(iter(loader))
    assert len(images) == len(targets) == 3 and all(isinstance(t["boxes"], tv_tensors.BoundingBoxes) for t in targets)
    values, _ = augury.pipeline("flip", normalize=([0.5] * 3, [0.2] * 3))(list(images), list(targets))
    assert all(v.dtype == torch.float32 and type(v) is tv_tensors.Image for v in values)
