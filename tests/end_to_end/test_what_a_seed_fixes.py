"""What a seed fixes in world ``live``, and what it does not: the same command twice, file by file.

The plan is the seed's: every operation and every fault. The race is the machine's: when a datagram arrives,
which replica is first, whether a replica sees one event in a turn or two. That is what ``sim`` and
``lockstep`` are for, and the journals a live run keeps.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cluster_runs import Done, traitor

from pbft_node.core.events import Received
from pbft_node.core.frames import peek
from pbft_node.journal_reader import read_journal

pytestmark = pytest.mark.sandbox

COMMAND = ["--seed", "21", "--time", "2", "--rate", "100", "--clients", "3", "--fault", "none"]
KEYS = ["--set", "keys=5"]
"""Few, so that clients race for them."""
FIXED_FILES = ("plan.json", "spec.yaml", "keys/public.json")
"""Byte for byte."""


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Done]:
    out = tmp_path_factory.mktemp("seed")
    one, two = (traitor(out / name, *COMMAND, *KEYS) for name in ("one", "two"))
    assert {one.code, two.code} <= {0, 3}, one.explain() + two.explain()
    return one, two


def events(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (done.folder / "history.jsonl").read_text().splitlines()[1:]]


def asked(done: Done, process: int) -> list[tuple[object, ...]]:
    """What one client asked for in the load, in its order. No operation timed out, so it is one process."""
    assert all(event["type"] in ("invoke", "ok") for event in events(done)), "nothing ended without an answer"
    return [
        (event["f"], event["key"], event["input"], event["client"])
        for event in events(done)
        if event["type"] == "invoke" and event["process"] == process and event["phase"] == "load"
    ]


def test_fixed_plan_spec_and_keys(twice: tuple[Done, Done]) -> None:
    one, two = twice
    for name in FIXED_FILES:
        assert (one.folder / name).read_bytes() == (two.folder / name).read_bytes(), name


def test_fixed_what_every_client_asks_for_and_in_which_order(twice: tuple[Done, Done]) -> None:
    """Up to where the load ended: an operation not begun by then is left out, and that depends on time."""
    plan = json.loads((twice[0].folder / "plan.json").read_text())
    for process, client in enumerate(plan["clients"]):
        planned = [(op["f"], op["key"], op["input"], 1000 + process) for op in client["operations"]]
        for done in twice:
            assert asked(done, process) == planned[: len(asked(done, process))]
            assert len(asked(done, process)) >= 20, "too little to mean anything"


def test_fixed_which_values_can_be_read_but_not_which_are(twice: tuple[Done, Done]) -> None:
    """That a read shows a planned write is fixed. Which one, where clients race, is not."""
    for done in twice:
        plan = json.loads((done.folder / "plan.json").read_text())
        written = {
            (op["key"], op["input"]) for c in plan["clients"] for op in c["operations"] if op["f"] == "put"
        }
        gets = [e for e in events(done) if e["type"] == "ok" and e["f"] == "get" and e["output"] is not None]
        assert gets
        for event in gets:
            value = event["output"]
            assert (event["key"], value) in written or event_of_cas(plan, event["key"], value), event


def event_of_cas(plan: dict[str, Any], key: str, value: str) -> bool:
    return any(
        op["f"] == "cas" and op["key"] == key and op["input"][1] == value
        for client in plan["clients"]
        for op in client["operations"]
    )


def test_not_fixed_when_anything_happens(twice: tuple[Done, Done]) -> None:
    """No two runs on a real machine have the same times, nor the files that hold times."""
    one, two = twice
    assert [e["time_ns"] for e in events(one)] != [e["time_ns"] for e in events(two)]
    for name in ("history.jsonl", "run.json", "ledger.json", "replicas/0/trace.jsonl"):
        assert (one.folder / name).read_bytes() != (two.folder / name).read_bytes(), name


def arrivals(folder: Path) -> list[tuple[int, object]]:
    """What arrived at which replica, in the order of all of it: replica and (type, sender, view, seq)."""
    seen = []
    for replica in range(4):
        for life in read_journal(folder / "replicas" / str(replica) / "journal").lives:
            for entry in life.entries():
                if isinstance(entry.event, Received):
                    seen.append((entry.now_ns, replica, peek(entry.event.data)))
    return [(replica, header) for _, replica, header in sorted(seen, key=lambda one: one[0])]


def test_not_fixed_who_comes_first(twice: tuple[Done, Done]) -> None:
    """The order in which thousands of messages arrive at four replicas. (Who shares a batch with whom may
    differ, too, and by chance does not.)"""
    one, two = (arrivals(done.folder) for done in twice)
    assert min(len(one), len(two)) > 1000
    assert one != two


def test_not_fixed_what_each_replica_received_and_when(twice: tuple[Done, Done]) -> None:
    """The journals: the very inputs of every replica, so that a live run can be replayed all the same."""
    one, two = twice
    for replica in range(4):
        journals = [done.folder / "replicas" / str(replica) / "journal" for done in (one, two)]
        assert all(journal.stat().st_size > 1000 for journal in journals)
        assert journals[0].read_bytes() != journals[1].read_bytes()
