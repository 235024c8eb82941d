"""The data the time line draws, as columns: gzip, base64, one data island in the page.

Base64 cannot end a script element, whatever a value holds. Numbers are ticks from the start of the axis;
columns that rise are sent as differences; texts are sent once, in a table with a budget. The same input
gives the same bytes.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from itertools import accumulate, pairwise

from reports.axis import Axis, Phase
from reports.faults import Fault, Window, segments
from reports.operations import TYPES, Operation
from reports.replicas import Replica

MAX_OPERATIONS = 500_000
MAX_LANES = 400
TEXT_BUDGET = 12_000_000
CUT_TEXT = "(too much text for this page; see the history)"


class Texts:
    """Every text once. When the budget is spent, new texts are replaced by a sentence that says so."""

    def __init__(self) -> None:
        self.table: list[str] = ["", CUT_TEXT]
        self._places: dict[str, int] = {"": 0, CUT_TEXT: 1}
        self._left = TEXT_BUDGET

    def place(self, text: str) -> int:
        place = self._places.get(text)
        if place is None:
            self._left -= len(text) + 3
            if self._left < 0:
                return 1
            place = self._places[text] = len(self.table)
            self.table.append(text)
        return place


def encode(columns: dict[str, object]) -> str:
    """Base64 of gzip of JSON, the same for the same columns."""
    text = json.dumps(columns, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()


def differences(values: Sequence[int]) -> list[int]:
    """The first value, then what each adds to the one before."""
    return [*values[:1], *(after - before for before, after in pairwise(values))]


def sums(values: Sequence[int]) -> list[int]:
    """What ``differences`` came from."""
    return list(accumulate(values))


def operation_columns(operations: Sequence[Operation], axis: Axis) -> dict[str, object]:
    """Columns of the operations, ordered by invocation."""
    texts = Texts()
    lanes = _lanes(operations)
    places = {lane: place for place, lane in enumerate(lanes)}
    kinds = {kind: place for place, kind in enumerate(TYPES)}
    calls = [axis.ticks(operation.call_ns) for operation in operations]
    return {
        "call": differences(calls),
        "took": [
            -1 if operation.return_ns is None else axis.ticks(operation.return_ns) - call
            for operation, call in zip(operations, calls, strict=True)
        ],
        "index": differences([operation.index for operation in operations]),
        "lane": [places.get(operation.lane, len(lanes) - 1) for operation in operations],
        "type": [kinds[operation.type] for operation in operations],
        "view": [-1 if operation.view is None else operation.view for operation in operations],
        **{
            name: [texts.place(getattr(operation, name)) for operation in operations]
            for name in ("process", "f", "key", "input", "output", "note")
        },
        "lanes": lanes,
        "texts": texts.table,
    }


def _lanes(operations: Sequence[Operation]) -> list[str]:
    """Clients in the order of their numbers; beyond the limit they share the last lane."""
    names = sorted({operation.lane for operation in operations}, key=_by_number)
    return names if len(names) <= MAX_LANES else [*names[: MAX_LANES - 1], "all others"]


def _by_number(name: str) -> tuple[str, int, str]:
    word, _, number = name.rpartition(" ")
    return (word, int(number), "") if number.isdecimal() and number.isascii() else (word, -1, name)


def time_columns(
    axis: Axis, phases: Sequence[Phase], faults: Sequence[Fault], windows: Sequence[Window]
) -> dict[str, object]:
    """The axis and the lanes above the operations."""
    return {
        "tick_ns": axis.tick_ns,
        "zero": (axis.zero_ns - axis.from_ns) // axis.tick_ns,
        "end": axis.ticks(axis.to_ns),
        "phases": [
            [axis.ticks(phase.start_ns), axis.ticks(phase.end_ns), phase.name, phase.ok, phase.detail]
            for phase in phases
        ],
        "faults": [
            {
                "name": fault.id,
                "about": "; ".join(text for text in (fault.kind, fault.params, fault.outcome) if text),
                "segments": [
                    [axis.ticks(part.from_ns), axis.ticks(part.to_ns), part.state]
                    for part in segments(fault, axis.to_ns)
                ],
                "steps": [[axis.ticks(step.at_ns), step.step, step.evidence] for step in fault.steps],
            }
            for fault in faults
            if fault.steps
        ],
        "budget": [[axis.ticks(w.from_ns), axis.ticks(w.to_ns), w.bad, w.over, w.reasons] for w in windows],
    }


def replica_columns(replicas: Sequence[Replica], axis: Axis) -> list[dict[str, object]]:
    """One object per replica lane."""
    return [
        {
            "name": f"replica {replica.name}",
            "views": [[axis.ticks(step.at_ns), step.view, step.active] for step in replica.views],
            "at": differences([axis.ticks(point.at_ns) for point in replica.executed]),
            "seq": differences([point.seq for point in replica.executed]),
            "restart": [place for place, point in enumerate(replica.executed) if point.restart],
            "marks": [[axis.ticks(mark.at_ns), mark.kind, mark.text] for mark in replica.marks],
            "silences": [
                [axis.ticks(start), axis.ticks(axis.to_ns if end is None else end), text]
                for start, end, text in replica.silences
            ],
            "downs": [
                [axis.ticks(start), axis.ticks(axis.to_ns if end is None else end), text]
                for start, end, text in replica.downs
            ],
        }
        for replica in replicas
    ]
