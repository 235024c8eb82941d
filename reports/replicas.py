"""What each replica lived through, from its own trace: views, executed sequence numbers, checkpoints, lives.

The trace is the replica's word, and a replica may lie: it is shown, never believed. Exits and resource
samples are the harness's word. Everything is thinned to what a picture can hold; counts stay complete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reports.run_folder import RunFolder
from reports.untrusted import integer, listing, mapping, shown, time_ns

MAX_REPLICAS = 128
MAX_POINTS = 2_000
MAX_MARKS = 400
MAX_VIEW_STEPS = 2_000
MAX_SILENCES = 400
MARKED = ("checkpoint", "stable", "state-transfer", "rejected", "alarm", "view-change", "new-view", "started")


@dataclass(frozen=True, slots=True)
class ViewStep:
    """From ``at_ns`` on the replica is in (or asks for) ``view``."""

    at_ns: int
    view: int
    active: bool


@dataclass(frozen=True, slots=True)
class Mark:
    """A point event in a replica's lane."""

    at_ns: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Point:
    """Executed sequence number at a time; ``restart`` begins a new line."""

    at_ns: int
    seq: int
    restart: bool


@dataclass(slots=True)
class Replica:
    """One replica's lane and its row in the table."""

    name: str
    views: list[ViewStep] = field(default_factory=list)
    executed: list[Point] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    downs: list[tuple[int, int | None, str]] = field(default_factory=list)
    """Dead from an exit to the next start: (from, to or None, why)."""
    silences: list[tuple[int, int | None, str]] = field(default_factory=list)
    """Without a vote, its log being lost, until it recovered or ended: (from, to or None, how far)."""
    counts: Counter[str] = field(default_factory=Counter)
    last_view: int | None = None
    last_executed: int | None = None
    last_stable: int | None = None
    lives: int = 0
    max_rss_bytes: int | None = None
    unexpected_exits: int = 0
    traced: bool = False
    liar: bool = False
    """The ledger says that the nemesis lied in its name."""


def read_replicas(folder: RunFolder, run: Mapping[str, object], planned: int | None) -> list[Replica]:
    """Every replica that has a folder, or that the plan names."""
    names = {str(number) for number in range(min(planned or 0, MAX_REPLICAS))}
    root = folder.path / "replicas"
    if root.is_dir():
        names |= {entry.name for entry in root.iterdir() if entry.is_dir() and entry.name.isascii()}
    elif planned:
        folder.notice("replicas/", "missing: no replica lanes")
    ordered = sorted(names, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))
    if len(ordered) > MAX_REPLICAS:
        folder.notice("replicas/", f"{len(ordered)} folders; the first {MAX_REPLICAS} are shown")
    exits = _exits(run)
    return [_read_replica(folder, name, exits.get(name, [])) for name in ordered[:MAX_REPLICAS]]


def _read_replica(folder: RunFolder, name: str, exits: Sequence[Mapping[str, object]]) -> Replica:
    replica = Replica(shown(name, 20))
    has_folder = (folder.path / "replicas" / name).is_dir()
    trace = f"replicas/{name}/trace.jsonl"
    for _, line in folder.lines(trace, "no lane for this replica" if has_folder else None):
        at_ns, kind = time_ns(line.get("t_ns")), line.get("e")
        if at_ns is None or not isinstance(kind, str):
            continue
        replica.traced = True
        replica.counts[shown(kind, 30) if len(replica.counts) < 100 else "other"] += 1
        _take(replica, at_ns, kind, line)
    for _, sample in folder.lines(f"replicas/{name}/resources.jsonl"):
        rss = integer(sample.get("rss_bytes"))
        if rss is not None:
            replica.max_rss_bytes = max(replica.max_rss_bytes or 0, rss)
    _take_exits(replica, exits)
    replica.executed = _thin(replica.executed)
    replica.marks = _fewer_marks(folder, replica)
    return replica


