"""The run of `run_folder_builder` with its evidence: keys, signed requests, and journals they stand in.

Frames, signatures and journals are made by the code of the system under test, so that the judge's own readers
are held against it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from run_folder_builder import RunFolderBuilder

from pbft_node.core.cluster import Cluster
from pbft_node.core.codec import encode_batch
from pbft_node.core.digests import batch_digest, request_digest
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import Batch, Request
from pbft_node.core.seal import Seal
from pbft_node.genesis import ClientBlock, Genesis, make_genesis
from pbft_node.journal import ENTRY, STARTED
from pbft_node.journal_file import (
    OF_CLIENTS,
    OF_REPLICA,
    FrameType,
    Identity,
    encode_frame,
    encode_header,
)
from pbft_node.keys import NodeKeys
from workloads.encoding import pack

FAR = 10**15
Keyrings = Callable[[Genesis], NodeKeys]


class SignedRun(RunFolderBuilder):
    """Every request is found in the journals of all; `batched` of them travel in one PRE-PREPARE."""

    def __init__(self, *, client_auth: str = "sign", keyring: Keyrings | None = None) -> None:
        super().__init__()
        self.cluster = Cluster(cluster_id=b"0123456789abcdef", n=4, service="kv", client_auth=client_auth)
        addresses = [("10.0.0.1", 7000 + i) for i in range(4)]
        self.genesis = make_genesis(self.cluster, 7, addresses, [ClientBlock(1000, 2000, "10.0.0.9", 7100)])
        self.client_keys = (keyring or (lambda genesis: genesis.client_keyring(0)))(self.genesis)
        self.frames: dict[tuple[int, int], bytes] = {}
        """Request -> its bytes. Changed ones are what the traces say was executed, see `resign`."""
        for event in self.events:
            if event[2] == "invoke":
                _, _, _, f, given, _, client, timestamp, _ = event
                operation = pack(f, "k", *([] if given is None else [given]))
                self.frames[client, timestamp] = self.request(client, timestamp, operation)
        self.missing: set[tuple[int, int]] = set()
        """Requests that are in no journal."""
        self.spoil_journal: dict[int, Callable[[bytes], bytes | None]] = {}
        """Replica -> what is done to its journal's bytes; None: there is none."""
        self.point_at_frames()

    def request(self, client: int, timestamp: int, operation: bytes, **more: object) -> bytes:
        return Seal(self.cluster, client, self.client_keys).request(timestamp, operation, **more)

    def replace(self, client: int, timestamp: int, frame: bytes) -> None:
        """Another request is executed under that name."""
        self.frames[client, timestamp] = frame
        self.point_at_frames()

    def point_at_frames(self) -> None:
        """Traces name requests by the digests of their bytes."""
        digests = {name: request_digest(frame).hex() for name, frame in self.frames.items()}
        for lines in self.traces.values():
            for line in lines:
                for request in line["requests"] if line["e"] == "executed" else ():
                    name = request[0], request[1]
                    request[2] = digests.get(name, request[2])

    def datagrams(self, replica: int) -> list[bytes]:
        """Alone to the primary, in batches of seven to the others."""
        raws = [frame for name, frame in self.frames.items() if name not in self.missing]
        if replica == 0:
            return raws
        seal = Seal(self.cluster, 0, self.genesis.replica_keyring(0))
        batches = [raws[i : i + 7] for i in range(0, len(raws), 7)]
        whole = [_pre_prepare(seal, seq, batch) for seq, batch in enumerate(batches, 1)]
        if replica == 3:  # it saw everything in one large BATCH that came in pieces
            padded = [*raws, self.request(1999, 9, b"x" * 30_000), self.request(1998, 9, b"y" * 32_000)]
            return seal.fragments(3, seal.for_peer(3, MessageType.BATCH, 0, 0, _batch(padded)))
        return whole

    def write(self, path: Path) -> Path:
        super().write(path)
        (path / "keys").mkdir(exist_ok=True)
        (path / "keys" / "public.json").write_text(json.dumps(self.genesis.public()))
        for replica in range(4):
            content = self.journal(replica, self.datagrams(replica))
            spoiled = self.spoil_journal.get(replica, lambda data: data)(content)
            if spoiled is not None:
                (path / "replicas" / str(replica) / "journal").write_bytes(spoiled)
        return path

    def journal(self, replica: int, datagrams: Sequence[bytes]) -> bytes:
        parts = [encode_header(Identity(OF_REPLICA, self.cluster.cluster_id, replica))]
        for life in range(sum(line["e"] == "started" for line in self.traces[replica])):
            first = entry(1, STARTED.pack(0, life + 1, 0, 0, bytes(16)) + bytes(16))
            parts.append(turn([first], begins=True))
        parts += [turn([entry(2, data), entry(3, bytes(8) + b"pace")]) for data in datagrams]
        return b"".join(parts)


def entry(kind: int, data: bytes) -> bytes:
    return ENTRY.pack(5, kind, len(data), bytes(8)) + data


def turn(entries: Sequence[bytes], end_ns: int = FAR, *, begins: bool = False) -> bytes:
    return encode_frame(
        FrameType.TURN, int(begins), len(entries), end_ns.to_bytes(8, "big") + b"".join(entries)
    )


def clients_header(cluster: Cluster) -> bytes:
    return encode_header(Identity(OF_CLIENTS, cluster.cluster_id))


def clients_entry(now_ns: int, kind: int, data: bytes) -> bytes:
    return encode_frame(FrameType.TURN, 0, 1, struct.pack(">QB", now_ns, kind) + data)


def _requests(raws: Sequence[bytes]) -> tuple[Request, ...]:
    return tuple(Request(1000, 1, b"", raw, request_digest(raw), None, False) for raw in raws)


def _batch(raws: Sequence[bytes]) -> bytes:
    return encode_batch(Batch(_requests(raws), 5))


def _pre_prepare(seal: Seal, seq: int, raws: Sequence[bytes]) -> bytes:
    digest = batch_digest(5, [request_digest(raw) for raw in raws])
    return seal.signed(MessageType.PRE_PREPARE, 0, seq, digest) + _batch(raws)
