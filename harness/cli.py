"""The command line: ``traitor COMMAND``.

Results go to stdout, progress to stderr; ``--json`` is one object on stdout. Exit codes: 0 all valid, 1 a
violation, 2 wrong use, 3 unknown or not enough coverage, 4 the harness or the machine failed, 130
interrupted. Everything heavy is imported by the command that needs it: ``traitor --help`` must be quick.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import re
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from harness import console
from harness.command_line import check_parser, make_parser
from harness.errors import EXIT_HARNESS, TraitorError, UsageError

EXIT_INTERRUPTED = 130
_FLAGS = ("world", "workload", "nodes", "clients", "rate", "time", "seed", "budget", "name")
"""Of ``run``, named like the keys of a spec."""
_NUMBER = re.compile(r"[-+]?([0-9.]+(e[-+]?[0-9]+)?|nan|inf)\Z", re.IGNORECASE | re.ASCII)
"""Python itself would take more for one: ``1_0``, other scripts' digits."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code. Problems a user can meet are told without a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    console.open_missing()
    # A check has a parser of its own: it must answer at once, and takes what the checker takes.
    checks = words[:1] == ["check"]
    if checks:
        atexit.register(gc.freeze)  # what is left is the system's then: nothing to collect
    options = check_parser().parse_args(words[1:]) if checks else make_parser().parse_args(words)
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
    except MemoryError:
        console.tell("traitor: not enough memory\nGive it more (ulimit -v), or ask for less.")
        return EXIT_HARNESS
    except Exception:
        import traceback

        # Not Python's own exit code for this: 1 would accuse the cluster.
        console.tell(
            f"{traceback.format_exc()}traitor: this is a bug of Traitor, not of the cluster under test"
        )
        return EXIT_HARNESS


def _dispatch(options: argparse.Namespace, words: list[str]) -> int:
    if options.command == "check":
        from harness.check_command import check_command

        return check_command(options, program())
    if options.command == "run":
        return _run(options, words)
    if options.command == "reproduce":
        return _reproduce(options, words)
    if options.command == "sweep":
        return _sweep(options, words)
    if options.command == "shrink":
        return _shrink(options, words)
    if options.command == "inside":
        from harness.live_run import run_here

        return run_here(options.folder, options.quiet)
    if options.command == "replay":
        from harness.replay.command import Asked, replay_command

        what = options.run, options.replica, options.until, options.events
        return replay_command(Asked(*what, options.pdb, options.jobs, options.json))
    from harness import catalogue

    match options.command:
        case "audit":
            return catalogue.audit(options.run, options.mutate, options.json)
        case "report":
            return catalogue.report(options.run, options.json)
        case "list":
            return catalogue.list_(options.folder, options.json)
        case "doctor":
            return catalogue.doctor(options.json)
        case "faults":
            from harness.fault_catalogue import faults

            return faults(options.name, options.json)
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
            coverage=options.coverage,
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


def _shrink(options: argparse.Namespace, words: list[str]) -> int:
    from harness.one_run import MadeBy
    from harness.shrink.command import Asked, shrink

    return shrink(
        Asked(
            run=options.run,
            world=options.world,
            tries=options.tries,
            budget=options.budget,
            jobs=options.jobs,
            line=options.line,
            out=options.out,
            json=options.json,
            made=MadeBy(shlex.join([program(), *words]), program()),
        )
    )


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


if __name__ == "__main__":
    sys.exit(main())
