"""Policy files and other libraries' notations: round trips, and refusals that name the line."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import augury
from augury.augment.names import check_augment
from augury.augment.policies.convert import as_file, differences, from_timm, from_torchvision, words
from augury.augment.policies.file import PolicyEntry, PolicyFile, policy_of, write_policy
from augury.augment.policies.file_reader import parse_policy
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.grammar import parse_chain
from augury.core.noise import Noise
from augury.core.plan import Clock

ENTRIES = st.one_of(
    st.builds(PolicyEntry, st.just("invert"), st.floats(0, 1), st.floats(0, 1)),
    st.builds(
        lambda p, s, v, signed: PolicyEntry("rotate", p, s, {"degrees": v}, signed, {"fill": 128}),
        st.floats(0, 1), st.floats(0, 1), st.integers(-90, 90).map(float), st.booleans(),
    ),
)  # fmt: skip
ROWS = st.lists(st.lists(ENTRIES, min_size=1, max_size=3).map(tuple), min_size=1, max_size=4).map(tuple)
VALID = """augury_policy: 1
name: mine
policies:
  - - {op: rotate, probability: 0.7, strength: 0.2, values: {degrees: 6}, signed: true}
    - {op: invert, probability: 0.1}
  - - {op: solarize, values: {threshold: 100}}
