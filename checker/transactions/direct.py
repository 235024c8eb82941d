"""Anomalies that a read shows by itself, without a cycle: Adya's G1a and G1b, and what only lists can show.

Each is sound whatever else is unknown: an element that several transactions appended accuses nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

from checker.counterexample.words import quote
from checker.transactions.anomalies import Anomaly
from checker.transactions.observations import NOBODY, Key, MicroOp, Observations, common_prefix, first_repeat


def direct(seen: Observations) -> Iterator[Anomaly]:
    """All of them; there may be as many as reads."""
    for key in seen.keys.values():
        yield from _duplicates(seen, key)
        yield from _incompatible(seen, key)
        yield from _dirty_updates(seen, key)
    for node, micro in enumerate(seen.micro):
        if seen.committed[node] and len(micro) > len({step[1] for step in micro}):
            if seen.operations[node].type == "ok":
                yield from _internal(seen, node, micro)
                yield from _future_reads(seen, node, micro)
            yield from _own_order(seen, node, micro)
    for node, name, value in seen.reads():
        key = seen.keys[name]
        if value and (len(value) > key.suspect or key.conflicts or value[-1] in key.intermediate):
            yield from _unfounded(seen, node, key, value)
    yield from _lost_updates(seen)


def _found(
    seen: Observations,
    type_: str,
    nodes: Sequence[int],
    key: Key,
    elements: Sequence[Hashable],
    sentence: str,
) -> Anomaly:
    indexes = tuple(seen.operations[node].index for node in nodes)
    return Anomaly(type_, indexes, (sentence,), key=key.name, elements=tuple(elements))


def _duplicates(seen: Observations, key: Key) -> Iterator[Anomaly]:
    lists = [(key.longest_reader, key.longest)] if key.repeated else []
    for node, value in [*lists, *key.conflicts]:
        if first_repeat(value) == len(value):
            continue
        for element, times in Counter(value).items():
            if times > 1 and key.writers.get(element) != NOBODY:
                sentence = (
                    f"T1 read {quote(key.name)} as {quote(value)}, which has {quote(element)} {times} times, "
                    "though it was appended at most once"
                )
                yield _found(seen, "duplicate-elements", (node,), key, (element,), sentence)
                break


def _incompatible(seen: Observations, key: Key) -> Iterator[Anomaly]:
    for node, value in key.conflicts[:1]:
        at = common_prefix(value, key.longest)
        sentence = (
            f"T1 read {quote(key.name)} with {quote(value[at])} as element {at + 1}, T2 with "
            f"{quote(key.longest[at])}: a list that only grows is never both"
        )
        elements = (value[at], key.longest[at])
        yield _found(seen, "incompatible-order", (node, key.longest_reader), key, elements, sentence)


def _dirty_updates(seen: Observations, key: Key) -> Iterator[Anomaly]:
    aborted: Hashable = None
    dirty = False
    for element in key.order():
        writer = key.writers.get(element)
        if writer is None:
            aborted, dirty = (element, True) if element in key.failed else (aborted, dirty)
        elif dirty and writer != NOBODY and seen.operations[writer].type == "ok":
            sentence = (
                f"T1 appended {quote(element)} to {quote(key.name)} after {quote(aborted)}, which T2 "
                "appended, and T2 was aborted (T3 read both)"
            )
            nodes = (writer, key.failed[aborted], key.longest_reader)
            yield _found(seen, "dirty-update", nodes, key, (element, aborted), sentence)
            dirty = False


def _internal(seen: Observations, node: int, micro: Sequence[MicroOp]) -> Iterator[Anomaly]:
    """What it read itself, or appended, must be what it reads next (axiom INT)."""
    known: dict[Hashable, tuple[Hashable, ...]] = {}
    own: dict[Hashable, list[Hashable]] = {}
    for f, name, value in micro:
        if f == "append":
            own.setdefault(name, []).append(value)
            continue
        read, mine = value or (), tuple(own.get(name, ()))
        if name in known:
            expected, right = known[name] + mine, read == known[name] + mine
        else:
            expected, right = mine, read[max(0, len(read) - len(mine)) :] == mine
        if not right:
            at_end = "" if name in known else " at the end"
            own_steps = f"where its own earlier steps leave {quote(expected)}{at_end}"
            sentence = f"T1 read {quote(name)} as {quote(read)}, {own_steps}"
            yield _found(seen, "internal", (node,), seen.keys[name], (), sentence)
            return
        known[name] = read
        own[name] = []


def _future_reads(seen: Observations, node: int, micro: Sequence[MicroOp]) -> Iterator[Anomaly]:
    """It read an element that it only appended later."""
    for i, (f, name, value) in enumerate(micro):
        if f != "append" or seen.keys[name].writer(value) != node:
            continue
        for g, other, read in micro[:i]:
            if g != "append" and other == name and read and value in read:
                sentence = f"T1 read {quote(value)} in {quote(name)} before it appended it"
                yield _found(seen, "future-read", (node,), seen.keys[name], (value,), sentence)
                return


def _own_order(seen: Observations, node: int, micro: Sequence[MicroOp]) -> Iterator[Anomaly]:
    """Its appends to one key are in the list in another order."""
    last: dict[Hashable, Hashable] = {}
    for f, name, value in micro:
        key = seen.keys[name]
        if f != "append" or key.writer(value) != node or value not in key.position:
            continue
        before = last.get(name)
        if name in last and key.position[value] < key.position[before]:
            sentence = (
                f"T1 appended {quote(before)} to {quote(name)} before {quote(value)}, but T2 read them "
                "the other way round"
            )
            yield _found(seen, "internal", (node, key.longest_reader), key, (before, value), sentence)
            return
        last[name] = value


def _unfounded(seen: Observations, node: int, key: Key, value: Sequence[Hashable]) -> Iterator[Anomaly]:
    """Reads of what nobody appended, of what was aborted, of what was not yet complete."""
    if len(value) > key.suspect or not (seen.agrees(key, tuple(value)) or value == key.longest):
        for element in value:
            if element in key.writers:
                continue
            what = f"T1 read {quote(element)} in {quote(key.name)}, which "
            aborted = key.failed.get(element)
            if aborted is None:
                yield _found(seen, "garbage-read", (node,), key, (element,), what + "nobody appended")
            else:
                yield _found(
                    seen, "G1a", (node, aborted), key, (element,), what + "T2 appended, and T2 was aborted"
                )
            break
    last = value[-1]
    writer = key.intermediate.get(last)
    if writer is not None and writer != node and key.writer(last) == writer:
        sentence = (
            f"T1 read {quote(key.name)} up to {quote(last)}, which T2 appended before it appended more to it"
        )
        yield _found(seen, "G1b", (node, writer), key, (last,), sentence)


def _lost_updates(seen: Observations) -> Iterator[Anomaly]:
    """Two that read the same list first and then both appended to it."""
    first: dict[tuple[Hashable, Hashable], int] = {}
    for node, op in enumerate(seen.operations):
        if op.type != "ok" or len(seen.micro[node]) < 2:
            continue
        begun: dict[Hashable, Hashable] = {}
        done: set[Hashable] = set()
        for f, name, value in seen.micro[node]:
            key = seen.keys[name]
            if f != "append":
                read = value or ()
                begun.setdefault(name, len(read) if seen.agrees(key, read) else read)
            elif name not in begun:
                begun[name] = None
            elif name not in done and begun[name] is not None:
                done.add(name)
                state = (name, begun[name])
                other = first.setdefault(state, node)
                if other != node:
                    sentence = f"T1 and T2 both read {quote(name)} in the same state and then appended to it"
                    yield _found(seen, "lost-update", (node, other), key, (), sentence)
