"""The pipelines that a method's views come from."""

from augury.augment.names import Augmentation as _Augmentation
from augury.augment.names import Statistics, build, normalising, pipeline
from augury.augment.pipeline import Pipeline
from augury.augment.stages.normalize import Normalize
from augury.core.errors import InputError
from augury.core.options import Chain, chain_from
from augury.core.stage import Stage
from augury.train.strategies.strategy import Strategy

Augmentation = _Augmentation | Chain


def method_pipelines(
    augment: Augmentation, augment2: Augmentation | None, strategy: Strategy, statistics: Statistics, name: str
) -> tuple[Pipeline, ...]:
    """The training's pipelines, each with `normalize`, then the strategy's own. name: the strategy's, for messages.

    Raises InputError for a second pipeline that no view would use.
    """
    found = [normalized(augment, statistics, "--augment")]
    if augment2 is not None:
        if strategy.pipelines < 2:
            raise InputError(f"--augment2: --strategy {name} has no second view for it; leave it out, or use ait or multi_ait")
        found.append(normalized(augment2, statistics, "--augment2"))
    if strategy.stages:
        found = [_with_stage(found[0], stage) for stage in strategy.stages]
    return (*found, *(build(chain, statistics, "--strategy") for chain in strategy.chains))


def normalized(augment: Augmentation, statistics: Statistics, where: str) -> Pipeline:
    """The augmentation with `normalize` after its last stage that needs pixels, unless it already contains it."""
    if isinstance(augment, str | Chain):
        return build(chain_from(augment, where), statistics, where)
    return normalising(list(pipeline(augment).stages), statistics, where)


def normalize_of(pipeline: Pipeline) -> Normalize:
    """The pipeline's `normalize`."""
    return next(stage for stage in pipeline.stages if isinstance(stage, Normalize))


def _with_stage(pipeline: Pipeline, stage: Stage | None) -> Pipeline:
    """The pipeline with a strategy's own stage before `normalize`; None leaves it as it is."""
    if stage is None:
        return pipeline
    place = next(number for number, each in enumerate(pipeline.stages) if isinstance(each, Normalize))
    return Pipeline((*pipeline.stages[:place], stage, *pipeline.stages[place:]))
