"""The kinds of lies of the normal case (sections 4.1 to 4.3 of the paper)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from nemesis.faults.fault import Params
from nemesis.faults.lies.lying import Lying
from nemesis.lies.equivocate import Equivocate


class Equivocation(Lying):
    """See its summary. To break the budget it is coherent, eager, in halves, and dethrones."""

    name = "equivocate"
    label = "equivocate"
    lies = Equivocate
    summary = "Tells different receivers different things about the same number, and stays coherent."

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        drawn = super().draw(stream, n, f, budget_break, liars)
        if not budget_break:
            return drawn
        surest = {"strategy": "proposals", "split": "half", "coherent": True, "eager": True}
        return {**drawn, **surest, "dethrone": True, "p": 1}
