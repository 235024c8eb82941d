"""``traitor check``: judge a run folder again, or a history file by itself.

A file is judged in a forked child with the limits of any checker: what it needs is imported by then, and a
new interpreter would take longer than a small history does. (A run folder gets the new interpreter: its
judges, its report and the lines of this process that it is printed with are no small matter anyway.) A child
that dies has found nothing out: ``unknown``. The answer comes first; what is not valid is then drawn, too.
"""

from __future__ import annotations

import argparse
import errno
import json
import shlex
import stat
import time
from collections.abc import Callable
from pathlib import Path

from harness import store
from harness.console import say, tell
from harness.errors import HarnessError, UsageError
from harness.forked import ChildLimits, Report, in_child
from harness.judging import CheckLimits, Judgement, dead, worst

_LIMITS = CheckLimits()


def check_command(options: argparse.Namespace, program: str) -> int:
    """Judge, keep, tell; the exit code."""
    model = ["--model", options.model] if options.model else []
    again = f"{program} check {shlex.join([str(options.path), *model, *_reading(options)])}"
    if options.path.is_dir():
        folder, judgement = _judge_run(options)
    else:
        folder = _folder_for(options.path, options.out)
        try:
            judgement = _judge_file(options, folder)
        except BaseException:
            _remove(folder)
            raise
    drawn = options.path.is_dir() or options.report or judgement.exit_code != 0
    if not options.json:
        say(judgement.text.rstrip("\n"))
    code, report = _draw(folder, judgement.exit_code) if drawn else (judgement.exit_code, None)
    if options.json:
        verdict = store.read_object(folder / "verdict.json")
        result = {"run": str(folder), "exit_code": code, "verdict": verdict, "report": report}
        say(json.dumps(result))
        return code
    say(f"{'report':<16} {report or ('none' if drawn else f'{program} report {shlex.quote(str(folder))}')}")
    say(f"{'again':<16} {again}")
    return code


def _draw(folder: Path, code: int) -> tuple[int, str | None]:
    from harness.report_file import render_report

    path, problem = render_report(folder)
    return worst(code, problem), None if path is None else str(path)


def _judge_run(options: argparse.Namespace) -> tuple[Path, Judgement]:
    from harness.judging import judge

    folder = store.find_run(options.path)
    for file in store.changed_judgement(folder):
        tell(f"note: {file} was changed after it was sealed, and is replaced by what is judged now")
    flags = _reading(options)
    flags += ["--export", options.export] if options.export else []
    flags += ["--to", str(options.to)] if options.to else []
    judgement = judge(folder, _LIMITS, model=options.model, flags=flags)
    store.seal_judgement(folder)
    return folder, judgement


def _reading(options: argparse.Namespace) -> list[str]:
    """How the history is read, as it was typed."""
    flags = ["--format", options.format] if options.format != "auto" else []
    flags += ["--fail", options.fail] if options.fail else []
    flags += [f"--initial={options.initial}"] if options.initial is not None else []
    flags += ["--forgive-torn-tail"] if options.forgive_torn_tail else []
    return flags + (["--guarantees"] if options.guarantees else [])


def _judge_file(options: argparse.Namespace, folder: Path) -> Judgement:
    complaints = folder / ".stderr"
    limits = ChildLimits(stage_s=_LIMITS.wall_s, memory_bytes=_LIMITS.memory_bytes)
    heard = in_child(_work(options, folder), limits, complaints)
    complaints.unlink(missing_ok=True)
    told = {name: value for report in heard.reports for name, value in report.items()}
    if "refused" in told:
        raise UsageError(str(told["refused"]))
    if "no place" in told:
        raise UsageError(str(told["no place"]), "Name another place: --out DIR, --to FILE.")
    if "not written" in told:
        raise HarnessError(
            str(told["not written"]), "Free some space, or name another place: --out DIR, --to FILE."
        )
    code, text = told.get("exit_code"), told.get("text")
    if heard.died is not None or not isinstance(code, int) or not isinstance(text, str):
        for half in folder.glob(".*"):  # what it was about to write
            half.unlink()
        return dead(heard.died or "it told no verdict", folder)
    return Judgement(code, text)


def _work(options: argparse.Namespace, folder: Path) -> Callable[[Report], None]:
    def work(report: Report) -> None:
        from checker.check import check, question
        from checker.history import HistoryError

        try:
            verdict = check(question(options, folder, _LIMITS.search_s))
        except HistoryError as error:
            report({"refused": str(error)})
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO)
            what = f"{error.filename or folder}: {error.strerror}"
            report({"not written" if full else "no place": what})
        else:
            report({"exit_code": verdict.exit_code, "text": verdict.text()})

    return work


def _folder_for(path: Path, out: Path) -> Path:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UsageError(f"{path} is not a regular file", "Copy it into one: it is read more than once.")
        with path.open("rb"):
            pass
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", "Name a run folder or a history file."
        ) from None
    stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in path.stem)[:40] or "history"
    return store.make_run_folder(out, f"check-{stem}", None, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
