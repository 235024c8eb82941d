"""Judges of the run itself (recovery, coverage, harness): each rejects what it looks for."""

from __future__ import annotations

import pytest
from run_folder_builder import MS, RunFolderBuilder, S

from checker.judge import judge_run


@pytest.fixture
def run():
    return RunFolderBuilder()


def line_of(run, tmp_path, name):
    return judge_run(run.write(tmp_path / "run")).line(name)


# ------------------------------------------------------------------ recovery, coverage, harness


def _die(run):
    run.run["exits"].append(
        {
            "replica": 1,
            "time_ns": 1,
            "code": 1,
            "signal": None,
            "expected": False,
            "last_lines": ["a", "Boom: 7"],
        }
    )


def _never_undo(run):
    run.faults = run.faults[:-1]


def _ask_and_never_look(run):
    run.faults = run.faults[:2]


def _undo_without_a_receipt(run):
    del run.faults[-1]["receipt"]


def _fail_to_undo(run):
    run.faults[-1] = {**run.faults[-1], "step": "undo-failed", "reason": "no such process"}


def _stay_ill(run):
    run.run["health"]["reached"] = False


@pytest.mark.parametrize(
    ("spoil", "kind", "says"),
    [
        (_die, "replica ended by itself", "Boom: 7"),
        (_never_undo, "not proved undone", "no receipt of its undoing"),
        (_ask_and_never_look, "not proved undone", "no receipt of its undoing"),
        (_undo_without_a_receipt, "not proved undone", "no receipt of its undoing"),
        (_fail_to_undo, "undo failed", "no such process"),
        (_stay_ill, "not healthy again", "health probe"),
    ],
)
def test_recovery_rejects(run, tmp_path, spoil, kind, says):
    spoil(run)
    line = line_of(run, tmp_path, "recovery")
    assert (line.verdict, line.details["kind"]) == ("invalid", kind)
    assert says in line.reason


@pytest.mark.parametrize("spoil", [_never_undo, _fail_to_undo])
def test_a_run_cut_short_proves_nothing_about_undoing(run, tmp_path, spoil):
    """SIGKILL of the harness, or Ctrl-C: nobody waited for the undoing, so nobody is accused."""
    spoil(run)
    whole = run.run["phases"]
    run.run["phases"] = whole[:3]
    line = line_of(run, tmp_path, "recovery")
    assert (line.verdict, "died in phase 'load'" in line.reason) == ("unknown", True)
    verdict = judge_run(tmp_path / "run")
    assert verdict.exit_code == 4
    assert verdict.line("harness").reason.startswith("the run died in phase 'load'")
    run.run.update(phases=whole, interrupted="stopped by SIGINT")
    line = line_of(run, tmp_path, "recovery")
    assert (line.verdict, "stopped by SIGINT" in line.reason) == ("unknown", True)


@pytest.mark.parametrize("spoil", [_never_undo, _fail_to_undo, _stay_ill])
def test_a_network_that_died_accuses_nobody(run, tmp_path, spoil):
    """An interceptor that hangs stops all packets: no probe is answered, and no fault is undone."""
    spoil(run)
    run.run["harness_errors"] = ["the network stopped: the interceptor was silent for 10 s"]
    verdict = judge_run(run.write(tmp_path / "run"))
    line = verdict.line("recovery")
    assert (line.verdict, "silent for 10 s" in line.reason) == ("unknown", True)
    assert (verdict.exit_code, verdict.line("harness").verdict) == (4, "invalid")


def test_a_machine_too_small_accuses_nobody(run, tmp_path):
    _stay_ill(run)
    run.run["processor"] = {"ran_ns": 9 * S, "waited_ns": 91 * S}
    line = line_of(run, tmp_path, "recovery")
    assert (line.verdict, "91 % of the time" in line.reason) == ("unknown", True)
    run.run["processor"] = {"ran_ns": 20 * S, "waited_ns": 80 * S}
    assert line_of(run, tmp_path, "recovery").verdict == "invalid"
    del run.run["processor"]
    assert line_of(run, tmp_path, "recovery").verdict == "invalid"


def test_a_network_that_carries_nothing_accuses_nobody_of_staying_ill(run, tmp_path):
    _stay_ill(run)
    run.plan["virtual"] = {"loss": 1}
    line = line_of(run, tmp_path, "recovery")
    assert (line.verdict, "loses 100 %" in line.reason) == ("unknown", True)


def test_recovery_is_unknown_when_nobody_looked(run, tmp_path):
    run.run["health"] = None
    assert line_of(run, tmp_path, "recovery").verdict == "unknown"
    _stay_ill_interrupted = {"deadline_ns": 1, "reached": False, "replies": {}}
    run.run.update(health=_stay_ill_interrupted, interrupted="SIGINT")
    assert line_of(run, tmp_path, "recovery").verdict == "unknown"


