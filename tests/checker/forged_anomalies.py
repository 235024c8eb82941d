"""What the auditor of transactions accepts of a history that a serial order explains: it must be nothing.

Certificates come from disk, so the auditor meets claims that no inference would make. Here all of them are
made: every direct anomaly, and every step; accepted steps must not close a cycle of any length.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from checker.history import Operation
from checker.transactions import audit
from checker.transactions.anomalies import Anomaly, Step


def believed(operations: list[Operation]) -> str | None:
    """What the auditor accepts although the operations are in order, or None."""
    auditor = audit.Auditor(operations)
    content = _content(operations)
    indexes = [op.index for op in operations]
    for type_, shapes in audit._SHAPES.items():
        for (count, size), (key, elements) in itertools.product(shapes, content.items()):
            for who in itertools.product(indexes, repeat=count):
                for what in itertools.product(elements, repeat=size):
                    lie = Anomaly(type_, who, ("?",), key=key, elements=what)
                    if auditor.objection(lie) is None:
                        return f"{lie}"
    after: dict[int, set[int]] = {index: set() for index in indexes}
    for one, other in itertools.permutations(operations, 2):
        for step in _steps(one.index, other.index, content, indexes):
            if auditor._committed(one) and auditor._committed(other) and auditor._follows(step, one, other):
                after[one.index].add(other.index)
    return "a cycle" if _cyclic(after) else None


def _content(operations: list[Operation]) -> dict[str, list[object]]:
    """Key -> its elements, those only read too, and one that nobody knows."""
    found: dict[str, dict[object, None]] = {}
    for op in operations:
        for f, key, value in op.output or op.input:
            elements = found.setdefault(key, {"nobody's": None})
            elements.update(dict.fromkeys((value,) if f == "append" else value or ()))
    return {key: list(elements) for key, elements in found.items()}


def _steps(source: int, target: int, content: dict[str, list[object]], indexes: list[int]) -> Iterator[Step]:
    yield Step(source, target, "realtime")
    yield Step(source, target, "process")
    for key, elements in content.items():
        for before in [None, *elements]:
            yield Step(source, target, "wr", key, before)
            for after in elements:
                yield Step(source, target, "rw", key, before, after)
                for evidence in indexes:
                    yield Step(source, target, "ww", key, before, after, evidence)


def _cyclic(after: dict[int, set[int]]) -> bool:
    left = dict(after)
    while left:
        free = [index for index in left if not any(index in targets for targets in left.values())]
        if not free:
            return True
        for index in free:
            del left[index]
    return False
