"""What a script knows: what replicas traced since it began, and which packets passed since its stage began.

A fact is an event at a place of the protocol (view, number, digest), with the replicas where it happened.
Everything is bounded: the oldest places are forgotten. The processes of compromised replicas are honest, so
their traces are facts, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from nemesis.packets.packet import Header, Packet

FIELDS: Mapping[str, tuple[str, ...]] = {
    "started": ("view",),
    "pre-prepare": ("view", "seq", "digest"),
    "prepared": ("view", "seq", "digest"),
    "committed": ("view", "seq", "digest"),
    "executed": ("seq", "digest"),
    "checkpoint": ("seq", "digest"),
    "stable": ("seq", "digest"),
    "view-change": ("view",),
    "new-view": ("view",),
    "state-transfer": ("seq", "step"),
    "recovered": ("view",),
}
"""Event -> what says where in the protocol it is."""
MOST_PLACES = 2048
"""Of one event."""
MOST_LOOKED_AT = 128
"""The newest so many places of an event are asked; what is further back is history."""
MOST_PACKETS = 4096


class Place(NamedTuple):
    """Of an event; what it has not is 0 or empty."""

    view: int
    seq: int
    digest: str
    step: str


@dataclass(slots=True)
class Fact:
    """One event at one place."""

    place: Place
    at: dict[int, int] = field(default_factory=dict)
    """Replica -> when, counted in facts."""


class Sight(NamedTuple):
    """Packets that look alike."""

    type: int
    source: str
    target: str
    view: int
    seq: int


class Knowledge:
    """Of one script."""

    def __init__(self) -> None:
        self.count = 0
        self.view = 0
        """The highest a replica entered."""
        self._facts: dict[str, dict[Place, Fact]] = {event: {} for event in FIELDS}
        self._sights: dict[Sight, int] = {}

    def heard(self, replica: int, event: Mapping[str, object]) -> bool:
        """A line of a trace. Is it one that scripts may ask for?"""
        kind = event.get("e")
        fields = FIELDS.get(kind) if isinstance(kind, str) else None
        if fields is None or not isinstance(kind, str):
            return False
        place = Place(
            _number(event, "view") if "view" in fields else 0,
            _number(event, "seq") if "seq" in fields else 0,
            _text(event, "digest") if "digest" in fields else "",
            _text(event, "step") if "step" in fields else "",
        )
        if kind == "new-view":
            self.view = max(self.view, place.view)
        facts = self._facts[kind]
        fact = facts.pop(place, None) or Fact(place)
        self.count += 1
        fact.at[replica] = self.count
        facts[place] = fact  # the newest is last
        if len(facts) > MOST_PLACES:
            del facts[next(iter(facts))]
        return True

    def saw(self, packet: Packet, header: Header) -> None:
        """A packet passes."""
        sight = Sight(header.type, packet.source, packet.target, header.view, header.seq)
        self._sights[sight] = self._sights.pop(sight, 0) + 1
        if len(self._sights) > MOST_PACKETS:
            del self._sights[next(iter(self._sights))]

    def new_stage(self) -> None:
        """From now on packets are counted anew."""
        self._sights.clear()

    def facts(self, event: str) -> Iterator[Fact]:
        """The newest first."""
        for _, fact in zip(range(MOST_LOOKED_AT), reversed(self._facts[event].values()), strict=False):
            yield fact

    def sights(self) -> Iterator[tuple[Sight, int]]:
        """With how often each was seen; the newest first."""
        yield from reversed(self._sights.items())

    def so_far(self, event: str) -> str:
        """For people: where such an event happened last."""
        fact = next(self.facts(event), None)
        if fact is None:
            return f"no replica traced {event!r} since the script began"
        fields = FIELDS[event]
        shown = [
            f"{name} {str(value)[:8]}" for name, value in zip(Place._fields, fact.place) if name in fields
        ]
        return f"the last {event!r} was {', '.join(shown)} at {', '.join(f'r{r}' for r in sorted(fact.at))}"


def _number(event: Mapping[str, object], key: str) -> int:
    value = event.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _text(event: Mapping[str, object], key: str) -> str:
    value = event.get(key)
    return value if isinstance(value, str) else ""
