"""How often views changed in peace, and what excuses it."""

from __future__ import annotations

import pytest
from run_folder_builder import MS, RunFolderBuilder, S
from trace_edits import asked, entered, line_of

from checker.judge import judge_run


@pytest.fixture
def run():
    return RunFolderBuilder()


def change_views(run, count, from_ns, every_ns):
    """All replicas go through views in step, at the end of their traces."""
    for view in range(1, count + 1):
        for replica in range(4):
            t_ns = from_ns + view * every_ns
            run.traces[replica].append({**asked(view), "t_ns": t_ns})
            run.traces[replica].append({**entered(view), "t_ns": t_ns + 10 * MS})


def test_churn_in_peace_is_found(run, tmp_path):
    change_views(run, 20, 20 * S, S)
    line = line_of(run, tmp_path, "view-churn")
    assert (line.verdict, line.details["kind"]) == ("invalid", "views change in the calm"), line.reason
    assert line.details["calm_views"] == 20
    assert line.details["longest_unstable_ns"] == 10 * MS
    assert "a cluster in peace stays in its view" in line.reason


def test_more_views_than_faults_explain(run, tmp_path):
    """Hardly any of the run is calm."""
    run.ledger["windows"][-1]["bad"] = [3]
    change_views(run, 29, 20 * S, S)
    assert line_of(run, tmp_path, "view-churn").verdict == "valid"
    change_views(run, 30, 20 * S, S)
    line = line_of(run, tmp_path, "view-churn")
    assert (line.verdict, line.details["kind"]) == ("invalid", "more views than faults explain"), line.reason
    assert "with 3 windows of the ledger 29 are enough" in line.reason


def _of_a_kind_that_has_no_bound(run):
    run.ledger["windows"][-1]["bad"] = [3]
    for line in run.faults[1:]:
        line["kind"] = "slow links"
    change_views(run, 40, 20 * S, S)


def _late_harness(run):
    run.run["lag"]["max_ns"] = 260 * MS
    change_views(run, 20, 20 * S, S)


def _busy_machine(run):
    run.run["processor"] = {"ran_ns": 20 * S, "waited_ns": 21 * S}
    change_views(run, 20, 20 * S, S)


def _few(run):
    change_views(run, 8, 20 * S, S)


def _rare(run):
    run.ledger["windows"][-1]["to_ns"] = 600 * S
    run.run["phases"][-1]["end_ns"] = 600 * S
    change_views(run, 50, 20 * S, 11 * S)


def _under_a_fault(run):
    run.ledger["windows"][-1]["bad"] = [3]
    change_views(run, 20, 20 * S, S)


def _under_a_fault_that_makes_nobody_bad(run):
    for line in run.faults[3:]:
        line["time_ns"] = 50 * S
    change_views(run, 20, 20 * S, S)


def _while_it_settles(run):
    change_views(run, 20, 3 * S, 200 * MS)


def _with_a_liar(run):
    run.ledger["byzantine"] = [3]
    change_views(run, 20, 20 * S, S)


EXCUSED = [
    _few,
    _rare,
    _under_a_fault,
    _under_a_fault_that_makes_nobody_bad,
    _while_it_settles,
    _with_a_liar,
    _of_a_kind_that_has_no_bound,
    _late_harness,
    _busy_machine,
]


@pytest.mark.parametrize("spoil", EXCUSED)
def test_churn_that_something_excuses(run, tmp_path, spoil):
    spoil(run)
    line = line_of(run, tmp_path, "view-churn")
    assert line.verdict == "valid", line.reason
    assert line.details["views"] >= 8


def test_churn_accuses_nobody_on_a_slow_machine(run, tmp_path):
    change_views(run, 40, 10 * S, S)
    run.run["lag"]["max_ns"] = 3 * S
    run.plan["cluster"]["request_timeout_ns"] = 7 * S
    line = line_of(run, tmp_path, "view-churn")
    assert line.verdict == "unknown", line.reason
    assert line.reason.startswith("void, because the harness lagged")


def test_time_without_a_stable_view_is_counted(run, tmp_path):
    for replica in (0, 1):
        run.traces[replica].append({**asked(1), "t_ns": 30 * S})
        run.traces[replica].append({**entered(1), "t_ns": 34 * S})
    line = line_of(run, tmp_path, "view-churn")
    assert line.verdict == "valid"
    assert line.details["calm_longest_unstable_ns"] == 30 * S, "two in each view: no quorum to the end"


def test_churn_needs_the_record(run, tmp_path):
    folder = run.write(tmp_path / "run")
    (folder / "replicas" / "3" / "trace.jsonl").unlink()
    assert judge_run(folder).line("view-churn").verdict == "unknown"
    (folder / "plan.json").unlink()
    assert judge_run(folder).line("view-churn").verdict == "unknown"
