"""Every kind of fault, many seeds each, in ``sim``: ``make sweep-attacks SEEDS=1000``.

For each kind one ``traitor sweep`` of small clusters with few keys, small windows and short timers, so that
runs are contended, and cross checkpoints and view changes; kinds that lie once more with seven replicas, of
which two lie, SEEDS/20 times. A line each: verdicts, faults with a receipt of those planned, packets that met
a rule, alarms. All plans stay within budget (some scripts within
``safety``), so an alarm is a bug of the replicas, of the judge, or of a lie
that oversteps the budget; its seed is named, its run kept.

What is done stands in ``attacks.json``: a sweep that was interrupted goes on with the kind it was at, as long
as settings and code are the same. Exit code 1: an alarm; 4: the harness failed; 3: a verdict ``unknown``, a
kind of which fewer than 95 % of the faults have a receipt, or of which more than 5 % of the runs were
uncovered; 130: interrupted; else 0.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

from attack_loads import budget_needed, time_needed

from harness.coverage import Cells, cells_from, in_columns, table, write
from nemesis.faults import KINDS

SCHEMA = "traitor/attacks/1"
SEED = 0
ENOUGH = 0.95
"""Of the drawn faults must have a receipt, and of the runs be covered: others are a wasted night."""
SETTINGS = ("keys=2", "contention=0.5", "K=4", "L=8", "request_timeout=250ms", "view_change_timeout=250ms")
SEVEN_SHARE = 20
LEAST_SEVEN = 5
_PACKAGES = ("pbft_node", "checker", "workloads", "nemesis", "harness")
_INTERRUPTED = 130
_GRACE_S = 60.0
_LEAST_RATE = 15.0
"""Longer loads are thinner, down to this."""
_STALLS = ("drop",)
"""They may take away every REQUEST or REPLY for half of the load: twice the rate leaves enough of it."""
_LISTED = 20
_HEAD = (
    "kind", "n", "runs", "valid", "invalid", "unknown", "uncovered", "harness",
    "receipts", "planned", "activations", "alarms",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """What became of a kind."""

    kind: str
    nodes: int
    runs: int
    verdicts: Mapping[str, int]
    planned: int
    receipts: int
    activations: int
    """Packets that met a rule; of faults without rules, faults with a receipt."""
    cells: list[list[str | int]]
    alarms: list[dict[str, object]] = field(default_factory=list)
    """Runs judged invalid: seed, why, how to make them again."""
    others: list[dict[str, object]] = field(default_factory=list)
    """Runs that are unknown, or in which the harness failed."""
    uncovered: list[int] = field(default_factory=list)
    """Seeds, the first few."""
    cpu_s: float = 0.0

    @property
    def exit_code(self) -> int:
        """See the module."""
        if self.verdicts["invalid"]:
            return 1
        if self.verdicts["harness"]:
            return 4
        thin = self.receipts < ENOUGH * self.planned or self.verdicts["uncovered"] > (1 - ENOUGH) * self.runs
        return 3 if self.verdicts["unknown"] or thin or not self.planned else 0

    def columns(self) -> list[str]:
        """As ``_HEAD``."""
        words = [self.verdicts[word] for word in ("valid", "invalid", "unknown", "uncovered", "harness")]
        counts = [self.nodes, self.runs, *words, self.receipts, self.planned, self.activations]
        seeds = ", ".join(f"seed {one['seed']}" for one in self.alarms[:_LISTED])
        return [self.kind, *map(str, counts), seeds or "none"]


def main() -> int:
    """Sweep, tell, write."""
    options = parser().parse_args()
    unknown = [name for name in options.fault or () if name not in KINDS]
    if unknown:
        sys.exit(f"--fault {unknown[0]}: no such kind; there are: {', '.join(KINDS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    memory = Memory(options.out / "attacks.json", _fingerprint())
    rows: list[Row] = []
    for kind, nodes, seeds in wanted(options):
        command = _command(kind, nodes, seeds, options)
        row = memory.recall(command)
        if row is None:
            row = _row(kind, nodes, _sweep(command, options))
            memory.keep(command, row)
        rows.append(row)
        print(_line(row), flush=True)
    return _conclude(rows, options.out, memory)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    made.add_argument("--seeds", type=int, default=1000, help="of each kind (1000)")
    made.add_argument("--first", type=int, default=SEED, help="the first seed (0)")
    made.add_argument("--seven", type=int, help="of each kind that lies, with seven replicas (SEEDS/20)")
    made.add_argument("--fault", action="append", metavar="NAME", help="only this kind; may be repeated")
    made.add_argument("--jobs", help="worker processes (one a core)")
    made.add_argument("--time", type=float, default=3.0, help="of each load, in virtual time (3)")
    made.add_argument("--rate", type=float, default=30.0, help="operations a second (30)")
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="as of traitor sweep")
    made.add_argument("--out", type=Path, default=Path("runs/attacks"), help="summary and failures")
    return made


def wanted(options: argparse.Namespace) -> list[tuple[str, int, int]]:
    """Kind, replicas, seeds."""
    kinds = options.fault or list(KINDS)
    share = max(LEAST_SEVEN, options.seeds // SEVEN_SHARE) if options.seven is None else options.seven
    lying = [kind for kind in kinds if KINDS[kind].family == "lie" and share]
    four = [(kind, 4, options.seeds) for kind in kinds if options.seeds]
    return four + [(kind, 7, share) for kind in lying]


def _command(kind: str, nodes: int, seeds: int, options: argparse.Namespace) -> tuple[str, ...]:
    """Of ``traitor sweep``, but for what does not change what comes out."""
    time_s = time_needed(kind, options.time)
    rate = max(min(options.rate, _LEAST_RATE), options.rate * options.time / time_s) * (1 + (kind in _STALLS))
    settings = [word for each in (*SETTINGS, *options.set) for word in ("--set", each)]
    first = options.first
    budget = budget_needed(kind, nodes, time_s, first)
    return (
        "--world", "sim", "--fault", kind, "--nodes", str(nodes), "--seeds", f"{first}..{first + seeds - 1}",
        "--time", f"{time_s:g}", "--rate", f"{rate:g}", "--budget", budget, *settings,
    )  # fmt: skip


def _sweep(command: tuple[str, ...], options: argparse.Namespace) -> dict[str, object]:
    whole = [sys.executable, "-m", "harness", "sweep", *command, "--json", "--out", str(options.out / "runs")]
    whole += [] if options.jobs is None else ["--jobs", options.jobs]
    with subprocess.Popen(whole, stdout=subprocess.PIPE, text=True) as sweep:
        try:
            told, _ = sweep.communicate()
        except KeyboardInterrupt:  # the sweep hears it, too, and clears up
            sweep.communicate(timeout=_GRACE_S)
            raise
    found = json.loads(told) if told.startswith("{") else None
    if not isinstance(found, dict):
        sys.exit(f"traitor sweep {' '.join(command)} ended with exit code {sweep.returncode} and no result")
    if found["interrupted"]:
        sys.exit(_INTERRUPTED)
    return found


def _row(kind: str, nodes: int, found: Mapping[str, object]) -> Row:
    verdicts = cast(dict[str, int], found["verdicts"])
    fault = cast(dict[str, dict[str, int]], found["faults"]).get(kind, {})
    failures = cast(list[dict[str, object]], found["failures"])
    cells = cells_from(cast(dict[str, object], found["coverage"])["cells"])
    told = ("seed", "verdict", "reason", "reproduce", "folder")
    short = [{name: one[name] for name in told} for one in failures]
    return Row(
        kind=kind,
        nodes=nodes,
        runs=sum(verdicts.values()),
        verdicts=verdicts,
        planned=fault.get("planned", 0),
        receipts=fault.get("took_effect", 0),
        activations=sum(cells.values()) or fault.get("took_effect", 0),
        cells=[[*cell, count] for cell, count in sorted(cells.items())],
        alarms=[one for one in short if one["verdict"] == "invalid"],
        others=[one for one in short if one["verdict"] != "invalid"],
        uncovered=cast(list[int], found["uncovered_seeds"]),
        cpu_s=float(cast(float, found["cpu_s"])),
    )


class Memory:
    """Rows that are done, in ``attacks.json``: by the very command, of the very code."""

    def __init__(self, path: Path, code: str) -> None:
        self._path, self._code = path, code
        self._rows: dict[str, dict[str, object]] = {}
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        if isinstance(held, dict) and held.get("schema") == SCHEMA and held.get("code") == code:
            self._rows = {row["command"]: row for row in held["rows"]}

    def recall(self, command: tuple[str, ...]) -> Row | None:
        """What it came to, if it was done."""
        held = self._rows.get(" ".join(command))
        if held is None:
            return None
        return Row(**cast(dict[str, object], {k: v for k, v in held.items() if k != "command"}))  # type: ignore[arg-type]

    def keep(self, command: tuple[str, ...], row: Row) -> None:
        """At once, so that an interruption costs one kind."""
        self._rows[" ".join(command)] = {"command": " ".join(command), **asdict(row)}
        self._write({})

    def conclude(self, exit_code: int) -> None:
        """The end of the summary."""
        self._write({"exit_code": exit_code})

    def _write(self, more: Mapping[str, object]) -> None:
        data = {"schema": SCHEMA, "code": self._code, **more, "rows": list(self._rows.values())}
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        fresh.replace(self._path)


def _fingerprint() -> str:
    """Of every source file: what other code found is no result of this one."""
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parents[2]
    for path in sorted(path for package in _PACKAGES for path in (root / package).rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _line(row: Row) -> str:
    """As soon as it is known."""
    words = [f"{number} {word}" for word, number in row.verdicts.items() if number]
    line = (
        f"{row.kind:<26} n={row.nodes}  {', '.join(words)}; {row.receipts} of {row.planned} faults took "
        f"effect, {row.activations} activations"
    )
    return "\n".join([line, *(f"    {one['seed']}: {one['reason']}" for one in [*row.alarms, *row.others])])


def _conclude(rows: list[Row], out: Path, memory: Memory) -> int:
    cells: Cells = sum((cells_from(row.cells) for row in rows), Counter())
    write(cells, out)
    text = in_columns([list(_HEAD), *(row.columns() for row in rows)])
    (out / "attacks.txt").write_text(text + "\n", encoding="utf-8")
    print(f"\n{table(cells)}\n\n{text}")
    for row in rows:
        for one in row.alarms:
            print(f"\nALARM {row.kind} seed {one['seed']}: {one['reason']}\n    {one['reproduce']}")
    codes = {row.exit_code for row in rows}
    code = next((code for code in (1, 4, 3) if code in codes), 0)
    memory.conclude(code)
    print(f"\nexit code {code}")
    return code


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
