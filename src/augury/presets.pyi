# Written by tools/stubs.py; do not edit.
from typing import Literal

from augury.augment.pipeline import Pipeline
from augury.augment.typed import Augmentation, Drawn

def attentive_cutmix(*, cells: int = 6, grid: int = 7, network: str | None = None, p: float = 1.0) -> Pipeline:
    """Pastes the cells of another image that a network attends to most; labels are weighted by the exact area.

    Attention is the mean over the channels of the network's last maps. network: a finished run's folder, or a network by
    name, such as torchvision:resnet50(pretrained=true, image_size=224), the paper's; by default the network in training.
    """

def augmix(
    *,
    severity: float = 3,
    width: int = 3,
    depth: int | None = None,
    alpha: float = 1.0,
    all_ops: bool | None = None,
    version: Literal["paper", "torchvision", "timm"] = "paper",
    spread: float | None = None,
) -> Pipeline:
    """`width` chains of 1 to 3 operations (or `depth`), averaged by Dirichlet weights, blended with the clean image.

    Every operation draws its own level between 0.1 and `severity` of 10 (on a fine grid). Brightness, color, contrast and
    sharpness are left out, since they overlap with the paper's test corruptions; all_ops includes them. The paper's
    consistency loss is a separate strategy, augmix_jsd.

    `version` selects the ladder of another code, with all_ops: torchvision draws one of the first `severity` of ten bins, so
    that severity 3 changes colours by factors from 0.8 to 1.2; timm draws between 0 and `severity`, or, with `spread`
    (its mstd), around `severity`. Raises InputError for a severity that torchvision has no bins for.
    """

def batch_augment(*, copies: int = 2) -> Pipeline:
    """Repeats every image `copies` times in its batch; later stages augment each copy differently: `batch_augment(4)+standard`.

    The learning rate is not changed. A training step costs `copies` times as much, so compare at equal cost.
    """

def inaugment(
    *,
    policy: Augmentation | None = ...,
    patches: int | None = None,
    source: Drawn | list[Drawn | None] | None = None,
    target: Drawn | list[Drawn | None] | None = None,
    scale: Drawn | list[Drawn | None] | None = None,
    setting: Literal["cifar", "shake_shake", "resnet50", "efficientnet_b3"] = "cifar",
    trim: bool = True,
    order: Literal["augment_first", "resize_first"] | None = None,
    resample: Literal["bilinear", "bicubic", "nearest"] = "bilinear",
    same_draw: bool = True,
    drop: float | None = None,
    drop_each: bool = True,
    where: Literal["anywhere", "salient"] = "anywhere",
    tau: float = 0.6,
    saliency: str = "full",
) -> Pipeline:
    """Copies patches of the image, augments them by the image's own draw of `policy`, and pastes them over it, largest first.

    policy: any augmentation or chain; by default autoaugment, with the table of the setting; `none` pastes plain
    patches. setting: the paper's numbers for PreActResNet-18 and WRN-28-10 (`cifar`), Shake-Shake, ResNet-50 and
    EfficientNet-B3, which the other options override. source: side of the window, a number or a law, one for all patches
    or a list; up to 4 it is a share of the shorter side, above 4 it is in pixels (16 of 32 is 0.5). target: side of the
    pasted patch likewise. scale: a factor on the trimmed window instead; with neither, the paper's rule for CIFAR, 0.5^(i - 1)
    for the i-th patch: the first keeps its window's size. trim: windows are centred anywhere and cut at the border; otherwise
    they are kept inside. drop: the probability of not pasting, for each patch, or once with drop_each=false. where:
    `salient` copies windows above the tau-quantile of the image's saliency onto places below it (the paper's outlook;
    KeepAugment's threshold); with windows as large as the image only their centres are chosen, so give a smaller source.

    It replaces the trailing Cutout. The paper does not specify the distribution of positions or the filter; here, centres are
    uniform over the pixels, for copying and for pasting, and resizing is Pillow's.
    """

