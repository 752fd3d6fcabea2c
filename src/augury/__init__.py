"""Augury: find, apply and evaluate image augmentation for classifiers.

    pipeline = augury.pipeline("randaugment", num_ops=2, magnitude=9)
    images = pipeline(images)                       # uint8 [B,C,H,W]; every image is augmented differently
    images, targets = augury.pipeline("cutmix")(images, labels)
    loss = targets.loss(model(images)).mean()
    run = augury.fit("digits", augment="crop+cutout", epochs=20, output="runs/cutout")

Names are imported on first use, so that `import augury` costs nothing; type checkers and editors see all of them.
"""

TYPE_CHECKING = False  # type checkers assume True; importing it from `typing` would cost more than everything else here
if TYPE_CHECKING:
    from augury import ops as ops
    from augury import policies as policies
    from augury import presets as presets
    from augury.augment.annotations.options import Annotations as Annotations
    from augury.augment.apply import apply as apply
    from augury.augment.exported.export import Exported as Exported
    from augury.augment.exported.export import export_policy as export_policy
    from augury.augment.names import pipeline as pipeline
    from augury.augment.names import policy as policy
    from augury.augment.pipeline import Pipeline as Pipeline
    from augury.augment.saliency.source import saliency as saliency
    from augury.core.batch import Batch as Batch
    from augury.core.errors import InputError as InputError
    from augury.core.errors import RunError as RunError
    from augury.core.laws import Beta as Beta
    from augury.core.laws import Choice as Choice
    from augury.core.laws import Constant as Constant
    from augury.core.laws import Ladder as Ladder
    from augury.core.laws import Law as Law
    from augury.core.laws import Linear as Linear
    from augury.core.laws import LogUniform as LogUniform
    from augury.core.laws import Stepped as Stepped
    from augury.core.laws import Uniform as Uniform
    from augury.core.noise import Noise as Noise
    from augury.core.op import Op as Op
    from augury.core.op import Parameter as Parameter
    from augury.core.options import Interval as Interval
    from augury.core.plan import Clock as Clock
    from augury.core.plan import Plan as Plan
    from augury.core.plan import Policy as Policy
    from augury.core.plan import Space as Space
    from augury.core.plugins import load_plugin as load_plugin
    from augury.core.registry import names as names
    from augury.core.registry import register as register
    from augury.core.stage import Stage as Stage
    from augury.core.targets import Targets as Targets
    from augury.jobs.front import compare as compare
    from augury.jobs.front import fit as fit
    from augury.jobs.recommend.front import recommend as recommend
    from augury.train.data.dataset import load as _load
    from augury.train.data.with_ids import with_ids as with_ids
    from augury.train.engine.settings import Settings as Settings
    from augury.train.method.build import method as method
    from augury.train.method.method import Method as Method
    from augury.train.models.build import build as _build
    from augury.train.strategies.build import strategy as strategy
    from augury.train.strategies.simple import SimpleStrategy as SimpleStrategy
    from augury.train.strategies.strategy import Step as Step
    from augury.train.strategies.strategy import Strategy as Strategy
    from augury.train.strategies.strategy import Views as Views

    dataset, model = _load, _build

# Public name -> its module and its name there.
_HOME = {
    "Annotations": ("augury.augment.annotations.options", "Annotations"),
    "apply": ("augury.augment.apply", "apply"),
    "Batch": ("augury.core.batch", "Batch"),
    "Beta": ("augury.core.laws", "Beta"),
    "Choice": ("augury.core.laws", "Choice"),
    "Clock": ("augury.core.plan", "Clock"),
    "compare": ("augury.jobs.front", "compare"),
    "Constant": ("augury.core.laws", "Constant"),
    "dataset": ("augury.train.data.dataset", "load"),
    "export_policy": ("augury.augment.exported.export", "export_policy"),
    "Exported": ("augury.augment.exported.export", "Exported"),
    "fit": ("augury.jobs.front", "fit"),
    "InputError": ("augury.core.errors", "InputError"),
    "Interval": ("augury.core.options", "Interval"),
    "Ladder": ("augury.core.laws", "Ladder"),
    "Law": ("augury.core.laws", "Law"),
    "Linear": ("augury.core.laws", "Linear"),
    "load_plugin": ("augury.core.plugins", "load_plugin"),
    "LogUniform": ("augury.core.laws", "LogUniform"),
    "method": ("augury.train.method.build", "method"),
    "Method": ("augury.train.method.method", "Method"),
    "model": ("augury.train.models.build", "build"),
    "names": ("augury.core.registry", "names"),
    "Noise": ("augury.core.noise", "Noise"),
    "Op": ("augury.core.op", "Op"),
    "Parameter": ("augury.core.op", "Parameter"),
    "pipeline": ("augury.augment.names", "pipeline"),
    "Pipeline": ("augury.augment.pipeline", "Pipeline"),
    "Plan": ("augury.core.plan", "Plan"),
    "policy": ("augury.augment.names", "policy"),
    "Policy": ("augury.core.plan", "Policy"),
    "recommend": ("augury.jobs.recommend.front", "recommend"),
    "register": ("augury.core.registry", "register"),
    "RunError": ("augury.core.errors", "RunError"),
    "saliency": ("augury.augment.saliency.source", "saliency"),
    "Settings": ("augury.train.engine.settings", "Settings"),
    "SimpleStrategy": ("augury.train.strategies.simple", "SimpleStrategy"),
    "Space": ("augury.core.plan", "Space"),
    "Stage": ("augury.core.stage", "Stage"),
    "Step": ("augury.train.strategies.strategy", "Step"),
    "Stepped": ("augury.core.laws", "Stepped"),
    "strategy": ("augury.train.strategies.build", "strategy"),
    "Strategy": ("augury.train.strategies.strategy", "Strategy"),
    "Targets": ("augury.core.targets", "Targets"),
    "Uniform": ("augury.core.laws", "Uniform"),
    "Views": ("augury.train.strategies.strategy", "Views"),
    "with_ids": ("augury.train.data.with_ids", "with_ids"),
}
_MODULES = ("ops", "policies", "presets")
__version__ = "0.1.0"
__all__ = ["__version__", *_HOME, *_MODULES]  # pyright: ignore[reportUnsupportedDunderAll]


if not TYPE_CHECKING:  # with it, a type checker would accept any name

    def __getattr__(name: str) -> object:
        from importlib import import_module

        if name in _MODULES:
            return import_module(f"augury.{name}")
        if name not in _HOME:
            raise AttributeError(f"module 'augury' has no attribute {name!r}")
        module, own = _HOME[name]
        value = getattr(import_module(module), own)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
