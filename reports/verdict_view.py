"""The verdict in the words of the banner, and its lines.

The report judges nothing: it repeats verdict.json with its scope spelled out. A pass is a statement about
this history, never about the system. No verdict, or one this code does not know, is ``unknown``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from checker.seal import Broken
from reports import evidence, guilt
from reports.untrusted import duration, integer, listing, mapping, shown

VERDICT = "verdict.json"
_UNSEALED = "Nothing below says whether the run was right or wrong: it is not known to be the run's."
LEVELS = ("valid", "invalid", "unknown")
MAX_LINES = 100
VIOLATION, USAGE, NOT_KNOWN, HARNESS, INTERRUPTED = 1, 2, 3, 4, 130
MAX_TOLD = 12
FEW_ALIKE = 3
"""More lines than this that were not judged for one and the same reason are one row."""
ASKS = {
    "linearizability": "Does one order of all operations explain what clients saw?",
    "witness": "Is the order the replicas executed that explanation?",
    "agreement": "Did correct replicas decide the same, each time by a quorum?",
    "exactly-once": "Did every request take effect at most once?",
    "durability": "Is what clients were told still there, and was it executed before they were told?",
    "validity": "Was all that was executed asked for and signed by a client?",
    "promises": "Did each correct replica keep its word: no second vote, no vote in a view it had left?",
    "liveness": "Did operations complete in time while few enough replicas were bad?",
    "view-churn": "Did views stay put while nothing was wrong?",
    "accountability": "Who is proved guilty by what it signed, and was each of them made to lie?",
    "recovery": "Was every fault undone, and is every replica well again?",
    "coverage": "Did enough happen for the rest to mean something?",
    "harness": "Can the record itself be trusted?",
}
"""What each line asks, for those who read it first."""


_TOLD = {
    "linearizability": evidence.TOLD,
    "coverage": frozenset({"became"}),
    "accountability": guilt.TOLD,
}
"""Details that are told in sentences."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the verdict."""

    name: str
    level: str
    word: str
    reason: str
    details: str
    asks: str = ""
    told: Sequence[str] = ()
    """What the details say, in sentences."""


@dataclass(frozen=True, slots=True)
class Banner:
    """What stands on top: a level for colour and shape, a word, and the sentence why."""

    level: str
    word: str
    sentence: str
    scope: str
    exit_code: int | None


def read_lines(verdict: Mapping[str, object]) -> list[Line]:
    """The lines in the order they were given."""
    lines = []
    for entry in listing(verdict.get("lines"))[:MAX_LINES]:
        line = mapping(entry)
        given = line.get("verdict")
        level = given if isinstance(given, str) and given in LEVELS else "unknown"
        word = level
        if line.get("judged") is False:
            level, word = "unjudged", "not judged"
        elif given != level:
            word = f"unknown (the file says {shown(given, 30)})"
        details = mapping(line.get("details"))
        name = shown(line.get("name"), 40)
        lines.append(
            Line(
                name,
                level,
                word,
                shown(line["reason"], 600) if line.get("reason") else "no reason given",
                "\n".join(_listed(name, details)),
                ASKS.get(name, ""),
                list(_told(name, details)),
            )
        )
    return lines


def rows(lines: Sequence[Line]) -> list[Line]:
    """The lines as a table has them: those that one reason kept from being judged together, at the end."""
    alike = Counter(line.reason for line in lines if line.level == "unjudged")
    together = [line for line in lines if line.level == "unjudged" and alike[line.reason] > FEW_ALIKE]
    by_reason: dict[str, list[Line]] = {}
    for line in together:
        by_reason.setdefault(line.reason, []).append(line)
    joined = [
        replace(some[0], name="the others", reason=f"{reason}: {', '.join(line.name for line in some)}")
        for reason, some in by_reason.items()
    ]
    return [line for line in lines if line not in together] + joined


