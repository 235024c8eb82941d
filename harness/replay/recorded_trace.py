"""Is the replayed trace the recorded one? Line by line, while the replay goes on.

Lines of a turn reach the file after its events reached the journal, so of the last turn of a life that was
killed the file may hold all lines, some or none; of a turn that another one followed it holds all. What was
not carried out was never sent either, and is not judged: it does not get into the replayed trace.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

LONGEST_LINE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Difference:
    """The first line that is another one."""

    line: int
    """Of the recorded file, from 1."""
    events: tuple[int, int]
    """First and last event of the turn."""
    recorded: str | None
    """None: the file has ended."""
    replayed: str | None
    """None: the replay has no more lines."""


class RecordedTrace:
    """A file of hostile bytes, one line at a time. A file that cannot be read is an empty one."""

    def __init__(self, path: Path) -> None:
        self.number = 1
        """Of ``line``."""
        self.whole = True
        """The line ends in a newline."""
        self._file = _open(path)
        self.readable = self._file is not None
        self.line: bytes | None = None
        self._read()

    def advance(self) -> None:
        """To the next line."""
        self.number += 1
        self._read()

    def copy_rest(self, out: BinaryIO) -> None:
        """Everything from the current line on."""
        while self.line is not None:
            out.write(self.line + (b"\n" if self.whole else b""))
            self.advance()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _read(self) -> None:
        data = b"" if self._file is None else self._file.readline(LONGEST_LINE_BYTES)
        self.whole = data.endswith(b"\n")
        self.line = data.removesuffix(b"\n") if data else None


class Comparison:
    """Takes the turns of a replay in order, and writes the trace that is to be judged to ``out``."""

    def __init__(self, recorded: RecordedTrace, out: BinaryIO) -> None:
        self._recorded = recorded
        self._out = out
        self._waiting: tuple[Sequence[bytes], tuple[int, int]] | None = None
        self.compared = 0
        """Lines found equal."""
        self.difference: Difference | None = None
        self.left_out = 0
        """Lines of turns that were not carried out."""

    def turn(self, lines: Sequence[bytes], events: tuple[int, int]) -> None:
        """The next turn's lines. So the one before it was carried out whole."""
        self._carried_out()
        self._waiting = (lines, events)

    def end_life(self) -> None:
        """Whether the last turn was carried out, the file says."""
        if self._waiting is None:
            return
        (lines, _), self._waiting = self._waiting, None
        for position, line in enumerate(lines):
            if self.difference is not None or self._recorded.line != line or not self._recorded.whole:
                self.left_out += len(lines) - position
                break
            self._equal(line)

    def end(self) -> None:
        """There is no life more: nor may the file have another line, but for a torn one. Such lines are
        judged all the same: what a journal that was cut short does not show, was done nevertheless."""
        line = self._recorded.line
        if self.difference is None and line is not None and self._recorded.whole:
            self.difference = Difference(self._recorded.number, (0, 0), _shown(line), None)
            self._recorded.copy_rest(self._out)

    def take_rest(self) -> None:
        """The journal ended before the file: the rest is as recorded."""
        if self.difference is None:
            self._recorded.copy_rest(self._out)

    def _carried_out(self) -> None:
        if self._waiting is None:
            return
        (lines, events), self._waiting = self._waiting, None
        for line in lines:
            if self.difference is not None:
                self._out.write(line + b"\n")
            elif self._recorded.line == line and self._recorded.whole:
                self._equal(line)
            else:
                self.difference = Difference(
                    self._recorded.number, events, _shown(self._recorded.line), _shown(line)
                )
                self._out.write(line + b"\n")

    def _equal(self, line: bytes) -> None:
        self._out.write(line + b"\n")
        self.compared += 1
        self._recorded.advance()


def _shown(line: bytes | None) -> str | None:
    return None if line is None else line[:400].decode("utf-8", "replace")


def _open(path: Path) -> BinaryIO | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return os.fdopen(descriptor, "rb", buffering=1 << 20)
