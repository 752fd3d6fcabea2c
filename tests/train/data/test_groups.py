"""Groups: which there are, a model's accuracy in each, and the correlated data sets made here."""

from pathlib import Path

import numpy as np
import pytest
import torch
from data_files import image_folder, manifest, picture, save
from PIL import Image

from augury.core.errors import InputError, RunError
from augury.train.data.correlation import correlated
from augury.train.data.dataset import Dataset, Split, load
from augury.train.data.groups import aggregate, group_accuracy, groups_of
from augury.train.data.mnist_correlation import sizes
from augury.train.data.zigzag import zigzag


def split_of(labels: list[int], groups: list[int] | None) -> Split:
    found = torch.tensor(labels)
    return Split(
        torch.zeros(len(labels), 1, 2, 2, dtype=torch.uint8), found, torch.arange(len(labels)),
        None if groups is None else torch.tensor(groups),
    )  # fmt: skip


def dataset_of(train: Split, test: Split) -> Dataset:
    return Dataset("made", ("cat", "dog"), train, test, test, (0.5,), (0.5,), ("day", "night"))


def test_groups_are_the_pairs_that_occur() -> None:
    found = groups_of(dataset_of(split_of([0, 0, 0, 1], [0, 0, 1, 1]), split_of([1, 1], [0, 1])))
    assert found.names == ("cat, day", "cat, night", "dog, day", "dog, night")
    assert found.counts.tolist() == [2, 1, 0, 1] and found.trained(1) == [3]
    assert found.of(torch.tensor([1, 0, 1]), torch.tensor([0, 1, -1])).tolist() == [2, 1, -1]


def test_accuracy_per_group_worst_and_gaps() -> None:
    groups = groups_of(dataset_of(split_of([0, 0, 1, 1], [0, 1, 0, 1]), split_of([0], [0])))
    part = split_of([0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 0, 0, -1])
    found = group_accuracy(torch.tensor([0, 0, 1, 1, 1, 0, 1]), part, groups)
    assert found.groups == (pytest.approx(200 / 3), 0.0, 50.0, None) and found.counts == (3, 1, 2, 0)
    assert found.worst == 0 and found.unknown == 1
    assert found.accuracy == pytest.approx(100 * 4 / 7), "an image without a group counts here"
    assert found.gaps(groups) == {"cat": pytest.approx(200 / 3), "dog": None}


def test_the_aggregate_reproduces_the_published_rows() -> None:
    """METHODS-independent: the papers' subgroup rows and the data sets' published test sizes."""
    assert aggregate([86.96, 73.51, 71.47, 75.21], [4926, 4926, 5074, 5074]) == pytest.approx(76.736, abs=5e-3)
    assert aggregate([98.10, 93.31, 96.82, 97.15], [4926, 4926, 5074, 5074]) == pytest.approx(96.354, abs=5e-3)


