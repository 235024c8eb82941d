"""Triggers: what a stage waits for.

    {committed: {at: {exactly: 1, of: correct}, as: {seq: s, replica: x}}}
    {all: [{view-change: {at: {at-least: f + 1, of: correct}, view: v + 1}}, {not: {stable: {at: x}}}]}
    {seen: {types: [PREPARE], from: x, seq: s}}    {in: [next-primary, liars]}    {after: 0.5}

A trigger is met by one of the ways in which what was seen fits it, the newest first; what it binds (``as``)
holds for its later parts and for all that follows. What stands under ``not`` binds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

from nemesis.packets.packet import host, replica_of
from nemesis.scripts.expressions import Expression, Moment, Value
from nemesis.scripts.knowledge import Fact, Knowledge, Sight

Bindings = Mapping[str, Value]
MOST_WAYS = 256
"""Looked at in one trigger."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What a trigger is asked about."""

    knowledge: Knowledge
    moment: Moment
    stage_began_ns: int
    stage_began_count: int
    now_ns: int

    def with_bound(self, more: Bindings) -> Situation:
        """And these names."""
        moment = replace(self.moment, bound={**self.moment.bound, **more})
        return replace(self, moment=moment)


class Trigger(Protocol):
    """Read, and right."""

    def ways(self, now: Situation) -> Iterator[Bindings]:
        """In which it is met: the new bindings of each."""

    def because(self, now: Situation) -> str:
        """Why it is not met."""

    def delays_ns(self) -> Sequence[int]:
        """Since the stage began, at which it may come to be met by time alone."""

    def watches_packets(self) -> bool:
        """Does it depend on packets?"""


