"""Reorders packets: holds some back until later ones of their link have passed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from nemesis.faults.fault import Params
from nemesis.faults.network import HARMLESS_NS, NetworkFault, draw_match
from nemesis.faults.tampering import MATCH_WORDS
from nemesis.packets.numbers import whole
from nemesis.packets.reorder import MOST_BEHIND

_MS = 1_000_000


class PacketOrder(NetworkFault):
    """See the module."""

    name = action = "reorder"
    label = "reorder"
    colour = "#CC79A7"
    description = "Holds packets back behind later ones of the same link, for a bounded time."
    parameters: Mapping[str, str] = MappingProxyType(
        {
            "match": MATCH_WORDS + "; later packets count whatever p says",
            "behind": f"from 1 to {MOST_BEHIND}: so many later ones pass first",
            "most_ns": "no packet is held longer; at most 5 s",
        }
    )

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {"match": {"to": ["r3"], "p": 0.3}, "behind": 3, "most_ns": 40 * _MS}

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        match = draw_match(stream, n, f, budget_break, (0.1, 0.3, 0.5))
        most = stream.choice((20, 100) if budget_break else (4, 20, 100))
        return {"match": match, "behind": stream.choice((1, 2, 5, 20)), "most_ns": most * _MS}

    def costs(self, params: Params) -> bool:
        """See ``NetworkFault``."""
        return whole(params, "most_ns") > HARMLESS_NS
