"""Anomalies of transactions, as the judge tells them: in sentences, with the transactions they speak of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.operations import Operation
from reports.untrusted import integer, listing, mapping, shown

MAX_ANOMALIES, MAX_TRANSACTIONS, MAX_SENTENCES = 20, 12, 30


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One thing that no serial order explains."""

    type: str
    transactions: Sequence[tuple[str, str]]
    """(T1, what it asked and was told)."""
    sentences: Sequence[str]
    more: int
    """Transactions beyond those listed."""


@dataclass(frozen=True, slots=True)
class Anomalies:
    """All that are shown, how many there are of each type, and the isolation levels they leave."""

    shown: Sequence[Anomaly]
    total: int
    counts: Sequence[tuple[str, str]]
    levels: Sequence[tuple[str, str]]


def read_anomalies(details: Mapping[str, object], history: Sequence[Operation]) -> Anomalies | None:
    """From the details of the line linearizability; None where they name none."""
    given = listing(details.get("anomalies"))
    if not given:
        return None
    found = [mapping(value) for value in given[:MAX_ANOMALIES]]
    wanted = {index for anomaly in found for index in _indexes(anomaly)}
    recorded = {operation.index: operation for operation in history if operation.index in wanted}
    counts = mapping(details.get("anomaly_types"))
    levels = [
        (words, ", ".join(shown(level, 60) for level in listing(details.get(name))[:30]))
        for name, words in _LEVELS
    ]
    return Anomalies(
        [_anomaly(anomaly, recorded) for anomaly in found],
        len(given),
        [(shown(name, 60), shown(count, 20)) for name, count in list(counts.items())[:50]],
        [(words, names) for words, names in levels if names],
    )


_LEVELS = (
    ("not", "Not"),
    ("also_not", "so neither"),
    ("may_hold", "may hold"),
    ("holds", "holds"),
)


def _anomaly(anomaly: Mapping[str, object], recorded: Mapping[int, Operation]) -> Anomaly:
    indexes = _indexes(anomaly)
    return Anomaly(
        shown(anomaly.get("type"), 60),
        [
            (f"T{place}", _said(index, recorded.get(index)))
            for place, index in enumerate(indexes[:MAX_TRANSACTIONS], start=1)
        ],
        [shown(sentence, 600) for sentence in listing(anomaly.get("sentences"))[:MAX_SENTENCES]],
        max(0, len(indexes) - MAX_TRANSACTIONS),
    )


def _said(index: int, operation: Operation | None) -> str:
    if operation is None:
        return f"#{index} (not in the history)"
    return f"#{index} of process {operation.process}: {operation.words}"


def _indexes(anomaly: Mapping[str, object]) -> list[int]:
    return [
        number for value in listing(anomaly.get("transactions")) if (number := integer(value)) is not None
    ]
