"""Nothing public reaches a kernel unchecked: what does not fit the images is refused by name, by every back end alike.

Without the checks most of these read or write beyond an array, which ends the process at times and corrupts memory at others.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

import augury
from augury.augment.pipeline import Pipeline
from augury.core.batch import Batch
from augury.core.noise import Noise
from augury.core.targets import Targets

NAMES = (
    "randaugment", "cutmix", "mixup", "cutout", "random_erasing", "grid_mask", "crop+flip", "inaugment", "sample_pairing", "augmix",
    "resized_crop+flip", "gaussian_blur+hue", "keep(cutout)", "keep(randaugment)", "attentive_cutmix", "inaugment+cutmix+normalize",
)  # fmt: skip
FAR = 10**7
# Field, what is put into it, and words of the refusal.
BATCHES = [
    ("size", torch.full((4, 2), 99), "size must lie within the images"),
    ("size", torch.full((4, 2), -1), "size must lie within the images"),
    ("size", torch.tensor([[16, 16]] * 3 + [[16, 17]]), "0..16 columns; got 16 to 17"),
    ("size", torch.full((4, 2), 8.0), "size must be int64"),
    ("size", torch.full((3, 2), 8), "size must have the shape [4, 2]"),
    ("size", [[8, 8]] * 4, "size must be a tensor"),
    ("ids", torch.arange(3), "ids must have the shape [4]"),
    ("ids", torch.arange(4).float(), "ids must be int64"),
    ("ids", None, "ids must be a tensor"),
    ("visits", torch.zeros(5, dtype=torch.int64), "visits must have the shape [4]"),
    ("groups", torch.zeros(5, dtype=torch.int64), "groups must have the shape [4]"),
    ("key", torch.zeros(4), "key must be int64"),
    ("saliency", torch.zeros(4, 3, 3), "saliency must have the shape [4, 16, 16]"),
    ("targets", Targets.of(torch.zeros(3, dtype=torch.int64), 2), "targets must be Targets of 4 rows, got 3"),
    ("targets", torch.zeros(4), "targets must be Targets of 4 rows, got Tensor"),
    ("images", torch.zeros(3, 16, 16, dtype=torch.uint8), "images must be a tensor [B,C,H,W]"),
    ("images", None, "images must be a tensor [B,C,H,W], got NoneType"),
]  # fmt: skip


@pytest.fixture(params=["plain", "numba"])
def on_both(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGURY_BACKEND", request.param)


def batch() -> Batch:
    images = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Batch(images, Targets.of(torch.tensor([0, 1, 2, 3]), 8), torch.arange(4), size=torch.full((4, 2), 16))


def looked_at(whole: Batch) -> Batch:
    """The batch with a map of its images, as a host makes it."""
    return whole.replace(saliency=torch.rand(whole.images[:, 0].shape, generator=torch.Generator().manual_seed(1)))


def built(name: str) -> Pipeline:
    return augury.pipeline(name.replace("normalize", "normalize(mean=[0.5], std=[0.25])"))


@pytest.mark.usefixtures("on_both")
@pytest.mark.parametrize(("field", "value", "words"), BATCHES)
def test_a_batch_that_does_not_fit_its_images_is_refused(field: str, value: object, words: str) -> None:
    for name in ("randaugment", "cutmix"):
        with pytest.raises(augury.InputError) as refused:
            augury.pipeline(name).run(batch().replace(**{field: value}), Noise.of(0, torch.arange(4)))
        assert words in str(refused.value)


def _bad(part: Tensor) -> list[Tensor]:
    """What a trace's entry must not be: rows missing, one dimension less, another type; far away or no number at all."""
    bad: list[Tensor] = [part[:3], part.flatten() if part.ndim > 1 else part[:, None], part.to(torch.complex64)]
    if part.dtype == torch.int64:
        bad += [torch.full_like(part, FAR), torch.full_like(part, -FAR)]
    if part.dtype == torch.float32:
        bad += [torch.full_like(part, float("nan")), torch.full_like(part, float("inf"))]
    return bad


