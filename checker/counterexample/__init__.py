"""From "no order explains this key" to the few operations that show it, and why, in words."""

from __future__ import annotations

from dataclasses import dataclass

from checker.audit import Frontier
from checker.history import Operation
from checker.moves import Move


@dataclass(frozen=True, slots=True)
class Counterexample:
    """Operations of one key that no order explains.

    An operation that had not returned when `stuck_on` did is shown as `info`: what it answered later is not
    needed. `left_out` are list elements that were taken out of every list, which keeps the argument sound.
    """

    key: str
    model: str
    anomaly: str
    operations: tuple[Operation, ...]
    longest_prefix: tuple[int, ...]
    state_then: object
    stuck_on: int
    reasons: tuple[str, ...]
    left_out: tuple[str, ...]
    moves: tuple[Move, ...] = ()
    """From all operations of the key to these."""
    frontier: Frontier | None = None
    """Points every order has to pass, where there are too many orders to try."""

    def to_json(self) -> dict[str, object]:
        """As `counterexample.json` has it."""
        from checker.engines.frontier import to_json

        listed = {} if self.frontier is None else {"frontier": to_json(self.frontier)}
        return {
            "schema": "traitor/counterexample/1",
            "key": self.key,
            "model": self.model,
            "anomaly": self.anomaly,
            "operations": [operation.to_json() for operation in self.operations],
            "longest_prefix": list(self.longest_prefix),
            "state_then": self.state_then,
            "stuck_on": self.stuck_on,
            "reasons": list(self.reasons),
            "left_out": list(self.left_out),
            "moves": [[name, list(values)] for name, values in self.moves],
            **listed,
        }
