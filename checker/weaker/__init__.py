"""What a history that is not linearizable still satisfies: weaker guarantees, each with what is known of it.

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
    """An invalid line of linearizability, with what still holds; any other as it is."""
    asked = line.verdict == "invalid" and limits.guarantee_seconds > 0
    if not asked or history.model in ("list-append", "txn-append"):  # those say it themselves
        return line
    try:
        found = guarantees(history, limits.guarantee_seconds)
    except Exception as error:  # the refutation stands by itself
        more: dict[str, object] = {"guarantees": f"not known ({type(error).__name__}: {error!s:.200})"}
    else:
        by_name = {name: guarantee.to_json() for name, guarantee in found.items()}
        more = {"guarantees": by_name, "still": sentence(found)}
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


def sentence(found: Mapping[str, Guarantee]) -> str:
    """All of it in one line."""
    parts = [f"still sequentially consistent: {_ANSWERS[found['sequential'].status]}"]
    stale = found["stale-reads"]
    if stale.status == "holds":
        most = stale.details["at_most_ns"]
        lines = (
            f"{counted(most, 'line')} of the history" if "without_clock" in stale.details else duration(most)
        )
        parts.append(f"no read was staler than {lines}")
    else:
        violated = stale.status == "violated"
        parts.append("stale reads alone do not explain it" if violated else "staleness of reads unknown")
    parts += [f"{name} {found[name].status}" for name in sessions.NAMES]
    return "; ".join(parts)
