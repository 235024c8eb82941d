"""Partitions: one chain of our own in the router's FORWARD chain, one DROP rule per blocked link.

Every change is one transaction of ``iptables-restore --noflush`` that adds and deletes only what differs,
so there is no moment between two states and the packet counters of links that stay blocked live on. Only
our chains are ever touched. The cuts come first in FORWARD; then, in a run that intercepts, a chain that
queues all datagrams for the interceptor, without ``--queue-bypass``: nobody listens, nothing passes. What the
interceptor puts on the wire again leaves through OUTPUT, so the cuts stand there, too. Between the two, a
chain that only counts what a host with a twin sends, by the interface it came from. One backend is chosen
(legacy where it works: 3 ms instead of 16) and never mixed with the other.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from harness import commands
from harness.errors import HarnessError
from harness.topology import host_address, host_names
from nemesis.machinery import Link

CHAIN = "TRAITOR_CUT"
QUEUE_CHAIN = "TRAITOR_QUEUE"
COUNT_CHAIN = "TRAITOR_COUNT"
COUNTERS_AGE_NS = 50_000_000
"""Reading counters costs 2-5 ms, so who asks often may take an answer this old; a change makes it new."""
_PROBE_CHAIN = "TRAITOR_PROBE"
_RULE = re.compile(rf"^\[(\d+):\d+\] -A {CHAIN} -s (\S+) -d (\S+) -j DROP$")
_COUNT = re.compile(rf"^\[(\d+):\d+\] -A {COUNT_CHAIN} -d (\S+) -i (\S+)$")
_QUEUED = re.compile(rf"^\[(\d+):\d+\] -A {QUEUE_CHAIN} .*-j NFQUEUE", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Backend:
    """One flavour of iptables."""

    name: str
    restore: str
    save: str


BACKENDS = tuple(
    Backend(name, f"{name}-restore", f"{name}-save")
    for name in ("iptables-legacy", "iptables-nft", "iptables")
)


@functools.cache
def choose_backend() -> Backend:
    """The first that really works in this network namespace. Raises HarnessError with what each said."""
    said = []
    for backend in BACKENDS:
        try:
            _restore(backend, [f":{_PROBE_CHAIN} - [0:0]", f"-A {_PROBE_CHAIN} -s 10.77.0.1/32 -j DROP"])
            _restore(backend, [f"-F {_PROBE_CHAIN}", f"-X {_PROBE_CHAIN}"])
            return backend
        except HarnessError as problem:
            said.append(problem.message)
    raise HarnessError(
        "no iptables works in the sandbox: " + "; ".join(said),
        "On Debian or Ubuntu: apt-get install iptables. Or: sudo modprobe -a ip_tables iptable_filter",
    )


def _restore(backend: Backend, lines: list[str]) -> None:
    text = "\n".join(("*filter", *lines, "COMMIT", ""))
    commands.call(backend.restore, ["--noflush", "-w", "5"], text)


class Firewall:
    """The cuts of all owners together."""

    def __init__(self, n: int) -> None:
        self._hosts = {host_address(name): name for name in host_names(n)}
        self._cuts: dict[str, frozenset[Link]] = {}
        self._rules: frozenset[Link] = frozenset()
        self._backend: Backend | None = None
        self._queueing = False
        self._counted: tuple[str, ...] = ()

    def install(self, backend: Backend | None = None) -> None:
        """Put our (empty) chain first in FORWARD. Raises HarnessError."""
        backend = backend or choose_backend()
        lines = [f":{chain} - [0:0]" for chain in (CHAIN, COUNT_CHAIN)]
        _restore(backend, [*lines, f"-I FORWARD 1 -j {CHAIN}", f"-I FORWARD 2 -j {COUNT_CHAIN}"])
        self._backend = backend

    def queue(self, number: int) -> None:
        """From now on every datagram that no cut takes waits in NFQUEUE ``number``."""
        assert self._backend is not None
        assert not self._queueing
        lines = [
            f":{QUEUE_CHAIN} - [0:0]",
            f"-A {QUEUE_CHAIN} -p udp -j NFQUEUE --queue-num {number}",
            f"-I FORWARD 3 -j {QUEUE_CHAIN}",
            f"-I OUTPUT 1 -j {CHAIN}",
        ]
        _restore(self._backend, lines)
        self._queueing = True

    def stop_queueing(self) -> int:
        """From now on datagrams are dropped instead. How many were queued."""
        assert self._backend is not None
        assert self._queueing
        _restore(self._backend, [f"-I {QUEUE_CHAIN} 1 -p udp -j DROP"])
        found = _QUEUED.search(commands.call(self._backend.save, ["-c", "-t", "filter"]))
        if found is None:
            raise HarnessError("the rule that queues packets is gone", "Did somebody else change iptables?")
        return int(found[1])

    def remove(self) -> None:
        """Take our chains out again. Idempotent."""
        if self._backend is not None:
            lines = []
            if self._queueing:
                lines = [f"-D OUTPUT -j {CHAIN}", f"-D FORWARD -j {QUEUE_CHAIN}"]
                lines += [f"-F {QUEUE_CHAIN}", f"-X {QUEUE_CHAIN}"]
            for chain in (CHAIN, COUNT_CHAIN):
                lines += [f"-D FORWARD -j {chain}", f"-F {chain}", f"-X {chain}"]
            _restore(self._backend, lines)
        self._queueing = False
        self._counted = ()
        self._backend = None
        self._cuts.clear()
        self._rules = frozenset()

    def cut(self, owner: str, links: frozenset[Link]) -> None:
        """See ``Machinery.cut``."""
        assert self._backend is not None
        cuts = {**self._cuts, owner: links}
        if not links:
            del cuts[owner]
        wanted: frozenset[Link] = frozenset().union(*cuts.values())
        added, deleted = sorted(wanted - self._rules), sorted(self._rules - wanted)
        if added or deleted:
            lines = [_rule("-A", link) for link in added] + [_rule("-D", link) for link in deleted]
            _restore(self._backend, lines)
        self._cuts, self._rules = cuts, wanted

    def blocked(self) -> Mapping[Link, int]:
        """See ``Machinery.blocked``: read back from the kernel, not from memory."""
        assert self._backend is not None
        if not self._rules:
            return {}
        found = {}
        for line in commands.call(self._backend.save, ["-c", "-t", "filter"]).splitlines():
            match = _RULE.match(line)
            if match:
                packets, source, target = match.groups()
                found[Link(self._host(source), self._host(target))] = int(packets)
        return found

    def count(self, interfaces: Collection[str]) -> None:
        """From now on count what comes from exactly these, by whom it is for; those counted go on."""
        assert self._backend is not None
        wanted = tuple(sorted(interfaces))
        lines = []
        for sign, names in (("-D", set(self._counted) - {*wanted}), ("-A", {*wanted} - set(self._counted))):
            lines += [
                f"{sign} {COUNT_CHAIN} -d {to}/32 -i {name}" for name in sorted(names) for to in self._hosts
            ]
        if lines:
            _restore(self._backend, lines)
        self._counted = wanted

    def counted(self) -> Mapping[str, Mapping[str, int]]:
        """Interface -> host -> packets carried, or queued, from there to it. No packets, no entry."""
        assert self._backend is not None
        found: dict[str, dict[str, int]] = {name: {} for name in self._counted}
        if not found:
            return found
        for line in commands.call(self._backend.save, ["-c", "-t", "filter"]).splitlines():
            match = _COUNT.match(line)
            if match and match[1] != "0":
                found[match[3]][self._host(match[2])] = int(match[1])
        return found

    def _host(self, address: str) -> str:
        return self._hosts[address.removesuffix("/32")]


def _rule(action: str, link: Link) -> str:
    return f"{action} {CHAIN} -s {host_address(link.source)}/32 -d {host_address(link.target)}/32 -j DROP"
