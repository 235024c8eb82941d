"""The lines of `history.jsonl` behind its header: events become operations, what breaks a rule is refused.

A million operations are two million lines: the usual ones go through a short cut, which does all the checks
that it takes to be sure of a line, and passes on to the strict way what it is not sure of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from operator import attrgetter
from typing import NoReturn, cast

from checker.fields import name_twice, parse_json
from checker.history import HistoryError, NemesisEvent, Operation, Outcome, Phase, operation
from checker.models.base import Model

_MEND = "Correct that line, or judge a complete copy of the history"
_TYPES = ("invoke", "ok", "fail", "info")
_Begun = tuple[int, int, str, str, object, Hashable, int, Phase, "int | None", "int | None"]
"""Of an open operation: line, index, f, key, input as written and as the model takes it, call, phase, client,
timestamp."""


def parse_line(line: bytes) -> Mapping[str, object] | None:
    """The JSON object of a line; None if it is not one."""
    try:
        value = parse_json(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def freeze(value: object) -> Hashable:
    """A value of JSON, immutable. RecursionError if it is nested too deeply."""
    if isinstance(value, list):
        return tuple(freeze(element) for element in value)
    if isinstance(value, dict):
        return tuple((name, freeze(inner)) for name, inner in value.items())
    assert isinstance(value, Hashable)
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def show(value: object) -> str:
    """A value of JSON for a message."""
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= 60 else text[:57] + "…"


class Lines:
    """Turns events into operations."""

    def __init__(self, source: str, model: Model) -> None:
        self._source = source
        self._model = model
        self._line = 1
        self._clock_ns = 0
        self._time_ns = 0
        """The clock, moved on where it is too coarse to tell a call from a completion before it."""
        self._completed_ns = -1
        self._index = -1
        self.gaps = 0
        self._open: dict[int, _Begun] = {}
        self._retired: dict[int, int] = {}
        self._operations: list[Operation] = []
        self._nemesis: list[NemesisEvent] = []
        self._functions = model.functions
        self._takes_null, self._tells_null = _null_of(model)
        self._names: dict[str, str] = {}
        """One string for each name, however often it is read."""
        self._voiced: dict[tuple[int, ...], tuple[int, ...]] = {}

    def take_all(self, lines: Sequence[bytes]) -> None:
        """Every line of the file, the header first.

        Nearly all lines are calls and answers in the writer's words. What is checked of them here is what
        `take` checks; whatever is not as expected is for `take`, which accepts it or says what is wrong.
        """
        scan: Callable[[str, int], tuple[dict[str, object], int]]
        scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
        take, invoked, answered = self.take, self._invoked, self._answered
        for number in range(1, len(lines)):
            line = lines[number]
            try:
                text = line.decode()
                fields, end = scan(text, 0)
                # A name is twice only where there are more colons than names: in a value, perhaps.
                if end == len(text) and (text.count(":") == len(fields) or name_twice(line) is None):
                    kind = fields["type"]
                    if kind == "ok":
                        if answered(fields):
                            continue
                    elif kind == "invoke" and invoked(number + 1, fields):
                        continue
            except (ValueError, RecursionError, KeyError, TypeError, StopIteration):
                pass
            take(number + 1, line)

    def _invoked(self, number: int, fields: dict[str, object]) -> bool:
        """A call, if nothing about it is unusual. Otherwise nothing has changed."""
        index, time_ns, process = fields["index"], fields["time_ns"], fields["process"]
        f, key, given, phase = fields["f"], fields["key"], fields["input"], fields.get("phase", "load")
        client, timestamp = fields.get("client"), fields.get("timestamp")
        if (
            type(index) is not int or type(time_ns) is not int or type(process) is not int
            or type(f) is not str or type(key) is not str
            or index <= self._index or time_ns < self._clock_ns or process < 0
            or process in self._open or process in self._retired
            or (phase != "load" and phase != "final")
            or (client is not None and (type(client) is not int or client < 0))
            or (timestamp is not None and (type(timestamp) is not int or timestamp < 0))
        ):  # fmt: skip
            return False
        value: Hashable
        if given is None:
            if f not in self._takes_null:
                return False
            value = None
        else:
            value = given if type(given) is str or type(given) is int else freeze(given)
            if f not in self._functions or self._model.input_problem(f, value) is not None:
                return False
            value = self._model.canonical_input(f, value)
        names = self._names
        self.gaps += index - self._index - 1
        self._index, self._clock_ns = index, time_ns
        now = self._time_ns = max(time_ns, self._time_ns, self._completed_ns + 1)
        self._open[process] = (
            number, index, names.setdefault(f, f), names.setdefault(key, key), given, value, now,
            phase, client, timestamp,
        )  # fmt: skip
        return True

    def _answered(self, fields: dict[str, object]) -> bool:
        """As `_invoked`, of an `ok`."""
        index, time_ns, process = fields["index"], fields["time_ns"], fields["process"]
        if (
            type(index) is not int or type(time_ns) is not int or type(process) is not int
            or index <= self._index or time_ns < self._clock_ns
        ):  # fmt: skip
            return False
        begun = self._open.get(process)
        if begun is None:
            return False
        _, called, f, key, given, value, call_ns, phase, client, timestamp = begun
        again, told = fields.get("input", given), fields["output"]
        view, replicas, path = fields.get("view"), fields.get("replicas", ()), fields.get("path")
        last = fields.get("timestamp", timestamp)
        if (
            fields.get("f", f) != f or fields.get("key", key) != key
            or (again is not given and not self._same(f, again, given, value))
            or (view is not None and (type(view) is not int or view < 0))
            or (last is not None and (type(last) is not int or last < 0))
            or (path is not None and path != "ordered" and path != "fast")
            or "error" in fields
        ):  # fmt: skip
            return False
        output: Hashable
        if told is None:
            if f not in self._tells_null:
                return False
            output = None
        else:
            output = told if type(told) is str or type(told) is int else freeze(told)
            if self._model.output_problem(f, output) is not None:
                return False
            output = self._model.canonical_output(f, output)
        voices = self._voices(replicas)
        if voices is None:
            return False
        del self._open[process]
        self.gaps += index - self._index - 1
        self._index, self._clock_ns = index, time_ns
        now = self._time_ns
        if time_ns > now:
            now = self._time_ns = time_ns
        self._completed_ns = now
        self._operations.append(
            operation(
                called, process, f, key, value, output, "ok", call_ns, now, phase, client,
                timestamp if last is None else last, None, None, view, voices, path,
            )
        )  # fmt: skip
        return True

    def _same(self, f: str, again: object, given: object, value: Hashable) -> bool:
        """Whether an answer's input is its call's, which was `given` and is `value` to the model."""
        if type(again) is str or type(again) is int:
            return type(again) is type(given) and again == given
        if type(again) is not list or type(given) is not list:
            return False
        frozen = freeze(again)
        return self._model.input_problem(f, frozen) is None and (
            self._model.canonical_input(f, frozen) == value
        )

    def _voices(self, replicas: object) -> tuple[int, ...] | None:
        """The replicas of an answer, of which there are few different ones; None if they are not numbers."""
        if type(replicas) is not list and type(replicas) is not tuple:
            return None
        voices = tuple(cast("list[int]", replicas))
        for replica in voices:
            if type(replica) is not int or replica < 0:
                return None
        return self._voiced.setdefault(voices, voices)

    def take(self, number: int, line: bytes) -> None:
        """The next line of the file."""
        self._line = number
        if not line.strip():
            self._refuse("the line is empty")
        fields = parse_line(line)
        if fields is None:
            self._refuse("the line is not a JSON object")
        if line.count(b":") != len(fields) and (twice := name_twice(line)) is not None:
            self._refuse(f"name {show(twice)} is in one object of the line twice")
        self._order(fields)
        kind, process = self._need(fields, "type"), self._need(fields, "process")
        if kind not in _TYPES:
            self._refuse(f"type {show(kind)} is unknown: it is one of {', '.join(_TYPES)}")
        if process == "nemesis":
            self._take_nemesis(fields)
        elif not _is_number(process):
            self._refuse(f'process {show(process)} is neither a number nor "nemesis"')
        elif kind == "invoke":
            self._take_invoke(cast(int, process), fields)
        else:
            self._take_end(cast(int, process), cast(Outcome, kind), fields)

    def finish(self) -> tuple[tuple[Operation, ...], tuple[NemesisEvent, ...]]:
        """Everything read; what is still open is `info`."""
        for process, begun in self._open.items():
            self._operations.append(_pending(process, begun, None, None))
        self._operations.sort(key=attrgetter("index"))
        return tuple(self._operations), tuple(self._nemesis)

    def _order(self, fields: Mapping[str, object]) -> None:
        index, time_ns = self._need(fields, "index"), self._need(fields, "time_ns")
        if not isinstance(index, int) or not _is_number(index):
            self._refuse(f"index {show(index)} is not a number from 0 on")
        if not isinstance(time_ns, int) or not _is_number(time_ns):
            self._refuse(f"time_ns {show(time_ns)} is not a number from 0 on")
        if index <= self._index:
            self._refuse(f"index {index} comes after {self._index}: an index is used once and they increase")
        if time_ns < self._clock_ns:
            back = self._clock_ns - time_ns
            self._refuse(f"time runs backwards by {back} ns (time_ns {time_ns} after {self._clock_ns})")
        self.gaps += index - self._index - 1
        self._index, self._clock_ns = index, time_ns
        self._time_ns = max(time_ns, self._time_ns)

    def _take_nemesis(self, fields: Mapping[str, object]) -> None:
        texts = [fields.get(name, "") for name in ("f", "fault", "kind")]
        if not all(isinstance(text, str) for text in texts):
            self._refuse("f, fault and kind of a nemesis line must be strings")
        f, fault, kind = cast(list[str], texts)
        self._nemesis.append(NemesisEvent(self._index, self._time_ns, f, fault, kind))

    def _take_invoke(self, process: int, fields: Mapping[str, object]) -> None:
        if process in self._open:
            line = self._open[process][0]
            self._refuse(f"process {process} invokes while its operation of line {line} is still open")
        if process in self._retired:
            line = self._retired[process]
            self._refuse(f"process {process} invokes after its info of line {line}, which retired it")
        f, key = self._need(fields, "f"), self._need(fields, "key")
        if not isinstance(f, str) or f not in self._model.functions:
            known = ", ".join(self._model.functions)
            self._refuse(f"f {show(f)} is not of model {self._model.name}, which has {known}")
        if not isinstance(key, str):
            self._refuse(f"key {show(key)} is not a string")
        value = self._frozen(fields, "input")
        problem = self._model.input_problem(f, value)
        if problem is not None:
            self._refuse(f"input of {f} must be {problem}, not {show(fields['input'])}")
        phase = fields.get("phase", "load")
        if phase != "load" and phase != "final":
            self._refuse(f'phase {show(phase)} is neither "load" nor "final"')
        client, timestamp = (
            self._optional_number(fields, "client"),
            self._optional_number(fields, "timestamp"),
        )
        # What completed in an earlier line is over, however coarse the clock.
        self._time_ns = max(self._time_ns, self._completed_ns + 1)
        self._open[process] = (
            self._line, self._index, f, key, fields["input"], self._model.canonical_input(f, value),
            self._time_ns, phase, client, timestamp,
        )  # fmt: skip

    def _take_end(self, process: int, kind: Outcome, fields: Mapping[str, object]) -> None:
        if process not in self._open:
            self._refuse(f"{kind} of process {process} without a call: it has no open operation")
        begun = self._open.pop(process)
        line, called, f, key, _, given, call_ns, phase, client, asked = begun
        for name, value in (("f", f), ("key", key), ("input", given)):
            if name in fields and self._again(f, name, fields) != value:
                self._refuse(
                    f"{name} {show(fields[name])} differs from that of its invocation in line {line}"
                )
        if kind == "info":
            self._retired[process] = self._line
        error = fields.get("error")
        if error is not None and not isinstance(error, str):
            self._refuse(f"error {show(error)} is not a string")
        if kind != "ok":
            failed = _pending(process, begun, self._time_ns, error, kind)
            self._operations.append(failed)
            return
        output = self._frozen(fields, "output")
        problem = self._model.output_problem(f, output)
        if problem is not None:
            self._refuse(f"output of {f} must be {problem}, not {show(fields['output'])}")
        output = self._model.canonical_output(f, output)
        replicas = self._frozen(fields, "replicas") if "replicas" in fields else ()
        if not isinstance(replicas, tuple) or not all(_is_number(replica) for replica in replicas):
            self._refuse(f"replicas {show(fields['replicas'])} is not a list of numbers")
        view = self._optional_number(fields, "view")
        timestamp = self._optional_number(fields, "timestamp")
        path = fields.get("path")
        if path is not None and path != "ordered" and path != "fast":
            self._refuse(f'path {show(path)} is neither "ordered" nor "fast"')
        self._completed_ns = self._time_ns
        self._operations.append(
            operation(
                called, process, f, key, given, output, kind, call_ns, self._time_ns, phase, client,
                asked if timestamp is None else timestamp, None, None, view, replicas, path,
            )
        )  # fmt: skip

    def _again(self, f: str, name: str, fields: Mapping[str, object]) -> Hashable:
        """A field of the invocation, said once more; an input in its canonical form."""
        value = self._frozen(fields, name)
        if name != "input" or self._model.input_problem(f, value) is not None:
            return value
        return self._model.canonical_input(f, value)

    def _optional_number(self, fields: Mapping[str, object], name: str) -> int | None:
        value = fields.get(name)
        if value is not None and not _is_number(value):
            self._refuse(f"{name} {show(value)} is not a number from 0 on")
        return cast("int | None", value)

    def _frozen(self, fields: Mapping[str, object], name: str) -> Hashable:
        value = self._need(fields, name)
        if value is None or isinstance(value, str):
            return value
        try:
            return freeze(value)
        except RecursionError:
            self._refuse(f"{name} is nested too deeply")

    def _need(self, fields: Mapping[str, object], name: str) -> object:
        if name not in fields:
            self._refuse(f"field {name!r} is missing")
        return fields[name]

    def _refuse(self, reason: str) -> NoReturn:
        raise HistoryError(self._source, self._line, reason, _MEND)


def _pending(
    process: int, begun: _Begun, gave_up_ns: int | None, error: str | None, kind: Outcome = "info"
) -> Operation:
    _, called, f, key, _, given, call_ns, phase, client, timestamp = begun
    return operation(
        called, process, f, key, given, None, kind, call_ns, None, phase, client, timestamp,
        gave_up_ns, error, None, (), None,
    )  # fmt: skip


def _null_of(model: Model) -> tuple[frozenset[str], frozenset[str]]:
    """The functions that take null, and those that tell it, where null is null in the model, too."""
    takes, tells = set(), set()
    for f in model.functions:
        if model.input_problem(f, None) is None and model.canonical_input(f, None) is None:
            takes.add(f)
        if model.output_problem(f, None) is None and model.canonical_output(f, None) is None:
            tells.add(f)
    return frozenset(takes), frozenset(tells)
