"""What a kind of fault remembers between ``start`` and ``stopped``, per world and fault.

Kinds are shared, worlds come and go: the memory is keyed weakly by the machinery, and forgets with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from nemesis.machinery import Machinery

Kept = TypeVar("Kept")


class Memory(Generic[Kept]):
    """Of one kind."""

    def __init__(self) -> None:
        self._worlds: WeakKeyDictionary[Machinery, dict[str, Kept]] = WeakKeyDictionary()

    def keep(self, machinery: Machinery, fault_id: str, kept: Kept) -> None:
        """From ``start``."""
        self._worlds.setdefault(machinery, {})[fault_id] = kept

    def of(self, machinery: Machinery, fault_id: str) -> Kept | None:
        """None when it was never started."""
        return self._worlds.get(machinery, {}).get(fault_id)

    def others(self, machinery: Machinery, fault_id: str) -> Iterator[Kept]:
        """Of the same kind in the same world."""
        for other, kept in self._worlds.get(machinery, {}).items():
            if other != fault_id:
                yield kept
