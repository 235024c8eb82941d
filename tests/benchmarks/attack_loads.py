"""How long a load a kind of fault needs, and which budget its plans fit in."""

from __future__ import annotations

from harness.errors import UsageError
from harness.plan import make_plan
from harness.spec import make_spec
from nemesis.faults import KINDS

_MARGIN_S = 2.0
"""Before and after the longest hold that a kind asks for."""


def time_needed(kind: str, least_s: float) -> float:
    """In seconds, and no less than that."""
    hold_s = float(getattr(KINDS[kind], "least_hold_ns", 0)) / 1e9
    return max(least_s, hold_s + _MARGIN_S if hold_s else 0.0)


def budget_needed(kind: str, nodes: int, time_s: float, seed: int) -> str:
    """`within`; but `safety` for scripts whose steps may make more than f bad at once, of whom no more than f
    lie."""
    try:
        spec = make_spec({"world": "sim", "faults": [kind], "nodes": nodes, "time": time_s, "seed": seed})
        make_plan(spec, seed)
    except UsageError:
        return "safety"
    return "within"
