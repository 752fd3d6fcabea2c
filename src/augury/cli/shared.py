"""Shared by several commands: the flags of a training, their conversion, and lines printed about results."""

import argparse
import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from augury.core.errors import InputError
from augury.core.flags import flags_of
from augury.core.text import LONGEST_MESSAGE, Printable, shortened
from augury.core.text_fields import text_fields
from augury.train.engine.settings import POLICY_FILES, PRETRAINED_FILES, Settings

DATA = (
    "digits, cifar10, cifar100, svhn, mnist; a folder with train/ and test/ class folders or with train.npz and test.npz; "
    "a CSV manifest; hf:owner/name"
)
NONE: Mapping[str, str] = MappingProxyType({})
EXAMPLES = {
    "compare": "digits --augment none,cutout", "search": "digits --method randaugment", "patch": "digits_correlation",
}  # fmt: skip
# Seconds from which on a command is not begun at a terminal without --yes.
MOST_SECONDS = 3600
LISTS = ("decay_milestones", "risk_epochs")


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def named_path(text: str) -> Path:
    """A flag's value as a path. An empty one, as an unset shell variable leaves it, is refused: it would mean the current
    folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; name a file or folder (`.` is the current one)")
    return Path(text)


def add_output(parser: argparse.ArgumentParser, config: str = "the config.yaml of an earlier call") -> Any:
    """The flags of a command that writes a folder: where to write, the -c file, and what to print."""
    group = parser.add_argument_group("Output")
    group.add_argument("--output", required=True, type=named_path, metavar="DIR", help="folder for the results")
    group.add_argument(
        "-c", dest="config", type=named_path, metavar="FILE", help=f"read defaults from a YAML file, such as {config}"
    )
    group.add_argument("--overwrite", action="store_true", help="replace what is in --output")
    group.add_argument("--quiet", action="store_true", help="show no progress bar")
    group.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return group


def add_flags(
    parser: argparse.ArgumentParser, kind: type, defaults: Mapping[str, object] = NONE, texts: Mapping[str, str] = NONE
) -> None:
    """The flags of a settings dataclass under their headings, absent unless given.

    defaults: the command's own, where they are not those of the dataclass. texts: other help, where a flag means something
    else here.
    """
    for flag in flags_of(kind, defaults):
        flag = replace(flag, text=texts.get(flag.name, flag.text))
        headed(parser, flag.group).add_argument(flag.option, metavar=flag.value, default=argparse.SUPPRESS, help=flag.help)


def headed(parser: argparse.ArgumentParser, title: str) -> Any:
    """The group of flags under a heading, made where there is none."""
    groups = {group.title: group for group in parser._action_groups}
    return groups.get(title) or parser.add_argument_group(title)


def add_settings(
    parser: argparse.ArgumentParser, defaults: Mapping[str, object] = NONE, texts: Mapping[str, str] = NONE
) -> None:  # fmt: skip
    """DATA, the flags of a training and those of its output; defaults, texts: see `add_flags`."""
    parser.add_argument("data", metavar="DATA", nargs="?", default=argparse.SUPPRESS, help=DATA)
    add_flags(parser, Settings, defaults, texts)
    add_tune(parser)
    output = add_output(parser, "a run's config.yaml")
    output.add_argument("--resume", action="store_true", help="resume the run in --output")


def add_tune(parser: argparse.ArgumentParser) -> None:
    """--tune, which stands for several settings."""
    headed(parser, "Trained weights").add_argument(
        "--tune",
        metavar="probe|finetune|none",
        default=argparse.SUPPRESS,
        help="settings for what --pretrained gives: probe trains the head alone, finetune everything; flags beside it win "
        "(default: finetune with --pretrained)",
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """--workers and --ray, for commands of many trainings."""
    group = parser.add_argument_group("Who trains")
    group.add_argument(
        "--workers",
        metavar="N|auto",
        default="auto",
        help="trainings at the same time, each in a process, on a GPU of its own where there are several (default: auto: on a CPU "
        "one for each core, unless all is done in half a minute)",
    )
    group.add_argument("--ray", metavar="ADDRESS", help="train on a Ray cluster: local, auto or an address")


def add_consent(parser: argparse.ArgumentParser) -> None:
    """--yes, for commands that may take long."""
    groups = {group.title: group for group in parser._action_groups}
    group = groups.get("Output") or parser
    group.add_argument("--yes", action="store_true", help="begin without asking where it will take longer than an hour")


def consent(options: argparse.Namespace) -> Any:
    """Says on stderr how long a command will take. At a terminal, what takes longer than an hour has to be asked for by --yes."""

    def before(estimate: Any) -> None:
        if not options.quiet:
            Printable(sys.stderr).write(f"{estimate.words()}\n")
        if estimate.seconds > MOST_SECONDS and not options.yes and sys.stdin.isatty() and sys.stderr.isatty():
            raise InputError(
                f"--yes: this will take longer than an hour ({estimate.words()}); add the flag to begin, or give fewer --epochs, a "
                "smaller --image-size or --fraction"
            )

    return before


def workers_of(options: argparse.Namespace) -> Any:
    """The `Workers` that the flags name."""
    from augury.train.pools.opened import Workers

    if options.workers == "auto":
        return replace(Workers.of("--workers", 1, options.ray), open=options.ray is None)
    return Workers.of("--workers", parse_int(options.workers, "--workers", high=1000), options.ray)


def add_setting(parser: argparse.ArgumentParser, name: str, **changes: Any) -> None:
    """One flag of a training, in a command that takes few of them."""
    (flag,) = (one for one in flags_of(Settings) if one.name == name)
    parser.add_argument(flag.option, metavar=flag.value, **{"help": flag.help, **changes})


def config_of(path: Path | None, known: Sequence[str]) -> dict[str, Any]:
    """The values of a -c file, empty without one; InputError for an unknown key."""
    from augury.core.registry import unknown
    from augury.train.engine.config_file import read_config
    from augury.train.engine.pretrained_files import hashes, refuse_changed

    values = {} if path is None else read_config(path, ("data", "data_dir", "what", "pretrained"))
    refuse_changed(values.pop(PRETRAINED_FILES, None), hashes(values), f"-c {path}")
    for key in values:
        if key not in known:
            raise InputError(f"-c {path}: {unknown('setting', key, list(known))}")
    return values


def settings_of(
    options: argparse.Namespace, *, several: bool, also: Sequence[str] = ("seeds",), defaults: dict[str, Any] | None = None
) -> tuple[Any, dict[str, Any]]:
    """Settings from `defaults`, the -c file and the flags, each overriding the one before; keys in `also`, which are not
    settings of a training, are returned separately."""
    from augury.core.options import text_from
    from augury.train.engine.config_file import read_config
    from augury.train.engine.policy_files import refuse_edited
    from augury.train.engine.pretrained_files import hashes, refuse_changed
    from augury.train.engine.rundir import refuse_both
    from augury.train.engine.tuning import layered

    refuse_both(options.resume, options.overwrite)
    texts = text_fields(Settings)
    values = read_config(options.config, texts) if options.config else {}
    refuse_edited(values.pop(POLICY_FILES, None), f"-c {options.config}")
    refuse_changed(values.pop(PRETRAINED_FILES, None), hashes(values), f"-c {options.config}")
    for key in ("augment", "augment2", "strategy", "model"):
        if values.get(key) is not None:
            several_names = key == "model" or (key != "augment2" and several)
            values[key] = text_from(values[key], f"-c {options.config}: {key}", several=several_names)
    flags = {k: value for k, value in vars(options).items() if k in Settings.__dataclass_fields__ or k == "tune" or k in also}
    from_file = {key: values.pop(key, None) for key in also}
    extra = {key: flags.pop(key, from_file[key]) for key in also}
    Settings.of({"data": "digits", **{k: v for k, v in values.items() if k != "tune"}}, f"-c {options.config}")
    merged = layered(defaults or {}, values, {key: _value(key, value, texts) for key, value in flags.items()})
    if "data" not in merged:
        command = options.parser.prog
        example = EXAMPLES.get(command.split()[-1], "digits")
        raise InputError(f"DATA: name the data, for example `{command} {example} --output DIR`")
    return Settings.of(merged, "--flags"), extra


def _value(key: str, value: object, texts: Collection[str]) -> Any:
    """A flag's text as the type of its setting."""
    if key in texts:
        return value
    return split_list(value) if key in LISTS or _sides(key, value) else number(value)


