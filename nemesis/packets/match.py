"""Which packets a rule is about, by their header alone.

As data: ``{"from": ["r0"], "to": ["r1", "clients"], "types": ["PREPARE"], "view": [0, 3], "seq": [1, 100],
"p": 0.5, "copy": [0, 0], "by_primary": true, "every": [2, 0]}``. What is left out is everything. ``view``,
``seq`` and ``copy`` are from-to, both included. ``every``: sequence numbers that leave the second number when
divided by the first. ``p`` is a share of slots (see ``chance``). ``by_primary``: whether the
source is the primary of the view in the header.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nemesis.packets.chance import Chance, Slot
from nemesis.packets.packet import CLIENTS, TYPE_NUMBERS, Header, Packet, host

KEYS = ("from", "to", "types", "view", "seq", "copy", "p", "by_primary", "every")
_MOST_EVERY = 1_000_000
_RANGES = ("view", "seq", "copy")


@dataclass(frozen=True, slots=True)
class Match:
    """None: no matter."""

    sources: frozenset[str] | None = None
    targets: frozenset[str] | None = None
    types: frozenset[int] | None = None
    view: tuple[int, int] | None = None
    seq: tuple[int, int] | None = None
    copy: tuple[int, int] | None = None
    share: float = 1.0
    by_primary: bool | None = None
    every: tuple[int, int] | None = None

    def header(self, packet: Packet, header: Header, n: int) -> bool:
        """Everything but the count of copies and chance."""
        return (
            (self.sources is None or packet.source in self.sources)
            and (self.targets is None or packet.target in self.targets)
            and (self.types is None or header.type in self.types)
            and (self.view is None or self.view[0] <= header.view <= self.view[1])
            and (self.seq is None or self.seq[0] <= header.seq <= self.seq[1])
            and (self.every is None or header.seq % self.every[0] == self.every[1])
            and (self.by_primary is None or self.by_primary == (packet.source == host(header.view % n)))
        )

    def slot(self, slot: Slot, chance: Chance) -> bool:
        """The rest."""
        if self.copy is not None and not self.copy[0] <= slot.copy <= self.copy[1]:
            return False
        return chance.happens(self.share, "match", slot.text())


def problem_of(data: object, n: int) -> str | None:
    """Why this is no match, or None. Whatever JSON it is."""
    if not isinstance(data, Mapping):
        return f"match = {data!r:.80}: give an object of {', '.join(KEYS)}"
    for key in data:
        if key not in KEYS:
            return f"match: unknown key {key!r:.80}: known are {', '.join(KEYS)}"
    for key in ("from", "to"):
        hosts = {*(host(i) for i in range(n)), CLIENTS}
        if key in data and not _list_of(data[key], hosts):
            return f"match.{key} = {data[key]!r:.80}: give a list of r0 … r{n - 1} and clients"
    if "types" in data and not _list_of(data["types"], set(TYPE_NUMBERS)):
        return f"match.types = {data['types']!r:.80}: give a list of {', '.join(TYPE_NUMBERS)}"
    for key in _RANGES:
        if key in data and not _is_range(data[key]):
            return f"match.{key} = {data[key]!r:.80}: give [from, to], whole numbers, both included"
    if "every" in data and not _is_every(data["every"]):
        return (
            f"match.every = {data['every']!r:.80}: give [divisor, rest], whole numbers, rest below divisor, "
            f"divisor at most {_MOST_EVERY}"
        )
    share = data.get("p", 1)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        return f"match.p = {share!r:.80}: give a share above 0, up to 1"
    if not isinstance(data.get("by_primary", True), bool):
        return f"match.by_primary = {data['by_primary']!r:.80}: give true or false"
    return None


def read_match(data: Mapping[str, object]) -> Match:
    """Of data that has no problem."""
    types = _strings(data, "types")
    share = data.get("p", 1)
    by_primary = data.get("by_primary")
    assert isinstance(share, int | float)
    return Match(
        sources=_strings(data, "from"),
        targets=_strings(data, "to"),
        types=None if types is None else frozenset(TYPE_NUMBERS[name] for name in types),
        view=_range(data, "view"),
        seq=_range(data, "seq"),
        copy=_range(data, "copy"),
        share=float(share),
        by_primary=by_primary if isinstance(by_primary, bool) else None,
        every=_range(data, "every"),
    )


def _list_of(value: object, allowed: set[str]) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, str) and v in allowed for v in value)


def _is_range(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 2:
        return False
    whole = all(isinstance(end, int) and not isinstance(end, bool) for end in value)
    return whole and 0 <= value[0] <= value[1]


def _is_every(value: object) -> bool:
    return _is_range(value[::-1]) and value[1] < value[0] <= _MOST_EVERY if isinstance(value, list) else False


def _strings(data: Mapping[str, object], key: str) -> frozenset[str] | None:
    value = data.get(key)
    return frozenset(str(item) for item in value) if isinstance(value, list) else None


def _range(data: Mapping[str, object], key: str) -> tuple[int, int] | None:
    value = data.get(key)
    return (value[0], value[1]) if isinstance(value, list) else None
