"""Mutation testing of the parts that everything rests on: `make mutants`, or `python tools/mutants.py [GROUP ...]`.

mutmut changes one expression at a time and runs the tests that reach it; a change that no test notices is a survivor. A group
is a part of Augury with the quick tests that cover it, listed in tests/mutants.toml. So are the survivors that no test can
tell from the original, with the reason; all others are printed, and fewer than 90 % killed is an error.

Four choices of mutmut's are changed here. Functions under a decorator that leaves them functions (`register`, `door`) are
mutated too, since every method of Augury is one. A string is changed once, not into three spellings. An argument becomes None and
is not also left out, which nearly always is a TypeError; `device` and `strict` stay, since tests run on one device and `strict`
guards against what cannot happen. And a `raise` is left alone: its condition is mutated, and tests match what a message must name.

mutmut forks a process for each mutant from one that has imported what the tests import. Here that process has collected the tests
too, so that a mutant costs a fork and the tests that reach it, the quickest first. A group with many mutants names a `sample`: of
every file that many are checked, the same ones each time (the order is a hash of their names), or all with `--all`.
"""

import argparse
import functools
import hashlib
import json
import os
import platform
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import libcst as cst
import pytest
from _pytest.config import _prepareconfig

ROOT = Path(__file__).resolve().parent.parent
LISTED = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text(encoding="utf-8"))
LEAST_KILLED = 0.9
DECORATORS = {"register", "property", "staticmethod", "classmethod", "contextmanager", "door"}
UNSEEN = ("device", "strict")
KILLED = ("killed", "timeout", "segfault", "suspicious")  # suspicious: an exit code that is not pytest's
COPIED = ("src", "tests", "docs", "tools", "pyproject.toml", "README.md", "CONTRIBUTING.md", "CHANGELOG.md")


def main() -> int:
    groups = LISTED["groups"]
    parser = argparse.ArgumentParser(description="Mutation testing of core, strategies, statistics and lowering.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(groups)}; all where none is given")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--all", action="store_true", help="check every mutant, also where a group has a sample")
    parser.add_argument("--again", action="store_true", help="run only what survived before, after tests were added")
    parser.add_argument("--report", action="store_true", help="only list what an earlier run found")
    parser.add_argument("--record", action="store_true", help="write the group's numbers into results/mutants.json")
    args = parser.parse_args()
    for group in args.groups:
        if group not in groups:
            parser.error(f"unknown group {group!r}; known: {', '.join(groups)}")
    if len(args.groups) == 1:
        return one(args.groups[0], args)
    flags = [flag for flag in ("--report", "--again", "--all", "--record") if getattr(args, flag[2:])]
    each = [sys.executable, __file__, "--jobs", str(args.jobs), *flags]
    return max(subprocess.run([*each, group]).returncode for group in args.groups or groups)


