"""VIEW-CHANGEs and NEW-VIEWs, whole, and what is at odds between them and with what their signers said else.

They are few and carry much; each different one is kept once, if its signature is good, up to a bound for each
signer, so that one that sends many does not push out the others'.
"""

from __future__ import annotations

from collections.abc import Iterator

from checker.forensics import rules
from checker.forensics.messages import (
    COMMIT,
    NEW_VIEW,
    VIEW_CHANGE,
    NewView,
    ViewChange,
    new_view_in,
    view_change_in,
)
from checker.forensics.rules import Rule, forgets, settles
from checker.forensics.slots import Place, Shown, Slots
from checker.forensics.view_rules import Cluster, highest, lowest
from checker.wire import PRE_PREPARE

MOST_OF_A_SIGNER = 4096
MOST_BYTES_OF_A_SIGNER = 32 << 20
_WIDEST = 8192
"""Numbers looked at above a stable checkpoint, where L is not told."""

Pair = tuple[Rule, Shown, Shown]
Wish = tuple[Rule, Place, int, Shown]
"""The message of that type at that place, if it is there, and this one may be at odds. The type 0: any."""


class Kept:
    """Of one run. `take` is given good ones only, each once."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._shown: dict[tuple[int, int], list[Shown]] = {}
        self._bytes: dict[int, int] = {}
        self.full = False

    def take(self, shown: Shown) -> None:
        """A VIEW-CHANGE or NEW-VIEW."""
        frame = shown.frame
        held = self._shown.setdefault((frame.sender, frame.type), [])
        size = self._bytes.get(frame.sender, 0) + len(frame.raw)
        if len(held) >= MOST_OF_A_SIGNER or size > MOST_BYTES_OF_A_SIGNER:
            self.full = True
            return
        self._bytes[frame.sender] = size
        held.append(shown)

    def all(self) -> Iterator[Shown]:
        """By signer, in the order in which they were seen."""
        for key in sorted(self._shown):
            yield from self._shown[key]

    def pairs(self) -> Iterator[Pair]:
        """That may be at odds with each other."""
        for (_, kind), held in sorted(self._shown.items()):
            first: dict[int, Shown] = {}
            for shown in held:
                before = first.setdefault(shown.frame.view, shown)
                if before is not shown:
                    conflict = rules.CONFLICTING_VIEW_CHANGES
                    yield (conflict if kind == VIEW_CHANGE else rules.CONFLICTING_NEW_VIEWS), before, shown
            if kind == VIEW_CHANGE:
                yield from _in_order(sorted(held, key=lambda one: one.frame.view))

    def wishes(self, slots: Slots) -> Iterator[Wish]:
        """Messages that may be at odds with one of these."""
        for (sender, kind), held in sorted(self._shown.items()):
            for shown in held:
                if kind == VIEW_CHANGE and (change := view_change_in(shown.frame)) is not None:
                    yield from self._against_change(sender, change, shown, slots)
                elif kind == NEW_VIEW and (message := new_view_in(shown.frame)) is not None:
                    yield from self._against_new_view(sender, message, shown, slots)

    def _against_change(self, sender: int, change: ViewChange, shown: Shown, slots: Slots) -> Iterator[Wish]:
        stable = change.frame.seq
        for number in range(stable + 1, stable + (self._cluster.window or _WIDEST) + 1):
            for view in slots.commits(sender, number):
                if forgets(change, view, number):
                    yield rules.FORGOTTEN, Place(0, sender, view, number), COMMIT, shown
        for proposal, _ in change.prepared:
            place = Place(0, sender, proposal.view, proposal.seq)
            known = slots.says(place)
            if known is not None and (known != proposal.body or place in slots.suspect):
                yield rules.VOTE_AGAINST_CERTIFICATE, place, 0, shown

    def _against_new_view(self, sender: int, message: NewView, shown: Shown, slots: Slots) -> Iterator[Wish]:
        width = self._cluster.window or _WIDEST
        low = lowest(message.changes) - width
        high = min(highest(message.changes), low + 3 * width)
        for number in range(max(1, low), high + 1):
            place = Place(0, sender, message.frame.view, number)
            if slots.says(place) is not None and settles(message, number):
                yield rules.AGAINST_NEW_VIEW, place, PRE_PREPARE, shown


def _in_order(held: list[Shown]) -> Iterator[Pair]:
    """VIEW-CHANGEs of one replica, by view: what an earlier one showed must not be gone."""
    latest: Shown | None = None
    shown_by: dict[int, tuple[int, Shown]] = {}
    for shown in held:
        change = view_change_in(shown.frame)
        if change is None:
            continue
        if latest is not None and latest.frame.seq > shown.frame.seq:
            yield rules.TAKEN_BACK, latest, shown
        for number, (view, before) in shown_by.items():
            if before.frame.view < shown.frame.view and forgets(change, view, number):
                yield rules.FORGOTTEN, before, shown
                break
        shown_by = {number: one for number, one in shown_by.items() if number > shown.frame.seq}
        for proposal, _ in change.prepared:
            if proposal.seq not in shown_by or shown_by[proposal.seq][0] < proposal.view:
                shown_by[proposal.seq] = proposal.view, shown
        if latest is None or shown.frame.seq >= latest.frame.seq:
            latest = shown
