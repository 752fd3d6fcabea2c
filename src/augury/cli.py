"""The command line: parse, call, print. Heavy imports wait until a command needs them."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from augury.core.errors import InputError, RunError

COMMANDS = ("list", "train", "compare", "evaluate", "preview")
SETTINGS = (
    ("--model", "M", "network: a name of `augury list`, torchvision:NAME or timm:NAME; A,B for strategies of several (small_cnn)"),
    ("--augment2", "A", "second augmentation, for strategies with several views, such as ait"),
    ("--epochs", "N", "passes over the training part (60)"),
    ("--batch-size", "N", "source images per optimiser step (128; fewer for small data, so that an epoch has six)"),
    ("--lr", "RATE", "highest learning rate of SGD with Nesterov momentum (0.1)"),
    ("--momentum", "M", "momentum (0.9)"),
    ("--weight-decay", "W", "weight decay (5e-4)"),
    ("--sched", "NAME", "learning-rate schedule: cosine or step (cosine)"),
    ("--decay-rate", "R", "step schedule: factor at 30, 60 and 80 %% of the epochs (0.2)"),
    ("--seed", "K", "seed of weights, order and augmentation; with --seeds, the first one (0)"),
    ("--data-dir", "D", "where a named data set already is: torchvision's layout, or D/NAME/train.npz"),
    ("--validation", "F", "fraction of the training part held out for validation (0.1)"),
    ("--image-size", "N", "side that images of differing size are brought to"),
    ("--fraction", "F", "share of the training images that is used, the same ones for every seed (1)"),
    ("--label-noise", "R", "share of the training labels that is drawn at random, the same for every seed (0)"),
    ("--labels", "N", "labels that are used, stratified; the other training images are unlabelled (all)"),
    ("--labels-per-class", "N", "the same, as a number for each class"),
    ("--device", "D", "cpu, cuda, ... (cuda where there is one)"),
    ("--precision", "P", "auto, float32 or bfloat16 (bfloat16 on a GPU that has it)"),
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 done, 1 failed while running, 2 refused, 130 interrupted."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest:
        options.parser.refuse_flag(rest[0])
    try:
        options.run(options)
        return 0
    except InputError as error:
        return _tell(options, error, 2)
    except RunError as error:
        return _tell(options, error, 1)
    except KeyboardInterrupt as error:
        return _tell(options, "interrupted; what is done is kept, --resume goes on", 130, error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _tell(options, f"unexpected {type(error).__name__}: {error}; --debug shows where", 1, error)


def _tell(options: argparse.Namespace, message: object, code: int, error: BaseException | None = None) -> int:
    if options.debug and isinstance(error or message, BaseException):
        raise error or message  # type: ignore[misc]
    print(f"augury: {' '.join(str(message).split())}", file=sys.stderr)
    return code


class _Parser(argparse.ArgumentParser):
    """Refuses in one line, with the nearest flag."""

    def error(self, message: str) -> NoReturn:
        from augury.core.registry import unknown

        if "argument COMMAND: invalid choice" in message:
            message = unknown("command", message.split("'")[1], list(COMMANDS))
        self.exit(2, f"augury: {message} (`{self.prog} --help` shows what there is)\n")

    def refuse_flag(self, text: str) -> NoReturn:
        from augury.core.registry import unknown

        flags = sorted({flag for action in self._actions for flag in action.option_strings})
        if not text.startswith("-"):
            self.error(f"{text!r} is one argument too many; quote names that hold brackets or blanks")
        self.error(unknown("flag", text.split("=")[0], flags))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="augury", description="Find, apply and prove image augmentation for classifiers.", allow_abbrev=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        made.set_defaults(run=run, parser=made)
        made.add_argument("--debug", action="store_true", help="show tracebacks")
        return made

    listed = command("list", _list, "everything registered, with its source")
    listed.add_argument("--pipeline", metavar="A", help="show the stages of this augmentation instead")
    _add_json(listed)

    trained = command("train", _train, "train one network with one augmentation")
    _add_settings(trained, "augmentation, for example crop+flip+cutout(length=8) (none)", "strategy (erm)")

    compared = command("compare", _compare, "compare augmentations on the same data at equal budget")
    _add_settings(compared, "augmentations, parted by commas; the first is the reference", "strategies, parted by commas (erm)")
    compared.add_argument("--seeds", metavar="N", default=argparse.SUPPRESS, help="trainings per row (3)")

    evaluated = command("evaluate", _evaluate, "a finished run's network on a test part")
    evaluated.add_argument("run_folder", metavar="RUN", type=Path, help="the --output folder of `augury train`")
    evaluated.add_argument("--data", metavar="DATA", help="other data with the same classes")
    evaluated.add_argument("--data-dir", metavar="D", help="where a named data set already is")
    evaluated.add_argument("--device", default="auto", metavar="D", help="cpu, cuda, ...")
    _add_json(evaluated)

    previewed = command("preview", _preview, "what an augmentation does to your own images")
    previewed.add_argument("data", metavar="DATA", help=_DATA)
    previewed.add_argument("--augment", required=True, metavar="A", help="augmentations, parted by commas")
    previewed.add_argument("--output", required=True, type=Path, metavar="FILE", help="a .png or .html file")
    for flag, default, text in (
        ("--images", 6, "rows: training images shown"), ("--draws", 6, "columns: draws of each"),
        ("--seed", 0, "the training's seed"), ("--epoch", 1, "the first epoch shown"),
    ):  # fmt: skip
        previewed.add_argument(flag, default=default, metavar="N", help=f"{text} ({default})")
    previewed.add_argument("--model", type=Path, metavar="RUN", help="a run's folder, for augmentations that look at saliency")
    previewed.add_argument("--data-dir", metavar="D", help="where a named data set already is")
    previewed.add_argument("--image-size", metavar="N", help="side that images of differing size are brought to")
    previewed.add_argument("--overwrite", action="store_true", help="replace the file")
    return parser


_DATA = (
    "digits, cifar10, cifar100, svhn, mnist; a folder with train/ and test/ class folders or with train.npz and test.npz; "
    "a CSV manifest; hf:owner/name"
)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def _add_settings(parser: argparse.ArgumentParser, augment: str, strategy: str) -> None:
    parser.add_argument("data", metavar="DATA", nargs="?", default=argparse.SUPPRESS, help=_DATA)
    parser.add_argument("--augment", metavar="A", default=argparse.SUPPRESS, help=augment)
    parser.add_argument("--strategy", metavar="S", default=argparse.SUPPRESS, help=strategy)
    for flag, metavar, text in SETTINGS:
        parser.add_argument(flag, metavar=metavar, default=argparse.SUPPRESS, help=text)
    parser.add_argument("--output", required=True, type=Path, metavar="DIR", help="folder for the results")
    parser.add_argument("-c", dest="config", type=Path, metavar="FILE", help="defaults from a YAML file (a run's config.yaml)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --output")
    parser.add_argument("--overwrite", action="store_true", help="replace the run in --output")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    _add_json(parser)


def _settings(options: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """Settings from the flags over the -c file; what is not a training's setting (`seeds`) comes back beside them."""
    from augury.core.options import text_from
    from augury.train.engine.settings import Settings, read_config

    values = read_config(options.config) if options.config else {}
    for key in ("augment", "augment2", "strategy", "model"):
        if values.get(key) is not None:
            several = key == "model" or (key != "augment2" and options.run is _compare)
            values[key] = text_from(values[key], f"-c {options.config}: {key}", several=several)
    flags = {key: value for key, value in vars(options).items() if key in Settings.__dataclass_fields__ or key == "seeds"}
    file_seeds = values.pop("seeds", None)
    extra = {"seeds": flags.pop("seeds", file_seeds)}
    Settings.of({"data": "digits", **values}, f"-c {options.config}")
    merged = {**values, **{key: _number(value) for key, value in flags.items()}}
    if "data" not in merged:
        raise InputError("DATA: name the data, for example `augury compare digits --augment none,cutout --output DIR`")
    return Settings.of(merged, "--flags"), extra


