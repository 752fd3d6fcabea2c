"""A folder that is not that of one finished run is refused by what it is."""

from pathlib import Path

import pytest

from augury.core.errors import InputError
from augury.train.engine.pretrained_files import file_of
from augury.train.models.run_folders import run_folders


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ((), "no finished run here; give the --output folder of `augury train`, or a file of weights"),
        (("config.yaml",), "not finished; run the command that began it again, with --resume"),
        (("config.yaml", "runs/one/result.json", "runs/two/result.json"), "holds 2 runs; name one of them, such as .*/runs/one"),
        (("final/runs/one/result.json", "runs/begun/config.yaml"), "holds 1 run; name one of them, such as .*/final/runs/one"),
    ],
)
def test_weights_of_what_is_no_finished_run(files: tuple[str, ...], said: str, tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=f"^--pretrained x: {said}$"):
        file_of(str(tmp_path), "--pretrained x")


def test_a_finished_run_is_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("{}")
    assert run_folders(tmp_path) == [tmp_path]
