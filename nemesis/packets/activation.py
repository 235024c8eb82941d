"""What rules did: every activation, and its count by kind.

A cell is (message type, action, phase, role of the sender): what a coverage table is made of. What came of
the packets at their receivers is theirs to say (``rejected`` in their traces); here is what was put on the
wire.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from nemesis.packets.packet import Header, Packet, replica_of

_OF_VIEW_CHANGES = ("VIEW_CHANGE", "NEW_VIEW")


@dataclass(frozen=True, slots=True)
class Activation:
    """A packet met a rule that did something, or a rule sent one of its own (``was`` is None)."""

    time_ns: int
    owner: str
    """The fault."""
    rule: int
    """Its manieth rule."""
    action: str
    header: Header
    """Of ``was``, or else of the first that was sent."""
    was: Packet | None
    now: tuple[Packet, ...]
    note: str
    keeps: bool = False
    """What is not sent now is held back for later, and what is sent now may be of that."""


@dataclass(slots=True)
class Tally:
    """Of one fault."""

    matched: int = 0
    dropped: int = 0
    """Nothing travelled instead, or nothing but what its receiver's kernel drops."""
    held: int = 0
    """Of those that did not travel at once, those that did later."""
    emitted: int = 0
    altered: int = 0
    """Of these, other bytes than were sent."""
    delayed: int = 0
    targets: Counter[str] = field(default_factory=Counter)
    """Altered or made up packets by receiver."""
    cells: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)

    def count(self, one: Activation, phase: str, n: int) -> None:
        """One more; ``phase``: of the cluster once the packet had passed. What view changes are made of
        always counts there: a NEW_VIEW ends the one it is part of."""
        self.matched += 1
        self.emitted += len(one.now)
        if one.keeps:
            self.held += one.was is not None and one.was not in one.now
        else:
            self.dropped += one.was is not None and all(packet.spoilt for packet in one.now)
        for packet in one.now:
            self.delayed += packet.delay_ns > 0
            if one.keeps:
                continue
            if one.was is None or packet.data != one.was.data or packet.target != one.was.target:
                self.altered += 1
                self.targets[packet.target] += 1
        source = one.was.source if one.was is not None else one.now[0].source
        phase = "view-change" if one.header.name in _OF_VIEW_CHANGES else phase
        self.cells[one.header.name, one.action, phase, role(source, one.header, n)] += 1

    def report(self) -> Mapping[str, object]:
        """JSON, in a fixed order."""
        cells = sorted(self.cells.items())
        return {
            "matched": self.matched,
            "dropped": self.dropped,
            "held_back": self.held,
            "emitted": self.emitted,
            "altered": self.altered,
            "delayed": self.delayed,
            "targets": {target: self.targets[target] for target in sorted(self.targets)},
            "cells": [[*cell, count] for cell, count in cells],
        }


def role(source: str, header: Header, n: int) -> str:
    """Of a packet's sender, by the view in its header: ``primary``, ``backup`` or ``client``."""
    replica = replica_of(source)
    if replica is None:
        return "client"
    return "primary" if header.view % n == replica else "backup"
