"""Reassembly of messages larger than a datagram.

Fragments are MAC'd by their sender, so a liar can only waste the places of its own: at most
ASSEMBLIES_PER_SENDER messages and MAX_PIECES_PER_SENDER pieces under way per sender, the oldest message given
up first. Lost fragments are not asked for: whoever needs the message asks for it again by STATUS.
"""

from __future__ import annotations

from .digests import digest_of
from .frames import MAX_MESSAGE_BYTES
from .messages import Fragment
from .seal import FRAGMENT_DATA_BYTES

ASSEMBLIES_PER_SENDER = 4
MAX_FRAGMENTS = -(-MAX_MESSAGE_BYTES // FRAGMENT_DATA_BYTES)
MAX_PIECES_PER_SENDER = MAX_FRAGMENTS + 16
"""The largest message, and something small beside it."""


class Reassembly:
    """Pieces held for messages under way."""

    def __init__(self) -> None:
        self._pieces: dict[int, dict[tuple[bytes, int], dict[int, bytes]]] = {}

    def add(self, fragment: Fragment) -> bytes | str | None:
        """The whole message when this piece completes it, a reason when the piece is no good, else None."""
        if fragment.count > MAX_FRAGMENTS or len(fragment.data) > FRAGMENT_DATA_BYTES:
            return f"fragment {fragment.index} of {fragment.count} with {len(fragment.data)} bytes: too large"
        assemblies = self._pieces.setdefault(fragment.sender, {})
        key = (fragment.digest, fragment.count)
        if key not in assemblies and len(assemblies) >= ASSEMBLIES_PER_SENDER:
            del assemblies[next(iter(assemblies))]
        pieces = assemblies.setdefault(key, {})
        pieces.setdefault(fragment.index, fragment.data)
        while sum(map(len, assemblies.values())) > MAX_PIECES_PER_SENDER:
            del assemblies[next(other for other in assemblies if other != key)]
        if len(pieces) < fragment.count:
            return None
        del assemblies[key]
        whole = b"".join(pieces[index] for index in range(fragment.count))
        if digest_of(b"message", whole) != fragment.digest:
            return "fragments whose digest is not that of the whole"
        return whole
