"""Where a service keeps what in its store: keys that cannot run into one another, and numbers in them.

Names come from clients and may hold any bytes. Each is written behind its length, so that no key is the
beginning of another object's key, and scanning an object's prefix finds that object only. Numbers in
operations are decimal with one spelling; in keys they are fixed and big-endian, so that they scan in order.
"""

from __future__ import annotations

NUMBER_LIMIT = 2**63
"""Numbers stay below it in size, as most stores and languages can hold them."""
_MAX_DIGITS = 19


def place(kind: bytes, name: bytes) -> bytes:
    """The key, or the prefix, of the object ``name``; ``kind`` is one byte."""
    assert len(kind) == 1, f"kind {kind!r}: one byte"
    return kind + len(name).to_bytes(4, "big") + name


def number_key(number: int) -> bytes:
    """Eight bytes that sort like the numbers."""
    return number.to_bytes(8, "big")


def parse_natural(text: bytes) -> int | None:
    """A number from 0 in its one spelling (no sign, no leading zero), or None."""
    if not 1 <= len(text) <= _MAX_DIGITS or not text.isdigit() or (text[:1] == b"0" and text != b"0"):
        return None
    number = int(text)
    return number if number < NUMBER_LIMIT else None


def parse_integer(text: bytes) -> int | None:
    """Like ``parse_natural``, with a minus sign in front or none; -0 is no number."""
    if text[:1] != b"-":
        return parse_natural(text)
    size = parse_natural(text[1:])
    return None if size in (None, 0) else -size
