"""The command line: parse, call, print. Heavy imports wait until a command needs them.

A command is a file of this package with HELP, add(parser) and run(options).
"""

import argparse
import io
import os
import sys
from contextlib import redirect_stdout
from importlib import import_module
from typing import Any, NoReturn

from rich_argparse import RichHelpFormatter

from augury import __version__
from augury.core.errors import InputError, RunError
from augury.core.memory import prepare_for_training
from augury.core.text import LONGEST_MESSAGE, Printable, printable, shortened

# Flags whose value is a list with commas.
LISTS = frozenset({
    "--augment", "--strategy", "--model", "--what", "--ids", "--rows", "--controls", "--functions", "--operations",
    "--decay-milestones", "--risk-epochs", "--candidates",
})  # fmt: skip
COMMANDS = (
    "list", "preview", "train", "compare", "recommend", "evaluate", "predict", "diagnose", "search", "patch", "export", "policy",
    "verify", "bench", "doctor", "reproduce", "theory",
)  # fmt: skip

# Commands that train, and keep the memory they free for the next step.
TRAINING = frozenset({"train", "compare", "recommend", "search", "patch", "reproduce"})


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit status: 0 done, 1 failed while running, 2 input refused, 130 interrupted."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest:
        options.parser.refuse_flag(rest[0])
    if isinstance(sys.stdout, io.TextIOWrapper):  # what an alphabet lacks is written out, by Rich's tables too
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with redirect_stdout(Printable(sys.stdout)):
            _load_plugins(options.plugin)
            if options.trains:
                prepare_for_training()
            options.run(options)
        return 0
    except InputError as error:
        return _report_error(options, error, 2)
    except RunError as error:
        return _report_error(options, error, 1)
    except KeyboardInterrupt as error:
        kept = "; the work done so far is kept, and --resume continues it" if hasattr(options, "resume") else ""
        return _report_error(options, f"interrupted{kept}", 130, error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (MemoryError, ImportError, OSError, RuntimeError) as error:
        if _lacks_memory(error):
            kept = "; the work done so far is kept, and --resume continues it" if hasattr(options, "resume") else ""
            words = f"not enough memory or address space{kept}; raise the limit (ulimit -v, the job's limits) or ask for less"
            return _report_error(options, words, 1, error)
        if _another_ended(error):
            return _report_error(options, "another process of this training has ended; its own message says why", 1, error)
        if isinstance(error, PermissionError):
            return _report_error(options, f"{error.filename}: {error.strerror}; make it readable and writable", 2, error)
        return _report_error(options, f"unexpected {type(error).__name__}: {error}; --debug shows the traceback", 1, error)
    except Exception as error:
        return _report_error(options, f"unexpected {type(error).__name__}: {error}; --debug shows the traceback", 1, error)


def _report_error(options: argparse.Namespace, message: object, code: int, error: BaseException | None = None) -> int:
    if options.debug and isinstance(error or message, BaseException):
        raise error or message  # type: ignore[misc]
    words = shortened(printable(" ".join(str(message).split())), LONGEST_MESSAGE - len("augury: "))
    Printable(sys.stderr).write(f"augury: {words}\n")
    return code


def _lacks_memory(error: BaseException) -> bool:
    """Whether the system refused memory: to Python, to a library that was being loaded, or to a thread."""
    said = ("failed to map segment", "cannot allocate memory", "can't allocate memory", "start new thread", "mmap")
    return isinstance(error, MemoryError) or any(words in str(error) for words in (*said, "Cannot allocate memory"))


def _another_ended(error: BaseException) -> bool:
    """Whether, under torchrun, the communication failed since another process is gone."""
    together = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return together and any(words in str(error) for words in ("closed by peer", "reset by peer", "closed by remote peer"))


def _load_plugins(given: list[str]) -> None:
    if given:
        from augury.core.plugins import load_plugin

        for plugin in given:
            load_plugin(plugin)


class _Value(argparse.Action):
    """Stores a flag's value. A repeated list flag extends its list; any other repeated flag is refused."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:  # fmt: skip
        if option is not None and _given(namespace, self.dest):
            if not (LISTS & set(self.option_strings) and isinstance(values, str)):
                parser.error(f"{option} is given twice; keep one of them")
            values = f"{getattr(namespace, self.dest)},{values}"
        setattr(namespace, self.dest, values)


def _given(namespace: argparse.Namespace, name: str) -> bool:
    """Whether a flag was given before; marks it as given."""
    given = vars(namespace).setdefault("given", set())
    found = name in given
    given.add(name)
    return found


class Help(RichHelpFormatter):
    """Coloured on a terminal, plain elsewhere; brackets in help texts are literal, not markup."""

    group_name_formatter = str
    help_markup = False
    text_markup = False


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line, with the nearest flag; refuses to overwrite one value of a repeated flag with another."""

    def __init__(self, *names: Any, **options: Any) -> None:
        super().__init__(*names, **options)
        for action in (None, "store"):  # argument groups look it up here too
            self.register("action", action, _Value)

    def error(self, message: str) -> NoReturn:
        from augury.core.registry import unknown

        if "argument COMMAND: invalid choice" in message:
            message = unknown("command", message.split("'")[1], [*COMMANDS])
        words = shortened(printable(" ".join(message.split())), LONGEST_MESSAGE - 100)
        self.exit(2, f"augury: {words} (see `{self.prog} --help`)\n")

    def refuse_flag(self, text: str) -> NoReturn:
        from augury.core.registry import unknown

        flags = sorted({flag for action in self._actions for flag in action.option_strings})
        if not text.startswith("-"):
            self.error(f"unexpected argument {text!r}; quote names that contain brackets or spaces")
        self.error(unknown("flag", text.split("=")[0], flags))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="augury",
        description="Finds, applies and evaluates image augmentation for classifiers.",
        allow_abbrev=False,
        formatter_class=Help,
    )
    parser.add_argument("--version", action="version", version=f"augury {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in COMMANDS:
        command = import_module(f"augury.cli.{name}")
        made = commands.add_parser(
            name, help=command.HELP, description=f"{command.HELP[0].upper()}{command.HELP[1:]}.", allow_abbrev=False,
            formatter_class=Help,
        )  # fmt: skip
        made.set_defaults(run=command.run, parser=made, trains=name in TRAINING)
        command.add(made)
        made.add_argument("--debug", action="store_true", help="show the traceback of an error")
        made.add_argument(
            "--plugin", action="append", default=[], metavar="FILE|MODULE",
            help="load a plug-in from a Python file or module; may be repeated (docs/plugins.md)",
        )  # fmt: skip
        made.usage = _usage(made)
    return parser


def _usage(parser: argparse.ArgumentParser) -> str:
    """The required arguments only, since a line of dozens of flags is unreadable."""
    words = []
    for action in parser._actions:
        if not action.option_strings:
            words.append(
                f"[{action.metavar}]"
                if action.nargs == "?"
                else f"[{action.metavar} ...]"
                if action.nargs == "*"
                else str(action.metavar)
            )
        elif action.required:
            words.append(f"{action.option_strings[0]} {action.metavar}")
    return " ".join(["%(prog)s", *words, "[options]"])
