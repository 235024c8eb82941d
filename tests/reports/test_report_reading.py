"""What the report reads from a run folder: pairing, outcomes, lanes, and what it says when a file is off."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.axis import Axis, make_axis, read_phases
from reports.columns import CUT_TEXT, Texts, differences, operation_columns, sums
from reports.faults import Fault, Step, read_faults, read_ledger, segments
from reports.operations import History, buckets, by_function, quantiles, read_history, round_step
from reports.replicas import MAX_MARKS, MAX_POINTS, read_replicas
from reports.run_folder import RunFolder


def history(*events: Mapping[str, object]) -> History:
    return read_history(enumerate(events, start=1))


def invoke(process: object, at: object, **more: object) -> dict[str, object]:
    return {
        "time_ns": at,
        "process": process,
        "type": "invoke",
        "f": "get",
        "key": "k",
        "input": None,
        **more,
    }


def end(process: object, at: object, kind: str = "ok", **more: object) -> dict[str, object]:
    return {"time_ns": at, "process": process, "type": kind, "f": "get", "output": "v", **more}


def test_invocations_meet_their_completions() -> None:
    read = history(
        {"schema": "traitor/history/1", "model": "kv"},
        invoke(0, 10, index=0, client=1000),
        invoke(1, 12, index=1, client=1001),
        {"time_ns": 13, "process": "nemesis", "type": "info", "f": "start"},
        end(1, 20, view=2),
        end(0, 30, "info", error="timeout"),
    )
    first, second = read.operations
    assert (read.model, read.last_ns, list(read.problems)) == ("kv", 30, [])
    assert (first.type, first.call_ns, first.return_ns, first.lane, first.output) == (
        "info",
        10,
        30,
        "client 1000",
        "",
    )
    assert "timeout" in first.note
    assert (second.type, second.return_ns, second.view, second.output) == ("ok", 20, 2, "v")


def test_an_operation_still_open_is_info_without_an_end() -> None:
    (operation,) = history(invoke(0, 10)).operations
    assert (operation.type, operation.return_ns, operation.lane) == ("info", None, "process 0")


def test_a_completion_before_its_call_takes_no_time() -> None:
    (operation,) = history(invoke(0, 10), end(0, 5)).operations
    assert operation.return_ns == 10


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([end(0, 5)], "1 completions nobody invoked left out; first at line 1"),
        (
            [invoke(0, 5), invoke(0, 6)],
            "1 invocations in a process that had one open left out; first at line 2",
        ),
        ([invoke(0, "5")], "1 events without a time or a known type left out; first at line 1"),
        ([{"time_ns": 3, "process": 0, "type": "perhaps"}], "events without a time or a known type"),
        ([invoke([0], -1)], "events without a time or a known type"),
    ],
)
def test_what_does_not_fit_is_counted(events: Sequence[Mapping[str, object]], said: str) -> None:
    assert any(said in problem for problem in history(*events).problems)


def test_quantiles_are_latencies_that_occurred() -> None:
    assert quantiles([]) == (None, None, None)
    assert quantiles([7]) == (7, 7, 7)
    assert quantiles(list(range(1, 101))) == (50, 99, 100)


def test_functions_and_their_sum() -> None:
    read = history(
        invoke(0, 0), end(0, 4), invoke(0, 5, f="put"), end(0, 9, "fail"), invoke(0, 10), end(0, 30)
    )
    rows = by_function(read.operations)
    assert [(row.f, dict(row.counts), row.max_ns) for row in rows] == [
        ("get", {"ok": 2, "fail": 0, "info": 0}, 20),
        ("put", {"ok": 0, "fail": 1, "info": 0}, None),
        ("all", {"ok": 2, "fail": 1, "info": 0}, 20),
    ]


def test_buckets_cover_everything_once() -> None:
    read = history(*(event for i in range(100) for event in (invoke(i, 10 * i), end(i, 10 * i + 7))))
    rows = buckets(read.operations, 0, 1_000, 300, 10)
    assert sum(row.counts["ok"] for row in rows) == 100
    assert rows[0].from_ns == 0
    assert all(row.to_ns - row.from_ns == 100 for row in rows)
    assert any(row.from_ns == 300 for row in rows)


@given(st.floats(0.01, 1e18))
def test_steps_are_round_and_not_too_small(ideal: float) -> None:
    step = round_step(ideal)
    assert ideal <= step <= max(1.0, 2.5 * ideal)
    assert str(step).rstrip("0") in ("1", "2", "5")


def test_the_axis_comes_from_the_harness_and_starts_at_the_load() -> None:
    phases = read_phases(
        {
            "phases": [
                {"name": "set up", "start_ns": 100, "end_ns": 200, "ok": True},
                {"name": "load", "start_ns": 200, "end_ns": 900, "ok": True},
                {"name": "broken", "start_ns": "x", "end_ns": 900},
                {"name": "backwards", "start_ns": 900, "end_ns": 800},
                17,
            ]
        }
    )
    assert [phase.name for phase in phases] == ["set up", "load"]
    axis = make_axis(phases, (250, 950), [1_000])
    assert (axis.from_ns, axis.to_ns, axis.zero_ns, axis.tick_ns) == (100, 1_000, 200, 1)
    assert (axis.ticks(50), axis.ticks(300), axis.ticks(1 << 60)) == (0, 200, 900)


def test_an_axis_of_nothing_and_of_centuries() -> None:
    assert make_axis((), None, []).to_ns == 1
    axis = make_axis((), (0, (1 << 62) - 1), [])
    assert (axis.to_ns - axis.from_ns) // axis.tick_ns < 1 << 53


FAULT_LINES = [
    ("asked", {}),
    ("took-effect", {"receipt": {"pid": 7}}),
    ("undo-asked", {}),
    ("undone", {"receipt": {"pid": 8}}),
]


def faults(*steps: tuple[str, Mapping[str, object]], plan: bool = True) -> Fault:
    planned = {"id": "kill-1", "kind": "kill", "start_ns": 5, "stop_ns": 9, "params": {"replicas": [2]}}
    lines = [
        (i, {"time_ns": 10 * i, "fault": "kill-1", "kind": "kill", "step": step, **more})
        for i, (step, more) in enumerate(steps, start=1)
    ]
    found, left_out = read_faults({"faults": [planned]} if plan else {}, lines)
    assert left_out == 0
    return found[0]


@pytest.mark.parametrize(
    ("steps", "outcome", "level"),
    [
        (FAULT_LINES, "took effect, undone", "valid"),
        ([], "never asked", "unknown"),
        (FAULT_LINES[:1], "no receipt", "unknown"),
        ([FAULT_LINES[0], ("no-effect", {"reason": "already dead"})], "no effect", "unknown"),
        (FAULT_LINES[:3], "took effect, not undone", "invalid"),
        ([*FAULT_LINES[:3], ("undo-failed", {"reason": "no such process"})], "undo failed", "invalid"),
    ],
)
def test_a_fault_is_what_its_receipts_say(
    steps: Sequence[tuple[str, Mapping[str, object]]], outcome: str, level: str
) -> None:
    fault = faults(*steps)
    assert (fault.outcome, fault.level, fault.params) == (outcome, level, "replicas [2]")


def test_segments_end_with_the_run_when_nothing_undid_them() -> None:
    parts = segments(faults(*FAULT_LINES), 100)
    assert [(part.from_ns, part.to_ns, part.state) for part in parts] == [
        (10, 20, "asked"),
        (20, 30, "effect"),
        (30, 40, "undoing"),
    ]
    assert segments(faults(*FAULT_LINES[:2]), 100)[-1].to_ns == 100


def test_evidence_is_a_receipt_or_a_reason() -> None:
    assert faults(*FAULT_LINES).first("took-effect") == Step(20, "took-effect", "pid 7")
    nested = faults(("took-effect", {"receipt": {"killed": {"1": {"pid": 13, "signal": 9}}, "links": 2}}))
    assert nested.steps[0].evidence == "killed (1 (pid 13, signal 9)), links 2"
    assert faults(("no-effect", {"reason": "dead"})).first("no-effect") == Step(10, "no-effect", "dead")


def test_a_receipt_of_what_was_done_to_packets_is_told_in_words() -> None:
    action = {"matched": 5, "in_force": True, "dropped": 5}
    stages = [{"stage": "a proposal", "attempt": 1}, {"stage": "time", "attempt": 1}]
    script = {"stages": stages, "stuck": "", "actions": {"001 cut": action}, "hurt": [], "attempts": 2}
    receipt = {
        "in_force": False, "matched": 1_264, "dropped": 255, "altered": 0, "targets": {"r0": 8, "r2": 32},
        "cells": [["COMMIT", "drop", "normal", "backup", 255]], "since_ns": 7,
        "rules": [{}, script, {"lies": 3}],
    }  # fmt: skip
    assert faults(("undone", {"receipt": receipt})).steps[0].evidence == (
        "no longer in force; 1,264 packets matched: dropped 255; sent to r0 8, r2 32; stages reached: "
        "a proposal, time; packets matched by its actions: 001 cut 5; attempts 2; rule: lies 3"
    )


def test_the_ledger_shows_windows_in_which_something_was_bad() -> None:
    windows = read_ledger(
        {
            "windows": [
                {"from_ns": 0, "to_ns": 5, "bad": [], "reasons": {}, "within_liveness_budget": True},
                {
                    "from_ns": 5,
                    "to_ns": 9,
                    "bad": [2],
                    "reasons": {"2": "killed"},
                    "within_liveness_budget": True,
                },
                {"from_ns": 9, "to_ns": 12, "bad": [1, 2], "reasons": {}, "within_liveness_budget": False},
                {
                    "from_ns": 12,
                    "to_ns": 15,
                    "bad": [],
                    "reasons": {},
                    "asynchronous": "drop-1",
                    "within_liveness_budget": False,
                },
                "nonsense",
            ]
        }
    )
    assert [(w.from_ns, w.bad, w.reasons, w.over) for w in windows] == [
        (5, "r2", "r2: killed", ""),
        (9, "r1, r2", "", "beyond f"),
        (12, "", "", "network unreliable"),
    ]


def write_trace(folder: Path, replica: str, lines: Sequence[object]) -> None:
    path = folder / "replicas" / replica / "trace.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_replica_lane_follows_its_lives(tmp_path: Path) -> None:
    lines = [
        {"t_ns": 0, "e": "started", "view": 0, "active": True, "executed": 0},
        *({"t_ns": 10 * i, "e": "executed", "seq": i, "requests": []} for i in range(1, 6)),
        {"t_ns": 60, "e": "view-change", "view": 1, "reason": "request timeout"},
        {"t_ns": 80, "e": "started", "view": 1, "active": False, "executed": 2},
        {"t_ns": 90, "e": "new-view", "view": 1, "primary": 1},
        {"t_ns": 95, "e": "executed", "seq": 3, "requests": []},
        {"t_ns": 99, "e": "stable", "seq": 2, "digest": "ab"},
    ]
    write_trace(tmp_path, "2", lines)
    run = {"exits": [{"replica": 2, "time_ns": 70, "signal": 9, "expected": True}]}
    (replica,) = read_replicas(RunFolder(tmp_path), run, None)
    assert [(step.at_ns, step.view, step.active) for step in replica.views] == [
        (0, 0, True),
        (60, 1, False),
        (80, 1, False),
        (90, 1, True),
    ]
    assert [(point.at_ns, point.seq) for point in replica.executed if point.restart] == [(0, 0), (80, 2)]
    assert replica.downs == [(70, 80, "exit by signal 9, expected")]
    assert (replica.lives, replica.last_executed, replica.last_stable, replica.last_view) == (2, 3, 2, 1)
    assert replica.unexpected_exits == 0


def test_a_silence_ends_with_its_recovery_or_its_life(tmp_path: Path) -> None:
    def line(t_ns: int, kind: str, **more: object) -> dict[str, object]:
        return {"t_ns": t_ns, "e": kind, "view": 3, **more}

    lines = [
        line(0, "recovered"),
        line(5, "started"),
        line(5, "silent", answers=[], needed=3),
        line(7, "silent", answers=[1, 2], needed=3),
        line(20, "started"),
        line(21, "silent", answers=[0, 1, 2], needed=3),
        line(30, "recovered"),
        line(40, "started"),
        line(41, "silent", answers="junk", needed=None),
    ]
    write_trace(tmp_path, "2", lines)
    (replica,) = read_replicas(RunFolder(tmp_path), {}, None)
    assert replica.silences == [
        (5, 20, "answered by 1, 2, needs 3; ended silent"),
        (21, 30, "answered by 0, 1, 2, needs 3; recovered in view 3"),
        (41, None, "answered by nobody, needs null"),
    ]


def test_a_flood_is_thinned_but_counted(tmp_path: Path) -> None:
    flood = [{"t_ns": i, "e": "rejected", "reason": "noise"} for i in range(5_000)]
    busy = [{"t_ns": i, "e": "executed", "seq": i} for i in range(9_000)]
    write_trace(tmp_path, "0", [*flood, *busy])
    folder = RunFolder(tmp_path)
    (replica,) = read_replicas(folder, {}, None)
    assert replica.counts["rejected"] == 5_000
    assert len(replica.marks) <= MAX_MARKS
    assert len(replica.executed) <= MAX_POINTS + 1
    assert replica.executed[-1].seq == 8_999
    assert any("5,000 rejected events" in notice.text for notice in folder.notices)


def test_an_exit_nobody_asked_for_is_a_crash(tmp_path: Path) -> None:
    write_trace(tmp_path, "0", [])
    (replica,) = read_replicas(
        RunFolder(tmp_path), {"exits": [{"replica": 0, "time_ns": 5, "code": 1}]}, None
    )
    assert (replica.unexpected_exits, replica.marks[0].kind, replica.downs[0][1]) == (1, "crash", None)


def test_unreadable_lines_are_counted_with_the_first(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_bytes(b'{"a": 1}\nnot json\n\xff\xfe\n[1]\n{"b": 2}\n{"c"')
    folder = RunFolder(tmp_path)
    assert [number for number, _ in folder.lines("history.jsonl")] == [1, 5]
    (notice,) = folder.notices
    assert "4 unreadable lines left out; line 2: is not JSON" in notice.text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[1]", "holds no JSON object"),
        (b"{", "is not JSON"),
        (b"[" * 200_000, "is not JSON"),
        (b"1" * 5_000, "not JSON"),
    ],
)
def test_a_broken_document_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "run.json").write_bytes(content)
    folder = RunFolder(tmp_path)
    assert folder.document("run.json", "nothing") == {}
    assert said in folder.notices[0].text


@given(st.lists(st.integers(-(1 << 40), 1 << 40)))
def test_differences_come_back(values: list[int]) -> None:
    assert sums(differences(values)) == values


def test_texts_have_a_budget() -> None:
    texts = Texts()
    places = {texts.place(f"{i:>100000}") for i in range(300)}
    assert texts.table[1] == CUT_TEXT
    assert 1 in places
    assert sum(map(len, texts.table)) < 13_000_000


def test_clients_are_ordered_by_number() -> None:
    read = history(*(invoke(i, 1, client=1000 + i) for i in (10, 9, 100)))
    columns = operation_columns(read.operations, Axis(0, 10, 0, 1))
    assert columns["lanes"] == ["client 1009", "client 1010", "client 1100"]


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "time_ns", "process", "type", "f", "key", "input", "output", "index", "client", "view", "error",
    "replicas", "phase", "model", "schema", "fault", "kind", "step", "receipt", "reason", "t_ns", "e",
    "seq", "active", "executed",
)  # fmt: skip
WORDS = st.sampled_from(["invoke", "ok", "info", "asked", "undone", "started", 0, 1])
ANY_LINE = st.dictionaries(st.sampled_from(FIELDS), ANY_JSON | WORDS, max_size=8)


@settings(max_examples=150)
@given(st.lists(ANY_LINE, max_size=6), st.dictionaries(st.text(max_size=8), ANY_JSON, max_size=3))
def test_no_shape_of_json_raises(lines: list[dict[str, object]], document: dict[str, object]) -> None:
    numbered = list(enumerate(lines, start=1))
    read_history(numbered)
    found, _ = read_faults(document, numbered)
    for fault in found:
        segments(fault, 100)
    read_ledger(document)
    read_phases(document)
