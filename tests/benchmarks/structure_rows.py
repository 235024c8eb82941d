"""Rows of ``make bench-checker`` for queues, lists and sets: what clients saw of a real object."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from pathlib import Path

from big_histories import as_history
from checker_rows import Job, Row, judged

from checker.history import Operation

Do = Callable[[int], tuple[str, Hashable, Hashable]]
"""What happens next (by number): f, input, output."""


def recorded(do: Do, operations: int, clients: int, seed: int = 1) -> list[Operation]:
    """Closed-loop clients; an operation takes effect somewhere between call and return."""
    rng = random.Random(seed)
    free = deque(sorted(rng.randrange(200) for _ in range(clients)))
    spans: list[tuple[int, int]] = []
    for _ in range(operations):
        call = free.popleft()
        end = call + rng.randrange(1, 200)
        spans.append((call, end))
        free.append(max(end, free[-1] if free else 0) + rng.randrange(1, 5))
    moments = sorted(range(operations), key=lambda i: rng.uniform(*spans[i]))
    done = {i: do(i) for i in moments}
    return [
        Operation(i, i % clients, f, "k", given, told, "ok", *spans[i])
        for i, (f, given, told) in ((i, done[i]) for i in range(operations))
    ]


def queue(*, spoilt: bool = False) -> Callable[[float, Path], Job]:
    """Enqueues and dequeues, some of which find nothing."""

    def prepare(scale: float, scratch: Path) -> Job:
        rng, items = random.Random(2), deque[str]()

        def do(number: int) -> tuple[str, Hashable, Hashable]:
            if rng.random() < 0.5:
                items.append(f"v{number}")
                return "enqueue", f"v{number}", None
            return "dequeue", None, items.popleft() if items else None

        operations = recorded(do, int(1_000_000 * scale), 10)
        if spoilt:
            _swap_late_dequeues(operations)
        return judged(as_history(operations, "queue"))

    return prepare


def _swap_late_dequeues(operations: list[Operation]) -> None:
    """Two dequeues near the end, a thousand operations apart, get each other's item."""
    late = [i for i, op in enumerate(operations) if op.f == "dequeue" and op.output is not None]
    one, other = late[-2_000 if len(late) > 4_000 else 0], late[-1]
    first, second = operations[one], operations[other]
    operations[one] = replace(first, output=second.output)
    operations[other] = replace(second, output=first.output)


def _rarely(number: int) -> bool:
    return number % 1_000 == 999


def growing_list(scale: float, scratch: Path) -> Job:
    """Appends, and of a thousand operations one read of all."""
    elements: list[str] = []

    def do(number: int) -> tuple[str, Hashable, Hashable]:
        if _rarely(number):
            return "read", None, tuple(elements)
        elements.append(f"e{number}")
        return "append", f"e{number}", None

    return judged(as_history(recorded(do, int(100_000 * scale), 10), "append"))


def growing_set(scale: float, scratch: Path) -> Job:
    """Adds, questions for one element, and of a thousand operations one read of all."""
    rng, elements = random.Random(3), dict[str, None]()

    def do(number: int) -> tuple[str, Hashable, Hashable]:
        if _rarely(number):
            return "read", None, tuple(elements)
        if rng.random() < 0.5:
            asked = f"e{rng.randrange(number + 1)}"
            return "contains", asked, asked in elements
        elements[f"e{number}"] = None
        return "add", f"e{number}", None

    return judged(as_history(recorded(do, int(100_000 * scale), 10), "grow-only-set"))


def rows() -> Iterator[tuple[str, Row]]:
    """By name."""
    yield "queue", Row("FIFO queue, a million operations", "<= 5 s", queue(), most_s=5)
    yield "queue-bad", Row("the same with two items swapped", "", queue(spoilt=True), "invalid")
    yield "list", Row("append list, 100 000 operations, 100 reads of all", "", growing_list)
    yield "grow-set", Row("grow-only set, 100 000 operations, 100 reads of all", "", growing_set)
