"""Limits the rate of links: packets queue, and are lost where the queue is full."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from nemesis.faults.fault import Params
from nemesis.faults.network import NetworkFault, draw_match
from nemesis.faults.tampering import MATCH_WORDS


class PacketRate(NetworkFault):
    """See the module."""

    name = action = "rate"
    label = "rate limit"
    colour = "#E69F00"
    description = "Gives links a bottleneck: so many bytes a second, and a queue; what finds no room is lost."
    parameters: Mapping[str, str] = MappingProxyType(
        {
            "match": MATCH_WORDS,
            "bytes_per_s": "of each directed link, from 1000",
            "queue_bytes": "that may wait for it; no more than it sends in 5 s",
        }
    )

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {"match": {"from": ["r1"]}, "bytes_per_s": 20_000, "queue_bytes": 10_000}

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        match = draw_match(stream, n, f, budget_break, (1,))
        rate = stream.choice((10_000, 40_000, 200_000))
        return {
            "match": match,
            "bytes_per_s": rate,
            "queue_bytes": rate * stream.choice((20, 200, 1000)) // 1000,
        }
