"""The truth on small histories: every order of every subset of pending operations, tried one by one.

It shares nothing with the engines or the auditor but the operations; even the models are written again, in
`brute_objects`.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

from brute_objects import OBJECTS

from checker.history import Operation


@dataclass(frozen=True)
class Case:
    """A history of one key, what it begins with, and the model that judges it."""

    model: str
    initial: object
    operations: tuple[Operation, ...]


def linearizable(name: str, operations: Sequence[Operation], initial: object = None) -> bool:
    """Whether some order explains operations of one key (`fail` ones are ignored)."""
    thing = OBJECTS[name]
    start = thing.begin(initial)
    completed = [op for op in operations if op.type == "ok"]
    pending = [op for op in operations if op.type == "info"]
    for size in range(len(pending) + 1):
        for chosen in itertools.combinations(pending, size):
            if _some_order(thing, start, [*completed, *chosen]):
                return True
    return False


def step(thing, state, op):
    """(Whether `op` may be next, state afterwards)."""
    output, after = thing.apply(state, op.f, op.input)
    return op.type != "ok" or thing.fits(op.f, op.output, output), after


def _some_order(thing, state, left) -> bool:
    if not left:
        return True
    for op in left:
        if any(other.return_ns is not None and other.return_ns < op.call_ns for other in left):
            continue
        legal, after = step(thing, state, op)
        if legal and _some_order(thing, after, [other for other in left if other is not op]):
            return True
    return False


def random_case(rng: random.Random, name: str, most: int = 7) -> Case:
    """A small history without `fail` of an object that may begin with something."""
    thing = OBJECTS[name]
    first = thing.first(rng)
    operations = [op for op in random_history(rng, name, most, first) if op.type != "fail"]
    return Case(thing.model, first, tuple(operations))


def random_history(rng: random.Random, name: str, most: int = 7, initial: object = None) -> list[Operation]:
    """A small history of one key: half of them recorded from a real object, then sometimes spoilt."""
    thing = OBJECTS[name]
    count = rng.randint(1, most)
    span = rng.choice((4, 8, 16))
    spans = []
    for _ in range(count):
        call = rng.randrange(span)
        spans.append((call, call + rng.randrange(1 + rng.choice((1, 3, span)))))
    spans.sort()
    unique = rng.random() < 0.5
    asked = [thing.ask(rng, i if unique else rng.randrange(3)) for i in range(count)]
    state = thing.begin(initial)
    moments = sorted(range(count), key=lambda i: (rng.uniform(*spans[i]), i))
    outputs: dict[int, object] = {}
    ends: dict[int, str] = {}
    for i in moments:
        ends[i] = rng.choices(("ok", "info", "fail"), (8, 3, 1))[0]
        happens = ends[i] == "ok" or (ends[i] == "info" and rng.random() < 0.5)
        output, after = thing.apply(state, *asked[i])
        outputs[i] = thing.tell(rng, asked[i][0], output)
        state = after if happens else state
    if rng.random() < 0.6:
        for i, (f, given) in enumerate(asked):
            if rng.random() < 0.5:
                others = [outputs[j] for j, (g, _) in enumerate(asked) if g == f]
                outputs[i] = thing.spoil(rng, f, given, outputs[i], others)
    return [
        Operation(
            i, i, f, "k", given,
            outputs[i] if ends[i] == "ok" else None,
            ends[i],
            call, end if ends[i] == "ok" else None,
        )
        for i, ((f, given), (call, end)) in enumerate(zip(asked, spans, strict=True))
    ]  # fmt: skip
