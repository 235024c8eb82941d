"""Kinds of faults in which clients lie: with keys of a block of their own, made only for plans that have such
a fault. They charge no replica: all that is owed to honest clients is owed as always.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from nemesis.faults.fault import FaultKind, Params, Victims
from nemesis.faults.tampering import TampersWithPackets
from nemesis.lies.client_lies import LEAST_EVERY_NS, MOST_CLIENTS, MOST_EVERY_NS
from nemesis.packets.tamperer import RuleData

_MS = 1_000_000


class LyingClients(TampersWithPackets):
    """``how``: see ``nemesis.lies.client_requests``."""

    family = "client"
    charges = "nobody: honest clients are owed everything, and the state stays one"
    receipt = "the requests that were made up, by type and phase, and their bytes"
    parameters: Mapping[str, str] = MappingProxyType(
        {
            "clients": f"how many ids they use, from 1 to {MOST_CLIENTS}",
            "every_ns": f"from round to round, from {LEAST_EVERY_NS} to {MOST_EVERY_NS}",
        }
    )

    def __init__(self, name: str, how: str, label: str, colour: str, description: str) -> None:
        super().__init__()
        self.name, self.how, self.label, self.colour = name, how, label, colour
        self.description = description

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {"clients": 4, "every_ns": 100 * _MS}

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        return {"clients": stream.choice((1, 4, 16)), "every_ns": stream.choice((20, 50, 200)) * _MS}

    def check(self, params: Params, n: int) -> str | None:
        """See ``FaultKind``."""
        for key in params:
            if key not in self.parameters:
                return f"unknown parameter {key!r:.80}: known are {', '.join(self.parameters)}"
        return self.check_rules(params, n)

    def rules(self, params: Params, n: int, f: int) -> Sequence[RuleData]:
        """See ``TampersWithPackets``."""
        return ({**params, "action": "client", "how": self.how},)

    def victims(self, params: Params, n: int, f: int) -> Victims:
        """See ``FaultKind``."""
        return Victims(frozenset())


CLIENTS: tuple[FaultKind, ...] = (
    LyingClients(
        "client-equivocates",
        "equivocates",
        "client: two tongues",
        "#CC79A7",
        "Clients send different operations under one timestamp to different replicas.",
    ),
    LyingClients(
        "client-one-backup",
        "one-backup",
        "client: one backup",
        "#56B4E9",
        "Clients send requests to one backup only, and never to the primary.",
    ),
    LyingClients(
        "client-half-authenticated",
        "half-authenticated",
        "client: half a proof",
        "#E69F00",
        "Clients send requests that are authentic for the primary only, or for all but the primary "
        "(the MAC attack, with client_auth: mac; with signatures, wrong ones for some).",
    ),
    LyingClients(
        "client-bad-signatures",
        "bad-signatures",
        "client: bad signatures",
        "#D55E00",
        "Clients flood the replicas with requests nobody signed.",
    ),
    LyingClients(
        "client-timestamps",
        "timestamps",
        "client: timestamps",
        "#0072B2",
        "Clients use the last timestamp there is and then small ones, falling ones, and gaps.",
    ),
    LyingClients(
        "client-garbage",
        "garbage",
        "client: garbage",
        "#000000",
        "Clients send what is too long, cut short, of the wrong type, or says of itself what is not so.",
    ),
    LyingClients(
        "client-crowd",
        "crowd",
        "client: crowd",
        "#009E73",
        "Many clients at once send f+1 copies of each request to every replica.",
    ),
)
