"""Liveness: the bounds that follow from the timers, and each rule rejecting what it looks for."""

from __future__ import annotations

import pytest
from run_folder_builder import MS, TIMERS, RunFolderBuilder, S

from checker.judge import judge_run
from checker.judges.spells import Spells
from checker.limits import Limits
from checker.patience import Patience, Timers, patience
from checker.run_facts import Window

BOUNDS = patience(Timers(**TIMERS), 1, 0, Limits())
SETTLE, SERVE = 5_800 * MS, 3_800 * MS


@pytest.fixture
def run():
    return RunFolderBuilder()


def liveness(run, tmp_path, limits=None):
    return judge_run(run.write(tmp_path / "run"), limits).line("liveness")


def window(start_s, end_s, *bad, within=True):
    return Window(int(start_s * S), int(end_s * S), bad, within)


# ------------------------------------------------------------------ bounds


def test_the_bounds_follow_from_the_timers():
    assert BOUNDS.settle_ns() == (300 + 500 + 1000 + 2000 + 2000) * MS == SETTLE
    assert BOUNDS.serve_ns() == (300 + 500 + 1000 + 2000) * MS == SERVE
    assert patience(Timers(**TIMERS), 2, 0, Limits()).settle_ns() == SETTLE + 4 * S
    capped = Timers(**{**TIMERS, "max_timeout_ns": 1500 * MS})
    assert patience(capped, 2, 0, Limits()).settle_ns() == (300 + 500 + 1000 + 1500 + 1500 + 2000) * MS


def test_an_outage_may_have_grown_pauses_and_timers():
    assert BOUNDS.settle_ns(outage_ns=4 * S) == SETTLE - 300 * MS + 3 * S + 4 * S
    assert BOUNDS.settle_ns(outage_ns=400 * S) == SETTLE - 300 * MS + 3 * S + 30 * S


def test_a_late_harness_stands_for_a_busy_machine():
    assert patience(Timers(**TIMERS), 1, 100 * MS, Limits()).serve_ns() == SERVE + 500 * MS


def test_without_timers_there_is_one_long_bound():
    assert Patience(None, 1, 0, 10 * S).settle_ns() == Patience(None, 1, 0, 10 * S).serve_ns() == 10 * S


# ------------------------------------------------------------------ spells


def breaks(spells, begin_s, end_s):
    """How long would have been enough, in ms; None: it was not too long."""
    breach = spells.breach(int(begin_s * S), int(end_s * S))
    return None if breach is None else breach.allowed_ns // MS


def test_a_replica_that_comes_back_ends_no_spell():
    spells = Spells([window(0, 10, 1), window(10, 20)], BOUNDS)
    assert breaks(spells, 11, 14.7) is None
    assert breaks(spells, 11, 14.9) == 3800
    assert breaks(spells, 3, 8.7) is None
    assert breaks(spells, 3, 8.9) == 5800
    breach = spells.breach(11 * S, 15 * S)
    assert breach.circumstances == "only replicas [1] were bad and had been for 11.0 s"


def test_a_replica_that_goes_bad_begins_one():
    spells = Spells([window(0, 10), window(10, 20, 1), window(20, 40, 2)], BOUNDS)
    assert breaks(spells, 9, 15.7) is None
    assert breaks(spells, 9, 15.9) == 5800
    assert breaks(spells, 19, 25.7) is None
    assert breaks(spells, 18, 40) == 11_600
    assert breaks(spells, 7, 13) is None
    assert breaks(spells, 4, 9.9) == 5800


def test_many_short_spells_are_borne_with_but_not_for_ever():
    windows = [window(2 * i, 2 * i + 2, i % 2) for i in range(20)]
    spells = Spells(windows, BOUNDS)
    assert breaks(spells, 1, 20) is None
    long = Spells([window(4 * i, 4 * i + 4, i % 2) for i in range(20)], BOUNDS)
    assert breaks(long, 0, 80) is None
    longer = Spells([window(5.9 * i, 5.9 * i + 5.9, i % 2) for i in range(9)], BOUNDS)
    assert breaks(longer, 1, 5.9 * 9) == 5800


def test_nothing_is_demanded_across_an_outage():
    spells = Spells([window(0, 10), window(10, 14, 0, 1, within=False), window(14, 40, 1)], BOUNDS)
    assert breaks(spells, 7, 25.4) is None
    assert breaks(spells, 7, 26.6) == BOUNDS.settle_ns(4 * S) // MS == 12_500
    assert breaks(spells, 4, 12) == 5800
    assert breaks(spells, 11, 13.9) is None
    assert list(spells.stretches()) == [(0, 10 * S), (14 * S, 40 * S)]


# ------------------------------------------------------------------ operations


