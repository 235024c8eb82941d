"""The smallest set of operations, found by sound moves only, that still has no explanation.

A move is sound if it keeps every explainable history explainable, so that what is left refutes the whole:
cut the history at a moment (what is open there is pending), drop calls the model says are removable, project
parts of the state out. After each move the engine is asked again; a move after which it cannot refute within
its budget is not made. Time is bounded: a larger counterexample is a worse one, not a wrong one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

from checker.engines.contest import Budget, KeyResult
from checker.engines.decide import decide_key
from checker.history import Operation
from checker.models.base import Model

_CHECK = Budget(seconds=2.0, nodes=200_000)
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Shrunk:
    """Operations without explanation, what the engine last said of them, and atoms projected out."""

    operations: tuple[Operation, ...]
    result: KeyResult
    left_out: tuple[Hashable, ...]


def shrink(model: Model, operations: Sequence[Operation], refuted: KeyResult, seconds: float) -> Shrunk:
    """Shrink one key's refuted operations for at most about `seconds`."""
    shrinker = _Shrinker(model, operations, refuted, time.monotonic() + seconds)
    before = -1
    for _ in range(_ROUNDS):
        if len(shrinker.operations) == before:
            break
        before = len(shrinker.operations)
        shrinker.cut()
        shrinker.drop()
        shrinker.project()
    return Shrunk(tuple(shrinker.operations), shrinker.result, tuple(shrinker.gone))


def cut_at(operations: Sequence[Operation], moment_ns: int) -> list[Operation]:
    """The history as it stood when `moment_ns` had passed."""
    kept = []
    for op in operations:
        if op.call_ns > moment_ns:
            continue
        if op.return_ns is not None and op.return_ns > moment_ns:
            op = replace(op, type="info", output=None, return_ns=None)
        kept.append(op)
    return kept


class _Shrinker:
    def __init__(
        self, model: Model, operations: Sequence[Operation], refuted: KeyResult, deadline: float
    ) -> None:
        self._model = model
        self._deadline = deadline
        self.operations = list(operations)
        self.result = refuted
        self.gone: list[Hashable] = []

    def cut(self) -> None:
        """Find the earliest moment by which the history was beyond explanation."""
        moments = sorted({op.return_ns for op in self.operations if op.return_ns is not None})
        low, high = 0, len(moments) - 1
        while low < high:
            middle = (low + high) // 2
            if self._accept(cut_at(self.operations, moments[middle])):
                high = middle
            else:
                low = middle + 1

    def drop(self) -> None:
        """Leave out calls the model says are removable."""

        def candidates() -> list[Hashable]:
            positions = self._model.removable([self._model.call(op) for op in self.operations])
            return [op.index for position, op in enumerate(self.operations) if position in positions]

        def without(chunk: frozenset[Hashable]) -> bool:
            return self._accept([op for op in self.operations if op.index not in chunk])

        self._thin(candidates, without)

    def project(self) -> None:
        """Leave out parts of the state."""

        def candidates() -> list[Hashable]:
            return list(self._model.atoms([self._model.call(op) for op in self.operations]))

        def without(chunk: frozenset[Hashable]) -> bool:
            if not self._accept(_projected(self._model, self.operations, chunk)):
                return False
            self.gone.extend(sorted(chunk, key=str))
            return True

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

    def _accept(self, operations: list[Operation]) -> bool:
        left = self._deadline - time.monotonic()
        if left <= 0 or not operations:
            return False
        budget = replace(_CHECK, seconds=min(_CHECK.seconds, left))
        result = decide_key(self._model, operations, budget)
        if result.status != "refuted":
            return False
        self.operations, self.result = operations, result
        return True


def _projected(model: Model, operations: Sequence[Operation], gone: frozenset[Hashable]) -> list[Operation]:
    kept = []
    for op in operations:
        call = model.project(model.call(op), gone)
        if call is not None:
            kept.append(replace(op, output=call.output) if op.type == "ok" else op)
    return kept
