"""A made-up run folder in the documented formats, for tests of the report only. Nothing in it ever ran.

Same seed, same bytes. Replicas 0 and 1 are killed and restarted, 2 is paused, 3 cut off; views change;
a few operations end as ``info``. ``invalid=True`` adds a stale read with its counterexample.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path

from synthetic_verdict import LOAD, SECOND, START, Shape, counterexample, verdict


def write_run(folder: Path, **options: object) -> Path:
    """Write a whole run folder and return it."""
    shape = Shape(**options)  # type: ignore[arg-type]
    folder.mkdir(parents=True, exist_ok=True)
    faults = _faults(shape)
    _json(folder / "plan.json", _plan(shape, faults))
    _history(shape, faults)
    _lines(folder / "history.jsonl", shape.events)
    _lines(folder / "faults.jsonl", _fault_steps(shape, faults))
    _json(folder / "ledger.json", _ledger(shape))
    _json(folder / "run.json", _run(shape))
    for number in range(shape.nodes):
        _replica(shape, folder / "replicas" / str(number), number)
    example = counterexample(shape) if shape.invalid else None
    if example:
        _json(folder / "counterexample.json", example)
    _json(folder / "verdict.json", verdict(shape))
    _json(folder / "manifest.json", _manifest(shape, folder))
    return folder


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")


def _lines(path: Path, values: Iterable[Mapping[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(value) + "\n" for value in values))


def _faults(shape: Shape) -> list[dict[str, object]]:
    def fault(name: str, kind: str, start: float, stop: float, **params: object) -> dict[str, object]:
        length = shape.seconds * SECOND
        return {
            "id": name,
            "kind": kind,
            "start_ns": int(start * length),
            "stop_ns": int(stop * length),
            "params": params,
        }

    return [
        fault("kill-1", "kill", 0.1, 0.25, replicas=[0]),
        fault("partition-1", "partition", 0.35, 0.5, shape="isolate", replicas=[3]),
        fault("pause-1", "pause", 0.6, 0.75, replicas=[2]),
        fault("kill-2", "kill", 0.85, 0.95, replicas=[1]),
    ]


def _plan(shape: Shape, faults: list[dict[str, object]]) -> dict[str, object]:
    return {
        "schema": "traitor/plan/1",
        "name": "kv",
        "seed": shape.seed,
        "world": "live",
        "duration_ns": shape.seconds * SECOND,
        "budget": "within",
        "cluster": {"nodes": shape.nodes, "service": "kv", "auth": "hybrid"},
        "workload": {"name": "kv", "model": "kv", "params": {}},
        "operation_timeout_ns": 5 * SECOND,
        "clients": [{"retry": True, "operations": []} for _ in range(shape.clients)],
        "faults": faults,
        "final_reads": [],
    }


def _history(shape: Shape, faults: list[dict[str, object]]) -> None:
    rng = random.Random(shape.seed)
    store: dict[str, str | None] = {}
    lines: list[tuple[int, int, dict[str, object]]] = []
    process = shape.clients
    number = 0
    gap = shape.seconds * SECOND * shape.clients / max(1, shape.operations)
    for client in range(shape.clients):
        now = LOAD + rng.randrange(SECOND // 50)
        current = client
        while now < shape.end:
            number += 1
            base = {"process": current, **_operation(rng, number, shape.keys)}
            took = int(rng.lognormvariate(15.2, 0.5)) + (
                rng.randrange(2 * SECOND) if _disturbed(shape, now) and rng.random() < 0.04 else 0
            )
            took = min(took, int(gap * 4) + 1_000_000)
            lost = _disturbed(shape, now) and rng.random() < 0.004
            asked = {"client": 1000 + client, "timestamp": number, "phase": "load"}
            lines.append((now, 2 * number, {**base, **asked, "type": "invoke"}))
            now += took
            if lost:
                lines.append((now, 2 * number + 1, {**base, "type": "info", "error": "timeout"}))
                current, process = process, process + 1
            else:
                answer = {"type": "ok", "output": _apply(store, base), "view": _view(shape, now)}
                lines.append((now, 2 * number + 1, {**base, **answer, "replicas": [0, 2]}))
            now += max(1, int(rng.expovariate(1) * max(0.0, gap - took)))
    for fault in faults:
        for what, key in (("start", "start_ns"), ("stop", "stop_ns")):
            info = {
                "process": "nemesis",
                "type": "info",
                "f": what,
                "fault": fault["id"],
                "kind": fault["kind"],
            }
            lines.append((LOAD + int(str(fault[key])), 0, info))
    lines.sort(key=lambda line: line[:2])
    shape.events = [{"schema": "traitor/history/1", "model": "kv", "initial": None}]
    shape.events += [{"index": i, "time_ns": at, **event} for i, (at, _, event) in enumerate(lines)]


def _operation(rng: random.Random, number: int, keys: int) -> dict[str, object]:
    key = f"k{min(rng.randrange(keys), rng.randrange(keys))}"
    f = rng.choices(["get", "put", "cas", "delete"], [5, 4, 1, 0.3])[0]
    given = {"put": f"v{number}", "cas": [f"v{max(1, number - 5)}", f"v{number}"]}.get(f)
    return {"f": f, "key": key, "input": given}


def _apply(store: dict[str, str | None], operation: Mapping[str, object]) -> object:
    key, given, actual = str(operation["key"]), operation["input"], store.get(str(operation["key"]))
    if operation["f"] == "get":
        return actual
    if operation["f"] == "cas":
        assert isinstance(given, list)
        swapped = actual == given[0]
        if swapped:
            store[key] = given[1]
        return [swapped, actual]
    store[key] = None if operation["f"] == "delete" else str(given)
    return None


def _disturbed(shape: Shape, now: int) -> bool:
    part = (now - LOAD) / (shape.seconds * SECOND)
    return 0.1 <= part <= 0.13 or 0.6 <= part <= 0.63 or 0.85 <= part <= 0.88


def _view(shape: Shape, now: int) -> int:
    part = (now - LOAD) / (shape.seconds * SECOND)
    return (part > 0.12) + (part > 0.62) + (part > 0.87)


def _fault_steps(shape: Shape, faults: list[dict[str, object]]) -> list[dict[str, object]]:
    receipts = {
        "kill": ({"pid": 4711, "signal": 9}, {"pid": 4733, "ready_after_ms": 61}),
        "partition": ({"packets_dropped": 318, "links": 6}, {"packets_after_heal": 122}),
        "pause": ({"state": "T", "confirmed_ms": 1.5}, {"state": "S"}),
    }
    steps: list[dict[str, object]] = [{"schema": "traitor/faults/1"}]
    for fault in faults:
        start, stop = LOAD + int(str(fault["start_ns"])), LOAD + int(str(fault["stop_ns"]))
        base = {"fault": fault["id"], "kind": fault["kind"]}
        did, undid = receipts[str(fault["kind"])]
        steps += [
            {"time_ns": start, **base, "step": "asked"},
            {"time_ns": start + 4_000_000, **base, "step": "took-effect", "receipt": did},
            {"time_ns": stop, **base, "step": "undo-asked"},
            {"time_ns": stop + 70_000_000, **base, "step": "undone", "receipt": undid},
        ]
    return steps


def _ledger(shape: Shape) -> dict[str, object]:
    cuts = [(0.1, 0.25, 0, "killed by kill-1"), (0.35, 0.5, 3, "cut off by partition-1")]
    cuts += [(0.6, 0.75, 2, "paused by pause-1"), (0.85, 0.95, 1, "killed by kill-2")]
    windows: list[dict[str, object]] = []
    now = START
    for start, stop, replica, why in cuts:
        windows.append(_window(now, shape.at(start), [], {}))
        windows.append(_window(shape.at(start), shape.at(stop), [replica], {str(replica): why}))
        now = shape.at(stop)
    windows.append(_window(now, shape.end + 2 * SECOND, [], {}))
    return {
        "schema": "traitor/ledger/1",
        "n": shape.nodes,
        "f": (shape.nodes - 1) // 3,
        "byzantine": [],
        "safety_demanded": True,
        "windows": windows,
    }


def _window(start: int, end: int, bad: list[int], reasons: dict[str, str]) -> dict[str, object]:
    return {
        "from_ns": start,
        "to_ns": end,
        "bad": bad,
        "reasons": reasons,
        "within_liveness_budget": len(bad) <= 1,
    }


def _run(shape: Shape) -> dict[str, object]:
    marks = [
        START,
        START + SECOND,
        LOAD,
        shape.end,
        shape.end + SECOND // 4,
        shape.end + SECOND,
        shape.end + 2 * SECOND,
    ]
    names = ["set up", "healthy", "load", "undo", "recover", "final reads"]
    phases = [
        {"name": name, "start_ns": marks[i], "end_ns": marks[i + 1], "ok": True, "detail": ""}
        for i, name in enumerate(names)
    ]
    exits = [
        {"replica": 0, "time_ns": shape.at(0.1) + 2_000_000, "code": None, "signal": 9, "expected": True},
        {"replica": 1, "time_ns": shape.at(0.85) + 2_000_000, "code": None, "signal": 9, "expected": True},
    ]
    if shape.invalid:
        lines = ["Traceback (most recent call last):", "AssertionError: sequence number 812 executed twice"]
        crash = {"replica": 3, "time_ns": shape.at(0.97), "code": 1, "signal": None, "expected": False}
        exits.append({**crash, "last_lines": lines})
    return {
        "schema": "traitor/run/1",
        "started_utc": "2025-01-01T00:00:00Z",
        "phases": phases,
        "exits": exits,
        "lag": {"max_ns": 8_400_000, "over_50ms": 0},
        "interrupted": None,
        "harness_errors": [],
    }


def _replica(shape: Shape, folder: Path, number: int) -> None:
    rng = random.Random(1_000 * shape.seed + number)
    digest = hashlib.sha256(b"made up").hexdigest()
    trace: list[dict[str, object]] = []

    def add(at_ns: int, kind: str, **fields: object) -> None:
        trace.append({"t_ns": at_ns, "e": kind, **fields})

    add(
        START + 200_000_000,
        "started",
        schema="traitor/trace/1",
        replica=number,
        view=0,
        active=True,
        executed=0,
    )
    for part, view in ((0.11, 1), (0.61, 2), (0.86, 3)):
        primary = (view - 1) % shape.nodes
        if number != primary and not _away(shape, number, part):
            at_ns = shape.at(part) + rng.randrange(20_000_000)
            add(at_ns, "view-change", view=view, reason="request timeout")
            add(at_ns + 180_000_000, "new-view", view=view, primary=view % shape.nodes, min_s=0, max_s=9)
    step = shape.seconds * SECOND * 4 // max(4, shape.operations)
    down = False
    for seq in range(1, shape.operations // 4 + 1):
        at_ns = LOAD + seq * step
        part = (at_ns - LOAD) / (shape.seconds * SECOND)
        away = _away(shape, number, part)
        if away:
            down = True
            continue
        if down:
            down = False
            view = _view(shape, at_ns)
            started = {
                "replica": number,
                "view": view,
                "active": True,
                "executed": seq - 60,
                "stable": seq - 60,
            }
            add(at_ns, "started" if number in (0, 1) else "new-view", **started, records=40)
            add(at_ns, "rejected", sender=(number + 1) % 4, message="prepare", reason="old view")
        add(at_ns + rng.randrange(2_000_000), "executed", seq=seq, digest=digest, requests=[])
        if seq % 128 == 0:
            add(at_ns + 2_500_000, "checkpoint", seq=seq, digest=digest)
            add(at_ns + 4_000_000, "stable", seq=seq, digest=digest)
    _lines(folder / "trace.jsonl", sorted(trace, key=lambda line: int(str(line["t_ns"]))))
    samples = [
        {
            "time_ns": LOAD + i * SECOND,
            "cpu_percent": 20.5,
            "rss_bytes": 31_000_000 + 9_000 * i,
            "open_files": 9,
        }
        for i in range(shape.seconds)
    ]
    _lines(folder / "resources.jsonl", samples)


def _away(shape: Shape, number: int, part: float) -> bool:
    gone = {0: (0.1, 0.252), 3: (0.35, 0.502), 2: (0.6, 0.752), 1: (0.85, 0.952)}.get(number)
    return gone is not None and gone[0] <= part <= gone[1]


def _manifest(shape: Shape, folder: Path) -> dict[str, object]:
    files = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("manifest.json", "report.html")
    }
    return {
        "schema": "traitor/manifest/1",
        "name": "kv",
        "seed": shape.seed,
        "versions": {"traitor": "0.1.0", "python": "3.11.7"},
        "commit": "made up, clean",
        "environment": {"kernel": "6.1.0", "cores": 2, "machine": "x86_64"},
        "command": f"traitor run --seed {shape.seed}",
        "reproduce": f"traitor run --seed {shape.seed} --time {shape.seconds} --fault kill --fault pause",
        "files": files,
    }