def _do_little(run):
    run.events = [event for event in run.events if event[0] < 2 * S]


def _read_at_the_end_only(run):
    """As a cluster does that was dead for the whole load and answered afterwards."""
    run.events = [(*event[:8], "final") if event[0] >= 2 * S else event for event in run.events]


def _only_write(run):
    run.events = [event for event in run.events if event[3] == "put"]


def _never_overlap(run):
    run.events = [(e[0] // 2 if e[2] == "invoke" else e[0] // 2 - 10 * MS, *e[1:]) for e in run.events]
    run.events = [e if e[2] == "invoke" else (e[0] - 40 * MS, *e[1:]) for e in run.events]


def _no_effect(run):
    run.faults[2] = {**run.faults[2], "step": "no-effect", "reason": "replica 2 was down already"}


def _interrupt(run):
    run.run["interrupted"] = "SIGINT"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_do_little, "fewer than 50"),
        (_read_at_the_end_only, "fewer than 50"),
        (_only_write, "no read completed"),
        (_no_effect, "no receipt that kill-1 took effect (replica 2 was down already)"),
        (_interrupt, "interrupted (SIGINT)"),
    ],
)
def test_coverage_is_unknown(run, tmp_path, spoil, says):
    spoil(run)
    verdict = judge_run(run.write(tmp_path / "run"))
    line = verdict.line("coverage")
    assert line.verdict == "unknown"
    assert says in line.reason
    assert verdict.exit_code == 3


def test_coverage_wants_contention(run, tmp_path):
    run.events = []
    for i in range(60):
        f, given, output = ("put", f"v{i}", None) if i % 2 == 0 else ("get", None, f"v{i - 1}")
        run.operation(0, f, given, output, i * MS, i * MS + 10, 1000, i + 1)
    assert "no two operations on one key overlapped" in line_of(run, tmp_path, "coverage").reason


def _harness_error(run):
    run.run["harness_errors"].append("disk full")


def _lag(run):
    run.run["lag"]["max_ns"] = 1_500 * MS


def _fail_a_phase(run):
    run.run["phases"][1].update(ok=False, detail="no reply")


def _garble_a_trace(run):
    run.traces[1].insert(5, {"t_ns": 5, "e": "committed", "seq": "seven"})


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_harness_error, "disk full"),
        (_lag, "1.50 s late"),
        (_fail_a_phase, "no reply"),
        (_garble_a_trace, "replica 1, line 6"),
    ],
)
def test_harness_rejects(run, tmp_path, spoil, says):
    spoil(run)
    verdict = judge_run(run.write(tmp_path / "run"))
    assert verdict.line("harness").verdict == "invalid"
    assert says in verdict.line("harness").reason
    assert verdict.exit_code == 4


@pytest.mark.parametrize(
    "name",
    ["plan.json", "ledger.json", "run.json", "faults.jsonl", "history.jsonl", "replicas/1/trace.jsonl"],
)
@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"[" * 50_000, b'{"schema": 1}\n'])
def test_missing_or_malformed_files_make_the_harness_invalid_and_never_a_pass(run, tmp_path, name, content):
    folder = run.write(tmp_path / "run")
    if content is None:
        (folder / name).unlink()
    elif name == "history.jsonl":
        (folder / name).write_bytes((folder / name).read_bytes()[:-9])
    elif name.endswith("trace.jsonl"):
        (folder / name).write_bytes(content + b"\n{}\n")
    else:
        (folder / name).write_bytes(content)
    verdict = judge_run(folder)
    assert verdict.line("harness").verdict == "invalid"
    assert verdict.exit_code in (1, 4)


def test_last_words_of_several_lines_are_told_in_one(run, tmp_path):
    run.run["harness_errors"] = ["the interceptor was ended by SIGKILL\n  Boom\nThe run says nothing."]
    line = line_of(run, tmp_path, "harness")
    assert "reported: the interceptor was ended by SIGKILL | Boom | The run says nothing." in line.reason


# ------------------------------------------------------------------ replicas there is nothing to ask of


@pytest.mark.parametrize("line", ["agreement", "promises", "durability", "exactly-once"])
def test_a_plan_that_makes_nobody_correct_is_called_so(run, tmp_path, line):
    run.ledger["byzantine"], run.ledger["safety_demanded"] = [0, 1, 2, 3], False
    assert line_of(run, tmp_path, line).reason == "no replica was correct"


def test_agreement_is_unknown_when_a_correct_replica_has_no_trace(run, tmp_path):
    del run.traces[3]
    assert line_of(run, tmp_path, "agreement").verdict == "unknown"


def test_durability_is_unknown_when_operations_cannot_be_looked_up(run, tmp_path):
    run.events = [(*event[:6], None, None, event[8]) for event in run.events]
    assert line_of(run, tmp_path, "durability").verdict == "unknown"
