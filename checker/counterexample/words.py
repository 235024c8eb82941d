"""How values, operations and times are said. Values are hostile: quoted as JSON in ASCII, and cut."""

from __future__ import annotations

import json
from collections.abc import Mapping

from checker.history import Operation
from checker.numbers import counted

_LONGEST = 40
_ELEMENTS = 8


def quote(value: object) -> str:
    """A value in a sentence: what a model takes or tells, or its state as `Model.show` has it."""
    if value is None:
        return "nothing"
    if isinstance(value, tuple) and len(value) == 1 and type(value[0]) is bool:
        value = value[0]  # the box that models keep a boolean in
    if isinstance(value, tuple | list):
        return f"[{_listed([quote(element) for element in value[-_ELEMENTS:]], len(value))}]"
    if isinstance(value, Mapping):
        last = list(value.items())[-_ELEMENTS:]
        return f"{{{_listed([f'{quote(name)}: {quote(inner)}' for name, inner in last], len(value))}}}"
    text = json.dumps(value, default=repr)
    return text if len(text) <= _LONGEST else f'{text[: _LONGEST - 2]}…"'


def _listed(shown: list[str], total: int) -> str:
    """The last elements of so many."""
    return ", ".join([f"({total - len(shown)} more)", *shown] if total > len(shown) else shown)


def say(op: Operation) -> str:
    """An operation as the subject of a sentence."""
    asked = ""
    if op.f == "cas" and isinstance(op.input, tuple):
        asked = f" {quote(op.input[0])} to {quote(op.input[1])}"
    elif op.input is not None:
        asked = f" {quote(op.input)}"
    return f"{op.f}{asked} by process {op.process} (operation {op.index})"


def duration(ns: int) -> str:
    """A time span a person can compare."""
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000)):
        if ns >= size * 0.9995:  # .3g would say 1e+03 of the unit below
            return f"{ns / size:.3g} {unit}" if ns < 999 * size else f"{ns // size} {unit}"
    return f"{ns} ns"


def ended_before(first: Operation, second: Operation) -> str:
    """`first ended 3 ms before second began`, which must be so."""
    assert first.return_ns is not None
    assert first.return_ns < second.call_ns
    return f"{say(first)} ended {gap(first, second)} before {say(second)} began"


def gap(first: Operation, second: Operation) -> str:
    """From the end of one to the call of the other."""
    passed = second.call_ns - (first.return_ns or 0)
    return duration(passed) if has_clock(first, second) else counted(passed, "line")


def has_clock(first: Operation, second: Operation) -> bool:
    """Whether times are more than the numbers of lines: without a clock the lines are the time, so that a
    call's time is its index, and to say nanoseconds would be made up."""
    return first.call_ns != first.index or second.call_ns != second.index
