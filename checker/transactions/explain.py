"""Cycles said step by step: which elements make each edge, as data and in sentences."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from checker.counterexample.words import gap, quote
from checker.history import Operation
from checker.transactions.anomalies import Anomaly, Step
from checker.transactions.cycles import Path, name_of
from checker.transactions.graph import NAMES, RW, WR, WW
from checker.transactions.observations import NOBODY, Key, Observations


def explain(seen: Observations, cycle: Path) -> Anomaly:
    """The cycle as an anomaly, from its earliest transaction on."""
    start = min(range(len(cycle)), key=lambda i: cycle[i][0])
    cycle = cycle[start:] + cycle[:start]
    steps = tuple(
        _step(seen, node, cycle[(i + 1) % len(cycle)][0], kind) for i, (node, kind) in enumerate(cycle)
    )
    names = {seen.operations[node].index: f"T{i + 1}" for i, (node, _) in enumerate(cycle)}
    by_index = {seen.operations[node].index: seen.operations[node] for node, _ in cycle}
    sentences = [_sentence(seen, step, names, by_index) for step in steps]
    sentences.append("so each of them must come before itself: no serial order explains them")
    return Anomaly(name_of([kind for _, kind in cycle]), tuple(names), tuple(sentences), steps)


def _step(seen: Observations, source: int, target: int, kind: int) -> Step:
    a, b = seen.operations[source].index, seen.operations[target].index
    if kind == WW:
        key, before, after = _ww(seen, source, target)
        evidence = seen.operations[key.longest_reader].index
        return Step(a, b, NAMES[kind], key.name, before, after, evidence)
    if kind == WR:
        for f, name, value in seen.micro[target]:
            if f != "append" and value and seen.keys[name].writer(value[-1]) == source:
                return Step(a, b, NAMES[kind], name, value[-1])
    if kind == RW:
        return _rw(seen, source, target)
    return Step(a, b, NAMES[kind])


def _ww(seen: Observations, source: int, target: int) -> tuple[Key, Hashable, Hashable]:
    for f, name, value in seen.micro[target]:
        if f != "append":
            continue
        key = seen.keys[name]
        if value in key.position and key.writer(value) != target:
            continue  # that one may be somebody else's
        order = key.order()
        i = key.position.get(value, len(order)) - 1
        while i >= 0 and key.writer(order[i]) == NOBODY:
            i -= 1
        if i >= 0 and key.writer(order[i]) == source:
            return key, order[i], value
    raise AssertionError("a ww edge without elements")


def _rw(seen: Observations, source: int, target: int) -> Step:
    a, b = seen.operations[source].index, seen.operations[target].index
    for f, name, value in seen.micro[source]:
        if f == "append":
            continue
        read = value or ()
        for g, other, element in seen.micro[target]:
            if g == "append" and other == name and element not in read:
                return Step(a, b, "rw", name, read[-1] if read else None, element)
    raise AssertionError("an rw edge without elements")


def _sentence(
    seen: Observations, step: Step, names: Mapping[int, str], by_index: Mapping[int, Operation]
) -> str:
    one, other = names[step.source], names[step.target]
    so = f", so {one} -{step.edge}-> {other}"
    key, before, after = quote(step.key), quote(step.before), quote(step.after)
    if step.edge == "ww":
        reader = names.get(-1 if step.evidence is None else step.evidence, f"operation {step.evidence}")
        there = step.after in seen.keys[step.key].longest
        proof = (
            f"{reader} read {before} and then {after}" if there else f"{reader} read {before}, not {after}"
        )
        return f"{other} appended {after} to {key} after {one} appended {before} ({proof}){so}"
    if step.edge == "wr":
        return f"{other} read {key} up to {before}, which {one} appended{so}"
    if step.edge == "rw":
        state = "as empty" if step.before is None else f"up to {before}"
        return f"{one} read {key} {state}, without {after}, which {other} appended{so}"
    first, second = by_index[step.source], by_index[step.target]
    if step.edge == "process":
        return f"process {first.process} did {one} before {other}{so}"
    return f"{one} ended {gap(first, second)} before {other} began{so}"
