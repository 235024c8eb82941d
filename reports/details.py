"""The facts of a run as rows of text: what was asked, where it ran, what became of each replica."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from checker.seal import Broken
from reports.axis import Axis
from reports.faults import Fault, segments
from reports.operations import History
from reports.replicas import Replica
from reports.run_folder import RunFolder
from reports.untrusted import counted, duration, integer, listing, mapping, number_text, shown

MAX_FILES = 500
MAX_FACTS = 60
KNOWN_MANIFEST = {"schema", "files", "reproduce", "name", "seed", "command"}
_ORDINARY = re.compile(r"[\w./:=,+@%-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Crash:
    """An exit nobody asked for, with the last lines of its log."""

    title: str
    text: str


_MODELLED = {"sim": "processes, disks, network, time", "lockstep": "network, time"}


def facts(
    plan: Mapping[str, object],
    run: Mapping[str, object],
    history: History,
    axis: Axis,
    verdict: Mapping[str, object],
) -> list[tuple[str, str]]:
    """Names and values below the verdict."""
    cluster, workload = mapping(plan.get("cluster")), mapping(plan.get("workload"))
    code = verdict.get("exit_code")
    counts = {
        kind: sum(operation.type == kind for operation in history.operations)
        for kind in ("ok", "info", "fail")
    }
    model = workload.get("model") or history.model
    entries: list[tuple[str, object]] = [
        ("seed", plan.get("seed")),
        ("exit code", code),
        ("world", plan.get("world")),
        ("simulated", _simulated(plan)),
        ("replicas", cluster.get("nodes")),
        ("authentication", cluster.get("auth")),
        ("workload", workload.get("name")),
        ("model", model),
        ("clients", len(listing(plan.get("clients"))) or None),
        ("operations", ", ".join(f"{number_text(count)} {kind}" for kind, count in counts.items())),
        ("length", duration(axis.to_ns - axis.from_ns) if history.operations else None),
        ("budget", plan.get("budget")),
        ("started", run.get("started_utc")),
        ("interrupted", run.get("interrupted")),
    ]
    found = [(name, shown(value, 60)) for name, value in entries if value not in (None, "")]
    lag = integer(mapping(run.get("lag")).get("max_ns"))
    if lag is not None:
        found.append(("worst harness lag", duration(lag)))
    errors = listing(run.get("harness_errors"))
    if errors:
        found.append(("harness errors", "; ".join(shown(error) for error in errors[:5])))
    return found


def _simulated(plan: Mapping[str, object]) -> str:
    """What of this run was a model, and not the thing."""
    what = _MODELLED.get(shown(plan.get("world"), 20), "")
    keyed = mapping(plan.get("virtual")).get("signer") == "keyed-hash"
    return f"{what}, signatures" if keyed and what else what


def reproduce(manifest: Mapping[str, object], folder: RunFolder) -> str:
    """The command that runs it again, from the manifest, else from the plan that is there."""
    given = manifest.get("reproduce")
    if isinstance(given, str) and given:
        return shown(given, 1_000)
    if not folder.has("plan.json"):
        return ""
    name = folder.path.name
    return f"traitor run --plan {name if _ORDINARY.fullmatch(name) else shown(repr(name), 300)}/plan.json"


def tolerated(plan: Mapping[str, object]) -> str:
    """f as a number where the plan gives n, else the letter."""
    nodes = integer(mapping(plan.get("cluster")).get("nodes"))
    return "f" if nodes is None else f"f = {(nodes - 1) // 3}"


def summary(history: History, faults: Sequence[Fault], replicas: Sequence[Replica], axis: Axis) -> str:
    """The picture in a sentence, for those who do not see it."""
    took = sum(fault.first("took-effect") is not None for fault in faults)
    views = max((replica.last_view or 0 for replica in replicas), default=0)
    parts = [f"{counted(len(history.operations), 'operation')} over {duration(axis.to_ns - axis.from_ns)}"]
    if faults:
        parts.append(f"{took} of {counted(len(faults), 'fault')} took effect")
    if replicas:
        changes = sum(replica.counts["view-change"] for replica in replicas)
        parts.append(
            f"{len(replicas)} replicas asked for a view change {counted(changes, 'time')} "
            f"and came to view {views}"
        )
    return "; ".join(parts) + "."


def in_effect(faults: Sequence[Fault], from_ns: int, to_ns: int, end_ns: int) -> list[str]:
    """Names of the faults in effect at some time in between."""
    return [
        fault.id
        for fault in faults
        if any(
            part.state == "effect" and part.from_ns < to_ns and part.to_ns > from_ns
            for part in segments(fault, end_ns)
        )
    ]


def planned(fault: Fault) -> str:
    """``3 s – 5 s``, as the plan wished."""
    start, stop = fault.planned_start_ns, fault.planned_stop_ns
    if start is None:
        return "not planned"
    return f"{duration(start)} – {'end' if stop is None else duration(stop)}"


def replica_cells(replica: Replica) -> list[str]:
    """The cells after the name in the table of replicas."""

    def known(value: int | None) -> str:
        return "—" if value is None else number_text(value)

    def counted(kind: str) -> str:
        return number_text(replica.counts[kind]) if replica.traced else "—"

    memory = replica.max_rss_bytes
    return [
        known(replica.last_view),
        counted("view-change"),
        counted("new-view"),
        known(replica.last_executed),
        known(replica.last_stable),
        number_text(replica.lives) if replica.traced else "—",
        number_text(replica.unexpected_exits),
        counted("rejected"),
        counted("alarm"),
        "—" if memory is None else f"{memory / (1 << 20):.1f} MiB",
    ]


def crashes(run: Mapping[str, object]) -> list[Crash]:
    """Exits nobody asked for, at most 20."""
    found: list[Crash] = []
    for entry in listing(run.get("exits")):
        exit_ = mapping(entry)
        if exit_.get("expected") is True or len(found) >= 20:
            continue
        how = "signal" if exit_.get("signal") is not None else "code"
        title = f"Replica {shown(exit_.get('replica'), 20)} ended by {how} {shown(exit_.get(how), 20)}"
        lines = [shown(line, 500) for line in listing(exit_.get("last_lines"))[-50:]]
        found.append(Crash(f"{title}, and nobody asked for it", "\n".join(lines) or "(its log is empty)"))
    return found


def environment(
    manifest: Mapping[str, object], broken: Sequence[Broken]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]], str]:
    """(facts of the machine, (file, sha256) rows, whether the files are those that the manifest names)."""
    rows: list[tuple[str, str]] = []
    for name, value in manifest.items():
        if name in KNOWN_MANIFEST:
            continue
        if isinstance(value, dict):
            rows += [(shown(inner, 40), shown(item)) for inner, item in value.items()]
        else:
            rows.append((shown(name, 40), shown(value)))
    given = mapping(manifest.get("files"))
    files = [(shown(name, 120), shown(digest, 64)) for name, digest in sorted(given.items())[:MAX_FILES]]
    return rows[:MAX_FACTS], files, _compared(given, broken)


def _compared(files: Mapping[str, object], broken: Sequence[Broken]) -> str:
    if not files:
        return "It names none."
    if not broken:
        return "All of them have that hash."
    return f"{len(broken)} of them, named at the top of this page, DO NOT HAVE that hash."
