"""The verdict over replayed traces: the run folder with these in the place of the recorded ones.

A folder for the time of the judgement shows everything the run recorded as links to it, and the replayed
traces as files. So nothing is copied, nothing is written into the run, and the judge cannot tell the
difference. The seals are kept, but for the traces', which are other files now.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from checker.seal import JUDGEMENT
from harness import store
from harness.errors import HarnessError
from harness.judging import CheckLimits, Judgement, judge
from harness.run_record import write_json

TRACE = "trace.jsonl"
_NOT_SHOWN = JUDGEMENT | {"manifest.json", "report.html", "replicas", "evidence"}
MOST_ENTRIES = 10_000
"""Of one folder; no run has more."""


@dataclass(frozen=True, slots=True)
class Again:
    """The verdict over the replayed traces, and whether it is the recorded one."""

    judgement: Judgement
    verdict: Mapping[str, object]
    recorded: str | None
    """The recorded verdict; None: the run was never judged."""
    differences: tuple[str, ...]
    """Lines that were judged otherwise: ``liveness: valid, was unknown``."""

    @property
    def same(self) -> bool | None:
        """None: there is nothing to compare with."""
        return None if self.recorded is None else not self.differences


def judge_again(run: Path, traces: Mapping[int, Path], scratch: Path, limits: CheckLimits) -> Again:
    """``scratch`` is an empty folder. Raises what ``judge`` raises."""
    try:
        there = {replica: trace for replica, trace in traces.items() if trace.exists()}
        _mirror(run.resolve(), there, scratch)
    except OSError as error:
        raise HarnessError(
            f"cannot lay out the replayed run in {scratch}: {error.strerror}", "Free some space in TMPDIR."
        ) from None
    judgement = judge(scratch, limits)
    verdict = store.read_object(scratch / "verdict.json")
    before = store.read_object(run / "verdict.json")
    known = before.get("verdict")
    recorded = store.printable(known) if isinstance(known, str) else None
    return Again(judgement, verdict, recorded, _differences(_lines(before), _lines(verdict)))


def _mirror(run: Path, traces: Mapping[int, Path], scratch: Path) -> None:
    _link_all(run, scratch, _NOT_SHOWN)
    for replica in _names(run / "replicas"):
        (scratch / "replicas" / replica).mkdir(parents=True)
        replayed = replica.isascii() and replica.isdecimal() and int(replica[:9]) in traces
        _link_all(run / "replicas" / replica, scratch / "replicas" / replica, {TRACE} if replayed else set())
    for number, trace in traces.items():
        folder = scratch / "replicas" / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        os.link(trace, folder / TRACE)
    manifest = dict(store.read_object(run / "manifest.json"))
    files = manifest.get("files")
    if isinstance(files, dict):
        replaced = {f"replicas/{number}/{TRACE}" for number in traces}
        manifest["files"] = {name: digest for name, digest in files.items() if name not in replaced}
    if manifest:
        write_json(scratch / "manifest.json", manifest)
    elif (run / "manifest.json").exists():
        (scratch / "manifest.json").symlink_to(run / "manifest.json")


def _link_all(source: Path, target: Path, but: frozenset[str] | set[str]) -> None:
    for name in _names(source):
        if name not in but:
            (target / name).symlink_to(source / name)


def _names(folder: Path) -> list[str]:
    """Of what is in it, sorted; nothing of what is no folder."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry, _ in zip(entries, range(MOST_ENTRIES), strict=False)]
    except OSError:
        return []
    return sorted(names)


def _lines(verdict: Mapping[str, object]) -> dict[str, str]:
    """Name -> verdict of the lines that were judged."""
    lines = verdict.get("lines")
    return {
        str(line.get("name")): str(line.get("verdict"))
        for line in (lines if isinstance(lines, list) else [])
        if isinstance(line, dict) and line.get("judged")
    }


def _differences(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    if not before:
        return ()
    return tuple(
        store.printable(f"{name}: {now.get(name, 'not judged')}, was {before.get(name, 'not judged')}")
        for name in dict.fromkeys((*before, *now))
        if before.get(name) != now.get(name)
    )


def as_json(again: Again) -> dict[str, object]:
    """For ``--json``."""
    return {
        "exit_code": again.judgement.exit_code,
        "verdict": again.verdict,
        "recorded": again.recorded,
        "same": again.same,
        "differences": list(again.differences),
    }


def text(again: Again) -> str:
    """The verdict lines, and whether they are the recorded ones."""
    said = {
        None: "the run had not been judged before",
        True: f"the same as recorded: {again.recorded}",
        False: "NOT the same as recorded: " + "; ".join(again.differences),
    }[again.same]
    return f"{again.judgement.text.rstrip(chr(10))}\n{'judged again':<16} {said}"
