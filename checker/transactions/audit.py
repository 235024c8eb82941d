"""The auditor of transactions: believes nothing that was inferred, only the history. Imports no inference.

A serial order is replayed. Of an anomaly, what it names is looked up: each step of a cycle must follow from
the named micro-operations by themselves, and each step must begin where the one before ended.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from checker.history import Operation
from checker.transactions.anomalies import Anomaly, Step

_SHAPES = {
    "duplicate-elements": ((1, 1),),
    "incompatible-order": ((2, 2),),
    "garbage-read": ((1, 1),),
    "G1a": ((2, 1),),
    "G1b": ((2, 1),),
    "dirty-update": ((3, 2),),
    "future-read": ((1, 1),),
    "lost-update": ((2, 0),),
    "internal": ((1, 0), (2, 2)),
}
"""How many transactions and elements an anomaly names."""


def malformed(operations: Sequence[Operation]) -> str | None:
    """Why these are not transactions whose results fit what was asked for, or None if they are."""
    for op in operations:
        if op.key != operations[0].key:
            other = f"{operations[0].key!a:.80}"
            return f"transaction {op.index} has key {op.key!a:.80}, another {other}: all have the same one"
        if op.type != "ok":
            continue
        asked, got = op.input, op.output
        if not isinstance(asked, tuple) or not isinstance(got, tuple) or len(asked) != len(got):
            return f"the results of transaction {op.index} are not those of its micro-operations"
        for (f, key, value), (g, name, result) in zip(asked, got):
            if f != g or key != name or (f == "append" and value != result):
                return f"the results of transaction {op.index} are not those of its micro-operations"
    return None


def audit_serial_order(
    operations: Sequence[Operation], order: Sequence[int], dropped: Sequence[int]
) -> str | None:
    """Why `order` (indexes) does not explain `operations` in real time, or None if it does."""
    by_index = {op.index: op for op in operations if op.type != "fail"}
    named = {*order, *dropped}
    if len(named) != len(order) + len(dropped) or named != set(by_index):
        return "the order and what it drops are not the transactions that may have happened, once each"
    for index in dropped:
        if by_index[index].type != "info":
            return f"transaction {index} completed, so it cannot be dropped"
    lists: dict[Hashable, list[Hashable]] = {}
    latest_call = -1
    for index in order:
        op = by_index[index]
        latest_call = max(latest_call, op.call_ns)
        if op.return_ns is not None and op.return_ns < latest_call:
            return f"transaction {index} returned before one ordered ahead of it was called"
        objection = _replay(lists, op)
        if objection is not None:
            return f"transaction {index} {objection}"
    return None


def _replay(lists: dict[Hashable, list[Hashable]], op: Operation) -> str | None:
    for f, key, value in _micro(op):
        content = lists.setdefault(key, [])
        if f == "append":
            content.append(value)
        elif op.type == "ok" and list(value or ()) != content:
            return f"read another list of {key!r} than there is then"
    return None


def _micro(op: Operation) -> Sequence[tuple[str, Hashable, Sequence[Hashable]]]:
    return op.output if op.type == "ok" else op.input  # type: ignore[return-value]


class Auditor:
    """Of the anomalies of one history."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._by_index = {op.index: op for op in operations}
        self._appenders: dict[tuple[Hashable, Hashable], list[Operation]] = {}
        self._shown: set[tuple[Hashable, Hashable]] | None = None
        for op in operations:
            for f, key, value in _micro(op):
                if f == "append":
                    self._appenders.setdefault((key, value), []).append(op)

    def objection(self, anomaly: Anomaly) -> str | None:
        """Why `anomaly` does not follow from the history, or None if it does."""
        if anomaly.steps:
            return self._cycle(anomaly)
        ops = [self._by_index[index] for index in anomaly.transactions]
        whole = (len(ops), len(anomaly.elements)) in _SHAPES.get(anomaly.type, ())
        if not whole or not self._direct(anomaly, ops):
            return (
                f"{anomaly.type} of {anomaly.transactions} does not follow from what they read and appended"
            )
        return None

    def _cycle(self, anomaly: Anomaly) -> str | None:
        steps = anomaly.steps
        for step, following in zip(steps, (*steps[1:], steps[0]), strict=True):
            if step.target != following.source:
                return f"the step to {step.target} is followed by one from {following.source}"
            source, target = self._by_index[step.source], self._by_index[step.target]
            if not (
                self._committed(source) and self._committed(target) and self._follows(step, source, target)
            ):
                return f"the step {step.source} -{step.edge}-> {step.target} does not follow from the history"
        if len(steps) < 2 or len({step.source for step in steps}) < len(steps):
            return "the steps are no cycle of different transactions"
        if anomaly.transactions != tuple(step.source for step in steps):
            return "the transactions named are not those of the steps"
        return None if anomaly.type == _name([step.edge for step in steps]) else "the cycle has another name"

    def _follows(self, step: Step, source: Operation, target: Operation) -> bool:
        key, before, after = step.key, step.before, step.after
        if step.evidence is not None and step.edge != "ww":
            return False
        if step.edge == "realtime":
            return source.return_ns is not None and source.return_ns < target.call_ns
        if step.edge == "process":
            return source.process == target.process and source.type == "ok" and source.index < target.index
        if step.edge == "wr":
            return self._only(key, before) is source and any(
                r and r[-1] == before for r in _reads(target, key)
            )
        if ("append", key, after) not in _micro(target):
            return False
        if step.edge == "rw":
            ends = [r for r in _reads(source, key) if (r[-1] if r else None) == before]
            return any(after not in r for r in ends)
        if step.edge != "ww" or step.evidence is None or self._only(key, before) is not source:
            return False
        # A list read is the beginning of the final one: no `after` up to there means none before it.
        return any(
            before in r and (after not in r or r.index(before) < r.index(after))
            for r in _reads(self._by_index[step.evidence], key)
        )

    def _committed(self, op: Operation) -> bool:
        if op.type != "info":
            return op.type == "ok"
        return any(
            f == "append" and self._only(key, value) is op and (key, value) in self._all_shown()
            for f, key, value in _micro(op)
        )

    def _only(self, key: Hashable, element: Hashable) -> Operation | None:
        """Who appended it, if only one can have."""
        possible = [op for op in self._appenders.get((key, element), ()) if op.type != "fail"]
        return possible[0] if len(possible) == 1 else None

    def _all_shown(self) -> set[tuple[Hashable, Hashable]]:
        if self._shown is None:
            self._shown = {
                (key, element)
                for op in self._by_index.values()
                if op.type == "ok"
                for f, key, value in _micro(op)
                if f != "append"
                for element in value or ()
            }
        return self._shown

    def _direct(self, anomaly: Anomaly, ops: Sequence[Operation]) -> bool:
        key, elements, kind = anomaly.key, anomaly.elements, anomaly.type
        reads = _reads(ops[0], key)
        everyone = [self._appenders.get((key, element), []) for element in elements]
        if kind == "duplicate-elements":
            possible = [op for op in everyone[0] if op.type != "fail"]
            return len(possible) <= 1 and any(r.count(elements[0]) > 1 for r in reads)
        if kind == "incompatible-order":
            pairs = [(r, s) for r in reads for s in _reads(ops[1], key)]
            return any(_first_difference(r, s) == elements for r, s in pairs)
        if kind in ("garbage-read", "G1a"):
            aborted = all(op.type == "fail" for op in everyone[0]) and bool(everyone[0]) == (kind == "G1a")
            return aborted and ops[-1] in (everyone[0] or ops) and any(elements[0] in r for r in reads)
        if kind == "G1b":
            own = _appended(ops[1], key)
            partial = self._only(key, elements[0]) is ops[1] is not ops[0] and own[-1] != elements[0]
            return partial and any(r and r[-1] == elements[0] for r in reads)
        if kind == "dirty-update":
            aborted = all(op.type == "fail" for op in everyone[1]) and ops[1] in everyone[1]
            both = any(
                set(elements) <= set(r) and r.index(elements[1]) < r.index(elements[0])
                for r in _reads(ops[2], key)
            )
            return aborted and both and ops[0].type == "ok" and self._only(key, elements[0]) is ops[0]
        if kind == "future-read":
            return self._only(key, elements[0]) is ops[0] and _future(ops[0], key, elements[0])
        if kind == "lost-update":
            one, other = (_begun(op, key) for op in ops)
            return one is not None and one == other and ops[0] is not ops[1]
        if kind == "internal" and elements:
            only = all(self._only(key, element) is ops[0] for element in elements)
            own = _appended(ops[0], key)
            turned = any(
                set(elements) <= set(r) and r.index(elements[1]) < r.index(elements[0])
                for r in _reads(ops[1], key)
            )
            return only and turned and own.index(elements[0]) < own.index(elements[1])
        return kind == "internal" and ops[0].type == "ok" and _contradicts_itself(ops[0], key)


