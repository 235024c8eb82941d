"""A modelled log: what ``pbft_node.wal`` keeps in a file, kept in memory, and lost in the same ways.

What waits for its sync is lost with the process; what was synced survives it; with durability ``none``
nothing does, and the next life begins as one whose log is lost. At the end of a run the file is written as
the real log would have left it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pbft_node import wal
from pbft_node.core.records import LOST_LOG
from pbft_node.errors import LostLogError, UnwritableLogError


class MemoryLog:
    """The disk of one replica; ``identity``: cluster id, replica, salt, as in the file's header."""

    def __init__(self, identity: tuple[bytes, int, int], durability: str) -> None:
        self._identity = identity
        self._volatile = durability == "none"
        self._durable: list[bytes] = []
        self._waiting: list[bytes] = []
        self._replaces_all = False
        self._opened = False
        self._harmed = False
        """The file says what is left of it."""
        self.refuses = 0
        """The errno with which everything written fails, in this life."""

    def open(self, path: Path, silent: bool = False) -> tuple[bytes, ...]:
        """For a new life: what it remembers. Raises LostLogError, unless it may come back ``silent``."""
        self._waiting = []
        self._replaces_all = False
        self.refuses = 0
        if self._harmed:
            self._read(path, silent)
        lost = self._volatile and self._opened
        self._opened = True
        return LOST_LOG if lost else tuple(self._durable)

    def _read(self, path: Path, silent: bool) -> None:
        try:
            contents = wal.parse(path.read_bytes(), path, *self._identity[:2])
        except LostLogError:
            if not silent:
                raise
            opened, _ = wal.start_over(path, self._identity, "write", LOST_LOG)
            opened.log.close()
            self._durable = list(LOST_LOG)
        else:
            self._durable = list(contents.records)
        self._harmed = False

    def keep(self, count: int) -> None:
        """Of what is durable only so many records, the first ones: a kill tore the last write."""
        del self._durable[count:]

    def begin_as(self, other: MemoryLog) -> None:
        """With what is durable there."""
        self._durable = list(other._durable)

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
        if self.refuses and self._waiting:
            raise UnwritableLogError(f"cannot use the log: {os.strerror(self.refuses)}")
        if self._replaces_all:
            self._replaces_all = False
            self._durable = []
        self._durable += self._waiting
        self._waiting = []

    def write(self, path: Path, *, harmed: bool = False) -> None:
        """The file, in the place of the one that was there. ``harmed``: somebody will harm it, and the next
        life reads it. One that nobody read since is left as it is."""
        if self._harmed:
            return
        self._harmed = harmed
        self.copy(path)

    def copy(self, path: Path) -> None:
        """What is durable, in a file like the real one."""
        path.write_bytes(wal.image(*self._identity, self._durable, volatile=self._volatile and self._opened))

    def adopt(self) -> None:
        """The next life reads the file."""
        self._harmed = True
