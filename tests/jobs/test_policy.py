"""`augury policy export`: what another library's own policies become, and where the code goes."""

from pathlib import Path

import pytest

from augury.augment.policies.convert import TORCHVISION
from augury.cli import main
from augury.core.errors import InputError
from augury.jobs.policy import code_of, import_policy


@pytest.mark.parametrize("name", TORCHVISION)
def test_what_torchvision_has_comes_back_under_its_name(name: str, tmp_path: Path) -> None:
    """Catches an export that compares names: the file's is its path."""
    made = import_policy(name, tmp_path / "mine.yaml").text
    for text in (made, str(tmp_path / "mine.yaml")):
        assert f"v2.{name}" in code_of(text, "torchvision", None).code.splitlines()[-1]


def test_the_order_of_sub_policies_is_no_difference_and_a_probability_is_one(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    import_policy("AutoAugmentPolicy.SVHN", mine)
    head, first, *others = mine.read_text().replace("\n  - - ", "\0  - - ").split("\0")
    mine.write_text("\n".join([head.rstrip(), *(row.rstrip("\n") for row in [*others, first])]) + "\n")
    assert "v2.AutoAugment(v2.AutoAugmentPolicy.SVHN)" in code_of(str(mine), "torchvision", None).code
    assert "probability: 0.9" in first
    mine.write_text(mine.read_text().replace("probability: 0.9", "probability: 0.8", 1))
    assert "v2.RandomChoice([" in code_of(str(mine), "torchvision", None).code


def test_code_is_printed_or_written_and_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "export", "randaugment(num_ops=3, magnitude=15)", "--to", "torchvision"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == "transform = v2.RandAugment(num_ops=3, magnitude=15)" and "note: one draw" in printed.err
    for library in ("torchvision", "python"):
        assert (
            main(["policy", "export", "crop+flip+autoaugment", "--to", library, "--output", str(tmp_path / f"{library}.py")]) == 0
        )
        compile((tmp_path / f"{library}.py").read_text(), library, "exec")
    assert main(["policy", "export", "flip", "--to", "python", "--output", str(tmp_path / "python.py")]) == 2
    assert main(["policy", "export", "inaugment", "--to", "timm"]) == 2
    assert "inaugment: no library has it" in capsys.readouterr().err
    with pytest.raises(InputError, match="does not exist"):
        code_of("flip", "python", tmp_path / "no" / "a.py")
