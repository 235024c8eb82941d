"""One replica's machine as the scheduler sees it: a process that is told everything, the time included.

Everything a process does outside itself it does at the end of a turn, and answers there. So a kill between
deliveries loses exactly the turn that was open, whether the process is real or an object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from harness.errors import HarnessError
from pbft_node.clock import Setting


@dataclass(frozen=True, slots=True)
class Ended:
    """A process ended by itself."""

    code: int | None
    signal: int | None
    last_lines: tuple[str, ...]
    """Of what it said on standard error."""


class TurnEnd(NamedTuple):
    """What a turn came to. A tuple: there is one for every other datagram."""

    sends: Sequence[tuple[int, bytes]]
    """(principal, datagram), in order."""
    next_due_ns: int | None
    """When its earliest timer is due; None when none runs."""
    ended: Ended | None = None
    """It is no more; then nothing was sent."""


def machine_failed(replica: int, why: str) -> HarnessError:
    """A machine that refuses a replica something (space for its files, above all) is no doing of the
    replica's: the run is over, and accuses nobody."""
    return HarnessError(
        f"the machine refused replica {replica} something: {why}",
        "Free some space, or choose another place with --out DIR; then run it again.",
    )


class Host(Protocol):
    """At most one process at a time. Errors of the harness' own are HarnessError."""

    silent: bool
    """The next life comes back silent if its log is lost; else it does not begin."""

    def begin_life(self, now_ns: int, wall_offset_ns: int, nonce: bytes) -> None:
        """A new process on the log that is there. It opens its first turn with ``Started``."""

    def deliver(self, now_ns: int, datagram: bytes) -> None:
        """An event of the open turn."""

    def fire_due(self, now_ns: int) -> None:
        """The timers that are due, in the open turn."""

    def move_clock(self, now_ns: int, setting: Setting) -> None:
        """An event of the open turn: from now on its own clock is another."""

    def refuse_writes(self, now_ns: int, error: int) -> None:
        """An event of the open turn: from now on the disk takes nothing, and says this errno."""

    def end_turn(self, now_ns: int) -> TurnEnd:
        """Records, trace, and what leaves."""

    def write_log(self) -> None:
        """Its file is as a real process would have left it; the next life reads it. Call when dead."""

    def copy_log(self, path: Path) -> None:
        """Write the log as it is between two turns to another file."""

    def adopt_log(self) -> None:
        """The first life reads the log that lies in its folder, which need not be empty."""

    def kill(self) -> None:
        """``SIGKILL``: it is dead when this returns, and an open turn never was. Harmless when dead."""

    def pause(self) -> None:
        """``SIGSTOP``: it stands still when this returns. Harmless when dead."""

    def resume(self) -> None:
        """``SIGCONT``. Harmless when it runs."""

    def is_up(self) -> bool:
        """Has this life begun to work? Asked only after its first turn."""

    def close(self) -> None:
        """End the process if there is one, and let go of everything but the files. Idempotent."""