def _take(replica: Replica, at_ns: int, kind: str, line: Mapping[str, object]) -> None:
    view, seq = integer(line.get("view")), integer(line.get("seq"))
    if kind == "executed" and seq is not None:
        replica.last_executed = seq
        replica.executed.append(Point(at_ns, seq, False))
        return
    if kind == "started":
        replica.lives += 1
        executed = integer(line.get("executed")) or 0
        replica.executed.append(Point(at_ns, executed, True))
    if kind == "stable" and seq is not None:
        replica.last_stable = seq
    if kind in ("started", "view-change", "new-view") and view is not None:
        active = line.get("active") is not False if kind == "started" else kind == "new-view"
        replica.last_view = view
        if len(replica.views) < MAX_VIEW_STEPS:
            replica.views.append(ViewStep(at_ns, view, active))
    if kind in ("started", "silent", "recovered"):
        _take_silence(replica, at_ns, kind, line)
    if kind in MARKED:
        replica.marks.append(Mark(at_ns, kind, _mark_text(line)))


def _take_silence(replica: Replica, at_ns: int, kind: str, line: Mapping[str, object]) -> None:
    spans = replica.silences
    begun = spans[-1][0] if spans and spans[-1][1] is None else None
    if kind == "silent":
        told = ", ".join(shown(answer, 20) for answer in listing(line.get("answers"))[:MAX_REPLICAS])
        text = f"answered by {told or 'nobody'}, needs {shown(line.get('needed'), 20)}"
        if begun is not None:
            spans[-1] = (begun, None, text)
        elif len(spans) < MAX_SILENCES:
            spans.append((at_ns, None, text))
    elif begun is not None:
        end = f"recovered in view {shown(line.get('view'), 20)}" if kind == "recovered" else "ended silent"
        spans[-1] = (begun, at_ns, f"{spans[-1][2]}; {end}")


def _mark_text(line: Mapping[str, object]) -> str:
    wanted = ("view", "primary", "seq", "executed", "stable", "step", "digest", "sender", "message", "reason")
    parts = []
    for name in wanted:
        if (value := line.get(name)) is not None:
            parts.append(f"{name} {shown(value, 16 if name == 'digest' else 80)}")
    return ", ".join(parts)


def _exits(run: Mapping[str, object]) -> dict[str, list[Mapping[str, object]]]:
    found: dict[str, list[Mapping[str, object]]] = {}
    for entry in listing(run.get("exits"))[:10_000]:
        exit_ = mapping(entry)
        found.setdefault(shown(exit_.get("replica"), 20), []).append(exit_)
    return found


def _take_exits(replica: Replica, exits: Sequence[Mapping[str, object]]) -> None:
    starts = sorted(mark.at_ns for mark in replica.marks if mark.kind == "started")
    for exit_ in exits:
        at_ns = time_ns(exit_.get("time_ns"))
        if at_ns is None:
            continue
        how = "signal" if exit_.get("signal") is not None else "code"
        expected = exit_.get("expected") is True
        text = (
            f"exit by {how} {shown(exit_.get(how), 20)}, {'expected' if expected else 'nobody asked for it'}"
        )
        replica.unexpected_exits += not expected
        replica.downs.append((at_ns, next((start for start in starts if start > at_ns), None), text))
        replica.marks.append(Mark(at_ns, "exit" if expected else "crash", text))


def _thin(points: list[Point]) -> list[Point]:
    """Restarts and their neighbours, and evenly many of the rest: the line between them is monotone."""
    if len(points) <= MAX_POINTS:
        return points
    stride = -(-len(points) // MAX_POINTS)
    last = len(points) - 1
    return [
        point
        for place, point in enumerate(points)
        if place % stride == 0 or place == last or point.restart or points[place + 1].restart
    ][: 4 * MAX_POINTS]


def _fewer_marks(folder: RunFolder, replica: Replica) -> list[Mark]:
    """At most ``MAX_MARKS`` of each kind, spread evenly, and said so."""
    groups: dict[str, list[Mark]] = {}
    for mark in replica.marks:
        groups.setdefault(mark.kind, []).append(mark)
    kept = []
    for kind, marks in groups.items():
        if len(marks) > MAX_MARKS:
            stride = -(-len(marks) // MAX_MARKS)
            folder.notice(
                f"replicas/{replica.name}/trace.jsonl",
                f"{len(marks):,} {kind} events; every {stride}th is drawn, all are counted",
            )
            marks = marks[::stride]
        kept += marks
    return sorted(kept, key=lambda mark: mark.at_ns)
