"""One key's operations, numbered and indexed for searching.

Completed operations are numbered by *return*, pending ones (which may or may not have happened) after them
by call. Then every reachable point of a search is (r, which completed ones at or above r are in, which
pending ones are in, state), where r is the first completed operation not yet in: all below r are in, and an
operation above r can be in only if it was called no later than operation r returned. That *window* keeps
keys small however long the history is.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import chain

from checker.history import Operation
from checker.models.base import Call, Model, State

ILLEGAL = -1


class Problem:
    """A key to be explained. All is fixed at construction but the table of transitions, filled lazily."""

    def __init__(self, model: Model, operations: Sequence[Operation]) -> None:
        completed = sorted(
            (op for op in operations if op.type == "ok"),
            key=lambda op: (_return_of(op), op.call_ns, op.index),
        )
        pending = sorted(
            (op for op in operations if op.type == "info"), key=lambda op: (op.call_ns, op.index)
        )
        calls = [model.call(op) for op in chain(completed, pending)]
        study = model.study(calls)
        useless = study.useless
        self.model = model
        self.completed = len(completed)
        self.dropped = tuple(pending[i - len(completed)].index for i in sorted(useless))
        kept = [i for i in range(len(calls)) if i not in useless]
        everything = [*completed, *pending]
        self.operations = tuple(everything[i] for i in kept)
        self.pending = len(self.operations) - self.completed
        self._study = study
        self._states: dict[State, int] = {}
        self._state_of: list[State] = []
        self._labels: list[Call] = []
        self._transitions: dict[tuple[int, int], tuple[int, int]] = {}
        self.initial = self._intern(model.initial)
        self.label = self._number_labels([study.label(i) for i in kept])
        self._index_windows([model.is_observer(calls[i]) for i in kept])

    def _number_labels(self, labels: Sequence[Call]) -> list[int]:
        numbers: dict[Hashable, int] = {}
        for label in labels:
            if label not in numbers:
                numbers[label] = len(numbers)
                self._labels.append(label)
        return [numbers[label] for label in labels]

    def _index_windows(self, observer: Sequence[bool]) -> None:
        """Who may be tried at each r: completed observers, completed mutators, and how many pending ones."""
        count = self.completed
        returns = [_return_of(op) for op in self.operations[:count]]
        calls = [op.call_ns for op in self.operations]
        by_call = sorted(range(count), key=lambda i: calls[i])
        self.observers: list[tuple[int, ...]] = []
        self.mutators: list[tuple[int, ...]] = []
        self.open_pending: list[int] = []
        entered, opened, pending = list[int](), 0, 0
        for r in range(count):
            # Intervals are closed: what was called at the very moment r returned may come before r.
            while opened < count and calls[by_call[opened]] <= returns[r]:
                entered.append(by_call[opened])
                opened += 1
            while pending < self.pending and calls[count + pending] <= returns[r]:
                pending += 1
            entered = sorted(i for i in entered if i >= r)
            self.observers.append(tuple(i for i in entered if observer[i]))
            self.mutators.append(tuple(i for i in entered if not observer[i]))
            self.open_pending.append(pending)

    def advance(self, state: int, label: int) -> tuple[int, int]:
        """The state after a call of class `label` at `state`, or ILLEGAL; and the calls lost by it (bits)."""
        known = self._transitions.get((state, label))
        if known is not None:
            return known
        before = self._state_of[state]
        legal, after = self.model.step(before, self._labels[label])
        found = (self._intern(after), self._study.lost(before, after)) if legal else (ILLEGAL, 0)
        self._transitions[(state, label)] = found
        return found

    def _intern(self, state: State) -> int:
        number = self._states.get(state)
        if number is None:
            number = self._states[state] = len(self._state_of)
            self._state_of.append(state)
        return number


def _return_of(operation: Operation) -> int:
    assert operation.return_ns is not None, f"ok operation {operation.index} has no return"
    return operation.return_ns
