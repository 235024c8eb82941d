"""Delta debugging over a list: the fewest items that still fail.

Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002): ``ddmin`` tries subsets,
then complements, at ever finer cuts. ``coarse_to_fine`` tries complements only, in sweeps from the end, and
goes on where it was after a success: fewer tests where little is needed out of many items (what comes late is
rarely needed for a failure). Both give a 1-minimal list: without any one of its items it was seen not to
fail. Both ask in a fixed order and never the same list twice; the list they are given is taken to fail.
``First`` is asked for the first list of several that fails, so that whoever answers may try some in parallel.
"""

from __future__ import annotations

import hashlib
import itertools
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Kept = tuple[int, ...]
"""Which items are kept, by index."""
First = Callable[[Iterable[Sequence[Item]]], int | None]
"""Index of the first list that fails, None when none does. It need not look at more than it must."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some neighbours of a list: only these, or all but these."""

    low: int
    high: int
    alone: bool

    def of(self, kept: Kept) -> Kept:
        return kept[self.low : self.high] if self.alone else kept[: self.low] + kept[self.high :]


def ddmin(items: Sequence[Item], first: First[Item]) -> tuple[Item, ...]:
    """The algorithm of the paper. At most n² + 3n tests."""
    asking = _Asking(items, first)
    kept = asking.start()
    parts = 2
    while len(kept) > 1:
        edges = [len(kept) * part // parts for part in range(parts + 1)]
        pieces = [_Piece(*edge, True) for edge in itertools.pairwise(edges)]
        rests = [_Piece(piece.low, piece.high, False) for piece in pieces]
        found = asking.first(kept, itertools.chain(pieces, rests))
        if found is not None:
            kept = found.of(kept)
            parts = max(2, min(2 if found.alone else parts - 1, len(kept)))
        elif parts >= len(kept):
            break
        else:
            parts = min(2 * parts, len(kept))
    return asking.items(kept)


def coarse_to_fine(items: Sequence[Item], first: First[Item]) -> tuple[Item, ...]:
    """Sweeps that leave out runs of half of the items, a quarter … one; the last until it changes nothing."""
    asking = _Asking(items, first)
    kept = asking.start()
    size = max(1, len(kept) // 2)
    while kept:
        smaller = _sweep(asking, kept, size)
        if size == 1 and smaller == kept:
            break
        kept = smaller
        size = max(1, min(size // 2, len(kept) // 2))
    return asking.items(kept)


def _sweep(asking: _Asking[Item], kept: Kept, size: int) -> Kept:
    """Leave out ``size`` neighbours at a time, from the end to the start, wherever that still fails."""
    end = len(kept)
    while end > 0:
        pieces = (_Piece(max(0, high - size), high, False) for high in range(end, 0, -size))
        found = asking.first(kept, pieces)
        if found is None:
            break
        end = found.low
        kept = found.of(kept)
    return kept


class _Asking(Generic[Item]):
    """Turns indices into items, and remembers what did not fail."""

    def __init__(self, items: Sequence[Item], first: First[Item]) -> None:
        self._items = tuple(items)
        self._first = first
        self._passed: set[bytes] = set()

    def start(self) -> Kept:
        """Nothing at all, if that fails; else everything."""
        everything = tuple(range(len(self._items)))
        nothing = _Piece(0, 0, True)
        return everything if not everything or self.first(everything, [nothing]) is None else ()

    def items(self, kept: Kept) -> tuple[Item, ...]:
        """What stands at these indices."""
        return tuple(self._items[index] for index in kept)

    def first(self, kept: Kept, pieces: Iterable[_Piece]) -> _Piece | None:
        """The first that fails, in this order."""
        asked: dict[bytes, _Piece] = {}

        def unknown() -> Iterator[tuple[Item, ...]]:
            for piece in pieces:
                smaller = piece.of(kept)
                digest = hashlib.sha256(array("Q", smaller)).digest()
                if digest not in self._passed and digest not in asked:
                    asked[digest] = piece
                    yield self.items(smaller)

        found = self._first(unknown())
        self._passed.update(itertools.islice(asked, found))
        return None if found is None else list(asked.values())[found]
