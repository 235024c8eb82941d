"""Run folders made to deceive: each hides a violation, or tested nothing, and none may pass.

Every case spoils a folder that every judge accepts. What is written by replicas may be bent at will. (Records
of the harness that do not fit each other: `test_consistency.py`.)
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from run_folder_builder import MS, RunFolderBuilder, S, digest

from checker.formats import traitor
from checker.formats.writer import HistoryWriter
from checker.judge import judge_history, judge_run
from checker.verdict import Verdict

Spoil = Callable[[RunFolderBuilder], object]


@pytest.fixture
def run():
    return RunFolderBuilder()


def test_the_folder_they_start_from_is_valid(run, tmp_path):
    assert judge_run(run.write(tmp_path)).exit_code == 0


def noticed(verdict: Verdict, code: int, line: str, says: str) -> None:
    assert verdict.exit_code == code, verdict.text()
    assert verdict.line(line).verdict != "valid"
    assert says in verdict.line(line).reason, verdict.text()


# ------------------------------------------------------------------ nothing was tested


def _no_operation(run):
    run.events = []


def _nothing_completed(run):
    """Every process' only operation times out."""
    run.events = []
    for i in range(60):
        run.operation(i, "put", f"v{i}", None, i * MS, i * MS + S, 1000 + i, 1, type_="info")


def _one_client(run):
    run.events = []
    for i in range(60):
        f, given, output = ("put", f"v{i}", None) if i % 2 == 0 else ("get", None, f"v{i - 1}")
        run.operation(0, f, given, output, 2 * i * MS, (2 * i + 1) * MS, 1000, i + 1)


def _no_fault_took_effect(run):
    run.faults = [run.faults[0], {**run.faults[1], "step": "no-effect", "reason": "it was down"}]
    run.ledger["windows"] = [{**run.ledger["windows"][0], "to_ns": 60 * S}]
    run.run["exits"] = []


def _undone_but_never_in_effect(run):
    del run.faults[2]


def _an_empty_receipt(run):
    run.faults[2]["receipt"] = {}


def _faults_nobody_recorded(run):
    run.faults = run.faults[:1]
    _no_bad_window(run)


def _no_bad_window(run):
    run.ledger["windows"] = [{**run.ledger["windows"][0], "to_ns": 60 * S}]
    run.run["exits"] = []


def _no_final_reads(run):
    run.events = [event for event in run.events if event[8] != "final"]


def _interrupted_at_once(run):
    run.events = []
    run.run.update(interrupted="SIGINT", health=None)
    run.run["phases"] = run.run["phases"][:2] + run.run["phases"][-1:]


@pytest.mark.parametrize(
    ("spoil", "line", "says"),
    [
        (_no_operation, "linearizability", "no operation to judge"),
        (_nothing_completed, "coverage", "0 operations of the load completed"),
        (_one_client, "coverage", "no two operations on one key overlapped"),
        (_no_fault_took_effect, "coverage", "no receipt that kill-1 took effect (it was down)"),
        (_undone_but_never_in_effect, "coverage", "no receipt that kill-1 took effect"),
        (_an_empty_receipt, "coverage", "no receipt that kill-1 took effect"),
        (_faults_nobody_recorded, "coverage", "no receipt that kill-1 took effect"),
        (_no_final_reads, "liveness", "1 of 1 final reads did not complete"),
        (_interrupted_at_once, "coverage", "the run was interrupted"),
    ],
)
def test_a_run_that_tested_nothing_is_no_pass(run, tmp_path, spoil: Spoil, line, says):
    spoil(run)
    verdict = judge_run(run.write(tmp_path))
    noticed(verdict, verdict.exit_code, line, says)
    assert verdict.exit_code in (1, 3)
    if spoil not in (_nothing_completed, _one_client):  # their traces tell of other operations
        assert verdict.exit_code == 3, verdict.text()


def test_faults_that_nobody_asked_for_are_not_missed(run, tmp_path):
    run.plan["faults"] = []
    run.faults = run.faults[:1]
    _no_bad_window(run)
    verdict = judge_run(run.write(tmp_path))
    assert verdict.exit_code == 0, verdict.text()
    assert "0 faults with receipts" in verdict.line("coverage").reason


# ------------------------------------------------------------------ histories


def history(path, *events):
    """(time, process, type, f, value), all on one key."""
    with path.open("wb") as out:
        writer = HistoryWriter(out.write, "kv")
        for time_ns, process, kind, f, value in events:
            if kind == "invoke":
                writer.invoke(time_ns, process, f, "k", value)
            elif kind == "ok":
                writer.ok(time_ns, process, value)
            else:
                writer.info(time_ns, process, "timeout")
    return path


@pytest.mark.parametrize("reader", [0, 1])
def test_a_coarse_clock_hides_no_order(tmp_path, reader):
    """All in one nanosecond: the order of the lines is the order of events."""
    path = history(
        tmp_path / "h.jsonl",
        (5, 0, "invoke", "put", "a"),
        (5, 0, "ok", "put", None),
        (5, reader, "invoke", "get", None),
        (5, reader, "ok", "get", None),
    )
    assert judge_history(path).line("linearizability").verdict == "invalid"


def test_what_overlaps_in_one_nanosecond_still_overlaps(tmp_path):
    path = history(
        tmp_path / "h.jsonl",
        (5, 0, "invoke", "put", "a"),
        (5, 1, "invoke", "get", None),
        (5, 0, "ok", "put", None),
        (5, 1, "ok", "get", None),
    )
    assert judge_history(path).line("linearizability").verdict == "valid"
    a, b = traitor.read(path).operations
    assert (a.call_ns, b.call_ns, a.return_ns, b.return_ns) == (5, 5, 5, 5)