def _stick(run, at_ns=30 * S, lasts_ns=5 * S, end="info"):
    run.operation(3, "get", None, "v57", at_ns, at_ns + lasts_ns, 1003, 1, "load", end)


def test_rejects_an_operation_stuck_in_quiet_times(run, tmp_path):
    _stick(run)
    line = liveness(run, tmp_path)
    assert (line.verdict, line.details["kind"]) == ("invalid", "stuck operation")
    assert "did not complete in 5.0 s although" in line.reason
    assert "3.8 s are enough" in line.reason


def test_rejects_an_operation_that_completed_far_too_late(run, tmp_path):
    _stick(run, end="ok")
    assert "completed only after 5.0 s" in liveness(run, tmp_path).reason


def test_gives_time_after_a_change(run, tmp_path):
    _stick(run, 4 * S)
    assert liveness(run, tmp_path).verdict == "valid"
    run.operation(5, "get", None, "v57", 40 * S, 43_700 * MS, 1005, 1)
    assert liveness(run, tmp_path).verdict == "valid"
    assert liveness(run, tmp_path, Limits(liveness_slack_ns=0)).verdict == "invalid"


@pytest.mark.parametrize("client", [1003, 1005])
def test_excuses_a_client_that_does_not_retransmit(run, tmp_path, client):
    """Clients 1001, 1003, 1005 … are one logical client."""
    run.operation(client - 1000, "get", None, None, 30 * S, 35 * S, client, 1, "load", "info")
    run.plan["clients"][1]["retry"] = False
    assert liveness(run, tmp_path).verdict == "valid"
    run.plan["clients"] = run.plan["clients"][::-1]
    assert liveness(run, tmp_path).verdict == "invalid"


def test_excuses_what_the_run_gave_up_early(run, tmp_path):
    _stick(run, lasts_ns=S)
    assert liveness(run, tmp_path).verdict == "valid"


def test_short_patience_of_clients_is_not_the_clusters_fault(run, tmp_path):
    run.plan["operation_timeout_ns"] = 500 * MS
    _stick(run, lasts_ns=500 * MS)
    assert liveness(run, tmp_path).verdict == "valid"


# ------------------------------------------------------------------ droughts


def _dry_up(run, each_ns=2 * S):
    """Nobody waits long, and nothing completes."""
    for i in range(4):
        begin = 21 * S + i * each_ns
        run.operation(3 + 2 * i, "get", None, None, begin, begin + each_ns, 1003 + 2 * i, 1, "load", "info")


def test_rejects_a_drought(run, tmp_path):
    _dry_up(run)
    line = liveness(run, tmp_path)
    assert (line.verdict, line.details["kind"]) == ("invalid", "drought")
    assert "no operation completed for 8.0 s" in line.reason
    run.ledger["windows"][2]["within_liveness_budget"] = False
    assert liveness(run, tmp_path).verdict == "valid"


def test_what_is_never_sent_again_makes_no_drought(run, tmp_path):
    _dry_up(run)
    run.plan["clients"][1]["retry"] = False
    assert liveness(run, tmp_path).verdict == "valid"


def test_a_drought_without_an_open_operation_is_none(run, tmp_path):
    assert liveness(run, tmp_path).verdict == "valid"


def test_is_void_when_the_harness_lagged(run, tmp_path):
    _dry_up(run, 10 * S)
    run.run["lag"]["max_ns"] = 3 * S
    line = liveness(run, tmp_path)
    assert line.verdict == "unknown"
    assert "harness lagged (3.0 s)" in line.reason


# ------------------------------------------------------------------ virtual networks

UNIFORM = {"model": "uniform", "low_ns": MS, "high_ns": 90 * MS}
FAR = {
    "model": "wan",
    "regions": ["near", "far", "moon"],
    "one_way_ns": [[0, 95 * MS, S], [95 * MS, 0, S], [S, S, 0]],
    "replicas": ["near", "far"],
    "clients": "near",
    "jitter": 0.1,
}


@pytest.mark.parametrize(
    ("virtual", "says"),
    [
        ({"loss": 0.21}, "loses 21 % of all"),
        ({"latency": {"model": "constant", "delay_ns": S}}, "may take 5000 ms"),
        ({"latency": UNIFORM, "turn_ns": 11 * MS}, "may take 505 ms"),
        ({"latency": UNIFORM, "reordering": 0.01, "reorder_by_ns": 20 * MS}, "may take 550 ms"),
        ({"latency": {"model": "exponential", "least_ns": 0, "mean_ns": 11 * MS, "most_ns": S}}, "550 ms"),
        (
            {"latency": {"model": "constant", "delay_ns": 10**400}},
            "longer than the request timeout of 500 ms",
        ),
        ({"bandwidth": 10_000}, "may take 1024 ms"),
        ({"latency": FAR}, "may take 523 ms"),
    ],
)
def test_a_network_too_slow_for_the_timers_accuses_nobody(run, tmp_path, virtual, says):
    _dry_up(run, 10 * S)
    run.plan["virtual"] = virtual
    line = liveness(run, tmp_path)
    assert (line.verdict, says in line.reason) == ("unknown", True), line.reason


