"""What an engine says of one key: an order, a few operations that refute, or that it cannot tell.

None of it is believed: `checker.audit` verifies what is printed. Operations are named by their index in the
history (that of their invocation). Here too: what the search may
spend, and what the judge gets of each key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

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


@dataclass(frozen=True, slots=True)
class Budget:
    """How much work the search may do. `nodes` and `bytes` are those of undecided keys together."""

    seconds: float = 60.0
    nodes: int = 3_000_000
    bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class KeyResult:
    """What the engines say of one key.

    `order` is an explaining order (explained), or the order that got furthest (refuted, undecided).
    `stuck_on` is then the operation that returned first of those the order could not place.
    """

    key: str
    status: Literal["explained", "refuted", "undecided"]
    order: tuple[int, ...]
    dropped: tuple[int, ...]
    stuck_on: int | None
    placed: int
    total: int
    nodes: int
    engine: str = "search"
    kind: str = ""
    """Of a refutation: which rule of the engine was broken."""
    core: tuple[int, ...] = ()
    """Operations that refute by themselves (`Refuted`), where the engine can name them."""
    frontier: int = 0
    """Of an undecided key: points known and not yet expanded."""
    why: str = ""
    """Of an undecided key: the limit that was hit, or what the model did wrong."""
    prefix_end: int | None = None
    """Of a refuted key: what was called up to this operation's return has no explanation by itself."""
