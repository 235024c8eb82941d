"""Whatever bytes cross the wire, no rule of any fault raises: in a live run that would void the run."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from nemesis.faults import KINDS
from nemesis.faults.tampering import TampersWithPackets
from nemesis.lies.signer import Signer
from nemesis.packets.engine import Engine
from nemesis.packets.packet import Packet
from nemesis.packets.scene import Scene
from pbft_node.core.cluster import Cluster
from pbft_node.core.frames import HEADER, MACED, MAGIC, SIGNED, VERSION, MessageType
from pbft_node.genesis import ClientBlock, make_genesis

HOSTS = ("r0", "r1", "r2", "r3", "clients")
ROUNDS = 15
GENESIS = make_genesis(
    Cluster(n=4, service="kv", cluster_id=bytes(16)),
    1,
    [("10.77.0.1", 7000 + i) for i in range(4)],
    [ClientBlock(1000, 1009, "10.77.1.1", 7100)],
)
PACKET_FAULTS = [name for name, kind in KINDS.items() if isinstance(kind, TampersWithPackets)]


def number(stream: random.Random, bits: int) -> int:
    """Small, or anything."""
    return stream.choice((stream.randrange(8), stream.getrandbits(bits), 2**bits - 1))


def hostile(stream: random.Random, source: str) -> bytes:
    """A frame that is right in what a random part of checks looks at."""
    body = stream.randbytes(stream.choice((0, 1, 8, 31, 32, 40, 100, 1200)))
    sender = int(source[1:]) if source != "clients" and stream.random() < 0.8 else number(stream, 32)
    length = len(body) if stream.random() < 0.8 else number(stream, 32)
    kind = stream.choice((*MessageType, 0, 255))
    seal = stream.choice((SIGNED, MACED, 3, 0))
    header = (MAGIC, VERSION, kind, seal, stream.choice((0, 0, 0, 1, 255)), sender)
    data = HEADER.pack(*header, number(stream, 64), number(stream, 64), length)
    data += body + stream.randbytes(stream.choice((0, 16, 64)))
    if stream.random() < 0.2:
        data = data[: stream.randrange(len(data))]
    if stream.random() < 0.2 and data:
        at = stream.randrange(len(data))
        data = data[:at] + bytes([data[at] ^ 1 << stream.randrange(8)]) + data[at + 1 :]
    return data


def own(stream: random.Random, signers: dict[int, Signer]) -> Iterator[Packet]:
    """Well sealed by a liar's own process, and still nonsense inside."""
    for liar, signer in signers.items():
        for kind in MessageType:
            body = stream.randbytes(stream.choice((0, 32, 40, 1200)))
            data = signer.seal.signed(kind, number(stream, 16), number(stream, 16), body)
            yield Packet(f"r{liar}", stream.choice([host for host in HOSTS if host != f"r{liar}"]), data)


@pytest.mark.parametrize("name", PACKET_FAULTS)
def test_any_bytes_are_survived(name: str) -> None:
    kind = KINDS[name]
    assert isinstance(kind, TampersWithPackets)
    params = kind.example
    liars = kind.victims(params, 4, 1).byzantine
    signers = {liar: Signer.of(GENESIS.cluster, liar, GENESIS.replica_keyring(liar)) for liar in liars}
    engine = Engine(Scene(1, GENESIS.cluster, signers))
    engine.set_rules("fault-1", kind.rules(params, 4, 1), 0)
    stream = random.Random(7)
    now_ns = 0
    for _ in range(ROUNDS):
        packets = list(own(stream, signers))
        for _ in range(40):
            source, target = stream.sample(HOSTS, 2)
            packets.append(Packet(source, target, hostile(stream, source)))
        packets += [Packet("r0", "r1", data) for data in (b"", b"PBFT", bytes(31), bytes(65_507))]
        for packet in packets:
            now_ns += stream.randrange(20_000_000)
            engine.packet(packet, now_ns)
            due_ns = engine.due_ns()
            if due_ns is not None and due_ns <= now_ns:
                engine.tick(now_ns)
            event = {"e": stream.choice(("view-change", "committed", 7, None)), "view": packet.data[:4].hex()}
            engine.heard(stream.randrange(4), event, now_ns)
    assert engine.report("fault-1")["in_force"]
