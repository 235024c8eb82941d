"""Flips bits of packets. No key is needed, and none helps: it is a lossy link and no liar."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from nemesis.faults.fault import Params
from nemesis.faults.network import NetworkFault, draw_match
from nemesis.faults.tampering import MATCH_WORDS
from nemesis.packets.corrupt import CHECKSUMS, MOST_BITS, WHERE


class PacketCorruption(NetworkFault):
    """See the module."""

    name = action = "corrupt"
    label = "corrupt"
    colour = "#D55E00"
    description = (
        "Flips bits of packets on the wire. With the checksum repaired the receiver gets them and must "
        "reject them; broken, its kernel drops them (in virtual worlds they are lost at once)."
    )
    parameters: Mapping[str, str] = MappingProxyType(
        {
            "match": MATCH_WORDS,
            "bits": f"from 1 to {MOST_BITS}",
            "where": f"one of {', '.join(WHERE)}: part of the frame",
            "checksum": f"one of {', '.join(CHECKSUMS)}",
        }
    )

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {
            "match": {"to": ["r2"], "p": 0.5}, "bits": 1, "where": "body", "checksum": "repaired",
        }  # fmt: skip

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        everywhere = budget_break or stream.random() < 0.5
        match = {"p": stream.choice((0.02, 0.05, 0.1, 0.2))}
        return {
            "match": match if everywhere else draw_match(stream, n, f, False, (0.1, 0.3, 0.6, 1)),
            "bits": stream.choice((1, 1, 2, 16)),
            "where": stream.choice(WHERE),
            "checksum": stream.choice(("repaired", "repaired", "broken")),
        }
