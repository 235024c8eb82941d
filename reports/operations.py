"""The history as the report draws it: one ``Operation`` per invocation, and numbers over all of them.

Tolerant on purpose, unlike the checker's codec: a report of a malformed history is wanted most. A
completion nobody invoked, or a second invocation in a process that has one open, is left out and noticed.
An operation that never completed is ``info``: it may take effect at any later time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from reports.untrusted import integer, shown, time_ns
from reports.values import NAME_LIMIT, VALUE_LIMIT, answered_text, asked_text, call_words

TYPES = ("ok", "fail", "info")


@dataclass(frozen=True, slots=True)
class Operation:
    """What one process asked and what it was told. Texts are already safe to show."""

    index: int
    process: str
    lane: str
    """The logical client, which outlives its processes; the process itself where no client is given."""
    f: str
    key: str
    input: str
    output: str
    type: str
    call_ns: int
    return_ns: int | None
    view: int | None
    note: str
    """Error word, phase when not ``load``, and who answered."""

    @property
    def words(self) -> str:
        """``put v17``, ``get → v12``."""
        return call_words(self.f, self.input, self.output, self.type)


@dataclass(frozen=True, slots=True)
class History:
    """All operations by invocation time, and the model the header names."""

    operations: Sequence[Operation]
    model: str
    problems: Sequence[str]
    last_ns: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """What completed in a stretch of time. Latencies are of ``ok`` operations."""

    from_ns: int
    to_ns: int
    counts: Mapping[str, int]
    median_ns: int | None
    p99_ns: int | None
    max_ns: int | None


@dataclass(frozen=True, slots=True)
class FunctionRow:
    """One function's outcomes and latencies."""

    f: str
    counts: Mapping[str, int]
    median_ns: int | None
    p99_ns: int | None
    max_ns: int | None


class _Reader:
    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.open: dict[str, tuple[int, Mapping[str, object]]] = {}
        self.model = ""
        self.last_ns = 0
        self.trouble: Counter[str] = Counter()
        self.first: dict[str, int] = {}

    def line(self, number: int, event: Mapping[str, object]) -> None:
        if "schema" in event and "type" not in event:
            self.model = shown(event["model"], NAME_LIMIT) if event.get("model") else ""
            return
        given = event.get("process")
        process = str(given) if type(given) is int else _name(given)
        if process == "nemesis":
            return
        at_ns = time_ns(event.get("time_ns"))
        kind = event.get("type")
        if at_ns is None or kind not in ("invoke", *TYPES):
            self._wrong("events without a time or a known type", number)
            return
        self.last_ns = max(self.last_ns, at_ns)
        if kind == "invoke":
            if process in self.open:
                self._wrong("invocations in a process that had one open", number)
                self._complete(process, "info", None, {})
            self.open[process] = (at_ns, event)
        elif process in self.open:
            self._complete(process, str(kind), at_ns, event)
        else:
            self._wrong("completions nobody invoked", number)

    def _wrong(self, what: str, number: int) -> None:
        self.trouble[what] += 1
        self.first.setdefault(what, number)

    def _complete(self, process: str, kind: str, at_ns: int | None, end: Mapping[str, object]) -> None:
        call_ns, event = self.open.pop(process)
        self.operations.append(
            Operation(
                index=_or(integer(event.get("index")), len(self.operations)),
                process=process,
                lane=f"client {_name(event['client'])}" if "client" in event else f"process {process}",
                f=_name(event.get("f")),
                key=_name(event.get("key")) if event.get("key") is not None else "",
                input=asked_text(event.get("input")),
                output=answered_text(event.get("input"), end.get("output")) if kind == "ok" else "",
                type=kind,
                call_ns=call_ns,
                return_ns=None if at_ns is None else max(at_ns, call_ns),
                view=integer(end.get("view")),
                note=_note(event, end),
            )
        )

    def history(self) -> History:
        for process in list(self.open):
            self._complete(process, "info", None, {})
        self.operations.sort(key=lambda operation: (operation.call_ns, operation.index))
        problems = [
            f"{count:,} {what} left out; first at line {self.first[what]}"
            for what, count in sorted(self.trouble.items())
        ]
        return History(self.operations, self.model, problems, self.last_ns)


def read_history(lines: Iterable[tuple[int, Mapping[str, object]]]) -> History:
    """Pair invocations with completions."""
    reader = _Reader()
    for number, event in lines:
        reader.line(number, event)
    return reader.history()


def _name(value: object) -> str:
    return shown(value, NAME_LIMIT)


def _or(value: int | None, otherwise: int) -> int:
    return otherwise if value is None else value


def _note(event: Mapping[str, object], end: Mapping[str, object]) -> str:
    parts = []
    if end.get("error") is not None:
        parts.append(f"error {shown(end['error'], VALUE_LIMIT)}")
    if event.get("phase") not in (None, "load"):
        parts.append(f"phase {_name(event['phase'])}")
    if (replicas := end.get("replicas")) is not None:
        parts.append(f"replicas {shown(replicas, VALUE_LIMIT)} answered alike")
    return "; ".join(parts)


def quantiles(latencies: list[int]) -> tuple[int | None, int | None, int | None]:
    """(median, 99th percentile, maximum), each a latency that occurred."""
    if not latencies:
        return None, None, None
    latencies.sort()
    last = len(latencies) - 1
    return latencies[last // 2], latencies[min(last, -(-99 * len(latencies) // 100) - 1)], latencies[last]


def by_function(operations: Sequence[Operation]) -> list[FunctionRow]:
    """One row per function, by name, at most 50; then one for all."""
    groups: dict[str, list[Operation]] = {}
    for operation in operations:
        groups.setdefault(operation.f, []).append(operation)
    rows = [_function_row(f, groups[f]) for f in sorted(groups)[:50]]
    return [*rows, _function_row("all", operations)] if len(rows) != 1 else rows


def _function_row(f: str, operations: Iterable[Operation]) -> FunctionRow:
    counts = dict.fromkeys(TYPES, 0)
    latencies = []
    for operation in operations:
        counts[operation.type] += 1
        if operation.type == "ok" and operation.return_ns is not None:
            latencies.append(operation.return_ns - operation.call_ns)
    return FunctionRow(f, counts, *quantiles(latencies))


def buckets(
    operations: Sequence[Operation], from_ns: int, to_ns: int, zero_ns: int, wished: int
) -> list[Bucket]:
    """Equal stretches of a round length, about ``wished`` of them from ``zero_ns`` on, by completion."""
    step = round_step((to_ns - from_ns) / wished)
    start = zero_ns - -(-(zero_ns - from_ns) // step) * step
    count = max(1, -(-(to_ns - start) // step))
    groups: list[list[Operation]] = [[] for _ in range(count)]
    for operation in operations:
        if operation.return_ns is not None and start <= operation.return_ns <= to_ns:
            groups[min((operation.return_ns - start) // step, count - 1)].append(operation)
    rows = []
    for place, group in enumerate(groups):
        row = _function_row("", group)
        at_ns = start + place * step
        rows.append(Bucket(at_ns, at_ns + step, row.counts, row.median_ns, row.p99_ns, row.max_ns))
    return rows


def round_step(ideal: float) -> int:
    """The smallest 1, 2 or 5 times a power of ten that is not below ``ideal``."""
    power = 1
    while True:
        for digit in (1, 2, 5):
            if digit * power >= ideal:
                return digit * power
        power *= 10
