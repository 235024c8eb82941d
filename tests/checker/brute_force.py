"""The truth on small histories: every order of every subset of pending operations, tried one by one.

It shares nothing with the engines or the auditor but the operations; even the models are written again.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence

from checker.history import Operation


def _register(state, op):
    f, known = op.f, op.type == "ok"
    if f in ("read", "get"):
        return (not known or op.output == state), state
    if f in ("write", "put"):
        return True, op.input
    if f == "delete":
        return True, None
    expected, new = op.input
    swapped = state is not None and state == expected
    if known and op.output != (swapped, state):
        return False, state
    return True, (new if swapped else state)


def _append(state, op):
    if op.f == "append":
        return True, (*state, op.input)
    return (op.type != "ok" or op.output == state), state


STEPS: dict[str, tuple[object, Callable]] = {
    "register": (None, _register),
    "kv": (None, _register),
    "append": ((), _append),
}


def linearizable(model: str, operations: Sequence[Operation]) -> bool:
    """Whether some order explains operations of one key (`fail` ones are ignored)."""
    initial, step = STEPS[model]
    completed = [op for op in operations if op.type == "ok"]
    pending = [op for op in operations if op.type == "info"]
    for size in range(len(pending) + 1):
        for chosen in itertools.combinations(pending, size):
            if _some_order(initial, step, [*completed, *chosen]):
                return True
    return False


def _some_order(state, step, left) -> bool:
    if not left:
        return True
    for op in left:
        if any(other.return_ns is not None and other.return_ns < op.call_ns for other in left):
            continue
        legal, after = step(state, op)
        if legal and _some_order(after, step, [other for other in left if other is not op]):
            return True
    return False


def random_history(rng: random.Random, model: str, most: int = 7) -> list[Operation]:
    """A small history of one key: half of them recorded from a real object, then sometimes spoilt."""
    count = rng.randint(1, most)
    span = rng.choice((4, 8, 16))
    spans = []
    for _ in range(count):
        call = rng.randrange(span)
        spans.append((call, call + rng.randrange(1 + rng.choice((1, 3, span)))))
    spans.sort()
    unique = rng.random() < 0.5
    asked = [_ask(rng, model, i if unique else rng.randrange(3)) for i in range(count)]
    state, _ = STEPS[model]
    moments = sorted(range(count), key=lambda i: (rng.uniform(*spans[i]), i))
    outputs: dict[int, object] = {}
    ends: dict[int, str] = {}
    for i in moments:
        ends[i] = rng.choices(("ok", "info", "fail"), (8, 3, 1))[0]
        happens = ends[i] == "ok" or (ends[i] == "info" and rng.random() < 0.5)
        outputs[i], after = _do(state, asked[i])
        state = after if happens else state
    if rng.random() < 0.6:
        _spoil(rng, model, asked, outputs)
    return [
        Operation(
            i, i, f, "k", given,
            outputs[i] if ends[i] == "ok" else None,
            ends[i],
            call, end if ends[i] == "ok" else None,
        )
        for i, ((f, given), (call, end)) in enumerate(zip(asked, spans, strict=True))
    ]  # fmt: skip


def _ask(rng, model, number):
    if model == "append":
        return ("append", f"e{number}") if rng.random() < 0.5 else ("read", None)
    f = rng.choices(("read", "write", "cas", "delete"), (5, 4, 4, 1))[0]
    if f == "write":
        return f, f"v{number}"
    if f == "cas":
        return f, (f"v{rng.randrange(max(1, number + 1))}", f"v{number}")
    return f, None


def _do(state, asked):
    f, given = asked
    if f == "append":
        return None, (*state, given)
    if f == "read":
        return state, state
    if f == "write":
        return None, given
    if f == "delete":
        return None, None
    swapped = state is not None and state == given[0]
    return (swapped, state), (given[1] if swapped else state)


def _spoil(rng, model, asked, outputs):
    for i, (f, _) in enumerate(asked):
        if f not in ("read", "cas") or rng.random() < 0.5:
            continue
        if model == "append":
            wrong = list(outputs[rng.choice([j for j, (g, _) in enumerate(asked) if g == "read"])])
            change = rng.randrange(4)
            if change == 0 and wrong:
                wrong.pop(rng.randrange(len(wrong)))
            elif change == 1:
                rng.shuffle(wrong)
            elif change == 2 and wrong:
                wrong.append(rng.choice(wrong))
            outputs[i] = tuple(wrong)
        else:
            value = rng.choice((None, "v0", "v1", "v2", "v3"))
            outputs[i] = value if f == "read" else (rng.random() < 0.5, value)
