"""What became of lies, view churn and latency while somebody lied, over run folders that a test spoils."""

from __future__ import annotations

import pytest
from run_folder_builder import MS, RunFolderBuilder, S

from checker.folder import read_folder
from checker.judge import judge_run
from checker.judges import coverage, view_churn
from checker.judges.latency import under_attack
from checker.limits import Limits
from checker.run_facts import Ledger, Window

CELLS = [["PREPARE", "equivocate", "normal", "backup", 9]]
RECEIPT = {"matched": 9, "dropped": 1, "emitted": 8, "altered": 8, "delayed": 0, "cells": CELLS}


def _lying(
    *, rejected: list[dict], receipt: dict | None = None, liars: tuple[int, ...] = (2,)
) -> RunFolderBuilder:
    run = RunFolderBuilder()
    run.ledger["byzantine"] = list(liars)
    run.ledger["safety_demanded"] = len(liars) <= 1
    run.plan["faults"] = [{"id": "lie-1", "kind": "equivocate"}]
    steps = [("asked", 2 * S), ("took-effect", 2 * S), ("undo-asked", 3 * S), ("undone", 3 * S)]
    given = RECEIPT | {"targets": {"r0": 5, "r2": 2, "clients": 1}} if receipt is None else receipt
    run.faults = [{"schema": "traitor/faults/1"}] + [
        {"time_ns": at, "fault": "lie-1", "kind": "equivocate", "step": step, "receipt": given}
        for step, at in steps
    ]
    run.traces[0] += [{"e": "rejected", **line} for line in rejected]
    return run


def _rejected(t_ns: int, **more: object) -> dict:
    return {"t_ns": t_ns, "sender": 2, "message": "PREPARE", "reason": "a second digest for number 7", **more}


def _became(run: RunFolderBuilder, path) -> dict:
    line = coverage.judge(read_folder(run.write(path)), Limits())
    (one,) = line.details["packets"]
    return one


def test_rejections_are_counted_by_whom_and_why(tmp_path):
    lines = [_rejected(2 * S), _rejected(2 * S + 1, reason="a second digest for number 8", count=4)]
    lines += [_rejected(3 * S + 500 * MS, sender=1, reason="not authentic")]
    one = _became(_lying(rejected=lines), tmp_path)
    assert one["rejected"] == 6
    assert one["told_to_correct"] == 6
    assert one["rejected_by"][0] == {
        "replica": 0,
        "sender": 2,
        "message": "PREPARE",
        "reason": "a second digest for number …",
        "times": 5,
    }
    assert one["cells"] == CELLS


@pytest.mark.parametrize(
    "line",
    [
        _rejected(S),
        _rejected(9 * S),
        _rejected(2 * S, message="COMMIT"),
        _rejected(2 * S, sender=None),
        _rejected(2 * S, sender="2"),
        _rejected(2 * S, reason=None),
    ],
)
def test_what_has_nothing_to_do_with_it_is_not_counted(tmp_path, line):
    assert _became(_lying(rejected=[line]), tmp_path)["rejected"] == 0


def test_the_word_of_a_liar_is_not_asked(tmp_path):
    run = _lying(rejected=[], liars=(2,))
    run.traces[2].append({"e": "rejected", **_rejected(2 * S)})
    assert _became(run, tmp_path)["rejected"] == 0


def test_it_is_told_under_the_coverage_line(tmp_path):
    told = judge_run(_lying(rejected=[_rejected(2 * S)]).write(tmp_path)).text()
    assert "lie-1: 9 packets matched, 8 altered or made up, 6 of them for correct replicas" in told
    assert "1 rejected, most often by replica 0 PREPARE of replica 2: " in told
    assert ": a second digest for number … (… is a number)" in told


@pytest.mark.parametrize("cells", [None, 3, [3], [["PREPARE"]], [[1, 2, 3, 4, 5]]])
def test_a_strange_receipt_breaks_nothing(tmp_path, cells):
    run = _lying(rejected=[_rejected(2 * S)], receipt={"matched": "many", "cells": cells, "targets": 7})
    line = coverage.judge(read_folder(run.write(tmp_path)), Limits())
    assert "judge failed" not in line.reason


