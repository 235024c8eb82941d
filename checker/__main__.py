"""`python -m checker PATH`: judge a run folder or a history file and say so on standard output.

Exit codes: 0 valid, 1 a violation, 2 wrong use or a history that cannot be judged, 3 unknown, 4 the harness
failed. A run folder gets its verdict and certificates written into it; a bare history only with --out.
"""

from __future__ import annotations

import argparse
import errno
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from checker.check import EXPORTS, Question, check
from checker.formats.reading import FAIL_POLICIES, FORMATS, Options
from checker.history import HistoryError
from checker.limits import Limits
from checker.models import MODEL_NAMES

WRONG_USE = 2
MACHINE = 4
_MODELS = f"{', '.join(MODEL_NAMES)}, or your own as package.module:Class"


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge, print, write; returns the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.export is None) is not (options.to is None):
        parser.error("--export and --to go together: a format, and the file it is written to")
    try:
        verdict = check(question(options))
    except HistoryError as error:
        _say(_printable(str(error)) + "\n", sys.stderr)
        return WRONG_USE
    except OSError as error:
        advice = "It cannot be written; free some space, or name another place with --out DIR or --to FILE"
        reason = f"{error.filename or options.out or options.path}: {error.strerror}. {advice}"
        _say(_printable(reason) + "\n", sys.stderr)
        return MACHINE if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO) else WRONG_USE
    text = json.dumps(verdict.to_json()) + "\n" if options.json else verdict.text()
    _say(text, sys.stdout)
    return verdict.exit_code


def question(options: argparse.Namespace) -> Question:
    """What was typed (see `add_arguments`)."""
    reading = Options(options.model, options.fail, options.forgive_torn_tail)
    limits = Limits(seconds=options.time_limit)
    return Question(options.path, options.format, reading, limits, options.out, options.export, options.to)


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


def _model(text: str) -> str:
    if text not in MODEL_NAMES and ":" not in text:
        raise argparse.ArgumentTypeError(f"{text!r:.80} is not one of {_MODELS}")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m checker", description="Judge a run folder or a history file."
    )
    add_arguments(parser)
    parser.add_argument(
        "--time-limit", type=_seconds, default=60.0, metavar="S", help="seconds of search (60)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write verdict and certificates there")
    parser.add_argument("--json", action="store_true", help="print verdict.json instead of text")
    return parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What history, and how to read it."""
    parser.add_argument("path", type=Path, metavar="FILE|RUN", help="a history file or a run folder")
    parser.add_argument("--format", choices=("auto", *FORMATS), default="auto", help="of the file (auto)")
    parser.add_argument(
        "--model", type=_model, metavar="MODEL", help=f"instead of the one the history names: {_MODELS}"
    )
    parser.add_argument(
        "--fail",
        choices=FAIL_POLICIES,
        help="what a failed compare-and-set was (as in the format)",
    )
    parser.add_argument(
        "--forgive-torn-tail", action="store_true", help="leave out a half line at the end of the file"
    )
    parser.add_argument("--export", choices=EXPORTS, help="write the history, too, for other checkers")
    parser.add_argument("--to", type=Path, metavar="FILE", help="where the export goes")


if __name__ == "__main__":
    sys.exit(main())
