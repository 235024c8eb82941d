"""Cuts links between hosts, all at once, in shapes made from f.

Most shapes are links drawn when the run is planned. Two are aimed at the primary of the moment: they
resolve when they start, and the receipt tells their links. Rules in place are not enough for a receipt:
packets must have been dropped.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from nemesis.faults import shapes
from nemesis.faults.fault import Params, Receipt, Victims
from nemesis.faults.memory import Memory
from nemesis.machinery import Link, Machinery

PARAMETERS = {"shape", "cut_clients", "links"}
WITHIN_BUDGET = tuple(shape for shape in shapes.SHAPES if shape not in ("split", "quorum-ring"))
BREAKING = ("split", "quorum-ring")


@dataclass(slots=True)
class _Cutting:
    """The links, resolved; the drop counters before (another fault may block one too); the bad replicas."""

    links: frozenset[Link]
    before: Mapping[Link, int]
    bad: frozenset[int]
    dropped: dict[Link, int] = field(default_factory=dict)
    mended: bool = False
    undone: bool = False


class Partition:
    """See the module."""

    name = "partition"
    label = "partition"
    colour = "#0072B2"
    description = (
        "Blocks links between replicas (and clients, if asked) by an atomic change of the packet filter."
    )
    charges = "liveness: the fewest replicas touching every blocked pair, and those cut from clients"
    family = "network"
    parameters: Mapping[str, str] = MappingProxyType(
        {
            "shape": f"one of {', '.join(shapes.SHAPES)}",
            "cut_clients": "true or false: from the clients, too",
            "links": "[[source, target], …], of a shape that is not aimed at a primary",
        }
    )
    receipt = "every link blocked, and packets dropped on some of them"
    worlds: tuple[str, ...] = ("live", "lockstep", "sim")

    def __init__(self) -> None:
        self._memory: Memory[_Cutting] = Memory()

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {"shape": "isolate-primary", "cut_clients": True}

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        cut_clients = stream.random() < 0.5
        if not budget_break:
            shape = stream.choice(WITHIN_BUDGET)
        else:
            shape = stream.choice(BREAKING)
        return draw_shape(shape, cut_clients, stream, n, f)

    def check(self, params: Params, n: int) -> str | None:
        """See ``FaultKind``."""
        unknown = sorted(set(params) - PARAMETERS)
        if unknown:
            return f"unknown parameter {unknown[0]!r:.80}: known are {', '.join(sorted(PARAMETERS))}"
        shape = params.get("shape")
        if shape not in shapes.SHAPES:
            return f"shape = {shape!r:.80}: choose one of {', '.join(shapes.SHAPES)}"
        if not isinstance(params.get("cut_clients"), bool):
            return f"cut_clients = {params.get('cut_clients')!r:.80}: give true or false"
        if shape in shapes.AIMED:
            return f"{shape} finds its links when it starts: leave 'links' out" if "links" in params else None
        return _check_links(params.get("links"), n)

    def victims(self, params: Params, n: int, f: int) -> Victims:
        """See ``FaultKind``."""
        if params["shape"] in shapes.AIMED:
            return Victims(frozenset(), any_of=1 if params["shape"] == "isolate-primary" else f)
        return Victims(shapes.cover(_links(params)))

    def available(self, machinery: Machinery) -> str | None:
        """See ``FaultKind``."""
        return None if "cut" in machinery.capabilities else "this world cannot cut links"

    def start(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """See ``FaultKind``."""
        links = _resolve(machinery, params)
        self._memory.keep(
            machinery, fault_id, _Cutting(links, dict(machinery.blocked()), shapes.cover(links))
        )
        machinery.cut(fault_id, links)

    def observe(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """See ``FaultKind``."""
        cutting = self._memory.of(machinery, fault_id)
        if cutting is None or cutting.mended or not _count(machinery, cutting):
            return None
        return Receipt(_evidence(cutting)) if sum(cutting.dropped.values()) else None

    def trouble(self, machinery: Machinery, fault_id: str, params: Params) -> str:
        """See ``FaultKind``."""
        cutting = self._memory.of(machinery, fault_id)
        if cutting is None:
            return "it was not started"
        if cutting.mended:
            return f"links still blocked after mending: {_names(self._left(machinery, fault_id, cutting))}"
        if not _count(machinery, cutting):
            return f"rules are missing for {_names(cutting.links - set(machinery.blocked()))}"
        return f"{len(cutting.links)} rules were in place, but no packet met them"

    def stop(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """See ``FaultKind``."""
        cutting = self._memory.of(machinery, fault_id)
        if cutting is not None and not cutting.mended:
            _count(machinery, cutting)
            cutting.mended = True
        machinery.cut(fault_id, frozenset())

    def stopped(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """See ``FaultKind``."""
        cutting = self._memory.of(machinery, fault_id)
        if cutting is None:
            return Receipt({"links": 0, "note": "it was not started"})
        if not cutting.mended or self._left(machinery, fault_id, cutting):
            return None
        cutting.undone = True
        held = self._held(machinery, fault_id) & cutting.links
        note = {"held_by_another_partition": _pairs(held)} if held else {}
        return Receipt({**_evidence(cutting), "rules_left": 0, **note})

    def bad_now(self, machinery: Machinery, fault_id: str, params: Params) -> frozenset[int]:
        """See ``FaultKind``."""
        cutting = self._memory.of(machinery, fault_id)
        return frozenset() if cutting is None or cutting.undone else cutting.bad

    def _held(self, machinery: Machinery, fault_id: str) -> frozenset[Link]:
        """Links that other partitions still block."""
        others = self._memory.others(machinery, fault_id)
        return frozenset().union(*(other.links for other in others if not other.mended))

    def _left(self, machinery: Machinery, fault_id: str, cutting: _Cutting) -> frozenset[Link]:
        return (cutting.links & set(machinery.blocked())) - self._held(machinery, fault_id)


def draw_shape(shape: str, cut_clients: bool, stream: random.Random, n: int, f: int) -> Params:
    """Parameters of a given shape. Where a quorum ring cuts nothing (n = 5, 8 …) f+1 are split off."""
    if shape in shapes.AIMED:
        return {"shape": shape, "cut_clients": cut_clients}
    cut_clients = cut_clients and shape != "quorum-ring"
    links = shapes.PLANNED[shape](stream, n, f, cut_clients)
    if not links:
        return draw_shape("split", cut_clients, stream, n, f)
    return {"shape": shape, "cut_clients": cut_clients, "links": _pairs(links)}


def _check_links(value: object, n: int) -> str | None:
    if not isinstance(value, list) or not value:
        return f"links = {value!r:.80}: give a list of [source, target], such as [['r0', 'r1']]"
    hosts = {*(shapes.host(i) for i in range(n)), shapes.CLIENTS}
    for pair in value:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(end, str) for end in pair):
            return f"link {pair!r:.80}: give [source, target]"
        if not set(pair) <= hosts:
            return f"link {pair!r:.80}: the hosts are r0 … r{n - 1} and clients"
        if pair[0] == pair[1]:
            return f"link {pair!r:.80}: source and target are the same"
    return None


def _links(params: Params) -> frozenset[Link]:
    pairs = params["links"]
    assert isinstance(pairs, list)
    return frozenset(Link(source, target) for source, target in pairs)


def _resolve(machinery: Machinery, params: Params) -> frozenset[Link]:
    shape, cut_clients, n, f = params["shape"], bool(params["cut_clients"]), machinery.n, machinery.f
    if shape == "isolate-primary":
        return shapes.isolate((machinery.primary_hint(),), n, cut_clients)
    if shape == "next-primaries":
        return shapes.isolate(shapes.next_primaries(machinery.primary_hint(), n, f), n, cut_clients)
    return _links(params)


def _count(machinery: Machinery, cutting: _Cutting) -> bool:
    """Take down what was dropped so far. Are all rules in place?"""
    blocked = machinery.blocked()
    for link in cutting.links & set(blocked):
        cutting.dropped[link] = blocked[link] - cutting.before.get(link, 0)
    return cutting.links <= set(blocked)


def _evidence(cutting: _Cutting) -> dict[str, object]:
    dropped = {f"{link.source}>{link.target}": cutting.dropped.get(link, 0) for link in sorted(cutting.links)}
    return {"links": len(cutting.links), "dropped": dropped, "bad": sorted(cutting.bad)}


def _pairs(links: frozenset[Link]) -> list[list[str]]:
    return [list(link) for link in sorted(links)]


def _names(links: frozenset[Link]) -> str:
    return ", ".join(f"{link.source}>{link.target}" for link in sorted(links)) or "none"
