"""clients.journal: from what it holds, every client core of the run can be lived again."""

from __future__ import annotations

import errno
import os
import random
import struct
from pathlib import Path

import pytest
from virtual_world import MILLISECOND_NS, VirtualWorld, virtual_port

from harness.clients import Clients
from harness.clients_journal import (
    FILE_NAME,
    Arrived,
    ClientEntry,
    ClientsJournal,
    Closed,
    Fired,
    Invoked,
    read_clients_journal,
)
from harness.errors import HarnessError
from harness.plan import PlannedClient, PlannedOperation
from harness.recorder import Recorder
from harness.sessions import ClientMachine, ClientPort, Sessions
from pbft_node.core.effects import Effect, Send
from pbft_node.core.events import Received, TimerFired
from pbft_node.journal_file import (
    MIN_LIMIT_BYTES,
    OF_CLIENTS,
    OF_REPLICA,
    FrameType,
    Identity,
    JournalError,
    encode_frame,
    encode_header,
)
from workloads.operation import Operation
from workloads.registry import WORKLOADS

CLUSTER = b"c" * 16
ENTRIES: list[ClientEntry] = [
    Invoked(1, 1000, b"operation", None, True, False),
    Invoked(2, 1001, b"", 4, False, True),
    Arrived(3, b"for 1000"),
    Arrived(4, b""),
    Fired(5, 1000, "retry", 7),
    Closed(6, 1001),
]


def write(folder: Path, entries: list[ClientEntry] = ENTRIES) -> bytes:
    journal = ClientsJournal(folder, CLUSTER)
    for entry in entries:
        journal.write(entry)
    journal.close()
    return (folder / FILE_NAME).read_bytes()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path)
    record = read_clients_journal(tmp_path / FILE_NAME)
    assert list(record.entries()) == ENTRIES
    assert (record.cluster_id, record.count, record.ending.why) == (CLUSTER, 6, "whole")


def test_torn_at_every_byte(tmp_path: Path) -> None:
    whole = write(tmp_path)
    header = len(encode_header(Identity(OF_CLIENTS, CLUSTER)))
    counts = []
    for length in range(header, len(whole)):
        (tmp_path / FILE_NAME).write_bytes(whole[:length])
        record = read_clients_journal(tmp_path / FILE_NAME)
        assert list(record.entries()) == ENTRIES[: record.count]
        assert record.ending.why == "torn" or record.ending.offset == length
        counts.append(record.count)
    assert counts == sorted(counts)
    assert set(counts) == set(range(6))


