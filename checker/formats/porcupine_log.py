"""Jepsen's logs of etcd, as Porcupine judges them: one event a line, the order of the lines is the time.

    INFO  jepsen.util - 3    :invoke :cas    [0 4]

Columns are parted by tabs or by spaces. What is particular (all of it from Porcupine): a `:fail` of a
compare-and-set observed another value; a `:fail` of a read that timed out is a read of an unknown result,
which ended there; `:info` is pending for ever; the value at first is nil. Lines of other loggers are passed
over and counted; a line of `jepsen.util` that is no event is refused.
"""

from __future__ import annotations

import hashlib
import re

from checker.formats.edn import Atom, EdnError, Form, forms
from checker.formats.foreign import NO_KEY, Event, Parsed
from checker.formats.reading import Options
from checker.formats.text import decoded
from checker.history import HistoryError

FORMAT = "porcupine-log"
MODEL = "cas-register"
_EVENT = re.compile(
    r"(?:[^\n]*?\s)?INFO\s+jepsen\.util\s+-\s+(?:([0-9]{1,18})|:[\w-]+)\s+"
    r":(invoke|ok|fail|info)\s+:([\w*!?+-]+)(?:\s+(\S[^\n]*))?\Z",
    re.ASCII,
)
_OTHER = re.compile(
    r"(?:[^\n]*?\s)?(?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\s+(?!jepsen\.util\s)[\w.$-]+\s+-(\s|\Z)", re.ASCII
)
_TIMED_OUT = Atom("keyword", ":timed-out")


def parse(content: bytes, source: str, options: Options) -> Parsed:
    """The events of the file. Raises HistoryError."""
    text = decoded(content, source)
    events: list[Event] = []
    lines = text.split("\n")
    torn: int | None = None
    others = 0
    for number, line in enumerate(lines, start=1):
        event = _event(number, line)
        if event is not None:
            events.append(event)
        elif _OTHER.match(line):
            others += 1
        elif line.strip():
            if number == len(lines):
                if not options.forgive_torn_tail:
                    reason = "the file ends in the middle of this line"
                    advice = "Delete the half line if the rest is complete, or record it again"
                    raise HistoryError(source, number, reason, advice)
                torn = number
                break
            reason = "the line is not `INFO  jepsen.util - PROCESS :TYPE :F VALUE`"
            raise HistoryError(
                source, number, reason, "Correct that line, or judge a complete copy of the log"
            )
    notes = [f"{others} lines of other loggers are passed over"] if others else []
    if events and events[-1].line == len(lines):  # of 12 may be left 1
        notes.append(f"line {len(lines)}, the last, has no line end: if it is torn, its value may be another")
    return Parsed(
        source=source,
        sha256=hashlib.sha256(content).hexdigest(),
        format=FORMAT,
        events=events,
        fail="observer",
        model=MODEL,
        torn_line=torn,
        notes=tuple(notes),
    )


def _event(number: int, line: str) -> Event | None:
    found = _EVENT.match(line.strip())
    if found is None:
        return None
    process, kind, f, rest = found.groups()
    try:
        values: list[Form] = [form for _, form in forms(rest or "nil")]
    except EdnError:
        return None
    if not values or (len(values) > 2 and process is not None):
        return None
    value, error = values[0], values[1].text if len(values) > 1 and isinstance(values[1], Atom) else None
    if value == _TIMED_OUT:
        value, error = None, _TIMED_OUT.text
    return Event(
        line=number,
        process=None if process is None else int(process),
        type=kind,
        f=f,
        key=NO_KEY,
        value=value,
        error=None if error is None else error.removeprefix(":"),
        unknown_result=kind == "fail" and f == "read",
    )
