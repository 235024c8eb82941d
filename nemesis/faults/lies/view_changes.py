"""The kinds of lies about view changes (section 4.4 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence

from nemesis.faults.fault import Params
from nemesis.faults.lies.pushed import FEW, NONE, RESTLESS, VIEWS, PushedLying
from nemesis.lies.new_view_lie import NewViewLie
from nemesis.lies.view_change_lie import ViewChangeLie
from nemesis.lies.view_change_spam import ViewChangeSpam

ROUND_NS = 5_000_000_000
"""Four views in a row that fail take so long with timers of 500 ms, which double from view to view."""


class LiesInViewChanges(PushedLying):
    """See its summary."""

    name = "view-change-lie"
    label = "view-change lie"
    lies = ViewChangeLie
    pushes = (RESTLESS, VIEWS)
    summary = "Lies in VIEW-CHANGEs about what was prepared and what is stable, or sends them late or again."


class SpamsViewChanges(PushedLying):
    """See its summary."""

    name = "view-change-spam"
    label = "view-change spam"
    lies = ViewChangeSpam
    pushes = (NONE, NONE, RESTLESS)
    summary = "Sends VIEW-CHANGEs for no reason, every 40 ms."


class LiesInNewViews(PushedLying):
    """See its summary. A liar must become primary: ``views`` makes it so, when every turn has come."""

    name = "new-view-lie"
    label = "new-view lie"
    lies = NewViewLie
    pushes = (VIEWS,)
    least_hold_ns = ROUND_NS
    summary = "Lies in NEW-VIEWs, and votes with everybody for what that one was told."

    def wished_liars(self, n: int) -> Sequence[int]:
        """Of many replicas one whose turn comes soon: the wait for a view doubles with each that fails."""
        return (1,) if n > FEW else ()

    @property
    def example(self) -> Params:
        """See ``FaultKind``. Replica 1 is the first whose turn comes."""
        return {**super().example, "replicas": [1]}
