"""Delays packets: by a constant, about normally, or with a heavy tail."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from nemesis.faults.fault import Params
from nemesis.faults.network import HARMLESS_NS, NetworkFault, draw_match
from nemesis.faults.tampering import MATCH_WORDS
from nemesis.packets.delay import MODELS, longest_ns

_MS = 1_000_000


class PacketDelay(NetworkFault):
    """See the module."""

    name = action = "delay"
    label = "delay"
    colour = "#0072B2"
    description = (
        "Delays packets by link, message type and chance: by a constant, about normally, or with a heavy "
        "tail (Pareto). Delays that differ reorder, too."
    )
    parameters: Mapping[str, str] = MappingProxyType(
        {
            "match": MATCH_WORDS,
            "model": f"one of {', '.join(MODELS)}",
            "ns": "the constant; the mean of normal; the least of pareto",
            "spread_ns": "of normal: its standard deviation",
            "shape": "of pareto: from 0.25 to 16, the smaller the heavier the tail",
            "most_ns": "of normal and pareto: no delay is longer; at most 5 s",
        }
    )

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        match = {"from": ["r1"], "types": ["PREPARE", "COMMIT"]}
        return {"match": match, "model": "pareto", "ns": 5 * _MS, "shape": 1.2, "most_ns": 800 * _MS}

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        match = draw_match(stream, n, f, budget_break, (1, 0.5, 0.1))
        model, ns = stream.choice(MODELS), stream.choice((1, 4, 15, 60)) * _MS
        if budget_break:
            ns = max(ns, 15 * _MS)
        if model == "constant":
            return {"match": match, "model": model, "ns": ns}
        if model == "normal":
            return {"match": match, "model": model, "ns": ns, "spread_ns": ns // 2, "most_ns": 4 * ns}
        shape = stream.choice((0.8, 1.2, 2.0))
        return {"match": match, "model": model, "ns": ns, "shape": shape, "most_ns": min(100 * ns, 900 * _MS)}

    def costs(self, params: Params) -> bool:
        """See ``NetworkFault``."""
        return longest_ns(params) > HARMLESS_NS
