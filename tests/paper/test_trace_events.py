"""The trace's schema: what runs write is what the list says, and the list is what the documents show."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from memory_cluster import MemoryCluster, Network
from random_runs import draw, random_run

from checker.trace import read_trace
from pbft_node import by_hand
from pbft_node.core import trace_events
from pbft_node.core.replica import Replica
from pbft_node.core.trace_events import BY_NAME, DEBUG, DEBUG_KINDS, KINDS, problem

ROOT = Path(__file__).resolve().parents[2]
GOOD = {"view": 0, "seq": 3, "digest": "0f" * 32}


def test_what_is_not_registered_is_found() -> None:
    assert problem("committed", GOOD) is None
    assert "not registered: add a line" in str(problem("comitted", GOOD))
    assert "'colour' is not registered" in str(problem("committed", {**GOOD, "colour": "red"}))
    assert "'seq' is missing" in str(problem("committed", {"view": 0, "digest": "0f" * 32}))
    for field, wrong in (
        ("seq", -1),
        ("seq", True),
        ("seq", "3"),
        ("digest", "0F" * 32),
        ("digest", "0f" * 31),
        ("digest", None),
    ):
        assert f"{field} = {wrong!r}"[:40] in str(problem("committed", {**GOOD, field: wrong}))
    rejected = {"sender": None, "message": "datagram", "reason": "junk"}
    assert problem("rejected", rejected) is None
    assert problem("rejected", {**rejected, "count": 5}) is None
    assert problem("rejected", {**rejected, "count": "5"}) is not None
    moved = {"view": 1, "reason": "request timeout", "failed_views": 0}
    assert problem("view-change", moved) is None
    assert problem("view-change", {**moved, "reason": "boredom"}) is not None
    executed = {"seq": 1, "digest": "0f" * 32, "requests": [[1000, 1, "0f" * 32, "executed"]]}
    assert problem("executed", executed) is None
    assert problem("executed", {**executed, "requests": [[1000, 1, "0f" * 32, "skipped"]]}) is not None
    assert problem("executed", {**executed, "requests": [[1000, 1, "0f" * 32]]}) is not None


def test_the_memory_cluster_rejects_an_event_that_is_not_on_the_list() -> None:
    class Chatty(Replica):
        def on_request(self, request: object) -> None:
            super().on_request(request)  # type: ignore[arg-type]
            self.trace("gossip", about="requests")

    cluster = MemoryCluster(replica=Chatty)
    with pytest.raises(AssertionError, match="'gossip' is not registered"):
        cluster.call(0, b"put", b"k", b"v")


def test_names_are_unique_and_levels_known() -> None:
    assert len(BY_NAME) == len(KINDS)
    assert {kind.level for kind in KINDS} == {"core", "base", "debug"}


SEEDS = (3, 7, 12, 21, 33)


@pytest.fixture(scope="module")
def debug_runs() -> list[MemoryCluster]:
    """Every event of these is checked against the list by the memory cluster itself."""
    drawn = {seed: replace(draw(seed), liars=0, beyond=False, loses_logs=True) for seed in SEEDS}
    return [random_run(seed, drawn[seed], traces_debug=True).cluster for seed in SEEDS]


def a_run_with_faults(seed: int, traces_debug: bool) -> MemoryCluster:
    """Loss, two view changes, a restart. No crash within an event's effects: they are counted there."""
    network = Network(loss=0.05, duplication=0.1)
    cluster = MemoryCluster(seed, network, traces_debug=traces_debug)
    for number in range(6):
        cluster.call(0, b"put", b"k", b"%d" % number)
    for victim in (0, 1):
        cluster.crash(victim)
        for number in range(6):
            cluster.call(1, b"put", b"k", b"%d" % number, within_ms=120_000)
        cluster.start(victim)
        cluster.run(2000)
    return cluster


def test_debug_events_change_nothing_but_the_trace() -> None:
    for seed in (1, 2, 3):
        lean, loud = a_run_with_faults(seed, False), a_run_with_faults(seed, True)
        assert lean.trace("new-view")
        assert lean.sent == loud.sent
        assert lean.now_ns == loud.now_ns
        told = [
            (at, replica, life, trace)
            for at, replica, life, trace in loud.traces
            if trace.kind not in DEBUG_KINDS and trace.kind != "started"
        ]
        assert [line for line in lean.traces if line[3].kind != "started"] == told
        assert {trace.kind for _, _, _, trace in lean.traces} & DEBUG_KINDS == set()


def test_runs_show_nearly_every_kind(debug_runs: list[MemoryCluster]) -> None:
    shown = {trace.kind for run in debug_runs for _, _, _, trace in run.traces}
    by_the_driver = {"rejected", "debug-dropped"}
    missing = set(BY_NAME) - shown - by_the_driver - {"alarm", "clock"}  # nobody moves clocks here
    assert not missing, f"no run shows {missing}: does anything still write them?"


def test_the_checker_reads_past_debug_kinds_and_kinds_to_come(
    debug_runs: list[MemoryCluster], tmp_path: Path
) -> None:
    lines = [
        json.dumps({"t_ns": at, "e": trace.kind, **trace.fields})
        for at, replica, _, trace in debug_runs[0].traces
        if replica == 0
    ]
    lines.insert(1, json.dumps({"t_ns": 1, "e": "of-the-next-minor-version", "more": [1]}))
    path = tmp_path / "trace.jsonl"
    path.write_text("\n".join(lines) + "\n")
    loud = read_trace(path, 0)
    assert loud.flaws == ()
    path.write_text("\n".join(line for line in lines if json.loads(line)["e"] not in DEBUG_KINDS) + "\n")
    lean = read_trace(path, 0)
    strip = lambda found: [type(record).__name__ for record in found.records()]  # noqa: E731
    assert strip(loud) == strip(lean)
    assert len(strip(lean)) > 10


def test_requests_and_timers_are_told_at_debug_level() -> None:
    cluster = MemoryCluster(traces_debug=True)
    cluster.call(0, b"put", b"k", b"v")
    cluster.crash(0)
    cluster.call(0, b"put", b"k", b"w")
    client = cluster.client(0)
    steps = [trace.fields["step"] for trace in cluster.trace("request", 1)]
    assert "relayed" in steps, "backup 1 handed the retried request on"
    assert {trace.fields["timestamp"] for trace in cluster.trace("request", 1)} <= {1, client.timestamp}
    timers = [(trace.fields["timer"], trace.fields["step"]) for trace in cluster.trace("timer", 1)]
    assert timers.index(("request", "set")) < timers.index(("request", "fired"))
    held = [trace.fields["held"] for trace in cluster.trace("view-change-received", 1)]
    assert max(held) >= cluster.cluster.quorum


def test_architecture_shows_this_list() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert trace_events.as_markdown() in text, (
        "renew the table in ARCHITECTURE.md: python -m pbft_node trace-events"
    )


def test_the_list_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert by_hand.main(["trace-events"]) == 0
    assert capsys.readouterr().out.strip() == trace_events.as_markdown()
    assert by_hand.main(["trace-events", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["schema"], data["minor"]) == (trace_events.SCHEMA, trace_events.MINOR)
    assert {kind["name"] for kind in data["kinds"] if kind["level"] == DEBUG} == DEBUG_KINDS
    view = next(kind for kind in data["kinds"] if kind["name"] == "view-change")["fields"][0]
    assert view == {"name": "view", "type": "number", "meaning": "asked for", "optional": False}
