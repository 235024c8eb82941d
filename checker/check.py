"""One question to the judge: which history, read how, and where verdict, certificates and exports go.

`python -m checker` and `traitor check` are both this.
"""

from __future__ import annotations

import errno
import hashlib
import os
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from checker.formats.reading import Options, Reading, initial_of
from checker.history import HistoryError
from checker.limits import Limits
from checker.models import ModelError, model_class
from checker.results import write_results
from checker.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `out`: a folder for verdict and certificates; a run folder is its own."""

    path: Path
    format: str = "auto"
    options: Options = field(default_factory=Options)
    limits: Limits = field(default_factory=Limits)
    out: Path | None = None
    export: Literal["edn", "jsonl"] | None = None
    to: Path | None = None
    """Where the export goes."""


def question(options: Namespace, out: Path | None, seconds: float) -> Question:
    """What was typed (see `checker.arguments`). Raises HistoryError where it does not fit together."""
    if (options.export is None) is not (options.to is None):
        advice = "Give both: a format, and the file it is written to"
        raise HistoryError(str(options.path), 0, "--export and --to go together", advice)
    initial = None if options.initial is None else (initial_of(options.initial),)
    reading = Options(options.model, options.fail, options.forgive_torn_tail, initial)
    limits = Limits(seconds=seconds, every_guarantee=options.guarantees)
    return Question(options.path, options.format, reading, limits, out, options.export, options.to)


def check(question: Question) -> Verdict:
    """Judge and write. Raises HistoryError, and OSError where something cannot be written.

    What is wrong without a look at the history is said before it is read: that may take long.
    """
    _refuse_early(question)
    if question.path.is_dir():
        return _run(question)
    from checker.bare import judge_reading
    from checker.formats.detect import read_history

    reading = read_history(question.path, question.format, question.options)
    _export(question, reading)
    if question.out is not None:
        question.out.mkdir(parents=True, exist_ok=True)
        reading = _keep(question, reading, question.out)
    verdict = judge_reading(reading, question.limits)
    if question.out is not None:
        write_results(verdict, question.out)
    return verdict


def _refuse_early(question: Question) -> None:
    model, to = question.options.model, question.to
    if model is not None:
        try:
            model_class(model)
        except ModelError as error:
            raise HistoryError(str(question.path), 0, *str(error).rsplit(". ", 1)) from None
    if to is not None:
        if to.exists() and (not to.is_file() or (question.path.exists() and to.samefile(question.path))):
            raise HistoryError(str(to), 0, "is no place for an export", "Name a new file with --to")
        _must_take(to.parent, to)
    if question.out is not None:
        made = (place for place in (question.out, *question.out.parents) if place.exists())
        _must_take(next(made, question.out), question.out)


def _must_take(folder: Path, what: Path) -> None:
    """Raises OSError if `folder` is none that `what` can be written into."""
    if not folder.is_dir():
        code = errno.ENOTDIR if folder.exists() else errno.ENOENT
        raise OSError(code, os.strerror(code), str(what))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(what))


def _run(question: Question) -> Verdict:
    # A bare history is judged without what only run folders need.
    from checker.folder import is_run_folder
    from checker.judge import judge_run

    path, options = question.path, question.options
    if not is_run_folder(path):
        reason = "is a folder without run.json, plan.json or history.jsonl"
        raise HistoryError(str(path), 0, reason, "Give a run folder or a history file")
    if question.format not in ("auto", "traitor") or options.fail or options.forgive_torn_tail:
        reason = "is a run folder, whose history is read strictly: no other --format, --fail or torn tail"
        raise HistoryError(str(path), 0, reason, "Name its history.jsonl itself to read it in another way")
    if options.initial is not None:
        reason = "is a run folder, whose history says itself what every key held at first"
        raise HistoryError(str(path), 0, reason, "Leave out --initial, or name its history.jsonl itself")
    if question.export is not None:
        from checker.formats.detect import read_history

        _export(question, read_history(path / "history.jsonl", "traitor", options))
    verdict = judge_run(path, question.limits, model=options.model)
    out = question.out or path
    out.mkdir(parents=True, exist_ok=True)
    write_results(verdict, out)
    return verdict


def _export(question: Question, reading: Reading) -> None:
    if question.export is None or question.to is None:
        return
    from checker.formats.export import WRITERS

    _write(question.to, WRITERS[question.export](reading.history))


def _keep(question: Question, reading: Reading, out: Path) -> Reading:
    """The history goes beside its verdict in our own format, which everything else here reads."""
    from checker.files import read_regular

    target = out / "history.jsonl"
    itself = target.exists() and target.samefile(question.path)
    if reading.format == "traitor":
        content = read_regular(question.path)
        kept = _beginning(content, question)
        if itself and kept != content:
            reason = "would be written over with another initial value"
            raise HistoryError(str(target), 0, reason, "Name another folder with --out")
        if itself:
            return reading
        sha256 = _write(target, iter([kept]))
        return replace(reading, history=replace(reading.history, sha256=sha256))
    if itself:
        return reading
    from checker.formats.export import to_jsonl

    sha256 = _write(target, to_jsonl(reading.history))
    return replace(reading, history=replace(reading.history, sha256=sha256))


def _beginning(content: bytes, question: Question) -> bytes:
    """Of a history of ours, with the first value that it was judged with."""
    if question.options.initial is None:
        return content
    from checker.formats.export import with_initial

    return with_initial(content, question.options.initial[0])


def _write(path: Path, pieces: Iterator[bytes]) -> str:
    """The whole file or none; its sha256."""
    beside = path.with_name(f".{path.name[:100]}.{os.getpid()}")
    digest = hashlib.sha256()
    try:
        with beside.open("wb") as file:
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return digest.hexdigest()
