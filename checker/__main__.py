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

from checker.history import HistoryError
from checker.limits import Limits
from checker.models import MODEL_NAMES
from checker.results import write_results
from checker.verdict import Verdict

WRONG_USE = 2
MACHINE = 4
_MODELS = f"{', '.join(MODEL_NAMES)}, or your own as package.module:Class"


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge, print, write; returns the exit code."""
    options = _parser().parse_args(arguments)
    target: Path | None = options.out or (options.path if options.path.is_dir() else None)
    try:
        verdict = _judge(options.path, Limits(seconds=options.time_limit), options.model)
        if target is not None:
            target.mkdir(parents=True, exist_ok=True)
            write_results(verdict, target)
    except HistoryError as error:
        _say(_printable(str(error)) + "\n", sys.stderr)
        return WRONG_USE
    except OSError as error:
        advice = "The verdict cannot be written; free some space, or name a place with --out DIR"
        reason = f"{error.filename or target}: {error.strerror}. {advice}"
        _say(_printable(reason) + "\n", sys.stderr)
        return MACHINE if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO) else WRONG_USE
    text = json.dumps(verdict.to_json()) + "\n" if options.json else verdict.text()
    _say(text, sys.stdout)
    return verdict.exit_code


def _judge(path: Path, limits: Limits, model: str | None) -> Verdict:
    if not path.is_dir():
        from checker.bare import judge_history

        return judge_history(path, limits, model=model)
    # A bare history is judged without what only run folders need.
    from checker.folder import is_run_folder
    from checker.judge import judge_run

    if not is_run_folder(path):
        reason = "is a folder without run.json, plan.json or history.jsonl"
        raise HistoryError(str(path), 0, reason, "Give a run folder or a history file")
    return judge_run(path, limits, model=model)


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
    parser.add_argument("path", type=Path, metavar="PATH", help="run folder or history.jsonl")
    parser.add_argument(
        "--model", type=_model, metavar="MODEL", help=f"instead of the one the history names: {_MODELS}"
    )
    parser.add_argument(
        "--time-limit", type=_seconds, default=60.0, metavar="S", help="seconds of search (60)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write verdict and certificates there")
    parser.add_argument("--json", action="store_true", help="print verdict.json instead of text")
    return parser


if __name__ == "__main__":
    sys.exit(main())
