"""What the harness writes is trusted, so it must be noticed when its records do not fit each other."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from run_folder_builder import RunFolderBuilder, S

from checker.judge import judge_run

Spoil = Callable[[RunFolderBuilder], object]


@pytest.fixture
def run():
    return RunFolderBuilder()


def _all_excused(run):
    for window in run.ledger["windows"]:
        window["within_liveness_budget"] = False


def _always_bad(run):
    for window in run.ledger["windows"]:
        window.update(bad=[0, 1], within_liveness_budget=False)


def _never_bad(run):
    run.ledger["windows"] = [{**run.ledger["windows"][0], "to_ns": 60 * S}]


def _a_gap(run):
    run.ledger["windows"][2]["from_ns"] = 4 * S


def _too_short(run):
    run.ledger["windows"][2]["to_ns"] = 20 * S


def _no_windows(run):
    run.ledger["windows"] = []


def _liars_nobody_made(run):
    run.ledger["byzantine"] = [3]


def _more_replicas(run):
    run.ledger.update(n=40, f=13)


def _more_tolerance(run):
    run.ledger["f"] = 2


def _no_phases(run):
    run.run["phases"] = []


def _a_phase_left_out(run):
    run.run["phases"].pop(4)


def _load_broke_off(run):
    run.run["phases"][2]["ok"] = False


def _called_expected(run):
    run.run["exits"].append(
        {**run.run["exits"][0], "replica": 1, "time_ns": 5 * S, "signal": None, "code": 70}
    )


def _health_without_answers(run):
    run.run["health"]["replies"]["3"] = False


def _another_plan(run):
    run.plan["faults"] = [{"id": "pause-1", "kind": "pause"}]


def _another_client(run):
    run.events = [(*e[:6], 1777, *e[7:]) if e[6] == 1001 else e for e in run.events]


def _one_request_twice(run):
    run.events = [(*e[:7], 2, e[8]) if e[6:8] == (1001, 4) else e for e in run.events]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_all_excused, "within_liveness_budget is False"),
        (_always_bad, "when no fault was asked for"),
        (_never_bad, "calls no replica bad at a time when fault kill-1 was at work"),
        (_a_gap, "after 3000000000 ns comes a window from 4000000000"),
        (_too_short, "does not cover the run"),
        (_no_windows, "has no windows"),
        (_liars_nobody_made, "replicas [3] are Byzantine, but the faults were kill"),
        (_more_replicas, "ledger.json 40"),
        (_more_tolerance, "f is 2, but 4 replicas tolerate 1"),
        (_no_phases, "the phases were none"),
        (_a_phase_left_out, "the phases were set up, healthy, load, undo, final reads"),
        (_load_broke_off, "phase 'load' failed"),
        (_called_expected, "the end of replica 1 at 5000000000 ns was expected"),
        (_health_without_answers, "replicas [3] did not answer"),
        (_another_plan, "fault kill-1, which plan.json does not have"),
        (_another_client, "by client 1777"),
        (_one_request_twice, "are both request 2 of client 1001"),
    ],
)
def test_records_of_the_harness_that_do_not_fit_are_its_failure(run, tmp_path, spoil: Spoil, says):
    spoil(run)
    verdict = judge_run(run.write(tmp_path))
    assert verdict.line("harness").verdict == "invalid", verdict.text()
    assert any(says in str(trouble) for trouble in verdict.line("harness").details["troubles"])
    assert verdict.exit_code in (1, 4)


def test_lines_taken_out_of_a_history_are_missed(run, tmp_path):
    """A stale read that nobody reports leaves a hole in the numbers."""
    folder = run.write(tmp_path)
    lines = (folder / "history.jsonl").read_text().splitlines(keepends=True)
    events = [json.loads(line) for line in lines]
    begin = next(i for i, event in enumerate(events) if event.get("f") == "get")
    process = events[begin]["process"]
    end = next(i for i in range(begin + 1, len(events)) if events[i].get("process") == process)
    kept = [line for i, line in enumerate(lines) if i not in (begin, end)]
    (folder / "history.jsonl").write_text("".join(kept))
    verdict = judge_run(folder)
    assert verdict.exit_code == 4, verdict.text()
    assert "lacks 2 events" in verdict.line("harness").reason
