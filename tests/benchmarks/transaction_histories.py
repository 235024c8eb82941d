"""Big histories of transactions: a strictly serializable database, or one with stale reads now and then."""

from __future__ import annotations

import random

from checker.history import History, Operation


def list_append(
    transactions: int, *, keys: int = 100, concurrency: int = 10, stale: float = 0.0, seed: int = 1
) -> History:
    """Of 1 to 4 appends and reads each. `stale`: the share of reads that miss the last element."""
    rng = random.Random(seed)
    lists: dict[int, tuple[int, ...]] = dict.fromkeys(range(keys), ())
    free = [0] * concurrency
    operations = []
    for index in range(transactions):
        process = min(range(concurrency), key=free.__getitem__)
        call = max(index, free[process] + 1)
        done: list[tuple[str, int, object]] = []
        for _ in range(rng.randint(1, 4)):
            key = rng.randrange(keys)
            if rng.random() < 0.5:
                lists[key] = (*lists[key], len(lists[key]) + 1)
                done.append(("append", key, len(lists[key])))
            else:
                missed = 1 if rng.random() < stale else 0
                done.append(("r", key, lists[key][: len(lists[key]) - missed]))
        free[process] = call + rng.randrange(1, 2 * concurrency)
        asked = tuple((f, key, value if f == "append" else None) for f, key, value in done)
        operations.append(Operation(index, process, "txn", "", asked, tuple(done), "ok", call, free[process]))
    return History("transactions", "list-append", None, tuple(operations), (), "")
