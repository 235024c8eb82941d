"""Weaker guarantees of small histories by brute force, and makers of histories that break some of them.

It shares nothing with `checker.weaker` but the operations.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import brute_force

from checker.history import Operation


def step(model, state, op):
    """Whether `op` may happen at `state`, and what is then; a register and a list, written again."""
    if op.f == "cas":
        swaps = state is not None and op.input[0] == state
        return op.type != "ok" or op.output == (swaps, state), op.input[1] if swaps else state
    if op.f in ("read", "get"):
        return op.type != "ok" or op.output == state, state
    return True, (*state, op.input) if model == "append" else op.input


def random_sessions(rng, model, keys=2, swaps=0.0):
    """A few processes on a slow object: reads may see what was there some time ago."""
    initial = () if model == "append" else None
    past = {key: [initial] for key in range(keys)}
    operations, free = [], [0] * rng.randint(1, 3)
    lag = rng.choice((0, 1, 2, 4))
    for i in range(rng.randint(2, 7)):
        process = rng.randrange(len(free))
        key = rng.randrange(keys)
        call = free[process] + rng.randrange(1, 4)
        end = call + rng.randrange(4)
        free[process] = end + 1
        versions = past[key]
        seen = versions[max(0, len(versions) - 1 - rng.randint(0, lag))]
        kind = rng.random()
        if kind < 0.45:
            f, given, told = ("append" if model == "append" else "write"), f"v{i}", None
            versions.append((*versions[-1], given) if model == "append" else given)
        elif kind < 0.45 + swaps:
            expected = seen if seen is not None and rng.random() < 0.6 else "other"
            f, given, told = "cas", (expected, f"v{i}"), (expected == seen, seen)
            if expected == seen:
                versions.append(f"v{i}")
        else:
            f, given, told = "read", None, seen
        operations.append(Operation(i, process, f, f"k{key}", given, told, "ok", call, end))
    operations.sort(key=lambda op: op.call_ns)
    last = {op.process: i for i, op in enumerate(operations)}
    return [
        replace(op, index=i, type="info", output=None, return_ns=None)
        if last[op.process] == i and rng.random() < 0.2
        else replace(op, index=i)
        for i, op in enumerate(operations)
    ]


def histories(count, seed, model, keys=2, swaps=0.0):
    rng = random.Random(seed)
    return [random_sessions(rng, model, keys, swaps) for _ in range(count)]


def grouped(operations):
    keys = {}
    for op in operations:
        keys.setdefault(op.key, []).append(op)
    return keys


def is_sequential(model, operations):
    done = [op for op in operations if op.type == "ok"]
    pending = [op for op in operations if op.type == "info"]
    return any(
        merges(model, {}, [*done, *chosen])
        for size in range(len(pending) + 1)
        for chosen in itertools.combinations(pending, size)
    )


def merges(model, states, left):
    if not left:
        return True
    for op in left:
        if any(other.process == op.process and other.index < op.index for other in left):
            continue
        legal, after = step(model, states.get(op.key, () if model == "append" else None), op)
        if legal and merges(model, {**states, op.key: after}, [o for o in left if o is not op]):
            return True
    return False


def explains(model, operations):
    """Whether an order explains all."""
    return brute_force.linearizable(model, operations)


def has_order(operations, own):
    """Whether the writes of the key have an order, in real time, in which no process reads back."""
    writes = [op for op in operations if _writes(op)]
    for order in itertools.permutations(writes):
        places = {None: -1, **{_written(op): i for i, op in enumerate(order)}}
        if any(
            b.return_ns is not None and b.return_ns < a.call_ns for a, b in itertools.combinations(order, 2)
        ):
            continue
        if keeps(operations, places, own):
            return True
    return False


def keeps(operations, places, own):
    least = {}
    for op in operations:
        if op.type != "ok":
            continue
        if op.f != "write":
            seen = places[op.output if op.f == "read" else op.output[1]]
            if seen < least.get(op.process, -1):
                return False
            if not own:
                least[op.process] = seen
        if own and _writes(op):
            least[op.process] = max(least.get(op.process, -1), places[_written(op)])
    return True


def _writes(op):
    return op.f == "write" or (op.f == "cas" and (op.type != "ok" or op.output[0]))


def _written(op):
    return op.input if op.f == "write" else op.input[1]


def keeps_lists(operations, own):
    """Whether each process sees in later reads of a key what it appended (own), or all that it had read."""
    for a, b in itertools.combinations([op for op in operations if op.type == "ok"], 2):
        if (a.process, a.key) != (b.process, b.key) or b.f != "read":
            continue
        if own and a.f == "append" and a.input not in b.output:
            return False
        if not own and a.f == "read" and b.output[: len(a.output)] != a.output:
            return False
    return True


def mangled(rng, operations):
    """Lists, of which some reads miss or exchange elements."""
    return [
        replace(op, output=tuple(rng.sample(op.output, rng.randint(0, len(op.output)))))
        if op.f == "read" and op.output and rng.random() < 0.2
        else op
        for op in operations
    ]


def with_more_pending(cases):
    """Some operations are not known to have happened, though their processes went on."""
    rng = random.Random(13)
    return [
        [
            replace(op, type="info", output=None, return_ns=None) if rng.random() < 0.2 else op
            for op in operations
        ]
        for operations in cases
    ]
