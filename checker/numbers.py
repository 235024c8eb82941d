"""A number and what it counts, in a sentence; and whom it is about."""

from __future__ import annotations

from collections.abc import Iterable


def counted(number: int, thing: str) -> str:
    """`1 fault`, `2 faults`."""
    return f"{number} {thing}" + ("" if number == 1 else "s")


def have(number: int, one: str, many: str) -> str:
    """The verb after it: `1 read was`, `2 reads were`."""
    return one if number == 1 else many


def replicas(which: Iterable[int]) -> str:
    """`replica 3`, `replicas 0, 2`, in order."""
    some = sorted(which)
    return f"replica{'' if len(some) == 1 else 's'} {', '.join(map(str, some))}"
