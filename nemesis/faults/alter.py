"""Alters fields of messages: as a liar, who seals them anew, or as a bad link, which cannot."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from nemesis.faults.fault import Params, Victims
from nemesis.faults.tampering import MATCH_WORDS, TampersWithPackets
from nemesis.packets.tamperer import RuleData

_DRAWN: tuple[tuple[tuple[str, ...], Params], ...] = (
    (("COMMIT",), {"digest": "random"}),
    (("COMMIT",), {"seq": "+1"}),
    (("COMMIT",), {"view": "+1"}),
    (("PREPARE", "COMMIT"), {"digest": "known"}),
    (("PREPARE", "COMMIT"), {"sender": "+1"}),
    (("PRE_PREPARE", "COMMIT"), {"digest": "flip"}),
    (("CHECKPOINT", "COMMIT"), {"digest": "flip"}),
    (("CHECKPOINT", "COMMIT"), {"seq": "+1"}),
    (("VIEW_CHANGE", "NEW_VIEW", "COMMIT"), {"view": "+1"}),
    (("REPLY",), {"result": "flip", "result_digest": "flip"}),
    (("REPLY",), {"seq": "-1"}),
)
"""Types and fields. Every replica sends COMMIT and REPLY: there is always something to alter."""


class AlteredFields(TampersWithPackets):
    """See the module."""

    name = "alter"
    label = "alter"
    colour = "#CC79A7"
    description = (
        "Sets fields of messages, by name, to other values: of what its replicas send, sealed anew with "
        "their keys; or, with reseal false, of any packet, whose seal then breaks."
    )
    charges = "safety and liveness: its replicas lie; with reseal false liveness only, as a lossy link does"

    parameters: Mapping[str, str] = MappingProxyType(
        {
            "replicas": "who lies; not with reseal false",
            "match": MATCH_WORDS,
            "set": "fields and values: a number, a type, +1, -1, random, flip, hex:…, known (the digest of "
            "the number before), batch (the digest of the altered batch), empty, shorter, doubled, reversed",
            "reseal": "true (the default): sealed anew with the liar's keys; false: the seal breaks",
        }
    )

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {"replicas": [1], "match": {"types": ["COMMIT"], "to": ["r2"]}, "set": {"seq": "+1"}}

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        who = sorted(liars) or sorted(stream.sample(range(n), f + budget_break))
        types, fields = stream.choice(_DRAWN)
        match = {"types": list(types), "p": stream.choice((1, 0.5, 0.2))}
        return {"replicas": list(who), "match": match, "set": dict(fields)}

    def check(self, params: Params, n: int) -> str | None:
        """See ``FaultKind``."""
        return self.check_rules(params, n)

    def rules(self, params: Params, n: int, f: int) -> Sequence[RuleData]:
        """See ``TampersWithPackets``."""
        return ({**params, "action": "alter"},)

    def victims(self, params: Params, n: int, f: int) -> Victims:
        """See ``FaultKind``."""
        replicas = params.get("replicas")
        if not isinstance(replicas, list):
            return Victims(frozenset(), network=True)
        return Victims(frozenset(replicas), byzantine=frozenset(replicas))
