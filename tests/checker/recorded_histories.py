"""Histories as a real object would give them under closed-loop clients, of any length."""

from __future__ import annotations

import random

from checker.history import Operation


def recorded(
    rng: random.Random, model: str, *, operations: int, keys: int, clients: int, pending: float = 0.0
) -> list[Operation]:
    """Each operation takes effect at a random moment of its interval; a share of them never returns."""
    free = [0] * clients
    spans = []
    for _ in range(operations):
        client = min(range(clients), key=lambda c: free[c])
        call = free[client] + rng.randrange(1, 3)
        free[client] = call + rng.randrange(1, 10)
        spans.append((call, free[client], rng.uniform(call, free[client]), f"k{rng.randrange(keys)}"))
    state: dict[str, object] = {}
    found: dict[int, Operation] = {}
    for number, i in enumerate(sorted(range(operations), key=lambda i: spans[i][2])):
        call, end, _, key = spans[i]
        f, given, output, after = _take(rng, model, state.get(key), f"v{number}")
        lost = rng.random() < pending
        if not lost or rng.random() < 0.5:
            state[key] = after
        if lost:
            found[i] = Operation(i, i, f, key, given, None, "info", call, None)
        else:
            found[i] = Operation(i, i, f, key, given, output, "ok", call, end)
    return [found[i] for i in range(operations)]


def _take(rng, model, state, value):
    """(f, input, output, state after)."""
    if model == "append":
        content = state or ()
        if rng.random() < 0.5:
            return "append", value, None, (*content, value)
        return "read", None, content, content
    chance = rng.random()
    if chance < 0.45:
        return "get", None, state, state
    if chance < 0.8:
        return "put", value, None, value
    if chance < 0.95:
        expected = state if state is not None and rng.random() < 0.6 else "v0"
        swapped = state is not None and state == expected
        return "cas", (expected, value), (swapped, state), value if swapped else state
    return "delete", None, None, None
