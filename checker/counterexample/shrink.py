"""The smallest set of operations, found by sound moves only, that still has no explanation.

A move is sound if it keeps every explainable history explainable, so that what is left refutes the whole:
cut the history at a moment (what is open there is pending), keep some calls where the model needs none of
the others (`Model.needed`), say less of a call (`weaken`), project parts of the state out. After each move an
engine is asked again; a move after which it cannot refute within its budget is not made. An engine that named
the few operations that refute (`core`) spares the long way. Time is bounded: a larger counterexample is a
worse one, not a wrong one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

from checker.engines.contest import Budget, KeyResult
from checker.engines.decide import decide_key
from checker.history import Operation
from checker.models.base import Model
from checker.moves import Move, weaker

_CHECK = Budget(seconds=2.0, nodes=200_000)
_ROUNDS = 3
_CLOSINGS = 6
"""Passes over all operations to find what a few of them need."""
_FEW = 64
"""Operations of which each is tried to be left out, or weakened, whatever the model recommends."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """Operations without explanation, the moves that led to them, and what the engine last said of them."""

    operations: tuple[Operation, ...]
    moves: tuple[Move, ...]
    result: KeyResult

    @property
    def left_out(self) -> tuple[Hashable, ...]:
        """Parts of the state that were projected out."""
        return tuple(atom for name, values in self.moves if name == "project" for atom in values)


def shrink(model: Model, operations: Sequence[Operation], refuted: KeyResult, seconds: float) -> Shrunk:
    """Shrink one key's refuted operations (no `fail`) for at most about `seconds`."""
    shrinker = _Shrinker(model, operations, refuted, time.monotonic() + seconds)
    shrinker.begin()
    before = -1
    for _ in range(_ROUNDS):
        if len(shrinker.operations) == before:
            break
        before = len(shrinker.operations)
        shrinker.cut()
        shrinker.drop()
        shrinker.project()
        shrinker.weaken()
    found = Shrunk(tuple(shrinker.operations), tuple(shrinker.moves), shrinker.result)
    return _in_few_moves(model, operations, found)


def _in_few_moves(model: Model, operations: Sequence[Operation], found: Shrunk) -> Shrunk:
    """The same in one move of each kind, where that leaves the same."""
    cuts = [values[0] for name, values in found.moves if name == "cut" and isinstance(values[0], int)]
    gathered: list[Move] = [("cut", (min(cuts),))] if cuts else []
    for kind in ("project", "weaken"):
        values = [value for name, values in found.moves if name == kind for value in values]
        gathered += [(kind, tuple(values))] if values else []
    gathered.append(("keep", tuple(op.index for op in found.operations)))
    same = weaker(model, operations, gathered) == list(found.operations)
    return replace(found, moves=tuple(gathered)) if same else found


