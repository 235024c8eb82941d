"""``trace.jsonl``: the protocol as the replica lived it, one JSON object a line (schema ``traitor/trace/1``).

Lines wait in memory until ``flush`` writes them with one call. ``rejected`` lines are what an attacker
makes us write, so they are limited: alike ones (same sender, message and reason) are written ``BURST``
times an interval, the rest is counted and written as one line with a ``count``; beyond ``MAX_KINDS`` kinds
an interval they are counted together. Lines of level ``debug`` are limited to ``MAX_DEBUG_LINES`` an
interval, the rest is counted, too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from json import JSONEncoder, encoder
from pathlib import Path

from .core.effects import Rejected
from .core.trace_events import DEBUG_KINDS
from .errors import MachineError

BURST = 5
MAX_KINDS = 64
MAX_DEBUG_LINES = 20_000
INTERVAL_NS = 1_000_000_000
MAX_REASON_CHARACTERS = 200
_EVERYTHING_ELSE = Rejected(None, "datagram", f"of more than {MAX_KINDS} kinds in one second: the rest")


def _make_encode() -> Callable[[Mapping[str, object]], str]:
    """``JSONEncoder.encode`` makes its encoder in C anew for every line, which is a third of the time."""
    whole = JSONEncoder(separators=(",", ":"), check_circular=False)
    make = getattr(encoder, "c_make_encoder", None)
    if make is None:  # not a promise of the standard library's
        return whole.encode
    chunks = make(None, whole.default, encoder.encode_basestring_ascii, None, ":", ",", False, False, True)
    return lambda line: "".join(chunks(line, 0))


_encode = _make_encode()


def encode_line(now_ns: int, kind: str, fields: Mapping[str, object]) -> str:
    """A protocol fact as a line, without the newline; the same facts give the same line."""
    return _encode({"t_ns": now_ns, "e": kind, **fields})


class TraceLines:
    """The lines of one life of a replica, wherever they go."""

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._rejected: dict[Rejected, int] = {}
        self._debug_lines = 0
        self._interval_end_ns = 0

    def add(self, now_ns: int, kind: str, fields: Mapping[str, object], line: str | None = None) -> None:
        """One protocol fact. ``line``: its ``encode_line``, where somebody made it already."""
        if kind in DEBUG_KINDS:
            self._debug_lines += 1
            if self._debug_lines > MAX_DEBUG_LINES:
                return
        self._waiting.append(encode_line(now_ns, kind, fields) if line is None else line)

    def rejected(self, now_ns: int, effect: Rejected) -> None:
        """Bytes a correct peer would not send; limited as the module says."""
        self.end_interval(now_ns)
        if effect not in self._rejected and len(self._rejected) >= MAX_KINDS:
            effect = _EVERYTHING_ELSE
        count = self._rejected.get(effect, 0) + 1
        self._rejected[effect] = count
        if count <= BURST and effect is not _EVERYTHING_ELSE:
            self._add_rejected(now_ns, effect, 1)

    def end_interval(self, now_ns: int) -> None:
        """Write the counts of an interval that is over."""
        if now_ns < self._interval_end_ns:
            return
        for effect, count in self._rejected.items():
            written = 0 if effect is _EVERYTHING_ELSE else min(count, BURST)
            if count > written:
                self._add_rejected(now_ns, effect, count - written)
        self._rejected.clear()
        dropped, self._debug_lines = self._debug_lines - MAX_DEBUG_LINES, 0
        if dropped > 0:
            self.add(now_ns, "debug-dropped", {"count": dropped})
        self._interval_end_ns = now_ns + INTERVAL_NS

    def end_life(self, now_ns: int) -> None:
        """Write the counts of the interval under way, too."""
        self._interval_end_ns = now_ns
        self.end_interval(now_ns)

    @property
    def waiting(self) -> bool:
        """There is something to ``take``."""
        return bool(self._waiting)

    def take(self) -> list[str]:
        """What was added since, oldest first, without newlines."""
        lines, self._waiting = self._waiting, []
        return lines

    def _add_rejected(self, now_ns: int, effect: Rejected, count: int) -> None:
        fields = {
            "sender": effect.sender,
            "message": effect.message,
            "reason": effect.reason[:MAX_REASON_CHARACTERS],
        }
        if count > 1:
            fields["count"] = count
        elif effect.view is not None:
            fields |= {"view": effect.view, "seq": effect.seq}
        self.add(now_ns, "rejected", fields)


class TraceFile(TraceLines):
    """An open trace. Nothing is written before ``flush``."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise MachineError(
                f"{path}: cannot open the trace: {error.strerror}. Correct 'trace' there"
            ) from None
        self.cut_bytes = _cut_torn_line(self._descriptor)
        """Length of a last line that a crash had torn."""

    def flush(self) -> None:
        """Everything added reaches the kernel, or MachineError: a trace with gaps tells a false story."""
        lines = self.take()
        if not lines:
            return
        view = memoryview(("\n".join(lines) + "\n").encode())
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise MachineError(
                f"{self._path}: cannot write the trace: {error.strerror}. Make space, or set 'trace' to null"
            ) from None

    def finish(self, now_ns: int) -> None:
        """Write everything, the counts of the interval under way included."""
        self.end_life(now_ns)
        self.flush()

    def close(self) -> None:
        """Let go of the file. What waits is lost: it tells of things that were not made durable."""
        os.close(self._descriptor)


def _cut_torn_line(descriptor: int) -> int:
    """Cut everything behind the last newline; how much that was."""
    size = end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(0, end - 65_536)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(descriptor, end)
    return size - end
