"""One key of a register as columns of integers: what each operation needs, what it makes, and when.

Every question about a register is about equality of values, so values become numbers; absent is 0. An
operation *needs* a value if it is legal only there, and *makes* the value it leaves behind. A compare-and-set
that swapped a value for itself, or that failed and tells what was there, is a read. Positions index the
operations in order of call. A pending operation returns at `forever`, later than everything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import count, islice
from operator import attrgetter, le
from typing import cast

from checker.history import Operation
from checker.models.base import Call, Model

NOTHING = -1
ABSENT = 0
_READ, _WRITE, _CAS, _DELETE = range(4)
_CODES = {"read": _READ, "write": _WRITE, "cas": _CAS, "delete": _DELETE}
_NEVER = object()
"""Expected by a pending compare-and-set that can never swap: a value nobody makes."""


@dataclass(slots=True)
class Columns:
    """`reads`, `writes` (deletes too), `swaps` and `maybes` are positions, each in order of call."""

    operations: Sequence[Operation]
    calls: list[int]
    returns: list[int]
    forever: int
    initial: int
    need: list[int]
    make: list[int]
    values: int
    """How many numbers there are."""
    reads: list[int]
    """Completed, need a value, make nothing."""
    writes: list[int]
    """Completed or pending, need nothing, make a value."""
    swaps: list[int]
    """Compare-and-sets known to have swapped."""
    maybes: list[int]
    """Pending compare-and-sets."""
    avoids: list[tuple[int, int]]
    """Failed compare-and-sets that do not say what was there, each with the value that was not."""
    impossible: int
    """An operation that is legal at no state, or NOTHING."""
    never: int
    """What a pending compare-and-set needs that can never swap, or NOTHING."""

    def index(self, positions: Sequence[int]) -> list[int]:
        """What the history calls these operations."""
        operations = self.operations
        return [operations[i].index for i in positions]


def columns(model: Model, operations: Sequence[Operation]) -> Columns:
    """Of completed and pending operations of one key."""
    calls = [op.call_ns for op in operations]
    if not all(map(le, calls, islice(calls, 1, None))):
        operations = sorted(operations, key=attrgetter("call_ns"))
        calls.sort()
    ends = [op.return_ns for op in operations]
    returned = [end for end in ends if end is not None]
    forever = max(calls[-1] if calls else 0, max(returned, default=0)) + 1
    numbers: defaultdict[Hashable, int] = defaultdict(count().__next__)
    assert numbers[None] == ABSENT
    size = len(operations)
    found = Columns(
        operations, calls, [forever if end is None else end for end in ends], forever, numbers[model.initial],
        [NOTHING] * size, [NOTHING] * size, 0, [], [], [], [], [], NOTHING, NOTHING,
    )  # fmt: skip
    _number(model, found, numbers)
    found.values, found.never = len(numbers), numbers.get(_NEVER, NOTHING)
    return found


def _number(model: Model, found: Columns, numbers: defaultdict[Hashable, int]) -> None:
    need, make = found.need, found.make
    add_read, add_write, add_swap = found.reads.append, found.writes.append, found.swaps.append
    code = {name: _CODES[own] for name, own in model.functions.items()}
    read, write, cas = _READ, _WRITE, _CAS
    rare = _CompareAndSets(model, found, numbers)
    for i, op in enumerate(found.operations):
        kind = code[op.f]
        if kind == read:
            if op.return_ns is not None:
                need[i] = numbers[op.output]
                add_read(i)
        elif kind == write:
            make[i] = numbers[op.input]
            add_write(i)
        elif kind != cas:
            make[i] = ABSENT
            add_write(i)
        elif op.return_ns is None or type(op.output) is not tuple:
            rare.add(i, op)
        else:
            given: tuple[Hashable, Hashable] = op.input  # type: ignore[assignment]  # a cast is a call
            expected, new = given
            swapped, actual = op.output
            if actual is None or (actual == expected) is not swapped or expected == new:
                rare.add(i, op)
                continue
            need[i] = numbers[actual]
            if swapped:
                make[i] = numbers[new]
                add_swap(i)
            else:
                add_read(i)


class _CompareAndSets:
    """Adds to the columns compare-and-sets that are pending, or impossible, or that need a second thought."""

    def __init__(self, model: Model, found: Columns, numbers: defaultdict[Hashable, int]) -> None:
        self._found = found
        self._numbers = numbers
        # Whether an absent register can be swapped is the model's to say.
        self._absent_swaps = model.step(None, Call("cas", (None, "new"), None, False))[1] == "new"

    def add(self, i: int, op: Operation) -> None:
        found, numbers = self._found, self._numbers
        expected, new = cast(tuple[Hashable, Hashable], op.input)
        can_swap = expected is not None or self._absent_swaps
        if op.return_ns is None:
            if expected != new:
                found.need[i] = numbers[expected if can_swap else _NEVER]
                found.make[i] = numbers[new]
                found.maybes.append(i)
            return
        told = isinstance(op.output, tuple)
        swapped, actual = cast(tuple[bool, Hashable], op.output) if told else (op.output, expected)
        if swapped:
            if not can_swap or actual != expected:
                found.impossible = i
            found.need[i] = numbers[expected]
            if expected != new:
                found.make[i] = numbers[new]
                found.swaps.append(i)
            else:
                found.reads.append(i)
        elif told:
            if can_swap and actual == expected:
                found.impossible = i
            found.need[i] = numbers[actual]
            found.reads.append(i)
        else:
            found.avoids.append((i, numbers[expected] if can_swap else NOTHING))
