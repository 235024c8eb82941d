"""Faults asked for against faults observed, and the ledger of what they cost.

A fault is what the plan wished; it happened only if a receipt says so. The lanes show three different
things: asked, in effect (between the receipts), and what was never undone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reports.untrusted import counted, integer, listing, mapping, shown, time_ns

MAX_FAULTS = 300
MAX_WINDOWS = 5_000
MAX_CELLS = 500
_COUNTS = ("dropped", "altered", "emitted", "delayed", "held_back", "held")
_BOUNDS = ("since_ns", "held_until_ns")
"""Between which times the rules were in force for certain: faults.jsonl has them."""
_OF_A_SCRIPT = frozenset({"stages", "stuck", "actions", "script", "final"})
STEPS = ("asked", "took-effect", "no-effect", "undo-asked", "undone", "undo-failed")


@dataclass(frozen=True, slots=True)
class Step:
    """One line of faults.jsonl; ``evidence`` is the receipt or the reason."""

    at_ns: int
    step: str
    evidence: str


Cell = tuple[str, str, str, str, int]
"""Message type, action, phase, role of the sender, and how often."""


@dataclass(slots=True)
class Fault:
    """A fault with everything that was planned for it and seen of it."""

    id: str
    kind: str
    params: str = ""
    planned_start_ns: int | None = None
    planned_stop_ns: int | None = None
    steps: list[Step] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    """What its rules did to packets, by its last receipt."""

    def first(self, step: str) -> Step | None:
        return next((entry for entry in self.steps if entry.step == step), None)

    @property
    def outcome(self) -> str:
        """In words: what can be said of this fault from its receipts."""
        if not self.steps:
            return "never asked"
        if not self.first("took-effect"):
            return "no effect" if self.first("no-effect") else "no receipt"
        if self.first("undone"):
            return "took effect, undone"
        return "undo failed" if self.first("undo-failed") else "took effect, not undone"

    @property
    def level(self) -> str:
        """The status class of the outcome."""
        outcome = self.outcome
        if outcome == "took effect, undone":
            return "valid"
        return "unknown" if outcome in ("never asked", "no effect", "no receipt") else "invalid"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a fault's lane: ``asked``, ``effect`` or ``undoing``."""

    from_ns: int
    to_ns: int
    state: str


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of the ledger in which the same replicas were bad."""

    from_ns: int
    to_ns: int
    bad: str
    reasons: str
    over: str
    """Why liveness is not demanded meanwhile; empty if it is."""


def read_faults(
    plan: Mapping[str, object], lines: Iterable[tuple[int, Mapping[str, object]]]
) -> tuple[list[Fault], int]:
    """Faults in the order they were planned, then those nobody planned; and how many were left out."""
    faults: dict[str, Fault] = {}
    left_out = 0
    for entry in listing(plan.get("faults")):
        planned = mapping(entry)
        fault = _fault(faults, planned.get("id"), planned.get("kind"))
        if fault is None:
            left_out += 1
            continue
        fault.params = _params(mapping(planned.get("params")))
        fault.planned_start_ns = time_ns(planned.get("start_ns"))
        fault.planned_stop_ns = time_ns(planned.get("stop_ns"))
    for _, line in lines:
        at_ns, step = time_ns(line.get("time_ns")), line.get("step")
        if at_ns is None or step not in STEPS:
            continue
        fault = _fault(faults, line.get("fault"), line.get("kind"))
        if fault is None or len(fault.steps) >= 100:
            left_out += 1
            continue
        evidence = mapping(line.get("receipt"))
        text = _receipt(evidence) if evidence else (shown(line["reason"]) if line.get("reason") else "")
        fault.steps.append(Step(at_ns, str(step), text))
        if evidence.get("cells"):
            fault.cells = _cells(evidence.get("cells"))
    return list(faults.values()), left_out


def coverage(faults: Iterable[Fault]) -> list[Cell]:
    """Of all together, in order, and no more than ``MAX_CELLS``."""
    counts: dict[tuple[str, str, str, str], int] = {}
    for fault in faults:
        for *cell, count in fault.cells:
            kind, action, phase, role = cell
            counts[kind, action, phase, role] = counts.get((kind, action, phase, role), 0) + count
    return [(*cell, counts[cell]) for cell in sorted(counts)][:MAX_CELLS]


def _cells(value: object) -> list[Cell]:
    found: list[Cell] = []
    for entry in listing(value)[:MAX_CELLS]:
        row = listing(entry)
        count = integer(row[4]) if len(row) == 5 else None
        if count is not None:
            found.append((shown(row[0], 30), shown(row[1], 30), shown(row[2], 30), shown(row[3], 30), count))
    return found


def _fault(faults: dict[str, Fault], name: object, kind: object) -> Fault | None:
    text = shown(name, 60)
    if text not in faults:
        if len(faults) >= MAX_FAULTS:
            return None
        faults[text] = Fault(text, "")
    fault = faults[text]
    if not fault.kind and kind is not None:
        fault.kind = shown(kind, 40)
    return fault


def _receipt(evidence: Mapping[str, object]) -> str:
    """What was done to packets in words, cells apart (they have a table of their own); the rest as it is."""
    matched = integer(evidence.get("matched"))
    if matched is None:
        return _fields(evidence)
    force = "in force" if evidence.get("in_force") else "no longer in force"
    counts = {name: integer(evidence.get(name)) for name in _COUNTS}
    did = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items() if count)
    parts = [f"{force}; {counted(matched, 'packet')} matched" + (f": {did}" if did else "")]
    if targets := mapping(evidence.get("targets")):
        parts.append(f"sent to {_fields(targets)}")
    parts += [_rule(mapping(rule)) for rule in listing(evidence.get("rules"))[:20] if mapping(rule)]
    known = {"matched", "in_force", "targets", "rules", "cells", *_COUNTS, *_BOUNDS}
    more = {name: value for name, value in evidence.items() if name not in known}
    return "; ".join([*parts, *([_fields(more)] if more else [])])


def _rule(told: Mapping[str, object]) -> str:
    """Of a rule. A script: which stages it reached, and what each of its actions did to packets."""
    if "stages" not in told:
        return f"rule: {_fields(told)}"
    stages = [shown(mapping(stage).get("stage"), 80) for stage in listing(told.get("stages"))[:20]]
    parts = [f"stages reached: {', '.join(stages) or 'none'}"]
    if told.get("stuck"):
        parts.append(f"stuck: {shown(told['stuck'], 120)}")
    actions = {
        name: integer(mapping(one).get("matched")) for name, one in mapping(told.get("actions")).items()
    }
    did = [f"{shown(name, 60)} {count:,}" for name, count in list(actions.items())[:20] if count is not None]
    if did:
        parts.append(f"packets matched by its actions: {', '.join(did)}")
    more = {name: value for name, value in told.items() if name not in _OF_A_SCRIPT and value not in ([], "")}
    return "; ".join([*parts, *([_fields(more)] if more else [])])


def _params(values: Mapping[str, object]) -> str:
    """As planned; of a script its name and what it is about (plan.json has the rest)."""
    script = mapping(values.get("script"))
    if not script:
        return _fields(values)
    about = "; ".join(shown(str(script[name]).strip(), 300) for name in ("name", "about") if script.get(name))
    stages = f"a script of {counted(len(listing(script.get('stages'))), 'stage')}"
    more = _fields({name: value for name, value in values.items() if name != "script"})
    return "; ".join(part for part in (stages, about, more) if part)


def _fields(values: Mapping[str, object], depth: int = 3) -> str:
    """``replicas [2], killed (1 (pid 13, signal 9))``: an object as one line."""
    return ", ".join(
        f"{shown(name, 40).replace('_', ' ')} {_value(value, depth)}"
        for name, value in list(values.items())[:20]
    )


def _value(value: object, depth: int) -> str:
    inner = mapping(value)
    if inner and depth:
        return f"({_receipt(inner) if 'matched' in inner else _fields(inner, depth - 1)})"
    entries = listing(value)
    if depth and entries and all(mapping(entry) for entry in entries):
        return "; ".join(f"({_fields(mapping(entry), depth - 1)})" for entry in entries[:20])
    return shown(value, 120)


def segments(fault: Fault, end_ns: int) -> list[Segment]:
    """The fault's lane. What was never undone goes on to the end of the run."""
    found: list[Segment] = []
    since: int | None = None
    state = ""
    following = {"asked": "asked", "took-effect": "effect", "undo-asked": "undoing", "undo-failed": "effect"}
    for step in sorted(fault.steps, key=lambda entry: entry.at_ns):
        # A fault whose undoing began before its receipt came was asked for, no more.
        if since is not None:
            found.append(Segment(since, step.at_ns, state))
        state = following.get(step.step, "")
        since = step.at_ns if state else None
    if since is not None:
        found.append(Segment(since, max(since, end_ns), state))
    return found


def _over(window: Mapping[str, object]) -> str:
    """The network may lose or delay what correct replicas say to each other, or too many are bad."""
    return "network unreliable" if window.get("asynchronous") else "beyond f"


def read_ledger(ledger: Mapping[str, object]) -> list[Window]:
    """The windows in which something was bad."""
    windows = []
    for entry in listing(ledger.get("windows"))[:MAX_WINDOWS]:
        window = mapping(entry)
        start, end = time_ns(window.get("from_ns")), time_ns(window.get("to_ns"))
        bad = [number for value in listing(window.get("bad")) if (number := integer(value)) is not None]
        within = window.get("within_liveness_budget") is not False
        if start is None or end is None or end < start or (not bad and within):
            continue
        reasons = mapping(window.get("reasons"))
        text = "; ".join(
            f"{'r' if str(name).isdigit() else ''}{shown(name, 20)}: {shown(reason, 120)}"
            for name, reason in list(reasons.items())[:40]
        )
        named = ", ".join(f"r{number}" for number in bad[:40])
        windows.append(Window(start, end, named, text, "" if within else _over(window)))
    return windows
