"""Whether the virtual network of a plan leaves a correct cluster the time that its timers allow it.

PBFT promises liveness only where messages arrive soon enough for its timers. Under a real kernel they do, or
the harness' lag says otherwise; a plan for `sim` or `lockstep` may ask for any network. Where an operation
takes longer to agree on than the request timeout, or where more is lost than retransmission makes good in
the bounds of `patience`, slowness accuses nobody. What is malformed or left out excuses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from checker.patience import Timers

MOST_LOSS = 0.2
"""Of datagrams. Up to here random runs of the protocol complete in time."""
_HOPS = 5
"""Of an operation: request, PRE-PREPARE, PREPARE, COMMIT, reply."""
_MEANS = 10
"""An exponential delay is above its mean by this factor once in 22 000 times."""
_DATAGRAM_BYTES = 2048
_MS_NS = 1_000_000
_S_NS = 1_000_000_000


def excuse(virtual: object, timers: Timers | None, nodes: int) -> str | None:
    """Why time proves nothing in this network, for a verdict line. `virtual`: the block of `plan.json`."""
    if not isinstance(virtual, Mapping):
        return None
    loss = _number(virtual.get("loss"))
    if loss > MOST_LOSS:
        return f"because the plan's network loses {100 * loss:.3g} % of all datagrams"
    agreement_ns = _HOPS * _hop_ns(virtual, nodes)
    if timers is not None and agreement_ns > timers.request_timeout_ns:
        return (
            f"because in the plan's network one agreement may take {agreement_ns / _MS_NS:.0f} ms, longer "
            f"than the request timeout of {timers.request_timeout_ns / _MS_NS:.0f} ms"
        )
    return None


def _hop_ns(virtual: Mapping[object, object], nodes: int) -> float:
    """At the longest, from one turn's beginning to the next one's."""
    latency = virtual.get("latency")
    hop_ns = _longest_ns(latency, nodes) if isinstance(latency, Mapping) else 0
    hop_ns += _number(virtual.get("turn_ns"))
    if _number(virtual.get("reordering")):
        hop_ns += _number(virtual.get("reorder_by_ns"))
    bandwidth = _number(virtual.get("bandwidth"))
    return hop_ns + (_DATAGRAM_BYTES * _S_NS / bandwidth if bandwidth else 0)


def _longest_ns(latency: Mapping[object, object], nodes: int) -> float:
    match latency.get("model"):
        case "constant":
            return _number(latency.get("delay_ns"))
        case "uniform":
            return _number(latency.get("high_ns"))
        case "exponential":
            mean_ns, least_ns = _number(latency.get("mean_ns")), _number(latency.get("least_ns"))
            return min(_number(latency.get("most_ns")), least_ns + _MEANS * mean_ns)
        case "wan":
            return _farthest_ns(latency, nodes) * (1 + _number(latency.get("jitter")))
    return 0


def _farthest_ns(latency: Mapping[object, object], nodes: int) -> float:
    """Of the regions where somebody is. Malformed: 0."""
    regions, rows = latency.get("regions"), latency.get("one_way_ns")
    names = latency.get("replicas")
    if not isinstance(regions, list) or not isinstance(rows, list) or not isinstance(names, list):
        return 0
    used = [*names[:nodes], latency.get("clients")]
    places = [place for place, region in enumerate(regions) if region in used]
    cells = [
        _number(rows[i][j])
        for i in places
        for j in places
        if i < len(rows) and isinstance(rows[i], list) and j < len(rows[i])
    ]
    return max(cells, default=0)


def _number(value: object) -> float:
    """0 for what is none; nothing above 10**18, so that any of them can be reckoned with."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return 0
    return min(value, 10**18)