def _number(text: Any) -> Any:
    """A flag's text as a number where it is one, so that flags and YAML meet the same check."""
    try:
        return int(text)
    except (TypeError, ValueError):
        try:
            return float(text)
        except (TypeError, ValueError):
            return text


def _whole(value: Any, flag: str, low: int = 1, high: int = 10**6) -> int:
    from typing import Annotated

    from augury.core.options import Interval, convert

    return convert(_number(value), Annotated[int, Interval(low, high)], f"{flag}: {value!r}")


def _train(options: argparse.Namespace) -> None:
    from augury.jobs.tables import cost_line
    from augury.jobs.train import train

    settings, _ = _settings(options)
    result = train(settings, options.output, resume=options.resume, overwrite=options.overwrite, quiet=options.quiet)
    if options.json:
        print(json.dumps(result, indent=1))
        return
    _notes(result)
    _accuracies(result, "test accuracy")
    print(f"cost: {cost_line(result['counts'], result['seconds'])}")
    print(f"report: {options.output / 'report.html'}")


def _compare(options: argparse.Namespace) -> None:
    from augury.jobs.compare import compare
    from augury.jobs.tables import comparison_table

    settings, extra = _settings(options)
    seeds = _whole(3 if extra["seeds"] is None else extra["seeds"], "--seeds", high=1000)
    result = compare(settings, seeds, options.output, resume=options.resume, overwrite=options.overwrite, quiet=options.quiet)
    if options.json:
        print(json.dumps(result, indent=1))
        return
    _notes(result)
    comparison_table(result)
    print(f"report: {options.output / 'report.html'}")


