"""`python -m checker PATH`: judge a run folder or a history file and say so on standard output.

Exit codes: 0 valid, 1 a violation, 2 wrong use or a history that cannot be judged, 3 unknown, 4 the harness
failed. A run folder gets its verdict and certificates written into it; a bare history only with --out.
"""

from __future__ import annotations

import argparse
import atexit
import errno
import gc
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from checker.arguments import add_arguments, formatter
from checker.check import check, question
from checker.history import HistoryError

WRONG_USE = 2
MACHINE = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge, print, write; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        verdict = check(question(options, options.out, options.time_limit))
    except HistoryError as error:
        _say(_printable(str(error)) + "\n", sys.stderr)
        return WRONG_USE
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO)
        advice = "Free some space" if full else "What is judged is written there: copy the folder to your own"
        place = error.filename or options.out or options.path
        reason = f"{place}: {error.strerror}. {advice}, or name another place with --out DIR or --to FILE"
        _say(_printable(reason) + "\n", sys.stderr)
        return MACHINE if full else WRONG_USE
    text = json.dumps(verdict.to_json()) + "\n" if options.json else verdict.text()
    _say(text, sys.stdout)
    return verdict.exit_code


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _say(text: str, stream: TextIO) -> None:
    """Write what the stream's encoding cannot express as escapes."""
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m checker",
        description="Judge a run folder or a history file.",
        formatter_class=formatter,
    )
    add_arguments(parser)
    parser.add_argument(
        "--time-limit", type=_seconds, default=60.0, metavar="S", help="seconds of search (60)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write verdict and certificates there")
    parser.add_argument("--json", action="store_true", help="print verdict.json instead of text")
    return parser


if __name__ == "__main__":
    atexit.register(gc.freeze)  # what is left is the system's then: nothing to collect
    sys.exit(main())
