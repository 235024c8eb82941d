"""What `counterexample.json` says of transactions: the anomalies shown, and the transactions they rest on."""

from __future__ import annotations

from dataclasses import dataclass

from checker.history import Operation
from checker.transactions.anomalies import Anomaly
from checker.transactions.levels import ruled_out, weakest


@dataclass(frozen=True, slots=True)
class Refutation:
    """`operations`: all that the anomalies name, as in the history."""

    model: str
    anomalies: tuple[Anomaly, ...]
    operations: tuple[Operation, ...]
    reasons: tuple[str, ...]

    @property
    def anomaly(self) -> str:
        """The type of the worst."""
        return self.anomalies[0].type

    def to_json(self) -> dict[str, object]:
        """As `counterexample.json` has it."""
        return {
            "schema": "traitor/counterexample/1",
            "kind": "transactions",
            "model": self.model,
            "anomaly": self.anomaly,
            "not": weakest(ruled_out(anomaly.type for anomaly in self.anomalies)),
            "anomalies": [anomaly.to_json() for anomaly in self.anomalies],
            "operations": [operation.to_json() for operation in self.operations],
            "reasons": list(self.reasons),
        }
