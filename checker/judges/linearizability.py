"""Linearizability: does some order explain what clients saw? Every key by itself (the property is local).

A `valid` is printed only with an order that the auditor accepts. An `invalid` comes with the smallest
counterexample found, of which the auditor, where it is small, has tried every order. If engine and auditor
differ, it is `unknown`: one of them is wrong and the line says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from checker.audit import audit_order
from checker.counterexample import Counterexample
from checker.counterexample.words import quote
from checker.engines.contest import Budget, KeyResult
from checker.engines.decide import Decision, decide
from checker.history import History, Operation, by_key
from checker.limits import Limits
from checker.models import model_named
from checker.models.base import Model
from checker.numbers import counted
from checker.verdict import KeyWitness, Line, invalid, unknown, valid

NAME = "linearizability"


@dataclass(frozen=True, slots=True)
class Finding:
    """The line with its certificate: a witness of every key, or a counterexample."""

    line: Line
    witness: tuple[KeyWitness, ...] = ()
    counterexample: Counterexample | None = None


def judge(history: History | None, limits: Limits) -> Finding:
    """Search, then audit what was found."""
    if history is None or not history.operations:
        return Finding(unknown(NAME, "there is no operation to judge"))
    model = model_named(history.model, history.initial)
    keys = by_key(history.operations)
    result = decide(model, keys, Budget(limits.seconds, limits.nodes))
    refuted = [key for key in result.keys if key.status == "refuted"]
    if refuted:
        return _refuted(model, history, refuted[0], limits)
    if result.limit is not None:
        return Finding(_undecided(result, len(keys)))
    for key in result.keys:
        objection = audit_order(model, keys[key.key], key.order, key.dropped)
        if objection is not None:
            reason = f"the engine explains key {quote(key.key)} but the auditor objects: {objection}"
            return Finding(unknown(NAME, reason, key=key.key))
    witness = tuple(KeyWitness(key.key, key.order, key.dropped) for key in result.keys)
    placed = sum(len(key.order) for key in result.keys)
    reason = (
        f"{counted(placed, 'operation')} on {counted(len(keys), 'key')} explained by an order each, audited"
    )
    nodes = sum(key.nodes for key in result.keys)
    return Finding(valid(NAME, reason, keys=len(keys), placed=placed, nodes=nodes), witness)


def _refuted(model: Model, history: History, key: KeyResult, limits: Limits) -> Finding:
    from checker.counterexample.find import find  # only a violation needs it

    everything: Sequence[Operation] = [op for op in history.operations if op.key == key.key]
    try:
        found = find(model, everything, key, limits.shrink_seconds)
    except Exception as error:
        # The refutation stands by itself; only its explanation failed.
        reason = (
            f"key {quote(key.key)} has no explanation (no counterexample: {type(error).__name__}: {error})"
        )
        details = {"key": key.key, "stuck_on": key.stuck_on}
        return Finding(invalid(NAME, reason, kind="no counterexample", **details))
    counterexample = found.counterexample
    if found.audited is False:
        reason = (
            f"the engine refutes key {quote(key.key)} but the auditor finds an order for its counterexample"
        )
        return Finding(unknown(NAME, reason, key=key.key))
    reason = f"key {quote(key.key)}: {counterexample.anomaly}: {counterexample.reasons[0]}"
    line = invalid(
        NAME,
        reason,
        kind=counterexample.anomaly,
        key=key.key,
        anomaly=counterexample.anomaly,
        operations=len(counterexample.operations),
        audited=found.audited is True,
    )
    return Finding(line, counterexample=counterexample)


def _undecided(result: Decision, keys: int) -> Line:
    open_keys = [key for key in result.keys if key.status == "undecided"]
    worst = min(open_keys, key=lambda key: key.placed / max(1, key.total))
    reason = (
        f"{result.limit} reached with {len(open_keys)} of {keys} keys undecided; of key {quote(worst.key)} "
        f"{worst.placed} of {worst.total} completed operations were placed"
    )
    furthest = {key.key: [key.placed, key.total] for key in open_keys[:100]}
    return unknown(NAME, reason, limit=result.limit, furthest=furthest)
