"""Duplicates packets. It loses nothing and delays nothing, so nobody is excused for anything."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from nemesis.faults.fault import Params
from nemesis.faults.network import NetworkFault, draw_match
from nemesis.faults.tampering import MATCH_WORDS
from nemesis.packets.duplicate import MOST_COPIES

_MS = 1_000_000


class PacketCopies(NetworkFault):
    """See the module."""

    name = action = "duplicate"
    label = "duplicate"
    colour = "#009E73"
    description = "Sends packets several times: votes counted twice, requests executed twice, if they can be."
    charges = "nobody: what is sent twice is neither lost nor late"
    parameters: Mapping[str, str] = MappingProxyType(
        {
            "match": MATCH_WORDS,
            "copies": f"from 1 to {MOST_COPIES}, beside the packet itself",
            "apart_ns": "from each copy to the next",
        }
    )

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {"match": {"types": ["PREPARE", "COMMIT"]}, "copies": 2, "apart_ns": 3 * _MS}

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        match = draw_match(stream, n, f, False, (1, 0.5, 0.2))
        return {
            "match": match,
            "copies": stream.choice((1, 1, 2, 4)),
            "apart_ns": stream.choice((0, 1, 30, 250)) * _MS,
        }

    def costs(self, params: Params) -> bool:
        """See ``NetworkFault``."""
        return False
