"""Messages of replicas taken apart: votes, VIEW-CHANGEs, NEW-VIEWs, and all frames inside them.

After ARCHITECTURE.md and section 4 of the paper, not after the code of the accused. Bytes are hostile:
what is not exactly one encoding is None. Work is bounded by the length of the message: nothing nests deeper
than a CHECKPOINT or PREPARE in a VIEW-CHANGE in a NEW-VIEW.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from checker.wire import FRAGMENT, PRE_PREPARE, REPLY, Frame, frame_at

PREPARE, COMMIT, CHECKPOINT, VIEW_CHANGE, NEW_VIEW = 3, 4, 6, 7, 8
STATE_META, DECIDED, QUERY_VIEW = 13, 17, 18
VOTES = frozenset({PRE_PREPARE, PREPARE, COMMIT})
DIGESTS = VOTES | {CHECKPOINT, DECIDED}
"""Their body is a digest and nothing else."""
CARRIERS = DIGESTS | {REPLY, VIEW_CHANGE, NEW_VIEW, STATE_META, FRAGMENT, QUERY_VIEW}
"""Types of datagrams in which signed messages of replicas stand."""
NAMES = {
    PRE_PREPARE: "PRE-PREPARE",
    PREPARE: "PREPARE",
    COMMIT: "COMMIT",
    REPLY: "REPLY",
    CHECKPOINT: "CHECKPOINT",
    VIEW_CHANGE: "VIEW-CHANGE",
    NEW_VIEW: "NEW-VIEW",
    DECIDED: "DECIDED",
}
_U16 = struct.Struct(">H")


class Certificate(NamedTuple):
    """An element of P: a PRE-PREPARE and the PREPAREs to it."""

    proposal: Frame
    prepares: tuple[Frame, ...]


class ViewChange(NamedTuple):
    """<VIEW-CHANGE, v, n, C, P, i>: `frame` has v, n and i."""

    frame: Frame
    proof: tuple[Frame, ...]
    """C."""
    prepared: tuple[Certificate, ...]
    """P."""


class NewView(NamedTuple):
    """<NEW-VIEW, v, V, O>."""

    frame: Frame
    changes: tuple[ViewChange, ...]
    order: tuple[Frame, ...]


class _Malformed(Exception):
    pass


class _Body:
    """Reads a body from its beginning to its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def count(self) -> int:
        if self._at + _U16.size > len(self._data):
            raise _Malformed
        (number,) = _U16.unpack_from(self._data, self._at)
        self._at += _U16.size
        return int(number)

    def frame(self, kind: int) -> Frame:
        found = frame_at(self._data, self._at)
        if found is None or found[0].type != kind:
            raise _Malformed
        self._at = found[1]
        return found[0]

    def frames(self, kind: int) -> tuple[Frame, ...]:
        return tuple(self.frame(kind) for _ in range(self.count()))

    def end(self) -> None:
        if self._at != len(self._data):
            raise _Malformed


def view_change_in(frame: Frame) -> ViewChange | None:
    """Of a VIEW-CHANGE frame."""
    try:
        return _view_change(frame)
    except _Malformed:
        return None


def _view_change(frame: Frame) -> ViewChange:
    body = _Body(frame.body)
    proof = body.frames(CHECKPOINT)
    prepared = tuple(Certificate(body.frame(PRE_PREPARE), body.frames(PREPARE)) for _ in range(body.count()))
    body.end()
    return ViewChange(frame, proof, prepared)


def new_view_in(frame: Frame) -> NewView | None:
    """Of a NEW-VIEW frame."""
    body = _Body(frame.body)
    try:
        changes = tuple(_view_change(change) for change in body.frames(VIEW_CHANGE))
        order = body.frames(PRE_PREPARE)
        body.end()
    except _Malformed:
        return None
    return NewView(frame, changes, order)


def message_in(datagram: bytes) -> Frame | None:
    """The frame a datagram is; what may follow it (the batch of a PRE-PREPARE) is not under its signature."""
    found = frame_at(datagram)
    return None if found is None else found[0]


def inside(frame: Frame) -> Iterator[tuple[Frame, str]]:
    """Frames that a message shows, and where in it; of a NEW-VIEW also those of its VIEW-CHANGEs."""
    if frame.type == VIEW_CHANGE:
        change = view_change_in(frame)
        if change is not None:
            yield from _of_change(change)
    elif frame.type == NEW_VIEW:
        new_view = new_view_in(frame)
        if new_view is not None:
            where = f"in {said(frame)}"
            for change in new_view.changes:
                yield change.frame, where
                for shown, deeper in _of_change(change):
                    yield shown, f"{deeper}, {where}"
            for proposal in new_view.order:
                yield proposal, where
    elif frame.type == STATE_META:
        body = _Body(frame.body)
        try:
            yield from (
                (vote, f"in STATE-META of replica {frame.sender}") for vote in body.frames(CHECKPOINT)
            )
        except _Malformed:
            return


def _of_change(change: ViewChange) -> Iterator[tuple[Frame, str]]:
    where = f"in {said(change.frame)}"
    for vote in change.proof:
        yield vote, where
    for certificate in change.prepared:
        yield certificate.proposal, where
        for vote in certificate.prepares:
            yield vote, where


def said(frame: Frame) -> str:
    """In words: which message of whom."""
    name = NAMES.get(frame.type, f"message of type {frame.type}")
    where = f"view {frame.view}"
    if frame.type in VOTES:
        where = f"view {frame.view}, number {frame.seq}"
    elif frame.type in (CHECKPOINT, DECIDED):
        where = f"number {frame.seq}"
    elif frame.type == REPLY:
        where = f"request {frame.seq}"
    return f"{name} of replica {frame.sender} for {where}"