def test_a_zigzag_brightens_columns_2_to_25_only() -> None:
    images = torch.randint(0, 200, (64, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    drawn = zigzag(images, torch.arange(64))
    assert bool((drawn >= images).all()) and int(drawn.max()) == 255
    changed = (drawn != images).flatten(0, 2).any(0)
    assert not bool(changed[:1].any()) and not bool(changed[27:].any()) and bool(changed[6:22].all())
    lines = zigzag(torch.zeros_like(images), torch.arange(64))
    assert len(torch.unique(lines.flatten(1), dim=0)) > 50, "every image has its own"
    assert torch.equal(lines[5:9], zigzag(torch.zeros(4, 1, 28, 28, dtype=torch.uint8), torch.arange(5, 9))), "by its address"
    small = zigzag(torch.zeros(8, 1, 8, 8, dtype=torch.uint8), torch.arange(8))
    assert small.amax((1, 2, 3)).tolist() == [255] * 8


def test_sizes_are_the_published_ones_where_mnist_is_whole() -> None:
    assert sizes(29492) == (19_800, 200, ())
    majority, minority, note = sizes(19_600)
    assert (majority, minority) == (18_810, 190) and "19,800 + 200" in note[0]
    majority, minority, _ = sizes(100)
    assert majority + minority < 100 and minority == 1


def test_correlated_parts_are_disjoint_and_balanced_as_said() -> None:
    digits = torch.arange(10).repeat(20)
    images = torch.arange(200, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 28, 28).contiguous()
    made = correlated("made", (images, digits), (images[:20], digits[:20]), 40, 5, ())
    assert groups_of(made).counts.tolist() == [40, 5, 5, 40]
    assert [len(part.ids) for part in (made.train, made.validation, made.test)] == [90, 2 * (200 - 90), 40]
    every = torch.cat([made.train.ids, made.validation.ids, made.test.ids])
    assert len(every.unique()) == len(every)
    held = set((made.validation.ids % 200).tolist())
    assert not held & set(made.train.ids.tolist())
    clean = made.train.images[(made.train.groups == 0)]
    assert bool((clean == clean[:, :, :1, :1]).all()), "clean images carry no line"
    for part in (made.validation, made.test):
        assert group_accuracy(part.labels, part, groups_of(made)).counts == (len(part.ids) // 4,) * 4
    with pytest.raises(InputError, match="needs at least"):
        correlated("made", (images, digits), (images, digits), 98, 5, ())


def test_digits_correlation() -> None:
    made = load("digits_correlation")
    assert groups_of(made).counts.tolist() == [216, 24, 24, 216] and made.train.images.shape[1:] == (1, 8, 8)
    assert groups_of(made).names == ("even, clean", "even, zigzag", "odd, clean", "odd, zigzag")


def test_mnist_correlation_needs_mnist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--data-dir"):
        load("mnist_correlation")
    random = np.random.default_rng(0)
    for part, count in (("train", 300), ("test", 40)):
        (tmp_path / "mnist").mkdir(exist_ok=True)
        x = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        np.savez(tmp_path / "mnist" / f"{part}.npz", x=np.stack([x] * 3, -1), y=np.arange(count) % 10)
    made = load("mnist_correlation", data_dir=str(tmp_path))
    assert made.train.images.shape[1:] == (1, 28, 28) and len(made.notes) == 1
    assert groups_of(made).counts.tolist() == [141, 1, 1, 141] and len(made.test.ids) == 80
    np.savez(tmp_path / "mnist" / "test.npz", x=random.integers(0, 256, (9, 28, 28, 3), dtype=np.uint8), y=np.arange(9))
    with pytest.raises((InputError, RunError), match="grey"):
        load("mnist_correlation", data_dir=str(tmp_path))


def waterbirds(root: Path, rows: list[str], header: str = "img_id,img_filename,y,split,place,place_filename") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "metadata.csv").write_text("\n".join([header, *rows]) + "\n")
    for row in rows:
        name = row.split(",")[1]
        save(root / name, picture(len(name), (9, 12)))
    return root


BIRDS = [
    "1,001.Albatross/a.jpg,1,0,1,/o/ocean/1.jpg", "2,004.Cuckoo/b.jpg,0,0,0,/b/bamboo/2.jpg", "3,004.Cuckoo/c.jpg,0,1,1,x",
    "4,001.Albatross/d.jpg,1,2,0,x", "5,004.Cuckoo/e.jpg,0,2,0,x", "6,004.Cuckoo/f.jpg,0,0,1,x",
]  # fmt: skip


def test_waterbirds_as_published(tmp_path: Path) -> None:
    waterbirds(tmp_path / "waterbird_complete95_forest2water2", BIRDS)
    found = load("waterbirds", data_dir=str(tmp_path), image_size=16)
    assert [len(part.ids) for part in (found.train, found.validation, found.test)] == [3, 1, 2]
    assert found.train.images.shape[1:] == (3, 16, 16)
    groups = groups_of(found)
    assert groups.names == ("landbird, land", "landbird, water", "waterbird, land", "waterbird, water")
    assert groups.counts.tolist() == [1, 1, 0, 1] and groups.of_split(found.test).tolist() == [2, 0]
    with Image.open(tmp_path / "waterbird_complete95_forest2water2" / "001.Albatross/a.jpg") as opened:
        whole = opened.convert("RGB").resize((18, 18), Image.Resampling.BILINEAR).crop((1, 1, 17, 17))
    assert torch.equal(found.train.images[0], torch.from_numpy(np.array(whole).transpose(2, 0, 1)))


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        (BIRDS, "id,img_filename,y,split", "no column 'place'"),
        ([*BIRDS, "7,g.jpg,2,0,0,x"], None, "y is '2'"),
        (BIRDS[:2] + BIRDS[3:], None, "no validation part"),
        ([], None, "has no rows"),
    ],
)
def test_waterbirds_refused(tmp_path: Path, rows: list[str], header: str | None, words: str) -> None:
    waterbirds(tmp_path, rows, header or "img_id,img_filename,y,split,place,place_filename")
    with pytest.raises(InputError, match=words):
        load("waterbirds", data_dir=str(tmp_path), image_size=16)


