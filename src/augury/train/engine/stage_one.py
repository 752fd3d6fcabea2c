"""Stage one of a refined training, taken over from another run, so that refinements of one network train it once."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from augury.core.errors import InputError, RunError
from augury.train.engine import checkpoint
from augury.train.engine.refinement import intensity_at
from augury.train.engine.resume import changed, deciding, fingerprint, launch
from augury.train.engine.risk import wants_risk
from augury.train.engine.rundir import RunDirectory
from augury.train.engine.settings import Settings
from augury.train.engine.training import Training

# What belongs to the refinement, and what is only measured: stage one does not depend on it.
LATER = ("refine_epochs", "refine_mode", "refine_sched", "refine_lr", "risk_every", "risk_epochs")


@dataclass(frozen=True)
class StageOne:
    """The end of a run's stage one: its checkpoint, and the metrics of its epochs. run: the run's folder."""

    run: Path
    found: checkpoint.Found
    metrics: list[dict[str, Any]]

    @staticmethod
    def of(run: Path, settings: Settings) -> "StageOne":
        """Stage one as a training with these settings would have it, from the folder of a run that is past it.

        The run may have been refined in another way, or not at all, and is then finished. A training that goes on from here is
        bit for bit the one that trains stage one itself. Raises InputError if there is no such run, if it is not that far, or if
        other settings than those in `LATER` differ.
        """
        where = f"--refine-from {run}"
        if not settings.refined:
            raise InputError("--refine-from: nothing is refined; add --refine-epochs N")
        found, metrics = _ended(run, where), RunDirectory(run).metrics()
        other = changed(settings, found.state.get("settings") or {}, besides=LATER)
        if other or "settings" not in found.state:
            words = ", ".join(other[:3]) or "an older version of Augury did not record them"
            raise InputError(f"{where}: was trained with other settings ({words}); only those of the refinement may differ")
        measured = {row["epoch"] for row in metrics if "risk" in row}
        lacking = [epoch for epoch in range(1, settings.stage_one + 1) if wants_risk(settings, epoch) and epoch not in measured]
        if lacking:
            raise InputError(f"{where}: the risk was not measured there after epoch {lacking[0]}; leave --refine-from out")
        return StageOne(run, found, metrics)

    def check(self, training: Training) -> None:
        """InputError if it was trained on other images, or in another number of processes, which draw differently."""
        where, state = f"--refine-from {self.run}", self.found.state
        if state.get("data") != fingerprint(training.data.train):
            raise InputError(f"{where}: was trained on other images than are now in {training.settings.data}; put them back")
        if (before := state.get("processes", 1)) != training.world.size:
            raise InputError(f"{where}: was trained in another number of processes; start this one {launch(before)}")

    def begin(self, directory: RunDirectory, settings: Settings) -> None:
        """Make it the checkpoint of a run that has none yet, whose training then goes on with the refinement."""
        if checkpoint.newest(directory.path) is not None:
            return
        # Resuming leaves out the epochs of another refinement. Rows of a run that was not refined have no intensity.
        directory.write_metrics([{**row, "intensity": intensity_at(settings, row["epoch"] - 1)} for row in self.metrics])
        checkpoint.save_checkpoint(directory.path, self.found.tensors, {**self.found.state, "settings": deciding(settings)})


def _ended(run: Path, where: str) -> checkpoint.Found:
    """The checkpoint at the end of the run's stage one."""
    directory, file = RunDirectory(run), run / checkpoint.STAGE_ONE
    known = directory.config() is not None
    if known and file.exists():
        found = checkpoint.read(file)
        if found is None:
            raise RunError(f"{file}: damaged; leave --refine-from out")
        return found
    if known and directory.result() is None:
        raise InputError(f"{where}: is unfinished; finish it with --resume first")
    found = checkpoint.newest(run) if known else None
    if found is None:
        raise InputError(f"{where}: no run here; give the --output folder of `augury train`")
    return found
