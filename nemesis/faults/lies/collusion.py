"""All liars of a plan do the same at once, with one memory: they lie in VIEW-CHANGEs and in NEW-VIEWs.

At n = 7 the liars are two neighbours where the plan leaves the choice: then two views in a row are theirs.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from nemesis.faults.fault import Params
from nemesis.faults.lies.pushed import VIEWS, PushedLying
from nemesis.lies.lie import Strategy
from nemesis.lies.new_view_lie import NewViewLie
from nemesis.lies.view_change_lie import ViewChangeLie
from nemesis.packets.tamperer import RuleData

_PARTS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "halves": ("two-faced", "two-valid"),
        "erase": ("stripped", "nulled"),
        "forge": ("forged-certificate", "replaced"),
        "stall": ("withheld", "to-few"),
    }
)
"""What they say in VIEW-CHANGEs, and as primaries in NEW-VIEWs."""


class _Together(NewViewLie):
    """Names the strategies; it is never at work itself."""

    action = "collude"
    strategies: ClassVar[Mapping[str, Strategy]] = MappingProxyType(
        {
            "halves": Strategy(
                "One truth for each half: other VIEW-CHANGEs, other valid NEW-VIEWs, and votes for both."
            ),
            "erase": Strategy("Nothing was prepared, and the primary orders null requests in its place."),
            "forge": Strategy(
                "Certificates that they sign for each other, and a primary that orders other batches."
            ),
            "stall": Strategy("VIEW-CHANGEs at the last moment, and a NEW-VIEW for f+1 only."),
        }
    )


class Collusion(PushedLying):
    """See the module."""

    name = "collude"
    label = "collude"
    lies = _Together
    pushes = (VIEWS,)
    summary = "All liars tell the same lies together in VIEW-CHANGEs and NEW-VIEWs, and vote with each other."

    def wished_liars(self, n: int) -> Sequence[int]:
        """Where several lie, neighbours whose turn comes soon."""
        f = (n - 1) // 3
        return tuple(range(1, f + 1)) if f > 1 else ()

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        first = stream.randrange(n)
        together = [(first + step) % n for step in range(f + budget_break)]
        return super().draw(stream, n, f, budget_break, liars or together)

    def check(self, params: Params, n: int) -> str | None:
        """See ``FaultKind``."""
        strategy = params.get("strategy")
        if not isinstance(strategy, str) or strategy not in _PARTS:
            return f"strategy = {strategy!r:.80}: choose one of {', '.join(_PARTS)}"
        return super().check(params, n)

    def lie_rules(self, params: Params, n: int, f: int) -> Sequence[RuleData]:
        """See ``PushedLying``: a rule for VIEW-CHANGEs, one for NEW-VIEWs."""
        (rule,) = super().lie_rules(params, n, f)
        kinds = ViewChangeLie.action, NewViewLie.action
        said = _PARTS[str(params["strategy"])]
        return [
            {**rule, "action": action, "strategy": strategy}
            for action, strategy in zip(kinds, said, strict=True)
        ]
