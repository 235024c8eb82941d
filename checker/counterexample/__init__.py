"""From "no order explains this key" to the few operations that show it, and why, in words."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

from checker.audit import Frontier
from checker.history import Operation
from checker.moves import Move

Rule = Literal[
    "real-time",
    "reads-from",
    "unwritten",
    "overwritten",
    "answered",
    "stuck",
    "missing",
    "taken",
    "twice",
    "nobody-else",
    "possible",
    "contradiction",
]
"""What each says: `checker.counterexample.facts`."""


@dataclass(frozen=True, slots=True)
class Fact:
    """`operations` are invocation indexes, in the order the rule says."""

    rule: Rule
    operations: tuple[int, ...]
    text: str
    value: Hashable = None
    margin_ns: int | None = None

    def to_json(self) -> dict[str, object]:
        """As `counterexample.json` has it."""
        return {
            "rule": self.rule,
            "operations": list(self.operations),
            "value": self.value,
            "margin_ns": self.margin_ns,
            "text": self.text,
        }


@dataclass(frozen=True, slots=True)
class Margin:
    """`ns`: the most by which every interval may be wider and there is still no order; None: any amount."""

    ns: int | None

    def sentence(self, clock_ns: int | None) -> str:
        """What that means. `clock_ns` is what the clock itself cannot tell apart; None: there is none."""
        from checker.counterexample.words import duration

        if self.ns is None:
            return (
                "When each operation began and ended does not matter: no order at all explains the answers."
            )
        if clock_ns is None:
            return "The history has no clock: this rests on the order of its lines."
        said = f"This stands until clocks are off by more than {duration(self.ns)}."
        if self.ns < clock_ns:
            said += f" A clock tells no less than {duration(clock_ns)}: it rests on the order of the lines."
        return said


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
    facts: tuple[Fact, ...] = ()
    margin: Margin | None = None
    """How far clocks may be off; None: not found out."""

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
            "steps": [fact.to_json() for fact in self.facts],
            "margin_known": self.margin is not None,
            "margin_ns": None if self.margin is None else self.margin.ns,
        }
