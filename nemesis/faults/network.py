"""The part of a ``FaultKind`` that is the same for everything the network may do to packets: one rule, and
whom it makes bad.

A rule about links of at most f replicas makes those bad, and everybody else owes liveness. One about more
links makes the network asynchronous: nobody owes liveness while it lasts. One that loses nothing, and makes
nothing later than a network may (``HARMLESS_NS``), costs nobody anything.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import ClassVar

from nemesis.faults.fault import Params, Victims
from nemesis.faults.shapes import CLIENTS, cover, host
from nemesis.faults.tampering import TampersWithPackets
from nemesis.machinery import Link
from nemesis.packets.tamperer import RuleData

HARMLESS_NS = 5_000_000
"""What is late by no more is late as packets are."""
CHARGES = (
    "liveness: the fewest replicas that touch all its links, if they are at most f; if more, nobody owes it "
    "while it lasts; never safety"
)
_EVERYWHERE = (None, "PRE_PREPARE", "PREPARE", "COMMIT", "REPLY", "REQUEST")
"""Types that every run has many of."""


class NetworkFault(TampersWithPackets):
    """``action``: of its one rule; the parameters are the rule's."""

    family = "network"
    charges: str = CHARGES
    action: ClassVar[str]

    def check(self, params: Params, n: int) -> str | None:
        """See ``FaultKind``."""
        return self.check_rules(params, n)

    def rules(self, params: Params, n: int, f: int) -> Sequence[RuleData]:
        """See ``TampersWithPackets``."""
        return ({**params, "action": self.action},)

    def costs(self, params: Params) -> bool:
        """May it lose a packet, or make one later than ``HARMLESS_NS``?"""
        return True

    def victims(self, params: Params, n: int, f: int) -> Victims:
        """See ``FaultKind``."""
        return sufferers(params, n, f) if self.costs(params) else Victims(frozenset())


def sufferers(params: Params, n: int, f: int) -> Victims:
    """Whom it makes bad that messages on the links of ``params["match"]`` do not come in time."""
    match = params.get("match", {})
    assert isinstance(match, Mapping)
    everybody = [*(host(replica) for replica in range(n)), CLIENTS]
    links = [
        Link(source, target)
        for source in match.get("from", everybody)
        for target in match.get("to", everybody)
        if source != target
    ]
    bad = cover(links)
    return Victims(bad) if len(bad) <= f else Victims(frozenset(), network=True)


def draw_match(
    stream: random.Random, n: int, f: int, everywhere: bool, shares: Sequence[float]
) -> dict[str, object]:
    """Half the time all links, and always if ``everywhere``; else those from, or to, at most f replicas. Of
    one type of message, sometimes. So aimed that some packet is met whoever is primary."""
    share = stream.choice(shares)
    match: dict[str, object] = {}
    if everywhere or stream.random() < 0.5:
        kind = stream.choice(_EVERYWHERE)
    else:
        replicas = [host(replica) for replica in sorted(stream.sample(range(n), stream.randint(1, f)))]
        match[stream.choice(("from", "to"))] = replicas
        kind = "COMMIT" if stream.random() < 0.3 else None
    if kind is not None:
        match["types"] = [kind]
        share = max(shares)
    return match if share == 1 else {**match, "p": share}
