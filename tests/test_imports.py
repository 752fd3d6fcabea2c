"""The house's own rules, read from the source: who may import whom, no global generator, no long module, no heavy start."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from augury.core.devices import constant_when_compiled

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
ROOMS = ["core", "augment", "train", "explain", "adapters", "recipes", "jobs", "cli"]
MODULES = sorted((SOURCE / "augury").rglob("*.py"))
IDS = [str(path.relative_to(SOURCE)) for path in MODULES]
LONGEST = 330


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    """import-linter with the contracts of pyproject.toml on the package in `folder`."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); from importlinter.cli import lint_imports_command as run; run()"
    command = [sys.executable, "-c", code, "--no-cache", "--config", str(ROOT / "pyproject.toml")]
    return subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(folder)})


def test_rooms_and_files_import_only_downwards_and_never_in_a_circle() -> None:
    done = linted(SOURCE)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line"),
    [("augment/inputs.py", "from augury.train import models"), ("augment/forms/warp.py", "from augury.augment.forms import plain")],
    ids=["another room", "a circle"],
)
def test_the_contracts_see_imports_inside_functions(tmp_path: Path, file: str, line: str) -> None:
    # Catches contracts that are not read, and a reader that sees only the top of a file.
    shutil.copytree(SOURCE / "augury", tmp_path / "augury", ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / "augury" / file
    path.write_text(f"{path.read_text(encoding='utf-8')}\n\ndef lazy() -> None:\n    {line}\n", encoding="utf-8")
    done = linted(tmp_path)
    assert done.returncode == 1 and "BROKEN" in done.stdout


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_modules_named_in_strings_lie_in_rooms_below(path: Path) -> None:
    # import-linter does not see the names that importlib is given.
    own = path.relative_to(SOURCE / "augury").parts[0]
    if own not in ROOMS:
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"augury(\.\w+)+", node.value):
            room = node.value.split(".")[1]
            assert room not in ROOMS or ROOMS.index(room) <= ROOMS.index(own), f"line {node.lineno}: {node.value}"


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_modules_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < LONGEST


TORCH_DRAWS = {"rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "normal", "bernoulli"}
TORCH_DRAWS |= {"multinomial", "poisson", "seed", "manual_seed", "set_rng_state", "default_generator"}
IN_PLACE = {"uniform_", "normal_", "random_", "bernoulli_", "exponential_", "cauchy_", "geometric_", "log_normal_"}
NUMPY_FINE = {"default_rng", "Generator", "SeedSequence", "PCG64", "Philox"}


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def global_draws(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every use of a global generator."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, "random") for alias in node.names if alias.name == "random")
        elif isinstance(node, ast.ImportFrom) and node.module in ("random", "numpy.random"):
            yield from ((node.lineno, f"{node.module}.{a.name}") for a in node.names if a.name not in {*NUMPY_FINE, "Random"})
        elif isinstance(node, ast.Call):
            name, given = dotted(node.func), {keyword.arg for keyword in node.keywords}
            head, _, last = name.rpartition(".")
            if head in ("np.random", "numpy.random") and last not in NUMPY_FINE:
                yield node.lineno, name
            if last == "default_rng" and not node.args and not node.keywords:
                yield node.lineno, f"{name} without a seed"
            if head in ("torch", "torch.random", "torch.cuda") and last in TORCH_DRAWS and "generator" not in given:
                yield node.lineno, name
            if last in IN_PLACE and not head.endswith("init") and "generator" not in given:
                yield node.lineno, name
            if last in ("dropout", "shuffle") and head in ("random", "functional", "F"):
                yield node.lineno, name


def forked(tree: ast.AST) -> list[tuple[int, int]]:
    """Line ranges inside `with torch.random.fork_rng(...)`."""
    spans = []
    for node in ast.walk(tree):
        if isinstance(node, ast.With) and any("fork_rng" in ast.unparse(item.context_expr) for item in node.items):
            spans.append((node.lineno, node.end_lineno or node.lineno))
    return spans


SEEDED_BY_THE_ENGINE = {"train/method", "train/engine", "train/models", "train/tanda", "train/translation"}


# The text of programs that run without Augury, and draw as programs of their libraries do.
OTHER_PROGRAMS = "augment/exported/templates"
DRAWING = [p for p in MODULES if {"core", "augment", "train"} & set(p.parts) and OTHER_PROGRAMS not in p.as_posix()]


@pytest.mark.parametrize("path", DRAWING, ids=str)
def test_nothing_uses_a_global_generator(path: Path) -> None:
    # Networks' own noise is seeded and checkpointed by the engine: there, and in models' own layers, it is allowed.
    tree = ast.parse(path.read_text(encoding="utf-8"))
    where = "/".join(path.relative_to(SOURCE / "augury").parts[:2])
    if where in SEEDED_BY_THE_ENGINE:
        allowed = {"torch.random.manual_seed", "torch.manual_seed"} if where != "train/models" else set()
        spans = forked(tree)
        for line, name in global_draws(tree):
            inside = any(first <= line <= last for first, last in spans)
            assert where == "train/models" or inside or name in allowed, f"line {line}: {name}"
        return
    assert not list(global_draws(tree))


@pytest.mark.parametrize(
    "text",
    ["import random", "np.random.rand(3)", "numpy.random.seed(0)", "torch.manual_seed(1)", "torch.rand(3)", "x.uniform_(0, 1)"]
    + ["torch.randperm(4)", "np.random.default_rng()", "from random import shuffle", "from numpy.random import rand"],
)
def test_the_check_of_generators_sees(text: str) -> None:
    assert list(global_draws(ast.parse(text)))


@pytest.mark.parametrize(
    "text", ["torch.rand(3, generator=g)", "np.random.default_rng(0)", "nn.init.normal_(w)", "noise.uniform(3)"]
)
def test_the_check_of_generators_lets_pass(text: str) -> None:
    assert not list(global_draws(ast.parse(text)))


HEAVY = ["torch", "torchvision", "numpy", "scipy", "sklearn", "matplotlib", "numba", "PIL", "pandas"]


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["list", "--json"], ["train", "--help"]], ids=" ".join)
def test_help_and_list_start_without_torch(arguments: list[str]) -> None:
    code = (
        "import sys, json\nfrom augury.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print('\\n' + json.dumps(sorted(set(sys.modules) & set({HEAVY!r}))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(SOURCE), "COLUMNS": "100"}
    )
    assert json.loads(done.stdout.splitlines()[-1]) == []
    assert len(done.stdout) > 200 and not done.stderr


def test_importing_the_package_costs_nothing() -> None:
    code = f"import sys, augury; assert not set(sys.modules) & set({HEAVY!r}); print(augury.__version__)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(SOURCE)}, capture_output=True)


@pytest.mark.parametrize("module", ["evaluate", "train", "predict", "tables"])
def test_commands_start_without_the_compiler(module: str) -> None:
    """torch._dynamo takes a second to import, which is what a decorator of torch.compiler does."""
    unwanted = ["torch._dynamo", "torch._inductor", "sklearn", "torchvision", *(["matplotlib"] if module != "train" else [])]
    code = f"import sys, augury.jobs.{module}; found = set(sys.modules) & set({unwanted!r}); assert not found, found"
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-300:]


def test_constants_of_graphs_are_marked_as_pytorch_marks_them() -> None:
    """Catches a release of PyTorch that marks them otherwise."""
    marked, ours = (mark(lambda: 0) for mark in (torch.compiler.assume_constant_result, constant_when_compiled))
    assert vars(marked) == vars(ours)
