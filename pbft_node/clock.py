"""A replica's own clock, where it is not the true one: late, early, fast, slow, standing still, jumping.

Drivers tell time by the machine's ``CLOCK_MONOTONIC`` (the true clock, which all traces share). What the core
is told, and its timers run by, is that clock unless a ``ClockMoved`` says otherwise. Who moves it is outside:
a test, or a nemesis, through a file that config ``"clock"`` names (``ClockFile``), or through a harness that
tells the time anyway. The monotonic clock of a life never goes back, whatever is asked: it goes on from where
it was, so every timer keeps what was left of its time. The wall clock goes wherever it is told.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import NamedTuple

from .core.events import ClockMoved
from .errors import ConfigError, MachineError

PER_BILLION = 1_000_000_000
"""The rate of a right clock."""
MAX_RATE = 100 * PER_BILLION
MAX_MOVE_NS = 10 * 365 * 86_400 * 1_000_000_000
LOOK_SECONDS = 0.05
"""A driver with a clock file looks at it at least so often, also when its own clock stands still."""
_CONTENT = struct.Struct("<qqqqqq")
_TRIES = 16


class Setting(NamedTuple):
    """What is asked of a clock, from ``anchor_ns`` of the true clock on."""

    serial: int
    """Counts what was asked of this clock. 0: nothing yet."""
    anchor_ns: int
    jump_ns: int
    """Once: how far the monotonic clock jumps when this is noticed. A life that finds it does not jump."""
    wall_ns: int
    """How far the wall clock is ahead of the true one at the anchor."""
    rate: int
    """Of both clocks, in billionths of the true one's. 0: they stand still."""


RIGHT = Setting(0, 0, 0, 0, PER_BILLION)


def own_ns(moved: ClockMoved | None, true_ns: int) -> int:
    """What the own clock shows; never less than before."""
    if moved is None:
        return true_ns
    return moved.own_ns + max(0, true_ns - moved.at_ns) * moved.rate // PER_BILLION


def true_ns(moved: ClockMoved | None, own: int) -> int | None:
    """When the own clock will show at least that. None: never, as things are."""
    if moved is None:
        return own
    left = own - moved.own_ns
    if left <= 0:
        return moved.at_ns
    return None if moved.rate == 0 else moved.at_ns - (-left * PER_BILLION // moved.rate)


def move(before: ClockMoved | None, setting: Setting, now_ns: int, wall_offset_ns: int) -> ClockMoved:
    """A setting is noticed. ``wall_offset_ns``: the wall clock less the true one, where nothing is moved."""
    own = own_ns(before, now_ns) + max(0, setting.jump_ns)
    since_anchor_ns = max(0, now_ns - setting.anchor_ns) * setting.rate // PER_BILLION
    wall = setting.anchor_ns + setting.wall_ns + since_anchor_ns + wall_offset_ns
    return ClockMoved(now_ns, own, setting.rate, wall - own)


class ClockFile:
    """The file, open: for whoever writes it and for the driver that looks at it."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        """Raises ConfigError, MachineError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC if create else os.O_RDONLY | os.O_NONBLOCK
        try:
            descriptor = os.open(path, flags | os.O_CLOEXEC, 0o644)
            try:
                if create:
                    os.truncate(descriptor, _CONTENT.size)
                access = mmap.ACCESS_WRITE if create else mmap.ACCESS_READ
                if os.fstat(descriptor).st_size != _CONTENT.size:
                    raise ConfigError(
                        f"{path}: this is no clock file of {_CONTENT.size} bytes. Correct 'clock'"
                    )
                self._memory = mmap.mmap(descriptor, _CONTENT.size, access=access)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise MachineError(
                f"{path}: cannot open the clock file: {error.strerror}. Correct 'clock' in the config"
            ) from None
        if create:
            self.write(RIGHT)

    def write(self, setting: Setting) -> None:
        """A reader sees all of it or nothing."""
        self._memory[:8] = struct.pack("<q", -1)
        self._memory[8:] = _CONTENT.pack(0, *setting[1:], setting.serial)[8:]
        self._memory[:8] = struct.pack("<q", setting.serial)

    def read(self) -> Setting | None:
        """None: it is being written; look again."""
        for _ in range(_TRIES):
            serial, anchor_ns, jump_ns, wall_ns, rate, again = _CONTENT.unpack(self._memory[:])
            if serial == again:
                return Setting(
                    serial, anchor_ns, _within(jump_ns), _within(wall_ns), min(max(0, rate), MAX_RATE)
                )
        return None

    def close(self) -> None:
        """Idempotent."""
        self._memory.close()


def _within(moved_ns: int) -> int:
    return min(max(-MAX_MOVE_NS, moved_ns), MAX_MOVE_NS)
