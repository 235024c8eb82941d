"""The truth on small histories of transactions: every order of every subset of the unknown ones is tried.

It shares nothing with the judge but the operations. Besides, a database that misbehaves on purpose, and the
random histories it leaves.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace

from checker import transactions
from checker.engines.answers import Budget
from checker.history import History, Operation
from checker.models import model_named


def txn(index, micro, call, end, *, process=None, type_=None):
    """An operation of micro-operations with results."""
    kind = type_ or ("info" if end is None else "ok")
    asked = tuple(step if step[0] == "append" else ("r", step[1], None) for step in micro)
    done = tuple(micro) if kind == "ok" else None
    who = index if process is None else process
    return Operation(index, who, "txn", "", asked, done, kind, call, end if kind == "ok" else None)


def serial(operations: Sequence[Operation], order: str) -> bool:
    """Whether a serial order explains all: order is "real time", "session" (each process') or "any"."""
    done = [op for op in operations if op.type == "ok"]
    pending = [op for op in operations if op.type == "info"]
    for size in range(len(pending) + 1):
        for chosen in itertools.combinations(pending, size):
            if _some_order({}, [*done, *chosen], order):
                return True
    return False


def _some_order(lists, left, order):
    if not left:
        return True
    for op in left:
        rest = [other for other in left if other is not op]
        if any(_must_precede(other, op, order) for other in rest):
            continue
        after = _apply(lists, op)
        if after is not None and _some_order(after, rest, order):
            return True
    return False


def _must_precede(first, then, order):
    if order == "any" or first.type != "ok":
        return False
    if order == "session":
        return first.process == then.process and first.index < then.index
    return first.return_ns < then.call_ns


def _apply(lists, op):
    lists = dict(lists)
    for f, key, value in op.output if op.type == "ok" else op.input:
        if f == "append":
            lists[key] = (*lists.get(key, ()), value)
        elif op.type == "ok" and (value or ()) != lists.get(key, ()):
            return None
    return lists


def random_transactions(rng: random.Random, *, most: int = 6, keys: int = 2, steps: int = 3, repeats=False):
    """Histories of a database that is correct, or forgets, delays, or mixes up now and then."""
    count = rng.randint(1, most)
    processes = rng.randint(1, 4)
    fault = rng.choice((0.0, 0.0, 0.1, 0.3))
    clock, free, spans = 0, [0] * processes, []
    for _ in range(count):
        process = rng.randrange(processes)
        clock = max(clock + rng.randrange(3), free[process])
        end = clock + rng.choice((0, 1, 3, 6))
        free[process] = end + 1
        spans.append((clock, end, process))
    spans.sort()
    number = itertools.count(1)
    asked = []
    for _ in range(count):
        micro = []
        for _ in range(rng.randint(1, steps)):
            key = rng.randrange(keys)
            element = rng.randrange(3) if repeats else next(number)
            micro.append(("append", key, element) if rng.random() < 0.5 else ("r", key, None))
        asked.append(tuple(micro))
    types = [rng.choices(("ok", "info", "fail"), (8, 2, 1))[0] for _ in range(count)]
    happened = [t == "ok" or (t == "info" and rng.random() < 0.5) for t in types]
    moments = sorted(range(count), key=lambda i: rng.uniform(spans[i][0], spans[i][1]))
    if rng.random() < 0.15:
        rng.shuffle(moments)
    results = _run(rng, asked, happened, moments, fault)
    if rng.random() < 0.3:
        _spoil(rng, results)
    retired: dict[int, int] = {}
    operations = []
    for i, (call, end, process) in enumerate(spans):
        who = process + 10 * retired.get(process, 0)
        if types[i] == "info":
            retired[process] = retired.get(process, 0) + 1
        done = tuple(results[i]) if types[i] == "ok" else None
        finish = end if types[i] == "ok" else None
        ended = Operation(i, who, "txn", "", asked[i], done, types[i], call, finish)
        operations.append(ended if finish is not None else replace(ended, gave_up_ns=end))
    return operations


def _run(rng, asked, happened, moments, fault):
    """Steps of several transactions may mix, reads may be stale, appends of aborted ones may stay."""
    lists: dict[int, list[tuple[int, ...]]] = {}
    results = [[] for _ in asked]
    turns = [i for i in moments for _ in asked[i]]
    if rng.random() < fault:
        turns.sort(key=lambda i: moments.index(i) + rng.random() * 2)
    steps = [iter(micro) for micro in asked]
    for i in turns:
        f, key, value = next(steps[i])
        versions = lists.setdefault(key, [()])
        if f == "append":
            if happened[i] or rng.random() < fault:
                base = versions[-1] if rng.random() >= fault else rng.choice(versions)
                if rng.random() < fault / 2 and base:
                    base = base[:-1]
                versions.append((*base, value))
            results[i].append((f, key, value))
        else:
            read = versions[-1] if rng.random() >= fault else rng.choice(versions)
            results[i].append((f, key, read))
    return results


def _spoil(rng, results):
    """One read is changed: an element less, two swapped, one more (of another transaction's, or twice)."""
    reads = [(i, j) for i, micro in enumerate(results) for j, step in enumerate(micro) if step[0] == "r"]
    if not reads:
        return
    i, j = rng.choice(reads)
    _, key, value = results[i][j]
    elements, change = list(value), rng.randrange(4)
    if change == 0 and elements:
        elements.pop(rng.randrange(len(elements)))
    elif change == 1:
        rng.shuffle(elements)
    elif change == 2:
        appended = [step[2] for micro in results for step in micro if step[:2] == ("append", key)]
        elements += rng.sample(appended, min(1, len(appended)))
    else:
        elements = elements[: rng.randrange(len(elements) + 1)]
    results[i][j] = ("r", key, tuple(elements))


def judge(operations, seconds=5.0):
    """What the judge finds."""
    history = History("", "list-append", None, tuple(operations), (), "")
    return transactions.judge(history, model_named("list-append"), Budget(seconds))


def wrong(operations, *, complete=True):
    """What of the judgement brute force does not agree with, or None.

    Complete: weaker models that do not hold are ruled out, too.
    """
    found = judge(operations)
    strict = serial(operations, "real time")
    if found.line.verdict != ("valid" if strict else "invalid"):
        return f"{found.line.verdict} where a serial order {'exists' if strict else 'does not exist'}"
    if strict or "not" not in found.line.details:
        return None
    details = found.line.details
    gone = {*details["not"], *details["also_not"]}
    for model, order in (("serializable", "any"), ("strong-session-serializable", "session")):
        holds = serial(operations, order)
        if (model in gone and holds) or (complete and model not in gone and not holds):
            return f"{model} ruled out: {model in gone}"
    return None
