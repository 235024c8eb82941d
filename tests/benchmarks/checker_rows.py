"""The rows of ``make bench-checker``: a goal each, and what is to be measured.

To add one: a function that takes (scale, scratch folder), makes what is to be judged, and returns a function
of nothing that judges it and returns an `Outcome`; and a line in ROWS. `judged` is the usual one.
"""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from big_histories import Recipe, as_history, record, with_stale_read, write_file
from transaction_histories import list_append

from checker.bare import judge_history
from checker.engines.answers import Budget
from checker.engines.contest import decide_key
from checker.history import History, Operation
from checker.judges import linearizability
from checker.limits import Limits
from checker.models import model_named
from checker.verdict import Line

sys.path.insert(0, str(Path(__file__).parents[1] / "checker"))
import hard_histories  # the tests' own, made to be slow

Job = Callable[[], "Outcome"]
GIGABYTE = 1_000


@dataclass(frozen=True)
class Outcome:
    """`within`: whether limits of the row's own (not the whole time and memory) were kept."""

    verdict: str
    figures: str = ""
    within: bool = True


@dataclass(frozen=True)
class Row:
    """`goal` is empty if there is none: then the row is for the reader."""

    what: str
    goal: str
    prepare: Callable[[float, Path], Job]
    verdict: str = "valid"
    most_s: float = math.inf
    most_mb: float = math.inf


def judged(history: History) -> Job:
    """The judge of linearizability, as a run or a bare history is judged."""
    return lambda: outcome(linearizability.judge(history, Limits()))


def outcome(found: linearizability.Finding) -> Outcome:
    """The verdict; an invalid one only counts with its counterexample audited."""
    line = found.line
    details = line.details
    if line.verdict == "invalid":
        audited = details.get("audited") is True
        count = len(found.counterexample.operations) if found.counterexample else 0
        kind = found.counterexample.anomaly if found.counterexample else "no counterexample"
        return Outcome("invalid", f"{kind}, {count} operations{'' if audited else ', NOT AUDITED'}", audited)
    if line.verdict == "unknown":
        return Outcome("unknown", line.reason[:60])
    engines = details.get("engines")
    named = "+".join(engines) if isinstance(engines, dict) else ""
    return Outcome("valid", named)


def registers(
    *, count: int = 1_000_000, spoilt: bool = False, **shares: float
) -> Callable[[float, Path], Job]:
    """Operations with unique values on one key."""

    def prepare(scale: float, scratch: Path) -> Job:
        operations = record(Recipe(int(count * scale), 100, **shares))
        return judged(as_history(with_stale_read(operations) if spoilt else operations))

    return prepare


def from_file(scale: float, scratch: Path) -> Job:
    """The first row's history, from its file to the verdict."""
    path = scratch / "history.jsonl"
    write_file(record(Recipe(int(1_000_000 * scale), 100)), path)

    def run() -> Outcome:
        verdict = judge_history(path)
        line = next(line for line in verdict.lines if line.name == linearizability.NAME)
        return Outcome(line.verdict, f"{path.stat().st_size // 1_000_000} MB read")

    return run


def many_keys(scale: float, scratch: Path) -> Job:
    """Our own workload's mix, 1 000 operations on a key."""
    operations: list[Operation] = []
    for number in range(int(1_000 * scale)):
        recipe = Recipe(1_000, 10, writes=0.3, cas=0.15, deletes=0.05, pending=0.01, seed=number)
        operations += record(recipe, f"k{number}")
    return judged(as_history([_numbered(op, i) for i, op in enumerate(operations)], "kv"))


def _numbered(op: Operation, index: int) -> Operation:
    return Operation(index, op.process, op.f, op.key, op.input, op.output, op.type, op.call_ns, op.return_ns)


def few_values(scale: float, scratch: Path) -> Job:
    """Nothing is unique: the search."""
    operations = hard_histories.few_values(1, operations=int(100_000 * scale), concurrency=10)
    return judged(as_history(operations))


def few_values_stale(scale: float, scratch: Path) -> Job:
    """The same with one stale read near the end: what the search needs to refute it."""
    operations = hard_histories.few_values(1, operations=int(100_000 * scale), concurrency=10)
    operations = hard_histories.with_stale_read(operations, 0.9)

    def run() -> Outcome:
        found = decide_key(model_named("register"), operations, Budget())
        return Outcome(found.status, f"{found.nodes} nodes, {found.placed} of {found.total} placed")

    return run


def short(scale: float, scratch: Path) -> Job:
    """A hundred short ones, each timed by itself: the best of three."""
    logs = [
        hard_histories.few_values(seed, operations=80, concurrency=5, pending=(5 + seed % 16) / 80)
        for seed in range(100)
    ]
    histories = [as_history(log) for log in logs]
    return lambda: each_timed(histories, most_median_ms=0.5, most_worst_ms=5.0)


