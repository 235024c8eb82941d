"""A stage for lies: a cluster with real keys, what its members send, and a rule at work on it.

Receivers check what they get as replicas do: decoded by the codec, authentic by their own ``Seal``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nemesis.lies.signer import Signer
from nemesis.packets.engine import Engine
from nemesis.packets.packet import CLIENTS, Packet, host, replica_of
from nemesis.packets.scene import Scene
from pbft_node.core.cluster import Cluster
from pbft_node.core.codec import decode, encode_batch
from pbft_node.core.fragments import Reassembly
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import Batch, Fragment, Message, Request
from pbft_node.core.seal import Seal
from pbft_node.keys import ClientRange, Directory, NodeKeys, SecretKeys

FIRST_CLIENT = 1000


class Stage:
    """One rule, of fault ``lie-1``, in a cluster of n."""

    def __init__(self, n: int = 4, liars: Sequence[int] = (0,), seed: int = 7, **parameters: object) -> None:
        self.cluster = Cluster(n=n, cluster_id=b"c" * 16, **parameters)  # type: ignore[arg-type]
        secrets = [SecretKeys(bytes([i + 1]) * 32, bytes([i + 101]) * 32) for i in range(n + 1)]
        public = [secret.public() for secret in secrets]
        clients = [ClientRange(FIRST_CLIENT, FIRST_CLIENT + 9, public[n])]
        self.directory = Directory(self.cluster.cluster_id, public[:n], clients)
        self.keys = [NodeKeys(self.directory, secret) for secret in secrets]
        self.seals = [Seal(self.cluster, i, self.keys[i]) for i in range(n)]
        signers = {liar: Signer.of(self.cluster, liar, self.keys[liar]) for liar in liars}
        self.scene = Scene(seed, self.cluster, signers)
        self.engine = Engine(self.scene)

    def client(self, client: int = 0) -> Seal:
        """Of a client."""
        return Seal(self.cluster, FIRST_CLIENT + client, self.keys[-1])

    def request(self, client: int = 0, timestamp: int = 1, operation: bytes = b"x") -> Request:
        """A client's own."""
        message, _ = decode(self.client(client).request(timestamp, operation))  # type: ignore[arg-type]
        assert isinstance(message, Request)
        return message

    def batch(self, *requests: Request, time_ns: int = 1_000_000) -> Batch:
        """Of some, or of two."""
        return Batch(requests or (self.request(0), self.request(1)), time_ns)

    def rule(self, **rule: object) -> None:
        """At work from now on."""
        self.engine.set_rules("lie-1", [rule], 0)

    # What honest processes send

    def propose(self, batch: Batch, view: int = 0, seq: int = 1) -> dict[str, list[Packet]]:
        """The primary's PRE-PREPARE to everybody: by receiver, what travels."""
        primary = view % self.cluster.n
        seal = self.seals[primary]
        data = seal.signed(MessageType.PRE_PREPARE, view, seq, batch.digest) + encode_batch(batch)
        return self.to_all(primary, data)

    def vote(
        self, replica: int, kind: MessageType, digest: bytes, view: int = 0, seq: int = 1
    ) -> dict[str, list[Packet]]:
        """A PREPARE, COMMIT or CHECKPOINT to everybody."""
        out: dict[str, list[Packet]] = {}
        for peer in range(self.cluster.n):
            if peer != replica:
                data = self.seals[replica].for_peer(peer, kind, view, seq, digest)
                out[host(peer)] = self.send(replica, host(peer), data)
        return out

    def to_all(self, replica: int, data: bytes) -> dict[str, list[Packet]]:
        """The same bytes."""
        return {
            host(peer): self.send(replica, host(peer), data)
            for peer in range(self.cluster.n)
            if peer != replica
        }

    def send(self, replica: int | str, target: str, data: bytes, now_ns: int = 0) -> list[Packet]:
        """Through the rule, in fragments where it is long; and what the rule says at once of its own."""
        source = host(replica) if isinstance(replica, int) else replica
        pieces = [data]
        if isinstance(replica, int):
            peer = replica_of(target)
            pieces = self.seals[replica].fragments(FIRST_CLIENT if peer is None else peer, data)
        out: list[Packet] = []
        for piece in pieces:
            packet = Packet(source, target, piece)
            became = self.engine.packet(packet, now_ns)
            out.extend([packet] if became is None else became)
        while (due := self.engine.due_ns()) is not None and due <= now_ns:
            out.extend(self.engine.tick(now_ns))
        return out

    # What receivers make of it

    def read(self, packets: Iterable[Packet]) -> list[Message]:
        """The messages whose frames are authentic before their receivers, in pieces or not."""
        found: list[Message] = []
        pieces: dict[str, Reassembly] = {}
        for packet in packets:
            message, frame = decode(packet.data)
            if not self.seal_of(packet).authentic(frame):
                continue
            if isinstance(message, Fragment):
                whole = pieces.setdefault(packet.target, Reassembly()).add(message)
                if isinstance(whole, bytes):
                    message, frame = decode(whole)
                    if self.seal_of(packet).authentic(frame):
                        found.append(message)
                continue
            found.append(message)
        return found

    def seal_of(self, packet: Packet) -> Seal:
        """The receiver's."""
        replica = replica_of(packet.target)
        return self.client() if packet.target == CLIENTS or replica is None else self.seals[replica]
