"""`augury theory` as a user meets it."""

import json
import re
from pathlib import Path

import pytest
from test_cli import run

QUICK = "linear_model(problems=5, images=50, networks=3)"


def test_it_prints_what_is_claimed_and_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "t"
    assert run("theory", "--what", QUICK, "--seed", "3", "--output", str(output), "--quiet") == 0
    text = capsys.readouterr().out
    result = json.loads((output / "result.json").read_text())
    claims = [claim for e in result["experiments"].values() for claim in e["claims"]]
    assert len(claims) == result["claims"] == 6 and result["holding"] == sum(c["holds"] for c in claims)
    assert text.count("expected:") == text.count("measured:") == 6
    assert text.count("  HOLDS: ") == result["holding"] and text.count("DOES NOT HOLD: ") == 6 - result["holding"]
    assert f"{result['holding']} of 6 claims hold on digits." in text
    page = (output / "report.html").read_text()
    assert not re.search(r'(src|href)="(?!data:|#)', page) and len(page) < 5_000_000
    assert page.count('class="verdict better"') == result["holding"]
    again = tmp_path / "again"
    assert run("theory", "-c", str(output / "config.yaml"), "--output", str(again), "--quiet") == 0
    assert json.loads((again / "result.json").read_text())["experiments"].popitem()[1]["claims"] == claims


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--what", "markov"], "'markov_chain'"),
        (["--what", "linear_model(problems=1)"], "from 5"),
        (["--what", "linear_model,linear_model"], "twice"),
        (["--what", "linear_model+expansion"], "chain"),
        (["--seed", "-1"], "--seed"),
        (["digitz"], "digits"),
    ],
)
def test_what_is_wrong_is_refused_in_one_line(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("theory", *arguments, "--output", str(tmp_path / "o")) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "o").exists()
