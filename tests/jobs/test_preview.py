"""Previews show again exactly what a training saw, and the images its network does worst on."""

import re
from pathlib import Path

import pytest
import torch

from augury.cli import main
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.options import parse_chain
from augury.jobs.preview import Request, preview
from augury.jobs.runs import open_run
from augury.jobs.sheets import History, draw, rows_with
from augury.jobs.shown import history_of, rows_of, shown_of
from augury.train.data.dataset import load
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.method.views import StepViews


@pytest.mark.parametrize("augment", ["crop+randaugment+cutout(8)", "mixup", "crop+cutmix+rotate"])
def test_a_preview_is_what_the_training_saw(augment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Catches another order of batches, another epoch's draws, or partners from the sheet instead of the batch.
    seen: dict[tuple[int, int], torch.Tensor] = {}
    original = StepViews.__call__

    def noted(self: StepViews, view: int = 0, pipeline: int = 0, stream: str = "train") -> object:
        batch = original(self, view, pipeline, stream)
        for number, image in zip(batch.ids.tolist(), batch.images, strict=True):
            seen[self.clock.epoch, number] = image
        return batch

    monkeypatch.setattr(StepViews, "__call__", noted)
    settings = Settings.of({"data": "digits", "augment": augment, "epochs": 2, "seed": 3, "batch_size": 50}, "test")
    dataset = load("digits")
    training = prepare(settings, dataset)
    Trainer(training).run()
    rows = rows_with(dataset, [int(dataset.train.ids[5]), int(dataset.train.ids[77])])
    again = draw(dataset, parse_chain(augment, "test"), rows, 2, seed=3, history=History(50, 2))
    for epoch in range(2):
        for place, row in enumerate(rows.tolist()):
            trained = training.method.normalize.restore(seen[epoch, int(dataset.train.ids[row])][None])[0]
            assert again.after[epoch][place].equal(trained)


def test_epochs_that_differ_in_nothing_are_shown_once() -> None:
    dataset = load("digits")
    rows = rows_with(dataset, dataset.train.ids[:3].tolist())
    plain, drawn = (draw(dataset, parse_chain(text, "test"), rows, 6) for text in ("none", "crop"))
    assert plain.headings == ["every epoch"] and len(plain.after) == len(plain.captions) == 1
    assert plain.after[0].equal(plain.before) and len(drawn.after) == len(drawn.headings) == 6


@pytest.mark.parametrize(
    ("strategy", "more"),
    [
        ("adversarial_autoaugment(policies=2,lr=0.05)", {}),
        ("uncertainty(candidates=2)", {}),
        ("uda(ratio=2,weak=crop)", {"labels": 100}),
        ("augmix_jsd", {"augment2": "crop+augmix"}),
        ("ait", {"augment2": "rotate"}),
    ],
)
def test_pictures_of_a_strategy_are_what_its_steps_read(
    strategy: str, more: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Catches pictures of the augmentation alone, of another epoch's policies, or of another stream's or view's draws.
    seen: dict[tuple[int, int, int, str, int], torch.Tensor] = {}
    original = StepViews.__call__

    def noted(self: StepViews, view: int = 0, pipeline: int = 0, stream: str = "train") -> Batch:
        batch = original(self, view, pipeline, stream)
        first = self._batches[stream].visits
        for place, (number, image) in enumerate(zip(batch.ids.tolist(), batch.images, strict=True)):
            if first is None or first[place] == 0:
                seen.setdefault((self.clock.epoch, view, pipeline, stream, number), image)
        return batch

    monkeypatch.setattr(StepViews, "__call__", noted)
    values = {"data": "digits", "augment": "crop+rotate", "strategy": strategy, "epochs": 2, "seed": 3, "batch_size": 50, **more}
    settings, dataset = Settings.of(values, "test"), load("digits")
    directory = RunDirectory.open(tmp_path / "run", settings.dict())
    training = prepare(settings, dataset)
    Trainer(training).run(directory)
    shown = shown_of(settings, dataset, directory.path)
    assert not shown.plain
    rows = rows_of(settings, dataset, 3)
    drawn = draw(dataset, shown, rows, 2, seed=3, history=history_of(settings, dataset, shown))
    assert len(drawn.after) == 2 * len(training.strategy.seen)
    for column, (epoch, each) in enumerate((epoch, each) for epoch in range(2) for each in training.strategy.seen):
        found = 0
        for place, row in enumerate(rows.tolist()):
            image = seen.get((epoch, each.view, each.pipeline, each.stream, int(dataset.train.ids[row])))
            if image is not None:  # of unlabelled images only some come in so few steps
                assert drawn.after[column][place].equal(training.method.normalize.restore(image[None])[0])
                found += 1
        assert found or each.stream == "unlabelled"


def test_worst_images_are_those_of_highest_loss_with_their_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, sheet = tmp_path / "run", tmp_path / "sheet.png"
    assert main(["train", "digits", "--epochs", "2", "--augment", "crop", "--output", str(run), "--quiet"]) == 0
    blocks = []
    import augury.jobs.preview as job

    monkeypatch.setattr(job, "sheets", lambda found: blocks.extend(found) or b"png")
    preview(Request(images=4, draws=9, run=run, worst=True), sheet)
    opened = open_run(run)
    with torch.no_grad():
        pixels = opened.dataset.train.images / 255
        mean, std = (torch.tensor(part)[:, None, None] for part in (opened.dataset.mean, opened.dataset.std))
        losses = torch.nn.functional.cross_entropy(
            opened.networks[0]((pixels - mean) / std), opened.dataset.train.labels, reduction="none"
        )  # fmt: skip
    worst = opened.dataset.train.ids[losses.topk(4).indices].tolist()
    assert [int(name.split(":")[0].removeprefix("id ")) for name in blocks[0].names] == worst
    assert len(blocks[0].after) == 2 and sheet.read_bytes() == b"png"  # no more draws than the run had epochs


def test_the_worst_of_a_comparison_are_worst_for_all_its_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Catches the first network's own losses, and a folder that must be guessed.
    folder = tmp_path / "compared"
    command = ["compare", "digits", "--augment", "none,rotate", "--seeds", "1", "--epochs", "1", "--output", str(folder), "--quiet"]
    assert main(command) == 0
    runs = [open_run(folder / "runs" / name) for name in ("0-none-erm-seed0", "1-rotate-erm-seed0")]
    dataset, losses = runs[0].dataset, []
    for run in runs:
        with torch.no_grad():
            logits = run.networks[0](run.normalize.normalise(dataset.train.images))
            losses.append(torch.nn.functional.cross_entropy(logits, dataset.train.labels, reduction="none"))
    worst = dataset.train.ids[torch.stack(losses).mean(0).topk(5).indices].tolist()
    shown = preview(Request(images=5, draws=1, run=folder, worst=True), tmp_path / "sheet.png").rows
    assert [int(name.split(":")[0].removeprefix("id ")) for name in shown] == worst
    capsys.readouterr()
    assert main(["preview", "--run", str(folder), "--output", str(tmp_path / "other.png")]) == 2
    assert f"holds 2 runs; name one of them, such as {runs[0].path}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["digits", "--augment", "crop", "--ids", "999999"], "--ids 999999: no training image"),
        (["digits", "--augment", "crop", "--ids", "a"], "--ids"),
        (["digits"], "DATA, --augment: name both"),
        (["--run", "nowhere"], "nowhere: no finished run here"),
    ],
)
def test_refusals(arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preview", *arguments, "--output", str(tmp_path / "sheet.png")]) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1 and not (tmp_path / "sheet.png").exists()


def test_data_beside_a_run_and_epochs_it_never_saw_are_refused(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(["train", "digits", "--epochs", "1", "--output", str(run), "--quiet"]) == 0
    with pytest.raises(InputError, match="show the run's own data"):
        preview(Request("digits", run=run), tmp_path / "sheet.png")
    with pytest.raises(InputError, match=r"--epoch 2: .* was trained for 1 epochs; name one from 1 to 1"):
        preview(Request(run=run, epoch=2), tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()


def test_the_worst_images_are_named_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches names that stand in the picture alone, where they can be neither copied, searched nor read aloud."""
    run, sheet = tmp_path / "run", tmp_path / "sheet.html"
    assert main(["train", "digits", "--epochs", "1", "--augment", "none", "--output", str(run), "--quiet"]) == 0
    capsys.readouterr()
    assert main(["preview", "--worst", str(run), "--images", "3", "--output", str(sheet)]) == 0
    *lines, file = capsys.readouterr().out.splitlines()
    assert file == str(sheet) and len(lines) == 3
    assert all(re.fullmatch(r"id \d+: \d, seen as \d, loss \d+\.\d\d", line) for line in lines)
    page = sheet.read_text(encoding="utf-8")
    assert re.findall(r"<li>(.*?)</li>", page) == lines
    assert 'alt="Originals and draws of none; the rows are listed below"' in page
