"""What an operation asked and what it was told, as text: any JSON, of any model, by nobody we trust.

A string stands bare unless it could be taken for another kind of value: the string 1 is ``"1"``, the number
is ``1``. A transaction's micro-operations are told apart: what was asked as ``append x 1, r y``, what its
reads were told as ``y: [2, 3]``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from reports.untrusted import shown

VALUE_LIMIT, TRANSACTION_LIMIT = 80, 240
NAME_LIMIT = 40
_MOST_STEPS = 50
_READS = frozenset({"r", "read"})
_STEPS = _READS | {"w", "write", "append"}
_LOOKS_LIKE_JSON = re.compile(r'(?:null|true|false|NaN|-?Infinity|-?\d[\d.eE+-]*|["\[{].*)?', re.DOTALL)


def value_text(value: object) -> str:
    """One value: strings bare where that is clear, ``null`` for nothing, else JSON."""
    text = shown(value, VALUE_LIMIT)
    return f'"{text}"' if isinstance(value, str) and _LOOKS_LIKE_JSON.fullmatch(value[:40]) else text


def asked_text(given: object) -> str:
    """An input."""
    steps = _steps(given)
    if steps is None:
        return value_text(given)
    said = (
        " ".join([step[0], value_text(step[1]), *([] if step[0] in _READS else [value_text(step[2])])])
        for step in steps
    )
    return shown(", ".join(said), TRANSACTION_LIMIT)


def answered_text(given: object, told: object) -> str:
    """An output, beside the input it answers."""
    steps = _steps(told)
    if steps is None or _steps(given) is None:
        return value_text(told)
    said = [f"{value_text(step[1])}: {_found(step[2])}" for step in steps if step[0] in _READS]
    return shown(", ".join(said), TRANSACTION_LIMIT) if said else "null"


def call_words(f: str, asked: str, answered: str, kind: str) -> str:
    """``put v17``, ``get → v12``, ``transfer [6, 1, 55] (info)``. The texts are already safe to show."""
    parts = [f]
    if asked != "null":
        parts.append(asked)
    if kind != "ok":
        parts.append(f"({kind})")
    elif answered != "null":
        parts.append(f"→ {answered}")
    elif asked == "null":
        parts.append("→ nothing")
    return " ".join(parts)


def _found(value: object) -> str:
    return "nothing" if value is None else value_text(value)


def _steps(value: object) -> Sequence[tuple[str, object, object]] | None:
    """The micro-operations of a transaction, or None if this is something else."""
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_STEPS:
        return None
    found = []
    for step in value:
        if not isinstance(step, list) or len(step) != 3 or not isinstance(step[0], str):
            return None
        if step[0] not in _STEPS:
            return None
        found.append((step[0], step[1], step[2]))
    return found
