"""Shapes of partitions: what each cuts, at every n, and what it costs."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemesis.faults import shapes
from nemesis.machinery import Link

SIZES = [(4, 1), (5, 1), (6, 1), (7, 2), (10, 3), (13, 4)]
each_size = pytest.mark.parametrize(("n", "f"), SIZES)


def drawn(shape: str, n: int, f: int, cut_clients: bool = False, seed: int = 1) -> frozenset[Link]:
    return shapes.PLANNED[shape](random.Random(seed), n, f, cut_clients)


def groups(links: Iterable[Link], n: int) -> list[set[int]]:
    """Replicas that still reach each other, one way or another."""
    blocked = set(links)
    left, found = set(range(n)), []
    while left:
        group, todo = set(), [min(left)]
        while todo:
            one = todo.pop()
            group.add(one)
            todo += [o for o in left - group if Link(f"r{one}", f"r{o}") not in blocked]
        found.append(group)
        left -= group
    return sorted(found, key=len)


def hears(links: frozenset[Link], replica: int, n: int) -> set[int]:
    """Including itself."""
    return {other for other in range(n) if Link(f"r{other}", f"r{replica}") not in links}


@each_size
def test_majority_leaves_a_quorum(n: int, f: int) -> None:
    small, large = groups(drawn("majority", n, f), n)
    assert (len(small), len(large)) == (f, n - f)
    assert len(large) >= shapes.quorum(n, f)


@each_size
def test_split_leaves_no_quorum_when_n_is_3f_plus_1(n: int, f: int) -> None:
    links = drawn("split", n, f)
    assert {len(group) for group in groups(links, n)} == {f + 1, n - f - 1}
    if n == 3 * f + 1:
        assert max(f + 1, n - f - 1) < shapes.quorum(n, f)
    assert len(shapes.cover(links)) == min(f + 1, n - f - 1)


@each_size
def test_bridge_has_one_replica_that_sees_all(n: int, f: int) -> None:
    links = drawn("bridge", n, f)
    sizes = sorted(len(hears(links, replica, n)) for replica in range(n))
    assert sizes == sorted([f + 1] * f + [n - f] * (n - f - 1) + [n])
    assert len(groups(links, n)) == 1
    assert len(shapes.cover(links)) == f


@each_size
def test_in_a_quorum_ring_everyone_sees_a_quorum(n: int, f: int) -> None:
    links = drawn("quorum-ring", n, f)
    views = [hears(links, replica, n) for replica in range(n)]
    assert all(len(view) >= shapes.quorum(n, f) for view in views)
    if n == 3 * f + 1:
        assert all(len(view) == 2 * f + 1 for view in views)
        assert len({frozenset(view) for view in views}) == n


@each_size
@pytest.mark.parametrize("seed", range(5))
def test_one_way_cuts_one_direction_of_each_pair(n: int, f: int, seed: int) -> None:
    links = drawn("one-way", n, f, True, seed)
    assert not any(link[::-1] in links for link in links)
    victims = {int(end[1:]) for link in links for end in link if "clients" in link and end != "clients"}
    assert 1 <= len(victims) <= f
    assert len(links) == len(victims) * (n - len(victims) + 1)


@each_size
def test_deaf_and_mute_are_each_others_mirror(n: int, f: int) -> None:
    deaf, mute = drawn("deaf", n, f, True, 3), drawn("mute", n, f, True, 3)
    assert deaf == {Link(link.target, link.source) for link in mute}
    victims = {link.target for link in deaf}
    assert all(Link("clients", victim) in deaf for victim in victims)
    assert all(Link(f"r{i}", victim) in deaf for victim in victims for i in range(n) if f"r{i}" != victim)


def test_clients_are_cut_only_if_asked() -> None:
    for shape in shapes.PLANNED:
        assert not any("clients" in link for link in drawn(shape, 7, 2, False)), shape
    assert any("clients" in link for link in drawn("majority", 7, 2, True))
    assert shapes.isolate((2,), 4, True) >= {Link("clients", "r2"), Link("r2", "clients")}


def test_the_next_primaries_go_round() -> None:
    assert shapes.next_primaries(5, 7, 2) == (6, 0)
    assert shapes.next_primaries(0, 4, 1) == (1,)


@st.composite
def link_sets(draw: st.DrawFn) -> tuple[int, frozenset[Link]]:
    n = draw(st.integers(4, 7))
    hosts = [*(f"r{i}" for i in range(n)), "clients"]
    possible = [Link(a, b) for a in hosts for b in hosts if a != b]
    return n, draw(st.frozensets(st.sampled_from(possible), max_size=14))


@given(link_sets())
def test_the_cover_is_a_cover_and_none_is_smaller(drawn_links: tuple[int, frozenset[Link]]) -> None:
    n, links = drawn_links

    def covers(chosen: Iterable[int]) -> bool:
        names = {f"r{i}" for i in chosen}
        lost = {end for link in links if "clients" in link for end in link if end != "clients"}
        return lost <= names and all(names & set(link) for link in links)

    found = shapes.cover(links)
    assert covers(found)
    if found:
        assert not any(covers(c) for c in itertools.combinations(range(n), len(found) - 1))
    assert found == shapes.cover(links)


@pytest.mark.parametrize("shape", shapes.PLANNED)
def test_thirty_one_replicas_are_no_trouble(shape: str) -> None:
    assert shapes.cover(drawn(shape, 31, 10))
