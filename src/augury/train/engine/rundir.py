"""The folder of a run, opened so that no file is lost or half-written."""

import json
import os
import re
from collections.abc import Collection
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from augury.core import plugins, yaml_text
from augury.core.errors import InputError, RunError
from augury.core.files import NotRegularError, read_bytes, read_text
from augury.train.engine.checkpoint import NAME, PREVIOUS, STAGE_ONE, not_written, write_atomically, write_json
from augury.train.engine.lock import Lock, locked
from augury.train.engine.policy_files import by_content, contents, same_policy
from augury.train.engine.pretrained_files import by_hash, hashes, kept_hashes, refuse_changed
from augury.train.engine.settings import HARMLESS, POLICY_FILES, PRETRAINED_FILES, Settings

FILES = (
    "config.yaml", "data.json", "data_files.csv", "result.json", "metrics.jsonl", "predictions.npz", "predictions.csv",
    "report.html", "model.safetensors", NAME, PREVIOUS, STAGE_ONE, "failure.json", "failure.safetensors",
)  # fmt: skip


# The files of a run's second and further networks.
_FURTHER = re.compile(r"model_\d+\.safetensors|predictions_\d+\.(npz|csv)")


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a literal block."""


_Dumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)
)


@dataclass(frozen=True)
class RunDirectory:
    """A folder that holds config.yaml, metrics.jsonl, checkpoints, and, once finished, result.json.

    lock: keeps other processes out of a folder opened for writing, for as long as this object exists.
    """

    path: Path
    lock: Lock | None = field(default=None, repr=False, compare=False)

    @staticmethod
    def open(
        path: Path, config: dict[str, Any], *, overwrite: bool = False, resume: bool = False, may_change: Collection[str] = ()
    ) -> "RunDirectory":
        """Create or reopen the folder and write config.yaml.

        Raises InputError if it cannot be written, if another process uses it, if it holds a run and neither `overwrite` nor
        `resume` is set, if both are, and if a resumed run's settings differ from those given (naming them), except those that do
        not affect the result and those in `may_change`. Overwriting removes only a run's own files.
        """
        refuse_both(resume, overwrite)
        made, files = RunDirectory(path), contents(config)
        weights = hashes(config)
        config = {**config, **({POLICY_FILES: files} if files else {}), **({PRETRAINED_FILES: weights} if weights else {})}
        made._make()
        made = replace(made, lock=locked(path))
        try:
            made._start(config, overwrite, resume, may_change)
        except BaseException:
            made.release()
            raise
        return made

    def _start(self, config: dict[str, Any], overwrite: bool, resume: bool, may_change: Collection[str]) -> None:
        if overwrite:
            self._remove_files()
        old = self.config()
        if old is not None and not resume:
            state = "a finished run" if self.result() is not None else "an unfinished run"
            raise InputError(f"--output {self.path}: holds {state}; add --overwrite to replace it or --resume to continue")
        if old is not None:
            self._compare(old, config, may_change)
        used = plugins.recorded(config)
        if old != config:
            written = {**config, **({"plugins": used} if used else {})}
            write_atomically(self.path / "config.yaml", yaml.dump(written, Dumper=_Dumper, sort_keys=False).encode())

    def release(self) -> None:
        """Unlock the folder for other processes."""
        if self.lock is not None:
            self.lock.release()

    def _compare(self, old: dict[str, Any], config: dict[str, Any], may_change: Collection[str]) -> None:
        """InputError naming the settings that may not change."""
        # A setting that is missing from an older file had its default.
        defaults = {f.name: f.default for f in fields(Settings) if f.default is not MISSING}
        defaults = {k: list(v) if isinstance(v, tuple) else v for k, v in defaults.items()}

        def said(values: dict[str, Any], key: str) -> Any:
            return values.get(key, defaults.get(key))

        kept, files = old.get(POLICY_FILES) or {}, config.get(POLICY_FILES) or {}
        edited = [name for name, text in kept.items() if not same_policy(files.get(name, text), text)]
        # A caller that may change the augmentations handles edited policies itself: a search retrains them.
        if edited and "augment" not in may_change:
            raise InputError(f"--resume: the policy file {edited[0]} was edited since {self.path} was started; restore its text")
        refuse_changed(kept_hashes(old), kept_hashes(config), f"--resume: {self.path}")
        before, now = by_content(old, kept or files), by_content(config, files)
        before, now = by_hash(before, kept_hashes(old)), by_hash(now, kept_hashes(config))
        fixed = {**old, **config}.keys() - HARMLESS - {POLICY_FILES, PRETRAINED_FILES, *may_change}
        changed = sorted(key for key in fixed if said(before, key) != said(now, key))
        if changed:
            words = ", ".join(f"{k} (was {said(old, k)}, now {said(config, k)})" for k in changed)
            raise InputError(f"--resume: {self.path} was started with other settings: {words}; set them back")

    def config(self) -> dict[str, Any] | None:
        """The settings that the run was started with; None if there is no run. InputError if the file is damaged, or if the run
        used a plug-in that is not loaded or another version of one."""
        file = self.path / "config.yaml"
        if not file.exists():
            return None
        try:
            where = f"{file}: damaged"
            config = yaml_text.load(yaml_text.read_text(file, where), where)
        except UnicodeDecodeError:
            config = None
        except OSError as error:
            raise _unreadable(file, error) from None
        except InputError as error:
            raise InputError(f"{error}; put the file back from a copy, or name another folder") from None
        if not isinstance(config, dict):
            raise InputError(f"{file}: damaged; put it back from a copy, or name another folder")
        plugins.check(config.pop("plugins", {}), str(file))
        return config

    def result(self) -> dict[str, Any] | None:
        """The finished run's result; None while it is unfinished."""
        file = self.path / "result.json"
        try:
            return json.loads(read_text(file))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(file, error) from None
        except ValueError:
            raise InputError(f"{file}: damaged; remove it, and --resume writes it again from the last checkpoint") from None

    def metrics(self) -> list[dict[str, Any]]:
        """The epochs logged so far."""
        file = self.path / "metrics.jsonl"
        try:
            lines = read_bytes(file).decode("utf-8", "replace").splitlines()
        except FileNotFoundError:
            lines = []
        except OSError as error:
            raise _unreadable(file, error) from None
        return [row for row in map(_row, lines) if row is not None]

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        write_atomically(self.path / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())

    def append_metrics(self, row: dict[str, Any]) -> None:
        try:
            with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise RunError(f"{self.path}/metrics.jsonl: cannot be written ({error.strerror}); the checkpoint is kept") from None

    def flush_metrics(self) -> None:
        """Flush the appended metrics to the disk."""
        try:
            with open(self.path / "metrics.jsonl", "ab") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise not_written(self.path / "metrics.jsonl", error) from None

    def finish(self, result: dict[str, Any]) -> None:
        """Write result.json, which marks the run as finished, and unlock the folder."""
        write_json(self.path / "result.json", result)
        self.release()

    def clear(self) -> None:
        """Remove a run's own files here and in runs/*; other files stay."""
        self._remove_files()
        self.release()

    def _remove_files(self) -> None:
        for folder in (self.path, *sorted((self.path / "runs").glob("*"))):
            for name in FILES:
                (folder / name).unlink(missing_ok=True)
            for file in folder.glob("*_*"):
                if _FURTHER.fullmatch(file.name):
                    file.unlink()

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            probe = self.path / ".augury-probe"
            probe.touch()
            probe.unlink()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"--output {self.path}: cannot be written ({reason})") from None
        if not os.access(self.path, os.W_OK):
            raise InputError(f"--output {self.path}: cannot be written (permission denied)")


def _unreadable(file: Path, error: OSError) -> InputError:
    if isinstance(error, NotRegularError):
        return InputError(f"{file}: is {error.strerror}; put the file back")
    return InputError(f"{file}: cannot be read ({error.strerror}); make it readable")


def _row(line: str) -> dict[str, Any] | None:
    """A line of metrics; None if it is truncated."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def refuse_both(resume: bool, overwrite: bool) -> None:
    """InputError if both flags are given."""
    if resume and overwrite:
        raise InputError("--resume: given together with --overwrite, which would remove what is to be resumed; leave one out")
