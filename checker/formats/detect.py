"""Opens a history of any format: the one that was named, or the one its first bytes look like."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from checker.files import read_regular
from checker.formats.reading import FORMATS, Options, Reading
from checker.formats.text import without_mark
from checker.history import History, HistoryError

if TYPE_CHECKING:
    from checker.formats.foreign import Parsed

_JSON = re.compile(rb'\s*(?:\{\s*"|\{\s*\}|\[\s*"|\[\s*\{\s*")')
_LOG = re.compile(rb"[^\n]{0,80}?\b(?:TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\b[^\n]{0,80}?\s-(?:\s|\Z)")
_EDN = re.compile(rb"[\s,]*[\[({#;]")
_KEY = re.compile(rb":key[\s,]")
_LOOKED_AT_BYTES = 4096


def read_history(path: Path, format: str = "auto", options: Options | None = None) -> Reading:
    """The history in `path`. Raises HistoryError, also when it has no operations."""
    try:
        content = read_regular(path)
    except OSError as error:
        advice = "Give a run folder or a history file that can be read"
        raise HistoryError(str(path), 0, f"cannot be read ({error.strerror})", advice) from None
    reading = read_bytes(content, str(path), format, options or Options())
    if not reading.history.operations and not sum(reading.counts):
        reason = f"the history has no operations (format {reading.format})"
        advice = "There is nothing to judge; record one, or name its --format"
        raise HistoryError(str(path), 0, reason, advice)
    return reading


def read_bytes(content: bytes, source: str, format: str, options: Options) -> Reading:
    """As `read_history`, from memory, and possibly of nothing."""
    if format == "auto":
        format = detect(content, source)
    if format == "traitor":
        return _own(content, source, options)
    from checker.formats.pairing import build

    return build(_parse(content, source, format, options), options)


def detect(content: bytes, source: str) -> str:
    """The format that the content looks like. Raises HistoryError if it looks like none."""
    start = without_mark(content[:_LOOKED_AT_BYTES]).lstrip()
    if not start:
        if without_mark(content).strip():
            raise HistoryError(source, 0, f"begins with {_LOOKED_AT_BYTES} blanks", "Name its --format")
        raise HistoryError(source, 0, "the file is empty", "There is no history in it; record it again")
    if _JSON.match(start):
        return "traitor"
    if _LOG.match(start):
        return "porcupine-log"
    if _EDN.match(start):
        return "porcupine-kv" if _KEY.search(_first_map(start)) else "jepsen-edn"
    known = ", ".join(FORMATS)
    reason = f"looks like none of {known}: it begins with {start[:20]!r}"
    raise HistoryError(source, 1, reason, "Name its --format if it is one of them")


def _first_map(start: bytes) -> bytes:
    return start[start.find(b"{") : start.find(b"}") + 1]


def _parse(content: bytes, source: str, format: str, options: Options) -> Parsed:
    if format == "porcupine-log":
        from checker.formats import porcupine_log

        return porcupine_log.parse(content, source, options)
    if format == "porcupine-kv":
        from checker.formats import porcupine_kv

        return porcupine_kv.parse(content, source, options)
    assert format == "jepsen-edn", format
    from checker.formats import jepsen_edn

    return jepsen_edn.parse(content, source, options)


def _own(content: bytes, source: str, options: Options) -> Reading:
    from checker.formats import traitor

    history = traitor.read_bytes(
        without_mark(content),
        source,
        options.model,
        forgive_torn_tail=options.forgive_torn_tail,
        initial=options.initial,
    )
    processes = len({op.process for op in history.operations})
    return Reading(history, "traitor", _counts(history), processes, initial_given=options.initial is not None)


def _counts(history: History) -> tuple[int, int, int]:
    totals = Counter(operation.type for operation in history.operations)
    return totals["ok"], totals["fail"], totals["info"]
