"""An augmentation as code of another library."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from augury.augment.exported import albumentations, pillow, timm, torchvision
from augury.augment.exported.blocks import Piece, Step, at_side, piece_of, stages_and_name
from augury.augment.exported.named import augmix_expression, named, timm_expression
from augury.augment.pipeline import Pipeline
from augury.augment.stages.augmix import AugMix
from augury.augment.stages.plan import PlanStage
from augury.core.doors import door
from augury.core.errors import InputError
from augury.core.laws import Beta
from augury.core.plan import Single
from augury.core.stage import Stage

Target = Literal["torchvision", "timm", "albumentations", "python"]
_Write = Callable[[list[Piece], int], tuple[str, list[str]]]
WRITERS: dict[str, _Write] = {
    "torchvision": torchvision.code, "timm": timm.code, "albumentations": albumentations.code, "python": pillow.code,
}  # fmt: skip
_WORDS = {"torchvision": "torchvision", "timm": "timm", "albumentations": "albumentations", "python": "Pillow"}


@dataclass(frozen=True)
class Exported:
    """code: Python that runs as it stands. notes: in words, what the library does otherwise."""

    code: str
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return self.code


@door
def export_policy(augmentation: str | Pipeline, to: Target = "torchvision", *, image_size: int = 32) -> Exported:
    """An augmentation as code that runs without Augury: a chain's text, a policy file's path, or a pipeline.

    to: the library; `python` is Pillow alone. The code defines `transform` (`augment` with Pillow) and, for torchvision where the
    chain ends in CutMix or Mixup, `mix` for a collate function. image_size: the side of the images, which crops and some policies
    depend on. Raises InputError, in one line, for what the library cannot do.

    >>> export_policy("randaugment(num_ops=3, magnitude=15)").code.splitlines()[-1]
    'transform = v2.RandAugment(num_ops=3, magnitude=15)'
    """
    if to not in get_args(Target):
        raise InputError(f"--to: {to!r} is none of {', '.join(get_args(Target))}")
    stages, name = stages_and_name(augmentation)
    stages = [at_side(stage, image_size) for stage in stages]
    mix = _mix(stages[-1]) if stages and to == "torchvision" else None
    stages = stages[:-1] if mix else stages
    if not stages and mix:
        code, notes = "from torchvision.transforms import v2\n", list[str]()
    else:
        code, notes = WRITERS[to]([_piece(stage, to) for stage in stages] or [Piece("none", Step("identity"))], image_size)
    if mix:
        code += "\nCLASSES = 10  # how many there are in your data; images, labels = mix(images, labels) in a collate_fn\n"
        code += f"mix = {mix}\n"
        notes = [*notes, "mix: one weight, and one box, for the whole batch, and images paired with their neighbours"]
    title = f"# {name}, for {_WORDS[to]}; written by Augury.\n"
    said = "".join(f"# {note}.\n" for note in notes)
    return Exported(f"{title}{said}{code}", tuple(notes))


def _piece(stage: Stage, to: Target) -> Piece:
    """A stage with what it is called in the library, where that has it under a name, and else as blocks."""
    own = None
    if isinstance(stage, AugMix) and (to == "torchvision" or to == "timm"):
        own = augmix_expression(stage, to)
    elif isinstance(stage, PlanStage) and not isinstance(stage.policy, Single):
        own = named(stage.policy) if to == "torchvision" else timm_expression(stage.policy) if to == "timm" else None
    if own is None:
        return piece_of(stage)
    policy = stage.stage.policy if isinstance(stage, AugMix) else stage.policy if isinstance(stage, PlanStage) else None
    return Piece(stage.name, Step("identity"), policy, own)


def _mix(stage: Stage) -> str | None:
    """torchvision's class for a mix at the end of a chain. Raises InputError for a chance, which it has not."""
    if not isinstance(stage, PlanStage) or not isinstance(stage.policy, Single):
        return None
    entry = stage.policy.entry
    if entry.op.name not in ("cutmix", "mixup"):
        return None
    law = entry.law(next(iter(entry.op.parameters)))
    if stage.policy.p != 1 or not isinstance(law, Beta) or law.a != law.b:
        raise InputError(f"{entry.op.name}: torchvision mixes every batch, by Beta(alpha, alpha); write {entry.op.name}(p=1)")
    return f"v2.{'CutMix' if entry.op.name == 'cutmix' else 'MixUp'}(alpha={law.a:g}, num_classes=CLASSES)"
