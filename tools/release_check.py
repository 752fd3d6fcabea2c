"""Build the package as it would be released and try it where nothing else of Augury is: `make release-check`.

The wheel and the source distribution are built twice from the files under version control, and both must be the same bytes.
The wheel is then installed into empty environments, with the oldest torch that pyproject.toml allows and with the newest that pip
offers. There a type checker must see the types, the commands must answer, and a part of the tests, taken from the source
distribution without its sources, must pass.

`--quick` (`make package-quick`) needs no network and no other Python: it installs the wheel, without dependencies, beside this
environment's packages, and leaves the tests out.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
# What is tested with which torch: the oldest Python with the oldest, the others with the newest.
TRIED = (("3.11", "oldest"), ("3.11", "newest"), ("3.12", "newest"), ("3.13", "newest"))
# Quick tests that cover every operation, policy and strategy, and read nothing but the package.
TESTS = (
    "tests/conformance",
    "tests/reference",
    "tests/core",
    "tests/augment/test_front_door.py",
    "tests/train/engine/test_engine.py",
)
TEST_NEEDS = ("pytest>=8", "hypothesis>=6.100")
VERSIONS = """
import json, platform
from importlib.metadata import version
versions = {name: version(name) for name in ("torch", "torchvision", "numpy", "numba")}
print(json.dumps({"python": platform.python_version(), **versions}))
"""
COMMANDS = (("--version",), ("list",), ("train", "digits", "--epochs", "1", "--quiet", "--output", "run"))
# Passes only if a checker sees the signatures, and fails at the wrong call alone.
TYPED = "import augury\nreveal_type(augury.ops.rotate(degrees=3))\naugury.ops.rotate(degrees='thirty')\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the package twice and try it in empty environments.")
    parser.add_argument("--quick", action="store_true", help="build and install beside this environment's packages; no tests")
    parser.add_argument(
        "--python", action="append", default=[], metavar="PATH", help="an interpreter that is not on the PATH; repeat"
    )
    parser.add_argument("--only", metavar="PYTHON,TORCH", help='one environment, such as "3.11,oldest"')
    parser.add_argument("--tests", action="append", metavar="PATH", help="other tests than the quick ones")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write what was tried, with versions and durations, as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="augury-release-") as name:
        folder = Path(name)
        wheel, source = built(folder, isolated=not args.quick)
        if args.quick:
            with step("installed beside this environment's packages"):
                python = beside(folder / "environment", wheel)
                answers(python, folder, commands=COMMANDS[:2])
                typed(python, folder)
            return 0
        rows, failed, skipped = tried(folder, wheel, source, args)
    if args.output:
        found = {"command": " ".join(sys.argv), "machine": platform.platform(), "cores": os.cpu_count()}
        found |= {"environments": rows, "failed": failed, "not_tried": skipped}
        args.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for each in skipped:
        print(f"not tried: {each}")
    print(f"{len(rows)} environments passed, {len(failed)} failed, {len(skipped)} not tried")
    return 1 if failed or not rows else 0


class step:
    """A part of the check: says what it is and how long it took."""

    def __init__(self, words: str) -> None:
        self.words = words

    def __enter__(self) -> None:
        self.start = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        print(f"{'FAILED' if kind else 'ok'}: {self.words} ({time.monotonic() - self.start:.0f} s)", flush=True)


def run(command: list[str | Path], folder: Path, **variables: str) -> str:
    """What a command printed; SystemExit with its last lines if it failed. No variable leads it to this checkout."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={**environment, **variables})
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def built(folder: Path, *, isolated: bool) -> tuple[Path, Path]:
    """The wheel and the source distribution, of which two builds in two folders gave the same bytes."""
    with step("two builds of the wheel and of the source distribution are the same bytes"):
        found = []
        for number in ("first", "second"):
            copy, output = folder / number / "source", folder / number / "built"
            copied(copy)
            run([sys.executable, "-m", "build", *([] if isolated else ["--no-isolation"]), "--outdir", output, copy], folder)
            found.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(output.iterdir())})
        if found[0] != found[1]:
            raise SystemExit(f"two builds differ: {found}")
    for name, digest in found[0].items():
        print(f"    {digest}  {name}")
    (wheel,), (source,) = output.glob("*.whl"), output.glob("*.tar.gz")
    return wheel, source


def copied(folder: Path) -> None:
    """The files under version control, without what lies beside them; all files where there is no repository."""
    if (ROOT / ".git").exists():
        names = run(["git", "ls-files", "-z"], ROOT).split("\0")[:-1]
    else:
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file()]
    for name in names:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)


