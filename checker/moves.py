"""Moves from a key's operations to fewer and weaker ones: what no order explains after them, none did before.

- ("cut", [moment_ns]): the history as it stood then; what was open is pending;
- ("after", [moment_ns]): what had returned before is forgotten; the key may be in any state it could have
  been in, and what was open may be done or not;
- ("project", atoms): as seen by somebody blind to parts of the state that the calls name (`Model.atoms`);
- ("weaken", indexes): these calls say less (`Model.weaken`);
- ("keep", indexes): all others go, if the model needs none of them for those (`Model.needed`).

With the models' own rules this is what the auditor takes on trust, so each says why it is sound.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from itertools import combinations, islice
from typing import NamedTuple

from checker.history import Operation
from checker.models.base import Call, Model, State

Move = tuple[str, tuple[Hashable, ...]]
Point = tuple[frozenset[int], frozenset[int], State]
"""Completed operations that are done, pending ones that were used (indexes), and the state."""
_MOST_OPEN = 4096
"""Subsets of what was open at a moment."""


class Left(NamedTuple):
    """What moves leave of a key. After a moment, `states` are those the key may have been in by then."""

    operations: list[Operation]
    moment_ns: int | None = None
    states: Sequence[State] = ()


def weaker(model: Model, before: Left, moves: Sequence[Move]) -> Left | str:
    """What the moves leave of one key's operations, or why one of them may not be made."""
    left, moment_ns, states = (
        [op for op in before.operations if op.type != "fail"],
        before.moment_ns,
        before.states,
    )
    for name, values in moves:
        chosen = frozenset(values)
        if name == "cut" and isinstance(values[0], int):
            left = cut_at(left, values[0])
        elif name == "after" and isinstance(values[0], int) and moment_ns is None:
            moment_ns, everything = values[0], left
            left = [op for op in left if op.return_ns is None or op.return_ns >= moment_ns]
            found = model.states(everything, left)
            if found is None:
                return "the states the key may have been in are not known, or too many"
            states = found
        elif name == "project" and moment_ns is None:
            if not chosen <= set(model.atoms([model.call(op) for op in left])):
                return "what is to be projected out is not named by any call"
            left = [_as(call, op) for op in left if (call := model.project(model.call(op), chosen))]
        elif name == "weaken":
            left = [_as(model.weaken(model.call(op)), op) if op.index in chosen else op for op in left]
        elif name == "keep":
            kept = frozenset([i for i, op in enumerate(left) if op.index in chosen])
            if needed := model.needed(left, kept):
                return f"operation {left[needed[0]].index} may not be left out"
            left = [left[i] for i in sorted(kept)]
        else:
            return f"{name!r:.40} of {values!r:.40} is no move that may be made"
    return Left(left, moment_ns, states)


def starts(model: Model, left: Left) -> list[Point]:
    """Where an order may stand when it is to go on with what is left.

    Take the shortest beginning of an order that has all that returned before the moment: everything in it was
    called before then. So of what returned later, only what was open may be in it. To have an observer behind
    oneself, or a pending operation not yet used, is never worse.
    """
    nothing = frozenset[int]()
    if left.moment_ns is None:
        return [(nothing, nothing, model.initial)]
    opened = [op for op in left.operations if op.known and op.call_ns < left.moment_ns]
    watched = frozenset(op.index for op in opened if model.is_observer(model.call(op)))
    others = [op.index for op in opened if op.index not in watched]
    subsets = (some for size in range(len(others) + 1) for some in combinations(others, size))
    done = [watched.union(some) for some in islice(subsets, _MOST_OPEN)]
    assert len(done) == 1 << len(others), f"{len(others)} operations were open at {left.moment_ns}"
    return [(some, nothing, state) for state in left.states for some in done]


def cut_at(operations: Iterable[Operation], moment_ns: int) -> list[Operation]:
    """The history as it stood when `moment_ns` had passed.

    Of an order that explains more, the shortest beginning with all that had returned by then has nothing in
    it that was called after, so it explains this.
    """
    return [
        op
        if op.return_ns is None or op.return_ns <= moment_ns
        else replace(op, type="info", output=None, return_ns=None)
        for op in operations
        if op.call_ns <= moment_ns
    ]


def _as(call: Call | None, op: Operation) -> Operation:
    return replace(op, f=call.f, input=call.input, output=call.output) if call else op
