"""A pipeline on images with masks, boxes and key points: one draw for each sample, and all that belongs to it follows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from augury.augment.annotations.boxes import FROM_CORNERS, TO_CORNERS, Canvas, kept, moved_boxes, moved_points
from augury.augment.annotations.dropping import Judged, dropped
from augury.augment.annotations.masks import moved_masks
from augury.augment.annotations.options import Annotations
from augury.augment.annotations.pictures import Group, Picture, groups
from augury.augment.annotations.structure import Leaf, Parsed, parse
from augury.augment.geometry.followed import Followed, follow
from augury.augment.inputs import targets_of
from augury.augment.stages.normalize import Normalize
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.stage import Stage, Trace
from augury.core.targets import Targets


class Augmentation(Protocol):
    """What is needed of a pipeline."""

    stages: tuple[Stage, ...]

    def run(self, batch: Batch, noise: Noise) -> tuple[Batch, list[Trace | None]]: ...
    def apply(self, batch: Batch, traces: list[Trace | None]) -> Batch: ...


def at_rest(args: object, normalize: Normalize | None) -> Any:
    """What was passed, its images normalised where `normalize` is given, and nothing else done."""
    if normalize is None:
        return args
    parsed = parse(args)
    results = {id(leaf): leaf.value for leaf in parsed.leaves}
    for picture in (picture for group in groups(parsed) for picture in group.pictures):
        picture.put(normalize.normalise(picture.pixels), results, True)
    return parsed.rebuilt([results[id(leaf)] for leaf in parsed.leaves])


@dataclass(frozen=True)
class Call:
    """One call of a pipeline. noise: the noise of samples by their numbers, int64 [n], which a call draws with."""

    pipeline: Augmentation
    noise: Callable[[Tensor], Noise]
    options: Annotations
    mixes: bool
    normalises: bool

    def __call__(self, args: Any, classes: int | None) -> Any:
        """What was passed, in the same types, dtypes, formats and containers. Raises InputError for what cannot follow."""
        parsed = parse(args)
        results = {id(leaf): leaf.value for leaf in parsed.leaves}
        found = groups(parsed)
        if self.mixes and parsed.count is None:
            raise InputError("images: this pipeline mixes samples and needs a batch; put it after batching")
        if self.mixes and len(found) > 1:
            raise InputError("images: this pipeline mixes samples, which must be of one size; resize them first")
        label = _class_labels(parsed) if self.mixes else None
        if self.mixes and label is None and not any(leaf.kind == "mask" for leaf in parsed.leaves):
            raise InputError("labels: this pipeline mixes samples, so pass labels, one tensor for the batch, or masks")
        for group in found:
            targets = None if label is None else targets_of(label.value, False, len(group.rows), classes)
            mixed = self._group(group, targets, results)
            if label is not None:
                results[id(label)] = mixed
        values = [results[id(leaf)] for leaf in parsed.leaves]
        done = parsed.rebuilt(values)
        return dropped(done, self.options.rows) if self.options.drops else done

    def _group(self, group: Group, targets: Targets | None, results: dict[int, Any]) -> Targets | None:
        """The samples of one size: their images, then what belongs to them."""
        first, *others = group.pictures or [Picture.blank(group)]
        device = first.pixels.device
        ids = torch.tensor(group.rows, device=device)
        targets = None if targets is None else targets.to(device)
        batch, traces = self.pipeline.run(Batch(first.pixels[:: first.frames], targets, ids), self.noise(ids))
        if len(batch) != len(group.rows):
            raise InputError("images: a stage gives back more images than it was given; call it on plain images and labels")
        if group.pictures:
            whole = batch.images if first.frames == 1 else self._replayed(first, traces)
            first.put(whole, results, self.normalises)
        for other in others:
            other.put(self._replayed(other, traces), results, self.normalises)
        annotated = {leaf.kind for leaf in group.leaves}
        if annotated - {"image"}:
            size = batch.sizes().to(device)
            followed = Followed.start(
                size, group.height, group.width, masks="mask" in annotated,
                coordinates=bool(annotated & {"boxes", "points"}), erases=self.options.erase_masks,
            )  # fmt: skip
            for stage, trace in zip(self.pipeline.stages, traces, strict=True):
                if trace is not None:
                    followed = follow(stage, followed, trace)
            self._annotations(group, followed, results)
        return batch.targets

    def _replayed(self, picture: Picture, traces: list[Trace | None]) -> Tensor:
        """Images with the draws of their samples; every frame of a video gets the same."""
        count = picture.frames
        rows = torch.arange(len(picture.pixels) // count, device=picture.pixels.device).repeat_interleave(count)
        spread = [
            None if trace is None else {key: _spread(key, part, rows, count) for key, part in trace.items()} for trace in traces
        ]
        return self.pipeline.apply(Batch(picture.pixels, None, rows), spread).images

    def _annotations(self, group: Group, followed: Followed, results: dict[int, Any]) -> None:
        from torchvision import tv_tensors

        masks = [leaf for leaf in group.leaves if leaf.kind == "mask"]
        for column in _columns(masks):
            for leaf, moved in _moved_column(column, group, followed, self.options.mask_fill):
                results[id(leaf)] = tv_tensors.wrap(moved, like=leaf.value)
        boxes = [leaf for leaf in group.leaves if leaf.kind == "boxes"]
        if boxes:
            self._boxes(boxes, group, followed, results)
        for leaf in group.leaves:
            if leaf.kind == "points":
                results[id(leaf)] = tv_tensors.wrap(_moved_points(leaf, group, followed), like=leaf.value)

    def _boxes(self, leaves: list[Leaf], group: Group, followed: Followed, results: dict[int, Any]) -> None:
        """All boxes of a group at once."""
        from torchvision import tv_tensors

        assert followed.moves is not None
        each = [leaf.value.as_subclass(Tensor).reshape(-1, 4) for leaf in leaves]
        corners = [TO_CORNERS[leaf.value.format.value](one.double()) for leaf, one in zip(leaves, each, strict=True)]
        places = [group.place(leaf) for leaf in leaves]
        of = torch.cat([torch.full((len(one),), p, device=one.device) for one, p in zip(each, places, strict=True)])
        whole, visible = moved_boxes(torch.cat(corners), of, followed.moves, Canvas(group.height, group.width))
        valid = kept(whole, visible, self.options)
        sizes = [len(one) for one in each]
        for leaf, one, out, cut, stays in zip(
            leaves, each, whole.split(sizes), visible.split(sizes), valid.split(sizes), strict=True
        ):
            clamped = getattr(leaf.value, "clamping_mode", "soft") is not None  # from torchvision 0.23 on
            made = FROM_CORNERS[leaf.value.format.value](cut if clamped else out)
            made = made if one.is_floating_point() else made.round()
            boxes = tv_tensors.wrap(made.to(one.dtype).reshape(leaf.value.shape), like=leaf.value)
            results[id(leaf)] = Judged(boxes, stays) if self.options.drops else boxes


def _class_labels(parsed: Parsed) -> Leaf | None:
    """The class labels of a batch that is to be mixed: a plain tensor of all samples, alone or under a key with `label`."""
    found = [
        leaf for leaf in parsed.leaves
        if leaf.kind == "other" and leaf.row is None and isinstance(leaf.value, Tensor) and leaf.value.ndim
        and (not isinstance(leaf.path[-1], str) or "label" in leaf.path[-1].lower())
    ]  # fmt: skip
    if len(found) > 1:
        raise InputError("labels: several tensors could be the labels that are to be mixed; pass pipeline(images, labels)")
    return found[0] if found else None


def _columns(leaves: list[Leaf]) -> list[list[Leaf]]:
    """Leaves that stand at the same place of each sample."""
    columns: dict[Any, list[Leaf]] = {}
    seen: dict[int | None, int] = {}
    for leaf in leaves:
        rank = seen[leaf.row] = seen.get(leaf.row, -1) + 1
        columns.setdefault((leaf.row is None, rank), []).append(leaf)
    return list(columns.values())


def _moved_column(column: list[Leaf], group: Group, followed: Followed, fill: float) -> list[tuple[Leaf, Tensor]]:
    """The masks of a column, moved; at once where they have one shape."""
    assert followed.sources is not None
    tensors = [leaf.value.as_subclass(Tensor) for leaf in column]
    if column[0].row is None:
        rows = torch.arange(len(group.rows), device=followed.sources.device)
        return [(column[0], moved_masks(tensors[0], followed.sources, rows, fill))]
    rows = torch.tensor([group.place(leaf) for leaf in column], device=followed.sources.device)
    if len({(one.shape, one.dtype) for one in tensors}) == 1:
        return list(zip(column, moved_masks(torch.stack(tensors), followed.sources, rows, fill).unbind(0), strict=True))
    singles = zip(column, tensors, rows, strict=True)
    return [(leaf, moved_masks(one[None], followed.sources, row[None], fill)[0]) for leaf, one, row in singles]


def _moved_points(leaf: Leaf, group: Group, followed: Followed) -> Tensor:
    assert followed.moves is not None
    points = leaf.value.as_subclass(Tensor)
    flat = points.reshape(-1, 2).double()
    if leaf.row is None:
        of = torch.arange(len(group.rows), device=points.device).repeat_interleave(len(flat) // len(group.rows))
    else:
        of = torch.full((len(flat),), group.place(leaf), device=points.device)
    moved = moved_points(flat, of, followed.moves).reshape(points.shape)
    return (moved if points.is_floating_point() else moved.round()).to(points.dtype)


def _spread(key: str, part: Tensor, rows: Tensor, count: int) -> Tensor:
    """A trace's tensor with a row for each frame; the partner of a frame is the partner's frame of the same number."""
    chosen = part[rows]
    if count == 1 or not key.endswith("partner"):
        return chosen
    frame = torch.arange(len(rows), device=rows.device) % count
    return chosen * count + frame.view(-1, *[1] * (chosen.ndim - 1))
