"""Histories of other checkers: what their readers find, and what becomes of it.

A reader of a format makes `Event`s, `checker.formats.pairing` makes operations of them. What they mean:
`:invoke` and `:ok` are the ends of an interval. `:info`: it may happen at any time from its call on, or
never, also if its process goes on (under a new number here). `:fail`: never happened, or, if asked for or
usual in the format, a failed compare-and-set is an observer that found another value. Without times the
order of the lines is the time. Nothing is skipped in silence (`Reading.notes`); what breaks a rule is refused
with its line.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from checker.formats.edn import Atom, EdnMap, Form
from checker.formats.reading import FailPolicy

ONLY_KEY = "x"
"""The name of the one object of a history without keys."""


class NoKey:
    """Stands for the key of an operation that has none."""


NO_KEY: Final = NoKey()
OWN_F, OWN_INPUT, OWN_OUTPUT, OWN_PHASE = (
    Atom("keyword", f":traitor/{name}") for name in ("f", "input", "output", "phase")
)
"""What our own export adds where Jepsen's words say less than the operation did."""


class Event(NamedTuple):
    """A line, or a map of EDN. `process`: None for the nemesis and others that are no clients."""

    line: int
    process: int | None
    type: str
    """`invoke`, `ok`, `fail` or `info`."""
    f: str
    key: Form
    value: Form
    time_ns: int | None = None
    error: str | None = None
    unknown_result: bool = False
    """A `fail` that says only that the result is not known."""
    number: int | None = None
    """`:index`, where there is one."""
    extra: EdnMap | None = None
    """The whole map, if it has what only our own export says."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A file's events and what is known of them before they are paired."""

    source: str
    sha256: str
    format: str
    events: Sequence[Event]
    fail: FailPolicy
    model: str | None = None
    """The format's, or what the file says."""
    initial: Hashable = None
    says_initial: bool = False
    """The file says so; None is then the model's own beginning."""
    torn_line: int | None = None
    notes: tuple[str, ...] = ()
