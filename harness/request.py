"""Reading single values of a request, with messages that name the key, the value and what is allowed."""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from collections.abc import Iterable, Mapping

from harness.errors import UsageError

SECOND_NS = 1_000_000_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ns|us|ms|s|m|h)")
_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = 80
_SHOWN.maxlevel = 3
_SHOWN_CHARACTERS = 200
_UNITS_NS = {
    "ns": 1,
    "us": 1000,
    "ms": 1_000_000,
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "h": 3600 * SECOND_NS,
}


def shown(value: object) -> str:
    """The value for a message: never long, however it is nested."""
    text = _SHOWN.repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def counted(number: int, thing: str) -> str:
    """``1 fault``, ``2 faults``."""
    return f"{number} {thing}" + ("" if number == 1 else "s")


def nearest(word: object, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` or nothing, to be glued to a message. Only a word is near to one."""
    if not isinstance(word, str) or len(word) > 200 or word in (known := list(known)):
        return ""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def mapping(key: str, value: object) -> Mapping[str, object]:
    """A mapping whose keys are words."""
    if not isinstance(value, Mapping):
        raise UsageError(f"{key} = {shown(value)}", f"It must be a mapping ({key}: {{name: value}}).")
    for name in value:
        if not isinstance(name, str):
            raise UsageError(
                f"{key}: the key {shown(name)} is not a word", "Keys are words; quote it if it is meant."
            )
    return value


def whole(key: str, value: object, low: int, high: int) -> int:
    """An integer within bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise UsageError(f"{key} = {shown(value)}", f"It must be a whole number from {low} to {high}.")
    return value


def seconds(key: str, value: object, low: float, high: float) -> int:
    """Seconds (a number) or a text with a unit (``500ms``, ``2m``), as ns."""
    duration_ns = duration(value, SECOND_NS)
    if duration_ns is None or not low * SECOND_NS <= duration_ns <= high * SECOND_NS:
        raise UsageError(
            f"{key} = {shown(value)}",
            f"It must be from {low:g} to {high:g} seconds: a number, or a text such as 500ms, 20s, 2m.",
        )
    return duration_ns


def seconds_or_none(key: str, value: object) -> int | None:
    """As ``seconds``, from 0; None stays None."""
    return None if value is None else seconds(key, value, 0, 24 * 3600)


def duration(value: object, unit_ns: int) -> int | None:
    """A number of ``unit_ns``, or a text with its unit, as ns; None when it is neither."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return round(value * unit_ns) if math.isfinite(value) and 0 <= value < 2**53 else None
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    in_ns = float(match[1]) * _UNITS_NS[match[2]] if match else math.inf
    return round(in_ns) if math.isfinite(in_ns) else None


def name_of_run(value: object) -> str:
    """Becomes part of a folder's name."""
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    raise UsageError(
        f"name = {shown(value)}",
        "It must be 1 to 40 letters, digits, dots, dashes or underscores: it names the run folder.",
    )
