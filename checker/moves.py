"""Moves from a key's operations to fewer and weaker ones: what no order explains after them, none did before.

- ("cut", [moment_ns]): the history as it stood then; what was open is pending;
- ("project", atoms): as seen by somebody blind to parts of the state that the calls name (`Model.atoms`);
- ("weaken", indexes): these calls say less (`Model.weaken`);
- ("keep", indexes): all others go, if the model needs none of them for those (`Model.needed`).

With the models' own rules this is what the auditor takes on trust, so each says why it is sound.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace

from checker.history import Operation
from checker.models.base import Call, Model

Move = tuple[str, tuple[Hashable, ...]]


def weaker(model: Model, operations: Iterable[Operation], moves: Sequence[Move]) -> list[Operation] | str:
    """What the moves leave of one key's operations, or why one of them may not be made."""
    left = [op for op in operations if op.type != "fail"]
    for name, values in moves:
        chosen = frozenset(values)
        if name == "cut" and isinstance(values[0], int):
            left = cut_at(left, values[0])
        elif name == "project" and chosen <= set(model.atoms([model.call(op) for op in left])):
            left = [_as(call, op) for op in left if (call := model.project(model.call(op), chosen))]
        elif name == "weaken":
            left = [_as(model.weaken(model.call(op)), op) if op.index in chosen else op for op in left]
        elif name == "keep":
            kept = frozenset(i for i, op in enumerate(left) if op.index in chosen)
            if needed := model.needed(left, kept):
                return f"operation {left[needed[0]].index} may not be left out"
            left = [left[i] for i in sorted(kept)]
        else:
            return f"{name!r:.40} of {values!r:.40} is no move that may be made"
    return left


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