def _told(name: str, details: Mapping[str, object]) -> Iterator[str]:
    """Sentences from details whose meaning is known."""
    if name == "linearizability":
        yield from evidence.sentences(details)
    elif name == "witness":
        rejected = mapping(details.get("rejected"))
        for key, why in list(rejected.items())[:MAX_TOLD]:
            yield f"Key {shown(key, 40)}: {shown(why, 400)}"
        if len(rejected) > MAX_TOLD:
            yield f"And {len(rejected) - MAX_TOLD:,} keys more."
    elif name == "accountability":
        yield from guilt.sentences(details)
    elif name == "coverage":
        for note in listing(details.get("became"))[:MAX_TOLD]:
            yield shown(note, 400)
        for note in listing(mapping(details.get("read")).get("notes"))[:MAX_TOLD]:
            yield shown(note, 400)


def _listed(name: str, details: Mapping[str, object]) -> Iterator[str]:
    """The other details as they are."""
    told = _TOLD.get(name, frozenset({"rejected"}))
    yield from evidence.guarantee_rows(details)
    for field, value in list(details.items())[:40]:
        if field in told:
            continue
        number = integer(value)
        length = f" ({duration(number)})" if number and field.endswith("_ns") else ""
        yield f"{shown(field, 60)}: {shown(value, 400)}{length}"


def read_banner(
    verdict: Mapping[str, object], lines: list[Line], operations: int, broken: Sequence[Broken] = ()
) -> Banner:
    """From the verdict file: what it says, said plainly. A verdict that is not the sealed one says nothing,
    nor does a pass of a run whose files are not those that were sealed."""
    code = integer(verdict.get("exit_code"))
    given = verdict.get("verdict")
    if not verdict:
        return Banner(
            "unknown",
            "no verdict",
            "The verdict is missing or unreadable: this history was not judged, or judging it did not end. "
            "Run traitor check on the folder to judge it.",
            "Nothing below says whether the run was right or wrong.",
            None,
        )
    level = given if isinstance(given, str) and given in LEVELS else "unknown"
    word, lead = level, level
    if code == HARNESS:
        level, word, lead = "unknown", "harness failure", "invalid"
    elif code == INTERRUPTED:
        level, word, lead = "unknown", "interrupted", "invalid"
    elif level == "valid" and code not in (0, None):
        level, word, lead = "unknown", f"contradiction: valid, yet exit code {code}", "invalid"
    changed = [seal.file for seal in broken if not seal.forbidden]
    if VERDICT in changed or (changed and level == "valid"):
        return Banner("unknown", "not the sealed files", _unsealed(changed, word), _UNSEALED, code)
    return Banner(level, word, _sentence(lines, lead), _scope(lines, operations), code)


def _unsealed(changed: Sequence[str], word: str) -> str:
    names = ", ".join(shown(name, 60) for name in changed[:3])
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    what = "is not the file" if len(changed) == 1 else "are not the files"
    says = f"that verdict.json says {word} is worth nothing" + ("" if VERDICT in changed else " for these")
    return (
        f"{names}{more} {what} that manifest.json names by sha256: {says}. Run traitor audit on the folder, "
        "and traitor check to judge it as it is now."
    )


def _sentence(lines: list[Line], lead: str) -> str:
    chosen = [line for line in lines if line.level == lead] or [
        line for line in lines if line.level == "unknown"
    ]
    if lead == "valid":
        judged = [line for line in lines if line.level == "valid"]
        names = ", ".join(line.name for line in judged)
        if not judged:
            return "No line was judged."
        return f"{len(judged)} of {len(lines)} lines judged, all of them valid: {names}."
    if not chosen:
        return "The verdict names no reason."
    more = f" And {len(chosen) - 1} more below." if len(chosen) > 1 else ""
    reason = chosen[0].reason.rstrip()
    return f"{chosen[0].name}: {reason}{'' if reason.endswith(('.', '!', '?')) else '.'}{more}"


def _scope(lines: list[Line], operations: int) -> str:
    """What the linearizability line does and does not claim."""
    line = next((line for line in lines if line.name == "linearizability"), None)
    count = f"this history of {operations:,} {'operation' if operations == 1 else 'operations'}"
    if line is None or line.level == "unjudged":
        return f"Linearizability was not judged for {count}."
    if line.level == "valid":
        return (
            f"Linearizable: {count}. That is a statement about what these clients saw, not about the system."
        )
    if line.level == "invalid":
        return f"Not linearizable: {count} has no order that explains every answer."
    return f"Linearizability unknown: {count} was neither explained nor refuted."
