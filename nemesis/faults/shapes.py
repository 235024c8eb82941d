"""Shapes of partitions, made from f rather than from n/2, and what they cost.

A majority that leaves PBFT no quorum is no majority: the interesting borders are 2f+1 and f+1. Every
function is pure. ``cover`` says how many replicas a set of blocked links makes bad: the fewest that, taken
away, leave all others fully connected.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence

from nemesis.machinery import Link

CLIENTS = "clients"
Links = frozenset[Link]
Draw = Callable[[random.Random, int, int, bool], Links]


def host(replica: int) -> str:
    """Name of a replica's host."""
    return f"r{replica}"


def quorum(n: int, f: int) -> int:
    """ceil((n+f+1)/2)."""
    return (n + f) // 2 + 1


def both_ways(some: Iterable[int], others: Iterable[int]) -> Links:
    """Every link between two groups, in both directions."""
    right = tuple(others)
    pairs = [(host(a), host(b)) for a in some for b in right if a != b]
    return frozenset(Link(a, b) for a, b in pairs) | frozenset(Link(b, a) for a, b in pairs)


def from_clients(replicas: Iterable[int]) -> Links:
    """What clients say to these."""
    return frozenset(Link(CLIENTS, host(replica)) for replica in replicas)


def to_clients(replicas: Iterable[int]) -> Links:
    """What these say to clients."""
    return frozenset(Link(host(replica), CLIENTS) for replica in replicas)


def isolate(replicas: Sequence[int], n: int, cut_clients: bool) -> Links:
    """This group apart from all other replicas, and from the clients if asked."""
    links = both_ways(replicas, set(range(n)) - set(replicas))
    return links | from_clients(replicas) | to_clients(replicas) if cut_clients else links


def next_primaries(primary: int, n: int, f: int) -> tuple[int, ...]:
    """The f replicas whose turn comes after the primary's."""
    return tuple((primary + step) % n for step in range(1, f + 1))


def majority(stream: random.Random, n: int, f: int, cut_clients: bool) -> Links:
    """n-f against f: the larger side has a quorum and goes on."""
    return isolate(sorted(stream.sample(range(n), f)), n, cut_clients)


def split(stream: random.Random, n: int, f: int, cut_clients: bool) -> Links:
    """f+1 against the rest: neither side has a quorum, nothing may be executed."""
    return isolate(sorted(stream.sample(range(n), f + 1)), n, cut_clients)


def bridge(stream: random.Random, n: int, f: int, cut_clients: bool) -> Links:
    """f on one bank, the rest on the other, one bridge that sees both."""
    order = stream.sample(range(n), n)
    bank, other = order[:f], order[f + 1 :]
    links = both_ways(sorted(bank), sorted(other))
    return links | from_clients(bank) | to_clients(bank) if cut_clients else links


def quorum_ring(stream: random.Random, n: int, f: int, cut_clients: bool) -> Links:
    """Everyone sees just a quorum, and everyone another one. (Of replicas; clients stay.)"""
    order = stream.sample(range(n), n)
    reach = quorum(n, f) // 2
    far = [(order[i], order[j]) for i in range(n) for j in range(i + 1, n) if min(j - i, n - (j - i)) > reach]
    return frozenset().union(*(both_ways([a], [b]) for a, b in far))


def one_way(stream: random.Random, n: int, f: int, cut_clients: bool) -> Links:
    """Between up to f victims and each other replica one direction is lost, drawn link by link."""
    victims = sorted(stream.sample(range(n), stream.randint(1, f)))
    links = set()
    for victim in victims:
        others = [host(other) for other in range(n) if other not in victims]
        for other in [*others, CLIENTS] if cut_clients else others:
            pair = (host(victim), other)
            links.add(Link(*pair) if stream.random() < 0.5 else Link(*pair[::-1]))
    return frozenset(links)


def deaf(stream: random.Random, n: int, f: int, cut_clients: bool) -> Links:
    """Up to f victims speak but hear nobody."""
    victims = stream.sample(range(n), stream.randint(1, f))
    links = frozenset(Link(host(a), host(v)) for v in victims for a in range(n) if a != v)
    return links | from_clients(victims) if cut_clients else links


def mute(stream: random.Random, n: int, f: int, cut_clients: bool) -> Links:
    """Up to f victims hear but cannot speak."""
    victims = stream.sample(range(n), stream.randint(1, f))
    links = frozenset(Link(host(v), host(b)) for v in victims for b in range(n) if b != v)
    return links | to_clients(victims) if cut_clients else links


PLANNED: dict[str, Draw] = {
    "majority": majority,
    "split": split,
    "bridge": bridge,
    "quorum-ring": quorum_ring,
    "one-way": one_way,
    "deaf": deaf,
    "mute": mute,
}
"""Drawn link by link when the run is planned."""
AIMED = ("isolate-primary", "next-primaries")
"""Aimed at the primary of the moment they start."""
SHAPES = (*PLANNED, *AIMED)


def cover(links: Iterable[Link]) -> frozenset[int]:
    """The fewest replicas that touch every blocked pair of replicas, and all that lost the clients.

    The same answer every time; where several sets are the fewest, the one of lower numbers tends to win.
    """
    lost, pairs = set(), set()
    for link in links:
        ends = [int(end[1:]) for end in link if end != CLIENTS]
        if len(ends) == 1:
            lost.add(ends[0])
        else:
            pairs.add(frozenset(ends))
    rest = frozenset(pair for pair in pairs if not pair & lost)
    for size in range(len(_touched(rest)) + 1):
        found = _cover(rest, size)
        if found is not None:
            return frozenset(lost) | found
    raise AssertionError("all replicas together cover everything")


def _touched(pairs: Iterable[frozenset[int]]) -> frozenset[int]:
    return frozenset().union(*pairs)


def _cover(pairs: frozenset[frozenset[int]], size: int) -> frozenset[int] | None:
    """A vertex cover of at most ``size``: the busiest vertex is in it, or all its neighbours are."""
    if not pairs:
        return frozenset()
    if size <= 0:
        return None
    degree = {vertex: sum(vertex in pair for pair in pairs) for vertex in _touched(pairs)}
    busiest = max(sorted(degree), key=lambda vertex: degree[vertex])
    if degree[busiest] * size < len(pairs):
        return None
    for chosen in _choices(pairs, busiest):
        left = frozenset(pair for pair in pairs if not pair & chosen)
        found = _cover(left, size - len(chosen)) if len(chosen) <= size else None
        if found is not None:
            return found | chosen
    return None


def _choices(pairs: frozenset[frozenset[int]], vertex: int) -> Iterator[frozenset[int]]:
    yield frozenset({vertex})
    yield _touched(pair for pair in pairs if vertex in pair) - {vertex}
