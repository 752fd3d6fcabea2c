"""Folders in the layout of Market-1501, whose file names give person and camera; query persons are not in the training part."""

import re
from dataclasses import replace
from pathlib import Path

import torch

from augury.core.errors import InputError
from augury.core.registry import register
from augury.train.data.decode import decode
from augury.train.data.fingerprint import FileMark
from augury.train.data.folder import files_below
from augury.train.data.parts import Part, Parts
from augury.train.data.preparation import AS_IS, ReadOptions
from augury.train.data.reader import Reader, of_path
from augury.train.data.splits import cut
from augury.train.data.words import count, few

FOLDERS = ("bounding_box_train", "query", "bounding_box_test")
_NAME = re.compile(r"^(-1|\d+)_c(\d+)")
# Fraction of each training identity's images; this closed-set test part shows whether the identities were learnt at all.
_TEST = 0.1


@register("reader", "market", source="Zheng et al. 2015, Scalable Person Re-identification: A Benchmark")
def market() -> Reader:
    """A folder in the layout of Market-1501, for re-identification: bounding_box_train, query and bounding_box_test."""
    return Reader(of_path(read_market), lambda path: (path / FOLDERS[0]).is_dir())


def read_market(root: Path, options: ReadOptions = AS_IS) -> Parts:
    """Reads training identities as classes and cameras as groups, and queries and gallery as `retrieval`.

    Names begin with the identity and the camera: `0002_c1s1_000451_03.jpg`. In the gallery, identity -1 is junk, which is left out
    of every ranking, and 0 a distractor, which never matches. The test part is a stratified tenth of the training identities'
    images. Raises InputError if a folder is missing or has no file with such a name, or if no query's person is in the gallery
    under another camera.
    """
    missing = [name for name in FOLDERS if not (root / name).is_dir()]
    if missing:
        raise InputError(f"DATA {root}: has {FOLDERS[0]}/ but no {missing[0]}/; re-identification data need {', '.join(FOLDERS)}")
    named: list[tuple[Path, int, int]] = []
    where: list[int] = []
    odd = []
    for number, folder in enumerate(FOLDERS):
        for path in files_below(root / folder):
            found = _NAME.match(path.name)
            if found is None:
                odd.append(path.relative_to(root).as_posix())
                continue
            named.append((path, int(found[1]), int(found[2])))
            where.append(number)
        if number not in where:
            raise InputError(f"DATA {root}: {folder}/ holds no file named IDENTITY_cCAMERA..., such as 0002_c1s1_000451_03.jpg")
    leading = where.count(0)
    names = [path.relative_to(root).as_posix() for path, _, _ in named]
    decoded = decode([path for path, _, _ in named], names, f"DATA {root}", options, leading=leading)
    identity = torch.tensor([i for _, i, _ in named])[decoded.rows]
    camera = torch.tensor([c for _, _, c in named])[decoded.rows]
    part = torch.tensor(where)[decoded.rows]
    every = Part(decoded.images, identity, camera, tuple(names[row] for row in decoded.rows.tolist()))
    train, query, gallery = (every[(part == number).nonzero()[:, 0]] for number in range(3))
    _check(root, query, gallery)
    people, labels = train.labels.unique(return_inverse=True)
    cameras, groups = train.groups.unique(return_inverse=True)  # type: ignore[union-attr]
    marks = tuple(FileMark(names[row], str(named[row][1]), *decoded.marks[row]) for row in range(leading))
    known = Part(train.images, labels, groups, train.names, marks)
    kept, held = cut(labels, _TEST, name="closed set")
    notes = [*decoded.notes, *([f"left out: {count(len(odd), 'file')} with other names: {few(odd)}"] if odd else [])]
    notes.append(
        f"re-identification: {len(people)} training identities; the test part is a tenth of their images, "
        f"{len(query)} queries and {len(gallery)} gallery images are for retrieval"
    )
    classes = tuple(f"{int(person):04d}" for person in people)
    return Parts(
        classes, known[kept], replace(known[held], marks=()), group_names=tuple(f"c{int(c)}" for c in cameras), notes=tuple(notes),
        retrieval=(query, gallery), preparation=decoded.preparation,
    )  # fmt: skip


def _check(root: Path, query: Part, gallery: Part) -> None:
    assert query.groups is not None and gallery.groups is not None
    same = query.labels[:, None] == gallery.labels
    if not bool((same & (query.groups[:, None] != gallery.groups)).any()):
        raise InputError(f"DATA {root}: no person of query/ is in bounding_box_test/ under another camera; retrieval needs one")
