"""Small register histories for fuzzing: every kind of call, of ending, and of value, half of them spoilt.

The moments are few, so that intervals often touch. Values are unique in about two of three; `is_unique` says
of which the engine for registers must decide.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from checker.history import Operation


@dataclass(frozen=True)
class Case:
    """One key's operations, `fail` left out, and the model they are of."""

    model: str
    initial: object
    operations: tuple[Operation, ...]


def register_case(rng: random.Random, most: int = 7) -> Case:
    """A case of up to `most` operations."""
    model = rng.choice(("register", "kv", "cas-register"))
    initial = rng.choice((None, None, "v0", "start"))
    told = rng.choice((1.0, 1.0, 1.0, 0.5))
    unique, deletes = rng.random() < 0.7, rng.choice((0, 0, 1, 3))
    clients, count = rng.choice((2, 3, 5, 9)), rng.randint(1, most)
    free = [0] * clients
    spans = []
    for _ in range(count):
        client = min(range(clients), key=lambda c: free[c])
        call = free[client] + rng.randrange(3)
        end = call + rng.randrange(rng.choice((2, 4, 8)))
        free[client] = end + rng.choice((0, 1))
        spans.append((call, end))
    spans.sort()
    asked = [_ask(rng, i if unique else rng.randrange(3), deletes) for i in range(count)]
    ends = [rng.choices(("ok", "info"), (5, 1))[0] for _ in range(count)]
    outputs = _outputs(rng, model, initial, spans, asked, ends)
    if rng.random() < 0.6:
        _spoil(rng, asked, outputs, count)
    for i in range(count):
        if asked[i][0] == "cas" and rng.random() >= told:
            outputs[i] = outputs[i][0]
    return Case(
        model,
        initial,
        tuple(
            Operation(i, i, f, "k", given, outputs[i], "ok", call, end)
            if ends[i] == "ok"
            else Operation(i, i, f, "k", given, None, "info", call, None)
            for i, ((f, given), (call, end)) in enumerate(zip(asked, spans, strict=True))
        ),
    )


def is_unique(case: Case) -> bool:
    """No value is made twice, nor made and initial; every compare-and-set that failed tells the value."""
    made = Counter({case.initial: 1})
    for op in case.operations:
        if op.f in ("write", "delete"):
            made[op.input] += 1
        if op.f == "cas" and op.output is False:
            return False
        if op.f == "cas" and (op.type == "info" or op.output is True or op.output[0]):
            made[op.input[1]] += 1
    return max(made.values()) == 1


def _ask(rng, number, deletes):
    f = rng.choices(("read", "write", "cas", "delete"), (5, 4, 4, deletes))[0]
    if f == "write":
        return f, f"v{number}"
    if f == "cas":
        expected = rng.choice((f"v{rng.randrange(number + 1)}", f"v{max(0, number - 1)}", "start", None))
        return f, (expected, f"v{number}")
    return f, None


def _outputs(rng, model, state, spans, asked, ends):
    outputs = [None] * len(spans)
    for i in sorted(range(len(spans)), key=lambda i: (rng.uniform(*spans[i]), i)):
        f, given = asked[i]
        happens = ends[i] == "ok" or rng.random() < 0.5
        after = state
        if f == "read":
            outputs[i] = state
        elif f == "cas":
            if rng.random() < 0.5 and (state is not None or model == "cas-register"):
                asked[i] = (f, (state, given[1]))
            expected, new = asked[i][1]
            swapped = state == expected and (state is not None or model == "cas-register")
            outputs[i], after = (swapped, state), new if swapped else state
        else:
            after = given
        state = after if happens else state
    return outputs


def _spoil(rng, asked, outputs, count):
    for i in rng.sample(range(count), rng.randint(1, min(3, count))):
        f, given = asked[i]
        made = [asked[j][1] for j in range(count) if asked[j][0] in ("write", "delete")]
        made += [asked[j][1][1] for j in range(count) if asked[j][0] == "cas" and (outputs[j] or "?")[0]]
        value = rng.choice(made) if made and rng.random() < 0.9 else rng.choice((None, "start", "v0", "v9"))
        if f == "read":
            outputs[i] = value
        elif f == "cas":
            outputs[i] = rng.choice(((True, given[0]), (False, value), (rng.random() < 0.5, value)))
