"""From a run folder, or a bare history with its verdict, to one page.

The page depends on the folder's files alone: the same folder gives the same bytes. It is written beside
its final place and moved there, so that a reader never meets half a page.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from checker.seal import Broken, broken_seals
from reports import columns, details, page
from reports.anomalies import Anomalies, read_anomalies
from reports.axis import Axis, Phase, make_axis, read_phases
from reports.counterexample import Counterexample, read_counterexample
from reports.evidence import Certificate, read_certificate
from reports.faults import Fault, Step, Window, coverage, read_faults, read_ledger
from reports.guilt import liars
from reports.operations import Bucket, History, buckets, by_function, read_history
from reports.overview import draw_overview
from reports.replicas import Replica, read_replicas
from reports.run_folder import RunFolder
from reports.untrusted import duration, integer, listing, mapping, shown
from reports.verdict_view import read_banner, read_lines, rows

REPORT = "report.html"
OVERVIEW_BUCKETS, TABLE_BUCKETS = 120, 30
MAX_BROKEN = 20


@dataclass(frozen=True, slots=True)
class _Judged:
    """What stands behind the line linearizability."""

    counterexample: Counterexample | None
    anomalies: Anomalies | None
    certificate: Certificate | None


@dataclass(frozen=True, slots=True)
class _Sources:
    """Everything a page is drawn from."""

    folder: RunFolder
    plan: Mapping[str, object]
    run: Mapping[str, object]
    manifest: Mapping[str, object]
    verdict: Mapping[str, object]
    judged: _Judged
    history: History
    faults: Sequence[Fault]
    windows: Sequence[Window]
    replicas: Sequence[Replica]
    phases: Sequence[Phase]
    axis: Axis
    title: str
    broken: Sequence[Broken] = ()
    history_file: str = "history.jsonl"


def render(run_folder: Path) -> Path:
    """Write ``report.html`` into the run folder and return its path. Any file may be missing."""
    folder = RunFolder(run_folder)
    plan = folder.document("plan.json", "the plan, seed and cluster are unknown")
    run = folder.document("run.json", "no phases, exits or harness lag")
    manifest = folder.document("manifest.json", "no environment, no reproduce command, no hashes")
    verdict = folder.document("verdict.json", "not judged")
    document = folder.document("counterexample.json", None)
    history = read_history(folder.lines("history.jsonl", "no operations to show"))
    faults, left_out = read_faults(plan, folder.lines("faults.jsonl", "what the nemesis did is unknown"))
    if left_out:
        folder.notice("faults.jsonl", f"{left_out:,} entries beyond this page's limits left out")
    ledger = folder.document("ledger.json", "no budget of bad replicas")
    windows = read_ledger(ledger)
    nodes = integer(mapping(plan.get("cluster")).get("nodes"))
    replicas = read_replicas(folder, run, nodes)
    for replica in replicas:
        replica.liar = replica.name in liars(ledger)
    phases = read_phases(run)
    name = manifest.get("name") or plan.get("name") or run_folder.name
    seed = plan.get("seed", manifest.get("seed"))
    title = shown(name, 60) if seed is None else f"{shown(name, 60)}, seed {shown(seed, 30)}"
    sources = _Sources(
        folder, plan, run, manifest, verdict, _judged(folder, verdict, document, history, "history.jsonl"),
        history, faults, windows, replicas, phases, _axis(phases, history, faults), title,
        list(broken_seals(run_folder, but=frozenset())),
    )  # fmt: skip
    return _write(run_folder / REPORT, _page(sources))


def render_history(
    history: Path,
    verdict_json: Mapping[str, object],
    counterexample: Mapping[str, object] | None,
    out: Path,
) -> Path:
    """Write a page for a bare history that was judged on its own, and return ``out``."""
    folder = RunFolder(history.parent)
    read = read_history(folder.lines(history.name, "no operations to show"))
    sources = _Sources(
        folder, {}, {}, {}, verdict_json,
        _judged(folder, verdict_json, counterexample or {}, read, history.name), read, (), (), (), (),
        _axis((), read, ()), shown(history.name, 60), (), shown(history.name, 60),
    )  # fmt: skip
    return _write(out, _page(sources))


def _judged(
    folder: RunFolder,
    verdict: Mapping[str, object],
    counterexample: Mapping[str, object],
    history: History,
    history_file: str,
) -> _Judged:
    lines = [mapping(line) for line in listing(verdict.get("lines"))]
    line = next((line for line in lines if line.get("name") == "linearizability"), {})
    return _Judged(
        read_counterexample(counterexample, history.operations),
        read_anomalies(mapping(line.get("details")), history.operations),
        read_certificate(folder, line, counterexample, history_file),
    )


def _axis(phases: Sequence[Phase], history: History, faults: Sequence[Fault]) -> Axis:
    first = min((operation.call_ns for operation in history.operations), default=None)
    extent = None if first is None else (first, max(first, history.last_ns))
    return make_axis(phases, extent, [step.at_ns for fault in faults for step in fault.steps])


def _page(sources: _Sources) -> str:
    folder, axis, operations = sources.folder, sources.axis, sources.history.operations
    for problem in sources.history.problems:
        folder.notice(sources.history_file, problem)
    if len(operations) > columns.MAX_OPERATIONS:
        folder.notice(
            sources.history_file, f"the time line shows the first {columns.MAX_OPERATIONS:,} operations"
        )
    for seal in sources.broken[:MAX_BROKEN]:
        folder.notice(shown(seal.file, 120), shown(seal.told, 300))
    if len(sources.broken) > MAX_BROKEN:
        folder.notice("manifest.json", f"{len(sources.broken) - MAX_BROKEN:,} more files do not match it")
    lines = read_lines(sources.verdict)
    timeline = bool(operations or sources.replicas or sources.faults)
    drawn = buckets(operations, axis.from_ns, axis.to_ns, axis.zero_ns, OVERVIEW_BUCKETS)
    environment, files, checked = details.environment(sources.manifest, sources.broken)
    context = {
        "title": sources.title,
        "banner": read_banner(sources.verdict, lines, len(operations), sources.broken),
        "lines": rows(lines),
        "facts": details.facts(sources.plan, sources.run, sources.history, axis, sources.verdict),
        "reproduce": details.reproduce(sources.manifest, folder),
        "counterexample": sources.judged.counterexample,
        "anomalies": sources.judged.anomalies,
        "certificate": sources.judged.certificate,
        "timeline": timeline,
        "summary": details.summary(sources.history, sources.faults, sources.replicas, axis),
        "overview": draw_overview(axis, drawn, sources.faults) if timeline else Markup(""),
        "buckets": _table(sources),
        "axis": axis,
        "faults": sources.faults,
        "cells": coverage(sources.faults),
        "windows": sources.windows,
        "f_text": details.tolerated(sources.plan),
        "replicas": sources.replicas,
        "crashes": details.crashes(sources.run),
        "functions": by_function(operations) if operations else [],
        "phases": sources.phases,
        "environment": environment,
        "files": files,
        "checked": checked,
        "data": columns.encode(_data(sources)) if timeline else "",
        "notices": list(folder.notices),
        "length": lambda ns: "—" if ns is None else duration(ns),
        "since": lambda ns, start: "never" if ns is None else duration(ns - start),
        "planned": lambda fault: details.planned(fault),
        "at": lambda step: axis.seconds(step.at_ns) if isinstance(step, Step) else "—",
        "evidence": lambda step: step.evidence if isinstance(step, Step) else "",
        "replica_cells": details.replica_cells,
    }
    return page.fill(context)


def _data(sources: _Sources) -> dict[str, object]:
    axis = sources.axis
    drawn = sources.history.operations[: columns.MAX_OPERATIONS]
    example = sources.judged.counterexample
    return {
        **columns.time_columns(axis, sources.phases, sources.faults, sources.windows),
        "operations": columns.operation_columns(drawn, axis),
        "replicas": columns.replica_columns(sources.replicas, axis),
        "counterexample": [entry.index for entry in example.entries] if example else [],
    }


@dataclass(frozen=True, slots=True)
class _Row:
    bucket: Bucket
    faults: str


def _table(sources: _Sources) -> list[_Row]:
    """The buckets as text, with the faults that were in effect in each."""
    axis = sources.axis
    rows = []
    for bucket in buckets(sources.history.operations, axis.from_ns, axis.to_ns, axis.zero_ns, TABLE_BUCKETS):
        active = details.in_effect(sources.faults, bucket.from_ns, bucket.to_ns, axis.to_ns)
        rows.append(_Row(bucket, ", ".join(active[:8]) + (" …" if len(active) > 8 else "")))
    return rows


def _write(path: Path, text: str) -> Path:
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(text.encode("utf-8"))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path