"""


@given(ROWS, st.text(max_size=20))
def test_what_is_written_is_read_back(rows: tuple, name: str) -> None:
    content = PolicyFile(name, ((1.0, rows),), provenance={"seed": 3})
    again = parse_policy(write_policy(content), "file", check_augment)
    assert again.provenance == {"seed": 3}
    for (_, one), (_, two) in zip(content.periods, again.periods, strict=True):
        for left, right in zip(one, two, strict=True):
            for a, b in zip(left, right, strict=True):
                assert (a.op, a.values, a.signed, a.options) == (b.op, b.values, b.signed, b.options)
                assert a.probability == pytest.approx(b.probability) and a.strength == pytest.approx(b.strength, abs=1e-6)


@pytest.mark.parametrize("name", ["autoaugment(ladder=tf)", "autoaugment(table=imagenet, ladder=torchvision)", "trivialaugment"])
def test_a_policy_from_its_file_makes_the_same_pictures(name: str) -> None:
    stage = augury.pipeline(name).stages[0]
    again = policy_of(parse_policy(write_policy(as_file(stage.policy, name)), "file", check_augment))
    ids = torch.arange(500)
    images = torch.randint(0, 256, (500, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    batch = Batch(images, None, ids)
    trace = stage.sample(batch, Noise.of(0, ids))
    if name == "trivialaugment":  # its draws are laid out otherwise; what it can draw is the same
        singles = {(row[0].op, row[0].strength) for _, rows in as_file(stage.policy, name).periods for row in rows}
        assert len(singles) == len(stage.space) * 31
        return
    from augury.augment.stages.plan import PlanStage

    copy = PlanStage(stage.name, again)
    assert copy.apply(batch, copy.sample(batch, Noise.of(0, ids))).images.equal(stage.apply(batch, trace).images)


def test_a_files_path_stands_wherever_a_name_does(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(VALID)
    images = torch.randint(0, 256, (64, 3, 16, 16), dtype=torch.uint8)
    assert [stage.name for stage in augury.pipeline(f"crop+{path}+cutout").stages] == ["crop", "mine", "cutout"]
    assert not augury.pipeline(f"inaugment({path})")(images).equal(images)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("augury_policy: 1", "augury_policy: 2", "line 1: format 2 is not known"),
        ("augury_policy: 1\n", "", "the line 'augury_policy: 1' is missing"),
        ("op: rotate", "op: rotat", "line 4: unknown operation 'rotat'; did you mean 'rotate'"),
        ("probability: 0.1", "probability: 1.5", "line 5: probability: 1.5 must be a number from 0 to 1"),
        ("threshold: 100", "threshold: 900", "line 6: solarize(threshold): 900 must be a number from 0 to 256"),
        ("threshold: 100", "treshold: 100", "line 6: unknown parameter of solarize 'treshold'; did you mean 'threshold'"),
        ("signed: true", "signed: 3", "line 4: signed: 3 must be true or false"),
        ("strength: 0.2", "stength: 0.2", "line 4: unknown key 'stength'; did you mean 'strength'"),
        ("strength: 0.2", "probability: 0.2", "line 4: probability stands there twice"),
        ("name: mine", "name: !!python/object/apply:os.system [ls]", "line 2: only plain values"),
        ("  - - {op: rotate", "  - - [op: rotate", "line"),
        ("policies:", "schedule:", "line 4"),
    ],
)
def test_what_is_wrong_is_refused_by_line(old: str, new: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_policy(VALID.replace(old, new), "mine.yaml", check_augment)
    assert str(caught.value).startswith("mine.yaml") and message in str(caught.value) and "\n" not in str(caught.value)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        parse_policy(text, "f", check_augment)
    except InputError as error:
        assert "\n" not in str(error)


def test_a_schedule_changes_the_policy_over_the_training() -> None:
    rows = [
        ((PolicyEntry("invert"),),),
        ((PolicyEntry("identity"), PolicyEntry("solarize", values={"threshold": 0.0})), (PolicyEntry("identity"),)),
    ]
    content = PolicyFile("s", ((0.25, rows[0]), (1.0, rows[1])))
    policy = policy_of(parse_policy(write_policy(content), "s", check_augment))
    noise = Noise.of(0, torch.arange(1000))
    early, late = policy.ask(noise, Clock(0, 8)), policy.ask(noise, Clock(2, 8))
    assert early.choice.unique().tolist() == [0] and late.choice.unique().tolist() == [1, 2]
    assert {policy.space[int(k)].op.name for k in early.op[early.on].unique()} == {"invert"}
    assert {policy.space[int(k)].op.name for k in late.op[late.on].unique()} == {"identity", "solarize"}


def test_differences_name_the_sub_policy() -> None:
    one, two = parse_policy(VALID, "a", check_augment), parse_policy(VALID.replace("degrees: 6", "degrees: 9"), "b", check_augment)
    assert differences(one, one) == []
    assert differences(one, two) == ["- rotate 0.7 (+-6 degrees), invert 0.1", "+ rotate 0.7 (+-9 degrees), invert 0.1"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rand-m9-n2-mstd0.5-inc1", "randaugment(num_ops=2, magnitude=9, version=timm_increasing, spread=0.5)"),
        ("rand-m7", "randaugment(num_ops=2, magnitude=7, version=timm)"),
        ("original", "autoaugment(table=imagenet, ladder=timm_original)"),
        ("v0r", "autoaugment(table=efficientnet_v0, ladder=timm_research)"),
        ("augmix-m3-w3", "augmix(severity=3, width=3, version=timm)"),
    ],
)
def test_timm_strings_are_imported_and_run(text: str, expected: str) -> None:
    assert from_timm(text).text == expected
    images = torch.randint(0, 256, (32, 3, 24, 24), dtype=torch.uint8)
    assert augury.pipeline(expected)(images).shape == images.shape


@pytest.mark.parametrize(
    ("text", "part"), [("rand-m9-x3", "'x3' is not an opt"), ("augmix-n2", "n2"), ("foo", "not a timm policy")]
)
def test_what_cannot_be_imported_is_named(text: str, part: str) -> None:
    with pytest.raises(InputError, match=part):
        from_timm(text)


def test_torchvisions_enums_are_imported() -> None:
    assert from_torchvision("AutoAugmentPolicy.SVHN").text == "autoaugment(table=svhn, ladder=torchvision)"
    with pytest.raises(InputError, match="not a torchvision policy"):
        from_torchvision("AutoAugmentPolicy.FOOD")


def test_fast_autoaugment_lists_are_read_as_literals_only(tmp_path: Path) -> None:
    path = tmp_path / "found.txt"
    path.write_text('[[("Rotate", 0.5, 0.75), ["Solarize", 1.0, 0.5]], [("Cutout", 0.2, 1.0)]]')
    policy = augury.policy("fast_autoaugment", file=str(path))
    assert [[(policy.space[s.op].op.name, s.p) for s in row] for row in policy.table] == [
        [("rotate", 0.5), ("solarize", 1.0)], [("cutout", 0.2)],
    ]  # fmt: skip
    degrees = policy.space[0].law("degrees").value(torch.zeros(1), torch.tensor([0.75]))
    assert float(degrees) == pytest.approx(15)
    for bad, message in [
        ("__import__('os')", "plain literals"), ("[]", "a list of sub-policies"), ("[[('Rotat', 1, 1)]]", "did you mean 'Rotate'"),
        ("[[('Rotate', 2, 1)]]", "probability 2"),
    ]:  # fmt: skip
        path.write_text(bad)
        with pytest.raises(InputError, match=message.replace("(", "[(]")):
            augury.policy("fast_autoaugment", file=str(path))


def test_pba_replays_its_schedule(tmp_path: Path) -> None:
    never, always = [0, 0] * 30, [10, 9] * 30
    path = tmp_path / "schedule.json"
    path.write_text(json.dumps([[5, never], [15, always]]))
    policy = augury.policy("pba", file=str(path))
    noise = Noise.of(0, torch.arange(20000))
    assert not policy.ask(noise, Clock(1, 8)).on.any()
    plan = policy.ask(noise, Clock(2, 8))
    counts = torch.bincount(plan.on.sum(1), minlength=3) / 20000
    assert torch.allclose(counts, torch.tensor([0.2, 0.3, 0.5]), atol=0.02)
    assert torch.bincount(plan.op[plan.on], minlength=15).min() > 1300 and (plan.strength[plan.on] == 0.9).all()
    both = plan.choice[plan.on.all(1)]
    assert (both[:, 0] != both[:, 1]).all()  # drawn without replacement from the thirty


def test_pba_reads_a_search_log_and_refuses_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    lines = [["0", "3", 5, step, {}, {"hp_policy": [level, 3] * 30}] for step, level in [(10, 0), (40, 10)]]
    path.write_text("\n".join(map(json.dumps, lines)))
    policy = augury.policy("pba", file=str(path))
    assert [until for until, _, _ in policy.periods] == [0.25, 1.0]
    path.write_text(json.dumps([[5, [0] * 59]]))
    with pytest.raises(InputError, match="60 numbers are needed"):
        augury.policy("pba", file=str(path))
    path.write_text("hello")
    with pytest.raises(InputError, match="line 1: neither a log line"):
        augury.policy("pba", file=str(path))


def test_what_no_list_can_say_is_imported_as_an_augmentation(tmp_path: Path) -> None:
    # Catches an import that refuses the notation most people use, or loses its options.
    from augury.jobs.policy import diff, import_policy, show

    for text, expected in (("rand-m9-n2-mstd0.5-inc1", "randaugment"), ("augmix-m3-w3", "augmix")):
        file = tmp_path / f"{expected}.yaml"
        made = import_policy(text, file).text
        assert made.startswith(expected) and show(str(file), 32)["periods"][0]["policies"] == [made]
        images, ids = torch.zeros(6, 3, 16, 16, dtype=torch.uint8) + 90, torch.arange(6)
        both = [augury.pipeline(name).run(Batch(images, None, ids), Noise.of(0, ids))[0].images for name in (str(file), made)]
        assert both[0].equal(both[1]) and diff(str(file), made, 32) == []


@pytest.mark.parametrize(
    ("line", "words"),
    [("other.yaml", "not another file"), ("randaugmnt", "did you mean 'randaugment'"), ("randaugment(num_ops=0)", "num_ops")],
)
def test_an_augmentation_in_a_file_is_checked(line: str, words: str) -> None:
    with pytest.raises(InputError, match="line 2") as refused:
        parse_policy(f"augury_policy: 1\naugment: {line}\n", "file", check_augment)
    assert words in str(refused.value)


def test_words_name_what_is_drawn() -> None:
    # Catches "+-1.27" for an enhancement, whose drawn sign mirrors its factor about 1.
    assert words((PolicyEntry("brightness", 1, 0.3, {"factor": 1.27}, True),)) == "brightness 1 (0.73 or 1.27 factor)"
    assert words((PolicyEntry("rotate", 1, 0.3, {"degrees": 9.0}, True),)) == "rotate 1 (+-9 degrees)"


def test_what_a_mix_called_its_weight_is_read_as_before() -> None:
    """Catches a policy file, a text or YAML of the days of `keep` that is refused, or read as something else."""
    text = "augury_policy: 1\nname: old\npolicies:\n  - - {op: mixup, probability: 1.0, values: {WEIGHT: 0.25}}\n"
    for name in ("keep", "weight"):
        entry = parse_policy(text.replace("WEIGHT", name), "old.yaml", check_augment).periods[0][1][0][0]
        assert (entry.op, entry.values) == ("mixup", {"weight": 0.25})
    assert str(parse_chain("mixup(keep=0.3)+cutmix(keep=beta(2))", "")) == "mixup(weight=0.3)+cutmix(weight=beta(2))"
    assert augury.pipeline(["mixup(keep=0.3)"]).origin == augury.pipeline("mixup(weight=0.3)").origin
    with pytest.raises(InputError, match="keep"):
        augury.pipeline("mixup(keep=0.3, weight=0.4)")
