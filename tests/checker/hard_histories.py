"""Histories on which searches are known to be slow, of any size; see the names. Times are small integers."""

from __future__ import annotations

import random
from collections.abc import Iterator

from checker.history import Operation


def op(index, f, given, output, call, end, *, key="k") -> Operation:
    """Completed, or pending if it has no end."""
    return Operation(index, index, f, key, given, output, "info" if end is None else "ok", call, end)


def few_values(
    seed: int, *, operations: int, concurrency: int, values: int = 5, pending: float = 0.0, cas: float = 0.3
) -> list[Operation]:
    """A register under closed-loop clients that write few different values: reads do not tell who wrote."""
    rng = random.Random(seed)
    clients = [0] * concurrency
    spans = []
    for _ in range(operations):
        client = min(range(len(clients)), key=clients.__getitem__)
        call = clients[client] + rng.randrange(1, 4)
        end = call + rng.randrange(1, 20)
        lost = rng.random() < pending
        # A client whose operation is lost goes on as another one at once.
        clients[client] = call + rng.randrange(1, 20) if lost else end
        spans.append((call, end, rng.uniform(call, end), lost))
    order = sorted(range(operations), key=lambda i: spans[i][2])
    state = None
    found: dict[int, Operation] = {}
    for i in order:
        call, end, _, lost = spans[i]
        f, given, output, after = _register(rng, state, values, cas)
        if not lost or rng.random() < 0.5:
            state = after
        found[i] = op(i, f, given, None, call, None) if lost else op(i, f, given, output, call, end)
    return _by_call(list(found.values()))


def _register(rng, state, values, cas):
    chance = rng.random()
    if chance < 0.5:
        return "read", None, state, state
    value = f"v{rng.randrange(values)}"
    if chance < 0.5 + cas / 2:
        expected = state if state is not None and rng.random() < 0.5 else f"v{rng.randrange(values)}"
        swapped = state == expected
        return "cas", (expected, value), (swapped, state), value if swapped else state
    return "write", value, None, value


def with_stale_read(history: list[Operation], at: float, ghost: str | None = None) -> list[Operation]:
    """The same with a write and a later read put in about there, both alone but for operations that span
    them. The read returns `ghost`, or else a value that none of those could have written."""
    where = history[int(at * (len(history) - 1))].call_ns
    spanning = [o for o in history if o.call_ns <= where and (o.return_ns is None or o.return_ns > where)]
    written = {str(o.input[1] if o.f == "cas" else o.input) for o in spanning}
    ghost = ghost or next(f"v{i}" for i in range(1, 1_000) if f"v{i}" not in written)
    moved = []
    for o in history:
        call = o.call_ns + (100 if o.call_ns > where else 0)
        end = None if o.return_ns is None else o.return_ns + (100 if o.return_ns > where else 0)
        moved.append(op(o.index, o.f, o.input, o.output, call, end))
    moved.append(op(len(history), "write", "v0", None, where + 40, where + 41))
    moved.append(op(len(history) + 1, "read", None, ghost, where + 42, where + 43))
    return _by_call(moved)


def pending_writes(number: int, *, values: int | None, f: str = "write", steps: int = 40) -> list[Operation]:
    """`number` writes (of that many values, or all different and never read) or cas that never return, then
    operations one at a time, then a read of what nobody wrote, or what was overwritten."""
    rng = random.Random(number)
    found = []
    for i in range(number):
        value = f"p{i}" if values is None else f"v{i % values}"
        given = value if f == "write" else (f"v{rng.randrange(values or 5)}", value)
        found.append(op(i, f, given, None, i, None))
    at = number + 10
    for i in range(steps):
        value = f"w{i}" if values is None else f"v{rng.randrange(values)}"
        found.append(op(len(found), "write", value, None, at, at + 2))
        found.append(op(len(found), "read", None, value, at + 4, at + 6))
        at += 8
    found.append(op(len(found), "read", None, "w3" if values is None else "v9", at, at + 2))
    return found


def appends(seed: int, *, operations: int, concurrency: int, doubles: int, spoilt: bool) -> list[Operation]:
    """A list whose tokens are nearly unique: `doubles` of them are appended twice."""
    rng = random.Random(seed)
    clients = [0] * concurrency
    spans = []
    for _ in range(operations):
        client = min(range(len(clients)), key=clients.__getitem__)
        call = clients[client] + rng.randrange(1, 4)
        clients[client] = call + rng.randrange(1, 30)
        spans.append((call, clients[client], rng.uniform(call, clients[client])))
    content: tuple[str, ...] = ()
    found = []
    for number, i in enumerate(sorted(range(operations), key=lambda i: spans[i][2])):
        call, end, _ = spans[i]
        if rng.random() < 0.5:
            token = f"x{number}" if rng.randrange(operations) >= 2 * doubles else f"x{number // 8}"
            content = (*content, token)
            found.append(op(i, "append", token, None, call, end))
        else:
            seen = content
            if spoilt and number > operations * 0.7 and len(seen) > 2 and rng.random() < 0.05:
                seen = (*seen[:-2], seen[-1], seen[-2])
            found.append(op(i, "read", None, seen, call, end))
    return _by_call(found)


def short_logs(number: int, seed: int = 1) -> Iterator[list[Operation]]:
    """Like those of a store under a nemesis: 80 operations, 5 clients, 5 to 20 pending, 5 values."""
    rng = random.Random(seed)
    for i in range(number):
        history = few_values(
            rng.randrange(1 << 30), operations=80, concurrency=5, pending=rng.uniform(0.06, 0.25), cas=0.5
        )
        if i % 4:
            history = spoilt(history, rng)
        yield history


def spoilt(history: list[Operation], rng: random.Random) -> list[Operation]:
    """The same, a completed read or cas of which saw another value."""
    reads = [i for i, o in enumerate(history) if o.f == "read" and o.type == "ok"]
    at = rng.choice(reads)
    o = history[at]
    wrong = rng.choice([value for value in ("v0", "v1", "v2", "v3", "v4") if value != o.output])
    return [*history[:at], op(o.index, o.f, None, wrong, o.call_ns, o.return_ns), *history[at + 1 :]]


def _by_call(operations: list[Operation]) -> list[Operation]:
    return sorted(operations, key=lambda o: (o.call_ns, o.index))


def queue(seed: int, *, operations: int, concurrency: int) -> list[Operation]:
    """A FIFO queue, sometimes found empty."""
    rng = random.Random(seed)
    clients = [0] * concurrency
    spans = []
    for _ in range(operations):
        client = min(range(len(clients)), key=clients.__getitem__)
        call = clients[client] + rng.randrange(1, 4)
        clients[client] = call + rng.randrange(1, 20)
        spans.append((call, clients[client], rng.uniform(call, clients[client])))
    line: list[str] = []
    found = []
    for number, i in enumerate(sorted(range(operations), key=lambda i: spans[i][2])):
        call, end, _ = spans[i]
        if rng.random() < 0.5:
            line.append(f"x{number}")
            found.append(op(i, "enqueue", f"x{number}", None, call, end))
        else:
            found.append(op(i, "dequeue", None, line.pop(0) if line else None, call, end))
    return _by_call(found)
