"""A point of a replica's life, as a person names it: ``57``, ``seq:120`` or ``12.3s``.

Events of a replica are numbered from 1, through all its lives. Times count from the start of the load
phase, as in the report and in plan.json.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import UsageError

_EVENT = re.compile(r"[0-9]{1,15}\Z", re.ASCII)
_SEQ = re.compile(r"seq:([0-9]{1,15})\Z", re.ASCII)
_TIME = re.compile(r"(-?[0-9]{1,9}(\.[0-9]{1,9})?)(s|ms)\Z", re.ASCII)
_RANGE = re.compile(r"([0-9]{1,15})\.\.([0-9]{1,15})\Z", re.ASCII)
_UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000}
PAGE = 50
MAX_PAGE = 10_000


@dataclass(frozen=True, slots=True)
class Moment:
    """One of the three is not None."""

    event: int | None = None
    seq: int | None = None
    """The event in which this number was executed, the first time."""
    after_load_ns: int | None = None
    """The last event that is not later."""

    def __str__(self) -> str:
        if self.event is not None:
            return f"event {self.event}"
        if self.seq is not None:
            return f"the execution of seq {self.seq}"
        return f"{(self.after_load_ns or 0) / 1e9:g} s of load"


def parse_moment(text: str) -> Moment:
    """Raises UsageError."""
    if _EVENT.match(text) and int(text) > 0:
        return Moment(event=int(text))
    if (found := _SEQ.match(text)) and int(found[1]) > 0:
        return Moment(seq=int(found[1]))
    if found := _TIME.match(text):
        return Moment(after_load_ns=round(float(found[1]) * _UNIT_NS[found[3]]))
    raise UsageError(
        f"--until {text!a:.60} is no point of a replay",
        "Give the number of an event (57), a sequence number that is executed (seq:120), or a time since "
        "the load began (12.3s).",
    )


def parse_range(text: str) -> tuple[int, int]:
    """Of ``--events``: first and last number, inclusive. Raises UsageError."""
    if text == "":
        return 1, PAGE
    if _EVENT.match(text) and int(text) > 0:
        return int(text), int(text) + PAGE - 1
    found = _RANGE.match(text)
    if found and 0 < int(found[1]) <= int(found[2]) < int(found[1]) + MAX_PAGE:
        return int(found[1]), int(found[2])
    raise UsageError(
        f"--events {text!a:.60} is no range of events",
        f"Give the first and the last of at most {MAX_PAGE} (100..150), or the first of {PAGE} (100).",
    )