def test_an_operation_that_timed_out_happens_once_at_most(tmp_path):
    """Its value comes, goes and comes again."""
    path = history(
        tmp_path / "h.jsonl",
        (0, 0, "invoke", "put", "a"),
        (1, 0, "info", "put", None),
        (2, 1, "invoke", "get", None),
        (3, 1, "ok", "get", "a"),
        (4, 1, "invoke", "put", "b"),
        (5, 1, "ok", "put", None),
        (6, 1, "invoke", "get", None),
        (7, 1, "ok", "get", "b"),
        (8, 2, "invoke", "get", None),
        (9, 2, "ok", "get", "a"),
    )
    assert judge_history(path).line("linearizability").verdict == "invalid"


def test_an_operation_that_timed_out_happens_after_its_call(tmp_path):
    path = history(
        tmp_path / "h.jsonl",
        (0, 1, "invoke", "get", None),
        (1, 1, "ok", "get", "a"),
        (2, 0, "invoke", "put", "a"),
        (3, 0, "info", "put", None),
    )
    assert judge_history(path).line("linearizability").verdict == "invalid"


def test_a_value_written_again_excuses_only_what_it_can(tmp_path):
    """`a` is written twice; between the two it was overwritten, read so, and yet read as `a`."""
    path = history(
        tmp_path / "h.jsonl",
        (0, 0, "invoke", "put", "a"),
        (1, 0, "ok", "put", None),
        (2, 0, "invoke", "put", "b"),
        (3, 0, "ok", "put", None),
        (4, 1, "invoke", "get", None),
        (5, 1, "ok", "get", "a"),
        (6, 0, "invoke", "put", "a"),
        (7, 0, "ok", "put", None),
    )
    assert judge_history(path).line("linearizability").verdict == "invalid"


# ------------------------------------------------------------------ traces


def _contradict_after_a_fake_start(run):
    lines = run.traces[1]
    start = dict(lines[0], t_ns=70_000, executed=30, records=9)
    lines += [start, {**run.executed(1, 31), "t_ns": 70_000, "digest": digest(9)}]


def _execute_again_elsewhere_after_a_fake_start(run):
    for replica in range(4):
        request = run.executed(replica, 5)["requests"][0]
        start = dict(run.traces[replica][0], t_ns=70_000, executed=61, records=9)
        again = {"t_ns": 70_000, "e": "executed", "seq": 62, "digest": digest(62), "requests": [request]}
        run.traces[replica] += [start, again]


def _repeat_with_another_digest(run):
    lines = run.traces[2]
    lines.insert(lines.index(run.executed(2, 8)), {**run.executed(2, 8), "digest": digest(9)})


def _claim_to_have_executed_it_all(run):
    """Three replicas start with everything done, and show nothing of it."""
    for replica in (1, 2, 3):
        run.traces[replica] = [dict(run.traces[replica][0], executed=61, records=9)]


def _garble_what_was_wrong(run):
    """The line that contradicts is no JSON; the replica is not believed to have torn it."""
    at = run.traces[3].index(run.executed(3, 8))
    run.traces[3][at] = {**run.traces[3][at], "requests": "lost"}


def _speak_for_another(run):
    run.traces[3][0]["replica"] = 2


@pytest.mark.parametrize(
    ("spoil", "code", "line", "says"),
    [
        (_contradict_after_a_fake_start, 1, "agreement", "sequence number 31"),
        (_execute_again_elsewhere_after_a_fake_start, 1, "exactly-once", "at sequence numbers 5 and 62"),
        (_repeat_with_another_digest, 1, "agreement", "sequence number 8"),
        (_claim_to_have_executed_it_all, 1, "durability", "only 1 correct replica still held it"),
        (_garble_what_was_wrong, 4, "harness", "requests is no list"),
        (_speak_for_another, 4, "harness", "replica 2"),
    ],
)
def test_traces_hide_nothing(run, tmp_path, spoil: Spoil, code, line, says):
    spoil(run)
    noticed(judge_run(run.write(tmp_path)), code, line, says)


@pytest.mark.parametrize("tail", [b'{"t_ns":5,"e":"alarm","reason":"x"', b"\x00" * 50, b"{}"])
def test_only_what_a_crash_tears_is_forgiven(run, tmp_path, tail):
    folder = run.write(tmp_path)
    trace = folder / "replicas" / "1" / "trace.jsonl"
    whole = trace.read_bytes()
    trace.write_bytes(whole + tail)
    assert (judge_run(folder).exit_code == 0) is (tail != b"{}")
    trace.write_bytes(whole + tail + b"\n")
    noticed(judge_run(folder), 4, "harness", "trace.jsonl of replica 1")


def test_a_missing_replica_is_no_pass(run, tmp_path):
    del run.traces[3]
    noticed(judge_run(run.write(tmp_path)), 4, "harness", "replica 3")


def test_a_violation_is_heard_over_a_broken_harness(run, tmp_path):
    """In the order 1, 4, 3, 0."""
    _no_final_reads(run)
    assert judge_run(run.write(tmp_path)).exit_code == 3
    run.run["harness_errors"].append("disk full")
    assert judge_run(run.write(tmp_path)).exit_code == 4
    _repeat_with_another_digest(run)
    assert judge_run(run.write(tmp_path)).exit_code == 1