def _sides(key: str, value: object) -> bool:
    return key == "image_size" and "," in str(value)


def image_size(text: str | None) -> int | tuple[int, ...] | None:
    """`--image-size` as a side, or as rows and columns."""
    if text is None:
        return None
    sides = tuple(parse_int(part.strip(), "--image-size") for part in text.split(","))
    return sides[0] if len(sides) == 1 else sides


def split_list(text: object) -> list[Any]:
    """The comma-separated values of a flag."""
    return [number(part.strip()) for part in str(text).split(",") if part.strip()]


def flag_values(kind: object, values: Mapping[str, object]) -> dict[str, Any]:
    """Flags' texts as the types of the settings `kind`: text settings stay text, others become numbers where they are numbers."""
    texts = text_fields(kind)
    return {k: number(v) if isinstance(v, str) and k not in texts else v for k, v in values.items() if v is not None}


def number(text: Any) -> Any:
    """A flag's text as a number or boolean where it is one, so that flags and YAML pass the same checks; 1_000 stays text."""
    if isinstance(text, str) and "_" in text:
        return text
    try:
        return int(text)
    except (TypeError, ValueError):
        try:
            return float(text)
        except (TypeError, ValueError):
            return {"true": True, "false": False}.get(text, text)


def parse_int(value: object, flag: str, low: int = 1, high: int = 10**6) -> int:
    from typing import Annotated

    from augury.core.options import Interval, convert

    return convert(number(value), Annotated[int, Interval(low, high)], f"{flag}: {value!r}")


