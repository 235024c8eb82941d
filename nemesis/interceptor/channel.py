"""JSON objects, one a line, over a stream socket that never blocks its reader.

Both ends are ours, so what is no such line is a bug and raises ValueError. A line, and what waits to be
sent, has a bound.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping

LONGEST_LINE_BYTES = 64 << 20
MOST_WAITING_BYTES = 64 << 20
_READ_BYTES = 1 << 18
_READS_AT_ONCE = 64


class Channel:
    """One end."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._came = b""
        self._waiting = bytearray()
        self.over = False
        """The other end is closed."""

    def fileno(self) -> int:
        """Readable when something came."""
        return self._end.fileno()

    def close(self) -> None:
        """Idempotent."""
        self._end.close()
        self.over = True

    @property
    def full(self) -> bool:
        """Something waits to be sent: wait until it is writable, and ``flush``."""
        return bool(self._waiting)

    def send(self, message: Mapping[str, object]) -> None:
        """Now, or when ``flush`` can. Raises ValueError when too much waits. To a closed end: nothing."""
        self._waiting += json.dumps(message, separators=(",", ":")).encode() + b"\n"
        if len(self._waiting) > MOST_WAITING_BYTES:
            raise ValueError(f"{len(self._waiting)} bytes wait to be read by the other end")
        self.flush()

    def flush(self) -> None:
        """As much as goes."""
        try:
            while self._waiting and not self.over:
                del self._waiting[: self._end.send(self._waiting)]
        except BlockingIOError:
            pass
        except OSError:  # it is closed, which reading will show
            self._waiting.clear()

    def receive(self) -> list[Mapping[str, object]]:
        """What came whole."""
        found: list[Mapping[str, object]] = []
        for _ in range(_READS_AT_ONCE):
            try:
                chunk = self._end.recv(_READ_BYTES)
            except BlockingIOError:
                break
            except OSError:
                chunk = b""
            if not chunk:
                self.over = True
                break
            *whole, self._came = (self._came + chunk).split(b"\n")
            if len(self._came) > LONGEST_LINE_BYTES:
                raise ValueError(f"a line of more than {LONGEST_LINE_BYTES} bytes")
            for line in whole:
                message = json.loads(line)
                if not isinstance(message, dict):
                    raise ValueError(f"no object: {line[:80]!r}")
                found.append(message)
        return found
