"""Histories for the engines of lists, sets, queues and counters: small random ones, large recorded ones."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from brute_force import random_history
from brute_objects import OBJECTS, model_of

from checker.history import Operation


@dataclass(frozen=True)
class Case:
    """One key to be judged."""

    model: str
    initial: object
    operations: tuple[Operation, ...]


def op(index, f, given, output, call, end) -> Operation:
    """Completed, or pending if it has no end."""
    return Operation(index, index, f, "k", given, output, "info" if end is None else "ok", call, end)


def small(*names: str, most: int = 8) -> Callable[[random.Random], Case]:
    """Maker of random histories of one of these kinds, most of them spoilt in one more way or two."""

    def case(rng: random.Random) -> Case:
        name = rng.choice(names)
        operations = [o for o in random_history(rng, name, most) if o.type != "fail"]
        while operations and rng.random() < 0.4:
            rng.choice((_swap, _move, _finish))(rng, operations)
        operations.sort(key=lambda o: o.call_ns)
        renumbered = (replace(o, index=i) for i, o in enumerate(operations))
        return Case(model_of(name), None, tuple(renumbered))

    return case


def _swap(rng, operations):
    """Two operations get each other's answer."""
    one = rng.randrange(len(operations))
    f = operations[one].f
    other = rng.choice([i for i, o in enumerate(operations) if o.f == f])
    if operations[one].known and operations[other].known:
        outputs = operations[other].output, operations[one].output
        for i, output in zip((one, other), outputs, strict=True):
            operations[i] = replace(operations[i], output=output)


def _move(rng, operations):
    """An operation happens at another time."""
    i = rng.randrange(len(operations))
    o = operations[i]
    call = max(0, o.call_ns + rng.randrange(-6, 7))
    end = None if o.return_ns is None else call + rng.choice((0, 1, 3, o.return_ns - o.call_ns))
    operations[i] = replace(o, call_ns=call, return_ns=end)


def _finish(rng, operations):
    """A pending mutator completes, or a completed operation is lost."""
    i = rng.randrange(len(operations))
    o = operations[i]
    if o.known:
        operations[i] = replace(o, type="info", output=None, return_ns=None)
    elif o.f in ("append", "enqueue", "add", "remove"):
        operations[i] = replace(o, type="ok", return_ns=o.call_ns + rng.randrange(8))


def recorded(rng, name: str, *, operations: int, clients: int, pending: float = 0.0) -> list[Operation]:
    """What `clients` saw of a real object: an operation takes effect somewhere between call and return."""
    thing = OBJECTS[name]
    free = [(rng.randrange(20), client) for client in range(clients)]
    heapq.heapify(free)
    spans = []
    for _ in range(operations):
        now, client = heapq.heappop(free)
        end = now + rng.randrange(1, 200)
        spans.append((now, end, rng.uniform(now, end)))
        heapq.heappush(free, (end + rng.randrange(1, 20), client))
    state, found = thing.initial, {}
    for i in sorted(range(operations), key=lambda i: spans[i][2]):
        f, given = thing.ask(rng, i)
        output, after = thing.apply(state, f, given)
        lost = rng.random() < pending
        state = state if lost and rng.random() < 0.5 else after
        call, end, _ = spans[i]
        found[i] = op(i, f, given, None if lost else thing.tell(rng, f, output), call, None if lost else end)
    return [found[i] for i in range(operations)]
