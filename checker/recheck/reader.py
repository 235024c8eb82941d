"""A second, small reader of `history.jsonl`, for `recheck.py`: what is not exactly a history is refused.

It shares nothing with `checker.formats` but the rules. Times are moved on as there: where the clock is too
coarse to tell, what completed in an earlier line is over before a later line's call.
"""

from __future__ import annotations

import json
from collections.abc import Hashable
from dataclasses import replace

from checker.history import Operation
from checker.models.base import Model


class Refused(Exception):
    """What was found that must not be so."""


class NoObject(Refused):
    """A line that is no JSON object: the last one may be half a line."""


def frozen(value: object) -> Hashable:
    """JSON as something immutable: lists as tuples, objects as tuples of pairs."""
    if isinstance(value, list):
        return tuple(frozen(element) for element in value)
    if isinstance(value, dict):
        return tuple((name, frozen(inner)) for name, inner in value.items())
    assert isinstance(value, Hashable)
    return value


def read_header(line: bytes) -> Hashable:
    """The first value of every key. Raises Refused."""
    header = _object(line, 1)
    if header.get("schema") != "traitor/history/1":
        raise Refused("line 1: no header with schema traitor/history/1")
    return frozen(header.get("initial"))


def read_operations(lines: list[bytes], model: Model) -> list[Operation]:
    """The operations in the lines after the header. A half last line is left out. Raises Refused."""
    found: list[Operation] = []
    opened: dict[object, Operation] = {}
    retired: set[object] = set()
    index, clock_ns, time_ns, completed_ns = -1, 0, 0, -1
    for number, line in enumerate(lines, 2):
        try:
            event = _object(line, number)
        except NoObject:
            if number == len(lines) + 1:
                break
            raise
        kind, process, at_ns, its = (event.get(name) for name in ("type", "process", "time_ns", "index"))
        if type(its) is not int or its <= index or type(at_ns) is not int or at_ns < clock_ns:
            raise Refused(f"line {number}: index or time_ns runs backwards")
        index, clock_ns, time_ns = its, at_ns, max(at_ns, time_ns)
        if process == "nemesis":
            continue
        f, key, given = event.get("f"), event.get("key"), frozen(event.get("input"))
        if type(process) is not int or (process in opened) == (kind == "invoke"):
            raise Refused(f"line {number}: not in turn")
        if kind == "invoke":
            if process in retired or type(key) is not str or type(f) is not str or f not in model.functions:
                raise Refused(f"line {number}: a retired process, or no operation of the model")
            _must(model.input_problem(f, given), number, "input")
            time_ns = max(time_ns, completed_ns + 1)
            given = model.canonical_input(f, given)
            opened[process] = Operation(index, process, f, key, given, None, "info", time_ns, None)
            continue
        begun = opened.pop(process)
        if kind == "ok":
            output = frozen(event.get("output"))
            _must(model.output_problem(begun.f, output), number, "output")
            output = model.canonical_output(begun.f, output)
            begun = replace(begun, type="ok", output=output, return_ns=time_ns)
            completed_ns = time_ns
        elif kind == "fail":
            begun = replace(begun, type="fail")
        elif kind == "info":
            retired.add(process)
        else:
            raise Refused(f"line {number}: no such type")
        found.append(begun)
    return sorted([*found, *opened.values()], key=lambda operation: operation.index)


def _must(problem: str | None, number: int, what: str) -> None:
    if problem is not None:
        raise Refused(f"line {number}: {what} must be {problem}")


def _object(line: bytes, number: int) -> dict[str, object]:
    try:
        value = json.loads(line, object_pairs_hook=once)
    except Refused as twice:
        raise Refused(f"line {number}: {twice}") from None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise NoObject(f"line {number}: no JSON object")
    return value


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise Refused("a name is in one object twice")
    return value
