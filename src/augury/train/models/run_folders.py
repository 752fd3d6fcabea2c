"""What a folder of `--output` holds: a finished run, several, one that has not ended, or none."""

from pathlib import Path

from augury.core.errors import InputError


def run_folders(path: Path) -> list[Path]:
    """The folders of the finished runs: all in the folder of a comparison, recommendation, search or patch, else the folder."""
    for place in (path, path / "final", path / "retrained"):
        if inside := sorted(file.parent for file in (place / "runs").glob("*/result.json")):
            return inside
    return [path]


def unfinished(path: Path) -> bool:
    """Whether a command began to write this folder and did not end."""
    return (path / "config.yaml").is_file() and not (path / "result.json").exists()


def no_run(path: Path, where: str, otherwise: str = "") -> InputError:
    """The refusal of a folder that is not that of one finished run. where: the flag or option that names it. otherwise: what could
    be given instead of a run's folder."""
    inside = run_folders(path)
    if inside != [path]:
        runs = "run" if len(inside) == 1 else "runs"
        return InputError(f"{where}: holds {len(inside)} {runs}; name one of them, such as {inside[0]}")
    if unfinished(path):
        return InputError(f"{where}: not finished; run the command that began it again, with --resume")
    return InputError(f"{where}: no finished run here; give the --output folder of `augury train`{otherwise}")
