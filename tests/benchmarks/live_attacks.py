"""Every kind of fault under the real kernel: ``make live-attacks RUNS=10``.

    make live-attacks                                     10 runs of every kind
    make live-attacks ARGS="--kinds drop,corrupt --seeds 0..2"
    make live-attacks ARGS="--resume"                     goes on where the last one ended

Each run is a `traitor run --world live` with a folder of its own, which is removed unless something was
wrong. A run that takes longer than --most-seconds is ended, and counts as exit code 4. Of each kind a line:
runs, exit codes, activations (packets that met a rule; of other kinds, faults that took effect), faults with
and without a receipt, alarms. All plans stay within budget (some scripts
within `safety`), so an alarm is a bug of the replicas, of the judge, or of ours. Written to --out:
`runs.jsonl`, a line a run; `live_attacks.json` and `.txt`, the summary.

Exit codes: 0 no alarm · 1 alarms, which are told with seed, line and folder · 2 wrong use · 130 interrupted.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attack_loads import budget_needed, time_needed

from harness.coverage import in_columns
from nemesis.faults import KINDS

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = "traitor/live-attacks/1"
SETTINGS = ("contention=0.4", "K=8", "L=16")
"""Few operations from checkpoint to checkpoint: who was cut off for a moment has to ask for the state."""
LIVE = tuple(name for name, kind in KINDS.items() if "live" in kind.worlds)
NODES = 4
HEAD = ["kind", "runs", "exit 0", "exit 1", "exit 3", "exit 4", "activations", "faults", "with receipt"]
HEAD += ["without", "alarms", "s a run"]
_GRACE_S = 20.0
"""From the interrupt to the end: a run that is interrupted undoes what it did."""
_CODES = (0, 1, 3, 4)


def main(arguments: list[str]) -> int:
    """The exit code."""
    options = _options(arguments)
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # a script's background ignores the first, and so would runs
        signal.signal(number, signal.default_int_handler)
    options.out.mkdir(parents=True, exist_ok=True)
    record = options.out / "runs.jsonl"
    with record.open("a", encoding="utf-8") as alone:
        try:
            fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another one writes to {options.out}: give this one its own --out", file=sys.stderr)
            return 2
        if not options.resume:
            os.truncate(record, 0)
        return _all(record, options)


def _all(record: Path, options: argparse.Namespace) -> int:
    """Every run that is not in the record yet."""
    runs = {(str(run["kind"]), int(run["seed"])): run for run in _read(record)}
    for seed in options.seeds:
        for kind in options.kinds:
            if (kind, seed) in runs:
                continue
            run = runs[kind, seed] = _one(kind, seed, options)
            with record.open("a", encoding="utf-8") as file:
                file.write(json.dumps(run) + "\n")
            print(_told(run), flush=True)
    asked = [run for (kind, seed), run in runs.items() if kind in options.kinds and seed in options.seeds]
    return _conclude(asked, options)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="live-attacks", allow_abbrev=False, description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--runs", type=int, default=10, help="of each kind: seeds 0 to RUNS-1 (10)")
    parser.add_argument("--seeds", type=_seeds, help="these seeds instead: 3, or 0..9")
    parser.add_argument("--kinds", type=_kinds, default=LIVE, help="only these: drop,corrupt")
    parser.add_argument("--time", type=float, default=6.0, help="seconds of load, at least (6)")
    parser.add_argument("--rate", default="60", help="operations a second (60)")
    parser.add_argument("--set", action="append", metavar="NAME=VALUE", help="as of traitor run")
    parser.add_argument("--most-seconds", type=float, default=120.0, help="a run may take (120)")
    parser.add_argument("--out", type=Path, default=Path("runs/live-attacks"))
    parser.add_argument("--resume", action="store_true", help="leave out what OUT/runs.jsonl has already")
    options = parser.parse_args(arguments)
    options.seeds = range(options.runs) if options.seeds is None else options.seeds
    return options


def _seeds(text: str) -> range:
    first, dots, last = text.partition("..")
    return range(int(first), int(last if dots else first) + 1)


def _kinds(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no such kind: {unknown[0]!r}; there are: {', '.join(KINDS)}")
    return names


# One run


def _one(kind: str, seed: int, options: argparse.Namespace) -> dict[str, object]:
    """Made, looked at, and removed when nothing was wrong."""
    out = options.out / f"{kind.replace(':', '-')}-{seed}"
    shutil.rmtree(out, ignore_errors=True)
    began = time.monotonic()
    code, found, killed = _traitor(kind, seed, out, options)
    folder = Path(found["run"]) if "run" in found else next(out.glob("*/"), out)
    faults = _faults(folder / "faults.jsonl")
    lines = found.get("verdict", {}).get("lines", [])
    told = {
        verdict: [[line["name"], line["reason"]] for line in lines if line["verdict"] == verdict]
        for verdict in ("invalid", "unknown", "uncovered")
    }
    run: dict[str, object] = {
        "kind": kind,
        "seed": seed,
        "code": code,
        "killed": killed,
        "seconds": round(time.monotonic() - began, 1),
        **told,
        "faults": faults,
        **_machine(folder / "run.json"),
    }
    idle = any(not fault["took_effect"] for fault in faults)
    if code == 0 and not idle and not told["invalid"]:
        shutil.rmtree(out, ignore_errors=True)
    else:
        run["folder"] = str(folder)
    return run


def _traitor(
    kind: str, seed: int, out: Path, options: argparse.Namespace
) -> tuple[int, dict[str, Any], bool]:
    """Exit code, what it printed, and whether it had to be ended."""
    command = [sys.executable, "-m", "harness", "run", "--world", "live", "--fault", kind, "--json"]
    time_s = time_needed(kind, options.time)
    command += ["--nodes", str(NODES), "--budget", budget_needed(kind, NODES, time_s, seed)]
    command += ["--time", f"{time_s:g}", "--rate", options.rate, "--seed", str(seed), "--out", str(out)]
    for setting in options.set if options.set is not None else SETTINGS:
        command += ["--set", setting]
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": paths}
    started = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    killed = False
    try:
        said, errors = started.communicate(timeout=options.most_seconds)
    except subprocess.TimeoutExpired:
        killed = True
        said, errors = _ended(started)
    except BaseException:
        _ended(started)
        raise
    try:
        found = json.loads(said)
    except ValueError:
        found = {}
        print(errors.decode(errors="replace")[-2000:], file=sys.stderr)
    code = 4 if killed or not isinstance(found, dict) else started.returncode
    return code, found if isinstance(found, dict) else {}, killed


def _ended(started: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """What it said, when it was asked to end, or had to: its namespaces end with it."""
    started.send_signal(signal.SIGINT)
    try:
        return started.communicate(timeout=_GRACE_S)
    except subprocess.TimeoutExpired:
        started.kill()
        return started.communicate()


def _faults(path: Path) -> list[dict[str, object]]:
    """Of each: whether there was a receipt, how many packets met its rules, and why there was none."""
    found: dict[str, dict[str, object]] = {}
    for step in _read(path):
        if "fault" not in step:
            continue
        fault = found.setdefault(
            str(step["fault"]), {"id": step["fault"], "took_effect": False, "packets": None}
        )
        receipt = step.get("receipt")
        if isinstance(receipt, Mapping) and "matched" in receipt:
            fault["packets"] = receipt["matched"]
        if step["step"] == "asked":
            fault["params"] = step["params"]
        elif step["step"] == "took-effect":
            fault["took_effect"] = True
        elif step["step"] in ("no-effect", "undo-failed"):
            fault[str(step["step"])] = step["reason"]
    return list(found.values())


def _machine(path: Path) -> dict[str, object]:
    """What says whether the machine was too slow for a run in real time."""
    run = next(_read(path), {})
    return {name: run[name] for name in ("lag", "processor", "interception") if name in run}


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines, up to one that is torn; none of a file that is not there."""
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8")
    for line in [text] if path.suffix == ".json" else text.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            return
        if isinstance(found, dict):
            yield found


