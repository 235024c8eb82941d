"""The kinds of lies about state transfer and retransmission (sections 5.2 and 5.3 of the paper)."""

from __future__ import annotations

from nemesis.faults.lies.pushed import LAG, NONE, STUMBLE, PushedLying
from nemesis.lies.state_flood import StateFlood
from nemesis.lies.state_lie import StateLie


class LiesAboutState(PushedLying):
    """See its summary. ``lag`` makes somebody ask."""

    name = "state-lie"
    label = "state lie"
    lies = StateLie
    pushes = (LAG, LAG, STUMBLE)
    summary = "Hands out wrong, old or no state, and false batches, decisions and views."


class FloodsWithQuestions(PushedLying):
    """See its summary."""

    name = "question-flood"
    label = "question flood"
    lies = StateFlood
    pushes = (NONE,)
    summary = "Asks every other replica for state, parts, batches or another view, every 10 ms."
