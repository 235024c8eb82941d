"""The fate of every datagram of a virtual network, decided by the seed.

``Network.fate`` is a pure function of (seed, link, how manieth datagram of that link): no generator is
shared, so one datagram more on a link, another fault or another replica changes the fate of nothing
elsewhere. A keyed hash gives eight 32-bit words for each datagram, and each word has one purpose: raising
the loss does not change the delay of what still arrives.
"""

from __future__ import annotations

import hashlib
import struct

from harness.virtual.latency import WORD_BITS, share_of
from harness.virtual.settings import CLIENTS, Virtual, host_name

_WORDS = struct.Struct("<8I").unpack
"""Loss, duplication; then for each of two copies: latency, is it held back, and for how long."""
_LATE = struct.Struct("<8xI20x").unpack
"""The third of them."""
_WORDS_BYTES = 32
_COUNT = struct.Struct(">Q").pack
_SECOND_NS = 1_000_000_000


class Network:
    """The links between ``n`` replicas and the clients."""

    def __init__(self, seed: int, virtual: Virtual, n: int) -> None:
        self._loss = share_of(virtual.loss)
        self._duplication = share_of(virtual.duplication)
        self._reordering = share_of(virtual.reordering)
        self._reorder_by_ns = virtual.reorder_by_ns
        self._bandwidth = virtual.bandwidth
        hosts = (CLIENTS, *range(n))
        self._links = {
            (source, target): (_hashing(seed, source, target), virtual.latency.on(source, target).draw_ns)
            for source in hosts
            for target in hosts
        }
        self._only_late = not (self._loss or self._duplication or self._reordering or self._bandwidth)
        """Then the other words decide nothing, and need not be looked at."""
        self._exceptions = {
            (each.source, each.target, each.nth): each.delays_ns for each in virtual.deliveries
        }

    def fate(self, source: int, target: int, nth: int, size: int) -> tuple[int, ...]:
        """How long each copy of that datagram is under way, in ns; () is lost. Hosts are replicas, or
        CLIENTS; ``nth`` counts all datagrams of the directed link from 0, ``size`` is in bytes."""
        if self._exceptions:
            decided = self._exceptions.get((source, target, nth))
            if decided is not None:
                return decided
        prefix, draw_ns = self._links[source, target]
        hashing = prefix.copy()
        hashing.update(_COUNT(nth))
        if self._only_late:
            return (draw_ns(*_LATE(hashing.digest())),)
        lost, twice, late, held, held_for, late_2, held_2, held_for_2 = _WORDS(hashing.digest())
        if lost < self._loss:
            return ()
        on_wire_ns = size * _SECOND_NS // self._bandwidth if self._bandwidth else 0
        first_ns = draw_ns(late) + on_wire_ns
        if held < self._reordering:
            first_ns += 1 + (self._reorder_by_ns * held_for >> WORD_BITS)
        if twice >= self._duplication:
            return (first_ns,)
        second_ns = draw_ns(late_2) + on_wire_ns
        if held_2 < self._reordering:
            second_ns += 1 + (self._reorder_by_ns * held_for_2 >> WORD_BITS)
        return (first_ns, second_ns)


def _hashing(seed: int, source: int, target: int) -> hashlib.blake2b:
    """Of all that stands before the number of the datagram."""
    prefix = f"traitor network/{seed}/{host_name(source)}/{host_name(target)}/"
    return hashlib.blake2b(prefix.encode(), digest_size=_WORDS_BYTES)
