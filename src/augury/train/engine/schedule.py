"""Learning-rate schedules, per optimiser step."""

import math

from augury.core.errors import InputError
from augury.train.engine.settings import Settings

REFINED_LR = 1e-3


def check_schedule(settings: Settings) -> None:
    """InputError for epochs that the training does not have and milestones that its schedule does not use."""
    s = settings
    if s.warmup_epochs >= s.epochs:
        raise InputError(f"--warmup-epochs {s.warmup_epochs:g}: must be fewer than --epochs {s.epochs}, or --lr is never reached")
    if s.sched != "multistep" and s.decay_milestones != Settings.__dataclass_fields__["decay_milestones"].default:
        raise InputError(f"--decay-milestones: --sched {s.sched} has none; add --sched multistep")
    late = [epoch for epoch in s.risk_epochs if epoch > s.total_epochs]
    if late:
        raise InputError(f"--risk-epochs {late[0]}: the training ends after epoch {s.total_epochs}")


def learning_rate(
    step: int,
    steps: int,
    *,
    base: float,
    sched: str,
    milestones: tuple[float, ...] = (),
    rate: float = 1.0,
    every: float = math.inf,
    warmup: float = 0.0,
    warmup_from: float = 0.0,
) -> float:
    """The rate at a 0-based step of `steps`.

    During `warmup` steps it rises linearly from `warmup_from` to `base` (Goyal et al. 2017, arXiv:1706.02677, section 2.2).
    cosine: half a cosine from `base` to 0 over the remaining steps (Loshchilov and Hutter 2017, without restarts).
    cosine_part: 7/32 of a cosine, so that the rate falls to a fifth (UDA and FixMatch: cos(7 pi t / 16)).
    multistep: multiplied by `rate` at every milestone. step: multiplied by `rate` after every `every` steps. Both count from
    the first step. constant: `base`.
    """
    if step < warmup:
        return warmup_from + (base - warmup_from) * step / warmup
    if sched == "cosine":
        return base * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1.0, steps - warmup)))
    if sched == "cosine_part":
        return base * math.cos(7 / 16 * math.pi * (step - warmup) / max(1.0, steps - warmup))
    if sched == "multistep":
        return base * rate ** sum(step >= m for m in milestones)
    if sched == "step":
        return base * rate ** int(step // every)
    return base


def rate_at(settings: Settings, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a training's step, by its schedule over `epochs` and then by that of the refinement.

    The refinement's rate is constant, or falls to 0 with refine_sched=cosine. It starts at `refine_lr` or, if that is unset, at
    the rate of stage one's last step (after a cosine, see `_refined`). With `refine_at` alone, the training's own schedule
    continues.
    """
    s = settings
    if step // steps_per_epoch < s.stage_one or (s.refine_epochs == 0 and s.refine_lr is None and s.refine_sched == "constant"):
        return _scheduled(s, step, steps_per_epoch)
    first = s.stage_one * steps_per_epoch
    return learning_rate(step - first, s.total_epochs * steps_per_epoch - first, base=_refined(s, first, steps_per_epoch),
                         sched=s.refine_sched)  # fmt: skip


def _refined(s: Settings, first: int, steps_per_epoch: int) -> float:
    """The rate at which the refinement starts."""
    if s.refine_lr is not None:
        return s.refine_lr
    if s.refine_epochs and s.sched == "cosine":
        # The paper takes the last epoch's rate and, after a cosine, which ends at 0, "a reasonably small value".
        return s.peak_lr / 100 if s.opt != "sgd" else REFINED_LR
    return _scheduled(s, first - 1, steps_per_epoch)


def _scheduled(s: Settings, step: int, steps_per_epoch: int) -> float:
    steps = s.epochs * steps_per_epoch
    milestones = tuple(m * steps if m < 1 else m * steps_per_epoch for m in s.decay_milestones)
    every = s.epochs / 3 if s.decay_epochs is None else s.decay_epochs
    return learning_rate(
        step, steps, base=s.peak_lr, sched=s.sched, milestones=milestones, rate=s.decay_rate, every=every * steps_per_epoch,
        warmup=s.warmup_epochs * steps_per_epoch, warmup_from=s.warmup_lr,
    )  # fmt: skip
