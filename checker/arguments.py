"""What can be typed: which history, and how to read it. `python -m checker` and `traitor check` share it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from checker.formats.reading import EXPORTS, FAIL_POLICIES, FORMATS, initial_of
from checker.models import MODEL_NAMES

_MODELS = f"{', '.join(MODEL_NAMES)}, or your own as package.module:Class"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What history, and how to read it."""
    parser.add_argument("path", type=Path, metavar="FILE|RUN", help="a history file or a run folder")
    parser.add_argument("--format", choices=("auto", *FORMATS), default="auto", help="of the file (auto)")
    parser.add_argument(
        "--model", type=_model, metavar="MODEL", help=f"instead of the one the history names: {_MODELS}"
    )
    parser.add_argument(
        "--initial", type=_initial, metavar="JSON", help="what every key holds at first (as in the history)"
    )
    parser.add_argument(
        "--fail",
        choices=FAIL_POLICIES,
        help="what a failed compare-and-set was (as in the format)",
    )
    parser.add_argument(
        "--forgive-torn-tail", action="store_true", help="leave out a half line at the end of the file"
    )
    parser.add_argument(
        "--guarantees",
        action="store_true",
        help="tell weaker guarantees of any history (not only of one that is not linearizable)",
    )
    parser.add_argument("--export", choices=EXPORTS, help="write the history, too, for other checkers")
    parser.add_argument("--to", type=Path, metavar="FILE", help="where the export goes")


def formatter(prog: str) -> argparse.HelpFormatter:
    """As argparse has it, which asks for one with every argument that is added.

    Its own way to the terminal's width (`shutil.get_terminal_size`) imports all that can be archived with.
    """
    return argparse.HelpFormatter(prog, width=_columns() - 2)


def _columns() -> int:
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told) > 0:
        return int(told)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):
        return 80


def _model(text: str) -> str:
    if text not in MODEL_NAMES and ":" not in text:
        raise argparse.ArgumentTypeError(f"{text!r:.80} is not one of {_MODELS}")
    return text


def _initial(text: str) -> str:
    try:
        initial_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
