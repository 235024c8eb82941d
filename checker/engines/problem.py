"""One key's operations, numbered and indexed for searching.

Completed operations are numbered by *return*, pending ones (which may or may not have happened) after them
by call. Then every reachable point of a search is (r, which completed ones at or above r are in, which
pending ones are in, state), where r is the first completed operation not yet in: all below r are in, and an
operation above r can be in only if it was called no later than operation r returned. An operation has a bit
of the mask only while it is open (a *slot*), so points stay small however long the history is and however
long one operation takes.

States and classes of calls (those that no model can tell apart) are numbers, and the table of transitions is
filled as it is needed. The model may be anybody's: what its `step` does wrong is told as a ModelFault.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from checker.history import Operation
from checker.models.base import Call, Model, State

ILLEGAL = -1
Candidate = tuple[int, int, int]
"""(operation, its bit, its class)"""
Candidates = tuple[Candidate, ...]
_CHUNK = 512
"""Levels whose candidates are listed at once."""
_MOST_LISTED = 4_000_000
"""Candidates listed at once, over all levels: 8 bytes each."""


class ModelFault(Exception):
    """A model's own code failed, so nothing can be said of the history. The text says which hook and how."""


class Problem:
    """A key to be explained. All is fixed at construction but what is listed or looked up lazily."""

    def __init__(self, model: Model, operations: Sequence[Operation]) -> None:
        completed = [op for op in operations if op.type == "ok"]
        completed.sort(key=_by_return)
        pending = [op for op in operations if op.type == "info"]
        pending.sort(key=_by_call)
        self.model = model
        self.completed = len(completed)
        kept = self._classify([*completed, *pending])
        self.pending = len(kept) - self.completed
        self.operations = kept
        self._sweep()
        self._listed = 0
        self.mutators: list[Candidates | None] = []
        """Of each level r: completed operations open when r returns, by return; None: see `open_level`."""
        self.observers: list[Candidates | None] = []
        self._forget_levels()
        self._states: dict[State, int] = {}
        self._state_of: list[State] = []
        self.table: list[dict[int, int]] = []
        """Of each state: from class to the state after, or ILLEGAL. See `advance`."""
        self.losses: dict[tuple[int, int], Sequence[int]] = {}
        """From (state, class) to completed operations that can never be legal again then, ascending."""
        self._steps = 0
        self.lost_until = 0
        """The last completed operation whose loss was a reason to turn back."""
        self.initial = self._intern(self._study.blurred(model.initial))

    def _classify(self, everything: list[Operation]) -> list[Operation]:
        """Number the classes; the operations that are not useless."""
        model, count = self.model, self.completed
        try:
            calls = [model.call(op) for op in everything]
            self._study = study = model.study(calls)
            useless = study.useless
            kept = [i for i in range(len(calls)) if i not in useless] if useless else range(len(calls))
            numbers: dict[Call, int] = {}
            label = study.label
            self.class_of = [numbers.setdefault(label(i), len(numbers)) for i in kept]
            self._labels = list(numbers)
            self._observes = [1 if model.is_observer(call) else 0 for call in self._labels]
        except Exception as error:
            raise _fault("advice on the history's calls", error) from error
        assert all(i >= count for i in useless), "a model called a completed operation useless"
        self.classes = len(numbers)
        self.dropped = tuple(everything[i].index for i in sorted(useless))
        return [everything[i] for i in kept] if useless else everything

    def _sweep(self) -> None:
        """Give each completed operation its slot, and each level what is open when it begins."""
        count = self.completed
        calls = [op.call_ns for op in self.operations]
        returns = [_return_of(op) for op in self.operations[:count]]
        by_call = sorted(range(count), key=calls.__getitem__)
        self.bit = [0] * (count + 1)
        self.enters = [0] * count
        """The first level at which an operation is open."""
        self._by_entry = by_call
        self._chunk_starts: list[tuple[int, tuple[int, ...]]] = []
        self.open_pending: list[int] = []
        """Of each level: the bits of pending operations called by then."""
        free, slots, opened, pending, pending_bits = list[int](), 0, 0, count, 0
        open_now: dict[int, None] = {}
        everything = len(calls)
        for r, returned in enumerate(returns):
            if r % _CHUNK == 0:
                self._chunk_starts.append((opened, tuple(open_now)))
            # Intervals are closed: what was called at the very moment r returned may come before r.
            while opened < count and calls[by_call[opened]] <= returned:
                i = by_call[opened]
                opened += 1
                if not free:
                    free.append(1 << slots)
                    slots += 1
                self.bit[i] = free.pop()
                self.enters[i] = r
                open_now[i] = None
            while pending < everything and calls[pending] <= returned:
                pending_bits |= 1 << (pending - count)
                pending += 1
            self.open_pending.append(pending_bits)
            free.append(self.bit[r])
            del open_now[r]
        self.slots = slots
        self._candidates = list(zip(range(count), self.bit, self.class_of))
        of_class: dict[int, int] = {}
        for j in range(everything - count):
            of = self.class_of[count + j]
            of_class[of] = of_class.get(of, 0) | 1 << j
        self.pending_classes = list(of_class.items())
        """(class, bits of its pending operations), in order of first call."""

    def _forget_levels(self) -> None:
        self.mutators[:] = self.observers[:] = [None] * self.completed
        self._listed = 0

    def open_level(self, r: int) -> None:
        """List the candidates of the levels around r (memory is bounded: the rest may be forgotten)."""
        if self._listed > _MOST_LISTED:
            self._forget_levels()
        opened, open_now = self._chunk_starts[r // _CHUNK]
        observes, class_of, enters, by_entry = self._observes, self.class_of, self.enters, self._by_entry
        candidates = self._candidates
        lists: tuple[list[Candidate], list[Candidate]] = ([], [])
        for i in sorted(open_now):
            lists[observes[class_of[i]]].append(candidates[i])
        fixed: list[Candidates | None] = [None, None]
        start = r - r % _CHUNK
        for level in range(start, min(start + _CHUNK, self.completed)):
            while opened < self.completed and enters[by_entry[opened]] <= level:
                i = by_entry[opened]
                opened += 1
                side = observes[class_of[i]]
                insort(lists[side], candidates[i])
                fixed[side] = None
            if fixed[0] is None:
                fixed[0] = tuple(lists[0])
                self._listed += len(lists[0])
            if fixed[1] is None:
                fixed[1] = tuple(lists[1])
                self._listed += len(lists[1])
            self.mutators[level], self.observers[level] = fixed
            side = observes[class_of[level]]
            del lists[side][0]  # `level` returns first of all that are open
            fixed[side] = None

    def advance(self, state: int, label: int) -> int:
        """The state after a call of class `label` at `state`, or ILLEGAL. Fills `table` and `losses`."""
        before = self._state_of[state]
        try:
            answer = self.model.step(before, self._labels[label])
            if type(answer) is not tuple or len(answer) != 2 or type(answer[0]) is not bool:
                raise TypeError(f"it returned {answer!r:.200} instead of (legal: bool, state)")
            legal, after = answer
            number = self._intern(self._study.blurred(after)) if legal else ILLEGAL
            lost = self._study.lost(before, after) if legal else ()
        except Exception as error:
            raise _fault(f"step for {self._labels[label]!r:.300} at state {before!r:.200}", error) from error
        self.table[state][label] = number
        self._steps += 1
        if lost:
            self.losses[state, label] = lost
        return number

    def universe(self, most_states: int, most_steps: int) -> list[int] | None:
        """All states that any calls in any order lead to; None if that is too much to find out."""
        found, at = {self.initial: None}, 0
        todo = [self.initial]
        if self.classes * most_states > most_steps:
            most_states = most_steps // max(1, self.classes)
        while at < len(todo):
            if len(todo) > most_states:
                return None
            known = self.table[todo[at]]
            for label in range(self.classes):
                after = known.get(label)
                if after is None:
                    after = self.advance(todo[at], label)
                if after != ILLEGAL and after not in found:
                    found[after] = None
                    todo.append(after)
            at += 1
        return todo

    def bytes(self) -> int:
        """About what the problem keeps beyond the operations themselves."""
        states = 450 * len(self._state_of)
        return 250 * len(self.operations) + 8 * self._listed + 70 * self._steps + states

    def _intern(self, state: State) -> int:
        number = self._states.get(state)
        if number is None:
            number = self._states[state] = len(self._state_of)
            self._state_of.append(state)
            self.table.append({})
        return number


def _fault(where: str, error: Exception) -> ModelFault:
    return ModelFault(f"the model failed in its {where}: {type(error).__name__}: {error!s:.300}")


def _by_return(operation: Operation) -> tuple[int, int, int]:
    return _return_of(operation), operation.call_ns, operation.index


def _by_call(operation: Operation) -> tuple[int, int]:
    return operation.call_ns, operation.index


def _return_of(operation: Operation) -> int:
    assert operation.return_ns is not None, f"ok operation {operation.index} has no return"
    return operation.return_ns
