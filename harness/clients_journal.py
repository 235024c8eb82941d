"""``clients.journal``: all that happened to the clients of a live run, in order, with its time.

What a replica's journal is for a replica, this is for the clients together: each datagram that reached their
host (also one for nobody), each timer of a client that fired, each operation begun and each client given up.
Operations are here although ``history.jsonl`` has them, because that has no health probes. A client core fed
with the entries of its client, at their times, sends what it sent then.

The file is that of ``pbft_node.journal_file``, for OF_CLIENTS: a TURN for each entry, handed to the kernel
before the client hears of it, of ``Q now_ns, B kind`` and

    1 arrived   the datagram
    2 fired     I client, Q generation, name of the timer
    3 invoked   I client, B flags (1 it only reads, 2 the client retransmits), I replies needed (0: its own
                rule), the operation
    4 closed    I client

A reader takes it for hostile bytes: it says where and why the good part ends, and raises JournalError only
for a file that is no journal of clients.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.console import tell
from harness.errors import HarnessError
from pbft_node.errors import MachineError
from pbft_node.journal_file import (
    LIMIT_BYTES,
    OF_CLIENTS,
    Ending,
    Frame,
    FrameFile,
    FrameType,
    Identity,
    JournalError,
    Scan,
)

FILE_NAME = "clients.journal"
MAX_BYTES = 16 * 1024 * 1024 * 1024
MAX_TIMER_NAME = 64
READ_ONLY = 1
RETRIES = 2

_HEAD = struct.Struct(">QB")
_TIMER = struct.Struct(">IQ")
_INVOKED = struct.Struct(">IBI")
_CLIENT = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Arrived:
    """A datagram reached the clients' host."""

    now_ns: int
    datagram: bytes


@dataclass(frozen=True, slots=True)
class Fired:
    """A timer of a client."""

    now_ns: int
    client: int
    name: str
    generation: int


@dataclass(frozen=True, slots=True)
class Invoked:
    """A client began an operation."""

    now_ns: int
    client: int
    operation: bytes
    needed: int | None
    read_only: bool
    retry: bool
    """This client retransmits."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A client was given up, with whatever it had under way."""

    now_ns: int
    client: int


ClientEntry = Arrived | Fired | Invoked | Closed


class ClientsJournal:
    """Open for writing. Raises HarnessError when it cannot be written."""

    def __init__(self, folder: Path, cluster_id: bytes, *, limit: int = LIMIT_BYTES) -> None:
        try:
            self._file = FrameFile(folder / FILE_NAME, Identity(OF_CLIENTS, cluster_id), limit, tell)
        except MachineError as error:
            raise HarnessError(str(error)) from None

    def write(self, entry: ClientEntry) -> None:
        """Before anything comes of it."""
        try:
            self._file.append(FrameType.TURN, 0, 1, _encode(entry))
        except MachineError as error:
            raise HarnessError(str(error)) from None

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class ClientsRecord:
    """What a ``clients.journal`` holds."""

    path: Path
    cluster_id: bytes
    count: int
    ending: Ending

    def entries(self) -> Iterator[ClientEntry]:
        """In order, from the file."""
        for frame in Scan(self.path, MAX_BYTES).frames():
            if frame.offset >= self.ending.offset:
                return
            if frame.type is FrameType.TURN:
                try:
                    yield _decode(frame)
                except ValueError as problem:
                    raise JournalError(f"{self.path}: changed while it was read: {problem}") from None


def read_clients_journal(path: Path) -> ClientsRecord:
    """See the module."""
    scan = Scan(path, MAX_BYTES)
    if scan.identity.of != OF_CLIENTS:
        raise JournalError(f"{path}: the journal of replica {scan.identity.replica}: give {FILE_NAME}")
    count = 0
    for frame in scan.frames():
        if frame.type is FrameType.TURN:
            try:
                _decode(frame)
            except ValueError as problem:
                scan.damaged(frame, str(problem))
                break
            count += 1
    assert scan.ending is not None, "the scan is through"
    return ClientsRecord(path, scan.identity.cluster_id, count, scan.ending)


def _encode(entry: ClientEntry) -> bytes:
    match entry:
        case Arrived(now_ns, datagram):
            return _HEAD.pack(now_ns, 1) + datagram
        case Fired(now_ns, client, name, generation):
            return _HEAD.pack(now_ns, 2) + _TIMER.pack(client, generation) + name.encode()
        case Invoked(now_ns, client, operation, needed, read_only, retry):
            flags = READ_ONLY * read_only | RETRIES * retry
            return _HEAD.pack(now_ns, 3) + _INVOKED.pack(client, flags, needed or 0) + operation
        case Closed(now_ns, client):
            return _HEAD.pack(now_ns, 4) + _CLIENT.pack(client)


def _decode(frame: Frame) -> ClientEntry:
    """Raises ValueError."""
    payload = frame.payload
    try:
        now_ns, kind = _HEAD.unpack_from(payload)
        data = payload[_HEAD.size :]
        if kind == 1:
            return Arrived(now_ns, data)
        if kind == 2 and len(data) <= _TIMER.size + MAX_TIMER_NAME:
            client, generation = _TIMER.unpack_from(data)
            return Fired(now_ns, client, data[_TIMER.size :].decode("ascii"), generation)
        if kind == 3:
            client, flags, needed = _INVOKED.unpack_from(data)
            operation = data[_INVOKED.size :]
            return Invoked(
                now_ns, client, operation, needed or None, bool(flags & READ_ONLY), bool(flags & RETRIES)
            )
        if kind == 4 and len(data) == _CLIENT.size:
            return Closed(now_ns, _CLIENT.unpack(data)[0])
    except struct.error:
        pass
    raise ValueError(f"holds {len(payload)} bytes that are no entry")
