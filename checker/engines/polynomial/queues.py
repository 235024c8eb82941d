"""FIFO queue of unique values, with dequeues that found it empty: O(n log n).

A value v has an enqueue in [a, b] and a dequeue in [c, d]. As v goes in before it comes out, b may be
tightened to min(b, d). A value that nobody took has c and d later than everything.

Order. u must go before v iff b(u) < a(v) or d(u) < c(v). Take the values one by one: of those left, let u
have the least b and w the least d. u may be next unless d(w) < c(u); w may be next unless b(u) < a(w). If
neither may, each must go before the other: four operations that refute. Else the order gets complete, and
with the earliest moments that keep to it every operation is within its interval.

Emptiness. The queue certainly holds v throughout the open interval (b, c). A dequeue that found it empty
needs a moment t outside all of them; if there is none, those that cover it refute. If there is, values with b
< t (for them c <= t) can be in and out before t and all others after: none of the others, u, must go before
such a v, since b(u) < a(v) <= b(v) < t contradicts b(u) >= t, and d(u) < c(v) <= t contradicts d(u) >= b(u)
>= t. The order above has them first by itself: it takes w though u has the least b < t only if d(w) < c(u) <=
t.

Pending enqueues count iff their value came out: what stays in for ever only hides what is behind it. Pending
dequeues are first left out. A refutation that rests on values nobody took stands unless a pending dequeue
took one of them: each such choice is tried. Values enqueued more than once: each assignment is tried.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, permutations, product
from math import perm, prod
from typing import cast

from checker.engines.answers import Answer, Explained, Refuted, Undecided
from checker.history import Operation
from checker.models.base import Model
from checker.models.queues import Line

TRIES = 4096
WORK = 4_000_000
"""At most so many choices, and so many operations looked at in all of them."""
_EVER = 1 << 100
_NEVER = _EVER + 1


@dataclass(slots=True)
class _Queue:
    """One key's operations by what they are; those of a value by its number, `more_*` if it has several."""

    puts: list[Operation] = field(default_factory=list)
    takes: list[Operation | None] = field(default_factory=list)
    more_puts: dict[int, list[Operation]] = field(default_factory=dict)
    more_takes: dict[int, list[Operation]] = field(default_factory=dict)
    empties: list[Operation] = field(default_factory=list)
    pending: list[Operation] = field(default_factory=list)
    """Dequeues of which nobody knows what they took."""
    dropped: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Conflict:
    """What refutes a choice, and which of its values (positions) nobody took."""

    kind: str
    core: tuple[Operation, ...]
    untaken: tuple[int, ...] = ()


