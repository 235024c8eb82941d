"""What an engine says of one key: an order, a few operations that refute, or that it cannot tell.

None of it is believed: `checker.audit` verifies what is printed. Operations are named by their index in the
history (that of their invocation).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from checker.history import Operation
from checker.models.base import Model


@dataclass(frozen=True, slots=True)
class Explained:
    """`order` explains the key; `dropped` are the pending operations that are not in it."""

    order: Sequence[int]
    dropped: Sequence[int]


@dataclass(frozen=True, slots=True)
class Refuted:
    """No order explains the key.

    `core`: operations that refute by themselves once all others are soundly removed (`Model.removable`,
    `Model.weaken`); empty if the engine cannot name them. `kind`: which of the engine's rules was broken.
    """

    kind: str
    core: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Undecided:
    """The engine cannot tell, and why."""

    why: str


Answer = Explained | Refuted | Undecided
Engine = Callable[[Model, Sequence[Operation]], Answer]
"""Of one key's operations in order of invocation, `fail` left out."""
