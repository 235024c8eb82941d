"""What a running replica tells of itself when asked: schema ``traitor/metrics/1``.

    {"schema": …, "replica": 2, "time_ns": …, "metrics": {"view": 3, "rejected": {"PREPARE": {"3": 5}}, …}}

``METRICS`` is the list, with units and meanings; ``snapshot`` fills it from the replica's own state and its
driver's counters. A metric with labels is an object a label deep each; a histogram is ``{"count", "sum",
"buckets": {upper bound, exclusive: how many}}`` with powers of two. Counters begin at 0 with the process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from .core.replica import Replica
from .keys import NodeKeys
from .meter import Histogram, Meter
from .transport import UdpTransport
from .wal import Log

SCHEMA = "traitor/metrics/1"
GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the list."""

    name: str
    kind: str
    meaning: str
    labels: tuple[str, ...] = ()


METRICS: tuple[Metric, ...] = (
    Metric("view", GAUGE, "v"),
    Metric("active", GAUGE, "1 in the view, 0 between VIEW-CHANGE and NEW-VIEW"),
    Metric("primary", GAUGE, "of the view"),
    Metric("may_vote", GAUGE, "0 while silent: the log was lost, and it votes on nothing yet"),
    Metric("failed_views", GAUGE, "in a row; timeouts are doubled so often"),
    Metric("low_watermark", GAUGE, "h, the stable checkpoint"),
    Metric("high_watermark", GAUGE, "H = h + L"),
    Metric("executed", GAUGE, "last executed sequence number"),
    Metric("under_way", GAUGE, "numbers above it with a PRE-PREPARE here"),
    Metric("decided_waiting", GAUGE, "numbers above it decided, and not yet executed"),
    Metric("pending_requests", GAUGE, "accepted, not yet executed"),
    Metric("oldest_pending_ns", GAUGE, "how long the oldest of them waits; 0: none"),
    Metric("known_clients", GAUGE, "in the client table"),
    Metric("batches_held", GAUGE, "batches in memory"),
    Metric("early_votes", GAUGE, "kept for views not yet entered"),
    Metric("state_is_wrong", GAUGE, "1: a quorum contradicts the own state, nobody is answered"),
    Metric("transfer_active", GAUGE, "1 while a state is fetched"),
    Metric("transfer_parts", GAUGE, "of it fetched and verified"),
    Metric("transfer_parts_wanted", GAUGE, "of it known to be missing"),
    Metric("log_bytes", GAUGE, "of the log on disk"),
    Metric("rss_bytes", GAUGE, "memory of the process"),
    Metric("uptime_ns", GAUGE, "since the process was up"),
    Metric("cpu_ns", COUNTER, "processor time of the process"),
    Metric("turn_ns", HISTOGRAM, "a turn of the loop, waiting not counted: what everybody else waits for"),
    Metric("timer_late_ns", HISTOGRAM, "how late timers fired"),
    Metric("batch_requests", HISTOGRAM, "requests in an executed batch"),
    Metric("datagrams_in", COUNTER, "by the type their header claims", ("type",)),
    Metric("bytes_in", COUNTER, "by the type their header claims", ("type",)),
    Metric("datagrams_out", COUNTER, "handed to the socket", ("type",)),
    Metric("bytes_out", COUNTER, "handed to the socket", ("type",)),
    Metric("datagrams_lost", COUNTER, "could not be sent: an errno, or unknown receiver", ("reason",)),
    Metric("rejected", COUNTER, "bytes a correct peer would not send", ("message", "sender")),
    Metric("view_changes", COUNTER, "VIEW-CHANGEs sent", ("reason",)),
    Metric("events", COUNTER, "of the trace, written or not (kinds as in trace-events)", ("kind",)),
    Metric("signatures_made", COUNTER, "Ed25519"),
    Metric("signatures_checked", COUNTER, "verified from scratch, good or bad"),
    Metric("signatures_bad", COUNTER, "of these"),
    Metric("signatures_remembered", COUNTER, "known good from before, not verified again"),
    Metric("log_writes", COUNTER, "group commits"),
    Metric("log_write_ns", COUNTER, "time they took, with the sync of durability fsync"),
)

Value = int | dict[str, int] | dict[str, dict[str, int]] | dict[str, object]


@dataclass(frozen=True, slots=True)
class Sources:
    """Whom a snapshot asks."""

    replica: Replica
    meter: Meter
    keys: NodeKeys
    log: Log
    transport: UdpTransport
    up_since_ns: int


def snapshot(sources: Sources, now_ns: int) -> dict[str, object]:
    """All metrics now."""
    values = of_protocol(sources.replica, now_ns) | of_driver(sources, now_ns)
    return {
        "schema": SCHEMA,
        "replica": sources.replica.me,
        "time_ns": now_ns,
        "metrics": {metric.name: values[metric.name] for metric in METRICS},
    }


