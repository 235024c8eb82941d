"""Reads `history.jsonl`, schema `traitor/history/1`, strictly: what is not exactly a history is refused.

Refusing is part of judging: a reader that skips what it does not understand judges another history than the
one that happened. Every refusal names the file, the line, the rule and what to do. The bytes are hostile
(values come from replicas); nothing in them may raise anything but HistoryError.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, cast

from checker.fields import parse_json
from checker.files import read_regular
from checker.history import History, HistoryError, NemesisEvent, Operation, Outcome
from checker.models import MODEL_NAMES, ModelError, initial_problem, model_class, model_named
from checker.models.base import Model

SCHEMA = "traitor/history/1"
_MEND = "Correct that line, or judge a complete copy of the history"
_TYPES = ("invoke", "ok", "fail", "info")


def read(path: Path, model: str | None = None, *, forgive_torn_tail: bool = False) -> History:
    """The history in `path`. `model` overrides the header's; a half last line is an error unless forgiven."""
    try:
        content = read_regular(path)
    except OSError as error:
        advice = "Give a run folder or a history file that can be read"
        raise HistoryError(str(path), 0, f"cannot be read ({error.strerror})", advice) from None
    return read_bytes(content, str(path), model, forgive_torn_tail=forgive_torn_tail)


def read_bytes(
    content: bytes, source: str, model: str | None = None, *, forgive_torn_tail: bool = False
) -> History:
    """As `read`, from memory."""
    if not content.strip():
        raise HistoryError(
            source, 0, "the file is empty", "A history begins with a header line; record it again"
        )
    lines = content.split(b"\n")
    tail = lines.pop()
    torn: int | None = None
    if tail:
        if _parse(tail) is not None:
            lines.append(tail)
        elif forgive_torn_tail and lines:
            torn = len(lines) + 1
        else:
            raise HistoryError(
                source,
                len(lines) + 1,
                "the file ends in the middle of this line",
                "Delete the half line if the rest is complete, or record it again",
            )
    header = _header(source, lines[0], model)
    reader = _Reader(source, header.model)
    for number, line in enumerate(lines[1:], start=2):
        reader.take(number, line)
    digest = hashlib.sha256(content).hexdigest()
    operations, nemesis = reader.finish()
    return History(source, header.model.name, header.initial, operations, nemesis, digest, torn, reader.gaps)


def _parse(line: bytes) -> Mapping[str, object] | None:
    try:
        value = parse_json(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _freeze(value: object) -> Hashable:
    if isinstance(value, list):
        return tuple(_freeze(element) for element in value)
    if isinstance(value, dict):
        return tuple((name, _freeze(inner)) for name, inner in value.items())
    assert isinstance(value, Hashable)
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


@dataclass(frozen=True, slots=True)
class _Header:
    model: Model
    initial: Hashable


def _header(source: str, line: bytes, override: str | None) -> _Header:
    fields = _parse(line)
    known = ", ".join(MODEL_NAMES)
    if fields is None or "schema" not in fields:
        reason = f'is not a header: expected {{"schema": "{SCHEMA}", "model": …}}'
        raise HistoryError(source, 1, reason, "Put the header line back; it says how to read the rest")
    if fields["schema"] != SCHEMA:
        reason = f"schema is {_show(fields['schema'])}, this reader knows {SCHEMA}"
        raise HistoryError(source, 1, reason, "Judge it with the version that wrote it")
    name = override if override is not None else fields.get("model")
    if not isinstance(name, str):
        raise HistoryError(source, 1, f"model {_show(name)} is unknown", f"Name one with --model: {known}")
    if override is not None and ":" in override:
        # The user's own model. A history cannot name one: it would have its code imported.
        try:
            model_class(override)
        except ModelError as error:
            raise HistoryError(source, 0, *str(error).rsplit(". ", 1)) from None
    elif name not in MODEL_NAMES:
        raise HistoryError(source, 1, f"model {_show(name)} is unknown", f"Name one with --model: {known}")
    try:
        initial = _freeze(fields.get("initial"))
    except RecursionError:
        initial = ()
    problem = initial_problem(name, initial)
    if problem is not None:
        raise HistoryError(source, 1, f"initial must be {problem} for model {name}", "Correct the header")
    return _Header(model_named(name, initial), initial)


def _show(value: object) -> str:
    try:
        text = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) <= 60 else text[:57] + "…"


