"""The ledger: who is bad, when, and through which fault; before a run as a certificate, after it as a record.

PBFT promises safety while at most f replicas are *ever* Byzantine, and liveness while at most f are bad
*now* (Byzantine, down, paused or cut off). A plan is certified before it runs: overlapping faults are
charged together, replicas known by number once, "whoever is primary then" as one more. A book records what
was observed. Both charge a fault for longer rather than shorter: from when it was asked for until it was
proved undone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from nemesis.faults.fault import Fault, Victims

UNDO_MARGIN_NS = 300_000_000
"""How long after its stop a fault is still charged in a plan: a killed process needs time to come back."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What a planned fault costs, and how long."""

    fault: str
    start_ns: int
    end_ns: int
    """Exclusive; the undo margin is in it."""
    victims: Victims


def charge(fault: Fault, victims: Victims) -> Charge:
    """The charge of a planned fault."""
    return Charge(fault.id, fault.start_ns, fault.stop_ns + UNDO_MARGIN_NS, victims)


def at_once(charges: Iterable[Charge], n: int) -> int:
    """At most so many replicas are bad while all of these last."""
    known: set[int] = set()
    unknown = 0
    for one in charges:
        known |= one.victims.replicas
        unknown += one.victims.any_of
    return min(n, len(known) + unknown)


@dataclass(frozen=True, slots=True)
class Overdraft:
    """A moment at which a plan makes more replicas bad than the budget allows."""

    at_ns: int
    bad: int
    faults: tuple[str, ...]


def worst(charges: Sequence[Charge], n: int) -> Overdraft:
    """The moment with the most bad replicas, the first of them. It is a start: only there the count grows."""
    worst_so_far = Overdraft(0, 0, ())
    for moment in sorted({one.start_ns for one in charges}):
        current = [one for one in charges if one.start_ns <= moment < one.end_ns]
        bad = at_once(current, n)
        if bad > worst_so_far.bad:
            worst_so_far = Overdraft(moment, bad, tuple(one.fault for one in current))
    return worst_so_far


def byzantine(charges: Iterable[Charge]) -> frozenset[int]:
    """Who ever lies."""
    return frozenset().union(*(one.victims.byzantine for one in charges))


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the run in which the same replicas were bad."""

    from_ns: int
    to_ns: int
    bad: Mapping[int, str]
    """Replica -> why."""
    within_liveness_budget: bool
    asynchronous: str = ""
    """Which faults made messages late or lost between correct replicas: then nobody owes liveness."""


class Book:
    """What was observed: every change of who is bad, in order of time."""

    def __init__(self, n: int, f: int) -> None:
        self._n = n
        self._f = f
        self._active: dict[str, tuple[str, frozenset[int]]] = {}
        self._slowing: dict[str, None] = {}
        self._changes: list[tuple[int, dict[int, str], str]] = []
        self.byzantine: frozenset[int] = frozenset()
        """Who lied at any time."""

    def note(self, time_ns: int, fault: str, reason: str, bad: frozenset[int], network: bool = False) -> None:
        """From now on this fault makes these replicas bad, and the network asynchronous or not (none, and
        not: it is over). Times do not run backwards."""
        assert not self._changes or time_ns >= self._changes[-1][0], f"{time_ns} is before the last change"
        self._active.pop(fault, None)
        self._slowing.pop(fault, None)
        if bad:
            self._active[fault] = (reason, bad)
        if network:
            self._slowing[fault] = None
        self._changes.append((time_ns, self.bad(), ", ".join(self._slowing)))

    def lied(self, replicas: frozenset[int]) -> None:
        """These lie from now on, and are never again counted among the correct ones."""
        self.byzantine |= replicas

    def bad(self) -> dict[int, str]:
        """Replica -> why, now."""
        reasons: dict[int, list[str]] = {}
        for reason, replicas in self._active.values():
            for replica in replicas:
                reasons.setdefault(replica, []).append(reason)
        return {replica: "; ".join(reasons[replica]) for replica in sorted(reasons)}

    def windows(self, from_ns: int, to_ns: int) -> tuple[Window, ...]:
        """The run from end to end, without a gap and without an empty window."""
        windows: list[Window] = []
        start, bad, slowing = from_ns, dict[int, str](), ""
        for time_ns, then, slowed in [*self._changes, (to_ns, {}, "")]:
            moment = min(max(time_ns, from_ns), to_ns)
            if (then, slowed) == (bad, slowing) and time_ns != to_ns:
                continue
            if moment > start:
                within = len(bad) <= self._f and not slowing
                windows.append(Window(start, moment, bad, within, slowing))
            start, bad, slowing = moment, then, slowed
        return tuple(windows)
