"""What can be typed: the commands of ``traitor`` and their flags, with a line of help each.

Nothing is imported here but what describes them: ``traitor --help`` must be quick.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

RUNS = Path("runs")


def make_parser() -> argparse.ArgumentParser:
    """Of all of them."""
    parser = argparse.ArgumentParser(
        prog="traitor",
        allow_abbrev=False,
        description="Starts real PBFT replicas, breaks things under them, and judges what clients saw.",
        epilog="Exit codes: 0 all valid, 1 a violation, 2 wrong use, 3 unknown or not enough coverage, "
        "4 harness or machine failure, 130 interrupted.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _run_parser(
        commands.add_parser("run", help="run a cluster under faults and judge it", allow_abbrev=False)
    )
    _sweep_parser(
        commands.add_parser(
            "sweep", help="many seeds in virtual time, in parallel; a line each", allow_abbrev=False
        )
    )

    _reproduce_parser(
        commands.add_parser(
            "reproduce", help="run the plan of a run again, many times, and count", allow_abbrev=False
        )
    )

    _shrink_parser(
        commands.add_parser("shrink", help="the smallest plan that fails as a run did", allow_abbrev=False)
    )

    commands.add_parser("check", help="judge a run, or a history file, again")  # see `check_parser`

    audit = commands.add_parser("audit", help="what of a run's evidence can be verified", allow_abbrev=False)
    _audit_parser(audit)

    report = commands.add_parser("report", help="write report.html of a run")
    report.add_argument("run", type=Path, metavar="RUN")

    replay = commands.add_parser(
        "replay", help="feed a run's journals to fresh cores and judge again", allow_abbrev=False
    )
    _replay_parser(replay)

    list_ = commands.add_parser("list", help="the runs there are, newest first")
    list_.add_argument("folder", type=Path, nargs="?", default=RUNS, metavar="DIR", help="(runs)")

    doctor = commands.add_parser("doctor", help="what this machine can do, and how to mend what it cannot")
    faults = commands.add_parser(
        "faults", help="the faults there are: what they do, whom they charge, examples"
    )
    faults.add_argument("name", nargs="?", metavar="NAME", help="only this one")
    workloads = commands.add_parser("workloads", help="the workloads there are, with their parameters")
    for each in (audit, report, replay, list_, doctor, faults, workloads):
        each.add_argument("--json", action="store_true", help="one JSON object on stdout")

    inside = commands.add_parser("inside")  # what `run` starts in the sandbox; not listed
    inside.add_argument("folder", type=Path)
    inside.add_argument("--quiet", action="store_true")
    return parser


def check_parser() -> argparse.ArgumentParser:
    """Of ``traitor check``, whose flags are the checker's."""
    from checker.arguments import add_arguments, formatter

    parser = argparse.ArgumentParser(
        prog="traitor check",
        formatter_class=formatter,
        allow_abbrev=False,
        description="Judges a run folder, or a history file of this or another checker.",
        epilog="Exit codes: 0 valid, 1 a violation, 2 wrong use or no history, 3 unknown.",
    )
    add_arguments(parser)
    parser.set_defaults(command="check")
    parser.add_argument(
        "--out",
        type=Path,
        default=RUNS,
        metavar="DIR",
        help="where a file's verdict and certificates go (runs)",
    )
    parser.add_argument("--report", action="store_true", help="draw report.html of a valid history, too")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return parser


def _run_parser(run: argparse.ArgumentParser) -> None:
    _spec_flags(run)
    run.add_argument(
        "--seed", metavar="S", help="the same seed makes the same plan; drawn and printed when not given"
    )
    run.add_argument(
        "--plan", type=Path, metavar="FILE", help="run this plan.json (edited, say) and nothing else"
    )


def _sweep_parser(sweep: argparse.ArgumentParser) -> None:
    _spec_flags(sweep)
    sweep.add_argument(
        "--seeds", metavar="A..B", default="0..99", help="both included, or a single one (0..99)"
    )
    sweep.add_argument("--jobs", metavar="J", help="worker processes (one a core)")
    sweep.add_argument(
        "--swarm",
        action="store_true",
        help="each seed draws workload, faults, cluster and network for itself; what is given here is fixed",
    )
    sweep.add_argument(
        "--coverage",
        action="store_true",
        help="which messages packet faults met, by action, phase and role; also as coverage.json and "
        "coverage.txt in the folder of --out",
    )
    sweep.add_argument("--options", action="store_true", help="print what a swarm draws from, and end")
    sweep.add_argument(
        "--stop-after", metavar="T", help="real time, such as 10m, after which no further seed is begun"
    )
    sweep.add_argument(
        "--keep", metavar="K", default="20", help="at most so many failures become run folders (20)"
    )