# What came of it


def _told(run: Mapping[str, Any]) -> str:
    """One run in a line, and what was wrong in lines of their own."""
    faults = run["faults"]
    effect = sum(bool(fault["took_effect"]) for fault in faults)
    packets = sum(fault["packets"] or 0 for fault in faults)
    ended = " (ended: it took too long)" if run["killed"] else ""
    text = f"{run['kind']} {run['seed']}: exit {run['code']}{ended}, "
    text += f"{effect} of {len(faults)} faults took effect, {packets} packets, {run['seconds']} s"
    wrong = [f"{name}: {reason}" for name, reason in run["invalid"] + run["unknown"] + run["uncovered"]]
    wrong += [
        f"{fault['id']}: {fault[why]}"
        for fault in faults
        for why in ("no-effect", "undo-failed")
        if why in fault
    ]
    return "\n    ".join([text, *wrong])


def _alarms(run: Mapping[str, Any]) -> list[list[str]]:
    """Invalid lines. What is our own fault is exit code 4 and no alarm."""
    return [line for line in run["invalid"] if line[0] != "harness"]


def _row(kind: str, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of one kind."""
    faults = [fault for run in runs for fault in run["faults"]]
    receipts = sum(bool(fault["took_effect"]) for fault in faults)
    packets = [fault["packets"] for fault in faults if fault["packets"] is not None]
    codes = {str(code): sum(run["code"] == code for run in runs) for code in _CODES}
    return {
        "kind": kind,
        "runs": len(runs),
        "exit_codes": codes,
        "killed": sum(bool(run["killed"]) for run in runs),
        "activations": sum(packets) if packets else receipts,
        "faults": len(faults),
        "with_receipt": receipts,
        "without": len(faults) - receipts,
        "alarms": sum(len(_alarms(run)) for run in runs),
        "seconds_a_run": round(sum(run["seconds"] for run in runs) / len(runs), 1),
    }


def _conclude(runs: Sequence[Mapping[str, Any]], options: argparse.Namespace) -> int:
    """Tables, files, and the exit code."""
    rows = []
    for kind in options.kinds:
        of_kind = [run for run in runs if run["kind"] == kind]
        if of_kind:
            rows.append(_row(kind, of_kind))
    table = in_columns([HEAD, *(_cells(row) for row in rows)])
    alarms = [
        {"kind": run["kind"], "seed": run["seed"], "line": name, "reason": reason, "folder": run["folder"]}
        for run in runs
        for name, reason in _alarms(run)
    ]
    summary = {"schema": SCHEMA, "kinds": rows, "alarms": alarms}
    (options.out / "live_attacks.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    (options.out / "live_attacks.txt").write_text(table + "\n", encoding="utf-8")
    print(f"\n{table}")
    for alarm in alarms:
        print(f"ALARM: {alarm['kind']} seed {alarm['seed']}: {alarm['line']}: {alarm['reason']}")
        print(f"    {alarm['folder']}")
    return 1 if alarms else 0


def _cells(row: Mapping[str, Any]) -> list[str]:
    codes = [row["exit_codes"][str(code)] for code in _CODES]
    counts = [row[name] for name in ("activations", "faults", "with_receipt", "without", "alarms")]
    return [row["kind"], *map(str, [row["runs"], *codes, *counts]), str(row["seconds_a_run"])]


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
