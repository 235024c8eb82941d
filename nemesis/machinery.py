"""What a fault may do to the machines of a run. Every world implements it; a fault knows nothing else of
its world.

All times are nanoseconds on the world's clock. Calls return at once; whether they took effect is asked for
separately, because a fault without a receipt did not happen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Link(NamedTuple):
    """One direction between two hosts: ``r0`` … ``r<n-1>``, ``clients``."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class ProcessState:
    """A replica's process as the operating system (or its model) sees it."""

    replica: int
    pid: int | None
    """None when no process runs."""
    state: str
    """``running``, ``stopped`` (state T), ``dead`` (gone, or a zombie)."""
    incarnation: int
    """How many times it was started."""
    detail: Mapping[str, object]
    """Evidence for a receipt: the state letter, the exit signal …"""
    up: bool | None = None
    """Has this life begun to work? None: the world cannot tell."""


class Machinery(Protocol):
    """Replica processes and the links between hosts."""

    @property
    def n(self) -> int:
        """Number of replicas."""

    @property
    def f(self) -> int:
        """Faulty replicas the cluster tolerates."""

    @property
    def capabilities(self) -> frozenset[str]:
        """Of ``kill``, ``pause``, ``cut``, ``packets``, ``clocks``, ``disks``, ``twins``: what this world can
        do."""

    def now_ns(self) -> int:
        """The world's clock."""

    def kill(self, replica: int) -> None:
        """SIGKILL. The exit is expected from now on."""

    def restart(self, replica: int, *, silent: bool = False) -> None:
        """Start a dead replica again from its own log; ``silent``: without a vote, if that is lost."""

    def expect_exits(self, replica: int, codes: frozenset[int]) -> None:
        """From now on it may end with one of these codes, and nobody wonders."""

    def harm_log(self, replica: int, mode: str, keep: float) -> Mapping[str, object]:
        """Change the log of a dead replica: ``torn``, ``bit-rot``, or ``rollback`` to that share of its
        records. What was changed."""

    def break_disk(self, replica: int, how: str) -> None:
        """From now on its disk is ``full`` or ``read-only``, whichever life first finds that out."""

    def mend_disk(self, replica: int) -> None:
        """Its disk works for lives to come."""

    def pause(self, replica: int) -> None:
        """SIGSTOP."""

    def resume(self, replica: int) -> None:
        """SIGCONT."""

    def process(self, replica: int) -> ProcessState:
        """The process now."""

    def cut(self, owner: str, links: frozenset[Link]) -> None:
        """From now on the fault ``owner`` blocks exactly these links (replacing what it blocked before);
        empty mends them. A link is blocked while any owner blocks it. Atomic: there is no moment between
        old and new."""

    def blocked(self) -> Mapping[Link, int]:
        """Every link blocked now, with the packets dropped on it since it was cut."""

    def tamper(self, owner: str, rules: Sequence[Mapping[str, object]]) -> None:
        """From now on the fault ``owner`` has exactly these rules (``nemesis.packets``) at work on packets;
        none takes them away. Atomic, and not at once: ``tampered`` says when."""

    def tampered(self, owner: str) -> Mapping[str, object]:
        """What the rules of a fault did so far: ``Engine.report``. ``in_force``: are there any now? Once
        they are taken away, ``held`` packets of theirs may still be to come."""

    def move_clock(self, replica: int, *, wall_ns: int, jump_ns: int, rate: int) -> None:
        """From now on its wall clock is ``wall_ns`` off, and both its clocks run at ``rate`` billionths of
        the true one; its monotonic clock first jumps by ``jump_ns``. (0, 0, 1 000 000 000): all is right,
        but for what its monotonic clock is ahead or behind, which only differences tell."""

    def told_clock(self, replica: int) -> Mapping[str, object] | None:
        """What it said of its own clock since that was last moved: ``t_ns`` (true), ``own_ns``, ``rate``,
        ``wall_ns``. None: it said nothing yet."""

    def start_twin(self, replica: int, *, peers: frozenset[int], clients: str, log: str) -> None:
        """A second process under the identity of a replica that has none, in a folder of its own. From now
        on ``peers`` and the clients with ``odd`` (or ``even``) identities talk with the twin only, all others
        with the first instance only. It begins with a ``copy`` of the log, or from ``genesis``."""

    def stop_twin(self, replica: int) -> None:
        """Kill the twin, if there is one; everybody talks with the first instance again."""

    def twin(self, replica: int) -> ProcessState | None:
        """The twin now; None: there is none. In its detail: ``folder``; ``heard_by``: packets carried to each
        host, of ``first`` and ``twin``; ``diverged``: of what the two said two things, None if of nothing."""

    def primary_hint(self) -> int:
        """The replica clients believe to be primary now; for faults aimed at the primary."""