def of_protocol(replica: Replica, now_ns: int) -> dict[str, Value]:
    """What the core has as state."""
    executed, oldest = replica.executed, next(iter(replica.pending.values()), None)
    transfer = replica.transfer
    return {
        "view": replica.view,
        "active": int(replica.active),
        "primary": replica.primary,
        "may_vote": int(replica.may_vote),
        "failed_views": replica.failed_views,
        "low_watermark": replica.stable,
        "high_watermark": replica.high_watermark,
        "executed": executed,
        "under_way": sum(
            seq > executed and slot.pre_prepare is not None for seq, slot in replica.slots.items()
        ),
        "decided_waiting": sum(seq > executed for seq in replica.decided),
        "pending_requests": len(replica.pending),
        "oldest_pending_ns": max(0, now_ns - oldest.since_ns) if oldest else 0,
        "known_clients": len(replica.clients),
        "batches_held": len(replica.batches),
        "early_votes": sum(map(len, replica.early.values())),
        "state_is_wrong": int(replica.state_is_wrong),
        "transfer_active": int(replica.fetching_state()),
        "transfer_parts": transfer.taken if transfer is not None else 0,
        "transfer_parts_wanted": len(transfer.wanted) if transfer is not None else 0,
    }


def of_driver(sources: Sources, now_ns: int) -> dict[str, Value]:
    """What passed through the driver, and what the machine says of the process."""
    meter, keys, log = sources.meter, sources.keys, sources.log
    rejected: dict[str, dict[str, int]] = {}
    for (message, sender), count in sorted(meter.rejected.items()):
        rejected.setdefault(message, {})[sender] = count
    return {
        "log_bytes": log.size_bytes(),
        "rss_bytes": rss_bytes(),
        "uptime_ns": now_ns - sources.up_since_ns,
        "cpu_ns": time.process_time_ns(),
        "turn_ns": shown(meter.turn_ns),
        "timer_late_ns": shown(meter.timer_late_ns),
        "batch_requests": shown(meter.batch_requests),
        "datagrams_in": meter.received.by_name(meter.received.datagrams),
        "bytes_in": meter.received.by_name(meter.received.bytes),
        "datagrams_out": meter.sent.by_name(meter.sent.datagrams),
        "bytes_out": meter.sent.by_name(meter.sent.bytes),
        "datagrams_lost": dict(sources.transport.lost),
        "rejected": rejected,
        "view_changes": dict(meter.view_changes),
        "events": dict(meter.traced),
        "signatures_made": keys.signed,
        "signatures_checked": keys.checked,
        "signatures_bad": keys.bad,
        "signatures_remembered": keys.remembered,
        "log_writes": log.writes,
        "log_write_ns": log.write_ns,
    }


def shown(histogram: Histogram) -> dict[str, object]:
    """As JSON: the buckets that hold something, by their exclusive upper bound."""
    buckets = {str(2**bits): count for bits, count in enumerate(histogram.buckets) if count}
    return {"count": histogram.count, "sum": histogram.sum, "buckets": buckets}


def rss_bytes() -> int:
    """Resident memory; 0 where the machine does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read(200).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def as_markdown() -> str:
    """The list as a table, as ARCHITECTURE.md shows it."""
    lines = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for metric in METRICS:
        lines.append(f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels)} | {metric.meaning} |")
    return "\n".join(lines)


def as_prometheus(answer: Mapping[str, object]) -> str:
    """A snapshot in Prometheus' text format, for a textfile collector."""
    values, replica = answer["metrics"], answer["replica"]
    assert isinstance(values, Mapping)
    lines: list[str] = []
    for metric in METRICS:
        if metric.name not in values:  # an older replica answered
            continue
        name = f"pbft_{metric.name}" + ("_total" if metric.kind == COUNTER else "")
        lines += [f"# HELP {name} {metric.meaning}", f"# TYPE {name} {metric.kind}"]
        lines += _samples(name, metric, values[metric.name], {"replica": str(replica)})
    return "\n".join(lines) + "\n"


def _samples(name: str, metric: Metric, value: object, labels: Mapping[str, str]) -> list[str]:
    if metric.kind == HISTOGRAM:
        assert isinstance(value, Mapping)
        return _histogram_samples(name, value, labels)
    label = metric.labels[len(labels) - 1] if len(labels) <= len(metric.labels) else None
    if label is None or not isinstance(value, Mapping):
        return [f"{name}{_braces(labels)} {value}"]
    found = []
    for word, inner in value.items():
        found += _samples(name, metric, inner, {**labels, label: str(word)})
    return found


def _histogram_samples(name: str, value: Mapping[str, object], labels: Mapping[str, str]) -> list[str]:
    buckets = value["buckets"]
    assert isinstance(buckets, Mapping)
    found, below = [], 0
    for bound, count in buckets.items():
        below += count
        found.append(f"{name}_bucket{_braces({**labels, 'le': str(int(bound) - 1)})} {below}")
    found.append(f"{name}_bucket{_braces({**labels, 'le': '+Inf'})} {value['count']}")
    return [
        *found,
        f"{name}_sum{_braces(labels)} {value['sum']}",
        f"{name}_count{_braces(labels)} {value['count']}",
    ]


def _braces(labels: Mapping[str, str]) -> str:
    quoted = (
        '{}="{}"'.format(name, text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n"))
        for name, text in labels.items()
    )
    return "{" + ",".join(quoted) + "}"
