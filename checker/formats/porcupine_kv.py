"""Porcupine's histories of a store of strings: Jepsen's maps with `:key`, one a line.

    {:process 0, :type :ok, :f :get, :key "7", :value "x 0 0 y"}

`:f` is `:get`, `:put` or `:append` (to the end of the string); a key that nobody wrote holds "".
"""

from __future__ import annotations

from dataclasses import replace

from checker.formats import jepsen_edn
from checker.formats.foreign import NO_KEY, Parsed
from checker.formats.reading import Options
from checker.history import HistoryError

FORMAT = "porcupine-kv"
MODEL = "kv-append"


def parse(content: bytes, source: str, options: Options) -> Parsed:
    """The events of the file. Raises HistoryError."""
    parsed = jepsen_edn.parse(content, source, options)
    for event in parsed.events:
        if event.process is not None and event.key is NO_KEY:
            advice = "Every operation has one; a history without keys is --format jepsen-edn"
            raise HistoryError(source, event.line, ":key is missing", advice)
    initial = "" if (options.model or MODEL) == MODEL else None
    return replace(parsed, format=FORMAT, model=MODEL, initial=initial, notes=())
