"""Events and effects as one line each, for people who look for the moment something went wrong.

Only headers are taken apart, and every number shown is what the bytes claim: a datagram in a journal may
come from anybody.
"""

from __future__ import annotations

from pbft_node.core.effects import (
    CancelTimer,
    Compact,
    Effect,
    Halt,
    Persist,
    Rejected,
    Send,
    SetTimer,
    Trace,
)
from pbft_node.core.events import ClockMoved, Event, Received, Started
from pbft_node.core.frames import MessageType, peek
from pbft_node.core.records import RecordType
from pbft_node.core.types import FIRST_CLIENT_ID
from pbft_node.journal_reader import Start

_TYPES = {int(kind): kind.name.replace("_", "-") for kind in MessageType}
_RECORDS = {int(kind): kind.name for kind in RecordType}
_TIMESTAMPED = ("REQUEST", "REPLY")
MAX_FIELDS = 160


def seconds(at_ns: int, zero_ns: int) -> str:
    """A point in time for people: since the load began."""
    return f"{(at_ns - zero_ns) / 1e9:.6f} s"


def event_words(event: Event | Start) -> str:
    """What happened."""
    if isinstance(event, Received):
        return datagram_words(event.data, "from")
    if isinstance(event, Started | Start):
        count = event.count if isinstance(event, Start) else len(event.records)
        return f"started, with {counted(count, 'record')} from its log"
    if isinstance(event, ClockMoved):
        off_s = (event.own_ns - event.at_ns) / 1e9
        return f"its clock was moved: {off_s:+.6f} s, running at {event.rate / 1e9:g} of the true one's rate"
    return f"timer {event.name!a:.40} fired (generation {event.generation})"


def datagram_words(data: bytes, direction: str) -> str:
    """``COMMIT from 2, view 0, seq 57 (80 bytes)``; ``direction`` is ``from``, or empty for who sends it."""
    header = peek(data)
    name = _TYPES.get(header[0]) if header is not None else None
    if header is None or name is None:
        return f"{counted(len(data), 'byte')} that are no message"
    _, sender, view, seq = header
    who = f"client {sender}" if sender >= FIRST_CLIENT_ID else str(sender)
    place = f"timestamp {seq}" if name in _TIMESTAMPED else f"view {view}, seq {seq}"
    return f"{name}{f' {direction} {who}' if direction else ''}, {place} ({counted(len(data), 'byte')})"


def effect_words(effect: Effect) -> str:
    """What the core asked for."""
    match effect:
        case Send(to, data):
            whom = f"client {to}" if to >= FIRST_CLIENT_ID else f"replica {to}"
            return f"send to {whom}: {datagram_words(data, '')}"
        case Persist(record):
            kind = _RECORDS.get(record[0], "unknown") if record else "empty"
            return f"persist {kind} ({counted(len(record), 'byte')})"
        case Compact(records):
            return f"compact the log to {counted(len(records), 'record')}"
        case SetTimer(name, generation, delay_ns):
            return f"set timer {name} (generation {generation}) to {delay_ns / 1e6:g} ms"
        case CancelTimer(name):
            return f"cancel timer {name}"
        case Trace(kind, fields):
            return shortened(f"trace {kind} " + " ".join(f"{key}={value}" for key, value in fields.items()))
        case Rejected(sender, message, reason):
            return shortened(f"reject {message} of {sender}: {reason}")
        case Halt(reason):
            return shortened(f"halt: {reason}")
        case _:
            return shortened(repr(effect))


def counted(number: int, noun: str) -> str:
    """``1 record``, ``2 records``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def shortened(text: str) -> str:
    """One printable line that is not endless."""
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return line if len(line) <= MAX_FIELDS else line[: MAX_FIELDS - 1] + "…"
