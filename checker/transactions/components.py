"""Orders and strongly connected components of the dependency graph, without recursion.

A graph that can be sorted has no cycle; of one that cannot, only what the sort leaves over is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from checker.transactions.graph import KIND_BITS, Graph

Successors = Callable[[int], Sequence[int]]


def sort(graph: Graph, committed: bytearray, *, real_time: bool = True) -> tuple[list[int], list[int]]:
    """A serial order of the committed transactions as far as there is one, and the nodes left over.

    Without `real_time`, its edges are not asked for: moments are the last nodes, and left out.
    """
    out = graph.out
    limit = len(out) if real_time else graph.first_moment
    waiting = [0] * limit
    for edges in out[:limit]:
        for edge in edges:
            if edge >> KIND_BITS < limit:
                waiting[edge >> KIND_BITS] += 1
    ready = [node for node in range(limit) if not waiting[node]]
    done = 0
    while done < len(ready):
        for edge in out[ready[done]]:
            target = edge >> KIND_BITS
            if target < limit:
                waiting[target] -= 1
                if not waiting[target]:
                    ready.append(target)
        done += 1
    order = [node for node in ready if node < graph.real and committed[node]]
    return order, [node for node in range(limit) if waiting[node] > 0]


def components(nodes: Iterable[int], successors: Successors) -> list[list[int]]:
    """The strongly connected components of more than one node, smallest first."""
    found = [sorted(component) for component in tarjan(nodes, successors) if len(component) > 1]
    found.sort(key=lambda component: (len(component), component))
    return found


def tarjan(nodes: Iterable[int], successors: Successors) -> Iterator[list[int]]:
    """All strongly connected components, each after those it leads to (Tarjan 1972, its stack our own)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    open_nodes: set[int] = set()
    stack: list[int] = []
    for root in nodes:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        open_nodes.add(root)
        path = [(root, iter(successors(root)))]
        while path:
            node, rest = path[-1]
            for target in rest:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    open_nodes.add(target)
                    path.append((target, iter(successors(target))))
                    break
                if target in open_nodes and index[target] < low[node]:
                    low[node] = index[target]
            else:
                path.pop()
                if path and low[node] < low[path[-1][0]]:
                    low[path[-1][0]] = low[node]
                if low[node] == index[node]:
                    component = [stack.pop()]
                    while component[-1] != node:
                        component.append(stack.pop())
                    open_nodes.difference_update(component)
                    yield component
