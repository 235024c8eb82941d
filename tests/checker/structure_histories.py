"""Histories for the engines of lists, sets, queues and counters: small random ones, large recorded ones."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from brute_force import Case, linearizable, random_case
from brute_objects import OBJECTS

from checker.history import Operation
from checker.models.base import Model
from checker.moves import Left, weaker


def op(index, f, given, output, call, end) -> Operation:
    """Completed, or pending if it has no end."""
    return Operation(index, index, f, "k", given, output, "info" if end is None else "ok", call, end)


def small(*names: str, most: int = 8) -> Callable[[random.Random], Case]:
    """Maker of random histories of one of these kinds, most of them spoilt in one more way or two."""

    def maker(rng: random.Random) -> Case:
        case = random_case(rng, rng.choice(names), most)
        operations = list(case.operations)
        while operations and rng.random() < 0.4:
            rng.choice((_swap, _move, _finish))(rng, operations)
        operations.sort(key=lambda o: o.call_ns)
        renumbered = (replace(o, index=i) for i, o in enumerate(operations))
        return replace(case, operations=tuple(renumbered))

    return maker


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


def is_decidable(case: Case) -> bool:
    """Whether the engine for counters must decide: see its text."""
    adds = [o for o in case.operations if o.f == "add"]
    sign = -1 if any(o.input < 0 for o in adds) else 1
    if any(sign * o.input < 0 for o in adds):
        return False
    told = [(o, sign * (o.output - (case.initial or 0))) for o in case.operations if o.output is not None]
    if any(value - (sign * o.input if o.f == "add" else 0) < 0 for o, value in told):
        return True
    farthest = max((value for _, value in told), default=0)
    return len({o.input for o in adds if o.output is None and 0 < sign * o.input <= farthest}) <= 1


def core_stands(model: Model, case: Case, core: Sequence[int]) -> bool:
    """Whether moves leave little more than the core, and that has no order.

    Parts of the state that no operation of the core names are projected out, and what happened after it is
    cut off, as far as that is needed.
    """
    chosen = [o for o in case.operations if o.index in core]
    end = max((o.return_ns for o in chosen if o.known), default=None)
    named = {value for o in chosen for value in (o.input, o.output)}
    for tried in ("", "project", "project cut", "cut project"):
        left = Left(list(case.operations))
        for move in tried.split():
            if move == "cut":
                left = weaker(model, left, [("cut", (end,))]) if end is not None else left
            else:
                atoms = model.atoms([model.call(o) for o in left.operations])
                left = weaker(model, left, [("project", tuple(atom for atom in atoms if atom not in named))])
        kept = _closed(model, left.operations, set(core))
        if not linearizable(case.model, kept, case.initial):
            return True
    return False


def _closed(model: Model, operations: list[Operation], chosen: set[int]) -> list[Operation]:
    """The chosen ones and what they need."""
    while True:
        kept = frozenset(i for i, o in enumerate(operations) if o.index in chosen)
        needed = model.needed(operations, kept)
        if not needed:
            return [operations[i] for i in sorted(kept)]
        chosen |= {operations[i].index for i in needed}


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
    state, found = thing.begin(None), {}
    for i in sorted(range(operations), key=lambda i: spans[i][2]):
        f, given = thing.ask(rng, i)
        output, after = thing.apply(state, f, given)
        lost = rng.random() < pending
        state = state if lost and rng.random() < 0.5 else after
        call, end, _ = spans[i]
        found[i] = op(i, f, given, None if lost else thing.tell(rng, f, output), call, None if lost else end)
    return [found[i] for i in range(operations)]
