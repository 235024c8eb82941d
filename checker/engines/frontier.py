"""The certificate of a refutation that is too long to be tried in every order: the points one has to pass.

For each completed operation, in order of return: the points (operations done beyond it, pending ones used,
state) where it has still to come, when all that returned before it is in. From these points no call leads to
one that is not listed, up to having watched less and having used more of what is pending; beyond the last
operation named nothing is listed. So there is no order, and who checks that (`checker.audit`) steps once from
each point instead of trying every way to it. Nothing of a model is used here but `step` and `is_observer`.

As JSON: `{"kind": "frontier", "levels": [{"r": index, "configs": [[[done], [used], state], …]}, …]}`, all of
them indexes of invocations; the state is as the model shows it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from json import dumps, loads

from checker.history import Operation
from checker.models.base import Model, State

Frontier = Mapping[tuple[int, str], Sequence[tuple[frozenset[int], frozenset[int]]]]
"""As `checker.audit` takes it."""
_Point = tuple[frozenset[int], frozenset[int], State]
MOST_POINTS = 20_000


def frontier(model: Model, operations: Sequence[Operation], most: int = MOST_POINTS) -> Frontier | None:
    """Of operations (one key, no `fail`) that no order explains; None if one does, or for too many points."""
    builder = _Builder(model, operations, most)
    points: list[_Point] = [(frozenset(), frozenset(), model.initial)]
    for last in builder.completed:
        passed = builder.level(last, points)
        if passed is None:
            return None
        points = passed
    return None if points else builder.listed


def to_json(certificate: Frontier) -> dict[str, object]:
    """As it is written."""
    levels: dict[int, list[object]] = {}
    for (r, state), points in certificate.items():
        shown = [[sorted(done), sorted(used), loads(state)] for done, used in points]
        levels.setdefault(r, []).extend(shown)
    return {"kind": "frontier", "levels": [{"r": r, "configs": found} for r, found in levels.items()]}


def from_json(value: object) -> Frontier | None:
    """As it is checked; None if it is no frontier."""
    found: dict[tuple[int, str], list[tuple[frozenset[int], frozenset[int]]]] = {}
    try:
        if not isinstance(value, dict) or value["kind"] != "frontier":
            return None
        for level in value["levels"]:
            for done, used, state in level["configs"]:
                point = frozenset(map(int, done)), frozenset(map(int, used))
                found.setdefault((int(level["r"]), dumps(state)), []).append(point)
    except (TypeError, KeyError, ValueError, OverflowError, RecursionError):
        return None
    return found


class _Builder:
    def __init__(self, model: Model, operations: Sequence[Operation], most: int) -> None:
        self._model = model
        self._most = most
        self.listed: dict[tuple[int, str], list[tuple[frozenset[int], frozenset[int]]]] = {}
        self._count = 0
        ordered = sorted(operations, key=lambda op: (not op.known, op.return_ns or 0, op.call_ns, op.index))
        self.completed = [op for op in ordered if op.known]
        self._left = ordered
        self._watching = frozenset(op.index for op in self.completed if model.is_observer(model.call(op)))

    def level(self, last: Operation, points: list[_Point]) -> list[_Point] | None:
        """List the points where `last` has still to come; those where it is in; None for too many."""
        now = [op for op in self._left if op.call_ns <= (last.return_ns or 0)]
        self._left.remove(last)
        passed: list[_Point] = []
        by_used: list[list[_Point]] = [[]]
        for point in points:
            self._add(by_used, point)
        for waiting in by_used:  # grows, and so does `waiting`
            for done, used, state in waiting:
                if last.index in done:
                    passed.append((done - {last.index}, used, state))
                    continue
                done = done | self._watched(now, done, state)
                if not self._is_new(last, (done, used, state)):
                    continue
                self._count += 1
                if self._count > self._most:
                    return None
                if last.index in done:
                    passed.append((done - {last.index}, used, state))
                    continue
                for after in self._steps(now, done, used, state):
                    self._add(by_used, after)
        return passed

    @staticmethod
    def _add(by_used: list[list[_Point]], point: _Point) -> None:
        while len(by_used) <= len(point[1]):
            by_used.append([])
        by_used[len(point[1])].append(point)

    def _watched(self, now: Sequence[Operation], done: frozenset[int], state: State) -> frozenset[int]:
        """Observers that are legal now."""
        watching, step = self._watching, self._model.step
        return frozenset(
            op.index for op in now if op.index in watching and op.index not in done and step(state, op)[0]
        )

    def _is_new(self, last: Operation, point: _Point) -> bool:
        """Whether no listed point will do in its place. It is listed then."""
        done, used, state = point
        key = last.index, dumps(self._model.show(state))
        rivals = self.listed.setdefault(key, [])
        for other, others_used in rivals:
            if done <= other and other - done <= self._watching and others_used <= used:
                return False
        rivals.append((done, used))
        return True

    def _steps(
        self, now: Sequence[Operation], done: frozenset[int], used: frozenset[int], state: State
    ) -> list[_Point]:
        found: list[_Point] = []
        tried: set[tuple[Hashable, ...]] = set()
        for op in now:  # of equal ones, the first to return or the first called is met first
            kind = (op.f, op.input, op.output, op.known)
            if op.index in done or op.index in used or kind in tried:
                continue
            tried.add(kind)
            legal, after = self._model.step(state, op)
            if legal and op.known:
                found.append((done | {op.index}, used, after))
            elif legal and after != state:
                found.append((done, used | {op.index}, after))
        return found
