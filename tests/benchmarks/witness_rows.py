"""Rows of ``make bench-checker`` for the witness: a history with the order in which it was executed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from big_histories import as_history
from checker_rows import Job, Row, outcome

from checker.history import Operation
from checker.judges import linearizability
from checker.limits import Limits

_KEYS = 100
_CLIENTS = 100


def witnessed(*, fast_reads: bool = False) -> Callable[[float, Path], Job]:
    """Puts and gets on a hundred keys. With `fast_reads` the order has the puts only."""

    def prepare(scale: float, scratch: Path) -> Job:
        operations, executed = _recorded(int(1_000_000 * scale))
        if fast_reads:
            reads = {op.index for op in operations if op.f == "get"}
            executed = {key: [i for i in order if i not in reads] for key, order in executed.items()}
        history = as_history(operations, "kv")
        return lambda: outcome(linearizability.judge(history, Limits(), executed))

    return prepare


def _recorded(count: int) -> tuple[list[Operation], dict[str, list[int]]]:
    """What closed-loop clients saw, and each key's operations in the order in which they took effect."""
    rng = random.Random(5)
    free = [rng.randrange(2_000) for _ in range(_CLIENTS)]
    spans: list[tuple[int, int]] = []
    for i in range(count):
        call = free[i % _CLIENTS]
        end = call + 1 + rng.randrange(2_000)
        free[i % _CLIENTS] = end + 1
        spans.append((call, end))
    spans.sort()
    moments = [rng.uniform(*span) for span in spans]
    found: list[Operation | None] = [None] * count
    held: dict[str, str | None] = {}
    executed: dict[str, list[int]] = {}
    for i in sorted(range(count), key=moments.__getitem__):
        key, (call, end) = f"k{rng.randrange(_KEYS)}", spans[i]
        executed.setdefault(key, []).append(i)
        if rng.random() < 0.5:
            held[key] = f"v{i}"
            found[i] = Operation(i, i, "put", key, f"v{i}", None, "ok", call, end)
        else:
            found[i] = Operation(i, i, "get", key, None, held.get(key), "ok", call, end)
    return [op for op in found if op is not None], executed


def rows() -> Iterator[tuple[str, Row]]:
    """To be entered in ROWS."""
    yield from _ROWS.items()


_ROWS: Mapping[str, Row] = {
    "witness": Row(
        "a million operations on 100 keys with the order of execution", "<= 1 s", witnessed(), most_s=1
    ),
    "witness-reads": Row("the same, reads not ordered: they are placed", "", witnessed(fast_reads=True)),
}
