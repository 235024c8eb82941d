"""The run judged again, and every line compared with `verdict.json`. Requests and traces are judged with it.

A violation that the verdict names is no fault of the evidence: it verifies when it is found again. A line
that one of both could not decide (a limit, a missing package) is not checked; a line that is newer than the
verdict has nothing to be compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from checker.audit_run.findings import Finding
from checker.fields import Fields, Unreadable, parse_object
from checker.files import read_regular
from checker.judges import agreement, durability, exactly_once, validity, witness
from checker.verdict import Line, Verdict

_AGAINST_TRACES = (agreement.NAME, exactly_once.NAME, durability.NAME)


class Recorded:
    """`verdict.json`. Raises OSError or Unreadable."""

    def __init__(self, folder: Path) -> None:
        fields = Fields(parse_object(read_regular(folder / "verdict.json")), "verdict.json")
        self.exit_code = fields.number("exit_code")
        self.operations = fields.raw("operations")
        self.lines: Mapping[str, tuple[str, bool, str, object]] = {
            line.text("name"): (
                line.text("verdict"),
                line.flag("judged"),
                line.text("reason"),
                line.inner("details").raw("kind"),
            )
            for line in fields.objects("lines")
        }

    def of(self, name: str) -> str | None:
        """The verdict of a line, if it has it."""
        return self.lines[name][0] if name in self.lines else None


def read_recorded(folder: Path) -> Recorded | str:
    """Or why it cannot be read."""
    try:
        return Recorded(folder)
    except OSError as error:
        return f"verdict.json cannot be read: {error.strerror}"
    except Unreadable as error:
        return f"verdict.json is malformed: {error}"


def compare(recorded: Recorded | str, now: Verdict) -> Finding:
    """Line by line."""
    name = "verdict"
    if isinstance(recorded, str):
        return Finding(name, "unchecked", recorded)
    known = [line for line in now.lines if line.name in recorded.lines]
    wrong = [said for line in known if (said := _contradicts(line, recorded))]
    extra = sorted(set(recorded.lines) - {line.name for line in now.lines})
    if extra:
        wrong.append(f"it has a line {extra[0]!a:.40}, which there is not")
    new = len(now.lines) - len(known)
    if not new and recorded.exit_code != now.exit_code and not wrong and not _undecided(known, recorded):
        wrong.append(f"it has exit code {recorded.exit_code}, judged again it is {now.exit_code}")
    if recorded.operations != now.operations:
        wrong.append("its operations are counted otherwise than in the history")
    if wrong:
        return Finding(name, "wrong", "; ".join(wrong[:5]))
    doubtful = _undecided(known, recorded)
    if doubtful:
        return Finding(name, "unchecked", "; ".join(doubtful[:5]))
    told = f"judged again, {len(known)} lines are as in verdict.json"
    if new:
        told += f"; {new} more are newer than it"
    return Finding(name, "verified", told, (f"{len(known)} lines of the verdict, judged again",))


def _contradicts(line: Line, recorded: Recorded) -> str | None:
    verdict, _, _, kind = recorded.lines[line.name]
    decided = {verdict, line.verdict} <= {"valid", "invalid"}
    hidden = "invalid" in (verdict, line.verdict) and verdict != line.verdict
    if hidden or (decided and (verdict != line.verdict or kind != line.details.get("kind"))):
        was = f"{verdict} ({kind})" if isinstance(kind, str) else verdict
        return f"{line.name} is {was:.100} in it, judged again it is {line.verdict}: {line.reason:.300}"
    return None


def _undecided(lines: list[Line], recorded: Recorded) -> list[str]:
    found = []
    for line in lines:
        verdict, judged, reason, _ = recorded.lines[line.name]
        if (verdict, judged) != (line.verdict, line.judged):
            found.append(
                f"{line.name} is {verdict} in it, judged again it is {line.verdict}: {line.reason:.200}"
            )
        elif reason != line.reason:
            found.append(f"{line.name} reads otherwise in it: another version judged, or it was changed")
    return found


def requests(now: Verdict) -> Finding:
    """The signatures of what was executed."""
    line = now.line(validity.NAME)
    if line.verdict == "invalid":
        return Finding("requests", "wrong", line.reason)
    if line.verdict == "unknown":
        return Finding("requests", "unchecked", line.reason)
    signatures, compared = line.details.get("signatures"), line.details.get("compared")
    counts = [f"{signatures} signatures of executed requests"] if signatures else []
    counts.append(f"{compared} executed requests, by the history")
    return Finding("requests", "verified", line.reason, tuple(counts))


def against_traces(now: Verdict, recorded: Recorded | str) -> Finding:
    """What clients saw against what correct replicas say they did."""
    name = "traces"
    lines = [now.line(each) for each in (*_AGAINST_TRACES, witness.NAME)]
    for line in lines:
        told = f"{line.name} is {line.verdict}: {line.reason}"
        if line.verdict == "invalid":
            same = not isinstance(recorded, str) and recorded.of(line.name) == "invalid"
            return Finding(
                name, "verified" if same else "wrong", told + (", as in verdict.json" if same else "")
            )
    for line in lines[:3]:
        if line.verdict == "unknown":
            return Finding(name, "unchecked", f"{line.name} is unknown: {line.reason}")
    acknowledged = now.line(durability.NAME).details.get("acknowledged")
    told = f"{acknowledged} acknowledged operations were executed by correct replicas, once, in one order"
    if lines[3].verdict == "valid":
        told += ", and that order explains what clients saw"
    return Finding(name, "verified", told, (f"{acknowledged} acknowledged operations, by the traces",))