def one(group: str, args: argparse.Namespace) -> int:
    """Runs a group in a folder of its own, so that its results are kept for the next run; mutmut works in the current one."""
    folder = ROOT / "build" / "mutants" / group
    folder.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(ROOT / name)
    os.chdir(folder)
    os.environ.update(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    os.environ.pop("PYTHONPATH", None)
    listed = LISTED["groups"][group]
    _configure(listed["files"], [*listed["tests"], *(f"--deselect={test}" for test in listed.get("deselect", ()))])
    _widen()
    if not args.report:
        import mutmut.__main__

        if not sys.stdout.isatty():
            mutmut.ui.terminal.print_status = mutmut.__main__.print_status = mutmut.stats.print_status = _quiet
        _collect_once()
        _sample(None if args.all else listed.get("sample"))
        mutmut.__main__._run(survivors() if args.again else (), args.jobs)
    return report(group, args.record)


def _quiet(*said: object, **how: object) -> None:
    """In place of a line that turns and counts, where nobody looks."""


def _configure(files: list[str], tests: list[str]) -> None:
    from mutmut import configuration

    configuration._config = replace(
        configuration._load_config(),
        source_paths=[Path("src")],
        resolved_mutated_source_paths=[Path.cwd() / "mutants" / "src"],
        only_mutate=files,
        also_copy=[Path(name) for name in COPIED],
        pytest_add_cli_args=["-p", "no:cacheprovider", "-p", "_hypothesis_pytestplugin", "--hypothesis-profile=mutants"],
        timeout_multiplier=3.0,
        timeout_constant=20.0,  # by the wall clock too, on machines that do other work
        pytest_add_cli_args_test_selection=tests,
        process_isolation=configuration.ProcessIsolation.FORKSERVER,  # PyTorch's and numba's threads do not survive a fork
        track_dependencies=False,
    )


def _widen() -> None:
    """The four changes that the head of this file names."""
    from mutmut.mutation import file_mutation, mutators

    visitor = file_mutation.MutationVisitor
    skips, arranged = visitor._skip_node_and_children, file_mutation.function_trampoline_arrangement

    def skip(self: Any, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Raise):
            return True
        if isinstance(node, cst.FunctionDef) and node.decorators and all(_called(d) in DECORATORS for d in node.decorators):
            return node.name.value in file_mutation.NEVER_MUTATE_FUNCTION_NAMES
        return bool(skips(self, node))

    def arrange(function: cst.FunctionDef, mutants: Iterable[Any], class_name: str | None) -> Any:
        if not function.decorators:
            return arranged(function, mutants, class_name)
        before, (trampoline, *others), after, names = arranged(function.with_changes(decorators=[]), mutants, class_name)
        trampoline = trampoline.with_changes(decorators=[*function.decorators, *trampoline.decorators])
        return before, [trampoline, *others], after, names

    def once(node: cst.BaseString) -> Iterator[cst.BaseString]:
        yield from list(mutators.operator_string(node))[:1]

    def replaced(node: cst.Call) -> Iterator[cst.Call]:
        for call in mutators.operator_arg_removal(node):
            changed = [old for old, new in zip(node.args, call.args, strict=False) if old.value is not new.value]
            if len(call.args) == len(node.args) and not any(arg.keyword and arg.keyword.value in UNSEEN for arg in changed):
                yield call

    changed = {mutators.operator_string: once, mutators.operator_arg_removal: replaced}
    visitor._skip_node_and_children = skip
    file_mutation.function_trampoline_arrangement = arrange
    operators = mutators.mutation_operators
    operators[:] = [(kind, changed.get(operator, operator)) for kind, operator in operators]


class _ClearingCaches:
    """Before each test, so that it calls what an earlier one, or the parameters of a test, have called."""

    def pytest_runtest_setup(self) -> None:
        _clear_caches()


def _clear_caches() -> None:
    for name, module in list(sys.modules.items()):
        for value in list(vars(module).values()) if name.startswith("augury.") else ():
            if isinstance(value, functools._lru_cache_wrapper):
                value.cache_clear()


def _collect_once() -> None:
    """Has the process that is forked for each mutant collect the tests, and the mutant's run those it has collected."""
    from mutmut.runners.harness import PytestRunner
    from mutmut.state import state
    from mutmut.utils.file_utils import change_cwd
    from mutmut.workers import isolation

    class Collected(PytestRunner):
        session: pytest.Session | None = None

        def warm_up(self) -> None:
            quiet = ["--rootdir=.", "-q", "-x", "--capture=sys", "--tb=short"]
            with change_cwd("mutants"):
                config = _prepareconfig([*quiet, *self._pytest_add_cli_args, *self._pytest_add_cli_args_test_selection])
                config._do_configure()
                self.session = pytest.Session.from_config(config)
                config.hook.pytest_sessionstart(session=self.session)
                config.hook.pytest_collection(session=self.session)

        def execute_pytest(self, params: list[str], plugins: Sequence[object] = (), **kwargs: Any) -> int:
            return int(super().execute_pytest(params, plugins=[*plugins, _ClearingCaches()], **kwargs))

        def run_tests(self, *, mutant_name: str | None, tests: Iterable[str]) -> int:
            if self.session is None:  # before any mutant: the tests as they are, and a failure on purpose
                self.warm_up()
            assert self.session is not None
            self.held = sys.stdout  # a file that capturing would drop unclosed, which is a warning and so an error
            _clear_caches()
            known = {item.nodeid: item for item in self.session.items}
            items = [known[test] for test in sorted(tests or known, key=lambda test: state().duration_by_test.get(test, 0))]
            with change_cwd("mutants"):
                for item, following in zip(items, [*items[1:], None], strict=True):
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                    if self.session.testsfailed:
                        if mutant_name is None and os.environ.get("MUTANT_UNDER_TEST") != "fail":
                            told = item.config.pluginmanager.getplugin("terminalreporter").stats
                            failures = [each.longreprtext for kind in ("failed", "error") for each in told.get(kind, [])]
                            print(item.nodeid, *failures, sep="\n", file=sys.__stderr__)
                        return 1
            return 0

    isolation.PytestRunner = Collected


def _sample(size: int | None) -> None:
    """Leaves mutmut `size` mutants of every file to check, those whose names have the least hashes."""
    import mutmut.__main__

    every = mutmut.__main__.collect_source_file_mutation_data

    def collect(*, mutant_names: tuple[str, ...]) -> Any:
        mutants, data = every(mutant_names=mutant_names)
        chosen = {name for one in data.values() for name in sorted(one.exit_code_by_key, key=_hashed)[:size]}
        return [mutant for mutant in mutants if mutant_names or mutant[1] in chosen], data

    mutmut.__main__.collect_source_file_mutation_data = collect


def _hashed(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _called(decorator: cst.Decorator) -> str:
    what = decorator.decorator
    name = what.func if isinstance(what, cst.Call) else what
    return name.value if isinstance(name, cst.Name) else ""


def survivors() -> tuple[str, ...]:
    """The mutants that no test of an earlier run noticed."""
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.stats import status_by_exit_code
    from mutmut.utils.file_utils import walk_mutatable_files

    found = []
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        found += [name for name, code in data.exit_code_by_key.items() if status_by_exit_code[code] in ("survived", "no tests")]
    return tuple(found)


def report(group: str, record: bool = False) -> int:
    """Prints what was killed, by file, and the survivors that are not explained; 1 where too few were killed."""
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.stats import status_by_exit_code
    from mutmut.utils.file_utils import walk_mutatable_files

    explained = {(s["file"], line.strip()) for s in LISTED.get("survivors", []) for line in s["lines"]}
    total: Counter[str] = Counter()
    for path in sorted(walk_mutatable_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        found: Counter[str] = Counter()
        for name, code in data.exit_code_by_key.items():
            status = status_by_exit_code[code]
            found["killed" if status in KILLED else status] += 1
            if status in KILLED or status == "not checked":
                continue
            removed, added = _change(name, path)
            if (path.name, added) in explained:
                found["explained"] += 1
            else:
                print(f"{path.name} {name.rpartition('.')[2]} ({status})\n  - {removed}\n  + {added}")
        total += found
        if found:
            print(f"{path}: {_words(found)}")
    print(f"{group}: {_words(total)}")
    if record:
        _record(group, total)
    return int(total["killed"] < LEAST_KILLED * (_checked(total) - total["explained"]))


def _record(group: str, found: Counter[str]) -> None:
    """The group's numbers beside the others'."""
    file = ROOT / "results" / "mutants.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"groups": {}}
    mutants = sum(number for status, number in found.items() if status != "explained")
    known["groups"][group] = {
        "mutants": mutants, "checked": _checked(found), "killed": found["killed"],
        "explained": found["explained"], "python": platform.python_version(), "mutmut": metadata.version("mutmut"),
    }  # fmt: skip
    known |= {
        "what": "Changes of the code that tests notice",
        "command": "python tools/mutants.py --record",
        "seeds": "a hash of names",
    }
    file.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n", encoding="utf-8")


def _change(name: str, path: Path) -> tuple[str, str]:
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    lines = [line for line in get_diff_for_mutant(name, path=path).splitlines() if not line.startswith(("---", "+++", "@@"))]
    removed, added = ([line[1:].strip() for line in lines if line.startswith(sign)] for sign in "-+")
    return " | ".join(removed), " | ".join(added)


def _checked(found: Counter[str]) -> int:
    return sum(number for status, number in found.items() if status not in ("not checked", "explained"))


def _words(found: Counter[str]) -> str:
    checked = _checked(found)
    rest = ", ".join(f"{number} {status}" for status, number in found.items() if status != "killed" and number)
    return f"{found['killed']} of {checked} killed ({found['killed'] / max(1, checked):.1%}){rest and ', '}{rest}"


if __name__ == "__main__":
    sys.exit(main())
