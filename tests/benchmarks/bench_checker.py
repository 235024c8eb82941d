"""``make bench-checker``: what judging costs, each row in a process of its own, against the goals.

    make bench-checker                              everything, about five minutes
    make bench-checker ARGS="registers stale"       some rows
    make bench-checker ARGS="--quick"               a tenth of the operations, to see that it works

A row is a goal and a function that prepares a history (not measured) and returns what is to be measured: the
judge's own path, audits included. Time is processor time of that process; memory is its peak, the history in
it. A goal is met only if the verdict is the right one. Exit codes: 0 measured (goals met or not) · 1 a wrong
verdict · 2 wrong use · 130 interrupted.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from checker_rows import ROWS as REGISTER_ROWS
from checker_rows import Row
from machine import describe, warning
from structure_rows import rows
from tables import Rows, print_rows
from witness_rows import rows as witness_rows

from harness.scratch import scratch_folder

ROWS: Mapping[str, Row] = {**REGISTER_ROWS, **dict(rows()), **dict(witness_rows())}
_LONGEST_S = 900.0
"""A row that takes longer is ended: it is not measured, but missed."""


def measure(row: Row, scale: float, scratch: Path) -> dict[str, object]:
    """The row, prepared and run in a fork."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_run, args=(row, scale, scratch, theirs))
    child.start()
    theirs.close()
    try:
        if ours.poll(_LONGEST_S):
            found = ours.recv_bytes()
            return dict(json.loads(found))
        return {"verdict": f"ended after {_LONGEST_S:.0f} s"}
    except EOFError:
        return {"verdict": "died"}
    finally:
        child.kill()
        child.join()


def _run(row: Row, scale: float, scratch: Path, answer: Connection) -> None:
    job = row.prepare(scale, scratch)
    gc.collect()
    before, start, cpu = _peak_mb(), time.monotonic(), time.process_time()
    outcome = job()
    found = {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.monotonic() - start,
        "peak_mb": _peak_mb(),
        "history_mb": before,
        "verdict": outcome.verdict,
        "figures": outcome.figures,
        "within": outcome.within,
    }
    answer.send_bytes(json.dumps(found).encode())


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def shown(name: str, row: Row, found: Mapping[str, object]) -> dict[str, object]:
    """As a line of the table."""
    if "cpu_s" not in found:
        return dict.fromkeys(("row", "goal", "cpu_s", "wall_s", "peak_mb", "history_mb"), "") | {
            "row": name, "goal": row.goal, "found": found["verdict"], "": "MISSED",
        }  # fmt: skip
    cpu_s, peak_mb = float(str(found["cpu_s"])), int(str(found["peak_mb"]))
    right = found["verdict"] == row.verdict
    met = right and bool(found["within"]) and cpu_s <= row.most_s and peak_mb <= row.most_mb
    words = "met" if met else "MISSED"
    wrong = " (WRONG)" if {found["verdict"], row.verdict} == {"valid", "invalid"} else ""
    return {
        "row": name,
        "goal": row.goal,
        "cpu_s": f"{cpu_s:.2f}",
        "wall_s": f"{float(str(found['wall_s'])):.2f}",
        "peak_mb": peak_mb,
        "history_mb": found["history_mb"],
        "found": f"{found['verdict']}{wrong} {found['figures']}".strip(),
        "": words if row.goal else "",
    }


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="bench-checker", description="What judging costs.")
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)}; all unless told")
    parser.add_argument("--quick", action="store_true", help="a tenth of the operations; goals say little")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there, too")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.rows if name not in ROWS]
    if unknown:
        print(f"bench-checker: no row {unknown[0]!r}: choose from {', '.join(ROWS)}", file=sys.stderr)
        return 2
    machine = describe()
    print("machine: " + ", ".join(f"{name} {value}" for name, value in machine.items()))
    if words := warning(machine):
        print(words)
    table: Rows = []
    results: dict[str, object] = {"schema": "traitor/bench-checker/1", "machine": machine}
    try:
        with scratch_folder() as scratch:
            for name in options.rows or ROWS:
                print(f"  {name}: {ROWS[name].what}", flush=True)
                found = measure(ROWS[name], 0.1 if options.quick else 1.0, scratch)
                results[name] = found
                table.append(shown(name, ROWS[name], found))
                print(f"    {found.get('cpu_s', math.inf):.2f} s, {found['verdict']}", flush=True)
    except KeyboardInterrupt:
        print("bench-checker: interrupted; everything it started is gone", file=sys.stderr)
        return 130
    print(f"\nprocessor time and peak memory of a process each (load average {os.getloadavg()[0]:.1f})")
    print_rows(table)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 1 if any("WRONG" in str(line["found"]) for line in table) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
