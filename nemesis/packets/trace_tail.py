"""Follows a replica's ``trace.jsonl`` while it is written, line by line.

A replica writes the lines of a turn before anything of that turn leaves, so whoever reads the tail when a
packet comes knows what led to it. A torn last line waits for its end, or until its replica, which was killed
in the midst of it, cuts it off when it starts again; what is no JSON object is skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

_READ_BYTES = 1 << 20
_LONGEST_LINE_BYTES = 16 << 20


class TraceTail:
    """Of one file, which need not be there yet. Forget it with ``close``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._torn = b""

    def skip(self) -> None:
        """What is there already is of no interest."""
        for _ in self.lines():
            pass

    def lines(self) -> Iterator[Mapping[str, object]]:
        """What was written since."""
        while chunk := self._read():
            *whole, self._torn = (self._torn + chunk).split(b"\n")
            if len(self._torn) > _LONGEST_LINE_BYTES:
                self._torn = b""
            for line in whole:
                event = _event(line)
                if event is not None:
                    yield event

    def close(self) -> None:
        """Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self) -> bytes:
        if self._descriptor < 0:
            try:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return b""
        chunk = os.read(self._descriptor, _READ_BYTES)
        if not chunk and self._torn:
            size = os.fstat(self._descriptor).st_size
            if size < os.lseek(self._descriptor, 0, os.SEEK_CUR):
                os.lseek(self._descriptor, size, os.SEEK_SET)
                self._torn = b""
        return chunk


def _event(line: bytes) -> Mapping[str, object] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
