"""A modelled log: what ``pbft_node.wal`` keeps in a file, kept in memory, and lost in the same ways.

What waits for its sync is lost with the process; what was synced survives it; with durability ``none``
nothing does, and the next life begins as one whose log is lost. At the end of a run the file is written as
the real log would have left it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pbft_node import wal
from pbft_node.core.records import LOST_LOG


class MemoryLog:
    """The disk of one replica; ``identity``: cluster id, replica, salt, as in the file's header."""

    def __init__(self, identity: tuple[bytes, int, int], durability: str) -> None:
        self._identity = identity
        self._volatile = durability == "none"
        self._durable: list[bytes] = []
        self._waiting: list[bytes] = []
        self._replaces_all = False
        self._opened = False

    def open(self) -> tuple[bytes, ...]:
        """For a new life: what it remembers."""
        self._waiting = []
        self._replaces_all = False
        lost = self._volatile and self._opened
        self._opened = True
        return LOST_LOG if lost else tuple(self._durable)

    def keep(self, count: int) -> None:
        """Of what is durable only so many records, the first ones: a kill tore the last write."""
        del self._durable[count:]

    def append(self, record: bytes) -> None:
        """See ``wal.Log``."""
        if not self._volatile:
            self._waiting.append(record)

    def compact(self, records: Sequence[bytes]) -> None:
        """See ``wal.Log``."""
        if not self._volatile:
            self._waiting = list(records)
            self._replaces_all = True

    def sync(self) -> None:
        """See ``wal.Log``."""
        if self._replaces_all:
            self._replaces_all = False
            self._durable = []
        self._durable += self._waiting
        self._waiting = []

    def write(self, path: Path) -> None:
        """The file, in the place of the one that was there."""
        path.write_bytes(wal.image(*self._identity, self._durable, volatile=self._volatile and self._opened))
