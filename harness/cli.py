"""The command line: ``traitor COMMAND``.

Results go to stdout, progress to stderr; ``--json`` is one object on stdout. Exit codes: 0 all valid, 1 a
violation, 2 wrong use, 3 unknown or not enough coverage, 4 the harness or the machine failed, 130
interrupted. Everything heavy is imported by the command that needs it: ``traitor --help`` must be quick.
"""

from __future__ import annotations

import argparse
import re
import shlex
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from harness import console
from harness.errors import EXIT_HARNESS, TraitorError, UsageError

EXIT_INTERRUPTED = 130
RUNS = Path("runs")
_FLAGS = ("world", "workload", "nodes", "clients", "rate", "time", "seed", "budget", "name")
"""Of ``run``, named like the keys of a spec."""
_NUMBER = re.compile(r"[-+]?([0-9.]+(e[-+]?[0-9]+)?|nan|inf)\Z", re.IGNORECASE)
"""Python itself would take more for one: ``1_0``, other scripts' digits."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code. Problems a user can meet are told without a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    console.open_missing()
    options = _parser().parse_args(words)
    _interrupt_on_signals()
    code = _told(options, words)
    lost = console.lost_results()
    if lost is None:
        return code
    console.tell(f"traitor: the results could not be written to stdout: {lost}")
    return code or EXIT_HARNESS


def _told(options: argparse.Namespace, words: list[str]) -> int:
    try:
        return _dispatch(options, words)
    except TraitorError as error:
        console.tell(f"traitor: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        console.tell("traitor: interrupted")
        return EXIT_INTERRUPTED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        console.tell(
            f"traitor: {where}{error.strerror or error}\nThe machine refused it. See: traitor doctor"
        )
        return EXIT_HARNESS
    except Exception:
        # Not Python's own exit code for this: 1 would accuse the cluster.
        console.tell(
            f"{traceback.format_exc()}traitor: this is a bug of Traitor, not of the cluster under test"
        )
        return EXIT_HARNESS


def _dispatch(options: argparse.Namespace, words: list[str]) -> int:
    if options.command == "run":
        return _run(options, words)
    if options.command == "reproduce":
        return _reproduce(options, words)
    if options.command == "sweep":
        return _sweep(options, words)
    if options.command == "inside":
        from harness.live_run import run_here

        return run_here(options.folder, options.quiet)
    if options.command == "replay":
        from harness.replay.command import Asked, replay_command

        what = options.run, options.replica, options.until, options.events
        return replay_command(Asked(*what, options.pdb, options.jobs, options.json))
    from harness import catalogue

    match options.command:
        case "check":
            return catalogue.check(options.path, options.model, options.out, options.json, program())
        case "report":
            return catalogue.report(options.run, options.json)
        case "list":
            return catalogue.list_(options.folder, options.json)
        case "doctor":
            return catalogue.doctor(options.json)
        case "faults":
            return catalogue.faults(options.json)
        case _:
            return catalogue.workloads(options.json)


def _flags(options: argparse.Namespace) -> dict[str, object]:
    """Those that are keys of the spec, and were given."""
    given = {name: getattr(options, name, None) for name in _FLAGS}
    flags = {name: _plain(value) for name, value in given.items() if value is not None}
    return flags | ({"faults": options.fault} if options.fault else {})


def _sweep(options: argparse.Namespace, words: list[str]) -> int:
    from harness.sweep.sweep_command import SweepAsked, options_command, sweep_command

    if options.options:
        return options_command(options.json)
    return sweep_command(
        SweepAsked(
            spec_file=options.spec,
            flags=_flags(options),
            settings=tuple(options.set),
            seeds=options.seeds,
            jobs=None if options.jobs is None else _plain(options.jobs),
            keep=_plain(options.keep),
            stop_after=None if options.stop_after is None else _plain(options.stop_after),
            swarm=options.swarm,
            out=options.out,
            json=options.json,
            command=shlex.join([program(), *words]),
            program=program(),
        )
    )


def _run(options: argparse.Namespace, words: list[str]) -> int:
    from harness.run_command import Asked, run_command

    return run_command(
        Asked(
            spec_file=options.spec,
            plan_file=options.plan,
            flags=_flags(options),
            settings=tuple(options.set),
            out=options.out,
            json=options.json,
            command=shlex.join([program(), *words]),
            program=program(),
        )
    )


def _reproduce(options: argparse.Namespace, words: list[str]) -> int:
    from harness.one_run import MadeBy
    from harness.reproduce import Asked, reproduce

    asked = Asked(
        run=options.run,
        times=20 if options.times is None else options.times,
        world=options.world,
        out=options.out,
        keep=options.keep,
        json=options.json,
        made=MadeBy(shlex.join([program(), *words]), program()),
    )
    if options.schedule is None:
        return reproduce(asked)
    from harness.schedule.command import reproduce_recorded

    if options.times is not None:
        raise UsageError("--times together with --schedule", "Reproduce the run it makes, --times N.")
    return reproduce_recorded(asked)


def program() -> str:
    """How this program was called, so that a printed command can be pasted."""
    called = Path(sys.argv[0])
    if called.name != "traitor":
        return f"{shlex.quote(sys.executable)} -m harness"
    return shlex.quote(sys.argv[0])


def _plain(text: str) -> object:
    """Numbers as numbers; the spec checks them like those of a file."""
    if not _NUMBER.match(text):
        return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _interrupt_on_signals() -> None:
    """SIGTERM and a closed terminal end a command as Ctrl-C does. ``nohup`` keeps its meaning."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)


def _parser() -> argparse.ArgumentParser:
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

    check = commands.add_parser("check", help="judge a run, or a history file, again", allow_abbrev=False)
    check.add_argument("path", type=Path, metavar="RUN|FILE", help="a run folder or a history.jsonl")
    check.add_argument("--model", help="instead of the model the history names")
    check.add_argument(
        "--out", type=Path, default=RUNS, metavar="DIR", help="where a history's verdict goes (runs)"
    )

    report = commands.add_parser("report", help="write report.html of a run")
    report.add_argument("run", type=Path, metavar="RUN")

    replay = commands.add_parser(
        "replay", help="feed a run's journals to fresh cores and judge again", allow_abbrev=False
    )
    _replay_parser(replay)

    list_ = commands.add_parser("list", help="the runs there are, newest first")
    list_.add_argument("folder", type=Path, nargs="?", default=RUNS, metavar="DIR", help="(runs)")

    doctor = commands.add_parser("doctor", help="what this machine can do, and how to mend what it cannot")
    faults = commands.add_parser("faults", help="the faults there are")
    workloads = commands.add_parser("workloads", help="the workloads there are, with their parameters")
    for each in (check, report, replay, list_, doctor, faults, workloads):
        each.add_argument("--json", action="store_true", help="one JSON object on stdout")

    inside = commands.add_parser("inside")  # what `run` starts in the sandbox; not listed
    inside.add_argument("folder", type=Path)
    inside.add_argument("--quiet", action="store_true")
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
        "--budget", metavar="B", help="within: never more than f bad at once; break: more, on purpose"
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


if __name__ == "__main__":
    sys.exit(main())
