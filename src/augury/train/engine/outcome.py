"""What a finished training leaves: result.json's content, weights and test predictions."""

import io
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from torch import nn

from augury.train.data.dataset import Split
from augury.train.engine import checkpoint
from augury.train.engine.evaluate import Evaluation
from augury.train.engine.networks import predictions_file, weights_file


def figures(tests: list[Evaluation], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per network: its test accuracy at the end, and its best and its median of the last ten on the validation part."""
    curves = [[row.get("validation_accuracies", [row["validation_accuracy"]])[k] for row in rows] for k in range(len(tests))]
    return [
        {
            "accuracy": test.accuracy, "accuracy_top5": test.accuracy_top5, "loss": test.loss,
            "best": max(curve), "median_last_10": statistics.median(curve[-10:]),
        }
        for test, curve in zip(tests, curves, strict=True)
    ]  # fmt: skip


def write_outcome(folder: Path, number: int, network: nn.Module, part: Split, test: Evaluation) -> None:
    """A network's weights and its predictions on that part."""
    weights = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    checkpoint.write_atomically(folder / weights_file(number), safetensors.torch.save(weights))
    packed = io.BytesIO()
    np.savez(
        packed, id=part.ids.cpu().numpy(), label=part.labels.cpu().numpy(),
        prediction=test.prediction.cpu().numpy(), confidence=test.confidence.cpu().numpy(),
        label_probability=test.label_probability.cpu().numpy(),
    )  # fmt: skip
    checkpoint.write_atomically(folder / predictions_file(number), packed.getvalue())
