"""The order of execution as a witness: proposed, completed with what the log does not have, audited."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from run_folder_builder import RunFolderBuilder
from witness_truth import wrong_placement

from checker.audit import audit_order
from checker.engines.answers import Explained
from checker.engines.witness import propose
from checker.history import Operation
from checker.judge import judge_run
from checker.judges import linearizability
from checker.models import model_named

MODEL = model_named("register")


def op(index, f, given, output, call, end):
    return Operation(index, index, f, "k", given, output, "info" if end is None else "ok", call, end)


WRITES = [op(0, "write", "a", None, 0, 10), op(1, "write", "b", None, 20, 30)]


def order(operations, logged):
    found = propose(MODEL, operations, logged)
    if not isinstance(found, Explained):
        return found.why
    assert audit_order(MODEL, operations, found.order, found.dropped) is None
    return list(found.order), list(found.dropped)


def test_the_log_alone_is_the_order():
    assert order(WRITES, [0, 1]) == ([0, 1], [])


def test_what_is_pending_and_was_not_executed_is_left_out():
    assert order([*WRITES, op(2, "write", "c", None, 5, None)], [0, 1]) == ([0, 1], [2])
    assert order([*WRITES, op(2, "write", "c", None, 5, None)], [0, 2, 1]) == ([0, 2, 1], [])


@pytest.mark.parametrize(
    ("value", "call", "end", "placed"),
    [
        (None, 0, 9, [2, 0, 1]),
        ("a", 0, 50, [0, 2, 1]),
        ("b", 20, 50, [0, 1, 2]),
        ("a", 11, 20, [0, 2, 1]),
        (None, 10, 50, [2, 0, 1]),
        ("b", 5, 20, [0, 1, 2]),
    ],
)
def test_a_read_that_was_not_ordered_is_placed(value, call, end, placed):
    assert order([*WRITES, op(2, "read", None, value, call, end)], [0, 1]) == (placed, [])


@pytest.mark.parametrize(("value", "call", "end"), [(None, 11, 50), ("b", 0, 19), ("c", 0, 50)])
def test_a_read_that_fits_nowhere_rejects_the_witness(value, call, end):
    assert "fits nowhere" in order([*WRITES, op(2, "read", None, value, call, end)], [0, 1])


def test_reads_keep_their_own_real_time():
    late = op(3, "read", None, None, 9, 50)
    assert "fits nowhere" in order([*WRITES, op(2, "read", None, "a", 0, 8), late], [0, 1])
    assert order([*WRITES, op(2, "read", None, "a", 0, 9), late], [0, 1]) == ([3, 0, 2, 1], [])


def test_a_value_that_comes_back_is_taken_at_its_first_chance():
    again = [*WRITES, op(2, "write", "a", None, 40, 50)]
    assert order([*again, op(3, "read", None, "a", 25, 60)], [0, 1, 2])[0] == [0, 3, 1, 2]
    assert order([*again, op(3, "read", None, "a", 31, 60)], [0, 1, 2])[0] == [0, 1, 2, 3]


def test_a_completed_write_that_nobody_executed_rejects_the_witness():
    assert "no replica executed it" in order(WRITES, [0])


def test_an_answer_the_executed_order_does_not_give_rejects_the_witness():
    wrong = [*WRITES, op(2, "read", None, "a", 35, 36), op(3, "read", None, "b", 37, 38)]
    assert "does not accept operation 2" in order(wrong, [0, 1, 2])


@pytest.mark.parametrize("name", ["register", "append", "set", "queue", "counter"])
def test_placement_finds_a_place_whenever_there_is_one(name):
    rng, counts = random.Random(11), Counter[str]()
    while counts.total() < 600:
        wrong = wrong_placement(rng, name, counts)
        assert wrong is None, wrong
    assert min(counts["placed"], counts["rejected"]) > 60


@pytest.fixture
def run():
    return RunFolderBuilder()


def test_a_run_is_explained_by_what_its_replicas_executed(run, tmp_path):
    verdict = judge_run(run.write(tmp_path / "run"))
    assert verdict.exit_code == 0
    assert verdict.line("witness").verdict == "valid"
    assert verdict.line("linearizability").details["engines"] == {"witness": 1}


def test_answers_by_another_order_than_the_executed_one_are_a_finding(run, tmp_path):
    """Two overlapping puts executed the wrong way round for the reads: clients alone could not tell."""
    for lines in run.traces.values():
        first, second = ([x for x in lines if x["e"] == "executed" and x["seq"] == seq] for seq in (1, 2))
        swapped = first[0]["requests"], second[0]["requests"]
        for line in first:
            line["requests"] = swapped[1]
        for line in second:
            line["requests"] = swapped[0]
    verdict = judge_run(run.write(tmp_path / "run"))
    assert verdict.line("linearizability").verdict == "valid"
    line = verdict.line("witness")
    assert line.verdict == "invalid"
    assert "clients are explainable, the order of execution is not" in line.reason
    assert verdict.exit_code == 1


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda run: [run.traces[r].clear() for r in range(4)], "shows an executed request"),
        (
            lambda run: [lines.remove(run.executed(r, 5)) for r, lines in run.traces.items()],
            "executing sequence number 5",
        ),
        (lambda run: run.executed(1, 5)["requests"].clear(), "differ at sequence number 5"),
        (lambda run: run.traces[0].insert(3, {"e": "executed", "t_ns": 1}), "cannot be read"),
    ],
)
def test_without_an_order_of_execution_the_clients_are_judged_alone(run, tmp_path, spoil, why):
    spoil(run)
    verdict = judge_run(run.write(tmp_path / "run"))
    line = verdict.line("witness")
    assert (line.judged, line.verdict) == (False, "unknown")
    assert why in line.reason
    assert verdict.line("linearizability").verdict == "valid"


def test_a_violation_is_not_said_twice(run, tmp_path):
    run.events = [(*e[:5], "v1", *e[6:]) if e[2] == "ok" and e[8] == "final" else e for e in run.events]
    verdict = judge_run(run.write(tmp_path / "run"))
    assert verdict.line("linearizability").verdict == "invalid"
    assert not verdict.line("witness").judged


def test_where_nothing_was_held_against_the_order_nothing_is_valid(run, tmp_path, monkeypatch):
    def broken(*_):
        raise MemoryError("no room")

    monkeypatch.setattr(linearizability, "propose", broken)
    line = judge_run(run.write(tmp_path / "run")).line("witness")
    assert (line.judged, line.verdict) == (False, "unknown")
    assert "no room" in line.reason
