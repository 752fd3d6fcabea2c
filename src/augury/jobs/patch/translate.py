"""The second stage of `augury patch`: CycleGANs between subgroups, sheets to inspect them, and a translation of every image."""

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from augury.augment.names import build
from augury.augment.pipeline import Pipeline
from augury.core.errors import InputError
from augury.core.options import parse_chain
from augury.explain.report.sheet import Block, sheets
from augury.jobs.patch.folder import TRANSLATE, TRANSLATED
from augury.jobs.patch.settings import PatchSettings
from augury.jobs.progress import bar
from augury.train.data.dataset import Dataset
from augury.train.data.groups import Groups
from augury.train.engine.checkpoint import write_atomically, write_json
from augury.train.translation.cyclegan import CycleGan
from augury.train.translation.pairs import Pair, Translators, pairs_of, sources, translate_split
from augury.train.translation.quality import Judge, qualities, rows_of

_SHOWN = 6


def pipeline_of(patch: PatchSettings, dataset: Dataset) -> Pipeline:
    """The augmentation of the CycleGANs' images, normalised to [-1, 1]; InputError if it mixes images."""
    channels = len(dataset.mean)
    chain = parse_chain(patch.translate_augment, "--translate-augment")
    made = build(chain, ((0.5,) * channels, (0.5,) * channels), "--translate-augment")
    if made.mixes:
        raise InputError(f"--translate-augment {patch.translate_augment}: mixes images; name an augmentation that does not")
    return made


def translate_stage(
    output: Path, dataset: Dataset, groups: Groups, patch: PatchSettings, seed: int, device: torch.device, quiet: bool
) -> dict[str, Any]:
    """Train the remaining CycleGANs, write translated.npy and a sheet per pair; returns translate.json's content."""
    if (output / TRANSLATE).exists() and (output / TRANSLATED).exists():
        return json.loads((output / TRANSLATE).read_text(encoding="utf-8"))
    pairs, pipeline, settings = pairs_of(groups, patch.translate), pipeline_of(patch, dataset), patch.translation(seed)
    translators = Translators(pairs)
    rows = []
    with bar(len(pairs) * settings.steps, quiet, "steps") as progress:
        for number, pair in enumerate(pairs):
            progress.label(f"translate {pair.title}")
            folder = output / "translations" / pair.name
            folder.mkdir(parents=True, exist_ok=True)
            gan = CycleGan.prepare(*sources(dataset.train, pair), pipeline, settings, device)
            gan.resume(folder)
            progress.skip(gan.step)
            seen = [gan.step]

            def told(row: dict[str, Any], seen: list[int] = seen) -> None:
                progress.advance(row["step"] - seen[0])
                seen[0] = row["step"]

            gan.run(folder, told)
            translators.generators[number] = gan.to_b, gan.to_a
            rows.append(_described(groups, pair, gan))
    images = translate_split(dataset, groups, translators, seed=seed)
    for pair, row in zip(pairs, rows, strict=True):
        write_atomically(output / row["sheet"], sheets([_block(dataset, groups, pair, images, row["steps"])]))
    packed = io.BytesIO()
    np.save(packed, images.numpy())
    write_atomically(output / TRANSLATED, packed.getvalue())
    found = {"version": 1, "pairs": rows, "images": list(images.shape), **_judged(dataset, groups, images)}
    if translators.by_example:
        found["by_example"] = [
            {"label": groups.class_names[y], "start": groups.subgroup_names[start], "target": groups.subgroup_names[target],
             "taken": taken} for (y, start, target), taken in translators.by_example.items()
        ]  # fmt: skip
    write_json(output / TRANSLATE, found)
    return found


def _judged(dataset: Dataset, groups: Groups, images: Tensor) -> dict[str, Any]:
    """The quality of every translation, the judge's own accuracy, and warnings, for translate.json."""
    judge = Judge.fit(dataset.train, dataset.validation, groups)
    truth = None if dataset.counterparts is None else dataset.counterparts(dataset.train.ids)
    if truth is not None and truth.shape[2:] != images.shape[2:]:
        truth = None
    found = qualities(dataset.train, groups, images, judge, truth)
    return {
        "qualities": [asdict(each) for each in found],
        "judge": {"subgroup_accuracy": judge.subgroup_accuracy, "label_accuracy": judge.label_accuracy},
        "warnings": [warning for each in found for warning in each.warnings(judge)],
    }


def translated_images(output: Path, dataset: Dataset) -> Tensor:
    """The stage's translations, uint8 [N,K,C,H,W]; InputError if they are missing or belong to other images."""
    try:
        array = np.load(output / TRANSLATED, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"--stage: {output} has no translations yet; run --stage translate first") from None
    except OSError as error:
        raise InputError(f"{output / TRANSLATED}: cannot be read ({error.strerror or error}); make it readable") from None
    except ValueError:
        raise InputError(f"{output / TRANSLATED}: damaged; run --stage translate again") from None
    images = torch.from_numpy(array)
    if images.ndim != 5 or images.shape[0] != len(dataset.train.ids) or images.shape[2:] != dataset.train.images.shape[1:]:
        raise InputError(f"{output / TRANSLATED}: does not belong to these training images; run --stage translate again")
    return images


def _described(groups: Groups, pair: Pair, gan: CycleGan) -> dict[str, Any]:
    names = groups.subgroup_names
    return {
        "classes": [groups.class_names[y] for y in pair.classes], "subgroups": [names[pair.a], names[pair.b]],
        "images": [len(gan.a.ids), len(gan.b.ids)], "steps": gan.step, "seconds": round(gan.seconds, 3), "losses": gan.logs[-1],
        "title": pair.title, "sheet": f"translations/{pair.name}.png",
    }  # fmt: skip


def _block(dataset: Dataset, groups: Groups, pair: Pair, translated: Tensor, steps: int) -> Block:
    """Training images of both subgroups, next to the translations that training uses."""
    names, each = groups.subgroup_names, max(2, _SHOWN // (2 * len(pair.classes)))
    split = dataset.train
    images, words = [], []
    made: list[list[Tensor]] = [[], []]
    captions: list[list[str]] = [[], []]
    for label in pair.classes:
        places = [int(groups.subgroups[g]) for g in groups.trained(label)]
        for start in (pair.a, pair.b):
            rows = rows_of(split, label, start)[:each]
            images.append(split.images[rows])
            words += [f"{dataset.classes[label]}, {names[start]}"] * len(rows)
            for column, target in enumerate((pair.a, pair.b)):
                made[column].append(translated[rows, places.index(target)])
                captions[column] += [f"to {names[target]}" + (", its own" if start == target else "")] * len(rows)
    after = [torch.cat(column) for column in made]
    return Block(f"{pair.title}, {steps:,} steps", torch.cat(images), after, captions, words, ("translations",))
