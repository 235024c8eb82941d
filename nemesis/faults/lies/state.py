"""The kinds of lies about state transfer and retransmission (sections 5.2 and 5.3 of the paper)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from nemesis.faults.fault import Params
from nemesis.faults.lies.pushed import BODIES, LAG, NONE, STUMBLE, PushedLying
from nemesis.lies.state_flood import StateFlood
from nemesis.lies.state_lie import StateLie


class LiesAboutState(PushedLying):
    """See its summary. ``lag`` makes somebody ask."""

    name = "state-lie"
    label = "state lie"
    lies = StateLie
    pushes = (LAG, LAG, STUMBLE)
    summary = "Hands out wrong, old or no state, and false batches, decisions and views."

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``. Who fetches a state asks for no batch, nor who proposes them."""
        drawn = super().draw(stream, n, f, budget_break, liars)
        if drawn["strategy"] != "false-batch":
            return drawn
        return self._whole({**drawn, "push": BODIES, "behind": stream.randrange(1, n)}, n)


class FloodsWithQuestions(PushedLying):
    """See its summary."""

    name = "question-flood"
    label = "question flood"
    lies = StateFlood
    pushes = (NONE,)
    least_hold_ns = 0
    summary = "Asks every other replica for state, parts, batches or another view, every 10 ms."
