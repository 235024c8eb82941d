"""JSON of unknown shape, written by nobody we trust, turned into text and numbers that are safe to show.

A replica may be a liar and a history may come from anywhere: values, keys, errors, trace and log lines
hold any characters at any length. ``shown`` gives visible text: control characters, bidirectional
overrides and lone surrogates come out as escapes, long text is cut and says so. Escaping for HTML is not
done here but by the template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

TEXT_LIMIT = 200
MAX_TIME_NS = 1 << 62

# What a reader cannot see, or what changes how its neighbours look.
_INVISIBLE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u00ad\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202f\\u205f-\\u206f\\u3000"
    "\\ud800-\\udfff\\ufe00-\\ufe0f\\ufeff\\ufff0-\\uffff\\U000e0000-\\U000e0fff]"
)
_encode = json.JSONEncoder(ensure_ascii=False).encode
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    return _SHORT.get(character) or (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


def shown(value: object, limit: int = TEXT_LIMIT) -> str:
    """Text for people: strings as they are, all else as JSON; at most ``limit`` characters of the value."""
    if isinstance(value, str):
        if len(value) <= limit and value.isascii() and value.isprintable():
            return value
        text = value
    elif type(value) is int and -MAX_TIME_NS < value < MAX_TIME_NS:
        return str(value)
    else:
        try:
            text = _encode(value)
        except (TypeError, ValueError, RecursionError):
            text = f"<{type(value).__name__} that is not JSON>"
    cut = text if len(text) <= limit else text[:limit]
    if not (cut.isascii() and cut.isprintable()):
        cut = _INVISIBLE.sub(_escape, cut)
    return cut if len(text) <= limit else f"{cut}… ({len(text):,} characters)"


def integer(value: object) -> int | None:
    """An int that is one (not a bool) and fits 63 bits, else None."""
    if isinstance(value, int) and not isinstance(value, bool) and -MAX_TIME_NS < value < MAX_TIME_NS:
        return value
    return None


def time_ns(value: object) -> int | None:
    """A time a clock could have given, else None."""
    number = integer(value)
    return number if number is not None and number >= 0 else None


def mapping(value: object) -> Mapping[str, object]:
    """The object, or an empty one."""
    return value if isinstance(value, dict) else {}


def listing(value: object) -> Sequence[object]:
    """The list, or an empty one."""
    return value if isinstance(value, list) else ()


def duration(ns: float) -> str:
    """A length of time with a unit people read: ``850 µs``, ``3.2 ms``, ``12.4 s``."""
    size = abs(ns)
    if not size:
        return "0"
    for limit, unit, divisor in ((1e3, "ns", 1.0), (1e6, "µs", 1e3), (1e9, "ms", 1e6)):
        if size < limit * 0.9995:  # what would be rounded to 1,000 is 1 of the next unit
            return f"{_three_digits(ns / divisor)} {unit}"
    return f"{_three_digits(ns / 1e9)} s"


def _three_digits(value: float) -> str:
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def counted(number: int, thing: str) -> str:
    """``1 fault``, ``2,000 faults``."""
    return f"{number_text(number)} {thing}" + ("" if number == 1 else "s")


def number_text(value: int) -> str:
    """An int with thousands apart; absurd ones are cut."""
    return shown(f"{value:,}", 40)
