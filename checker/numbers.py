"""A number and what it counts, in a sentence."""

from __future__ import annotations


def counted(number: int, thing: str) -> str:
    """`1 fault`, `2 faults`."""
    return f"{number} {thing}" + ("" if number == 1 else "s")
