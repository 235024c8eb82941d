"""Set with add, remove and contains: each element by itself, then one order of all.

Elements do not touch each other, so a set without reads of all of it is explainable iff each of its elements
is: a flag that adds raise, removes lower and `contains` looks at. Adds of one element cannot be told apart by
anything but their intervals, so values are never unique here; but with two values and four kinds of operation
the general search is small. Going by returns, a state is: the flag, which of the open operations happened,
how many of the pending adds and removes were used. Of open operations of one kind the one that returns first
is tried (of pending ones the one called first), what looks at the flag and is right happens at once, a
pending one is used only if it changes something, and of two states that differ in pending ones used only the
smaller is kept: the arguments are those of `checker.engines.search`.

Each element's operations get the earliest moments that keep its order; sorted by moment they are one order.
Without removes, see `grow_sets`. Removes and reads of all of it are undecided.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from checker.engines.answers import Answer, Explained, Refuted, Undecided
from checker.engines.polynomial import grow_sets
from checker.history import Operation
from checker.models.base import Model
from checker.models.sets import Members

STEPS = 100
"""At most so many states looked at for each operation on an element, on average."""
_UP, _DOWN, _YES, _NO = range(4)
_FEW = 40

_Path = tuple[Any, int] | None
"""The path before, and the number of an operation."""


def decide(model: Model, operations: Sequence[Operation]) -> Answer:
    """Judge one key."""
    functions = model.functions
    if all(functions[op.f] != "remove" for op in operations):
        return grow_sets.decide(model, operations)
    dropped: list[int] = []
    elements: dict[Hashable, list[Operation]] = {}
    for op in operations:
        name = functions[op.f]
        if op.return_ns is None and (name == "contains" or name == "read"):
            dropped.append(op.index)
        elif name == "read":
            return Undecided("elements are removed and all of the set is read")
        else:
            elements.setdefault(op.input, []).append(op)
    initial = cast(Members, model.initial).frozen()
    placed: list[tuple[int, int, int, int]] = []
    undecided = False
    for number, (element, several) in enumerate(elements.items()):
        flag = _Flag(model, several, element in initial)
        order = flag.order()
        if order is None:
            return Refuted("element", _core(model, several, element in initial, flag.stuck))
        if flag.tired:
            undecided = True
            continue
        moment, used = -1, set[int]()
        for position, op in enumerate(order):
            moment = max(moment, op.call_ns)
            used.add(op.index)
            placed.append((moment, number, position, op.index))
        dropped += [op.index for op in several if op.index not in used]
    if undecided:
        return Undecided("too many states of one element")
    placed.sort()
    return Explained([index for _, _, _, index in placed], dropped)


def _core(model: Model, operations: list[Operation], up: bool, end: int) -> tuple[int, ...]:
    """Of the operations on one element, few that refute: what is left of them at `end` without looks that are
    not needed, and without what only those looked at."""
    left: list[Operation] = []
    for op in operations:
        if op.call_ns > end or (op.return_ns is not None and op.return_ns > end and _looks(model, op)):
            continue
        open_then = op.return_ns is not None and op.return_ns > end
        left.append(replace(op, type="info", output=None, return_ns=None) if open_then else op)
    if len(left) > _FEW:
        return ()
    for looks in (True, False):
        for op in list(left):
            kinds = {_kind(model, other) for other in left}
            seen = {_UP: _YES in kinds, _DOWN: _NO in kinds}.get(_kind(model, op), False)
            if _looks(model, op) is not looks or seen:
                continue
            fewer = [other for other in left if other is not op]
            if _Flag(model, fewer, up).order() is None:
                left = fewer
    return tuple(op.index for op in left)


def _looks(model: Model, op: Operation) -> bool:
    return _kind(model, op) in (_YES, _NO)


def _kind(model: Model, op: Operation) -> int:
    name = model.functions[op.f]
    if name == "contains":
        return _YES if op.output else _NO
    return _UP if name == "add" else _DOWN


@dataclass(frozen=True, slots=True)
class _State:
    """Where the search is: which of the completed operations not yet passed happened (bits), the flag, …"""

    happened: int
    up: bool
    used: tuple[int, int]
    """How many pending adds and removes were used."""
    path: _Path


class _Flag:
    """The search for one element."""

    def __init__(self, model: Model, operations: Sequence[Operation], up: bool) -> None:
        completed = [op for op in operations if op.return_ns is not None]
        completed.sort(key=lambda op: (cast(int, op.return_ns), op.call_ns))
        pending = [op for op in operations if op.return_ns is None]
        self._all = [*completed, *pending]
        self._kinds = [_kind(model, op) for op in completed]
        self._completed = len(completed)
        self._pending = [
            [i for i, op in enumerate(self._all) if op.return_ns is None and _kind(model, op) == kind]
            for kind in (_UP, _DOWN)
        ]
        self._states = [_State(0, up, (0, 0), None)]
        self._open: list[list[int]] = [[], [], [], []]
        self._budget = STEPS * (len(operations) + 100)
        self.tired = False
        self.stuck = -1
        """The return of the first operation that cannot be explained."""

    def order(self) -> list[Operation] | None:
        """An explaining order, or None if there is none; empty if `tired`."""
        by_call = sorted(range(self._completed), key=lambda i: self._all[i].call_ns)
        entered = 0
        for r in range(self._completed):
            end = cast(int, self._all[r].return_ns)
            while entered < len(by_call) and self._all[by_call[entered]].call_ns <= end:
                insort(self._open[self._kinds[by_call[entered]]], by_call[entered])
                entered += 1
            self._states = self._pass(r, end)
            self._open[self._kinds[r]].remove(r)
            if self._budget < 0:
                self.tired = True
                return []
            if not self._states:
                self.stuck = end
                return None
        path, backwards = self._states[0].path, list[Operation]()
        while path is not None:
            backwards.append(self._all[path[1]])
            path = path[0]
        return backwards[::-1]

    def _pass(self, r: int, end: int) -> list[_State]:
        """The states in which operation `r`, the next to return, happened."""
        passed: list[_State] = []
        seen: dict[tuple[int, bool], list[tuple[int, int]]] = {}
        todo = self._states[::-1]
        ready = [sum(self._all[i].call_ns <= end for i in several) for several in self._pending]
        while todo:
            state = self._looked(todo.pop(), r)
            known = seen.setdefault((state.happened, state.up), [])
            if any(used[0] <= state.used[0] and used[1] <= state.used[1] for used in known):
                continue
            known.append(state.used)
            self._budget -= 1
            if self._budget < 0:
                return []
            if state.happened & 1:
                passed.append(_State(state.happened >> 1, state.up, state.used, state.path))
                continue
            todo += self._next(state, r, ready)
        return passed

    def _looked(self, state: _State, r: int) -> _State:
        """With all open looks that are right."""
        happened, path = state.happened, state.path
        for i in self._open[_YES if state.up else _NO]:
            if not happened >> (i - r) & 1:
                happened |= 1 << (i - r)
                path = (path, i)
        return state if happened == state.happened else _State(happened, state.up, state.used, path)

    def _next(self, state: _State, r: int, ready: list[int]) -> list[_State]:
        found = []
        for kind in (_UP, _DOWN):
            up = kind == _UP
            used = state.used[kind]
            if state.up is not up and used < ready[kind]:
                more = (used + 1, state.used[1]) if up else (state.used[0], used + 1)
                found.append(_State(state.happened, up, more, (state.path, self._pending[kind][used])))
            for i in self._open[kind]:
                if not state.happened >> (i - r) & 1:
                    found.append(_State(state.happened | 1 << (i - r), up, state.used, (state.path, i)))
                    break
        return found