def tried(
    folder: Path, wheel: Path, source: Path, args: argparse.Namespace
) -> tuple[list[dict[str, object]], list[str], list[str]]:
    """A row for each environment that passed, those that failed, and those that were not tried."""
    here = interpreters(args.python)
    rows, failed, skipped = [], [], []
    for version, torch in TRIED:
        if args.only and args.only != f"{version},{torch}":
            continue
        if version not in here:
            skipped.append(f"Python {version} with the {torch} torch: no such interpreter; name one with --python PATH")
            continue
        place = folder / f"{version}-{torch}"
        try:
            with step(f"Python {version} with the {torch} torch"):
                rows.append(passed(here[version], torch, wheel, source, place, args.tests or TESTS))
        except SystemExit as error:  # the others are tried all the same: each takes minutes
            print(error, flush=True)
            failed.append(f"Python {version} with the {torch} torch")
        shutil.rmtree(place)
    return rows, failed, skipped


def interpreters(given: list[str]) -> dict[str, str]:
    """By version, an interpreter that starts: those given, this one, and those on the PATH."""
    found: dict[str, str] = {}
    for python in [*given, sys.executable, *(f"python{version}" for version in PYTHONS)]:
        try:
            code = "import sys; print('%d.%d' % sys.version_info[:2])"
            version = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            if python in given:
                raise SystemExit(f"--python {python}: does not start") from None
            continue
        found.setdefault(version, python)
    return found


def passed(base: str, torch: str, wheel: Path, source: Path, folder: Path, tests: Sequence[str]) -> dict[str, object]:
    """What was found in an environment that holds the wheel, what it requires, and what its tests need."""
    folder.mkdir()
    start = time.monotonic()
    run([base, "-m", "venv", folder / "environment"], folder)
    python = folder / "environment" / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "--no-compile"]  # most of torch is never imported
    run([*install, wheel, *(oldest() if torch == "oldest" else ())], folder)
    run([python, "-m", "pip", "check"], folder)
    answers(python, folder, commands=COMMANDS)
    run([*install, *TEST_NEEDS], folder)
    typed(python, folder)
    installed = time.monotonic()
    with tarfile.open(source) as archive:
        archive.extractall(folder, filter="data")
    (apart,) = folder.glob("augury-*")
    shutil.rmtree(apart / "src")  # what is tested is what was installed
    shown = run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests], apart, OMP_NUM_THREADS="1")
    row = json.loads(run([python, "-c", VERSIONS], folder))
    row |= {
        "tests": re.sub(r" in .*", "", shown.strip().splitlines()[-1].strip("= ")),
        "install_s": round(installed - start),
        "tests_s": round(time.monotonic() - installed),
    }
    print(f"    {row}", flush=True)
    return row


def oldest() -> list[str]:
    """The lowest torch and torchvision that pyproject.toml allows."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    floors = dict(each.split(">=") for each in listed)
    return [f"{name}=={floors[name]}.*" for name in ("torch", "torchvision")]


def beside(folder: Path, wheel: Path) -> Path:
    """The interpreter of an environment that holds the wheel and sees this environment's packages, but not this checkout."""
    run([sys.executable, "-m", "venv", "--without-pip", folder], folder.parent)
    site = next((folder / "lib").glob("python*")) / "site-packages"
    own = [path for path in sys.path if path.endswith("site-packages")]
    (site / "beside.pth").write_text("\n".join(own) + "\n", encoding="utf-8")  # .pth files there are not followed
    run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", site, wheel], folder)
    return folder / "bin" / "python"


def answers(python: Path, folder: Path, commands: tuple[tuple[str, ...], ...]) -> None:
    """The commands answer, from the installed package."""
    place = run([python, "-c", "import augury; print(augury.__file__)"], folder).strip()
    if folder not in Path(place).parents:
        raise SystemExit(f"{place} was imported, not the installed package")
    for command in commands:
        run([python, "-m", "augury", *command], folder)


def typed(python: Path, folder: Path) -> None:
    """A type checker sees the types of the installed package: the file `py.typed` and the signatures in the stubs."""
    (folder / "use.py").write_text(TYPED, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        os.devnull,
        "--python-executable",
        python,
        "--follow-imports",
        "silent",
    ]
    done = subprocess.run([*command, "use.py"], cwd=folder, capture_output=True, text=True)
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    if "augury.augment.pipeline.Pipeline" not in done.stdout or len(errors) != 1 or not errors[0].startswith("use.py:3:"):
        raise SystemExit(f"the types are not seen:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