class _Shrinker:
    def __init__(
        self, model: Model, operations: Sequence[Operation], refuted: KeyResult, deadline: float
    ) -> None:
        self._model = model
        self._deadline = deadline
        self.operations = list(operations)
        self.result = refuted
        self.moves: list[Move] = []

    def begin(self) -> None:
        """What the engine named, with what that needs. Where it named nothing: what happened last."""
        if self.result.core:
            core = set(self.result.core)
            if not self._keep_closed(core):
                self._weaken_and_keep(core)
            return
        stuck = self._returned(self.result.prefix_end)
        if stuck is not None:
            self._accept([("cut", (stuck,))])
        size = 1
        while size < len(self.operations) // 2 and time.monotonic() < self._deadline:
            done = sorted((op.return_ns, op.index) for op in self.operations if op.return_ns is not None)
            if self._keep_closed({index for _, index in done[-size:]}):
                return
            size *= 4

    def _returned(self, index: int | None) -> int | None:
        return next((op.return_ns for op in self.operations if op.index == index), None)

    def _closed(self, operations: Sequence[Operation], chosen: set[int]) -> set[int] | None:
        """Indexes chosen and those they need, or None if that has no end soon."""
        chosen = set(chosen)
        for _ in range(_CLOSINGS):
            kept = frozenset(i for i, op in enumerate(operations) if op.index in chosen)
            needed = self._model.needed(operations, kept)
            if not needed:
                return chosen
            chosen.update(operations[i].index for i in needed)
        return None

    def _keep_closed(self, chosen: set[int], before: Sequence[Move] = ()) -> bool:
        operations = weaker(self._model, self.operations, before) if before else self.operations
        assert not isinstance(operations, str)
        closed = self._closed(operations, chosen)
        if closed is None or len(closed) == len(operations):
            return False
        return self._accept([*before, ("keep", tuple(sorted(closed)))])

    def _weaken_and_keep(self, core: set[int]) -> bool:
        """Say less of calls of the core, so that it needs nothing else."""
        able = [op for op in self.operations if op.index in core and self._less(op)]
        for op in able:
            if self._keep_closed(core, [("weaken", (op.index,))]):
                return True
        return self._keep_closed(core, [("weaken", tuple(op.index for op in able))])

    def _less(self, op: Operation) -> bool:
        return self._model.weaken(self._model.call(op)) is not None

    def cut(self) -> None:
        """Find the earliest moment by which the history was beyond explanation."""
        moments = sorted({op.return_ns for op in self.operations if op.return_ns is not None})
        low, high = 0, len(moments) - 1
        while low < high:
            middle = (low + high) // 2
            if self._accept([("cut", (moments[middle],))]):
                high = middle
            else:
                low = middle + 1

    def drop(self) -> None:
        """Leave out calls nobody needs."""

        def candidates() -> list[Hashable]:
            if len(self.operations) <= _FEW:
                return [op.index for op in self.operations]
            positions = self._model.removable([self._model.call(op) for op in self.operations])
            return [op.index for position, op in enumerate(self.operations) if position in positions]

        self._thin(candidates, self._without)

    def _without(self, chunk: frozenset[Hashable]) -> bool:
        left = tuple(op.index for op in self.operations if op.index not in chunk)
        return self._accept([("keep", left)])

    def weaken(self) -> None:
        """Say less of a call where others can be left out for it."""
        if len(self.operations) > _FEW:
            return
        for op in list(self.operations):
            others = {other.index for other in self.operations if other.index != op.index}
            if op not in self.operations or not self._less(op):
                continue
            for other in sorted(others):
                left = tuple(i for i in sorted({*others, op.index}) if i != other)
                if self._accept([("weaken", (op.index,)), ("keep", left)]):
                    self.drop()
                    break

    def project(self) -> None:
        """Leave out parts of the state."""

        def candidates() -> list[Hashable]:
            return list(self._model.atoms([self._model.call(op) for op in self.operations]))

        def without(chunk: frozenset[Hashable]) -> bool:
            return self._accept([("project", tuple(sorted(chunk, key=repr)))])

        self._thin(candidates, without)

    def _thin(
        self, candidates: Callable[[], list[Hashable]], without: Callable[[frozenset[Hashable]], bool]
    ) -> None:
        """Try to leave out halves of the candidates, then quarters, down to single ones."""
        size = max(1, len(candidates()) // 2)
        while size:
            start = 0
            while time.monotonic() < self._deadline:
                chunk = candidates()[start : start + size]
                if not chunk:
                    break
                if not without(frozenset(chunk)):
                    start += size
            size //= 2

    def _accept(self, moves: Sequence[Move]) -> bool:
        """Make the moves if they are allowed and what is left is still refuted."""
        left = self._deadline - time.monotonic()
        operations = weaker(self._model, self.operations, moves) if left > 0 else ""
        if not operations or isinstance(operations, str):
            return False
        budget = replace(_CHECK, seconds=min(_CHECK.seconds, left))
        result = decide_key(self._model, operations, budget)
        if result.status != "refuted":
            return False
        self.operations, self.result = operations, result
        self.moves += moves
        return True
