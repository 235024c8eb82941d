"""Every kind of fault, many seeds each, in ``sim``: ``make sweep-attacks SEEDS=1000``.

For each kind one ``traitor sweep``; then a line each: runs, exit codes, packets that met a rule, alarms (runs
judged invalid), runs in which no fault took effect. All plans stay within budget, so an alarm is a bug of the
replicas or of the judge, and a run without effect tested nothing. Exit code 0: neither was seen.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from harness.coverage import Cells, cells_from, in_columns, table, write
from nemesis.faults import KINDS

_HEAD = ["kind", "runs", "exit 0", "exit 1", "exit 3", "exit 4", "activations", "alarms", "without effect"]


def main() -> int:
    """Sweep, tell, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seeds", type=int, default=1000, help="of each kind (1000)")
    parser.add_argument("--fault", action="append", metavar="NAME", help="only this kind; may be repeated")
    parser.add_argument("--jobs", default=None, help="worker processes (one a core)")
    parser.add_argument("--time", default="8", help="of each load, in virtual time (8)")
    parser.add_argument("--rate", default="40", help="operations a second (40)")
    parser.add_argument("--out", type=Path, default=Path("runs/attacks"), help="where failures are kept")
    options = parser.parse_args()
    rows, cells, bad = [_HEAD], Counter[tuple[str, str, str, str]](), False
    for kind in options.fault or KINDS:
        found = _sweep(kind, options)
        row, of_kind = _row(kind, found)
        rows.append(row)
        cells += of_kind
        bad = bad or row[7] != "0" or row[8] != "0" or row[5] != "0"
        print(in_columns([_HEAD, row]), flush=True)
    write(cells, options.out)
    print(f"\n{table(cells)}\n\n{in_columns(rows)}")
    (options.out / "attacks.txt").write_text(in_columns(rows) + "\n", encoding="utf-8")
    return 1 if bad else 0


def _sweep(kind: str, options: argparse.Namespace) -> dict[str, object]:
    command = [sys.executable, "-m", "harness", "sweep", "--world", "sim", "--fault", kind, "--json"]
    command += ["--seeds", f"0..{options.seeds - 1}", "--time", options.time, "--rate", options.rate]
    command += ["--set", "contention=0.4", "--out", str(options.out / kind)]
    command += [] if options.jobs is None else ["--jobs", options.jobs]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    found = json.loads(done.stdout) if done.stdout.startswith("{") else None
    if not isinstance(found, dict):
        sys.exit(f"traitor sweep --fault {kind} ended with exit code {done.returncode} and no result")
    return found


def _row(kind: str, found: dict[str, object]) -> tuple[list[str], Cells]:
    verdicts, idle, faults = found["verdicts"], found["idle"], found["faults"]
    assert isinstance(verdicts, dict)
    assert isinstance(idle, dict)
    assert isinstance(faults, dict)
    coverage = found["coverage"]
    assert isinstance(coverage, dict)
    cells = cells_from(coverage["cells"])
    activations = sum(cells.values()) or faults.get(kind, {}).get("took_effect", 0)
    codes = [
        verdicts["valid"],
        verdicts["invalid"],
        verdicts["unknown"] + verdicts["uncovered"],
        verdicts["harness"],
    ]
    counts = [found["done"], *codes, activations, verdicts["invalid"], idle.get(kind, 0)]
    return [kind, *map(str, counts)], cells


if __name__ == "__main__":
    sys.exit(main())