@pytest.mark.usefixtures("on_both")
@pytest.mark.parametrize("name", NAMES)
def test_a_trace_that_does_not_fit_the_batch_is_refused(name: str) -> None:
    """Every entry that `apply` reads, with every kind of harm. A far corner of a patch is none: patches are cut at the border."""
    pipeline, whole = built(name), batch()
    _, traces = pipeline.run(whole, Noise.of(0, whole.ids), saliency=looked_at)
    tried = 0
    for number, trace in enumerate(traces):
        assert trace is not None
        for entry, part in trace.items():
            last = re.split("[./]", entry)[-1]
            if last in ("strength", "choice") or part.numel() == 0:  # kept to be shown; not applied
                continue
            for bad in _bad(part):
                if last == "corner" and bad.dtype == torch.int64 and bad.shape == part.shape:
                    continue
                with pytest.raises(augury.InputError, match="trace: "):
                    pipeline.apply(whole, [*traces[:number], {**trace, entry: bad}, *traces[number + 1 :]])
                tried += 1
            if last == "large":
                continue
            with pytest.raises(augury.InputError, match="trace: has no"):
                pipeline.apply(whole, [*traces[:number], {k: v for k, v in trace.items() if k != entry}, *traces[number + 1 :]])
    assert tried >= 9


@pytest.mark.usefixtures("on_both")
@pytest.mark.parametrize("extra", [[], [None, None, None], "trace", None])
def test_a_trace_of_another_pipeline_is_refused(extra: object) -> None:
    with pytest.raises(augury.InputError, match="one entry for each of 2 stages|traces.* must be a list"):
        augury.pipeline("crop+flip").apply(batch(), extra)  # type: ignore[arg-type]


@pytest.mark.usefixtures("on_both")
def test_far_corners_of_patches_only_leave_the_image_as_it_is() -> None:
    pipeline, whole = augury.pipeline("inaugment"), batch()
    _, (trace,) = pipeline.run(whole, Noise.of(0, whole.ids))
    assert trace is not None
    for far in (FAR, -FAR):
        done = pipeline.apply(whole, [{**trace, "corner": torch.full_like(trace["corner"], far)}])
        off = pipeline.apply(whole, [{**trace, "on": torch.zeros_like(trace["on"])}])
        assert torch.equal(done.images, off.images)


SCRIPT = """
import torch, augury
images = torch.arange(2 * 3 * 16 * 16).reshape(2, 3, 16, 16).remainder(256).to(torch.uint8)
print(int((augury.pipeline("flip+randaugment")(images).long() * torch.arange(16)).sum()))
"""


def _installed(folder: Path) -> Path:
    """A copy of the package into which nothing can be written, not even by root: files lie where folders would have to be."""
    source, copy = Path(augury.__file__).parent, folder / "site" / "augury"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for inner in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
        (inner / "__pycache__").write_text("")
    (folder / "home").write_text("")
    return copy.parent


def _run(source: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA", "AUGURY", "XDG"))}
    clean |= {"PYTHONPATH": str(source), "HOME": str(source.parent / "home"), **environment}
    return subprocess.run([sys.executable, "-c", SCRIPT], env=clean, capture_output=True, text=True, check=True)


def test_a_read_only_installation_serves_without_kernels(tmp_path: Path) -> None:
    site = _installed(tmp_path)
    done = _run(site, AUGURY_BACKEND="plain")
    assert int(done.stdout) and done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("unusable", [{}, {"NUMBA_CACHE_DIR": "/proc/nothing"}])
def test_without_a_place_for_compiled_kernels_the_bits_are_the_same(unusable: dict[str, str], tmp_path: Path) -> None:
    """The usual container: the package cannot be written, and there is no home."""
    site = _installed(tmp_path)
    plain, compiled = _run(site, AUGURY_BACKEND="plain"), _run(site, **unusable)
    assert compiled.stdout == plain.stdout and plain.stderr == ""
    assert compiled.stderr.count("compiled kernels cannot be kept") == 1 and compiled.stderr.count("\n") == 1


@pytest.mark.slow
def test_conformance_holds_in_kernels_that_check_every_index() -> None:
    """A kernel that reads or writes beside an array raises IndexError there, and is seen by nobody elsewhere."""
    environment = {**os.environ, "AUGURY_BOUNDS_CHECK": "1", "AUGURY_BACKEND": "numba"}
    tests = [str(Path(__file__).parents[1] / "conformance")]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not slow", *tests]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


def test_bounds_are_checked_where_that_is_asked() -> None:
    script = (
        "import numpy as np\nfrom augury.augment.forms import numba_regions as r\n"
        "a = np.zeros((1, 1, 4, 4), np.uint8)\nr.cut(a, a.copy(), np.array([7]), np.array([[0, 0, 4, 4]]))"
    )
    environment = {**os.environ, "AUGURY_BOUNDS_CHECK": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert "IndexError" in done.stderr