@pytest.mark.parametrize(
    "virtual",
    [
        None,
        {},
        {"loss": 0.2, "latency": UNIFORM, "turn_ns": 9 * MS, "reordering": 0, "reorder_by_ns": S},
        {"latency": {"model": "exponential", "least_ns": MS, "mean_ns": MS, "most_ns": S}},
        {"latency": {**FAR, "replicas": ["near"]}},
        {"loss": float("nan"), "latency": {"model": "wan", "regions": 5}, "turn_ns": "x", "bandwidth": True},
        {"latency": {**FAR, "one_way_ns": [5, []]}},
        {"latency": "constant"},
        "fast",
    ],
)
def test_in_any_other_network_a_drought_is_the_clusters(run, tmp_path, virtual):
    _dry_up(run, 10 * S)
    run.plan["virtual"] = virtual
    assert liveness(run, tmp_path).verdict == "invalid"


# ------------------------------------------------------------------ final reads


def _never_read(run, tries):
    run.events = [event for event in run.events if event[8] != "final"]
    for i in range(tries):
        begin, process = 20 * S + i * 3 * S, 1 + 2 * i
        run.operation(process, "get", None, None, begin, begin + 3 * S, 1000 + process, 501, "final", "info")


def test_rejects_a_key_that_could_not_be_read(run, tmp_path):
    _never_read(run, tries=2)
    line = liveness(run, tmp_path)
    assert (line.verdict, line.details["kind"]) == ("invalid", "key that cannot be read")
    assert (
        "the final get of key 'k' (operation 122) did not complete in 2 tries, 6.0 s: timeout" in line.reason
    )


@pytest.mark.parametrize("tries", [0, 1])
def test_is_unknown_when_a_key_was_not_read_and_hardly_asked_for(run, tmp_path, tries):
    _never_read(run, tries)
    line = liveness(run, tmp_path)
    assert line.verdict == "unknown"
    assert "1 of 1 final reads did not complete" in line.reason


def test_another_key_read_twice_does_not_make_up_for_it(run, tmp_path):
    run.operation(1, "get", None, "v57", 21 * S, 21 * S + MS, 1001, 501, "final")
    run.plan["final_reads"].append({"f": "get", "key": "k2", "input": None})
    assert "1 of 2 final reads did not complete" in liveness(run, tmp_path).reason


# ------------------------------------------------------------------ primaries


def _kill_often(run, windows, completes=()):
    """Windows of 1.5 s, with replica 0 down and an operation waiting in each, 2 s apart from 30 s on."""
    at = 30 * S
    run.ledger["windows"][-1]["to_ns"] = at
    for i in range(windows):
        end = at + 1500 * MS
        for start, to, bad in ((at, end, [0]), (end, at + 2 * S, [])):
            run.ledger["windows"].append(
                {**run.ledger["windows"][0], "from_ns": start, "to_ns": to, "bad": bad}
            )
        done = at + 900 * MS if i in completes else end + 100 * MS
        run.operation(1, "get", None, "v57", at - MS, done, 1001, 600 + i)
        if i in completes:
            run.traces[1].append(
                {"t_ns": at + 800 * MS, "e": "new-view", "view": i + 1, "primary": 1, "min_s": 0, "max_s": 0}
            )
        at += 2 * S
    run.ledger["windows"].append({**run.ledger["windows"][0], "from_ns": at, "to_ns": 90 * S, "bad": []})
    run.operation(1, "get", None, "v57", at, at + MS, 1001, 700)


def test_rejects_a_cluster_that_never_replaces_its_primary(run, tmp_path):
    _kill_often(run, windows=4)
    line = liveness(run, tmp_path)
    assert (line.verdict, line.details["kind"]) == ("invalid", "primary never replaced")
    assert "in 4 windows of at least 1.5 s" in line.reason


def test_three_slow_windows_prove_nothing(run, tmp_path):
    _kill_often(run, windows=3)
    assert liveness(run, tmp_path).verdict == "valid"


def test_one_view_change_that_worked_speaks_for_the_cluster(run, tmp_path):
    _kill_often(run, windows=8, completes=(5,))
    assert liveness(run, tmp_path).verdict == "valid"


def test_a_busy_machine_proves_nothing_in_short_windows(run, tmp_path):
    _kill_often(run, windows=8)
    run.run["lag"]["max_ns"] = 300 * MS
    assert liveness(run, tmp_path).verdict == "valid"
