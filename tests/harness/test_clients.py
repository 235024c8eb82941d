"""Logical clients, sessions and the recorder, on a virtual world."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from virtual_world import MILLISECOND_NS, VirtualWorld, virtual_port

from checker.formats import traitor
from harness.clients import Clients
from harness.errors import HarnessError
from harness.plan import PlannedClient, PlannedOperation
from harness.recorder import LineFile, Recorder
from harness.sessions import ClientPort, Sessions
from workloads.operation import Operation
from workloads.registry import WORKLOADS

TIMEOUT_NS = 500 * MILLISECOND_NS


class Bench:
    """A driver with its world and its record."""

    def __init__(self, folder: Path, plans: list[PlannedClient], port: ClientPort | None = None) -> None:
        self.world = VirtualWorld()
        self.folder = folder
        self.recorder = Recorder(folder, "kv", self.world)
        self.sessions = Sessions(self.world, port or virtual_port(self.world))
        self.clients = Clients(self.world, self.sessions, self.recorder, WORKLOADS["kv"], TIMEOUT_NS, plans)

    def run(self, for_ns: int = 10_000 * MILLISECOND_NS) -> None:
        self.clients.begin_load(self.world.now_ns())
        self.world.run(lambda: self.clients.idle, self.world.now_ns() + for_ns)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "history.jsonl").read_text().splitlines()[1:]]


def client(*operations: tuple[int, str, str, Any], retry: bool = True) -> PlannedClient:
    planned = [
        PlannedOperation(at * MILLISECOND_NS, Operation(f, key, value)) for at, f, key, value in operations
    ]
    return PlannedClient(retry, tuple(planned))


def test_operations_are_recorded_as_they_happen(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path, [client((0, "put", "k", "v"), (50, "get", "k", None), (60, "cas", "k", ["v", "w"]))]
    )
    start_ns = bench.world.now_ns()
    bench.run()
    lines = bench.lines()
    assert [(line["type"], line["f"], line.get("output")) for line in lines] == [
        ("invoke", "put", None),
        ("ok", "put", None),
        ("invoke", "get", None),
        ("ok", "get", "v"),
        ("invoke", "cas", None),
        ("ok", "cas", [True, "v"]),
    ]
    assert lines[0]["time_ns"] == start_ns
    assert lines[2]["time_ns"] == start_ns + 50 * MILLISECOND_NS, "not before its time"
    assert (lines[0]["client"], lines[0]["timestamp"], lines[0]["phase"]) == (1000, 1, "load")
    assert (lines[1]["view"], lines[1]["replicas"]) == (3, [0, 1])
    assert lines[2]["timestamp"] == 2
    assert [(line["path"], line["timestamp"]) for line in lines[1::2]] == [
        ("ordered", 1),
        ("fast", 2),
        ("ordered", 3),
    ], "reads are asked for as reads, and the record tells what became of that"
    assert bench.recorder.counts == {"ok": 3, "fail": 0, "info": 0}
    assert len(traitor.read(tmp_path / "history.jsonl").operations) == 3, "the judge can read it"


def test_a_client_has_one_operation_at_a_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [client((0, "put", "k", "v"), (0, "get", "k", None), (1, "get", "k", None))])
    bench.run()
    assert [line["type"] for line in bench.lines()] == ["invoke", "ok"] * 3


def test_the_invoke_line_is_written_before_the_request_leaves(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [client((0, "put", "k", "v"))])
    seen: list[int] = []
    send = bench.world.send
    bench.world.send = lambda to, data: (seen.append(len(bench.lines())), send(to, data))[1]  # type: ignore[method-assign]
    bench.run()
    assert seen == [1, 1, 1, 1]


def test_an_operation_that_times_out_is_info_and_retires_its_process(tmp_path: Path) -> None:
    plans = [client((0, "put", "k", "v"), (0, "get", "k", None)), client((0, "get", "k", None))]
    bench = Bench(tmp_path, plans)
    bench.world.mute_until_ns = bench.world.now_ns() + TIMEOUT_NS + MILLISECOND_NS
    bench.run()
    of_first = [line for line in bench.lines() if line["process"] % 2 == 0]
    assert [(line["process"], line["type"]) for line in of_first] == [
        (0, "invoke"),
        (0, "info"),
        (2, "invoke"),
        (2, "ok"),
    ]
    assert of_first[1]["error"] == "timeout"
    assert of_first[1]["time_ns"] - of_first[0]["time_ns"] == TIMEOUT_NS
    assert of_first[2]["client"] == 1002, "client 1000 + process"
    assert bench.recorder.counts["info"] == 2


def test_a_late_reply_to_an_operation_given_up_changes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [client((0, "put", "k", "v"), (0, "get", "k", None))])
    bench.clients.operation_timeout_ns = MILLISECOND_NS
    bench.run()
    bench.world.run(lambda: False, bench.world.now_ns() + TIMEOUT_NS)
    assert [line["type"] for line in bench.lines()] == ["invoke", "info"] * 2


def test_only_retransmission_survives_a_loss(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [client((0, "put", "k", "v")), client((0, "put", "j", "w"), retry=False)])
    bench.world.mute_until_ns = bench.world.now_ns() + 50 * MILLISECOND_NS
    bench.run()
    ends = {line["process"]: line["type"] for line in bench.lines() if line["type"] != "invoke"}
    assert ends == {0: "ok", 1: "info"}


def test_unreadable_results_are_info(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [client((0, "put", "k", "v"))])
    bench.world.garbage = True
    bench.run()
    assert [(line["type"], line.get("error")) for line in bench.lines()] == [
        ("invoke", None),
        ("info", "unreadable"),
    ]


def test_the_end_of_the_load_leaves_the_rest_out_and_final_reads_wait_for_nobody(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [client((0, "put", "k", "v"), (900, "put", "k", "w")), client()])
    bench.world.mute_until_ns = bench.world.now_ns() + 100 * MILLISECOND_NS
    bench.run(for_ns=20 * MILLISECOND_NS)
    bench.clients.end_load()
    bench.world.mute_until_ns = 0
    bench.clients.begin_final_reads([Operation("get", "k", None), Operation("get", "j", None)])
    assert bench.world.run(lambda: bench.clients.idle, bench.world.now_ns() + 50 * MILLISECOND_NS)
    lines = bench.lines()
    assert [(line["type"], line.get("error")) for line in lines[:2]] == [
        ("invoke", None),
        ("info", "abandoned"),
    ]
    finals = [line for line in lines if line.get("phase") == "final"]
    assert sorted((line["process"], line["key"]) for line in finals) == [(1, "j"), (2, "k")]
    assert '"w"' not in json.dumps(lines)


def test_identities_that_are_used_up_are_an_error(tmp_path: Path) -> None:
    world = VirtualWorld()
    port = virtual_port(world)
    few = ClientPort(1000, 1000, port.make, port.addressee)
    bench = Bench(tmp_path, [client((0, "put", "k", "v"), (0, "get", "k", None))], few)
    bench.world.mute_until_ns = 10**15
    with pytest.raises(HarnessError, match="used up"):
        bench.run()


def test_a_full_disk_is_the_machines_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = LineFile(tmp_path / "history.jsonl")

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(HarnessError, match="No space left"):
            file.write(b"x\n")
    file.close()
    file.close()


def test_a_record_is_never_overwritten(tmp_path: Path) -> None:
    LineFile(tmp_path / "history.jsonl").close()
    with pytest.raises(HarnessError, match="File exists"):
        LineFile(tmp_path / "history.jsonl")


def test_half_a_write_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    file = LineFile(tmp_path / "history.jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
        file.write(b"0123456789\n")
    file.close()
    assert (tmp_path / "history.jsonl").read_bytes() == b"0123456789\n"
