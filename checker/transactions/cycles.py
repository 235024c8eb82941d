"""Cycles of the dependency graph, found by what edges they may use and named by what edges they have.

Adya's names as Elle uses them: G0 (ww only), G1c (ww and wr), G-single (one rw), G-nonadjacent (several rw,
no two in a row), G2-item (several rw); with process edges `-process`, with real-time edges `-realtime`. Every
component is searched for each name, the worst first, unless a cycle found there implies it. Whether there is
one is decided exactly, by components of the restricted graph (for G-single: by which rw edges can be gone
back from), as long as the work allowed lasts. The cycle shown is the shortest of those tried, which is all of
them in small components.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from checker.transactions.components import Successors, components, tarjan
from checker.transactions.graph import KIND_BITS, KIND_MASK, PROCESS, REALTIME, RW, VIA, WR, WW, Graph
from checker.transactions.levels import implied

Path = list[tuple[int, int]]
"""A cycle as (node, kind of the edge that leaves it)."""

_BASE = 1 << WW | 1 << WR
_VARIANTS = (("", 0), ("-process", 1 << PROCESS), ("-realtime", 1 << REALTIME))
_STARTS = 64
"""Edges or nodes of a component from which a shortest cycle is looked for."""
_BLOCK = 2_048
"""rw edges looked at in one pass."""
_TOGETHER = 1 << VIA
"""In a mask: rw edges may follow each other."""
_WORK = 20_000_000
"""Edges looked at in one history."""


def name_of(kinds: Sequence[int]) -> str:
    """What a cycle of these edges, in this order, is called."""
    rw = [kind == RW for kind in kinds]
    if sum(rw) == 1:
        name = "G-single"
    elif any(rw):
        adjacent = any(a and b for a, b in zip(rw, rw[1:] + rw[:1]))
        name = "G2-item" if adjacent else "G-nonadjacent"
    else:
        name = "G1c" if WR in kinds else "G0"
    return name + ("-realtime" if REALTIME in kinds else "-process" if PROCESS in kinds else "")


class Found:
    """Cycles by name, a few of each, and how many components have one."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.cycles: dict[str, list[Path]] = {}
        self.components: dict[str, int] = {}
        self.left = 0
        """Components that were not looked into, for want of work allowed."""

    def add(self, name: str, cycle: Path) -> None:
        self.components[name] = self.components.get(name, 0) + 1
        kept = self.cycles.setdefault(name, [])
        if len(kept) < self.most:
            kept.append(cycle)


def find(graph: Graph, nodes: Iterable[int], most: int = 5) -> Found:
    """Cycles through `nodes`, outside of which there are none; `most` of a name."""
    found, work = Found(most), [_WORK]
    out = graph.out
    for component in components(nodes, lambda node: [edge >> KIND_BITS for edge in out[node]]):
        if work[0] <= 0:
            found.left += 1
            continue
        _Component(graph, component, work).search(found)
    return found