def command_line() -> str:
    """The command as typed, for files that record how they were made."""
    return shlex.join(["augury", *sys.argv[1:]])


def print_accuracies(result: dict[str, Any], what: str) -> None:
    """A line per network."""
    networks, metrics = result["networks"], result.get("test_metrics") or {}
    validation = "validation accuracy"
    if "map" in metrics:  # several labels per image
        what, validation = what.replace("accuracy", "subset accuracy"), "validation subset accuracy"
        said = {"map": "mean average precision", "macro_f1": "macro F1 at 0.5", "auroc": "area under the ROC curve"}
        shown = (f"{title} {metrics[name]:.2f} %" for name, title in said.items() if metrics.get(name) is not None)
        print(f"on the test part: {', '.join(shown)}")
    for number, found in enumerate(networks, start=1):
        name = f"network {number} ({found['model']}), " if len(networks) > 1 else ""
        top5 = "" if found["accuracy_top5"] is None else f"top-5 {found['accuracy_top5']:.2f} %, "
        figures = f"{found['accuracy']:.2f} %, {top5}loss {found['loss']:.4f}"
        print(f"{name}{what} {figures}")
        if "median_last_10" in found:
            print(f"{name}{validation} {_over_epochs(found)}")
    before = result.get("stage_one")
    if before is not None:
        print(f"before refinement, after epoch {before['epoch']}: {what} {before['accuracy']:.2f} %, loss {before['loss']:.4f}")
    if "retrieval" in result:
        found = result["retrieval"]
        ranks = f"rank-1 {found['rank1']:.2f} %, rank-5 {found['rank5']:.2f} %"
        print(f"retrieval: {ranks}, mAP {found['map']:.2f} % ({found['queries']} queries)")


def _over_epochs(found: dict[str, Any]) -> str:
    """The validation accuracies of a training; of one epoch there is one alone."""
    last, best, median, epochs = found.get("last"), found["best"], found["median_last_10"], found.get("epochs", 10)
    if epochs == 1:
        return f"{best:.2f} %"
    shown = f"last {last:.2f} %, " if last is not None else ""
    return f"{shown}best {best:.2f} %, median of the last {min(epochs, 10)} epochs {median:.2f} %"


def print_notes(result: dict[str, Any]) -> None:
    for note in result.get("notes", ()):
        Printable(sys.stderr).write(f"note: {shortened(str(note), LONGEST_MESSAGE)}\n")
