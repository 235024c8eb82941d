"""All checks of one run in order, and `python -m checker.audit_run FOLDER [--json] [--mutate N]`.

Exit codes: 0 everything verified, 1 something does not verify, 2 wrong use, 3 something could not be checked.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from checker.audit_run.certificates import check_certificate
from checker.audit_run.findings import Audit, Finding, OnTrust
from checker.audit_run.guilt import check_guilt
from checker.audit_run.replies import check_replies
from checker.audit_run.sealed_files import check_files
from checker.audit_run.sensitivity import check_sensitivity
from checker.audit_run.trust import always
from checker.audit_run.verdicts import Recorded, against_traces, compare, read_recorded, requests
from checker.bare import judge_reading
from checker.fields import Unreadable, parse_object
from checker.files import read_regular
from checker.folder import RunFolder, is_run_folder, read_folder
from checker.formats.detect import read_history
from checker.history import HistoryError
from checker.judge import judge_folder
from checker.judges.validity import KEYED_HASH
from checker.limits import Limits
from checker.public_keys import PublicKeys, read_public_keys

MOST_COPIES = 100_000


def audit(folder: Path, limits: Limits, mutate: int = 0) -> Audit:
    """Check everything. `mutate`: so many spoilt copies are judged. Raises nothing for what it holds."""
    files, on_trust = check_files(folder)
    findings = [files]
    recorded = read_recorded(folder)
    if not (folder / "plan.json").exists() and not (folder / "run.json").exists():
        return _audit_of_history(folder, limits, files, on_trust)
    try:
        run = read_folder(folder)
    except HistoryError as error:
        findings.append(Finding("history", "wrong", f"it cannot be read: {error}"))
        return Audit(str(folder), findings, [*on_trust, *always(False, False, None)])
    virtual = _world(folder) != "live"
    keys = _keys(folder)
    certificate, more = check_certificate(folder, run.history, _linearizability(recorded))
    replies, trusted = check_replies(run, keys, virtual)
    verdict = judge_folder(run, limits)
    findings += [
        certificate,
        compare(recorded, verdict),
        requests(verdict),
        replies,
        against_traces(verdict, recorded),
        check_guilt(folder, keys, verdict),
    ]
    if mutate:
        findings.append(check_sensitivity(run, verdict, mutate, limits))
    return Audit(str(folder), findings, [*on_trust, *more, *trusted, *_always(run, virtual, keys)])


def _audit_of_history(folder: Path, limits: Limits, files: Finding, on_trust: list[OnTrust]) -> Audit:
    """A folder that `traitor check FILE` made: a history and its verdict, and nothing of a run."""
    recorded = read_recorded(folder)
    try:
        reading = read_history(folder / "history.jsonl")
    except HistoryError as error:
        findings = [files, Finding("history", "wrong", f"it cannot be read: {error}")]
        return Audit(str(folder), findings, on_trust)
    certificate, more = check_certificate(folder, reading.history, _linearizability(recorded))
    verdict = compare(recorded, judge_reading(reading, limits))
    why = "a history by itself: nobody knows how it came to be, nor from what"
    trust = [*on_trust, *more, OnTrust("the history", why), OnTrust("the judge", "this checker, Python")]
    return Audit(str(folder), [files, certificate, verdict], trust)


def _always(run: RunFolder, virtual: bool, keys: PublicKeys | None) -> list[OnTrust]:
    return always(virtual, run.plan is not None and run.plan.signer == KEYED_HASH, keys)


def _linearizability(recorded: Recorded | str) -> str | None:
    return None if isinstance(recorded, str) else recorded.of("linearizability")


def _world(folder: Path) -> object:
    try:
        return parse_object(read_regular(folder / "plan.json")).get("world", "live")
    except (OSError, Unreadable):
        return "live"


def _keys(folder: Path) -> PublicKeys | None:
    try:
        return read_public_keys(folder)
    except (OSError, Unreadable):
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Audit, print; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m checker.audit_run", description="Verify the evidence in a run folder."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a run folder, or a copy of one")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument("--time-limit", type=float, default=60.0, metavar="S", help="seconds of search (60)")
    parser.add_argument("--mutate", type=int, default=0, metavar="N", help="judge N spoilt copies, too")
    options = parser.parse_args(arguments)
    if not options.time_limit > 0:
        parser.error(f"--time-limit {options.time_limit}: give a number of seconds above 0")
    if not 0 <= options.mutate <= MOST_COPIES:
        parser.error(f"--mutate {options.mutate}: give a number from 0 to {MOST_COPIES}")
    if not is_run_folder(options.folder):
        parser.error(
            f"{str(options.folder)!a} is no run folder: it has no run.json, plan.json or history.jsonl"
        )
    found = audit(options.folder, Limits(seconds=options.time_limit), options.mutate)
    text = json.dumps(found.to_json()) if options.json else "\n".join(found.lines())
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))
    return found.exit_code
