"""The baseline: the same service behind one process, without replication.

What it shares with a replica: the service object, ``Runtime`` (epoll loop, timers) and ``UdpTransport``, the
frame codec, the client's authentication (``crypto``: a request is verified and a reply authenticated exactly
as a replica does it; ``open``: neither, as in the paper's baseline), and the client table that makes a
retransmitted operation execute once. What it lacks: everything else. It touches no disk, unless the
configuration's durability says so: then the request of an operation that changed something is in a log
before the reply leaves, as an NFS server does it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pbft_node.config import load_replica
from pbft_node.core.authentication import MAC_BYTES, SIGNATURE_BYTES, Keyring
from pbft_node.core.cluster import Cluster
from pbft_node.core.codec import decode
from pbft_node.core.effects import Effect, Persist, Send
from pbft_node.core.events import Event, Received
from pbft_node.core.frames import Malformed
from pbft_node.core.messages import Request
from pbft_node.core.seal import Seal
from pbft_node.core.services import SERVICES, Service
from pbft_node.core.store import Store
from pbft_node.core.types import Principal, ReplicaId, View
from pbft_node.runtime import Runtime
from pbft_node.transport import AddressBook, UdpTransport
from pbft_node.wal import open_log


class NoKeys:
    """A keyring without cryptography: every tag is zeros, and right."""

    def sign(self, message: bytes) -> bytes:
        """Zeros."""
        return bytes(SIGNATURE_BYTES)

    def verify(self, signer: Principal, message: bytes, signature: bytes) -> bool:
        """Always."""
        return True

    def mac(self, peer: Principal, message: bytes) -> bytes:
        """Zeros."""
        return bytes(MAC_BYTES)

    def verify_mac(self, peer: Principal, message: bytes, tag: bytes) -> bool:
        """Always."""
        return True


class NoLog:
    """Nothing is persistent."""

    def append(self, record: bytes) -> None:
        """Nothing."""

    def compact(self, records: Sequence[bytes]) -> None:
        """Nothing."""

    def sync(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class NotingStore(Store):
    """Knows whether anything was written."""

    wrote = False

    def put(self, key: bytes, value: bytes) -> None:
        """See ``Store``."""
        self.wrote = True
        super().put(key, value)

    def delete(self, key: bytes) -> bool:
        """See ``Store``."""
        self.wrote = True
        return super().delete(key)


class Unreplicated:
    """Request in, reply out."""

    def __init__(self, cluster: Cluster, keys: Keyring, service: Service) -> None:
        self._seal = Seal(cluster, ReplicaId(0), keys)
        self._service = service
        self._store = NotingStore()
        self._last: dict[int, tuple[int, bytes]] = {}

    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        """A driver's view of a server."""
        if not isinstance(event, Received):
            return []
        try:
            message, frame = decode(event.data)
        except Malformed:
            return []
        if not isinstance(message, Request) or not self._seal.authentic(frame):
            return []
        return self._answer(message)

    def _answer(self, request: Request) -> list[Effect]:
        timestamp, result = self._last.get(request.client, (0, b""))
        if request.timestamp < timestamp:
            return []
        effects: list[Effect] = []
        if request.timestamp > timestamp:
            self._store.wrote = False
            result = self._service.execute(self._store, request.client, request.operation)
            self._last[request.client] = (request.timestamp, result)
            effects = [Persist(request.raw)] if self._store.wrote else []
        reply = self._seal.reply(request.client, View(0), request.timestamp, result)
        return [*effects, Send(request.client, reply)]


def main(path: Path, keys: str) -> None:
    """Serve until killed."""
    config = load_replica(path)
    transport = UdpTransport(
        config.replica_addresses[0], AddressBook(config.replica_addresses, config.client_addresses)
    )
    keyring: Keyring = config.keyring if keys == "crypto" else NoKeys()
    service = SERVICES[config.cluster.service]()
    machine = Unreplicated(config.cluster, keyring, service)
    log = NoLog()
    if config.durability != "none":
        log = open_log(config.log, config.cluster.cluster_id, config.replica, config.durability).log  # type: ignore[assignment]
    Runtime(machine, log, transport, None).run(())  # type: ignore[arg-type]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
