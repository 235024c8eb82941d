"""How the judge came from all operations of a key to the few it shows, in words.

Each move only makes a history easier to explain (``checker/moves.py`` says why), so what is left refutes
all of it. They are told because what is shown is then not word for word what was recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.untrusted import counted, duration, integer, listing, shown, time_ns
from reports.values import value_text

MAX_MOVES, MAX_ELEMENTS = 50, 12


@dataclass(frozen=True, slots=True)
class Moves:
    """Names with their values, in the order they were made."""

    made: Sequence[tuple[str, Sequence[object]]]
    weakened: frozenset[int]
    cut_ns: int | None
    projects: bool

    def sentences(self, start_ns: int) -> list[str]:
        """One for each move. Times from ``start_ns``, the first invocation shown."""
        return [_sentence(name, values, start_ns) for name, values in self.made]


def read_moves(document: Mapping[str, object]) -> Moves:
    """From counterexample.json."""
    made: list[tuple[str, Sequence[object]]] = []
    for move in listing(document.get("moves"))[:MAX_MOVES]:
        parts = listing(move)
        if len(parts) == 2:
            made.append((shown(parts[0], 30), listing(parts[1])))
    weakened = {number for name, values in made if name == "weaken" for number in map(integer, values)}
    moments = [time_ns(values[0]) for name, values in made if name == "cut" and values]
    return Moves(
        made,
        frozenset(number for number in weakened if number is not None),
        next((moment for moment in moments if moment is not None), None),
        any(name == "project" for name, _ in made),
    )


def _sentence(name: str, values: Sequence[object], start_ns: int) -> str:
    when = _moment(values, start_ns)
    match name:
        case "cut":
            return f"cut: the history as it stood {when}; what had not completed by then counts as open."
        case "after":
            return (
                f"after: what had completed by {when} is forgotten; the key may be in any state it "
                "could have been in then."
            )
        case "project":
            listed = ", ".join(value_text(value) for value in values[:MAX_ELEMENTS])
            more = f" and {len(values) - MAX_ELEMENTS:,} more" if len(values) > MAX_ELEMENTS else ""
            return f"project: as seen by somebody who does not see {listed}{more}."
        case "weaken":
            return (
                f"weaken: {counted(len(values), 'operation')} marked below "
                f"{'says' if len(values) == 1 else 'say'} less than recorded."
            )
        case "keep":
            kept = counted(len(values), "operation")
            return f"keep: {kept} kept; without the others an order would be easier to find."
    return f"{name}: a move this page does not know."


def _moment(values: Sequence[object], start_ns: int) -> str:
    moment = time_ns(values[0]) if values else None
    if moment is None:
        return "at a moment that is not named"
    if moment == start_ns:
        return "at the first invocation shown"
    side = "before" if moment < start_ns else "after"
    return f"{duration(abs(moment - start_ns))} {side} the first invocation shown"
