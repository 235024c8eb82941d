"""The part of `recheck.py` for transactions: what it does otherwise where a history is of these.

An order is one of the whole database and replayed by the auditor of transactions. A counterexample of kind
`transactions` is believed in nothing but its prose: every anomaly is looked up in the history.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from typing import Any

from checker.history import Operation
from checker.recheck.reader import Refused, frozen
from checker.transactions.anomalies import Anomaly, Step
from checker.transactions.audit import Auditor, audit_serial_order, malformed
from checker.transactions.levels import ruled_out, weakest

_MOST_ANOMALIES = 10_000


class Transactions:
    """Of one history."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        problem = malformed(operations)
        if problem is not None:
            raise Refused(problem)
        self._operations = operations

    def audit_order(self, order: Sequence[int], dropped: Sequence[int]) -> str | None:
        """Why the order explains nothing, or None."""
        return audit_serial_order(self._operations, order, dropped)

    def refuted(self, claim: dict[str, Any]) -> list[str]:
        """What was verified of a counterexample, in sentences. Raises Refused."""
        claimed = claim["anomalies"]
        if not claimed or len(claimed) > _MOST_ANOMALIES:
            raise Refused(f"it names {len(claimed)} anomalies, not 1 to {_MOST_ANOMALIES}")
        anomalies = [_anomaly(value) for value in claimed]
        named = set[int]().union(*(anomaly.named() for anomaly in anomalies))
        shown = [operation.to_json() for operation in self._operations if operation.index in named]
        if len(shown) < len(named) or json.loads(json.dumps(shown)) != claim["operations"]:
            raise Refused("the operations shown are not the history's transactions that the anomalies name")
        auditor = Auditor(self._operations)
        for anomaly in anomalies:
            objection = auditor.objection(anomaly)
            if objection is not None:
                raise Refused(objection)
        types = list(dict.fromkeys(anomaly.type for anomaly in anomalies))
        if claim["anomaly"] != types[0] or claim["not"] != weakest(ruled_out(types)):
            raise Refused("these anomalies are of another type, or rule out other models, than it says")
        return [
            f"counterexample: {', '.join(types)}: each anomaly shown ({len(anomalies)}) follows from what "
            f"{len(shown)} of {len(self._operations)} transactions read and appended",
            f"they rule out {', '.join(claim['not'])}, and with it strict serializability",
        ]


def _anomaly(value: dict[str, Any]) -> Anomaly:
    """One as the certificate has it. What it says beyond that, and is no prose, is refused."""
    found = Anomaly(
        value["type"],
        tuple(_index(index) for index in value["transactions"]),
        tuple(value["sentences"]),
        tuple(_step(step) for step in value.get("steps", ())),
        _atom(value.get("key")),
        tuple(_atom(element) for element in value.get("elements", ())),
    )
    if json.loads(json.dumps(found.to_json())) != value:
        raise Refused(f"an anomaly of type {found.type} is not written as one")
    return found


def _step(value: dict[str, Any]) -> Step:
    given = {name: _atom(value.get(name)) for name in ("key", "before", "after")}
    evidence = None if value.get("evidence") is None else _index(value["evidence"])
    return Step(_index(value["source"]), _index(value["target"]), value["edge"], **given, evidence=evidence)


def _index(value: object) -> int:
    if type(value) is not int:
        raise Refused("a transaction is named by the index of its invocation")
    return value


def _atom(value: object) -> Hashable:
    """What keys and elements are. True equals 1 in Python, so it is neither."""
    if value is not None and type(value) not in (str, int):
        raise Refused("keys and elements are strings or integers")
    return frozen(value)
