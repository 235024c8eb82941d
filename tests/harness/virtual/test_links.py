"""Cuts: by owners, counted, and no reason for other datagrams to change their numbers."""

from __future__ import annotations

from harness.virtual.links import Links
from harness.virtual.settings import CLIENTS
from nemesis.machinery import Link


def test_a_link_is_cut_while_any_owner_cuts_it() -> None:
    links = Links(4)
    one, other = Link("r0", "r1"), Link("clients", "r2")
    links.cut("a", frozenset({one, other}))
    links.cut("b", frozenset({one}))
    assert links.give(0, 1) == (0, True)
    assert links.give(CLIENTS, 2) == (0, True)
    assert links.give(1, 0) == (0, False), "directed"
    links.cut("a", frozenset())
    assert links.blocked() == {one: 1}
    assert links.give(CLIENTS, 2) == (1, False)
    assert links.give(0, 1) == (1, True)
    links.cut("b", frozenset())
    assert links.blocked() == {}
    links.cut("b", frozenset({one}))
    assert links.blocked() == {one: 0}, "counted since it was cut"


def test_every_datagram_has_a_number_also_one_that_a_cut_takes() -> None:
    links = Links(4)
    links.cut("a", frozenset({Link("r0", "r1")}))
    assert [links.give(0, 1)[0] for _ in range(3)] == [0, 1, 2]
    links.cut("a", frozenset())
    links.cut("a", frozenset())
    assert links.give(0, 1) == (3, False)
    assert links.given() == {(0, 1): 4}
