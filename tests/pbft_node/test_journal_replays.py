"""The journals of real processes, killed under load, explain all that they did."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from journals import Replayed, fits, replay
from local_cluster import Cluster, wait_for

from pbft_node import wal
from pbft_node.config import load_client
from pbft_node.core.client import Client
from pbft_node.core.client_codec import reply_client
from pbft_node.core.effects import CancelTimer, Compact, Completed, Effect, Persist, Send, SetTimer, Trace
from pbft_node.core.events import Event, Received, Started, TimerFired
from pbft_node.core.frames import MessageType, peek
from pbft_node.core.operations import encode_fields
from pbft_node.journal import ENTRY, TURN_END
from pbft_node.journal_file import FRAME, HEADER_BYTES, FrameType, decode_frame, encode_frame
from pbft_node.timers import Timers
from pbft_node.transport import AddressBook, UdpTransport

N = 4
KILLED = 2
FOREIGN = b"no message of ours"


class Load:
    """Clients in a closed loop, until a number of operations are done."""

    def __init__(self, cluster: Cluster) -> None:
        config = load_client(json.loads((cluster.folder / "client.json").read_text()))
        self.transport = UdpTransport(config.address, AddressBook(config.replica_addresses))
        self.timers = Timers()
        self.clients = {
            i: Client(config.cluster, i, config.keyring) for i in range(config.first, config.first + 6)
        }
        self.done = 0

    def run(self, operations: int) -> None:
        goal = self.done + operations
        for number, client in self.clients.items():
            if not client.busy:
                self._take(number, self._begin(number))
        wait_for(lambda: self._turn() >= goal, f"{operations} operations", 40)

    def _begin(self, number: int) -> list[Effect]:
        operation = encode_fields(b"put", b"k%d" % number, b"v%d" % self.done)
        return self.clients[number].invoke(operation, time.monotonic_ns())

    def _turn(self) -> int:
        now_ns = time.monotonic_ns()
        for data in self.transport.receive(256):
            number = reply_client(data)
            if number in self.clients:
                self._take(number, self.clients[number].handle(Received(data), now_ns))
        while fired := self.timers.take_due(now_ns):
            number, name = fired.name.split()
            event = TimerFired(name, fired.generation)
            self._take(int(number), self.clients[int(number)].handle(event, now_ns))
        return self.done

    def _take(self, number: int, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(to, data):
                    self.transport.send(to, data)
                case SetTimer(name, generation, delay_ns):
                    self.timers.set(f"{number} {name}", generation, time.monotonic_ns() + delay_ns)
                case CancelTimer(name):
                    self.timers.cancel(f"{number} {name}")
                case Completed():
                    self.done += 1
                    self._take(number, self._begin(number))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    """Four replicas under load; one is killed with -9 twice, at the end all but one are."""
    made = Cluster(tmp_path_factory.mktemp("journal") / "cluster")
    for replica in range(N):
        own = json.loads((made.replica(replica) / "config.json").read_text())["cluster"]
        made.set(replica, journal="journal", cluster=own | {"checkpoint_interval": 4, "window": 8})
    load = Load(made)
    try:
        made.start(*range(N))
        for life in (1, 2):
            load.run(60)
            made.kill(KILLED)
            load.run(30)
            made.start(KILLED)
            assert made.lives(KILLED) == life + 1
        load.run(60)
        made.kill(0, 1, KILLED)
        made.kill(3, signal_=signal.SIGTERM)
    finally:
        load.transport.close()
        made.kill(*made.processes)
    return made


@pytest.fixture(scope="module")
def replayed(cluster: Cluster) -> list[Replayed]:
    return [replay(cluster.replica(i)) for i in range(N)]


def test_every_hash_is_equal_in_every_life(replayed: list[Replayed]) -> None:
    assert [one.mismatch for one in replayed] == [None] * N
    assert [len(one.contents.lives) for one in replayed] == [1, 1, 3, 1]
    for one in replayed:
        assert one.contents.ending.why in ("whole", "torn")
        assert len(one.events) == sum(life.events for life in one.contents.lives) > 50
    assert [one.contents.lives[-1].ended_ns is None for one in replayed] == [True, True, True, False]
    kinds = {type(event) for event, _ in replayed[KILLED].events}
    assert kinds == {Started, Received, TimerFired}


def test_the_trace_is_that_of_the_replay_byte_by_byte(cluster: Cluster, replayed: list[Replayed]) -> None:
    for replica, one in enumerate(replayed):
        lines = (cluster.replica(replica) / "trace.jsonl").read_text().splitlines()
        assert len(lines) > 20
        assert fits(lines, one.lives)
        assert not fits([*lines, lines[-1]], one.lives)
        assert not fits(lines[1:], one.lives)


def test_all_that_others_received_of_it_is_sent_in_its_replay(replayed: list[Replayed]) -> None:
    """What left a process that was killed with -9 is in its journal. (What is signed may be passed on.)"""
    for sender, one in enumerate(replayed):
        sent = {e.data for _, effects in one.events for e in effects if isinstance(e, Send)}
        for receiver, other in enumerate(replayed):
            got = {e.data for e, _ in other.events if isinstance(e, Received) and is_from(e.data, sender)}
            assert len(got) > 10 or receiver == sender
            assert got <= sent


def is_from(data: bytes, sender: int) -> bool:
    header = peek(data)
    return header is not None and header[1] == sender and header[0] != MessageType.REQUEST


def test_what_is_in_the_log_is_asked_for_in_the_replay(cluster: Cluster, replayed: list[Replayed]) -> None:
    for replica, one in enumerate(replayed):
        path = cluster.replica(replica) / "wal"
        config = json.loads((cluster.replica(replica) / "config.json").read_text())
        cluster_id = bytes.fromhex(config["cluster"]["cluster_id"])
        records = wal.parse(path.read_bytes(), path, cluster_id, replica).records
        asked: set[bytes] = set()
        for _, effects in one.events:
            for effect in effects:
                if isinstance(effect, Persist):
                    asked.add(effect.record)
                elif isinstance(effect, Compact):
                    asked.update(effect.records)
        assert len(records) > 10
        assert set(records) <= asked


def changed(folder: Path, replaced: int, data: bytes) -> None:
    """Event ``replaced`` of the journal in ``folder`` becomes another datagram, in a frame that is whole."""
    path = folder / "journal"
    whole = path.read_bytes()
    parts = [whole[:HEADER_BYTES]]
    position, number = HEADER_BYTES, 0
    while position < len(whole):
        type_, flags, entries, length, _ = decode_frame(whole[position : position + FRAME.size])
        payload = whole[position + FRAME.size : position + FRAME.size + length]
        if type_ is FrameType.TURN and number <= replaced < number + entries:
            at = TURN_END.size
            for _ in range(replaced - number):
                at += ENTRY.size + ENTRY.unpack_from(payload, at)[2]
            now_ns, kind, size, after = ENTRY.unpack_from(payload, at)
            head = ENTRY.pack(now_ns, kind, len(data), after)
            payload = payload[:at] + head + data + payload[at + ENTRY.size + size :]
        number += entries
        parts.append(encode_frame(type_, flags, entries, payload))
        position += FRAME.size + length
    path.write_bytes(b"".join(parts))


def find(one: Replayed, type_: MessageType) -> list[int]:
    """Events that are such a datagram and lead to something."""
    return [number for number, (event, effects) in enumerate(one.events) if effects and is_a(event, type_)]


def is_a(event: Event, type_: MessageType) -> bool:
    return isinstance(event, Received) and (peek(event.data) or (0,))[0] == type_


@pytest.mark.parametrize("type_", [MessageType.PREPARE, MessageType.COMMIT, MessageType.CHECKPOINT])
def test_one_changed_byte_is_a_mismatch_there(
    cluster: Cluster, replayed: list[Replayed], tmp_path: Path, type_: MessageType
) -> None:
    for number in (find(replayed[1], type_)[0], find(replayed[1], type_)[-1]):
        folder = tmp_path / str(number)
        shutil.copytree(cluster.replica(1), folder, ignore=shutil.ignore_patterns("*.sock"))
        event = replayed[1].events[number][0]
        assert isinstance(event, Received)
        changed(folder, number, event.data)
        assert replay(folder).mismatch is None
        changed(folder, number, event.data[:-1] + bytes([event.data[-1] ^ 1]))
        assert replay(folder).mismatch == number


@pytest.mark.parametrize("after", [0, 200])
def test_one_changed_rule_is_a_mismatch_where_it_first_matters(
    cluster: Cluster, replayed: list[Replayed], after: int
) -> None:
    """A replica that counts no COMMIT shows at a COMMIT: at the latest at one that made a quorum."""

    def deaf(number: int, replica: Any) -> None:
        if number >= after:
            replica.on_commit = lambda message: None

    events = replayed[0].events
    committed = [
        number
        for number, (event, effects) in enumerate(events)
        if is_a(event, MessageType.COMMIT)
        and any(isinstance(e, Trace) and e.kind == "committed" for e in effects)
    ]
    mismatch = replay(cluster.replica(0), deaf).mismatch
    assert mismatch is not None
    assert is_a(events[mismatch][0], MessageType.COMMIT)
    assert after <= mismatch <= min(number for number in committed if number >= after + 30)
