"""Histories of Jepsen and Knossos: maps of EDN, in a vector or a list, one a line, or one behind the other.

    {:process 0, :type :invoke, :f :cas, :value [1 2], :time 1093, :index 7}

`:process` is a number; another one (`:nemesis`) is no client. `:time` (ns) and `:index` may be left out, by
all. Records (`#jepsen.history.Op{…}`) are their maps. Keys: `:key`, or values that are all `[key value]`.
`:fail` means that it never happened, unless asked otherwise.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NoReturn

from checker.formats.edn import Atom, EdnError, EdnMap, Form, Tagged, elements, forms, write
from checker.formats.foreign import NO_KEY, OWN_F, OWN_OUTPUT, OWN_PHASE, Event, Parsed
from checker.formats.reading import Options
from checker.formats.shapes import wire
from checker.formats.text import decoded
from checker.history import HistoryError
from checker.models import MODEL_NAMES

FORMAT = "jepsen-edn"
_MEND = "Correct that line, or judge a complete copy of the history"
_TYPES = ("invoke", "ok", "fail", "info")
_PROCESS, _TYPE, _F, _VALUE, _KEY, _TIME, _INDEX, _ERROR, _MODEL, _INITIAL, _INDEPENDENT = (
    Atom("keyword", f":{name}")
    for name in (
        "process",
        "type",
        "f",
        "value",
        "key",
        "time",
        "index",
        "error",
        "model",
        "initial",
        "independent",
    )
)
_OWN = (OWN_F, OWN_OUTPUT, OWN_PHASE)
_TUPLES = ("jepsen.independent/tuple", "jepsen.independent/Tuple", "jepsen.independent.Tuple")
_OURS = re.compile(r";; traitor (\{.*\})\s*$", re.MULTILINE)
"""How our own export begins: model, initial state and whether values are [key value]."""


def parse(content: bytes, source: str, options: Options) -> Parsed:
    """The events of the file. Raises HistoryError."""
    text = decoded(content, source)
    reader = _Reader(source)
    torn: int | None = None
    try:
        for line, form in elements(text):
            reader.take(line, form)
    except EdnError as error:
        if not (error.torn and options.forgive_torn_tail):
            raise refusal(source, error) from None
        torn = error.line
    ours = _ours(text)
    keyed = ours.get(_INDEPENDENT) is not None if ours else _independent(reader.events)
    events = [_split(event) for event in reader.events] if keyed else reader.events
    model = ours.get(_MODEL) if ours else None
    initial = wire(ours.get(_INITIAL)) if ours else None
    return Parsed(
        source=source,
        sha256=hashlib.sha256(content).hexdigest(),
        format=FORMAT,
        events=events,
        fail="never-happened",
        model=model if isinstance(model, str) and model in MODEL_NAMES else None,
        initial=initial,
        says_initial=bool(ours),
        torn_line=torn,
        notes=("every value is [key value]: the keys are independent objects",) if keyed and not ours else (),
    )


def refusal(source: str, error: EdnError) -> HistoryError:
    """A place that is not EDN."""
    advice = "Delete what is incomplete if the rest is whole, or record it again" if error.torn else _MEND
    return HistoryError(source, error.line, error.reason, advice)


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source
        self._index = -1
        self._line = 0
        self.events: list[Event] = []

    def take(self, line: int, form: Form) -> None:
        """One operation of the file."""
        self._line = line
        fields = form.form if isinstance(form, Tagged) else form
        if not isinstance(fields, EdnMap):
            self._refuse(f"an operation is a map, {{:process 0, :type :invoke …}}, not {_show(form)}")
        if _PROCESS not in fields or _TYPE not in fields:
            self._refuse(f"{':process' if _PROCESS not in fields else ':type'} is missing")
        kind = name_of(fields[_TYPE])
        if kind not in _TYPES:
            self._refuse(f":type {_show(fields[_TYPE])} is unknown: it is one of {', '.join(_TYPES)}")
        process = self._process(fields[_PROCESS])
        f = name_of(fields.get(_F))
        if f is None:
            if process is not None:
                self._refuse(
                    f":f {_show(fields.get(_F))} is not a keyword" if _F in fields else ":f is missing"
                )
            f = _show(fields.get(_F))
        time_ns, index = self._number(fields, _TIME), self._number(fields, _INDEX)
        if index is not None:
            if index <= self._index:
                self._refuse(f":index {index} comes after {self._index}: the lines are not in order")
            self._index = index
        error = fields.get(_ERROR)
        if error is not None and not isinstance(error, str):
            error = write(error)
        extra = fields if any(name in fields for name in _OWN) else None
        key, value = fields.get(_KEY, NO_KEY), fields.get(_VALUE)
        self.events.append(
            Event(line, process, kind, f, key, value, time_ns, error, number=index, extra=extra)
        )

    def _process(self, process: Form) -> int | None:
        if isinstance(process, Atom) and process.kind == "keyword":
            return None
        if type(process) is not int or process < 0:
            self._refuse(f":process {_show(process)} is neither a number from 0 on nor a keyword")
        return process

    def _number(self, fields: EdnMap, name: Atom) -> int | None:
        value = fields.get(name)
        if value is not None and (type(value) is not int or value < 0):
            self._refuse(f"{name.text} {_show(value)} is not a number from 0 on")
        return value

    def _refuse(self, reason: str) -> NoReturn:
        raise HistoryError(self._source, self._line, reason, _MEND)


def name_of(form: Form) -> str | None:
    """A keyword's name, or a string."""
    if isinstance(form, Atom) and form.kind == "keyword":
        return form.text[1:]
    return form if isinstance(form, str) else None


def _ours(text: str) -> EdnMap | None:
    """What our own export says of itself, in a comment for everybody else."""
    found = _OURS.match(text)
    if found is None:
        return None
    try:
        ((_, fields),) = forms(found.group(1))
    except (EdnError, ValueError):
        return None
    return fields if isinstance(fields, EdnMap) else None


def _pair(value: Form) -> tuple[Form, Form] | None:
    """Key and value of an independent tuple."""
    if isinstance(value, Tagged) and value.tag in _TUPLES:
        value = value.form
        if isinstance(value, EdnMap):
            value = tuple(value.get(Atom("keyword", f":{name}")) for name in ("key", "value"))
    return value if isinstance(value, tuple) and len(value) == 2 else None


def _independent(events: Sequence[Event]) -> bool:
    """Whether values are [key value]: every call's is a pair, and some could not be one by themselves.

    A read is called with nil, a compare-and-set with [old new]; so [k nil] and [k [old new]] tell.
    """
    calls = [event for event in events if event.process is not None and event.type == "invoke"]
    if any(event.key is not NO_KEY for event in calls):
        return False
    return bool(calls) and all(_pair(event.value) is not None for event in calls) and any(map(_tells, calls))


def _tells(event: Event) -> bool:
    if isinstance(event.value, Tagged):
        return True
    pair = _pair(event.value)
    assert pair is not None
    if event.f == "cas":
        return isinstance(pair[1], tuple) and len(pair[1]) == 2
    return pair[1] is None


def _split(event: Event) -> Event:
    """The event with its key apart. An answer may leave both out."""
    pair = _pair(event.value)
    return event if pair is None or event.process is None else event._replace(key=pair[0], value=pair[1])


def _show(form: Form) -> str:
    text = write(form)
    return text if len(text) <= 60 else text[:57] + "…"
