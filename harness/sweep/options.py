"""Swarm plans: each seed draws a spec of its own from the options here, and from nowhere else.

``draw(seed, world)`` is the one function; ``OPTIONS`` is what it draws from and what ``traitor sweep
--options`` prints. Each option has a stream of its own, so that a new option, or a new choice in one, leaves
what a seed draws from all others alone. Weights are small whole numbers. What is drawn is an ordinary spec:
what a user asks for goes over it, and everything is checked as always.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass

from harness.plan import streams_of
from harness.request import SECOND_NS, duration
from nemesis.faults import KINDS

_HOLDS, _GAP_S = 1.3, 0.85
"""How long a fault is held, in units of the shortest hold, and the pause after it: both are means of what
``nemesis.schedule`` draws."""
_MARGIN = 1.5
_LAST = 0.9
"""The share of the load after which no fault is held."""
_SHORTEST_S = 8


@dataclass(frozen=True, slots=True)
class Option:
    """One thing that is drawn."""

    name: str
    """Where it goes in the spec, a dot for each mapping on the way; in brackets: it only serves others."""
    meaning: str
    choices: tuple[tuple[int, object], ...]
    """(weight, value). A value that is a mapping of dotted names sets all of those."""


_SLOW = {
    "cluster.request_timeout": "2s",
    "cluster.view_change_timeout": "2s",
    "cluster.client_retry": "1500ms",
    "cluster.client_retry_max": "6s",
    "cluster.read_timeout": "700ms",
    "cluster.status_busy": "500ms",
    "cluster.status_idle": "2s",
}
"""Timers for a wide area: the defaults would take its distances for failures."""


def _wide(**settings: object) -> dict[str, object]:
    return {"virtual.latency": {"model": "wan", **settings}, "clients": 8, **_SLOW}


_SAFETY = {"budget": "safety", "cluster.durability": "fsync"}
_WORKLOADS = (
    (5, "kv"),
    (3, "register"),
    (2, "append"),
    (2, "queue"),
    (1, "set"),
    (1, "counter"),
    (1, "bank"),
)

OPTIONS: tuple[Option, ...] = (
    Option("nodes", "replicas", ((7, 4), (1, 5), (1, 6), (2, 7))),
    Option("clients", "clients", ((2, 3), (4, 5), (2, 8), (1, 12))),
    Option(
        "(operations)",
        "operations of the whole load, about; the rate follows from it and the time",
        ((3, 120), (3, 160), (2, 250), (1, 500)),
    ),
    Option("workload.name", "workload", _WORKLOADS),
    Option("workload.keys", "keys at a time", ((1, 1), (2, 3), (3, 5), (2, 10), (1, 25))),
    Option(
        "workload.contention",
        "share that goes to the first key; a run in which nobody met anybody has tested little",
        ((6, 0.2), (2, 0.4), (1, 0.7)),
    ),
    Option("workload.distribution", "over the keys", ((1, "zipf"), (1, "uniform"))),
    Option("workload.value_bytes", "length of values", ((6, 16), (1, 1), (2, 300), (1, 4000))),
    Option("workload.retry", "share of clients that retransmit", ((7, 1.0), (2, 0.7), (1, 0.4))),
    Option(
        "(fault kinds)",
        "which kinds may come: each is in with probability 2/3, for a swarm needs faults that are absent; "
        "when none is, all are",
        tuple((1, kind) for kind in KINDS),
    ),
    Option(
        "(fault count)",
        "how many are asked for, of those kinds in any order; while time is left, they come again",
        ((1, 0), (2, 1), (3, 2), (4, 3), (2, 5), (1, 8)),
    ),
    Option(
        "cluster.checkpoint_interval",
        "K; the window L is 2K",
        ((1, 2), (2, 4), (2, 8), (2, 16), (2, 32), (1, 128)),
    ),
    Option("cluster.batch_limit", "requests in a batch", ((5, 64), (1, 1), (1, 4))),
    Option("cluster.pipeline", "batches under way", ((4, 2), (1, 1), (1, 4), (1, 8))),
    Option("cluster.auth", "between replicas", ((3, "hybrid"), (1, "sign"))),
    Option("cluster.client_auth", "of requests", ((4, "sign"), (1, "mac"))),
    Option("cluster.reads", "fast reads (5.1) or none", ((1, "ordered"), (1, "fast"))),
    Option("cluster.digest_replies", "one whole result, digests of the others", ((3, True), (1, False))),
    Option(
        "cluster.durability", "what a restarted replica remembers", ((4, "fsync"), (2, "write"), (1, "none"))
    ),
    Option(
        "(budget)",
        "never more than f bad at once, or more on purpose; then logs last, for a cluster that lost more "
        "than f of them stays down. Never more than f lie: that safety holds is what a swarm asks",
        ((4, {"budget": "within"}), (1, _SAFETY)),
    ),
    Option("cluster.slow_primary_factor", "how slow a primary may be; 0: any", ((4, 8), (1, 4), (1, 0))),
    Option(
        "(patience)",
        "how long replicas wait for a request, and for a new view",
        tuple(
            (weight, {"cluster.request_timeout": time, "cluster.view_change_timeout": time})
            for weight, time in ((1, "250ms"), (3, "500ms"), (1, "1s"))
        ),
    ),
    Option(
        "(latency)",
        "latency model of every link; wide-area ones set slower timers and eight clients, too",
        (
            (4, {"virtual.latency": "200us..1ms"}),
            (2, {"virtual.latency": "500us"}),
            (2, {"virtual.latency": "1ms..15ms"}),
            (
                2,
                {
                    "virtual.latency": {
                        "model": "exponential",
                        "mean": "2ms",
                        "least": "300us",
                        "most": "60ms",
                    }
                },
            ),
            (1, _wide(regions=["virginia", "california", "oregon"])),
            (1, _wide()),
        ),
    ),
    Option("virtual.loss", "share of datagrams", ((5, 0.0), (2, 0.002), (2, 0.01), (1, 0.04))),
    Option("virtual.duplication", "share of datagrams", ((5, 0.0), (2, 0.01), (1, 0.1))),
    Option("virtual.reordering", "share of datagrams held back", ((5, 0.0), (2, 0.02), (1, 0.15))),
    Option("virtual.reorder_by", "for how long at most", ((2, "3ms"), (1, "30ms"))),
    Option("virtual.turn", "length of a replica's turn", ((4, "200us"), (1, "50us"), (1, "1ms"))),
    Option("virtual.restart", "from restart to the first event", ((3, "100ms"), (1, "20ms"), (1, "500ms"))),
)
DERIVED = (
    (
        "time",
        "the load is as long as its faults need one after another, and half as long again; scripts are held "
        "for 12 s",
    ),
    ("budget", "safety, where a script is drawn that needs more than f replicas bad at once"),
    ("rate", "operations by time"),
)


def draw(seed: int, world: str) -> dict[str, object]:
    """The keys of a spec for that seed, without the seed itself."""
    streams = streams_of(seed)
    asked: dict[str, object] = {"world": world, "name": "swarm"}
    operations = 0
    kinds: list[str] = []
    for option in OPTIONS:
        stream = streams(f"swarm {option.name}")
        if option.name == "(fault kinds)":
            kinds = [kind for kind in KINDS if stream.random() < 2 / 3] or list(KINDS)
            continue
        weights = [weight for weight, _ in option.choices]
        value = copy.deepcopy(stream.choices([value for _, value in option.choices], weights)[0])
        if option.name == "(fault count)":
            assert isinstance(value, int)
            asked["faults"] = [kinds[stream.randrange(len(kinds))] for _ in range(value)]
        elif isinstance(value, Mapping):
            for name, each in value.items():
                _put(asked, name, each)
        elif option.name == "(operations)":
            assert isinstance(value, int)
            operations = value
        else:
            _put(asked, option.name, value)
    _within(asked)
    return asked | _derived(asked, operations)


def _put(asked: dict[str, object], name: str, value: object) -> None:
    key, dot, rest = name.partition(".")
    if not dot:
        asked[key] = value
        return
    inner = asked.setdefault(key, {})
    assert isinstance(inner, dict)
    inner[rest] = value


def _derived(asked: Mapping[str, object], operations: int) -> dict[str, object]:
    """Time and rate, from the faults and the patience of the replicas."""
    cluster, faults = asked["cluster"], asked["faults"]
    assert isinstance(cluster, dict)
    assert isinstance(faults, list)
    patience_s = (duration(cluster["request_timeout"], 1) or 0) / SECOND_NS
    hold_s = _HOLDS * (2 * patience_s + 0.3)
    waits_s = [getattr(KINDS[kind], "least_hold_ns", 0) / SECOND_NS for kind in faults]
    longer_s = sum(max(0.0, wait_s - hold_s) for wait_s in waits_s)
    time_s = max(
        _SHORTEST_S, math.ceil(_MARGIN * (_GAP_S + len(faults) * (hold_s + _GAP_S)) + longer_s / _LAST)
    )
    return {"time": time_s, "rate": round(operations / time_s, 1)}


def _within(asked: dict[str, object]) -> None:
    """A script that needs more than f replicas bad at once brings the budget that lets it."""
    nodes, faults = asked["nodes"], asked["faults"]
    assert isinstance(nodes, int)
    assert isinstance(faults, list)
    fits = [getattr(KINDS[kind], "stays_within", None) for kind in faults]
    if not all(fit is None or fit(nodes, (nodes - 1) // 3) for fit in fits):
        for name, value in _SAFETY.items():
            _put(asked, name, value)
