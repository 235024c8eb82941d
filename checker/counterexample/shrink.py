"""The smallest set of operations, found by sound moves only, that still has no explanation.

A move is sound if it keeps every explainable history explainable, so that what is left refutes the whole
(`checker.moves`). After each move an engine is asked again; a move after which it cannot refute within its
budget is not made. An engine that named the few operations that refute (`core`) spares the long way. Time is
bounded: a larger counterexample is a worse one, not a wrong one.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from checker.audit import audit_refutation
from checker.engines.answers import Budget, KeyResult
from checker.engines.contest import decide_key as search
from checker.engines.decide import decide_key
from checker.history import Operation
from checker.models.base import Model
from checker.moves import Left, Move, starts, weaker

_CHECK = Budget(seconds=2.0, nodes=200_000)
_ROUNDS = 3
_CLOSINGS = 6
"""Passes over all operations to find what a few of them need."""
_MOST_CLOSED = 1_000
_LAST = (1, 3, 8, 20, 50, 120)
"""How many of the operations that returned last may be enough."""
_MOST_OPEN = 10
_MOST_STEPS = 30_000
_FEW = 64
"""Operations of which each is tried to be left out, or weakened, whatever the model recommends."""


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What is left without explanation, the moves that led to it, and what an engine last said of it."""

    left: Left
    moves: tuple[Move, ...]
    result: KeyResult

    @property
    def left_out(self) -> tuple[Hashable, ...]:
        """Parts of the state that were projected out."""
        return tuple(atom for name, values in self.moves if name == "project" for atom in values)


def shrink(model: Model, operations: Sequence[Operation], refuted: KeyResult, seconds: float) -> Shrunk:
    """Shrink one key's refuted operations (no `fail`) for at most about `seconds`."""
    whole = Left(list(operations))
    shrinker = _Shrinker(model, whole, refuted, time.monotonic() + seconds)
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
    found = Shrunk(shrinker.left, tuple(shrinker.moves), shrinker.result)
    return _in_few_moves(model, whole, found)


def _in_few_moves(model: Model, whole: Left, found: Shrunk) -> Shrunk:
    """The same in one move of each kind, where that leaves the same."""
    cuts = [values[0] for name, values in found.moves if name == "cut" and isinstance(values[0], int)]
    gathered: list[Move] = [("cut", (min(cuts),))] if cuts else []
    gathered += [move for move in found.moves if move[0] == "after"]
    for kind in ("project", "weaken"):
        values = [value for name, values in found.moves if name == kind for value in values]
        gathered += [(kind, tuple(values))] if values else []
    gathered.append(("keep", tuple(op.index for op in found.left.operations)))
    if gathered == list(found.moves):
        return found
    same = weaker(model, whole, gathered) == found.left
    return replace(found, moves=tuple(gathered)) if same else found


def _positions(operations: Sequence[Operation], chosen: Iterable[int]) -> frozenset[int]:
    """Of those chosen by index, in operations sorted by index."""
    index_of = attrgetter("index")
    found = ((bisect_left(operations, index, key=index_of), index) for index in chosen)
    return frozenset(i for i, index in found if i < len(operations) and operations[i].index == index)


class _Shrinker:
    def __init__(self, model: Model, whole: Left, refuted: KeyResult, deadline: float) -> None:
        self._model = model
        self._deadline = deadline
        self.left = whole
        self.result = refuted
        self.moves: list[Move] = []
        self._ask = search if refuted.engine == "search" else decide_key
        """Of many operations, the engine that could refute all of them."""

    @property
    def operations(self) -> list[Operation]:
        return self.left.operations

    def begin(self) -> None:
        """What the engine named, with what that needs. Where it named nothing: what happened last."""
        if self.result.core:
            core = set(self.result.core)
            if not self._keep_closed(core):
                self._weaken_and_keep(core)
            return
        end = next((op.return_ns for op in self.operations if op.index == self.result.prefix_end), None)
        cut: list[Move] = [] if end is None else [("cut", (end,))]
        returned = [(op.return_ns, op.index) for op in self.operations if op.return_ns is not None]
        done = sorted(moment for moment in returned if end is None or moment[0] <= end)
        for size in _LAST:
            if size > len(done) // 2 or time.monotonic() > self._deadline:
                break
            if self._keep_closed({index for _, index in done[-size:]}, cut, _FEW):
                return
            if self._accept([*cut, ("after", (done[-size][0],))]):
                return
        for size in _LAST if time.monotonic() < self._deadline else ():
            if self._keep_closed({index for _, index in done[-size:]}, cut):
                return
        self._accept(cut)

    def _closed(
        self, operations: Sequence[Operation], chosen: set[int], within: set[int] | None = None
    ) -> set[int] | None:
        """Indexes chosen and those they need; None if that has no end soon, or not `within` these."""
        chosen = set(chosen)
        for _ in range(_CLOSINGS):
            kept = _positions(operations, chosen)
            needed = {operations[i].index for i in self._model.needed(operations, kept)}
            if not needed:
                return chosen
            if within is not None and not needed <= within:
                return None
            chosen |= needed
        return None

    def _keep_closed(self, chosen: set[int], before: Sequence[Move] = (), most: int = _MOST_CLOSED) -> bool:
        left = weaker(self._model, self.left, before) if before else self.left
        closed = None if isinstance(left, str) else self._closed(left.operations, chosen)
        if closed is None or len(closed) > most:
            return False
        assert not isinstance(left, str)
        # What is needed was just found out, so the move may be made; the auditor asks once more.
        kept = [left.operations[i] for i in sorted(_positions(left.operations, closed))]
        return self._take(left._replace(operations=kept), [*before, ("keep", tuple(sorted(closed)))])

    def _weaken_and_keep(self, core: set[int]) -> bool:
        """Say less of calls of the core, so that it needs nothing else: of those that need something outside
        it, of these only where the core itself does not have it, of one, of all."""
        few = [op for op in self.operations if op.index in core]
        able = [op.index for op in few if self._less(op)]
        outside = [index for index in able if self._closed(self.operations, {index}, core) is None]
        nowhere = [index for index in outside if self._closed(few, {index}, set()) == {index}]
        tries = [outside, nowhere, *([index] for index in able), able]
        return any(self._keep_closed(core, [("weaken", tuple(weak))]) for weak in tries if weak)

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
        left = weaker(self._model, self.left, moves) if time.monotonic() < self._deadline else ""
        return not isinstance(left, str) and self._take(left, moves)

    def _take(self, left: Left, moves: Sequence[Move]) -> bool:
        seconds = self._deadline - time.monotonic()
        if seconds <= 0 or not left.operations:
            return False
        if left.moment_ns is None:
            budget = replace(_CHECK, seconds=min(_CHECK.seconds, seconds))
            few = len(left.operations) <= _FEW
            result = (decide_key if few else self._ask)(self._model, left.operations, budget)
            if result.status != "refuted":
                return False
            self.result = result
        elif not self._no_way_on(left):
            return False
        self.left = left
        self.moves += moves
        return True

    def _no_way_on(self, left: Left) -> bool:
        """Engines begin at the beginning. What is left after a moment is little: every order is tried."""
        if sum(op.known and op.call_ns < (left.moment_ns or 0) for op in left.operations) > _MOST_OPEN:
            return False
        points = starts(self._model, left)
        return audit_refutation(self._model, left.operations, _MOST_STEPS, None, points) is None