def _spec_flags(run: argparse.ArgumentParser) -> None:
    """Everything that says what is run, but for its seed."""
    run.add_argument("spec", type=Path, nargs="?", metavar="SPEC.yaml", help="what to run; flags go over it")
    run.add_argument(
        "--world",
        metavar="W",
        help="live (of run): real processes, kernel network, real time; lockstep: real processes in virtual "
        "time; sim (of sweep): no processes. The latter two give the same bytes for the same seed",
    )
    run.add_argument("--workload", metavar="W", help="register, kv or append (kv); see: traitor workloads")
    run.add_argument(
        "--fault",
        metavar="F",
        action="append",
        help="repeatable (partition, kill, pause); 'none' for none; see: traitor faults",
    )
    run.add_argument("--nodes", metavar="N", help="replicas (4)")
    run.add_argument("--clients", metavar="C", help="concurrent clients (5)")
    run.add_argument("--rate", metavar="R", help="operations a second, all clients together (250)")
    run.add_argument("--time", metavar="S", help="seconds of load (30)")
    run.add_argument(
        "--budget",
        metavar="B",
        help="within: never more than f bad at once; safety: never more than f that lie; break: anything",
    )
    run.add_argument("--name", metavar="NAME", help="part of the run folder's name (the workload)")
    run.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="a parameter of the cluster (K, L, request_timeout=500ms), the workload (keys) or the virtual "
        "network (latency=5ms, latency=1ms..5ms, latency=wan, loss=0.01); repeatable",
    )
    run.add_argument("--out", type=Path, default=RUNS, metavar="DIR", help="where run folders go (runs)")
    run.add_argument("--json", action="store_true", help="one JSON object on stdout, no progress")


def _replay_parser(replay: argparse.ArgumentParser) -> None:
    replay.add_argument("run", type=Path, metavar="RUN")
    replay.add_argument("--replica", type=_count, metavar="N", help="only this one (all)")
    replay.add_argument(
        "--until",
        metavar="WHERE",
        help="stop after an event and show the replica's state: its number (57), seq:120 (the execution of a "
        "sequence number), or 12.3s (a time since the load began)",
    )
    replay.add_argument("--pdb", action="store_true", help="a debugger just before that event")
    replay.add_argument(
        "--events", nargs="?", const="", metavar="FROM..TO", help="list events of the journal (1..50)"
    )
    replay.add_argument("--jobs", type=_count, metavar="J", help="processes (one for each core)")


def _audit_parser(audit: argparse.ArgumentParser) -> None:
    audit.add_argument("run", type=Path, metavar="RUN")
    audit.add_argument(
        "--mutate",
        type=_count,
        default=0,
        metavar="N",
        help="also judge N spoilt copies of its history: how many are noticed? (0)",
    )


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!a} is not a number from 0")
    return int(text)


def _reproduce_parser(reproduce: argparse.ArgumentParser) -> None:
    reproduce.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    reproduce.add_argument("--times", type=_count, metavar="N", help="how often (20)")
    reproduce.add_argument("--world", metavar="W", help="run it there instead of in its own world")
    reproduce.add_argument("--out", type=Path, default=RUNS, metavar="DIR", help="where kept runs go (runs)")
    reproduce.add_argument(
        "--schedule",
        choices=("recorded",),
        help="a live run's recorded order, followed once in world sim as far as it goes",
    )
    reproduce.add_argument(
        "--keep", type=_count, default=1, metavar="N", help="run folders to keep, of runs that showed it (1)"
    )
    reproduce.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _shrink_parser(shrink: argparse.ArgumentParser) -> None:
    shrink.add_argument("run", type=Path, metavar="RUN", help="a run folder whose verdict is invalid")
    shrink.add_argument("--line", metavar="LINE", help="of the verdict: which violation to keep (the first)")
    shrink.add_argument("--world", metavar="W", help="run candidates there (sim, if it fails again there)")
    shrink.add_argument(
        "--tries",
        type=int,
        default=5,
        metavar="K",
        help="of a live run: networks to try in sim, or with --world live runs of each candidate (5)",
    )
    shrink.add_argument(
        "--budget", default="10m", metavar="TIME", help="stop then, with the best so far: 90, 2m, 1h (10m)"
    )
    shrink.add_argument("--jobs", type=int, metavar="J", help="candidates to run at once (one for each core)")
    shrink.add_argument(
        "--out", type=Path, default=RUNS, metavar="DIR", help="where the new run folder goes (runs)"
    )
    shrink.add_argument("--json", action="store_true", help="one JSON object on stdout, no progress")
