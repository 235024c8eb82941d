"""The checkpointed state: what the service keeps in its store, and the client table in another.

The agreed time of section 4.6 goes with the table. Replies change with every request, so the table is a
plain dictionary between checkpoints; at a checkpoint the entries touched since the last one are written into
its store. Both stores then give their images, which share every page that did not change.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .digests import digest_of
from .frames import Malformed
from .pages import Image
from .store import Store
from .types import FIRST_CLIENT_ID, ClientId, Digest, SeqNum, Timestamp

_CLIENT = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_TIME = b""
"""The key of the agreed time; the others are client ids."""


@dataclass(frozen=True, slots=True)
class LastReply:
    """What the client table keeps of a client: the last request executed and its result."""

    timestamp: Timestamp
    result: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state after executing ``seq``."""

    seq: SeqNum
    service: Image
    clients: Image
    digest: Digest
    """d of its CHECKPOINT."""


def take_snapshot(seq: SeqNum, service: Image, clients: Image) -> Snapshot:
    """The images of both stores, under one digest."""
    return Snapshot(seq, service, clients, state_digest(service.digest, clients.digest))


def state_digest(service: Digest, clients: Digest) -> Digest:
    """d of a CHECKPOINT, from the root digests of the two stores."""
    return digest_of(b"state", service, clients)


class ClientTable(dict[ClientId, LastReply]):
    """The last reply of every client (section 4.1), and the store it is checkpointed in."""

    def __init__(self) -> None:
        super().__init__()
        self._store = Store()
        self._touched: dict[ClientId, None] = {}

    def __setitem__(self, client: ClientId, reply: LastReply) -> None:
        super().__setitem__(client, reply)
        self._touched[client] = None

    def image(self, time_ns: int) -> Image:
        """The table as it is now, with the agreed time of section 4.6; costs what was touched since the last
        image."""
        if time_ns:
            self._store.put(_TIME, _U64.pack(time_ns))
        for client in self._touched:
            reply = self[client]
            self._store.put(_CLIENT.pack(client), _U64.pack(reply.timestamp) + reply.result)
        self._touched.clear()
        return self._store.image()

    def become(self, image: Image) -> int:
        """Take over the table of an image; gives its agreed time. Raises Malformed."""
        store = Store(image)
        self.clear()
        time_ns = 0
        for key, value in store.scan():
            if key == _TIME and len(value) == _U64.size:
                (time_ns,) = _U64.unpack(value)
                continue
            if len(key) != _CLIENT.size or len(value) < _U64.size:
                raise Malformed("an entry of the client table that is none")
            (client,), (timestamp,) = _CLIENT.unpack(key), _U64.unpack_from(value)
            if client < FIRST_CLIENT_ID:
                raise Malformed(f"{client} in the client table, which is no client")
            self[ClientId(client)] = LastReply(Timestamp(timestamp), value[_U64.size :])
        self._store = store
        self._touched.clear()
        return time_ns