def test_photographs_that_are_not_there(tmp_path: Path) -> None:
    waterbirds(tmp_path, BIRDS)
    (tmp_path / "004.Cuckoo" / "e.jpg").unlink()
    with pytest.raises(InputError, match=r"e\.jpg"):
        load("waterbirds", data_dir=str(tmp_path), image_size=16)
    with pytest.raises(InputError, match="say where metadata.csv is"):
        load("waterbirds")
    with pytest.raises(InputError, match="none of"):
        load("celeba", data_dir=str(tmp_path))


def celeba(root: Path, counts: dict[tuple[int, int, int], int]) -> Path:
    """Files of so many (partition, blond, male) images."""
    (root / "img_align_celeba").mkdir(parents=True)
    lines, partition, number = [], [], 0
    for (part, blond, male), count in counts.items():
        for _ in range(count):
            number += 1
            name = f"{number:06d}.jpg"
            lines.append(f"{name} {1 if blond else -1}  1 {1 if male else -1}")
            partition.append(f"{name} {part}")
            save(root / "img_align_celeba" / name, picture(number, (20, 16)))
    (root / "list_attr_celeba.txt").write_text("\n".join([str(number), "Blond_Hair Smiling Male", *lines]))
    (root / "list_eval_partition.txt").write_text("\n".join(partition))
    return root


def test_celeba_is_undersampled_in_training_alone(tmp_path: Path) -> None:
    """12 men who are not blond, 2 blond men, 8 blond women: of 9 women who are not blond 12 * 2 / 8 = 3 are kept."""
    counts = {(0, 0, 0): 9, (0, 0, 1): 12, (0, 1, 0): 8, (0, 1, 1): 2}
    rest = {(part, blond, male): 2 for part in (1, 2) for blond in (0, 1) for male in (0, 1)}
    celeba(tmp_path / "celeba", counts | rest)
    found = load("celeba", data_dir=str(tmp_path), image_size=8)
    groups = groups_of(found)
    assert groups.names == ("not blond, female", "not blond, male", "blond, female", "blond, male")
    assert groups.counts.tolist() == [3, 12, 8, 2] and len(found.validation.ids) == len(found.test.ids) == 8
    assert torch.equal(found.train.images, load("celeba", data_dir=str(tmp_path), image_size=8).train.images)


def test_the_published_share_of_celeba() -> None:
    from augury.train.data.celeba import undersampled

    counts = {(0, 0): 71_629, (0, 1): 66_874, (1, 0): 22_880, (1, 1): 1_387}
    blond = torch.cat([torch.full((n,), y) for (y, _), n in counts.items()])
    male = torch.cat([torch.full((n,), z) for (_, z), n in counts.items()])
    kept = undersampled(blond, male, torch.arange(len(blond)))
    assert int(((blond[kept] == 0) & (male[kept] == 0)).sum()) == 4_054
    assert len(kept) == 4_054 + 66_874 + 22_880 + 1_387


def test_groups_of_folders_and_manifests(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "folders", classes=("cat", "dog"), groups=("day", "night"), each=3)
    assert groups_of(load(str(folder), validation=0.3)).names == ("cat, day", "cat, night", "dog, day", "dog, night")
    rows = []
    for number in range(16):
        save(tmp_path / f"{number}.png", picture(number))
        group = ("left", "right")[number // 2 % 2]
        rows.append((f"{number}.png", ("a", "b")[number % 2], group, "test" if number < 4 else "train"))
    table = manifest(tmp_path / "list.csv", rows, ("path", "label", "group", "split"))
    assert set(groups_of(load(str(table))).names) == {"a, left", "a, right", "b, left", "b, right"}
    plain = image_folder(tmp_path / "plain")
    with pytest.raises(InputError, match="has no groups; give an array `group`"):
        groups_of(load(str(plain)))
