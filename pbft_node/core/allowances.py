"""How much dear work each peer gets from this replica in a time: a bucket of tokens per peer.

A bucket fills steadily up to its brim, and what is asked for is taken out or not done. Only authentic
messages take from it, so nobody empties another's. What was not done is asked for again (5.2: everything is
retransmitted on STATUS), so an honest peer waits a moment and a liar pays with its own time.
"""

from __future__ import annotations

from .types import ReplicaId

_SECOND_NS = 1_000_000_000


class Allowance:
    """Tokens: ``brim`` at once, ``per_second`` in the long run, for each peer."""

    def __init__(self, brim: int, per_second: int) -> None:
        assert brim > 0, f"brim = {brim}"
        assert per_second > 0, f"per_second = {per_second}"
        self._brim = brim * _SECOND_NS
        self._per_second = per_second
        self._buckets: dict[ReplicaId, tuple[int, int]] = {}
        """Contents in tokens times a second's nanoseconds, and when that was true."""

    def take(self, peer: ReplicaId, tokens: int, now_ns: int) -> bool:
        """So many, if the bucket holds them; a full one gives whatever is asked for, and owes it then."""
        content, then_ns = self._buckets.get(peer, (self._brim, now_ns))
        content = min(self._brim, content + max(0, now_ns - then_ns) * self._per_second)
        allowed = content >= min(tokens * _SECOND_NS, self._brim)
        if allowed:
            content -= tokens * _SECOND_NS
        self._buckets[peer] = (content, now_ns)
        return allowed
