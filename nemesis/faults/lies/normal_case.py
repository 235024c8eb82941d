"""The kinds of lies of the normal case (sections 4.1 to 4.3 of the paper)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from nemesis.faults.fault import Params
from nemesis.faults.lies.lying import Lying
from nemesis.lies.checkpoint_lie import CheckpointLie
from nemesis.lies.equivocate import Equivocate
from nemesis.lies.forged_request import ForgedRequest
from nemesis.lies.lie import PRIMARY
from nemesis.lies.lie_to_client import LieToClient
from nemesis.lies.replay_own import ReplayOwn
from nemesis.lies.silence import Silence
from nemesis.lies.slow_primary import SlowPrimary
from nemesis.lies.spam_status import SpamStatus
from nemesis.lies.unfair_order import UnfairOrder
from nemesis.lies.wrong_field import WrongField

_SELDOM = ("checkpoints", "replies")
"""Of such messages there are too few for a share of them."""


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
            return {**drawn, "p": 1} if drawn["strategy"] in _SELDOM else drawn
        surest = {"strategy": "proposals", "split": "half", "coherent": True, "eager": True}
        return {**drawn, **surest, "dethrone": True, "p": 1}


class WrongFields(Lying):
    """See its summary."""

    name = "wrong-field"
    label = "wrong field"
    lies = WrongField
    summary = "Votes and proposes with a wrong digest, view, number, sender or type."


class ForgedRequests(Lying):
    """See its summary. Where replica 0 lies, it proposes; relays need a primary that does not lie."""

    name = "forged-request"
    label = "forged request"
    lies = ForgedRequest
    summary = "Proposes requests that no client signed, or that do not belong there, or relays such."

    @staticmethod
    def _fits(role: str, who: Sequence[int]) -> bool:
        return (role == PRIMARY) == (0 in who)


class LiesToClients(Lying):
    """See its summary."""

    name = "lie-to-client"
    label = "lie to client"
    lies = LieToClient
    summary = (
        "Replies wrongly, too early, in others' names, too often or not at all; colluders tell the same."
    )

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``. Of the few replies to one client, all."""
        drawn = super().draw(stream, n, f, budget_break, liars)
        return {**drawn, "p": 1} if drawn["clients"] == "one" else drawn


class CheckpointLies(Lying):
    """See its summary."""

    name = "checkpoint-lie"
    label = "checkpoint lie"
    lies = CheckpointLie
    shares = (1,)
    summary = "Announces wrong, future, old or no checkpoints."


class SelectiveSilence(Lying):
    """See its summary."""

    name = "silence"
    label = "silence"
    lies = Silence
    summary = "Says nothing to some, of some types, or about some numbers."


class SlowPrimaries(Lying):
    """See its summary."""

    name = "slow-primary"
    label = "slow primary"
    lies = SlowPrimary
    leads = True
    shares = (1,)
    summary = "Proposes as late as it can without a request timer firing."


class UnfairOrders(Lying):
    """See its summary."""

    name = "unfair-order"
    label = "unfair order"
    lies = UnfairOrder
    leads = True
    shares = (1, 1, 0.5)
    summary = "Orders real requests unfairly, the same for everybody."


class ReplaysItself(Lying):
    """See its summary."""

    name = "replay-own"
    label = "replay own"
    lies = ReplayOwn
    summary = "Says its own messages many times, late, long after, or to the wrong receiver."


class SpamsStatus(Lying):
    """See its summary."""

    name = "spam-status"
    label = "STATUS spam"
    lies = SpamStatus
    shares = (1,)
    summary = "Claims in STATUS what is not so, and too often."


NORMAL_CASE: tuple[Lying, ...] = (
    Equivocation(),
    WrongFields(),
    ForgedRequests(),
    LiesToClients(),
    CheckpointLies(),
    SelectiveSilence(),
    SlowPrimaries(),
    UnfairOrders(),
    ReplaysItself(),
    SpamsStatus(),
)
