"""Logs a training to MLflow."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from augury.core.errors import InputError
from augury.core.registry import register
from augury.train.logs.logger import About, Logger, Open, hwc

# The file in which a training stores the id of its run, so that a resumed training continues the run.
KEPT = "mlflow_run.txt"


@register("logger", "mlflow", source="mlflow.org")
def mlflow(*, uri: str | None = None, experiment: str = "augury") -> Open:
    """An MLflow run, at `uri` (`sqlite:///runs.db`, `http://...`) or at MLFLOW_TRACKING_URI."""
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise InputError("--log mlflow: needs the package mlflow; pip install 'augury[logging]'") from None

    def opened(about: About) -> Logger:
        client = MlflowClient(tracking_uri=uri)
        kept = about.folder / KEPT
        if about.epoch and kept.exists():
            return _Run(client, kept.read_text(encoding="utf-8").strip())
        found = client.get_experiment_by_name(experiment)
        where = client.create_experiment(experiment, artifact_location=_artifacts(uri)) if found is None else found.experiment_id
        run = client.create_run(where, run_name=about.name, tags={"augury.folder": str(about.folder.resolve())})
        for key, value in about.settings.items():
            client.log_param(run.info.run_id, key, str(value)[:5000])
        kept.write_text(run.info.run_id, encoding="utf-8")
        return _Run(client, run.info.run_id)

    return opened


def _artifacts(uri: str | None) -> str | None:
    """The folder for files: beside the database if that is a file; None leaves it to the server."""
    prefix = "sqlite:///"
    if uri is None or not uri.startswith(prefix):
        return None
    return str(Path(uri.removeprefix(prefix)).resolve().parent / "mlartifacts")


@dataclass(frozen=True)
class _Run:
    client: Any
    id: str

    def scalars(self, epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.client.log_metric(self.id, name, value, step=epoch)

    def pictures(self, name: str, images: Tensor) -> None:
        for number, image in enumerate(hwc(images)):
            self.client.log_image(self.id, image, artifact_file=f"{name}/{number:02d}.png")

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([columns, *rows])
        self.client.log_text(self.id, out.getvalue(), f"{name}.csv")

    def close(self, summary: Mapping[str, float]) -> None:
        for name, value in summary.items():
            self.client.log_metric(self.id, f"test/{name}", value)
        self.client.set_terminated(self.id, "FINISHED" if summary else "FAILED")
