"""Histories of up to millions of operations, as a real register under closed-loop clients would give them.

Every client has one operation open at any time but for the moments in between, so that the concurrency is the
number of clients; an operation takes effect at a random moment of its interval. A share never returns (its
client goes on as another one). The same seed gives the same history.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from dataclasses import dataclass, replace
from pathlib import Path

from checker.formats.writer import HistoryWriter
from checker.history import History, Operation


@dataclass(frozen=True)
class Recipe:
    """Shares are of all operations. Values are unique; what is neither of these is a read."""

    operations: int
    concurrency: int
    writes: float = 0.5
    cas: float = 0.0
    deletes: float = 0.0
    pending: float = 0.001
    seed: int = 7


def record(recipe: Recipe, key: str = "k") -> list[Operation]:
    """One key's history."""
    rng = random.Random(recipe.seed)
    spans = _spans(rng, recipe)
    moments = [call + rng.random() * (end - call) for call, end, _ in spans]
    found: list[Operation | None] = [None] * recipe.operations
    state: str | None = None
    for i in sorted(range(recipe.operations), key=moments.__getitem__):
        call, end, client = spans[i]
        f, given, output, after = _take(rng, recipe, state, f"v{i}")
        if rng.random() < recipe.pending:
            state = after if rng.random() < 0.5 else state
            found[i] = Operation(i, client, f, key, given, None, "info", call, None)
        else:
            state = after
            found[i] = Operation(i, client, f, key, given, output, "ok", call, end)
    return [op for op in found if op is not None]


def _spans(rng: random.Random, recipe: Recipe) -> list[tuple[int, int, int]]:
    free = [(rng.randrange(2_000), client) for client in range(recipe.concurrency)]
    heapq.heapify(free)
    spans = []
    for _ in range(recipe.operations):
        call, client = free[0]
        end = call + 1 + rng.randrange(2_000)
        heapq.heapreplace(free, (end + 1, client))
        spans.append((call, end, client))
    return spans


def _take(
    rng: random.Random, recipe: Recipe, state: str | None, value: str
) -> tuple[str, object, object, str | None]:
    """(f, input, output, state after)."""
    chance = rng.random()
    if chance < recipe.writes:
        return "write", value, None, value
    chance -= recipe.writes
    if chance < recipe.cas:
        expected = state if state is not None and rng.random() < 0.7 else "nothing"
        swapped = state == expected
        return "cas", (expected, value), (swapped, state), value if swapped else state
    if chance < recipe.cas + recipe.deletes:
        return "delete", None, None, None
    return "read", None, state, state


def with_stale_read(operations: list[Operation], at: float = 0.6) -> list[Operation]:
    """The first read after `at` returns what a read a thousand operations before it returned."""
    reads = [i for i, op in enumerate(operations) if op.f == "read" and op.type == "ok" and op.output]
    late = next(i for i in reads if i >= at * len(operations))
    early = max(i for i in reads if i <= late - 1_000)
    spoilt = list(operations)
    spoilt[late] = replace(operations[late], output=operations[early].output)
    return spoilt


def as_history(operations: list[Operation], model: str = "register", initial: object = None) -> History:
    """In memory, as a reader would give it."""
    digest = hashlib.sha256(b"recorded in memory").hexdigest()
    return History("memory", model, initial, tuple(operations), (), digest)


def write_file(operations: list[Operation], path: Path, model: str = "register") -> None:
    """As `history.jsonl`. What never returned belongs to a process of its own."""
    events = []
    for op in operations:
        process = op.process if op.type == "ok" else 1_000_000 + op.index
        events.append((op.call_ns, 0, op.index, process, op))
        if op.return_ns is not None:
            events.append((op.return_ns, 1, op.index, process, op))
    events.sort(key=lambda event: event[:3])
    with path.open("wb") as out:
        writer = HistoryWriter(out.write, model)
        for time_ns, returns, _, process, op in events:
            if returns:
                writer.ok(time_ns, process, op.output)
            else:
                writer.invoke(time_ns, process, op.f, op.key, op.input)
