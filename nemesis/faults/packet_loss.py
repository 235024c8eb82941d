"""Loses packets: those that match, on links between replicas, or to and from clients."""

from __future__ import annotations

import random
from collections.abc import Sequence

from nemesis.faults.fault import Params, Victims
from nemesis.faults.tampering import TampersWithPackets
from nemesis.packets.tamperer import RuleData


class PacketLoss(TampersWithPackets):
    """See the module."""

    name = "drop"
    label = "drop"
    colour = "#56B4E9"
    description = "Loses packets by link, message type, view, sequence number and chance."
    charges = "liveness: nobody owes it while it lasts; never safety"

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {"match": {"types": ["COMMIT"], "to": ["r2"], "p": 0.5}}

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        return {"match": {"p": stream.choice((0.02, 0.05, 0.1, 0.2))}}

    def check(self, params: Params, n: int) -> str | None:
        """See ``FaultKind``."""
        return self.check_rules(params, n)

    def rules(self, params: Params, n: int, f: int) -> Sequence[RuleData]:
        """See ``TampersWithPackets``."""
        return ({"action": "drop", **params},)

    def victims(self, params: Params, n: int, f: int) -> Victims:
        """See ``FaultKind``."""
        return Victims(frozenset(), network=True)
