"""KeepAugment: a wrapper for any operation, policy or chain, and the paper's own presets."""

from typing import Annotated, Any, Literal

from augury.augment.names import stages_of
from augury.augment.policies.autoaugment import PolicyTable
from augury.augment.policies.randaugment import Channels, Version
from augury.augment.saliency.maps import SaliencyKind
from augury.augment.saliency.regions import Map, Placing
from augury.augment.stages.keep import KeepStage, cutting
from augury.core.errors import InputError
from augury.core.options import Chain, Interval, Spec
from augury.core.registry import register

Share = Annotated[float, Interval(0, 1)]
Pixels = Annotated[int, Interval(0)]
Every = Annotated[int, Interval(1)]


@register("preset", "keep", source="Gong et al. 2021 (KeepAugment, arXiv:2011.11778), section 3 and algorithm 1")
def keep(
    *,
    augment: Chain,
    tau: Share = 0.6,
    saliency: SaliencyKind = "full",
    length: Pixels | None = None,
    fraction: Share = 0.5,
    candidates: Placing = "own",
    map: Map = "own",
    p: Share = 1.0,
    every: Every = 1,
) -> tuple[Any, ...]:
    """Any augmentation with the image's salient regions preserved: `keep(cutout(length=8))`, `keep(randaugment+cutout)`.

    A region operation (cutout, random_erasing, cutmix) cuts where the network's saliency is low; for anything else, a box of
    the original image with high saliency is pasted back over the result. candidates: the boxes to choose from, by default
    those the operation itself draws from. map: `foreign` and `constant` are controls, which measure the gain without looking
    at the image. The labels of a mix inside must be able to follow the pixels; otherwise the chain is refused.
    """
    stages = tuple(stages_of(augment, "keep"))
    if not stages:
        raise InputError("keep: nothing to wrap; name an operation, a policy or a chain, as in keep(cutout)")
    if any("saliency" in stage.needs for stage in stages) and any(isinstance(stage, KeepStage) for stage in stages):
        raise InputError(f"keep: {augment} already contains keep; wrap it once")
    if length is not None and cutting(stages) is not None:
        raise InputError(f"keep: length is the side of a pasted box, and {augment} cuts one; write {augment.stages[0].name}(...)")
    return (KeepStage(stages, tau, saliency, candidates, map, length, fraction, p, every),)


@register("preset", "keep_cutout", source="Gong et al. 2021 (KeepAugment, arXiv:2011.11778), section 4.1")
def keep_cutout(
    *,
    length: Pixels | None = None,
    tau: Share = 0.6,
    saliency: SaliencyKind = "full",
    candidates: Placing = "own",
    map: Map = "own",
    p: Share = 1.0,
    every: Every = 1,
) -> Chain:
    """Cutout of a square with little saliency; by default half the side (16 of 32).

    p: the probability that saliency decides where an image's square is placed; otherwise it is plain Cutout.
    """
    inner = Spec("cutout", {} if length is None else {"length": length})
    return _kept(inner, tau=tau, saliency=saliency, candidates=candidates, map=map, p=p, every=every)


@register("preset", "keep_random_erasing", source="Gong et al. 2021 (KeepAugment, arXiv:2011.11778), section 4.4")
def keep_random_erasing(
    *,
    content: Literal["noise", "constant"] = "noise",
    p: Share = 0.5,
    tau: Share = 0.6,
    saliency: SaliencyKind = "full",
    candidates: Placing = "own",
    map: Map = "own",
    every: Every = 1,
) -> Chain:
    """Random erasing of a rectangle with little saliency, with probability p."""
    inner = Spec("random_erasing", {"content": content, "p": p})
    return _kept(inner, tau=tau, saliency=saliency, candidates=candidates, map=map, every=every)


@register("preset", "keep_cutmix", source="Gong et al. 2021 (KeepAugment, arXiv:2011.11778), section 4.2")
def keep_cutmix(
    *,
    alpha: Annotated[float, Interval(1e-3)] = 1.0,
    p: Share = 0.5,
    tau: Share = 0.6,
    saliency: SaliencyKind = "full",
    candidates: Placing = "own",
    map: Map = "own",
    every: Every = 1,
) -> Chain:
    """CutMix, with probability p, into a box with little of the image's own saliency; the other image's saliency is ignored."""
    inner = Spec("cutmix", {"alpha": alpha, "p": p})
    return _kept(inner, tau=tau, saliency=saliency, candidates=candidates, map=map, every=every)


@register("preset", "keep_autoaugment", source="Gong et al. 2021 (KeepAugment, arXiv:2011.11778), sections 4.1 and 4.2")
def keep_autoaugment(
    *,
    table: PolicyTable | None = None,
    magnitude: Annotated[float, Interval(0, 30)] | None = None,
    num_ops: Annotated[int, Interval(1, 16)] = 3,
    cutout: Pixels = 0,
    length: Pixels | None = None,
    tau: Share = 0.6,
    saliency: SaliencyKind = "full",
    candidates: Placing = "own",
    map: Map = "own",
    p: Share = 1.0,
    every: Every = 1,
) -> Chain:
    """AutoAugment with a salient square of the image pasted back; by default half the side (16 of 32).

    table: as in autoaugment, by default the one for the images' side. magnitude: `num_ops` operations of AutoAugment's space at
    that magnitude instead of the learned table (the paper's table 4). cutout: side of a mid-grey Cutout between the policy and
    the paste, 16 in AutoAugment's CIFAR recipe. p: the probability that the square is pasted back.
    """
    if magnitude is None:
        policy = Spec("autoaugment", {} if table is None else {"table": table})
    else:
        policy = Spec("autoaugment_space", {"magnitude": magnitude, "num_ops": num_ops})
    trailing = (Spec("cutout", {"length": cutout, "fill": 128}),) if cutout else ()
    inner = Chain((policy, *trailing))
    return _kept(inner, tau=tau, saliency=saliency, length=length, candidates=candidates, map=map, p=p, every=every)


@register("preset", "keep_randaugment", source="Gong et al. 2021 (KeepAugment, arXiv:2011.11778), sections 4.1 and 4.3")
def keep_randaugment(
    *,
    num_ops: Annotated[int, Interval(1, 16)] = 2,
    magnitude: Annotated[float, Interval(0, 30)] = 9,
    version: Version = "torchvision",
    length: Pixels | None = None,
    tau: Share = 0.6,
    saliency: SaliencyKind = "full",
    candidates: Placing = "own",
    map: Map = "own",
    p: Share = 1.0,
    every: Every = 1,
    channels: Channels = "rgb",
) -> Chain:
    """RandAugment with a salient square of the image pasted back; by default half the side (16 of 32).

    version: the operations and ladder, and channels: for which images, as in randaugment. p: the probability that the square is
    pasted back.
    """
    further = {} if channels == "rgb" else {"channels": channels}
    inner = Spec("randaugment", {"num_ops": num_ops, "magnitude": magnitude, "version": version, **further})
    return _kept(inner, tau=tau, saliency=saliency, length=length, candidates=candidates, map=map, p=p, every=every)


def _kept(inner: Spec | Chain, **options: object) -> Chain:
    return Chain((Spec("keep", {"augment": inner, **options}),))
