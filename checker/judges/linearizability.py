"""Linearizability: does some order explain what clients saw? Every key by itself (the property is local).

The order the replicas executed is tried first, where there is one: it is a witness if the auditor accepts it.
Keys it does not explain are for the engines. A `valid` is printed only with an order that the auditor
accepts. An `invalid` comes with the smallest counterexample found, of which the auditor, where it is small,
has tried every order. If engine and auditor differ, it is `unknown`: one of them is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from checker.audit import audit_order
from checker.engines.answers import Budget, Explained, KeyResult
from checker.engines.decide import Decision, decide
from checker.engines.witness import propose
from checker.history import History, Operation, by_key
from checker.limits import Limits
from checker.models import model_named
from checker.models.base import Model
from checker.numbers import counted
from checker.verdict import KeyWitness, Line, invalid, unknown, valid

if TYPE_CHECKING:
    from checker.counterexample import Counterexample
    from checker.transactions.refutation import Refutation

NAME = "linearizability"


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What became of the order of execution: keys it explains, and why it does not explain others."""

    accepted: tuple[str, ...] = ()
    rejected: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """The line with its certificate: a witness of every key, or a counterexample."""

    line: Line
    witness: tuple[KeyWitness, ...] = ()
    counterexample: Counterexample | Refutation | None = None
    witnessed: Witnessed = Witnessed()


def judge(
    history: History | None, limits: Limits, executed: Mapping[str, Sequence[int]] | None = None
) -> Finding:
    """Ask the order of execution (`executed`: indexes by key, if known), then engines; audit both."""
    if history is None or not history.operations:
        return Finding(unknown(NAME, "there is no operation to judge"))
    if not any(op.type == "ok" for op in history.operations):
        why = (
            f"none of {counted(len(history.operations), 'operation')} completed: there is no answer to judge"
        )
        return Finding(unknown(NAME, why))
    model = model_named(history.model, history.initial)
    if model.kind == "list-append":
        return _transactions(model, history, limits)
    keys = by_key(history.operations)
    told, witnessed = _witnesses(model, keys, executed)
    rest = {key: operations for key, operations in keys.items() if key not in told}
    result = decide(model, rest, Budget(limits.seconds, limits.nodes))
    refuted = [key for key in result.keys if key.status == "refuted"]
    if refuted:
        return replace(_refuted(model, history, refuted[0], limits), witnessed=witnessed)
    if result.limit is not None:
        return Finding(_undecided(result, len(keys)), witnessed=witnessed)
    for key in result.keys:
        objection = audit_order(model, keys[key.key], key.order, key.dropped)
        if objection is not None:
            reason = f"the engine explains key {_quote(key.key)} but the auditor objects: {objection}"
            return Finding(unknown(NAME, reason, key=key.key), witnessed=witnessed)
        told[key.key] = KeyWitness(key.key, key.order, key.dropped)
    line = _explained(result, tuple(told.values()), len(witnessed.accepted))
    return Finding(line, tuple(told[key] for key in keys), witnessed=witnessed)


def _transactions(model: Model, history: History, limits: Limits) -> Finding:
    """Strict serializability: the database as a whole is the object."""
    from checker import transactions  # only such histories need it

    found = transactions.judge(history, model, Budget(limits.seconds, limits.nodes))
    if found.searched is not None:
        searched = _refuted(model, history, found.searched, limits)
        if searched.line.verdict != "invalid":
            return searched
        details = {**searched.line.details, **found.line.details}
        assert searched.counterexample is not None
        reason = f"{found.line.reason}: {searched.counterexample.reasons[0]}"
        return replace(searched, line=replace(found.line, reason=reason, details=details))
    if found.line.verdict != "valid":
        return Finding(found.line, counterexample=found.refutation)
    return Finding(found.line, (KeyWitness(history.operations[0].key, found.order, found.dropped),))


def _witnesses(
    model: Model, keys: Mapping[str, Sequence[Operation]], executed: Mapping[str, Sequence[int]] | None
) -> tuple[dict[str, KeyWitness], Witnessed]:
    """Orders of execution that the auditor accepts."""
    told: dict[str, KeyWitness] = {}
    rejected: dict[str, str] = {}
    for key, operations in keys.items() if executed is not None else ():
        assert executed is not None
        proposal = propose(model, operations, executed.get(key, ()))
        if isinstance(proposal, Explained):
            objection = audit_order(model, operations, proposal.order, proposal.dropped)
            if objection is None:
                told[key] = KeyWitness(key, tuple(proposal.order), tuple(proposal.dropped))
            else:
                rejected[key] = objection
        else:
            rejected[key] = proposal.why
    return told, Witnessed(tuple(told), rejected)


def _explained(result: Decision, witness: Sequence[KeyWitness], witnessed: int) -> Line:
    placed = sum(len(key.order) for key in witness)
    engines = {"witness": witnessed} if witnessed else {}
    for key in result.keys:
        engines[key.engine] = engines.get(key.engine, 0) + 1
    nodes = sum(key.nodes for key in result.keys)
    keys = counted(len(witness), "key")
    details = {"keys": len(witness), "placed": placed, "nodes": nodes, "engines": engines}
    if result.failures:
        details["failures"] = list(result.failures[:10])
    reason = f"{counted(placed, 'operation')} on {keys} explained by an order each, audited"
    return valid(NAME, reason, **details)


def _refuted(model: Model, history: History, key: KeyResult, limits: Limits) -> Finding:
    from checker.counterexample.find import find  # only a violation needs it

    everything: Sequence[Operation] = [op for op in history.operations if op.key == key.key]
    try:
        found = find(model, everything, key, limits.shrink_seconds, limits.clock_ns)
    except Exception as error:
        why = f"no counterexample that could be audited: {type(error).__name__}: {error!s:.200}"
        return Finding(_not_audited(key, why))
    counterexample = found.counterexample
    if found.objection is not None:
        return Finding(_not_audited(key, f"the auditor objects: {found.objection}"))
    reason = f"key {_quote(key.key)}: {counterexample.anomaly}: {counterexample.reasons[0]}"
    line = invalid(
        NAME,
        reason,
        kind=counterexample.anomaly,
        key=key.key,
        anomaly=counterexample.anomaly,
        operations=len(counterexample.operations),
        audited=True,
        engine=key.engine,
        **({} if counterexample.margin is None else {"margin_ns": counterexample.margin.ns}),
    )
    return Finding(line, counterexample=counterexample)


def _not_audited(key: KeyResult, why: str) -> Line:
    reason = f"the {key.engine} engine refutes key {_quote(key.key)}, but that cannot be verified: {why}"
    return unknown(NAME, reason, key=key.key, refuted_by=key.engine, stuck_on=key.stuck_on)


def _undecided(result: Decision, keys: int) -> Line:
    open_keys = [key for key in result.keys if key.status == "undecided"]
    worst = min(open_keys, key=lambda key: key.placed / max(1, key.total))
    reason = (
        f"{result.limit}: {len(open_keys)} of {keys} keys undecided; of key {_quote(worst.key)} "
        f"{worst.placed} of {worst.total} completed operations were placed, "
        f"{counted(worst.frontier, 'way')} on left to try after {counted(worst.nodes, 'node')}"
    )
    furthest = {key.key: [key.placed, key.total, key.frontier, key.nodes] for key in open_keys[:100]}
    return unknown(NAME, reason, limit=result.limit, furthest=furthest)


def _quote(key: str) -> str:
    from checker.counterexample.words import quote  # only what is not valid needs it

    return quote(key)
