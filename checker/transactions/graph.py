"""The dependency graph: which committed transaction must come before which, and why.

Adya's edges: ww (its element comes before the other's in the order of a key), wr (the other read a list that
ends with its element), rw (it read a list in which the other's element is missing); then process and
real-time edges. Edges are the direct ones; what follows from two of them is not there again.

Real time is linear in the history however many transactions are open at once: every completion has a node,
each leads to the next, a transaction leads to its own, and the last one before its call leads to it. In the
same way readers of a key's last known state lead to all appends that nobody saw, where those are many. Such
helper nodes have only VIA edges out, which cost nothing: a path through helpers is one edge to a reader, of
the kind that led in.
"""

from __future__ import annotations

from bisect import bisect_left

from checker.transactions.observations import NOBODY, Key, Observations

WW, WR, RW, PROCESS, REALTIME, VIA = range(6)
KIND_BITS = 3
KIND_MASK = 7
NAMES = ("ww", "wr", "rw", "process", "realtime", "via")
_FEW = 64
"""Pairs of readers and unseen appends of one key that are still written out."""


class Graph:
    """`out[node]` has the edges as `target << KIND_BITS | kind`. Nodes from `real` on are helpers."""

    def __init__(self, seen: Observations) -> None:
        self.real = len(seen.operations)
        self.out: list[list[int]] = [[] for _ in range(self.real)]
        self._seen = seen
        self._unseen = self._unseen_appends()
        last_readers = self._reads()
        for key in seen.keys.values():
            self._writes(key)
            readers = last_readers.get(id(key))
            tail = self._unseen.get(id(key))
            if readers and tail:
                self._last_reads(readers, tail)
        self._process_order()
        self._real_time()

    def _link(self, source: int, target: int, kind: int) -> None:
        self.out[source].append(target << KIND_BITS | kind)

    def _helper(self) -> int:
        self.out.append([])
        return len(self.out) - 1

    def _unseen_appends(self) -> dict[int, list[int]]:
        """Of each key the committed writers of elements outside the agreed order: all come after it."""
        seen, found = self._seen, dict[int, list[int]]()
        for node, micro in enumerate(seen.micro):
            if not seen.committed[node]:
                continue
            for f, name, value in micro:
                if f == "append":
                    key = seen.keys[name]
                    if value not in key.position:
                        tail = found.setdefault(id(key), [])
                        if not tail or tail[-1] != node:
                            tail.append(node)
        return found

    def _reads(self) -> dict[int, list[int]]:
        """wr and rw edges; returns who read each key's last known state."""
        seen, last = self._seen, dict[int, list[int]]()
        following = {id(key): _next_writers(key) for key in seen.keys.values()}
        for node, name, value in seen.reads():
            key = seen.keys[name]
            if value:
                writer = key.writers.get(value[-1], NOBODY)
                if writer not in (NOBODY, node):
                    self._link(writer, node, WR)
            if not seen.agrees(key, value):
                continue
            after = following[id(key)][len(value)]
            if after == NOBODY:
                readers = last.setdefault(id(key), [])
                if not readers or readers[-1] != node:
                    readers.append(node)
            elif after != node:
                self._link(node, after, RW)
        return last

    def _writes(self, key: Key) -> None:
        before = NOBODY
        for element in key.order():
            writer = key.writers.get(element, NOBODY)
            if writer == NOBODY:
                continue
            if before not in (NOBODY, writer):
                self._link(before, writer, WW)
            before = writer
        if before != NOBODY:
            for writer in self._unseen.get(id(key), ()):
                if writer != before:
                    self._link(before, writer, WW)

    def _last_reads(self, readers: list[int], tail: list[int]) -> None:
        """rw edges from each reader to each writer in `tail` but itself."""
        if len(readers) * len(tail) <= _FEW + 4 * (len(readers) + len(tail)):
            for reader in readers:
                for writer in tail:
                    if writer != reader:
                        self._link(reader, writer, RW)
            return
        up = [self._helper() for _ in tail]
        down = [self._helper() for _ in tail]
        for i, writer in enumerate(tail):
            for chain, step in ((up, i + 1), (down, i - 1)):
                self._link(chain[i], writer, VIA)
                if 0 <= step < len(tail):
                    self._link(chain[i], chain[step], VIA)
        place = {writer: i for i, writer in enumerate(tail)}
        for reader in readers:
            at = place.get(reader)
            if at is None:
                self._link(reader, up[0], RW)
                continue
            if at + 1 < len(tail):
                self._link(reader, up[at + 1], RW)
            if at > 0:
                self._link(reader, down[at - 1], RW)

    def _process_order(self) -> None:
        seen, latest = self._seen, dict[int, int]()
        for node, op in enumerate(seen.operations):
            if not seen.committed[node]:
                continue
            previous = latest.get(op.process)
            if previous is not None:
                self._link(previous, node, PROCESS)
            if op.type == "ok":
                latest[op.process] = node

    def _real_time(self) -> None:
        seen = self._seen
        ended = sorted(
            (op.return_ns, node) for node, op in enumerate(seen.operations) if op.return_ns is not None
        )
        self.first_moment = len(self.out)
        moments = [self._helper() for _ in ended]
        for i, (_, node) in enumerate(ended):
            self._link(node, moments[i], REALTIME)
            if i:
                self._link(moments[i - 1], moments[i], VIA)
        returns = [when for when, _ in ended]
        for node, op in enumerate(seen.operations):
            if seen.committed[node]:
                last = bisect_left(returns, op.call_ns) - 1
                if last >= 0:
                    self._link(moments[last], node, VIA)


def _next_writers(key: Key) -> list[int]:
    """For each length of the list, who appended the next element that has a writer."""
    order = key.order()
    following = [NOBODY] * (len(order) + 1)
    for i in range(len(order) - 1, -1, -1):
        writer = key.writers.get(order[i], NOBODY)
        following[i] = writer if writer != NOBODY else following[i + 1]
    return following
