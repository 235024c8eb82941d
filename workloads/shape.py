"""What an operation of an edited plan may look like at all: the limits every workload shares."""

from __future__ import annotations

MAX_KEY_CHARACTERS = 200
MAX_OPERATION_BYTES = 32 * 1024
"""What a request may carry; the replicas refuse more."""


def key_problem(key: object) -> str | None:
    """Why this cannot be a key, or None."""
    if isinstance(key, str) and 1 <= len(key) <= MAX_KEY_CHARACTERS:
        return _unicode_problem("key", key)
    return f"key = {_short(key)}: it must be a string of 1 to {MAX_KEY_CHARACTERS} characters"


def text_problem(name: str, value: object) -> str | None:
    """Why this cannot be a written value, or None."""
    if isinstance(value, str) and value:
        return _unicode_problem(name, value)
    return f"{name} = {_short(value)}: it must be a string of at least one character"


def size_problem(encoded: bytes) -> str | None:
    """Why the replicas would refuse this operation for its length, or None."""
    if len(encoded) <= MAX_OPERATION_BYTES:
        return None
    return f"the operation has {len(encoded)} bytes on the wire: the limit is {MAX_OPERATION_BYTES}"


def _unicode_problem(name: str, value: str) -> str | None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"{name} = {_short(value)}: it is not valid Unicode (a lone surrogate)"
    return None


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
