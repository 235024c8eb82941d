"""Signatures verified from scratch, each once, and only so many."""

from __future__ import annotations

from hashlib import blake2b

from checker.public_keys import Signatures
from checker.wire import SIGNED, Frame

_SHORT_BYTES = 256


class Exhausted(Exception):
    """More signatures than allowed. Never a bad signature: nobody is accused for what was not looked at."""


class Verified:
    """Which frames their senders signed."""

    def __init__(self, signatures: Signatures, most: int) -> None:
        self._signatures = signatures
        self._most = most
        self._known: dict[bytes, bool] = {}

    def good(self, frame: Frame) -> bool:
        """Its sender signed it. Raises Exhausted."""
        if frame.auth != SIGNED:
            return False
        raw = frame.raw
        key = raw if len(raw) <= _SHORT_BYTES else blake2b(raw, digest_size=32).digest()
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= self._most:
                raise Exhausted
            known = self._known[key] = self._signatures.good(frame)
        return known

    @property
    def asked(self) -> int:
        """How many different frames were looked at."""
        return len(self._known)