def _name(edges: list[str]) -> str:
    """What Adya, and Elle, call a cycle of these edges."""
    count = edges.count("rw")
    adjacent = any(pair == ("rw", "rw") for pair in zip(edges, (*edges[1:], edges[0]), strict=True))
    if count > 1:
        name = "G2-item" if adjacent else "G-nonadjacent"
    else:
        name = "G-single" if count else "G1c" if "wr" in edges else "G0"
    return name + ("-realtime" if "realtime" in edges else "-process" if "process" in edges else "")


def _reads(op: Operation, key: Hashable) -> list[tuple[Hashable, ...]]:
    """What it read of `key`, if it completed."""
    if op.type != "ok":
        return []
    return [tuple(value or ()) for f, name, value in _micro(op) if f != "append" and name == key]


def _first_difference(one: Sequence[Hashable], other: Sequence[Hashable]) -> tuple[Hashable, ...]:
    """What each has where they first differ; () where one is the beginning of the other."""
    return next(((a, b) for a, b in zip(one, other) if a != b), ())


def _appended(op: Operation, key: Hashable) -> list[Hashable]:
    return [value for f, name, value in _micro(op) if f == "append" and name == key]


def _begun(op: Operation, key: Hashable) -> tuple[Hashable, ...] | None:
    """What it read of `key` before it appended to it, if it did both in this order and completed."""
    steps = [(f, value) for f, name, value in _micro(op) if name == key]
    if op.type != "ok" or not steps or steps[0][0] == "append" or all(f != "append" for f, _ in steps):
        return None
    return tuple(steps[0][1] or ())


def _future(op: Operation, key: Hashable, element: Hashable) -> bool:
    for f, name, value in _micro(op):
        if name == key and f == "append" and value == element:
            return False
        if name == key and f != "append" and op.type == "ok" and element in (value or ()):
            return True
    return False


def _contradicts_itself(op: Operation, key: Hashable) -> bool:
    content: tuple[Hashable, ...] | None = None
    own: tuple[Hashable, ...] = ()
    for f, name, value in _micro(op):
        if name != key:
            continue
        if f == "append":
            own += (value,)
            continue
        read = tuple(value or ())
        if (content is None and read[len(read) - len(own) :] != own) or (
            content is not None and read != content + own
        ):
            return True
        content, own = read, ()
    return False