class _Component:
    """One strongly connected component of the graph of all edges."""

    def __init__(self, graph: Graph, nodes: list[int], work: list[int]) -> None:
        inside = set(nodes)
        self._nodes = nodes
        self._real = graph.real
        self._work = work
        self._out = {
            node: sorted(
                {edge for edge in graph.out[node] if edge >> KIND_BITS in inside},
                key=lambda edge: (edge & KIND_MASK, edge),
            )
            for node in nodes
        }

    def search(self, found: Found) -> None:
        names: set[str] = set()
        for suffix, more in _VARIANTS:
            mask = _BASE | more
            for name, look in (
                ("G0", self._plain), ("G1c", self._plain), ("G-single", self._single),
                ("G-nonadjacent", self._nonadjacent), ("G2-item", self._any),
            ):  # fmt: skip
                if name + suffix in names:
                    continue
                cycle = look(mask & ~(1 << WR) if name == "G0" else mask)
                if cycle is None:
                    continue
                called = name_of([kind for _, kind in cycle])
                if called not in names:
                    found.add(called, cycle)
                    names |= implied((called,))

    def _plain(self, mask: int) -> Path | None:
        """A shortest cycle of edges in `mask`, in the smallest part that has one."""
        for part in components(self._nodes, self._follow(mask)):
            starts = [node for node in part if node < self._real][:_STARTS]
            return self._shortest([(node, None, node) for node in starts], mask, apart=False)
        return None

    def _single(self, mask: int) -> Path | None:
        """Through one rw edge, back by edges in `mask`."""
        everything = mask | 1 << RW
        edges = self._rw_edges(components(self._nodes, self._follow(everything)))
        for i in range(0, len(edges), _BLOCK):
            if self._work[0] <= 0:
                return None
            closed = self._closed(edges[i : i + _BLOCK], mask)
            if closed:
                return self._shortest([(v, RW, u) for u, v in closed[:_STARTS]], mask, apart=False)
        return None

    def _any(self, mask: int) -> Path | None:
        """Through an rw edge, back by any."""
        everything = mask | 1 << RW
        edges = self._rw_edges(components(self._nodes, self._follow(everything)))
        return self._shortest([(v, RW, u) for u, v in edges[:_STARTS]], everything, apart=False)

    def _nonadjacent(self, mask: int) -> Path | None:
        """Through an rw edge, back by any, but never by two rw edges in a row."""
        everything = mask | 1 << RW
        states = [state for node in self._nodes for state in (node << 1, node << 1 | 1)]
        where: dict[int, int] = {}
        for number, part in enumerate(components(states, self._follow_apart(everything))):
            where.update((state, number) for state in part)
        edges = [
            (u, edge >> KIND_BITS)
            for u in self._nodes
            for edge in self._out[u]
            if edge & KIND_MASK == RW and where.get(u << 1, -1) == where.get(edge >> KIND_BITS << 1 | 1, -2)
        ]
        cycle = self._shortest([(v, RW, u) for u, v in edges[:_STARTS]], everything, apart=True)
        return None if cycle is None else _simple(cycle)

    def _follow(self, mask: int) -> Successors:
        allowed, out = mask | 1 << VIA, self._out
        return lambda node: [e >> KIND_BITS for e in out[node] if allowed >> (e & KIND_MASK) & 1]

    def _follow_apart(self, mask: int) -> Successors:
        out = self._out
        return lambda state: [
            after for edge in out[state >> 1] if (after := _after(state & 1, edge, mask)) is not None
        ]

    def _rw_edges(self, parts: list[list[int]]) -> list[tuple[int, int]]:
        """The rw edges within a part, those of small parts first."""
        found = []
        for part in parts:
            inside = set(part)
            for u in part:
                for edge in self._out[u]:
                    if edge & KIND_MASK == RW and edge >> KIND_BITS in inside:
                        found.append((u, edge >> KIND_BITS))
        return found

    def _closed(self, edges: list[tuple[int, int]], mask: int) -> list[tuple[int, int]]:
        """Those of `edges` from whose end a path of edges in `mask` leads back to their beginning."""
        follow = self._follow(mask)
        goal: dict[int, int] = {}
        for i, (u, _) in enumerate(edges):
            goal[u] = goal.get(u, 0) | 1 << i
        reached: dict[int, int] = {}
        for part in tarjan(self._nodes, follow):
            bits = 0
            for node in part:
                bits |= goal.get(node, 0)
                for target in follow(node):
                    bits |= reached.get(target, 0)
                    self._work[0] -= 1
            for node in part:
                reached[node] = bits
        return [(u, v) for i, (u, v) in enumerate(edges) if reached[v] >> i & 1]

    def _shortest(
        self, starts: Iterable[tuple[int, int | None, int]], mask: int, *, apart: bool
    ) -> Path | None:
        """The shortest cycle of all starts: (node to begin at, kind of the edge that led there, end)."""
        best: Path | None = None
        for begin, kind, end in starts:
            cycle = self._path(begin, kind, end, mask, apart)
            if cycle is not None and (best is None or len(cycle) < len(best)):
                best = cycle
            if best is not None and (len(best) == 2 or self._work[0] <= 0):
                break
        return best

    def _path(self, begin: int, kind: int | None, end: int, mask: int, apart: bool) -> Path | None:
        """Breadth first; edges out of helpers cost nothing. Apart: no rw edge next to another."""
        rule = mask if apart else mask | _TOGETHER
        start, goal = begin << 1 | (apart and kind == RW), end << 1
        came: dict[int, tuple[int, int]] = {}
        level = [start]
        while level:
            following: list[int] = []
            for state in level:  # grows while it is gone through
                edges = self._out[state >> 1]
                self._work[0] -= len(edges)
                for edge in edges:
                    after = _after(state & 1, edge, rule)
                    if after is None or after in came or (after == start and after != goal):
                        continue
                    came[after] = (state, edge & KIND_MASK)
                    if after == goal:
                        return self._collapse(came, start, goal, kind)
                    (level if state >> 1 >= self._real else following).append(after)
            level = following
        return None

    def _collapse(self, came: dict[int, tuple[int, int]], start: int, goal: int, kind: int | None) -> Path:
        """The cycle without helpers: an edge into one, and all up to the next transaction, is one edge."""
        backwards: list[tuple[int, int]] = []
        state = goal
        while True:
            state, edge = came[state]
            if state >> 1 < self._real:
                backwards.append((state >> 1, edge))
            if state == start:
                break
        path = backwards[::-1]
        return path if kind is None else [(goal >> 1, kind), *path]


def _after(flag: int, edge: int, rule: int) -> int | None:
    """The state an edge leads to, None if it may not be taken. A state is a node and whether rw led there."""
    kind, target = edge & KIND_MASK, edge >> KIND_BITS
    if kind == VIA:
        return target << 1 | flag
    if not rule >> kind & 1:
        return None
    if kind != RW or rule & _TOGETHER:
        return target << 1
    return None if flag else target << 1 | 1


def _simple(cycle: Path) -> Path:
    """A cycle that visits nobody twice, out of one that may, without bringing two rw edges together.

    Where a node is visited twice the cycle is two, and in one of them rw does not meet rw there either.
    """
    while True:
        seen: dict[int, int] = {}
        for i, (node, _) in enumerate(cycle):
            if node in seen:
                inner, outer = cycle[seen[node] : i], cycle[: seen[node]] + cycle[i:]
                cycle = inner if not (inner[0][1] == RW and inner[-1][1] == RW) else outer
                break
            seen[node] = i
        else:
            return cycle
