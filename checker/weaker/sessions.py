"""Session guarantees (Terry et al. 1994): read-your-writes and monotonic reads, for values written once.

Of registers: such a guarantee holds iff the writes of each key have an order, among those that real time
allows, in which no read goes back. What a read says of it is an edge between two writes (after writing w, to
read u puts w before u; to read v and then u puts v before u), so it holds iff there is no cycle. Of lists,
where a read shows all elements: what was seen, or appended by the process itself, must still be there.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence

from checker.history import Operation
from checker.models.base import Model
from checker.models.register import cas_of, swapped
from checker.transactions.components import components
from checker.weaker.answers import Guarantee
from checker.weaker.intervals import Keys

NAMES = ("read-your-writes", "monotonic-reads")
_LISTS = frozenset({"append"})
_REGISTERS = frozenset({"register", "cas-register"})
_FIRST = -1
"""Stands for the writer of the initial value."""

Edge = tuple[int, int, int]
"""(position of the write that comes first, of the other, index of the read that says so)."""


def judge(model: Model, keys: Keys) -> Mapping[str, Guarantee]:
    """Both guarantees, by name."""
    if model.kind in _LISTS:
        return _of_lists(keys)
    if model.kind not in _REGISTERS:
        return dict.fromkeys(NAMES, Guarantee("unknown", f"no rule for model {model.name}"))
    found: dict[str, Guarantee] = {}
    for key, operations in keys.items():
        makers = _makers(model, operations)
        if makers is None:
            why = f"key {key!r:.60} holds a value that was written more than once"
            return dict.fromkeys(NAMES, Guarantee("unknown", why))
        for name, own in zip(NAMES, (True, False)):
            if name not in found:
                cycle = _cycle(operations, list(_edges(model, operations, makers, own)))
                if cycle is not None:
                    why = "a process read what is older than " + ("its own write" if own else "it had read")
                    found[name] = Guarantee("violated", why, operations=cycle)
    held = Guarantee("holds", "the writes have an order in which no process reads back in time")
    return {name: found.get(name, held) for name in NAMES}


def _makers(model: Model, operations: Sequence[Operation]) -> dict[Hashable, int] | None:
    """Value -> position of the operation that left it; None if two may have."""
    makers: dict[Hashable, int] = {model.initial: _FIRST}
    for i, op in enumerate(operations):
        for value in _left(model, op):
            if value in makers:
                return None
            makers[value] = i
    return makers


def _left(model: Model, op: Operation) -> tuple[Hashable, ...]:
    f = model.functions[op.f]
    if f == "write":
        return (op.input,)
    if f == "delete":
        return (None,)
    if f == "cas" and (op.type != "ok" or swapped(op)):
        return (cas_of(op)[1],)
    return ()


def _read(model: Model, op: Operation) -> tuple[Hashable, ...]:
    """The value a completed operation found."""
    if op.type != "ok":
        return ()
    f = model.functions[op.f]
    if f == "read":
        return (op.output,)
    if f == "cas" and isinstance(op.output, tuple) and len(op.output) == 2:
        return (op.output[1],)
    return ()


def _edges(
    model: Model, operations: Sequence[Operation], makers: Mapping[Hashable, int], own: bool
) -> Iterator[Edge]:
    latest: dict[int, int] = {}
    for i, op in enumerate(operations):
        for value in _read(model, op):
            maker = makers.get(value)
            if maker is None:
                continue  # nobody wrote it: of no session in particular
            before = latest.get(op.process)
            if before is not None and before != maker:
                yield before, maker, op.index
            if not own:
                latest[op.process] = maker
        if own and op.type == "ok" and _left(model, op):
            latest[op.process] = i


def _cycle(operations: Sequence[Operation], edges: Sequence[Edge]) -> tuple[int, ...] | None:
    """Two writes and a read that puts one before the other, on a cycle of writes; None if there is none.

    Real time orders writes by a chain of their ends: each leads to the next, the last before a call to that.
    """
    if not edges:
        return None
    writes = sorted({end for edge in edges for end in edge[:2]} - {_FIRST})
    ends = sorted((op.return_ns, i) for i in writes if (op := operations[i]).return_ns is not None)
    # Nodes: the initial value 0, writes from 1 on, ends of writes after them.
    node = {i: n for n, i in enumerate([_FIRST, *writes])}
    base = len(node)
    out: list[list[int]] = [[] for _ in range(base + len(ends))]
    out[0] = [node[i] for i in writes]
    for n, (_, i) in enumerate(ends):
        out[node[i]].append(base + n)
        if n + 1 < len(ends):
            out[base + n].append(base + n + 1)
    moments, n = sorted(writes, key=lambda i: operations[i].call_ns), 0
    for i in moments:
        while n < len(ends) and (ends[n][0] or 0) < operations[i].call_ns:
            n += 1
        if n:
            out[base + n - 1].append(node[i])
    for before, after, _ in edges:
        out[node[before]].append(node[after])
    parts = components(range(len(out)), out.__getitem__)
    inside = {n: number for number, part in enumerate(parts) for n in part}
    for before, after, read in edges:
        if inside.get(node[before], -1) == inside.get(node[after], -2):
            around = [operations[i].index for i in (before, after) if i != _FIRST]
            return (*around, read)
    return None


def _of_lists(keys: Keys) -> Mapping[str, Guarantee]:
    found: dict[str, Guarantee] = {}
    for operations in keys.values():
        appended: dict[int, list[Operation]] = {}
        fresh: dict[int, int] = {}  # how many of them the process' latest read was asked for
        latest: dict[int, Operation] = {}
        for op in operations:
            if op.type != "ok":
                continue
            own = appended.setdefault(op.process, [])
            if op.f == "append":
                own.append(op)
                continue
            before = latest.get(op.process)
            seen = _elements(op)
            extends = before is not None and seen[: len(_elements(before))] == before.output
            # A read that extends the one before has what that had.
            missing = _missing(own[fresh.get(op.process, 0) if extends else 0 :], seen)
            if missing is not None and NAMES[0] not in found:
                pair = (missing.index, op.index)
                found[NAMES[0]] = Guarantee("violated", "a process missed its own append", operations=pair)
            if before is not None and not extends and NAMES[1] not in found:
                why = "a process missed what it had read"
                found[NAMES[1]] = Guarantee("violated", why, operations=(before.index, op.index))
            latest[op.process], fresh[op.process] = op, len(own)
    held = Guarantee("holds", "no process missed it in a later read")
    return {name: found.get(name, held) for name in NAMES}


def _elements(read: Operation) -> tuple[Hashable, ...]:
    assert isinstance(read.output, tuple)
    return read.output


def _missing(own: Sequence[Operation], seen: tuple[Hashable, ...]) -> Operation | None:
    """The first append whose element is not in `seen`."""
    elements = set(seen) if len(own) > 1 else seen
    return next((op for op in own if op.input not in elements), None)
