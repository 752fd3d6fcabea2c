"""InAugment: pastes augmented patches of the image back over it, with the settings of its paper."""

from typing import Annotated, Any, Literal

from augury.augment.names import stages_of
from augury.augment.saliency.maps import SaliencyKind
from augury.augment.stages.inaugment import InAugment, Where
from augury.augment.stages.length import Length
from augury.core.errors import InputError
from augury.core.laws import law_from
from augury.core.options import Chain, Interval, Spec
from augury.core.registry import register

AUTO = Chain((Spec("autoaugment"),))
Setting = Literal["cifar", "shake_shake", "resnet50", "efficientnet_b3"]
LARGEST_SHARE = 4  # of the shorter side; lengths above it are in pixels
SHRINK = 0.5  # section 4.1: the i-th patch is scaled by 0.5^(i - 1)
# patches, source, target, scale, drop, order: section 4 and table 1 of the paper; lengths as shares of the input side.
SETTINGS: dict[str, dict[str, Any]] = {
    "cifar": {"patches": 1, "drop": 0.0, "order": "augment_first"},
    "shake_shake": {"patches": 2, "drop": 0.0, "order": "augment_first"},
    "resnet50": {
        "patches": 3, "source": Spec("uniform", {}, (0.1, 1.0)), "target": [134 / 224, 80 / 224, 48 / 224], "drop": 0.5,
        "order": "resize_first",
    },
    "efficientnet_b3": {
        "patches": 2, "source": Spec("uniform", {}, (0.1, 1.0)), "drop": 0.5, "order": "resize_first",
        "target": [Spec("uniform", {}, (150 / 300, 1.0)), Spec("uniform", {}, (8 / 300, 150 / 300))],
    },
}  # fmt: skip


@register("preset", "inaugment", source="Arar, Shamir and Bermano 2021 (InAugment, arXiv:2104.03843), section 3")
def inaugment(
    *,
    policy: Chain | None = AUTO,
    patches: Annotated[int, Interval(0, 16)] | None = None,
    source: Any = None,
    target: Any = None,
    scale: Any = None,
    setting: Setting = "cifar",
    trim: bool = True,
    order: Literal["augment_first", "resize_first"] | None = None,
    resample: Literal["bilinear", "bicubic", "nearest"] = "bilinear",
    same_draw: bool = True,
    drop: Annotated[float, Interval(0, 1)] | None = None,
    drop_each: bool = True,
    where: Where = "anywhere",
    tau: Annotated[float, Interval(0, 1)] = 0.6,
    saliency: SaliencyKind = "full",
) -> list[InAugment]:
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
    chosen = SETTINGS[setting]
    count = int(chosen["patches"] if patches is None else patches)
    if target is not None and scale is not None:
        raise InputError("inaugment: give target or scale, not both")
    if scale is None and target is None:
        target = chosen.get("target")
        scale = None if target is not None else [SHRINK**number for number in range(count)]
    sources = _each(chosen.get("source", 1.0) if source is None else source, count, "source")
    return [
        InAugment(
            tuple(_stages(policy, setting)),
            count,
            tuple(_length(value, "source") for value in sources),
            tuple(None if value is None else _length(value, "target") for value in _each(target, count, "target")),
            tuple(_factor(value) for value in _each(1.0 if scale is None else scale, count, "scale")),
            trim,
            order or chosen["order"],
            resample,
            same_draw,
            chosen["drop"] if drop is None else drop,
            drop_each,
            where,
            tau,
            saliency,
        )
    ]


def _stages(policy: Chain | None, setting: str) -> list[Any]:
    if policy is None:
        return []
    if policy is AUTO and setting in ("resnet50", "efficientnet_b3"):
        policy = Chain((Spec("autoaugment", {"table": "efficientnet_v0"}),))
    stages = stages_of(policy, "inaugment(policy)")
    if any("saliency" in stage.needs for stage in stages):
        raise InputError(f"inaugment(policy={policy}): a patch has no saliency of its own; write keep(inaugment(...)) instead")
    return stages


def _each(value: object, count: int, name: str) -> list[Any]:
    if not isinstance(value, list):
        return [value] * count
    if len(value) < count:
        raise InputError(f"inaugment({name}): {len(value)} values for {count} patches; give one for each, or one for all")
    return value[:count]


def _length(value: object, name: str) -> Length:
    """A share of the shorter side, or pixels. Raises InputError for a law that would be both."""
    law = law_from(value, f"inaugment({name})")
    low, high = law.support.low, law.support.high
    if not low > 0:
        raise InputError(f"inaugment({name}) must be above 0: up to {LARGEST_SHARE} a share of the shorter side, above it pixels")
    if low <= LARGEST_SHARE < high:
        raise InputError(
            f"inaugment({name}={value}): up to {LARGEST_SHARE} a share of the shorter side is meant, above it pixels; "
            "give a law of one of them"
        )
    return Length(law, low > LARGEST_SHARE)


def _factor(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 4:
        raise InputError("inaugment(scale) must be a number above 0 and at most 4")
    return float(value)
