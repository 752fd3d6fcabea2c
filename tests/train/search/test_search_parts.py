"""The parts of a search: budgets, journals, the proxy, spaces, who proposes children, and where they are trained."""

import json
import os
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from search_helpers import FAST, Breaking, bars, outcome

from augury.augment.names import read_policy_file
from augury.augment.policies.file import PolicyFile, policy_of, write_policy
from augury.augment.policies.searched import PolicySpace
from augury.augment.stages.plan import PlanStage
from augury.core.batch import Batch
from augury.core.errors import InputError, RunError
from augury.core.noise import Noise
from augury.train.pools.opened import Workers, pool_of
from augury.train.pools.pool import SerialPool
from augury.train.pools.processes import ProcessPool
from augury.train.search.arm import ArmResult, run_arm
from augury.train.search.budget import Budget
from augury.train.search.child import ChildRunner, proxy
from augury.train.search.journal import Journal
from augury.train.search.outcome import Job, Outcome
from augury.train.search.searchers import ControllerSearch, GridSearch, RandomSearch
from augury.train.search.spaces import AutoAugmentSpace, RandAugmentSpace
from augury.train.search.tanda_space import TandaSpace

OPS = ("invert", "rotate", "solarize", "posterize", "shear_x", "color", "equalize", "sharpness")


def test_budgets() -> None:
    assert Budget.of("40") == Budget(40) and Budget.of("20m").seconds == 1200
    assert Budget.of("1.5h").seconds == 5400 and Budget.of("90s").seconds == 90
    assert Budget(5).allows(4, 1e9) and not Budget(5).allows(5, 0)
    timed = Budget(None, 10)
    assert timed.allows(100, 9.9) and not timed.allows(0, 10)
    assert Budget(None, 10, least=3).allows(2, 99) and not Budget(None, 10, least=3).allows(3, 99)
    assert Budget(9).more_than(Budget(9)) and not Budget(8).more_than(Budget(9)) and not Budget(None, 60).more_than(Budget(1))
    for text in ("0", "0m", "-3", "many", "2.5", "", "3d", "1e3"):
        with pytest.raises(InputError, match="--budget"):
            Budget.of(text)


