"""`augury doctor`: what works on this machine, tried rather than looked up, and what to do about what does not."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import requires
from pathlib import Path
from typing import Any, Literal

import torch

from augury.augment.forms.backends import available
from augury.core import registry, warmup
from augury.explain.fidelity.agreement import CHAINS, differing_chains, differing_operations
from augury.jobs.environment import environment, installed_version
from augury.train.engine.precision import native
from augury.train.engine.settings import Settings

State = Literal["ok", "note", "failed"]
_OPTIONAL = re.compile(r"(?P<package>[\w.-]+).*;.*extra == ['\"](?P<extra>\w+)['\"]")


@dataclass(frozen=True)
class Check:
    """One thing that was tried. note: it works otherwise or is absent, which `detail` explains; failed: it does not work."""

    name: str
    state: State
    detail: str


def doctor(*, quick: bool = False) -> dict[str, Any]:
    """Every check, in the order in which it is printed; `ok` if none failed. quick: without trying every operation."""
    checks = [*_machine(), *_kernels("numba", "cpu", quick), *_gpu(quick), *_compiler(), *_places(), *_extras()]
    return {
        "version": 1,
        "ok": all(check.state != "failed" for check in checks),
        "environment": environment(),
        "checks": [asdict(check) for check in checks],
    }


def _machine() -> Iterator[Check]:
    found = environment()
    named = ("augury", "torch", "torchvision", "numpy", "pillow", "python")
    yield Check("versions", "ok", ", ".join(f"{name} {found[name]}" for name in named))
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Check("processor", "ok", f"{found['device']}, {usable} of them usable, {torch.get_num_threads()} threads in PyTorch")
    half = "bfloat16 where a probe finds it faster" if native() else "float32"
    yield Check("precision on the CPU", "ok", f"--precision auto takes {half}")


def _kernels(backend: str, device: str, quick: bool) -> Iterator[Check]:
    """Whether compiled kernels are there, and give the plain back end's bits."""
    if not available(backend):
        yield Check(backend, "note", f"not installed; images are augmented by PyTorch, more slowly; pip install {backend}")
        return
    if backend == "numba" and not warmup.ready():
        yield Check("numba kernels", "note", "not compiled yet; the checks below compile what they need, once for this machine")
    tried = [("chains in one pass", len(CHAINS), differing_chains)]
    if not quick:
        tried.append(("operations", len(registry.names("op")), differing_operations))
    for name, count, differing in tried:
        found = differing(backend, device)
        title = f"{name}, {backend} on {device}"
        if found:
            first, seen = next(iter(found.items()))
            use = "AUGURY_BACKEND=plain works without compiled kernels"
            yield Check(
                title, "failed", f"{len(found)} of {count} differ from the plain back end, the first {first}: {seen}; {use}"
            )
        else:
            yield Check(title, "ok", f"{count} of {count} give the plain back end's bits")


def _gpu(quick: bool) -> Iterator[Check]:
    if not torch.cuda.is_available():
        other = next((name for name in ("mps", "xpu") if _has(name)), None)
        words = f"{other}: draws are made on the CPU, pixels stay on the device" if other else "none; everything runs on the CPU"
        yield Check("GPU", "note", words)
        return
    for number in range(torch.cuda.device_count()):
        major, minor = torch.cuda.get_device_capability(number)
        name, runtime = torch.cuda.get_device_name(number), torch.version.cuda
        yield Check(f"GPU {number}", "ok", f"{name}, capability {major}.{minor}, CUDA {runtime}")
    yield from _kernels("plain", "cuda", quick)
    yield from _kernels("triton", "cuda", quick)
    yield _captured()


def _has(device: str) -> bool:
    return bool(torch.backends.mps.is_available() if device == "mps" else torch.xpu.is_available())


def _captured() -> Check:
    """A training whose steps are captured in a CUDA graph against one whose steps are not."""
    from augury.jobs.train import train

    losses = []
    for capture in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings(data="digits", model="small_cnn", epochs=2, device="cuda", precision="float32", capture=capture)
            result = train(settings, Path(folder), quiet=True) or {}
            losses.append(result["loss"])
    if losses[0] == losses[1]:
        return Check("captured steps", "ok", "a training with steps in a CUDA graph ends as one without")
    return Check("captured steps", "failed", f"test loss {losses[0]} captured, {losses[1]} not; --capture false works without")


def _compiler() -> Iterator[Check]:
    found = next((name for name in (os.environ.get("CXX"), "g++", "clang++", "cl") if name and shutil.which(name)), None)
    if found:
        yield Check("C++ compiler", "ok", f"{found}; torch.compile can be used on the CPU")
    else:
        yield Check("C++ compiler", "note", "none; torch.compile on the CPU needs one, nothing else does")


def _places() -> Iterator[Check]:
    folder = warmup.cache_folder()
    if folder is None:
        yield Check(
            "cache of kernels", "note", "no folder can be written; each process compiles anew; set NUMBA_CACHE_DIR to one that can"
        )
    else:
        yield Check("cache of kernels", "ok", str(folder))
    shared = Path("/dev/shm")
    if shared.is_dir():
        free = shutil.disk_usage(shared).free / 2**20
        state: State = "ok" if free > 256 else "note"
        advice = "" if state == "ok" else "; decoding processes may need more (docker run --shm-size 1g), or --decode-workers 0"
        yield Check("shared memory", state, f"{free:,.0f} MB free in {shared}{advice}")


def _extras() -> Iterator[Check]:
    """The optional libraries that a user may want, by the package's own metadata."""
    found: dict[str, dict[str, str | None]] = {}
    for requirement in requires("augury") or []:
        if (optional := _OPTIONAL.match(requirement)) and optional["extra"] not in ("dev", "docs"):
            found.setdefault(optional["extra"], {})[optional["package"]] = installed_version(optional["package"])
    for extra, versions in found.items():
        if missing := [name for name, number in versions.items() if number is None]:
            yield Check(f"extra {extra}", "note", f"{', '.join(missing)} not installed; pip install 'augury[{extra}]'")
        else:
            yield Check(f"extra {extra}", "ok", ", ".join(f"{name} {number}" for name, number in versions.items()))
