"""`augury policy export --to torchvision`: by what a policy does, not by what was typed."""

from pathlib import Path

import pytest

from augury.augment.policies.convert import TORCHVISION
from augury.core.errors import InputError
from augury.jobs.policy import export_policy, import_policy


@pytest.mark.parametrize("name", TORCHVISION)
def test_what_torchvision_has_comes_back_under_its_name(name: str, tmp_path: Path) -> None:
    """Catches an export that compares names: the file's is its path."""
    made = import_policy(name, tmp_path / "mine.yaml").text
    for number, text in enumerate((made, str(tmp_path / "mine.yaml"))):
        export_policy(text, "torchvision", tmp_path / f"{number}.txt")
        assert (tmp_path / f"{number}.txt").read_text() == f"{name}\n"


def test_the_order_of_sub_policies_is_no_difference_and_a_probability_is_one(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    import_policy("AutoAugmentPolicy.SVHN", mine)
    head, first, *others = mine.read_text().replace("\n  - - ", "\0  - - ").split("\0")
    mine.write_text("\n".join([head.rstrip(), *(row.rstrip("\n") for row in [*others, first])]) + "\n")
    export_policy(str(mine), "torchvision", tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "AutoAugmentPolicy.SVHN\n"
    assert "probability: 0.9" in first
    mine.write_text(mine.read_text().replace("probability: 0.9", "probability: 0.8", 1))
    with pytest.raises(InputError, match=r"no such policy; it has autoaugment\(table=imagenet.*export as yaml"):
        export_policy(str(mine), "torchvision", tmp_path / "b.txt")
    assert not (tmp_path / "b.txt").exists()


def test_a_table_on_another_ladder_is_told_which_one_torchvision_has(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"autoaugment\(table=cifar10, ladder=torchvision\)"):
        export_policy("autoaugment(table=cifar10)", "torchvision", tmp_path / "a.txt")
