"""`augury export`: a finished run's weights for use elsewhere, above all as a detector's backbone."""

from pathlib import Path

import safetensors.torch

from augury.core.errors import InputError
from augury.core.options import parse_spec
from augury.jobs.outputs import open_output
from augury.jobs.runs import open_run
from augury.train.data.words import count
from augury.train.engine.checkpoint import write_atomically, write_json
from augury.train.models.backbone import CARD, WEIGHTS, Card, body, weights, widths
from augury.train.models.build import innermost, without_weights


def export(run: Path, output: Path, *, network: int = 1, overwrite: bool = False) -> Card:
    """Write backbone.safetensors and export.json for one of the run's networks (1 is the first); returns export.json's content.

    Raises InputError if there is no finished run or no such network, if its stages cannot be identified, or if the folder
    contains an export and `overwrite` is not set.
    """
    opened = open_run(run, "cpu")
    if not 1 <= network <= len(opened.networks):
        raise InputError(f"--network {network}: the run has {count(len(opened.networks), 'network')}")
    if (output / CARD).exists() and not overwrite:
        raise InputError(f"--output {output}: contains an export; add --overwrite to replace it")
    made, own = opened.networks[network - 1], opened.identity
    channels = own.channels
    _, layers = body(made)
    card = Card(
        str(without_weights(innermost(parse_spec(opened.models[network - 1], "RUN")))), len(own.classes), channels, layers,
        widths(made, channels), list(own.mean), list(own.std),
    )  # fmt: skip
    open_output(output)
    write_atomically(output / WEIGHTS, safetensors.torch.save(weights(made)))
    write_json(output / CARD, card.dict())
    return card
