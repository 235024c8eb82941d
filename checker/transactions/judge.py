"""From a history of transactions to a line of the verdict: infer, look for cycles, audit, say it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from checker.engines.answers import Budget, KeyResult
from checker.history import History, Operation
from checker.models.base import Model
from checker.numbers import counted
from checker.transactions.anomalies import Anomaly
from checker.transactions.audit import Auditor, audit_serial_order, malformed
from checker.transactions.components import sort
from checker.transactions.graph import Graph
from checker.transactions.levels import ruled_out, strongest_left, weakest
from checker.transactions.observations import Observations
from checker.transactions.refutation import Refutation
from checker.verdict import Line, invalid, unknown, valid

NAME = "linearizability"
KEPT = 5
"""Anomalies of a type that are shown; all are counted."""
_SEVERITY = (
    "duplicate-elements", "garbage-read", "incompatible-order", "internal", "future-read", "G0",
    "dirty-update", "G1a", "G1b", "G1c", "lost-update", "G-single", "G-nonadjacent", "G2-item",
)  # fmt: skip
_KNOWN = (
    "strict-serializable", "strong-session-serializable", "serializable", "snapshot-isolation",
    "read-committed", "read-uncommitted",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TransactionFinding:
    """The line; a serial order of the whole database if there is one, else anomalies, the worst first.

    `searched`: what refutes it where no anomaly does, all orders were tried.
    """

    line: Line
    order: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()
    refutation: Refutation | None = None
    searched: KeyResult | None = None


def judge(history: History, model: Model, budget: Budget) -> TransactionFinding:
    """Whether the transactions are strictly serializable.

    Operations are `txn`, in order of invocation; the budget is for a search where elements are not unique.
    """
    operations = history.operations
    problem = malformed(operations)
    if problem is not None:
        return TransactionFinding(unknown(NAME, problem))
    seen = Observations(operations)
    graph = Graph(seen)
    order, left = sort(graph, seen.committed)
    counts, anomalies, unexplored = _anomalies(seen, graph, left)
    if anomalies:
        return _invalid(seen, graph, counts, anomalies, unexplored, model.name)
    if left:
        return TransactionFinding(unknown(NAME, "transactions depend on each other, but no cycle was found"))
    indexes = tuple(operations[node].index for node in order)
    dropped = tuple(
        op.index for node, op in enumerate(operations) if op.type == "info" and not seen.committed[node]
    )
    objection = audit_serial_order(operations, indexes, dropped)
    if objection is None:
        return _valid(seen, indexes, dropped)
    if not seen.ambiguous:
        reason = f"an order was inferred but the auditor objects: {objection}"
        return TransactionFinding(unknown(NAME, reason))
    return _searched(seen, model, budget)


def without_real_time(history: History) -> tuple[Anomaly, ...] | None:
    """Anomalies that need no real time, () if a serial order keeps each process' own; None if not known."""
    seen = Observations(history.operations)
    graph = Graph(seen)
    if _serial_without_time(seen, graph):
        return ()
    _, left = sort(graph, seen.committed)
    counts, kept, _ = _anomalies(seen, graph, left)
    types = [type_ for type_ in sorted(counts, key=_severity) if not type_.endswith("-realtime")]
    anomalies = tuple(anomaly for type_ in types for anomaly in kept[type_])
    auditor = Auditor(seen.operations)
    sound = anomalies and all(auditor.objection(anomaly) is None for anomaly in anomalies)
    return anomalies if sound else None


def _valid(seen: Observations, order: tuple[int, ...], dropped: tuple[int, ...]) -> TransactionFinding:
    reason = (
        f"{counted(len(order), 'transaction')} on {counted(len(seen.keys), 'key')} explained by one serial "
        "order that respects real time, audited"
    )
    line = valid(NAME, reason, transactions=len(seen.operations), keys=len(seen.keys))
    return TransactionFinding(line, order, dropped)


def _searched(seen: Observations, model: Model, budget: Budget) -> TransactionFinding:
    """Who wrote what is not known: no inference, all orders."""
    from checker.engines.contest import decide

    operations = [op for op in seen.operations if op.type != "fail"]
    key = decide(model, {operations[0].key: operations}, budget).keys[0]
    times = counted(len(seen.ambiguous), "append")
    why = f"{times} of an element that its key already had, so it is not known who wrote what"
    if key.status == "refuted":
        reason = f"no serial order that respects real time explains the transactions (all were tried; {why})"
        line = invalid(NAME, reason, kind="no serial order", transactions=len(seen.operations))
        return TransactionFinding(line, searched=key)
    if key.status == "explained" and audit_serial_order(seen.operations, key.order, key.dropped) is None:
        return _valid(seen, key.order, key.dropped)
    reason = f"no anomaly and no serial order is found; {why}. Append each element of a key once"
    return TransactionFinding(unknown(NAME, reason))


