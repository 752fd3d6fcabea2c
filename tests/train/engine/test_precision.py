"""What `--precision auto` comes to: asked for by name, by the environment, or found by a probe that leaves no trace."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from augury.core.errors import InputError
from augury.train.data.dataset import Dataset, load
from augury.train.engine import precision
from augury.train.engine.precision import Precision, precision_of, probe
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.models.build import build

SETTINGS = Settings("digits", model="small_cnn(width=2)", epochs=2, batch_size=50)
CPU = torch.device("cpu")
PIXELS = torch.zeros(4, 1, 32, 32, dtype=torch.uint8)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """No word in the environment, a processor with bfloat16 or without, and what the probe finds on it."""

    def found(single: float, half: float, *, native: bool = True) -> None:
        monkeypatch.delenv("AUGURY_PRECISION", raising=False)
        monkeypatch.setattr(precision, "native", lambda: native)
        monkeypatch.setattr(precision, "probe", lambda *_: (single, half))

    return found


def auto(images: int = 10_000) -> Precision:
    return precision_of(SETTINGS, CPU, build("small_cnn(width=2)", classes=10, channels=1), PIXELS, images)


def test_auto_takes_bfloat16_where_it_is_faster_and_the_training_long_and_says_so(probed: Callable[..., None]) -> None:
    seconds = 2 * precision.LEAST_SECONDS * torch.get_num_threads() / 20_000
    probed(seconds, seconds / 2)
    found = auto()
    assert found.bfloat16 and found.note is not None and "2.0 times as fast as float32" in found.note
    assert auto(images=4000) == Precision(False)  # too short to be worth it
    probed(seconds, 0.9 * seconds)
    assert auto() == Precision(False)
    probed(seconds, seconds / 2, native=False)
    assert auto() == Precision(False)


def test_a_name_is_never_probed_and_the_environment_stands_in_for_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "probe", None)
    monkeypatch.setenv("AUGURY_PRECISION", "bfloat16")
    assert auto() == Precision(True)
    plain = replace(SETTINGS, precision="float32")
    assert precision_of(plain, CPU, build("small_cnn", classes=10, channels=1), PIXELS, 10**9) == Precision(False)
    monkeypatch.setenv("AUGURY_PRECISION", "half")
    with pytest.raises(InputError, match="AUGURY_PRECISION: 'half' is neither float32 nor bfloat16"):
        auto()


def test_the_probe_leaves_no_trace() -> None:
    model = build("resnet20", classes=10, channels=1)
    before, generator = {k: v.clone() for k, v in model.state_dict().items()}, torch.random.get_rng_state()
    single, half = probe(model, PIXELS.shape[1:])
    assert 0 < single < 1 and 0 < half < 1
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert torch.equal(generator, torch.random.get_rng_state()) and all(p.grad is None for p in model.parameters())


def test_a_training_goes_on_in_what_it_began_in(tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a resumed run whose probe finds otherwise on a busier machine."""
    monkeypatch.setenv("AUGURY_PRECISION", "bfloat16")
    whole = prepare(SETTINGS, digits)
    Trainer(whole).run()
    half = Trainer(prepare(SETTINGS, digits))
    half.begin(RunDirectory.open(tmp_path, SETTINGS.dict()))
    half.record(half.train_epoch())
    monkeypatch.setenv("AUGURY_PRECISION", "float32")
    other = prepare(SETTINGS, digits)
    assert whole.bfloat16 and not other.bfloat16
    result = Trainer(other).run(RunDirectory(tmp_path))
    assert any(note.startswith("started in bfloat16 and continued in it") for note in result["notes"])
    for ours, theirs in zip(whole.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
