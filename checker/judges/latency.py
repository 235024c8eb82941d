"""How long operations took while somebody lied, and while nobody did. Told, not judged.

PBFT bounds latency by its timers and nothing else, and liveness judges that bound: a primary that lies may
answer just before each timer fires. What it costs is for people to see (Amir, Coan, Kirsch, Lane, "Prime",
DSN 2008; Clement et al., NSDI 2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from checker.history import Operation
from checker.run_facts import Ledger


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of operations that completed, ns, ascending."""

    lied: tuple[int, ...]
    """Those that were under way while a liar was at work."""
    calm: tuple[int, ...]
    """All others."""

    def to_json(self) -> dict[str, object]:
        """For the details of a line."""
        return {"while_liars_lied": _numbers(self.lied), "otherwise": _numbers(self.calm)}

    def sentence(self) -> str:
        """To go on with; empty where nobody lied."""
        if not self.lied:
            return ""
        told = f"; under lies operations took {_ms(self.lied, 50)} ms (p50), {_ms(self.lied, 99)} ms (p99)"
        if self.calm:
            told += f", otherwise {_ms(self.calm, 50)} and {_ms(self.calm, 99)} ms"
        return told


def under_attack(operations: Sequence[Operation], ledger: Ledger) -> Latencies:
    """By the windows of the ledger in which a liar was bad."""
    stretches: list[tuple[int, int]] = []
    for window in ledger.windows:
        if not ledger.byzantine.intersection(window.bad):
            continue
        if stretches and stretches[-1][1] >= window.from_ns:
            stretches[-1] = stretches[-1][0], window.to_ns
        else:
            stretches.append((window.from_ns, window.to_ns))
    lied: list[int] = []
    calm: list[int] = []
    at = 0
    for op in sorted(operations, key=lambda op: op.call_ns):
        if op.type != "ok" or op.return_ns is None:
            continue
        while at < len(stretches) and stretches[at][1] <= op.call_ns:
            at += 1
        inside = at < len(stretches) and stretches[at][0] < op.return_ns
        (lied if inside else calm).append(op.return_ns - op.call_ns)
    return Latencies(tuple(sorted(lied)), tuple(sorted(calm)))


def _numbers(times: Sequence[int]) -> dict[str, int]:
    if not times:
        return {"operations": 0}
    return {
        "operations": len(times),
        "p50_ns": _percentile(times, 50),
        "p99_ns": _percentile(times, 99),
        "max_ns": times[-1],
    }


def _percentile(times: Sequence[int], share: int) -> int:
    """The least that so many in a hundred do not exceed."""
    return times[max(0, -(-len(times) * share // 100) - 1)]


def _ms(times: Sequence[int], share: int) -> str:
    return f"{_percentile(times, share) / 1e6:.1f}"
