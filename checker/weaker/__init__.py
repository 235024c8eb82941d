"""What a history satisfies that need not be linearizable: weaker guarantees, each with what is known of it.

`stale reads`: the least time by which reads would have to lag for an order to explain all. `sequential`:
one order of everything that each process agrees with. `read-your-writes`, `monotonic-reads`: of sessions.
Every "holds" and "violated" is sound; where neither is found within the limits it is "unknown".
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from checker.counterexample.words import duration
from checker.history import History, by_key
from checker.limits import Limits
from checker.models import model_named
from checker.numbers import counted
from checker.verdict import Line
from checker.weaker import sequential, sessions, staleness
from checker.weaker.answers import Guarantee

_MOST = 50_000
"""Operations. Of more, only what takes one pass is asked."""


def told(line: Line, history: History, limits: Limits) -> Line:
    """A line of linearizability with what weaker guarantees hold, if it is invalid or all are asked for."""
    asked = (line.verdict == "invalid" or limits.every_guarantee) and limits.guarantee_seconds > 0
    if not asked or history.model in ("list-append", "txn-append"):  # those say it themselves
        return line
    try:
        found = guarantees(history, limits.guarantee_seconds)
    except Exception as error:  # the refutation stands by itself
        more: dict[str, object] = {"guarantees": f"not known ({type(error).__name__}: {error!s:.200})"}
    else:
        found = implied(found) if line.verdict == "valid" else found
        by_name = {name: guarantee.to_json() for name, guarantee in found.items()}
        more = {"guarantees": by_name, "still": sentence(found, line.verdict)}
    return replace(line, details={**line.details, **more})


def guarantees(history: History, seconds: float) -> Mapping[str, Guarantee]:
    """By name, in the order they are said."""
    model = model_named(history.model, history.initial)
    keys = by_key(history.operations)
    if len(history.operations) > _MOST:
        many = Guarantee("unknown", f"not asked of more than {_MOST} operations")
        return {"sequential": many, "stale-reads": many, **sessions.judge(model, keys)}
    found = {"sequential": sequential.judge(model, keys, time.monotonic() + seconds / 2)}
    found["stale-reads"] = staleness.judge(model, keys, time.monotonic() + seconds / 2)
    return {**found, **sessions.judge(model, keys)}


_ANSWERS = {"holds": "yes", "violated": "no", "unknown": "unknown"}


def implied(found: Mapping[str, Guarantee]) -> Mapping[str, Guarantee]:
    """What was found of a linearizable history: every weaker guarantee holds, whoever says otherwise.

    A `violated` is a mistake of who says so (the order that explains the history was audited): it is told.
    """
    told: dict[str, Guarantee] = {}
    for name, guarantee in found.items():
        if guarantee.status == "holds" and not guarantee.details.get("at_most_ns"):
            told[name] = guarantee
            continue
        why = "every linearizable history has it"
        if guarantee.status != "unknown":
            why += f", though its own rule says, wrongly: {guarantee.why}. Please report it with this history"
        told[name] = Guarantee("holds", why, {"at_most_ns": 0} if name == "stale-reads" else {})
    return told


def sentence(found: Mapping[str, Guarantee], verdict: str = "invalid") -> str:
    """All of it in one line, after the line whose verdict it is."""
    still = {"invalid": "still ", "valid": "hence "}.get(verdict, "")
    parts = [f"{still}sequentially consistent: {_ANSWERS[found['sequential'].status]}"]
    stale = found["stale-reads"]
    if stale.status == "holds":
        most = stale.details["at_most_ns"]
        lines = (
            f"{counted(most, 'line')} of the history" if "without_clock" in stale.details else duration(most)
        )
        parts.append(f"no read was staler than {lines}" if most else "no read was stale")
    else:
        violated = stale.status == "violated"
        parts.append("stale reads alone do not explain it" if violated else "staleness of reads unknown")
    parts += [f"{name} {found[name].status}" for name in sessions.NAMES]
    return "; ".join(parts)
