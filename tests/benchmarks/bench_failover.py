"""For how long nobody is served when the primary is killed (SIGKILL) under load, again and again.

The gap is the longest pause between two completed operations around the kill. Two timers are in it by
intent: the clients' pause before they ask all replicas (what was in flight was lost with the primary), then
the backups' request timer. What is left is the view change.
"""

from __future__ import annotations

import time
from itertools import pairwise
from statistics import median

from load import Load, LoadGenerator
from servers import Servers, make_cluster, replicas

from pbft_node.core.services.null import zeros

GOAL_MS = 100
REQUEST_TIMER_MS = 400
CLIENT_PAUSE_MS = 50
CLIENTS = 32
_MS_NS = 1_000_000


def run(quick: bool) -> list[dict[str, object]]:
    """One row."""
    cluster = make_cluster(
        request_timeout_ns=REQUEST_TIMER_MS * _MS_NS,
        view_change_timeout_ns=1000 * _MS_NS,
        client_retry_ns=CLIENT_PAUSE_MS * _MS_NS,
    )
    gaps = []
    with replicas(cluster, durability="write") as servers:
        generator = LoadGenerator(servers, CLIENTS, zeros(0))
        generator.keep_completions = True
        try:
            generator.wait_ready(answering=cluster.n)
            for _ in range(3 if quick else 12):
                gaps.append(one_kill(servers, generator))
        finally:
            generator.close()
    beyond = sorted(gap - REQUEST_TIMER_MS for gap in gaps)
    return [
        {
            "kills": len(gaps),
            "request_timer_ms": REQUEST_TIMER_MS,
            "client_pause_ms": CLIENT_PAUSE_MS,
            "median_gap_ms": round(median(gaps)),
            "median_beyond_request_timer_ms": round(median(beyond)),
            "median_beyond_both_timers_ms": round(median(beyond) - CLIENT_PAUSE_MS),
            "worst_beyond_both_timers_ms": round(beyond[-1] - CLIENT_PAUSE_MS),
            "goal_ms": GOAL_MS,
        }
    ]


def one_kill(servers: Servers, generator: LoadGenerator) -> float:
    """The gap in ms; the killed replica is back and caught up afterwards."""
    primary = generator.view % servers.cluster.n
    kill_at_ns = time.monotonic_ns() + 500 * _MS_NS
    killed_ns = 0

    def killed_and_served_again() -> bool:
        nonlocal killed_ns
        now_ns = time.monotonic_ns()
        if not killed_ns and now_ns >= kill_at_ns:
            servers.kill(primary)
            killed_ns = time.monotonic_ns()
        return bool(killed_ns) and generator.view % servers.cluster.n != primary and served_for(now_ns, 0.3)

    def served_for(now_ns: int, seconds: float) -> bool:
        after = [at for at in generator.load.completions_ns[-1:] if at > killed_ns]
        return bool(after) and now_ns - longest_pause(generator.load, killed_ns)[1] > seconds * 1e9

    load = generator.run(until=killed_and_served_again)
    gap_ns = longest_pause(load, killed_ns)[0]
    servers.start(primary)
    generator.wait_ready(answering=servers.cluster.n)
    return gap_ns / _MS_NS


def longest_pause(load: Load, killed_ns: int) -> tuple[int, int]:
    """(length, end) of the longest time without a completion that ended after the kill."""
    times = load.completions_ns
    first = next((i for i, at in enumerate(times) if at > killed_ns), len(times))
    times = times[max(0, first - 1) :]
    return max(((b - a, b) for a, b in pairwise(times)), default=(0, 0))