def impossible(scale: float, scratch: Path) -> Job:
    """Pending writes of few and of many values, and a read that none of them explains."""
    logs = [
        hard_histories.pending_writes(number, values=values, f=f)
        for number in (20, 40, 80)
        for values, f in ((5, "write"), (None, "write"), (5, "cas"))
    ]
    return lambda: each_timed([as_history(log) for log in logs], most_median_ms=50.0, most_worst_ms=50.0)


def transactions(stale: float) -> Callable[[float, Path], Job]:
    """List-append over 100 keys; lists grow to about 1 250 elements."""

    def prepare(scale: float, scratch: Path) -> Job:
        history = list_append(int(100_000 * scale), stale=stale)
        return lambda: said(linearizability.judge(history, Limits()).line)

    return prepare


def said(line: Line) -> Outcome:
    """The verdict with the anomalies found."""
    types = line.details.get("anomaly_types", {})
    assert isinstance(types, dict)
    told = ", ".join(f"{count} {name}" for name, count in types.items())
    return Outcome(line.verdict, told[:60])


def each_timed(histories: Sequence[History], *, most_median_ms: float, most_worst_ms: float) -> Outcome:
    """Processor time of each, in ms, counterexamples included; the best of three rounds."""
    limits = Limits()
    costs, verdicts = [], dict[str, int]()
    for history in histories:
        rounds = []
        for _ in range(3):
            start = time.process_time()
            found = linearizability.judge(history, limits)
            rounds.append((time.process_time() - start) * 1e3)
        costs.append(min(rounds))
        verdicts[found.line.verdict] = verdicts.get(found.line.verdict, 0) + 1
    median, worst = statistics.median(costs), max(costs)
    told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(verdicts.items()))
    within = median <= most_median_ms and worst <= most_worst_ms
    decided = "decided" if "unknown" not in verdicts else "unknown"
    return Outcome(decided, f"median {median:.2f} ms, worst {worst:.2f} ms ({told})", within)


_REGISTERS = "<= 5 s, <= 1 GB"


def start_up(scale: float, scratch: Path) -> Job:
    """The whole command, its interpreter included: the best of ten, the first to write the bytecode."""
    history = _ROOT / "tests" / "checker" / "good_histories" / "stale_read.jsonl"
    command = [sys.executable, "-m", "harness", "check", str(history), "--out", str(scratch / "out")]
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**kept, "PYTHONPYCACHEPREFIX": str(scratch / "bytecode")}

    def run() -> Outcome:
        times_ms: list[float] = []
        for _ in range(11):
            start = time.monotonic()
            done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, check=False)
            times_ms.append((time.monotonic() - start) * 1e3)
            if done.returncode:
                return Outcome(f"exit code {done.returncode}")
        best = min(times_ms[1:])
        return Outcome("valid", f"best {best:.0f} ms, first {times_ms[0]:.0f}", best <= 150)

    return run


_ROOT = Path(__file__).resolve().parents[2]
ROWS: Mapping[str, Row] = {
    "registers": Row(
        "a million unique reads and writes, one key, concurrency 100", _REGISTERS, registers(),
        most_s=5, most_mb=GIGABYTE,
    ),
    "cas": Row(
        "the same with 20 % compare-and-set", _REGISTERS, registers(writes=0.4, cas=0.2),
        most_s=5, most_mb=GIGABYTE,
    ),
    "stale": Row(
        "the same with one stale read", _REGISTERS, registers(writes=0.4, cas=0.2, spoilt=True),
        verdict="invalid", most_s=5, most_mb=GIGABYTE,
    ),
    "deletes": Row(
        "100 000 operations, 1 % of them deletes, so that absent is not unique", "",
        registers(count=100_000, writes=0.4, cas=0.1, deletes=0.01),
    ),
    "file": Row("the first from its file", "", from_file),
    "keys": Row("a million operations on 1 000 keys, our own mix", "", many_keys),
    "few-values": Row(
        "100 000 operations, 5 values, one key, concurrency 10", "<= 5 s", few_values, most_s=5
    ),
    "few-values-stale": Row(
        "the same with one stale read, refuted", "<= 5 s", few_values_stale, "refuted", most_s=5
    ),
    "short": Row(
        "100 histories of 80 operations, 5-20 pending", "median <= 0.5 ms, worst <= 5", short, "decided"
    ),
    "impossible": Row("20-80 pending writes and an impossible read", "<= 50 ms", impossible, "decided"),
    "transactions": Row("100 000 list-append transactions over 100 keys", "", transactions(0.0)),
    "stale-transactions": Row(
        "the same, 1 % of reads without the last element", "", transactions(0.01), verdict="invalid"
    ),
    "start-up": Row("`traitor check` of nine operations, from nothing to its exit", "<= 150 ms", start_up),
}  # fmt: skip