def _evaluate(options: argparse.Namespace) -> None:
    from augury.jobs.evaluate import evaluate
    from augury.jobs.tables import cost_line

    result = evaluate(options.run_folder, data=options.data, data_dir=options.data_dir, device=options.device)
    if options.json:
        print(json.dumps(result, indent=1))
        return
    _notes(result)
    _accuracies(result, f"{result['data']}, {result['images']} test images: accuracy")
    print(f"its training cost: {cost_line(result['counts'])}")


def _preview(options: argparse.Namespace) -> None:
    from augury.jobs.preview import preview

    numbers = {
        name: _whole(getattr(options, name), f"--{name}", 0 if name == "seed" else 1)
        for name in ("images", "draws", "seed", "epoch")
    }
    size = None if options.image_size is None else _whole(options.image_size, "--image-size")
    notes = preview(
        options.data, options.augment, options.output, **numbers, data_dir=options.data_dir, image_size=size,
        overwrite=options.overwrite, model=options.model,
    )  # fmt: skip
    _notes({"notes": notes})
    print(options.output)


def _list(options: argparse.Namespace) -> None:
    from augury.jobs.listing import listing, stages

    if options.pipeline is not None:
        rows = stages(options.pipeline)
        text = [f"{r['stage']:<18} on {r['sees']}" for r in rows]
    else:
        rows = listing()
        wide = max(len(r["name"]) for r in rows)
        text, kind = [], None
        for r in rows:
            text += [f"\n{r['kind']}"] if r["kind"] != kind else []
            text.append(f"  {r['name']:<{wide}}  {r['summary']}  [{r['source']}]")
            kind = r["kind"]
    print(json.dumps(rows, indent=1) if options.json else "\n".join(text).lstrip("\n"))


def _accuracies(result: dict[str, Any], what: str) -> None:
    """A line per network."""
    networks = result["networks"]
    for number, found in enumerate(networks, start=1):
        name = f"network {number} ({found['model']}), " if len(networks) > 1 else ""
        figures = f"{found['accuracy']:.2f} %, top-5 {found['accuracy_top5']:.2f} %, loss {found['loss']:.4f}"
        print(f"{name}{what} {figures}")


def _notes(result: dict[str, Any]) -> None:
    for note in result.get("notes", ()):
        print(f"note: {note}", file=sys.stderr)