def test_a_lie_without_a_receipt_is_no_coverage(tmp_path):
    run = _lying(rejected=[], receipt={})
    run.faults[2] = {
        "time_ns": 3 * S, "fault": "lie-1", "kind": "equivocate", "step": "no-effect",
        "reason": "its rules were in force, but no packet met them",
    }  # fmt: skip
    line = coverage.judge(read_folder(run.write(tmp_path)), Limits())
    assert line.verdict == "unknown"
    assert (
        "no receipt that lie-1 took effect (its rules were in force, but no packet met them)" in line.reason
    )


def _churning(liars: tuple[int, ...], views: list[int]) -> RunFolderBuilder:
    """Replica `liars` are bad from 2 s to 60 s, and from 20 s on a view is entered every 100 ms."""
    run = _lying(rejected=[], liars=liars)
    window = {"reasons": {}, "within_liveness_budget": len(liars) <= 1}
    run.ledger["windows"] = [
        {"from_ns": 0, "to_ns": 2 * S, "bad": [], "reasons": {}, "within_liveness_budget": True},
        {"from_ns": 2 * S, "to_ns": 60 * S, "bad": list(liars), **window},
    ]
    for number, view in enumerate(views):
        t_ns = 20 * S + number * 100 * MS
        run.traces[1].append(
            {"t_ns": t_ns, "e": "new-view", "view": view, "primary": view % 4, "min_s": 0, "max_s": 0}
        )
    return run


@pytest.mark.parametrize(
    ("liars", "views", "verdict"),
    [
        ((2,), list(range(1, 41)), "invalid"),
        ((2,), [2 + 4 * k for k in range(12)], "valid"),
        ((2,), [1, 2, 3], "valid"),
        ((2, 3), list(range(1, 41)), "valid"),
    ],
    ids=["correct primaries are left", "only the liar's views end", "a few", "more than f lie"],
)
def test_views_of_correct_primaries_last_while_few_lie(tmp_path, liars, views, verdict):
    line = view_churn.judge(read_folder(_churning(liars, views).write(tmp_path)), Limits())
    assert line.verdict == verdict, line.reason
    if verdict == "invalid":
        assert line.details["kind"] == "correct primaries do not last under lies"


def test_a_mac_attack_may_change_views(tmp_path):
    run = _churning((2,), list(range(1, 41)))
    run.plan["cluster"]["client_auth"] = "mac"
    assert view_churn.judge(read_folder(run.write(tmp_path)), Limits()).verdict == "valid"


def test_latency_is_told_apart_by_who_lied_meanwhile(tmp_path):
    run = _lying(rejected=[])
    folder = read_folder(run.write(tmp_path))
    windows = (
        Window(0, 2 * S, (), True),
        Window(2 * S, 3 * S, (2,), True),
        Window(3 * S, 4 * S, (1, 2), True),
        Window(4 * S, 60 * S, (1,), True),
    )
    found = under_attack(folder.history.operations, Ledger(4, 1, frozenset({2}), True, windows))
    assert len(found.lied) == 21  # begun from 1.9 s to 3.9 s
    assert len(found.lied) + len(found.calm) == len(folder.history.operations)
    assert found.to_json()["while_liars_lied"]["p99_ns"] == 110 * MS
    assert "110.0 ms (p50)" in found.sentence()
    assert under_attack(folder.history.operations, Ledger(4, 1, frozenset(), True, windows)).sentence() == ""


def test_a_lie_of_a_script_that_was_never_told_is_said_and_stays_covered(tmp_path):
    lie = "stages[1].do[0].lie (lie-new-view)"
    run = _lying(rejected=[], receipt=RECEIPT | {"rules": [{"final": True, "untold": [lie, 7]}]})
    line = coverage.judge(read_folder(run.write(tmp_path / "untold")), Limits())
    assert line.verdict == "valid"
    assert line.reason.endswith(f"; lie-1's lie {lie} was never told")
    run = _lying(rejected=[], receipt=RECEIPT | {"rules": [{"final": True, "untold": []}, 7]})
    line = coverage.judge(read_folder(run.write(tmp_path / "told")), Limits())
    assert "never told" not in line.reason
