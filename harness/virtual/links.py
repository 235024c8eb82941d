"""The links of a virtual network: which are cut by whom, what that cost, how many datagrams each was given.

A cut acts on what is sent from then on, as a packet filter at the sender's would.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.virtual.settings import CLIENTS, host_name
from nemesis.machinery import Link


class Links:
    """Of n replicas and the ``clients`` host."""

    def __init__(self, n: int) -> None:
        hosts = (CLIENTS, *range(n))
        self._links = {
            (source, target): Link(host_name(source), host_name(target))
            for source in hosts
            for target in hosts
            if source != target
        }
        self._owners: dict[str, frozenset[Link]] = {}
        self._blocked: dict[Link, int] = {}
        self._given: dict[tuple[int, int], int] = {}

    def cut(self, owner: str, links: frozenset[Link]) -> None:
        """See ``Machinery``."""
        self._owners[owner] = links
        if not links:
            del self._owners[owner]
        wanted = sorted({link for owned in self._owners.values() for link in owned})
        self._blocked = {link: self._blocked.get(link, 0) for link in wanted}

    def blocked(self) -> Mapping[Link, int]:
        """See ``Machinery``."""
        return dict(self._blocked)

    def give(self, source: int, target: int) -> tuple[int, bool]:
        """A datagram for this link: its number there, from 0, and whether a cut takes it."""
        ends = source, target
        nth = self._given.get(ends, 0)
        self._given[ends] = nth + 1
        if self._blocked:
            link = self._links[ends]
            if link in self._blocked:
                self._blocked[link] += 1
                return nth, True
        return nth, False

    def given(self) -> Mapping[tuple[int, int], int]:
        """How many datagrams each link was given."""
        return dict(self._given)
