"""A world: where replicas run, how datagrams travel, and what time it is.

The run (clients, faults, phases) is written against this protocol in callbacks, so that the same run drives
real processes under the kernel (``live``) and a virtual scheduler (``lockstep``, ``sim``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nemesis.machinery import Machinery

Who = tuple[str | int, ...]
"""Whose call it is: ``("timer", client, name, generation)``, ``("invoke", client)``, ``("timeout", client)``,
``("probe", nth)``, ``("fault", id, step)``."""


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a replica process."""

    replica: int
    time_ns: int
    code: int | None
    signal: int | None
    expected: bool
    """The nemesis or the tear-down asked for it."""
    last_lines: tuple[str, ...]
    """Of stderr.log, when it was not expected."""


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Never call it. Harmless when it was called already."""


class World(Machinery, Protocol):
    """Machines, network and clock of one run."""

    @property
    def name(self) -> str:
        """``live``, ``lockstep`` or ``sim``."""

    def set_up(self) -> None:
        """Build the network and start every replica. Raises HarnessError, and leaves nothing then."""

    def tear_down(self) -> None:
        """Stop every process and remove every trace of the run but its folder. Idempotent."""

    def call_at(self, at_ns: int, callback: Callable[[], None], who: Who | None = None) -> Timer:
        """Call once, when the world's clock has reached ``at_ns``. ``who`` is for a world that follows a
        record, which knows when that was called in the recorded run."""

    def on_datagram(self, callback: Callable[[bytes], None]) -> None:
        """Whom to give the datagrams that reach the ``clients`` host."""

    def primary_from(self, source: Callable[[], int]) -> None:
        """Whom ``primary_hint`` asks (clients learn the view from replies). Until then it says 0."""

    def on_order(self, callback: Callable[[str, int], None]) -> None:
        """Whom to tell, just before it is done, that a rule of a fault (its id) does something to the process
        of a replica."""

    def send(self, replica: int, datagram: bytes) -> None:
        """From the ``clients`` host to a replica."""

    def run(self, until: Callable[[], bool], deadline_ns: int) -> bool:
        """Go on until ``until()`` (asked after every callback) or the deadline. True iff ``until()``."""

    def stop(self, reason: str) -> None:
        """Make the current and every later ``run`` return False at once (Ctrl-C, SIGTERM)."""

    @property
    def stopped(self) -> str | None:
        """The reason given to ``stop``."""

    def exits(self) -> tuple[Exit, ...]:
        """Every process end so far, in order."""

    def lag(self) -> tuple[int, int]:
        """Did it keep up: (worst lateness of a due call in ns, how many were over 50 ms late)."""