class _Reader:
    """Turns events into operations, one line at a time."""

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
        self._open: dict[int, tuple[int, Operation]] = {}
        self._retired: dict[int, int] = {}
        self._operations: list[Operation] = []
        self._nemesis: list[NemesisEvent] = []

    def take(self, number: int, line: bytes) -> None:
        """The next line of the file."""
        self._line = number
        if not line.strip():
            self._refuse("the line is empty")
        fields = _parse(line)
        if fields is None:
            self._refuse("the line is not a JSON object")
        self._order(fields)
        kind, process = self._need(fields, "type"), self._need(fields, "process")
        if kind not in _TYPES:
            self._refuse(f"type {_show(kind)} is unknown: it is one of {', '.join(_TYPES)}")
        if process == "nemesis":
            self._take_nemesis(fields)
        elif not _is_number(process):
            self._refuse(f'process {_show(process)} is neither a number nor "nemesis"')
        elif kind == "invoke":
            self._take_invoke(cast(int, process), fields)
        else:
            self._take_end(cast(int, process), cast(Outcome, kind), fields)

    def finish(self) -> tuple[tuple[Operation, ...], tuple[NemesisEvent, ...]]:
        """Everything read; what is still open is `info`."""
        self._operations.extend(operation for _, operation in self._open.values())
        self._operations.sort(key=lambda operation: operation.index)
        return tuple(self._operations), tuple(self._nemesis)

    def _order(self, fields: Mapping[str, object]) -> None:
        index, time_ns = self._need(fields, "index"), self._need(fields, "time_ns")
        if not isinstance(index, int) or not _is_number(index):
            self._refuse(f"index {_show(index)} is not a number from 0 on")
        if not isinstance(time_ns, int) or not _is_number(time_ns):
            self._refuse(f"time_ns {_show(time_ns)} is not a number from 0 on")
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
            self._refuse(f"f {_show(f)} is not of model {self._model.name}, which has {known}")
        if not isinstance(key, str):
            self._refuse(f"key {_show(key)} is not a string")
        value = self._frozen(fields, "input")
        problem = self._model.input_problem(f, value)
        if problem is not None:
            self._refuse(f"input of {f} must be {problem}, not {_show(fields['input'])}")
        phase = fields.get("phase", "load")
        if phase != "load" and phase != "final":
            self._refuse(f'phase {_show(phase)} is neither "load" nor "final"')
        client, timestamp = (
            self._optional_number(fields, "client"),
            self._optional_number(fields, "timestamp"),
        )
        # What completed in an earlier line is over, however coarse the clock.
        self._time_ns = max(self._time_ns, self._completed_ns + 1)
        value = self._model.canonical_input(f, value)
        operation = Operation(
            self._index, process, f, key, value, None, "info", self._time_ns, None,
            phase, client, timestamp,
        )  # fmt: skip
        self._open[process] = (self._line, operation)

    def _take_end(self, process: int, kind: Outcome, fields: Mapping[str, object]) -> None:
        if process not in self._open:
            self._refuse(f"{kind} of process {process} without a call: it has no open operation")
        line, begun = self._open.pop(process)
        for name, value in (("f", begun.f), ("key", begun.key), ("input", begun.input)):
            if name in fields and self._again(begun.f, name, fields) != value:
                self._refuse(
                    f"{name} {_show(fields[name])} differs from that of its invocation in line {line}"
                )
        if kind == "info":
            self._retired[process] = self._line
        error = fields.get("error")
        if error is not None and not isinstance(error, str):
            self._refuse(f"error {_show(error)} is not a string")
        if kind != "ok":
            self._operations.append(replace(begun, type=kind, gave_up_ns=self._time_ns, error=error))
            return
        output = self._frozen(fields, "output")
        problem = self._model.output_problem(begun.f, output)
        if problem is not None:
            self._refuse(f"output of {begun.f} must be {problem}, not {_show(fields['output'])}")
        output = self._model.canonical_output(begun.f, output)
        replicas = self._frozen(fields, "replicas") if "replicas" in fields else ()
        if not isinstance(replicas, tuple) or not all(_is_number(replica) for replica in replicas):
            self._refuse(f"replicas {_show(fields['replicas'])} is not a list of numbers")
        view = self._optional_number(fields, "view")
        timestamp = self._optional_number(fields, "timestamp")
        path = fields.get("path")
        if path is not None and path != "ordered" and path != "fast":
            self._refuse(f'path {_show(path)} is neither "ordered" nor "fast"')
        self._completed_ns = self._time_ns
        self._operations.append(
            replace(
                begun, output=output, type=kind, return_ns=self._time_ns, view=view, replicas=replicas,
                path=path, timestamp=begun.timestamp if timestamp is None else timestamp,
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
            self._refuse(f"{name} {_show(value)} is not a number from 0 on")
        return cast("int | None", value)

    def _frozen(self, fields: Mapping[str, object], name: str) -> Hashable:
        value = self._need(fields, name)
        if value is None or isinstance(value, str):
            return value
        try:
            return _freeze(value)
        except RecursionError:
            self._refuse(f"{name} is nested too deeply")

    def _need(self, fields: Mapping[str, object], name: str) -> object:
        if name not in fields:
            self._refuse(f"field {name!r} is missing")
        return fields[name]

    def _refuse(self, reason: str) -> NoReturn:
        raise HistoryError(self._source, self._line, reason, _MEND)