def test_journal_keeps_whole_lines_only(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    journal.add(outcome(0, 50.0, {"a": 1}, files={"yaml": b"text"}))
    journal.add(outcome(1, None, [1, 2], error="broke"))
    path = tmp_path / "journal.jsonl"
    whole = path.read_text()
    path.write_text(whole + whole.splitlines()[0][:40])
    again = Journal.open(tmp_path)
    assert list(again.known) == [("found", 0), ("found", 1)] and path.read_text() == whole
    assert again.known["found", 0].decisions == {"a": 1} and again.known["found", 1].error == "broke"
    assert again.file("found", 0, "yaml").read_bytes() == b"text"
    again.add(outcome(2, 1.0))
    assert [json.loads(line)["number"] for line in path.read_text().splitlines()] == [0, 1, 2]
    again.clear()
    assert not path.exists() and not again.file("found", 0, "yaml").exists()


def test_proxy_is_stratified_fixed_and_without_a_test_part() -> None:
    dataset = bars(64)
    uneven = replace(dataset, train=replace(dataset.train, labels=(torch.arange(64) % 4 == 0).long()))
    small = proxy(uneven, 16, seed=0)
    assert len(small.test.ids) == 0 and len(small.train.ids) == 16
    assert Counter(small.train.labels.tolist()) == {0: 12, 1: 4}
    assert torch.equal(small.train.ids, proxy(uneven, 16, seed=0).train.ids)
    assert not torch.equal(small.train.ids, proxy(uneven, 16, seed=1).train.ids)
    assert torch.equal(small.validation.ids, dataset.validation.ids)
    assert torch.equal(proxy(uneven, 1000, seed=0).train.ids, dataset.train.ids)


def test_sizes_of_the_spaces() -> None:
    assert PolicySpace().size == 1760**10 and PolicySpace().decisions == 30
    space = RandAugmentSpace()
    grid = space.grid(30)
    assert len(grid) == 30 == len({tuple(d.values()) for d in grid})
    assert {d["num_ops"] for d in grid} == {1, 2, 3} and all(0 <= d["magnitude"] <= 30 for d in grid)
    assert len(space.grid(10**6)) == 3 * 31
    drawn = [space.uniform(Noise.of(n, torch.tensor([n])), n) for n in range(2000)]
    assert Counter(d["num_ops"] for d in drawn).keys() == {1, 2, 3}
    assert len({d["magnitude"] for d in drawn}) == 31
    assert max(Counter(d["magnitude"] for d in drawn).values()) < 2 * 2000 / 31


def test_randaugment_found_equals_randaugment_named(tmp_path: Path) -> None:
    """The written file draws every pair of operations equally often, with the values that the registered policy has."""
    from augury.augment.names import policy

    space = RandAugmentSpace()
    made = space.candidate({"num_ops": 2, "magnitude": 12}, bars(), 0)
    path = tmp_path / "found.yaml"
    path.write_text(write_policy(PolicyFile("x", ((1.0, made.rows),), repeat=made.repeat)))
    content = read_policy_file(path)
    assert content.repeat == 2 and len(content.periods[0][1]) == 14
    found = policy_of(content)
    ids = torch.arange(6000)
    batch = Batch(torch.zeros(6000, 3, 4, 4, dtype=torch.uint8), None, ids)
    traces = [PlanStage("x", p).sample(batch, Noise.of(1, ids)) for p in (found, policy("randaugment", num_ops=2, magnitude=12))]
    spaces = [found.space, policy("randaugment", num_ops=2, magnitude=12).space]
    drawn = []
    for trace, entries in zip(traces, spaces, strict=True):
        names = [entry.op.name for entry in entries.entries]
        shown: dict[str, set[float]] = {}
        for op, value in zip(trace["op"].flatten().tolist(), trace["value"][:, :, 0].flatten().tolist(), strict=True):
            shown.setdefault(names[op], set()).add(round(abs(value), 4))
        pairs = Counter((names[a], names[b]) for a, b in trace["op"].tolist())
        drawn.append((shown, pairs))
    assert drawn[0][0] == drawn[1][0]
    assert len(drawn[0][1]) == len(drawn[1][1]) == 14**2
    assert max(drawn[0][1].values()) < 2.2 * 6000 / 14**2


def test_a_policy_file_refuses_a_repeat_that_makes_no_sense(tmp_path: Path) -> None:
    for text in ("repeat: 0", "repeat: two", "repeat: true", "repeat: 100"):
        path = tmp_path / "x.yaml"
        path.write_text(f"augury_policy: 1\n{text}\npolicies:\n  - - {{op: flip}}\n  - - {{op: invert}}\n")
        with pytest.raises(InputError, match="line 2: repeat"):
            read_policy_file(path)


def test_chance_draws_every_child_anew_and_always_the_same() -> None:
    space = AutoAugmentSpace(PolicySpace(operations=OPS))
    one, whole = RandomSearch(space, 3), RandomSearch(space, 3)
    parts = [*one.ask(0, 5), *one.ask(5, 15)]
    assert parts == whole.ask(0, 20) and len({tuple(p) for p in parts}) == 20
    assert parts != RandomSearch(space, 4).ask(0, 20)


def test_tanda_random_search_begins_with_the_uniform_policy() -> None:
    space = TandaSpace(("flip", "invert", "rotate(degrees=5)"))
    first, second, third = RandomSearch(space, 0).ask(0, 3)
    assert first == {"kind": "uniform"}
    assert sum(second["frequencies"]) == pytest.approx(1, abs=1e-5) and second != third
    made = space.candidate(second, bars(), 0)
    drawn = Counter(entry.op for row in made.rows for entry in row)
    for name, share in zip(("flip", "invert", "rotate"), second["frequencies"], strict=True):
        assert drawn[name] / 2000 == pytest.approx(share, abs=0.04)


def planted(seed: int, rule: str, children: int = 80) -> list[float]:
    """A search where only how often `invert` fires matters, beside noise as large as a fifth of its span."""
    space = PolicySpace(operations=OPS, sub_policies=2)
    searcher = ControllerSearch(space, seed, rule, lr=0.01)  # type: ignore[arg-type]
    noise = torch.randn(children, generator=torch.Generator().manual_seed(seed))

    def accuracy(decisions: list[int], number: int) -> float:
        op, probability, _ = space.decode(torch.tensor([decisions]))
        return float(60 + 20 * ((op == 0) * probability).mean() + noise[number])

    for first in range(0, children, 8):
        asked = searcher.ask(first, 8)
        searcher.tell([outcome(first + k, accuracy(each, first + k), each) for k, each in enumerate(asked)])
    op, probability, _ = space.decode(searcher.learner.sample(Noise.of(99, torch.arange(200))))
    weight = [float(((op == k) * probability).sum()) for k in range(len(OPS))]
    return [each / sum(weight) for each in weight]


@pytest.mark.parametrize("rule", ["ppo", "reinforce"])
def test_the_controller_finds_the_planted_operation(rule: str) -> None:
    shares = [planted(seed, rule) for seed in range(10)]
    assert sum(max(range(len(OPS)), key=share.__getitem__) == 0 for share in shares) >= 8
    assert sum(share[0] > 2 / len(OPS) for share in shares) >= (8 if rule == "ppo" else 5)


def test_a_controller_told_the_same_again_proposes_the_same() -> None:
    space = PolicySpace(operations=OPS)
    asked = []
    for _ in range(2):
        searcher = ControllerSearch(space, 1, lr=0.05)
        first = searcher.ask(0, 8)
        searcher.tell([outcome(k, float(k) if k else None, each) for k, each in enumerate(first)])
        asked.append(searcher.ask(8, 8))
    assert asked[0] == asked[1]
    untold = ControllerSearch(space, 1, lr=0.05)
    assert untold.ask(8, 8) != asked[0]


@pytest.mark.slow
def test_real_children_find_the_planted_operation() -> None:
    """Validation images are inverted half the time, training images never: `invert` is the one operation that helps."""
    space = AutoAugmentSpace(PolicySpace(operations=("invert", "posterize", "sharpness", "auto_contrast"), sub_policies=2))
    found = 0
    for seed in range(10):
        runner = ChildRunner(replace(FAST, epochs=4, seed=seed), proxy(bars(48, inverted=True), 48, 0), space)
        searcher = ControllerSearch(space.policies, seed, lr=0.01)
        outcomes = []
        for first in range(0, 32, 8):
            asked = searcher.ask(first, 8)
            outcomes += (told := [runner.run(Job("found", first + k, each, 5)) for k, each in enumerate(asked)])
            searcher.tell(told)
        rows = [row for o in ArmResult(outcomes, 0).best(5) for row in space.policies.rows(o.decisions)]
        weight = Counter[str]()
        for row in rows:
            for entry in row:
                weight[entry.op] += entry.probability
        found += weight.most_common(1)[0][0] == "invert"
    assert found >= 8


def jobs(*decisions: str) -> list[Job]:
    return [Job("found", number, each, 7) for number, each in enumerate(decisions)]


def test_a_child_that_raises_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    runner = ChildRunner(FAST, proxy(bars(), 32, 0), Breaking())
    found = run_arm("found", GridSearch(["work", "raise", "file"]), Budget(3), SerialPool(runner), Journal.open(tmp_path), seed=0)
    one, two, three = found.outcomes
    assert one.accuracy is not None and three.accuracy is not None and one.epochs == 1
    assert two.accuracy is None and two.error == "ValueError: no such thing"
    assert (tmp_path / "children" / "found-2.yaml").read_bytes() == b"file"
    assert found.best(5) == sorted([one, three], key=lambda o: (-o.accuracy, o.number))
    with pytest.raises(RunError, match="no child finished.*no such thing"):
        run_arm("random", GridSearch(["raise"]), Budget(1), SerialPool(runner), Journal.open(tmp_path), seed=0).best(1)


def test_pruned_children_are_not_chosen() -> None:
    result = ArmResult([outcome(0, 90.0, pruned=True), outcome(1, 50.0), outcome(2, 50.0)], 0.0)
    assert [o.number for o in result.best(2)] == [1, 2]


def test_children_in_the_journal_are_not_trained_again(tmp_path: Path) -> None:
    class Counting(SerialPool):
        def run(self, jobs):  # type: ignore[no-untyped-def]
            def noted():  # type: ignore[no-untyped-def]
                for job in jobs:
                    trained.append(job.number)
                    yield job

            return super().run(noted())

    runner = ChildRunner(FAST, proxy(bars(), 32, 0), Breaking())
    trained: list[int] = []
    searcher = GridSearch(["work"] * 4, round_size=2)
    first = run_arm("found", searcher, Budget(2), Counting(runner), Journal.open(tmp_path), seed=0)
    second = run_arm("found", searcher, Budget(4), Counting(runner), Journal.open(tmp_path), seed=0)
    assert trained == [0, 1, 2, 3]
    assert [o.dict() for o in second.outcomes[:2]] == [o.dict() for o in first.outcomes]
    assert len({o.seed for o in second.outcomes}) == 4, "every child has a seed of its own"


@dataclass
class Takes:
    """A pool of so many workers whose every child takes so many seconds, by its own clock. taken: jobs in hand at a time."""

    workers: int
    seconds: float
    taken: list[int] = field(default_factory=list)

    def run(self, jobs):  # type: ignore[no-untyped-def]
        upcoming, busy = iter(jobs), []
        while True:
            while len(busy) < self.workers and (job := next(upcoming, None)) is not None:
                busy.append(job)
            if not busy:
                return
            self.taken.append(len(busy))
            job = busy.pop(0)
            yield Outcome(job.arm, job.number, job.decisions, job.seed, 50.0, self.seconds)


@dataclass
class Learning:
    """Learns in rounds of 8; told: the numbers it was told of, round by round."""

    round_size: int = 8
    told: list[list[int]] = field(default_factory=list)

    def ask(self, first: int, count: int) -> list[int]:
        return list(range(first, first + count))

    def tell(self, outcomes) -> None:  # type: ignore[no-untyped-def]
        self.told.append([o.number for o in outcomes])

    def report(self, number: int) -> None:
        return None


@pytest.mark.parametrize("searcher", [GridSearch(["work"] * 100), Learning()])
def test_a_budget_in_seconds_ends_in_the_middle_of_a_round(searcher: Any, tmp_path: Path) -> None:
    # 90 seconds with children of 60: the second starts within them and the third does not; rounds of 8 took 480.
    found = run_arm("found", searcher, Budget(None, 90), Takes(1, 60.0), Journal.open(tmp_path), seed=0)
    assert [o.number for o in found.outcomes] == [0, 1]
    again = run_arm("found", searcher, Budget(None, 90), Takes(1, 60.0), Journal.open(tmp_path), seed=0)
    assert [o.number for o in again.outcomes] == [0, 1], "a finished arm does not grow when it is looked at again"
    more = run_arm("found", searcher, Budget(None, 700), Takes(1, 60.0), Journal.open(tmp_path), seed=0)
    assert [o.number for o in more.outcomes] == list(range(12)), "what is in the journal counts"


def test_all_workers_are_busy_where_nothing_is_learnt(tmp_path: Path) -> None:
    pool = Takes(32, 1.0)
    assert len(run_arm("found", GridSearch(["work"] * 70), Budget(64), pool, Journal.open(tmp_path), seed=0).outcomes) == 64
    assert pool.taken[:32] == [32] * 32
    chance = Takes(32, 1.0)
    run_arm("random", RandomSearch(Breaking(), 0), Budget(40), chance, Journal.open(tmp_path), seed=0)
    assert max(chance.taken) == 32


def test_a_searcher_that_learns_is_told_round_by_round_in_order(tmp_path: Path) -> None:
    searcher = Learning()
    run_arm("found", searcher, Budget(20), Takes(3, 1.0), Journal.open(tmp_path), seed=0)
    assert searcher.told == [list(range(8)), list(range(8, 16)), list(range(16, 20))]
    extended = Learning()
    run_arm("found", extended, Budget(26), Takes(3, 1.0), Journal.open(tmp_path), seed=0)
    assert extended.told == [list(range(8)), list(range(8, 16)), list(range(16, 24)), [24, 25]]


def test_processes_train_the_same_children_and_outlive_one_that_dies() -> None:
    runner = ChildRunner(FAST, proxy(bars(), 32, 0), Breaking())
    wanted = ["work", "die", "raise", "work"]
    processes = ProcessPool(runner, 2)
    try:
        found = {o.number: o for o in processes.run(jobs(*wanted))}
    finally:
        processes.close()
    alone = {o.number: o for o in SerialPool(runner).run(jobs("work", "work", "raise", "work")) if o.number != 1}
    assert found[1].accuracy is None and "exit code 7" in (found[1].error or "")
    assert found[2].error == alone[2].error
    assert found[0].accuracy == alone[0].accuracy and found[3].accuracy == alone[3].accuracy


@pytest.mark.slow
def test_a_local_ray_instance_trains_the_same_children(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # Ray's processes must find this test's helpers
    runner = ChildRunner(FAST, proxy(bars(), 32, 0), Breaking())
    with pool_of(runner, Workers(2, "local")) as pool:
        found = {o.number: o for o in pool.run(jobs("work", "die", "raise"))}
    alone = next(iter(SerialPool(runner).run(jobs("work"))))
    assert found[0].accuracy == alone.accuracy
    assert found[1].accuracy is None and found[1].error
    assert found[2].error == "ValueError: no such thing"


def test_ray_that_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with (
        pytest.raises(InputError, match=r"--ray: needs .*augury\[ray\]"),
        pool_of(ChildRunner(FAST, bars(), Breaking()), Workers(1, "local")),
    ):
        pass


def test_spaces_of_one_operation_are_refused() -> None:
    for make in (lambda: PolicySpace(operations=("flip",)), lambda: RandAugmentSpace(operations=("rotate", "rotate"))):
        with pytest.raises(InputError, match="at least two operations"):
            make()
    with pytest.raises(InputError, match="at least two functions"):
        TandaSpace(("flip",))
    with pytest.raises(InputError, match="one value"):
        TandaSpace(("flip", "rotate(degrees=uniform(-5, 5))"))
