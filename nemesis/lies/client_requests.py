"""What a client that lies sends: requests, and bytes that want to be requests.

Every way to lie is a function of the signer, the number of the round, and a place for chance; it gives
(replica, bytes) in order. The operations write keys that no honest client knows, so histories stay judgeable.
Timestamps of a client grow with the rounds, where the lie is not about them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from nemesis.lies.client_signer import ClientSigner
from nemesis.packets.chance import Chance
from pbft_node.core.authentication import MAC_BYTES, SIGNATURE_BYTES
from pbft_node.core.cluster import Cluster
from pbft_node.core.frames import COUNT, HEADER, MessageType
from pbft_node.core.operations import MAX_OPERATION_BYTES, encode_fields
from pbft_node.core.seal import AUTH_OFFSET
from pbft_node.core.types import MAX_TIMESTAMP, Timestamp

_TYPE_OFFSET, _FLAGS_OFFSET, _LENGTH_OFFSET = 5, 7, 28
_DATAGRAM_BYTES = 60_000
_GAPS = (1, 3, 10**6, 10**12, 2**62, MAX_TIMESTAMP)
_FALLING = (50, 40, 40, 30, 1)
_END = (1, MAX_TIMESTAMP, 1, MAX_TIMESTAMP - 1, 2, MAX_TIMESTAMP)


class Round(NamedTuple):
    """What a lie is made from."""

    number: int
    clients: int
    """So many ids are in use."""
    primary: int
    signer: ClientSigner
    chance: Chance


Sends = Iterator[tuple[int, bytes]]


def operation(cluster: Cluster, client: int, what: int) -> bytes:
    """A write to a key of this client's own, in the words of the service; different for each ``what``."""
    key, value = b"liar %d" % client, b"%d" % what
    words = {
        "kv": (b"put", key, value),
        "append": (b"append", key, value),
        "counter": (b"add", key, b"1"),
        "set": (b"add", key, b"%d" % (what % 50)),
        "queue": (b"enqueue", key, value),
        "bank": (b"transfer", key, b"0", b"%d" % (1 + what % 7), b"1"),
        "files": (b"mkdir", b"1", key + b" " + value, b"755"),
    }
    return encode_fields(*words.get(cluster.service, (b"liar", key, value)))


def equivocates(now: Round) -> Sends:
    """R1: one client and timestamp, another operation for each replica."""
    seal, cluster = now.signer.seal(_who(now)), now.signer.cluster
    for replica in range(cluster.n):
        what = operation(cluster, now.signer.client(_who(now)), now.number * cluster.n + replica)
        yield replica, seal.request(_timestamp(now), what)


def one_backup(now: Round) -> Sends:
    """R2: to one backup, and never to the primary."""
    n = now.signer.cluster.n
    yield (now.primary + 1 + now.number % (n - 1)) % n, _good(now, _who(now))


def half_authenticated(now: Round) -> Sends:
    """R3: good for the primary only, or for everybody else only; alternately."""
    raw, n = _good(now, _who(now)), now.signer.cluster.n
    some = {now.primary} if now.number // now.clients % 2 == 0 else set(range(n)) - {now.primary}
    for replica in range(n):
        yield replica, _good_for(raw, some, n, replica)


def bad_signatures(now: Round) -> Sends:
    """R4: nobody's signatures, many of them."""
    for copy in range(16):
        raw = bytearray(_good(now, _who(now) + copy))
        word = now.chance.word("signature", f"{now.number}/{copy}").to_bytes(8, "big")
        raw[-len(word) :] = bytes(a ^ b ^ 1 for a, b in zip(raw[-len(word) :], word, strict=True))
        if now.signer.cluster.client_auth == "mac":
            raw = bytearray(_good_for(bytes(raw), set(), now.signer.cluster.n, 0))
        yield copy % now.signer.cluster.n, bytes(raw)


def timestamps(now: Round) -> Sends:
    """R5: up to the last there is, then small ones; falling; with gaps."""
    step, row = divmod(now.number, 3)
    values = (_GAPS, _FALLING, _END)[row]
    client = 3 * (step // len(values)) + row
    timestamp = Timestamp(values[step % len(values)])
    what = operation(now.signer.cluster, now.signer.client(client), step)
    raw = now.signer.seal(client).request(timestamp, what)
    for replica in range(now.signer.cluster.n):
        yield replica, raw


def garbage(now: Round) -> Sends:
    """R9: too long, cut short, of another type, with flags and lengths that say what is not so."""
    seal, n = now.signer.seal(_who(now)), now.signer.cluster.n
    good = _good(now, _who(now))
    timestamp = _timestamp(now)
    kinds = [int(kind) for kind in MessageType] + [0, 20, 255]
    made = (
        seal.request(timestamp, bytes(MAX_OPERATION_BYTES + 1)),
        seal.request(timestamp, bytes(_DATAGRAM_BYTES - 256)),
        good[: now.chance.below(len(good), "cut", str(now.number))],
        _with(good, _TYPE_OFFSET, bytes([kinds[now.number % len(kinds)]])),
        seal.signed(MessageType(1 + now.number % len(MessageType)), 0, timestamp, good),
        _with(good, _FLAGS_OFFSET, b"\xff"),
        _with(good, AUTH_OFFSET, bytes([now.number % 5])),
        _with(good, _LENGTH_OFFSET, b"\xff\xff\xff\xff"),
        good[: HEADER.size],
        good + bytes(200),
        b"",
    )
    for replica in range(n):
        yield replica, made[(now.number + replica) % len(made)]


def crowd(now: Round) -> Sends:
    """R10: all its clients at once, f+1 copies of everything to everybody."""
    cluster = now.signer.cluster
    for client in range(now.clients):
        what = operation(cluster, now.signer.client(client), now.number)
        raw = now.signer.seal(client).request(Timestamp(now.number + 1), what)
        for replica in range(cluster.n):
            for _ in range(cluster.f + 1):
                yield replica, raw


HOW: Mapping[str, Callable[[Round], Sends]] = MappingProxyType(
    {
        "equivocates": equivocates,
        "one-backup": one_backup,
        "half-authenticated": half_authenticated,
        "bad-signatures": bad_signatures,
        "timestamps": timestamps,
        "garbage": garbage,
        "crowd": crowd,
    }
)


def _who(now: Round) -> int:
    return now.number % now.clients


def _timestamp(now: Round) -> Timestamp:
    return Timestamp(1 + now.number // now.clients)


def _good(now: Round, number: int) -> bytes:
    """A request nothing is wrong with."""
    what = operation(now.signer.cluster, now.signer.client(number), now.number)
    return now.signer.seal(number).request(_timestamp(now), what)


def _good_for(raw: bytes, some: set[int], n: int, target: int) -> bytes:
    """A request that only these find authentic. A signature is the same for all, so there it is made wrong
    for the target or not."""
    changed = bytearray(raw)
    if raw[AUTH_OFFSET] == 1:
        assert len(raw) > SIGNATURE_BYTES
        changed[-1] ^= target not in some
        return bytes(changed)
    macs = len(raw) - n * MAC_BYTES
    assert macs > COUNT.size
    for replica in set(range(n)) - some:
        changed[macs + replica * MAC_BYTES] ^= 1
    return bytes(changed)


def _with(data: bytes, offset: int, part: bytes) -> bytes:
    return data[:offset] + part + data[offset + len(part) :]