def _anomalies(
    seen: Observations, graph: Graph, left: Sequence[int]
) -> tuple[dict[str, int], dict[str, list[Anomaly]], int]:
    """How many there are of each type, those that are shown, and how many components nobody looked into."""
    # Only a history with something wrong needs these.
    from checker.transactions.cycles import find
    from checker.transactions.direct import direct
    from checker.transactions.explain import explain

    counts: dict[str, int] = {}
    kept: dict[str, list[Anomaly]] = {}
    for anomaly in direct(seen):
        counts[anomaly.type] = counts.get(anomaly.type, 0) + 1
        if counts[anomaly.type] <= KEPT:
            kept.setdefault(anomaly.type, []).append(anomaly)
    found = find(graph, left, KEPT)
    for name, cycles in found.cycles.items():
        counts[name] = found.components[name]
        kept[name] = [explain(seen, cycle) for cycle in cycles]
    return counts, kept, found.left


def _invalid(
    seen: Observations,
    graph: Graph,
    counts: dict[str, int],
    kept: dict[str, list[Anomaly]],
    unexplored: int,
    model: str,
) -> TransactionFinding:
    auditor = Auditor(seen.operations)
    types = sorted(counts, key=_severity)
    anomalies = tuple(anomaly for type_ in types for anomaly in kept[type_])
    for anomaly in anomalies:
        objection = auditor.objection(anomaly)
        if objection is not None:
            reason = f"an anomaly was inferred ({anomaly.type}) but the auditor objects: {objection}"
            return TransactionFinding(unknown(NAME, reason))
    out = ruled_out(types)
    not_ = weakest(out)
    left = strongest_left(out)
    worst = anomalies[0]
    reason = f"{worst.type}: {worst.sentences[0]}; not {_either(not_)}; {_at_most(out)}"
    details: dict[str, object] = {
        "transactions": len(seen.operations),
        "keys": len(seen.keys),
        "anomaly_types": {type_: counts[type_] for type_ in types},
        "not": not_,
        "also_not": [model for model in out if model not in not_],
        "may_hold": left,
        "anomalies": [anomaly.to_json() for anomaly in anomalies],
        "reasons": _sentences(worst),
    }
    if _serial_without_time(seen, graph):
        details["holds"] = ["strong-session-serializable"]
    if unexplored:
        details["unexplored"] = unexplored
    line = invalid(NAME, reason, kind=worst.type, **details)
    named = {index for anomaly in anomalies for index in anomaly.named()}
    shown = tuple(op for op in seen.operations if op.index in named)
    reasons = (worst.sentences[0], *_sentences(worst))
    refutation = Refutation(model, anomalies, shown, reasons)
    return TransactionFinding(line, anomalies=anomalies, refutation=refutation)


def _serial_without_time(seen: Observations, graph: Graph) -> bool:
    """Whether a serial order that respects what each process did first is found once real time is ignored."""
    order, left = sort(graph, seen.committed, real_time=False)
    if left:
        return False
    operations = [_timeless(op) for op in seen.operations]
    dropped = [
        op.index for node, op in enumerate(operations) if op.type == "info" and not seen.committed[node]
    ]
    return audit_serial_order(operations, [operations[node].index for node in order], dropped) is None


def _timeless(op: Operation) -> Operation:
    return replace(op, call_ns=0, return_ns=None if op.return_ns is None else 0)


def _severity(type_: str) -> tuple[int, int]:
    base = type_.removesuffix("-process").removesuffix("-realtime")
    variant = 2 if type_.endswith("-realtime") else 1 if type_.endswith("-process") else 0
    return variant, _SEVERITY.index(base)


def _sentences(worst: Anomaly) -> list[str]:
    who = ", ".join(f"T{i + 1} is operation {index}" for i, index in enumerate(worst.transactions))
    return [who, *worst.sentences[1:]]


def _either(models: Iterable[str]) -> str:
    return " nor ".join(models)


def _at_most(out: Sequence[str]) -> str:
    """What is left, of the models everybody knows."""
    left = next((model for model in _KNOWN if model not in out), None)
    return f"at most {left}" if left else "no isolation level is left"