def keep(
    *,
    augment: Augmentation,
    tau: float = 0.6,
    saliency: str = "full",
    length: int | None = None,
    fraction: float = 0.5,
    candidates: Literal["own", "inside", "centred"] = "own",
    map: Literal["own", "foreign", "constant"] = "own",
    p: float = 1.0,
    every: int = 1,
) -> Pipeline:
    """Any augmentation with the image's salient regions preserved: `keep(cutout(length=8))`, `keep(randaugment+cutout)`.

    A region operation (cutout, random_erasing, cutmix) cuts where the network's saliency is low; for anything else, a box of
    the original image with high saliency is pasted back over the result. candidates: the boxes to choose from, by default
    those the operation itself draws from. map: `foreign` and `constant` are controls, which measure the gain without looking
    at the image. The labels of a mix inside must be able to follow the pixels; otherwise the chain is refused.
    """

def keep_autoaugment(
    *,
    table: Literal["cifar10", "imagenet", "svhn", "cifar10_95", "efficientnet_v0"] | None = None,
    magnitude: float | None = None,
    num_ops: int = 3,
    cutout: int = 0,
    length: int | None = None,
    tau: float = 0.6,
    saliency: str = "full",
    candidates: Literal["own", "inside", "centred"] = "own",
    map: Literal["own", "foreign", "constant"] = "own",
    p: float = 1.0,
    every: int = 1,
) -> Pipeline:
    """AutoAugment with a salient square of the image pasted back; by default half the side (16 of 32).

    table: as in autoaugment, by default the one for the images' side. magnitude: `num_ops` operations of AutoAugment's space at
    that magnitude instead of the learned table (the paper's table 4). cutout: side of a mid-grey Cutout between the policy and
    the paste, 16 in AutoAugment's CIFAR recipe. p: the probability that the square is pasted back.
    """

def keep_cutmix(
    *,
    alpha: float = 1.0,
    p: float = 0.5,
    tau: float = 0.6,
    saliency: str = "full",
    candidates: Literal["own", "inside", "centred"] = "own",
    map: Literal["own", "foreign", "constant"] = "own",
    every: int = 1,
) -> Pipeline:
    """CutMix, with probability p, into a box with little of the image's own saliency; the other image's saliency is ignored."""

def keep_cutout(
    *,
    length: int | None = None,
    tau: float = 0.6,
    saliency: str = "full",
    candidates: Literal["own", "inside", "centred"] = "own",
    map: Literal["own", "foreign", "constant"] = "own",
    p: float = 1.0,
    every: int = 1,
) -> Pipeline:
    """Cutout of a square with little saliency; by default half the side (16 of 32).

    p: the probability that saliency decides where an image's square is placed; otherwise it is plain Cutout.
    """

def keep_randaugment(
    *,
    num_ops: int = 2,
    magnitude: float = 9,
    version: Literal["torchvision", "tpu", "tpu_published", "timm", "timm_increasing", "ildoonet", "uda"] = "torchvision",
    length: int | None = None,
    tau: float = 0.6,
    saliency: str = "full",
    candidates: Literal["own", "inside", "centred"] = "own",
    map: Literal["own", "foreign", "constant"] = "own",
    p: float = 1.0,
    every: int = 1,
    channels: Literal["rgb", "any"] = "rgb",
) -> Pipeline:
    """RandAugment with a salient square of the image pasted back; by default half the side (16 of 32).

    version: the operations and ladder, and channels: for which images, as in randaugment. p: the probability that the square is
    pasted back.
    """

def keep_random_erasing(
    *,
    content: Literal["noise", "constant"] = "noise",
    p: float = 0.5,
    tau: float = 0.6,
    saliency: str = "full",
    candidates: Literal["own", "inside", "centred"] = "own",
    map: Literal["own", "foreign", "constant"] = "own",
    every: int = 1,
) -> Pipeline:
    """Random erasing of a rectangle with little saliency, with probability p."""

def none() -> Pipeline:
    """No augmentation at all."""

def normalize(*, mean: tuple[float, ...] | None = None, std: tuple[float, ...] | None = None) -> Pipeline:
    """(x / 255 - mean) / std per channel; later stages work on normalised values, where 0 is the mean colour.

    Without numbers, it uses those of the data set in a training, or of `pipeline(..., normalize=(mean, std))`. A chain that
    does not name it normalises after its last stage that needs pixels.
    """

def standard(*, policy: Augmentation | None = None, policy_first: bool = False) -> Pipeline:
    """The usual augmentation of 32x32 images: pad by an eighth of the side, crop, flip with probability one half.

    `policy` is applied after them, as in the papers on Adversarial AutoAugment and refined augmentation; with `policy_first`,
    before them, as in the released code of AutoAugment and Fast AutoAugment.
    """
