"""Spells: stretches of a run in which nothing got worse, and what a cluster may be asked to do in them.

A window in which more replicas are bad than the protocol survives belongs to no spell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from checker.limits import SECOND_NS
from checker.patience import Patience
from checker.run_facts import Window


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

    def breach(self, begin_ns: int, end_ns: int) -> Breach | None:
        """Whether something waited for from `begin` to `end` took longer than a correct cluster takes.

        Looked at is every part of it that begins with the waiting or with a spell, and ends with the waiting
        or with a spell: each spell inside may undo what the cluster had achieved by then.
        """
        if end_ns - begin_ns <= min(self._patience.serve_ns(), self._patience.settle_ns()):
            return None
        seen = [s for s in self._spells if s.from_ns < end_ns and s.to_ns > begin_ns]
        for i, spell in enumerate(seen):
            since_ns = max(begin_ns, spell.from_ns)
            allowed_ns = self._patience.settle_ns(spell.outage_ns)
            if since_ns - spell.from_ns >= allowed_ns:
                allowed_ns = self._patience.serve_ns()
            for k in range(i, len(seen)):
                if k > i and seen[k].first:
                    break
                if k > i:
                    allowed_ns = max(allowed_ns, self._patience.settle_ns()) + self._patience.settle_ns()
                until_ns = min(end_ns, seen[k].to_ns)
                if until_ns - since_ns > allowed_ns:
                    return Breach(since_ns, until_ns, allowed_ns, _describe(seen[i : k + 1], since_ns))
        return None


@dataclass(frozen=True, slots=True)
class Breach:
    """Too long: from, to, what would have been enough, and what was wrong meanwhile, in words."""

    from_ns: int
    to_ns: int
    allowed_ns: int
    circumstances: str


def _describe(seen: Sequence[Spell], since_ns: int) -> str:
    if len(seen) > 1:
        return f"never more replicas were bad than the protocol survives, in {len(seen)} spells"
    bad = f"only replicas {list(seen[0].bad)} were bad" if seen[0].bad else "nothing was wrong"
    for_ns = since_ns - seen[0].from_ns
    return f"{bad} and had been for {for_ns / SECOND_NS:.1f} s" if for_ns > 0 else bad


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
