"""What was signed for which view and number: where a replica may have signed two things.

The first pass through a run keeps one digest for each place (votes of a view and number, CHECKPOINTs and
decisions of a number, replies to a request) and notes the places where another came: no signature is
verified for that, since a bad one only makes a place suspect. The second pass collects the messages of
suspect places, verified.
"""

from __future__ import annotations

from typing import NamedTuple

from checker.forensics.messages import CHECKPOINT, COMMIT, DECIDED, VOTES
from checker.forensics.rules import reply_in
from checker.forensics.sources import Seen
from checker.wire import REPLY, Frame

MOST_PLACES = 2_000_000
MOST_SUSPECT = 50_000
MOST_SHOWN = 8
"""Different messages kept of one place."""


class Shown(NamedTuple):
    """A frame, and where it was seen first."""

    frame: Frame
    seen: Seen
    within: str
    """In which message of whom it stood; empty: it came by itself."""


class Place(NamedTuple):
    """Where a correct replica signs one thing."""

    kind: int
    """A message type; all votes are of one kind, 0."""
    sender: int
    view: int
    """Of a reply: the client."""
    number: int
    """Of a reply: the timestamp."""


def place_of(frame: Frame) -> tuple[Place, bytes] | None:
    """Of a signed frame: its place, and what it says there."""
    if frame.type in VOTES:
        return Place(0, frame.sender, frame.view, frame.seq), frame.body
    if frame.type in (CHECKPOINT, DECIDED):
        return Place(frame.type, frame.sender, 0, frame.seq), frame.body
    reply = reply_in(frame) if frame.type == REPLY else None
    return None if reply is None else (Place(REPLY, frame.sender, reply[0], reply[1]), reply[2])


class Slots:
    """Of the first pass."""

    def __init__(self) -> None:
        self._said: dict[Place, bytes] = {}
        self._answers: dict[tuple[int, int], bytes] = {}
        self._committed: dict[tuple[int, int], tuple[int, ...]] = {}
        self.suspect: dict[Place, None] = {}
        self.disputed: dict[tuple[int, int], None] = {}
        """Requests (client, timestamp) that were answered differently, by whomever."""
        self.full = False
        """There was more than is kept."""

    def take(self, frame: Frame) -> None:
        """A frame that says that it is signed."""
        found = place_of(frame)
        if found is None:
            return
        place, said = found
        known = self._said.get(place)
        if known is None:
            if len(self._said) >= MOST_PLACES:
                self.full = True
                return
            self._said[place] = said
        elif known != said:
            self.suspects(place)
        if frame.type == COMMIT:
            self._note_commit(frame)
        elif frame.type == REPLY and self._answers.setdefault(place[2:], said) != said:
            self.disputed[place[2:]] = None
            self.full |= len(self.disputed) > MOST_SUSPECT

    def suspects(self, place: Place) -> None:
        """Its messages are wanted."""
        if len(self.suspect) < MOST_SUSPECT:
            self.suspect[place] = None
        else:
            self.full = True

    def says(self, place: Place) -> bytes | None:
        """What came first there."""
        return self._said.get(place)

    def commits(self, sender: int, number: int) -> tuple[int, ...]:
        """Views in which it says that it prepared that number."""
        return self._committed.get((sender, number), ())

    def __len__(self) -> int:
        return len(self._said)

    def _note_commit(self, frame: Frame) -> None:
        key = frame.sender, frame.seq
        views = self._committed.get(key, ())
        if frame.view not in views and len(views) < MOST_SHOWN:
            self._committed[key] = (*views, frame.view)
