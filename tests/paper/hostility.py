"""What a hostile network and one compromised replica can send: real traffic, and ways to spoil it.

The liar is replica 3 (and client 1666): everything may be sealed with its keys, nothing with anybody else's.
"""

from __future__ import annotations

import functools
import random
import struct

from hypothesis import strategies as st
from memory_cluster import MemoryCluster, Network, SimulatedKeys

from pbft_node.core.codec import encode_frames
from pbft_node.core.frames import HEADER, HEADER_BYTES, MessageType, parse_frame
from pbft_node.core.seal import Seal

LIAR = 3
LYING_CLIENT = 1666
NUMBERS = (0, 1, 2, 3, 4, 5, 8, 9, 12, 13, 16, 2**31, 2**62, 2**62 + 1, 2**64 - 1)


@functools.cache
def corpus() -> tuple[bytes, ...]:
    """Datagrams of every kind from another cluster's life: view changes, state transfer, restarts.

    Not of this one: its correct replicas would have signed two histories, and no protocol survives that.
    """
    cluster = MemoryCluster(5, Network(loss=0.05), cluster_id=b"another cluster!")
    for number in range(10):
        cluster.call(0, b"put", b"k%d" % number, b"v" * 10)
    cluster.crash(0)
    for number in range(25):
        cluster.call(1, b"put", b"k%d" % number, b"%d" % number * 9_000)
    cluster.lose_log(0)
    cluster.start(0)
    cluster.run(2_000)
    cluster.crash(1)
    for number in range(6):
        cluster.call(number % 2, b"cas", b"k1", b"a", b"b")
    kinds: dict[tuple[int, int], bytes] = {}
    for source, send in cluster.sent:
        kinds[send.data[5], source] = send.data
        kinds.setdefault((send.data[5] + 100, source), send.data)
    found = {MessageType(data[5]) for data in kinds.values()}
    rare = {MessageType.FETCH_BATCH, MessageType.BATCH, MessageType.FRAGMENT, MessageType.DECIDED}
    assert found >= set(MessageType) - rare, found
    return tuple(kinds.values())


def seal(cluster: MemoryCluster, owner: int) -> Seal:
    return Seal(cluster.cluster, owner, SimulatedKeys(owner))


def resealed(cluster: MemoryCluster, data: bytes, to: int, changes: dict[str, int], cut: int | None) -> bytes:
    """The frame with some header fields and the end of its body changed, as the liar itself would send it."""
    frame, end = parse_frame(data)
    type_ = MessageType(changes.get("type", frame.type))
    owner = LYING_CLIENT if type_ is MessageType.REQUEST else LIAR
    view, seq = changes.get("view", frame.view), changes.get("seq", frame.seq)
    body = frame.body if cut is None else frame.body[:cut]
    return seal(cluster, owner).for_peer(to, type_, view, seq, body) + data[end:]


def traffic(cluster: MemoryCluster) -> tuple[bytes, ...]:
    """What was really sent lately, here, and a little of every kind from elsewhere."""
    return (*(send.data for _, send in cluster.sent[-300:]), *corpus())


def compound(cluster: MemoryCluster, stream: random.Random, to: int) -> bytes:
    """A message of the liar whose parts are pieces of real ones: certificates, batches, proofs, orders."""
    frames = [parse_frame(data)[0] for data in traffic(cluster)]
    by_type = {t: [f.raw for f in frames if f.type is t] for t in MessageType}
    pick = lambda t, n: [stream.choice(by_type[t]) for _ in range(n)]  # noqa: E731
    count = stream.randint(0, 4)
    votes = encode_frames(pick(MessageType.PREPARE, count))
    certificate = pick(MessageType.PRE_PREPARE, 1)[0] + votes
    proof = encode_frames(pick(MessageType.CHECKPOINT, stream.choice((0, 3, 3, 4))))
    address = struct.pack(">BBIH", stream.randint(0, 5), count % 3, count, stream.choice((0, 0, 3)))
    bodies = {
        MessageType.VIEW_CHANGE: proof + struct.pack(">H", count) + certificate * count,
        MessageType.NEW_VIEW: encode_frames(pick(MessageType.VIEW_CHANGE, 3))
        + encode_frames(pick(MessageType.PRE_PREPARE, count)),
        MessageType.STATE_META: proof + (struct.pack(">I", 1 + count) + b"d" * 32) * 2,
        MessageType.STATE_PARTS: (address + struct.pack(">I", 32) + b"d" * 32) * count,
        MessageType.FETCH_PARTS: address * (count * 20),
        MessageType.BATCH: encode_frames(pick(MessageType.REQUEST, count)),
    }
    type_ = stream.choice(sorted(bodies))
    view, seq = stream.choice(NUMBERS), stream.choice(NUMBERS)
    seq = 0 if type_ is MessageType.NEW_VIEW else seq
    return seal(cluster, LIAR).for_peer(to, type_, view, seq, bodies[type_])


def spoiled(stream: random.Random, data: bytes) -> bytes:
    """Bits flipped, ends cut, middles exchanged, headers rewritten; not sealed again."""
    kind = stream.randrange(6)
    if kind == 0:
        position = stream.randrange(len(data))
        return data[:position] + bytes([data[position] ^ 1 << stream.randrange(8)]) + data[position + 1 :]
    if kind == 1:
        return data[: stream.randrange(len(data))]
    if kind == 2:
        return data + stream.randbytes(stream.randint(1, 100))
    if kind == 3:
        other = stream.choice(corpus())
        return data[: stream.randrange(len(data))] + other[stream.randrange(len(other)) :]
    if kind == 4:
        fields = list(HEADER.unpack_from(data))
        index = stream.randrange(1, len(fields))
        fields[index] = stream.choice(NUMBERS) % (1 << (8, 8, 8, 8, 8, 32, 64, 64, 32)[index])
        return HEADER.pack(*fields) + data[HEADER_BYTES:]
    return stream.randbytes(stream.randint(0, 300))


def hostile(cluster: MemoryCluster, stream: random.Random, to: int) -> bytes:
    """One datagram nobody correct would send to ``to``, now."""
    kind = stream.randrange(10)
    data = stream.choice(traffic(cluster))
    if kind < 3:
        return spoiled(stream, data)
    if kind < 4:
        return data  # from another time, for another replica, of another cluster: a replay
    if kind < 6:
        return compound(cluster, stream, to)
    changes = {name: stream.choice(NUMBERS) for name in ("view", "seq") if stream.random() < 0.6}
    if stream.random() < 0.3:
        changes["type"] = stream.choice(list(MessageType))
    cut = stream.randrange(len(data)) if stream.random() < 0.3 else None
    changes = {name: value % 2**64 for name, value in changes.items()}
    return resealed(cluster, data, to, changes, cut)


def datagrams() -> st.SearchStrategy[list[tuple[str, int, bytes]]]:
    """Plans for hostile datagrams: (kind, choice, bytes); hypothesis shrinks their number and their size."""
    arbitrary = st.tuples(st.just("bytes"), st.just(0), st.binary(max_size=200))
    seeded = st.tuples(st.just("seeded"), st.integers(0, 2**32 - 1), st.just(b""))
    return st.lists(st.one_of(arbitrary, seeded, seeded, seeded), min_size=1, max_size=40)
