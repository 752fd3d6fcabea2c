"""Recommending from Python: `augury.recommend`."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from augury.core.devices import on_the_cpu_by_default
from augury.jobs.recommend.recommend import POLICY
from augury.jobs.recommend.recommend import recommend as run
from augury.jobs.recommend.settings import REFERENCE, RecommendSettings
from augury.train.engine.settings import MetricName
from augury.train.engine.tuning import Tune
from augury.train.pools.opened import Workers


@dataclass(frozen=True)
class Recommendation:
    """A finished recommendation. augment, strategy: what to use. verdict: of the best candidate against the reference, `better`,
    `worse` or `no difference shown`; gain: its mean difference on the test part, with low and high, the ends of its 95 % interval,
    in percentage points or the metric's unit. answer: all of that in words. policy: a file usable wherever an augmentation is
    named. path: the folder. result: the whole of result.json."""

    augment: str
    strategy: str
    verdict: str
    gain: float
    low: float | None
    high: float | None
    answer: str
    policy: Path
    path: Path
    result: dict[str, Any]


@on_the_cpu_by_default
def recommend(
    data: str,
    *,
    output: str | os.PathLike[str],
    minutes: float = 10.0,
    candidates: str | Sequence[str] | None = None,
    reference: str = REFERENCE,
    metric: MetricName | None = None,
    error_rate: float = 0.05,
    model: str | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    pretrained: str | os.PathLike[str] | None = None,
    tune: Tune | None = None,
    seed: int = 0,
    data_dir: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    resize: Literal["cover", "fit", "stretch"] = "cover",
    fraction: float = 1.0,
    device: str = "auto",
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    workers: int = 1,
    ray: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
) -> Recommendation:
    """Which augmentation for these images, within a time, as `augury recommend` says it (docs/recommend.md).

    data: a name, folder or file as on the command line. candidates: augmentations to race, a list or text with commas. Whatever is
    None is decided by the images and the time. workers, ray: trainings of the race at the same time. quiet: print no progress on
    stderr. Raises InputError for what is refused before anything is written.
    """
    listed = candidates if candidates is None or isinstance(candidates, str) else ",".join(candidates)
    values = {
        "data": data, "minutes": minutes, "candidates": listed, "reference": reference, "metric": metric, "error_rate": error_rate,
        "model": model, "epochs": epochs, "batch_size": batch_size, "lr": lr, "tune": tune, "seed": seed,
        "pretrained": None if pretrained is None else os.fspath(pretrained), "data_dir": data_dir,
        "image_size": image_size, "resize": resize, "fraction": fraction, "device": device, "precision": precision,
    }  # fmt: skip
    path = Path(output)
    result = run(
        RecommendSettings.of(values, "recommend"), path, workers=Workers.of("recommend", workers, ray), resume=resume,
        overwrite=overwrite, told=_silent if quiet else _told,
    )  # fmt: skip
    chosen, gain = result["recommendation"], result["gain"]
    return Recommendation(
        chosen["augment"], chosen["strategy"], result["verdict"], gain["mean"], gain["low"], gain["high"], result["answer"],
        path / POLICY, path, result,
    )  # fmt: skip


def _told(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _silent(text: str) -> None:
    pass