def decide(model: Model, operations: Sequence[Operation]) -> Answer:
    """Judge one key."""
    queue = _Queue()
    answer: Answer | None = _sort_out(model, operations, queue)
    if answer is not None:
        return answer
    choices = [
        (puts, _those(queue.more_takes, queue.takes, number)) for number, puts in queue.more_puts.items()
    ]
    ways = prod(perm(len(puts), len(takes)) for puts, takes in choices)
    tries = min(TRIES, 1 + WORK // max(1, len(operations)))
    if ways > tries:
        return Undecided(f"values are enqueued more than once: {ways} assignments, the limit is {tries}")
    for puts, takes in _assignments(queue, choices):
        answer, tries = _with_pending(queue, puts, takes, tries)
        if ways == 1 or not isinstance(answer, Refuted):
            return answer
    return Refuted("fifo", ())


def _sort_out(model: Model, operations: Sequence[Operation], queue: _Queue) -> Refuted | Undecided | None:
    functions = model.functions
    initial = cast(Line, model.initial).items()
    numbers: defaultdict[Hashable, int] = defaultdict(count().__next__)
    most = len(initial) + len(operations)
    puts: list[Operation | None] = [None] * most
    takes: list[Operation | None] = [None] * most
    for position, value in enumerate(initial):
        moment = position - _EVER
        first = Operation(-1, -1, "enqueue", "", value, None, "ok", moment, moment)
        _file(puts, queue.more_puts, numbers[value], first)
    for op in operations:
        name = functions[op.f]
        if name == "enqueue":
            number = numbers[op.input]
            if puts[number] is None:
                puts[number] = op
            else:
                _file(puts, queue.more_puts, number, op)
        elif name != "dequeue":
            if op.return_ns is not None:
                return Undecided(f"the queue was looked at by a {name}")
            queue.dropped.append(op.index)
        elif op.return_ns is None:
            queue.pending.append(op)
        elif op.output is None:
            queue.empties.append(op)
        else:
            number = numbers[op.output]
            if takes[number] is None:
                takes[number] = op
            else:
                _file(takes, queue.more_takes, number, op)
    for number, several in queue.more_takes.items():
        sources = _those(queue.more_puts, puts, number)
        if len(several) > len(sources):
            kind = "duplicate-dequeue" if sources else "unwritten"
            return Refuted(kind, _indexes(*sources, *several))
    del puts[len(numbers) :], takes[len(numbers) :]
    queue.puts, queue.takes = [op for op in puts if op is not None], takes
    if len(queue.puts) < len(puts):
        lone = takes[puts.index(None)]
        assert lone is not None
        return Refuted("unwritten", _indexes(lone))
    return None


def _file(
    first: list[Operation | None], more: dict[int, list[Operation]], number: int, op: Operation
) -> None:
    known = first[number]
    if known is None:
        first[number] = op
    else:
        more.setdefault(number, [known]).append(op)


def _those(
    more: dict[int, list[Operation]], first: Sequence[Operation | None], number: int
) -> list[Operation]:
    known = first[number]
    return more.get(number, [known] if known is not None else [])


def _indexes(*operations: Operation) -> tuple[int, ...]:
    return tuple(sorted({op.index for op in operations if op.index >= 0}))


def _assignments(
    queue: _Queue, choices: Sequence[tuple[list[Operation], list[Operation]]]
) -> Iterator[tuple[list[Operation], list[Operation | None]]]:
    """Enqueues and, in the same order, the dequeue of each: one pair of lists for each way to choose."""
    again = queue.more_puts
    puts = [op for number, op in enumerate(queue.puts) if number not in again] if again else queue.puts
    takes = [op for number, op in enumerate(queue.takes) if number not in again] if again else queue.takes
    for chosen in product(*(permutations(puts, len(takes)) for puts, takes in choices)):
        more_puts: list[Operation] = []
        more_takes: list[Operation | None] = []
        for (sources, outs), used in zip(choices, chosen, strict=True):
            rest = [op for op in sources if all(op is not other for other in used)]
            more_puts += [*used, *rest]
            more_takes += [*outs, *(None for _ in rest)]
        yield puts + more_puts, takes + more_takes


def _with_pending(
    queue: _Queue, puts: list[Operation], takes: list[Operation | None], tries: int
) -> tuple[Answer, int]:
    """Judge one assignment, and what is left of `tries`."""
    first: _Conflict | None = None
    todo: list[frozenset[tuple[int, int]]] = [frozenset()]
    seen = set(todo)
    while todo:
        if not tries:
            return Undecided("too many choices of what pending dequeues took"), 0
        tries -= 1
        taken = todo.pop()
        found = _attempt(queue, puts, takes, taken)
        if isinstance(found, Explained):
            return found, tries
        first = first or found
        used = {number for _, number in taken}
        for position in found.untaken:
            for number in range(len(queue.pending) - 1, -1, -1):
                more = taken | {(position, number)}
                if number not in used and more not in seen:
                    seen.add(more)
                    todo.append(more)
    assert first is not None
    alone = not (first.untaken and queue.pending)
    return Refuted(first.kind, _indexes(*first.core) if alone else ()), tries


def _attempt(
    queue: _Queue, puts: list[Operation], takes: list[Operation | None], taken: frozenset[tuple[int, int]]
) -> Explained | _Conflict:
    """Judge one choice: `taken` says which value (position) each pending dequeue (number) took."""
    if taken:
        takes = takes.copy()
        for position, number in taken:
            takes[position] = queue.pending[number]
    pairs = _Pairs(puts, takes)
    if pairs.conflict is not None:
        return pairs.conflict
    moments = pairs.empty_moments(queue.empties)
    if isinstance(moments, _Conflict):
        return moments
    values = pairs.in_order()
    if isinstance(values, _Conflict):
        return values
    used = {number for _, number in taken}
    dropped = (
        queue.dropped + pairs.dropped + [op.index for i, op in enumerate(queue.pending) if i not in used]
    )
    return Explained(pairs.interleaved(values, moments), dropped)


class _Pairs:
    """Values by position, each with its two intervals; -1 as the index of what is not in the history."""

    def __init__(self, puts: list[Operation], takes: list[Operation | None]) -> None:
        self._puts, self._takes = puts, takes
        self.dropped: list[int] = []
        self.conflict: _Conflict | None = None
        values: list[int] = []
        a, b, c, d = [0] * len(puts), [0] * len(puts), [0] * len(puts), [0] * len(puts)
        for v, put in enumerate(puts):
            take, begin, end = takes[v], put.call_ns, put.return_ns
            if take is None:
                if end is None:
                    self.dropped.append(put.index)
                    continue
                a[v], b[v], c[v], d[v] = begin, end, _NEVER, _NEVER
            else:
                called, returned = take.call_ns, take.return_ns
                if returned is None:
                    returned = _EVER
                elif returned < begin:
                    self.conflict = _Conflict("dequeued-early", (put, take))
                    return
                a[v], d[v] = begin, returned
                b[v] = returned if end is None or returned < end else end
                c[v] = called
            values.append(v)
        self._a, self._b, self._c, self._d = a, b, c, d
        self._by_b = sorted(values, key=b.__getitem__)

    def _conflict(self, kind: str, more: tuple[Operation, ...], *values: int) -> _Conflict:
        both = [op for v in values for op in (self._puts[v], self._takes[v]) if op is not None]
        return _Conflict(kind, (*more, *both), tuple(v for v in values if self._takes[v] is None))

    def empty_moments(self, empties: Sequence[Operation]) -> list[tuple[int, int]] | _Conflict:
        """For each dequeue that found nothing, the first moment for it, and its index; in that order."""
        if not empties:
            return []
        b, c = self._b, self._c
        begins: list[int] = []
        ends: list[int] = []
        end = -_NEVER
        for v in self._by_b:
            if b[v] < c[v]:
                if b[v] >= end:
                    begins.append(b[v])
                    ends.append(c[v])
                    end = c[v]
                elif c[v] > end:
                    ends[-1] = end = c[v]
        moments: list[tuple[int, int]] = []
        for op in empties:
            assert op.return_ns is not None
            moment = op.call_ns
            at = bisect_left(begins, moment) - 1
            if at >= 0 and moment < ends[at]:
                moment = ends[at]
            if moment > op.return_ns:
                return self._covered(op, op.return_ns)
            moments.append((moment, op.index))
        return sorted(moments)

    def _covered(self, empty: Operation, end: int) -> _Conflict:
        """The fewest values that keep the queue from being empty while `empty` ran."""
        b, c, by_b = self._b, self._c, self._by_b
        reached, chain, best, at = empty.call_ns, list[int](), -1, 0
        while reached <= end:
            while at < len(by_b) and b[by_b[at]] < reached:
                if best < 0 or c[by_b[at]] > c[best]:
                    best = by_b[at]
                at += 1
            assert best >= 0
            assert c[best] > reached, "nothing covers it"
            chain.append(best)
            reached = c[best]
        return self._conflict("empty-covered", (empty,), *chain)

    def in_order(self) -> list[int] | _Conflict:
        """Values in the order in which they go through the queue."""
        a, b, c, d, by_b = self._a, self._b, self._c, self._d, self._by_b
        by_d = sorted([v for v in by_b if c[v] < _NEVER], key=d.__getitem__)
        done, order, i = bytearray(len(a)), list[int](), 0
        for w in by_d:
            if done[w]:
                continue
            limit, u = d[w], by_b[i]
            while done[u] or c[u] <= limit:
                if not done[u]:
                    done[u] = 1
                    order.append(u)
                i += 1
                if u == w:
                    break
                u = by_b[i]
            else:
                if b[u] < a[w]:
                    return self._conflict("fifo", (), u, w)
                done[w] = 1
                order.append(w)
        order += [v for v in by_b[i:] if not done[v]]
        return order

    def interleaved(self, order: Sequence[int], empties: Sequence[tuple[int, int]]) -> list[int]:
        """Indexes of all operations, each at its earliest moment."""
        a, b, c = self._a, self._b, self._c
        put = [op.index for op in self._puts]
        take = [-1 if op is None else op.index for op in self._takes]
        out: list[int] = []
        moments: list[int] = []  # of the dequeues of `order`, those before `done` being in `out`
        after_put = after_take = -_NEVER
        done = nothing = 0
        until = empties[0][0] if empties else _NEVER
        for v in order:
            while b[v] >= until:
                out += [take[u] for u in order[done : len(moments)]]
                done = len(moments)
                out.append(empties[nothing][1])
                nothing += 1
                after_put = max(after_put, until)
                until = empties[nothing][0] if nothing < len(empties) else _NEVER
            if a[v] > after_put:
                after_put = a[v]
            while done < len(moments) and moments[done] < after_put:
                out.append(take[order[done]])
                done += 1
            if put[v] >= 0:
                out.append(put[v])
            if c[v] < _NEVER:
                if c[v] > after_take:
                    after_take = c[v]
                if after_put > after_take:
                    after_take = after_put
                moments.append(after_take)
        out += [take[u] for u in order[done : len(moments)]]
        out += [index for _, index in empties[nothing:]]
        return out
