"""Loses packets: those that match, on links between replicas, or to and from clients."""

from __future__ import annotations

import random
from collections.abc import Sequence

from nemesis.faults.fault import Params
from nemesis.faults.network import NetworkFault, draw_match

_FEW, _MANY = (0.02, 0.05, 0.1, 0.2), (0.1, 0.3, 0.6, 1)


class PacketLoss(NetworkFault):
    """See the module."""

    name = action = "drop"
    label = "drop"
    colour = "#56B4E9"
    description = "Loses packets by link, message type, view, sequence number and chance."

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {"match": {"types": ["COMMIT"], "to": ["r2"], "p": 0.5}}

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        everywhere = budget_break or stream.random() < 0.5
        if everywhere:
            return {"match": {"p": stream.choice(_FEW)}}
        return {"match": draw_match(stream, n, f, False, _MANY)}