@dataclass(frozen=True, slots=True)
class All:
    """Every part, in this order."""

    parts: tuple[Trigger, ...]

    def ways(self, now: Situation) -> Iterator[Bindings]:
        """See ``Trigger``."""
        return self._ways(self.parts, now, {})

    def _ways(self, parts: Sequence[Trigger], now: Situation, bound: Bindings) -> Iterator[Bindings]:
        if not parts:
            yield bound
            return
        for more in parts[0].ways(now):
            yield from self._ways(parts[1:], now.with_bound(more), {**bound, **more})

    def because(self, now: Situation) -> str:
        """See ``Trigger``."""
        for count in range(1, len(self.parts) + 1):
            if next(self._ways(self.parts[:count], now, {}), None) is None:
                bound = next(self._ways(self.parts[: count - 1], now, {}), {})
                return self.parts[count - 1].because(now.with_bound(bound))
        return "it is met"

    def delays_ns(self) -> Sequence[int]:
        """See ``Trigger``."""
        return [delay for part in self.parts for delay in part.delays_ns()]

    def watches_packets(self) -> bool:
        """See ``Trigger``."""
        return any(part.watches_packets() for part in self.parts)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Some part."""

    parts: tuple[Trigger, ...]
    shared: frozenset[str]
    """Names that every part binds; others are forgotten."""

    def ways(self, now: Situation) -> Iterator[Bindings]:
        """See ``Trigger``."""
        for part in self.parts:
            for way in part.ways(now):
                yield {name: value for name, value in way.items() if name in self.shared}

    def because(self, now: Situation) -> str:
        """See ``Trigger``."""
        return "; and ".join(part.because(now) for part in self.parts)

    def delays_ns(self) -> Sequence[int]:
        """See ``Trigger``."""
        return [delay for part in self.parts for delay in part.delays_ns()]

    def watches_packets(self) -> bool:
        """See ``Trigger``."""
        return any(part.watches_packets() for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not:
    """Its part is not met."""

    part: Trigger
    text: str

    def ways(self, now: Situation) -> Iterator[Bindings]:
        """See ``Trigger``."""
        if next(self.part.ways(now), None) is None:
            yield {}

    def because(self, now: Situation) -> str:
        """See ``Trigger``."""
        return f"it is so that {self.text}"

    def delays_ns(self) -> Sequence[int]:
        """See ``Trigger``."""
        return ()

    def watches_packets(self) -> bool:
        """See ``Trigger``."""
        return self.part.watches_packets()


@dataclass(frozen=True, slots=True)
class After:
    """So long after its stage began."""

    delay_ns: int

    def ways(self, now: Situation) -> Iterator[Bindings]:
        """See ``Trigger``."""
        if now.now_ns - now.stage_began_ns >= self.delay_ns:
            yield {}

    def because(self, now: Situation) -> str:
        """See ``Trigger``."""
        passed = now.now_ns - now.stage_began_ns
        return f"only {passed / 1e9:g} of {self.delay_ns / 1e9:g} s have passed"

    def delays_ns(self) -> Sequence[int]:
        """See ``Trigger``."""
        return (self.delay_ns,)

    def watches_packets(self) -> bool:
        """See ``Trigger``."""
        return False


@dataclass(frozen=True, slots=True)
class Compared:
    """``is``: equal; ``in``: a replica, or all of a set, among others; ``less``: a number below another."""

    word: str
    left: Expression
    right: Expression

    def ways(self, now: Situation) -> Iterator[Bindings]:
        """See ``Trigger``."""
        left, right = self.left.value(now.moment), self.right.value(now.moment)
        if self.word == "is":
            met = left == right
        elif self.word == "less":
            met = self.left.number(now.moment) < self.right.number(now.moment)
        else:
            some = self.left.replicas(now.moment)
            met = bool(some) and set(some) <= set(self.right.replicas(now.moment))
        if met:
            yield {}

    def because(self, now: Situation) -> str:
        """See ``Trigger``."""
        left, right = self.left.value(now.moment), self.right.value(now.moment)
        return f"{self.left.text} = {left}, {self.right.text} = {right}"

    def delays_ns(self) -> Sequence[int]:
        """See ``Trigger``."""
        return ()

    def watches_packets(self) -> bool:
        """Views are followed by headers, too."""
        return True


@dataclass(frozen=True, slots=True)
class Happened:
    """An event at a place of the protocol, at so many replicas of a set."""

    event: str
    quantifier: str
    number: Expression | None
    of: Expression
    place: Mapping[str, Expression]
    step: str | None
    fresh: bool
    names: Mapping[str, str]
    """Part of the place, or ``replica`` -> name."""
    text: str

    def ways(self, now: Situation) -> Iterator[Bindings]:
        """See ``Trigger``."""
        some = self.of.replicas(now.moment)
        wanted = {key: expression.value(now.moment) for key, expression in self.place.items()}
        for fact in now.knowledge.facts(self.event):
            if any(getattr(fact.place, key) != value for key, value in wanted.items()):
                continue
            if self.step is not None and fact.place.step != self.step:
                continue
            if self.fresh and max(fact.at.values()) <= now.stage_began_count:
                continue
            there = [replica for replica in some if replica in fact.at]
            for found in self._chosen(there, len(some), fact, now.moment):
                yield {
                    name: found if key == "replica" else getattr(fact.place, key)
                    for key, name in self.names.items()
                }

    def _chosen(self, there: Sequence[int], size: int, fact: Fact, moment: Moment) -> Iterator[Value]:
        """What ``replica`` is bound to, where the quantifier holds."""
        if self.quantifier == "any":
            yield from sorted(there, key=lambda replica: -fact.at[replica])
            return
        number = size if self.number is None else self.number.number(moment)
        met = len(there) == number if self.quantifier != "at-least" else len(there) >= number
        if met and there:
            one = self.quantifier == "exactly" and isinstance(self.number and self.number.tree, int)
            yield there[0] if one and number == 1 else tuple(there)

    def because(self, now: Situation) -> str:
        """See ``Trigger``."""
        return f"{self.text} is not so: {now.knowledge.so_far(self.event)}"

    def delays_ns(self) -> Sequence[int]:
        """See ``Trigger``."""
        return ()

    def watches_packets(self) -> bool:
        """See ``Trigger``."""
        return False


@dataclass(frozen=True, slots=True)
class Seen:
    """Packets that somebody sent since the stage began, whatever became of them."""

    types: frozenset[int] | None
    source: Expression | str | None
    target: Expression | str | None
    view: Expression | None
    seq: Expression | None
    count: Expression | None
    names: Mapping[str, str]
    text: str

    def ways(self, now: Situation) -> Iterator[Bindings]:
        """See ``Trigger``."""
        sources, targets = _hosts(self.source, now.moment), _hosts(self.target, now.moment)
        view = None if self.view is None else self.view.number(now.moment)
        seq = None if self.seq is None else self.seq.number(now.moment)
        fits = [
            (sight, count)
            for sight, count in now.knowledge.sights()
            if (self.types is None or sight.type in self.types)
            and (sources is None or sight.source in sources)
            and (targets is None or sight.target in targets)
            and (view is None or sight.view == view)
            and (seq is None or sight.seq == seq)
        ]
        wanted = 1 if self.count is None else self.count.number(now.moment)
        if fits and sum(count for _, count in fits) >= wanted:
            for sight, _ in fits:
                bound = self._bound(sight)
                if bound is not None:
                    yield bound

    def _bound(self, sight: Sight) -> Bindings | None:
        values = {
            "view": sight.view,
            "seq": sight.seq,
            "from": replica_of(sight.source),
            "to": replica_of(sight.target),
        }
        bound = {name: values[key] for key, name in self.names.items()}
        return (
            {name: value for name, value in bound.items() if value is not None}
            if all(value is not None for value in bound.values())
            else None
        )

    def because(self, now: Situation) -> str:
        """See ``Trigger``."""
        return f"no such packets passed since the stage began: {self.text}"

    def delays_ns(self) -> Sequence[int]:
        """See ``Trigger``."""
        return ()

    def watches_packets(self) -> bool:
        """See ``Trigger``."""
        return True


def _hosts(some: Expression | str | None, moment: Moment) -> frozenset[str] | None:
    if some is None:
        return None
    return frozenset({some} if isinstance(some, str) else (host(r) for r in some.replicas(moment)))


def first_way(trigger: Trigger, now: Situation) -> Bindings | None:
    """In which it is met; None: it is not."""
    return next(islice(trigger.ways(now), MOST_WAYS), None)
