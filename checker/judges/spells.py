"""Spells: stretches of a run in which nothing got worse, and what a cluster may be asked to do in them.

A window in which more replicas are bad than the protocol survives belongs to no spell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from checker.folder import Window
from checker.limits import SECOND_NS
from checker.patience import Patience


@dataclass(frozen=True, slots=True)
class Spell:
    """From a change for the worse (or a quorum's return) to the next."""

    from_ns: int
    to_ns: int
    outage_ns: int
    """How long there had been no quorum just before."""
    bad: tuple[int, ...]
    """At its beginning; later only fewer."""
    first: bool
    """No spell ends where it begins."""


class Spells:
    """All spells of a run, in order."""

    def __init__(self, windows: Sequence[Window], patience: Patience) -> None:
        self._patience = patience
        self._spells = tuple(_spells(windows))

    def stretches(self) -> Iterator[tuple[int, int]]:
        """Spells that follow each other without an outage, joined."""
        start: int | None = None
        end = 0
        for spell in self._spells:
            if spell.first:
                if start is not None:
                    yield start, end
                start = spell.from_ns
            end = spell.to_ns
        if start is not None:
            yield start, end

    def allowed_ns(self, begin_ns: int, end_ns: int) -> int | None:
        """How long something that lasted from `begin` to `end` may last; None: nothing can be demanded.

        Each spell that begins meanwhile may undo what the cluster had achieved by then.
        """
        seen = [s for s in self._spells if s.from_ns < end_ns and s.to_ns > begin_ns]
        if (
            not seen
            or seen[0].from_ns > begin_ns
            or seen[-1].to_ns < end_ns
            or any(s.first for s in seen[1:])
        ):
            return None
        settle_ns = self._patience.settle_ns(seen[0].outage_ns)
        if len(seen) == 1 and begin_ns - seen[0].from_ns >= settle_ns:
            return self._patience.serve_ns()
        return settle_ns + (len(seen) - 1) * self._patience.settle_ns()

    def describe(self, begin_ns: int, end_ns: int) -> str:
        """What was wrong then, for a reason."""
        seen = [s for s in self._spells if s.from_ns < end_ns and s.to_ns > begin_ns]
        if len(seen) > 1:
            return f"never more replicas were bad than the protocol survives, in {len(seen)} spells"
        bad = f"only replicas {list(seen[0].bad)} were bad" if seen[0].bad else "nothing was wrong"
        since_ns = begin_ns - seen[0].from_ns
        return f"{bad} and had been for {since_ns / SECOND_NS:.1f} s" if since_ns > 0 else bad


def _spells(windows: Sequence[Window]) -> Iterator[Spell]:
    current: Spell | None = None
    bad: frozenset[int] = frozenset()
    outage_ns = 0
    for window in windows:
        if not window.within_liveness_budget:
            if current is not None:
                yield current
                current = None
            outage_ns += window.to_ns - window.from_ns
        elif current is not None and set(window.bad) <= bad:
            current = Spell(current.from_ns, window.to_ns, current.outage_ns, current.bad, current.first)
        else:
            if current is not None:
                yield current
            first = current is None
            current = Spell(window.from_ns, window.to_ns, outage_ns, window.bad, first)
            outage_ns = 0
        bad = frozenset(window.bad)
    if current is not None:
        yield current