def frame(payload: bytes) -> bytes:
    return encode_frame(FrameType.TURN, 0, 1, payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"1234567",
        struct.pack(">QB", 1, 9),
        struct.pack(">QB", 1, 2) + b"short",
        struct.pack(">QBIQ", 1, 2, 1000, 1) + b"n" * 65,
        struct.pack(">QBIQ", 1, 2, 1000, 1) + b"\xff",
        struct.pack(">QB", 1, 3) + b"short",
        struct.pack(">QBI", 1, 4, 1000) + b"more",
    ],
)
def test_what_is_no_entry_ends_the_good_part(tmp_path: Path, payload: bytes) -> None:
    whole = write(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(whole + frame(payload) + whole[-40:])
    record = read_clients_journal(tmp_path / FILE_NAME)
    assert (record.ending.why, record.ending.offset) == ("damaged", len(whole))
    assert list(record.entries()) == ENTRIES


def test_hostile_bytes_raise_nothing_else(tmp_path: Path) -> None:
    whole = write(tmp_path)
    chance = random.Random(2)
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        start = chance.randrange(len(data))
        data[start : start + chance.randrange(1, 9)] = chance.randbytes(chance.randrange(9))
        (tmp_path / FILE_NAME).write_bytes(data)
        try:
            list(read_clients_journal(tmp_path / FILE_NAME).entries())
        except JournalError:
            refused += 1
    assert 0 < refused < 300


def test_the_journal_of_a_replica_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(encode_header(Identity(OF_REPLICA, CLUSTER, 3)))
    with pytest.raises(JournalError, match="the journal of replica 3"):
        read_clients_journal(tmp_path / FILE_NAME)


def test_a_disk_that_cannot_be_written_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = ClientsJournal(tmp_path, CLUSTER)

    def fail(descriptor: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", fail)
        with pytest.raises(HarnessError, match="cannot write the journal: No space left"):
            journal.write(ENTRIES[0])
    journal.close()
    with pytest.raises(HarnessError, match="cannot write the journal: No such file"):
        ClientsJournal(tmp_path / "gone", CLUSTER)


def test_its_size_is_bounded(tmp_path: Path) -> None:
    journal = ClientsJournal(tmp_path, CLUSTER, limit=MIN_LIMIT_BYTES)
    for moment in range(200):
        journal.write(Arrived(moment, bytes(1000)))
    journal.close()
    assert (tmp_path / FILE_NAME).stat().st_size <= MIN_LIMIT_BYTES
    assert read_clients_journal(tmp_path / FILE_NAME).ending.why == "limit"


class Sent:
    """What the clients of a run sent, by client."""

    def __init__(self) -> None:
        self.by_client: dict[int, list[tuple[int, bytes]]] = {}

    def take(self, client: int, effects: list[Effect]) -> None:
        sends = [(e.to, e.data) for e in effects if isinstance(e, Send)]
        self.by_client.setdefault(client, []).extend(sends)


class Overheard:
    """A client core whose sends are kept."""

    def __init__(self, client: int, machine: ClientMachine, sent: Sent) -> None:
        self._client, self._machine, self._sent = client, machine, sent

    def __getattr__(self, name: str) -> object:
        return getattr(self._machine, name)

    def handle(self, event: Received | TimerFired, now_ns: int) -> list[Effect]:
        return self._heard(self._machine.handle(event, now_ns))

    def invoke(self, operation: bytes, now_ns: int, **options: object) -> list[Effect]:
        return self._heard(self._machine.invoke(operation, now_ns, **options))  # type: ignore[arg-type]

    def _heard(self, effects: list[Effect]) -> list[Effect]:
        self._sent.take(self._client, effects)
        return effects


def overheard(port: ClientPort, sent: Sent) -> ClientPort:
    def make(client: int, retry: bool) -> ClientMachine:
        return Overheard(client, port.make(client, retry), sent)  # type: ignore[return-value]

    return ClientPort(port.first, port.last, make, port.addressee)


def lived_again(path: Path, port: ClientPort) -> Sent:
    """Every client core, fed with its entries."""
    sent = Sent()
    machines: dict[int, ClientMachine] = {}
    for entry in read_clients_journal(path).entries():
        now_ns = entry.now_ns
        match entry:
            case Invoked(_, client, operation, needed, read_only, retry):
                machine = machines.setdefault(client, port.make(client, retry))
                sent.take(client, machine.invoke(operation, now_ns, needed=needed, read_only=read_only))
            case Arrived(_, datagram):
                client = port.addressee(datagram) or 0
                if client in machines:
                    sent.take(client, machines[client].handle(Received(datagram), now_ns))
            case Fired(_, client, name, generation):
                sent.take(client, machines[client].handle(TimerFired(name, generation), now_ns))
            case Closed(_, client):
                machines.pop(client).abandon()
    return sent


@pytest.mark.parametrize("deaf", [False, True])
def test_every_client_core_follows_from_it(tmp_path: Path, deaf: bool) -> None:
    world = VirtualWorld()
    sent = Sent()
    journal = ClientsJournal(tmp_path, CLUSTER)
    port = virtual_port(world)
    sessions = Sessions(world, overheard(port, sent), journal)
    operations = tuple(
        PlannedOperation(i * 10 * MILLISECOND_NS, Operation("put", f"k{i % 3}", f"v{i}")) for i in range(20)
    )
    plans = [PlannedClient(True, operations), PlannedClient(False, operations)]
    recorder = Recorder(tmp_path, "kv", world)
    world.mute_until_ns = 700 * MILLISECOND_NS if deaf else 0
    clients = Clients(world, sessions, recorder, WORKLOADS["kv"], 300 * MILLISECOND_NS, plans)
    clients.begin_load(world.now_ns())
    world.run(lambda: clients.idle, world.now_ns() + 60_000 * MILLISECOND_NS)
    journal.close()
    recorder.close()
    again = lived_again(tmp_path / FILE_NAME, virtual_port(VirtualWorld()))
    assert again.by_client == sent.by_client
    assert sum(map(len, sent.by_client.values())) >= 40
    kinds = {type(entry) for entry in read_clients_journal(tmp_path / FILE_NAME).entries()}
    assert kinds >= ({Invoked, Arrived, Fired, Closed} if deaf else {Invoked, Arrived})
