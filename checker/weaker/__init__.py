"""What a history that is not linearizable still satisfies: weaker guarantees, each with what is known of it.

`stale reads`: the least time by which reads would have to lag for an order to explain all. `sequential`:
one order of everything that each process agrees with. `read-your-writes`, `monotonic-reads`: of sessions.
Every "holds" and "violated" is sound; where neither is found within the limits it is "unknown".
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from checker.counterexample.words import duration
from checker.history import History, by_key
from checker.models import model_named
from checker.weaker import sequential, sessions, staleness
from checker.weaker.answers import Guarantee

SECONDS = 5.0


def guarantees(history: History, seconds: float = SECONDS) -> Mapping[str, Guarantee]:
    """By name, in the order they are said."""
    model = model_named(history.model, history.initial)
    keys = by_key(history.operations)
    found = {"sequential": sequential.judge(model, keys, seconds / 2)}
    found["stale-reads"] = staleness.judge(model, keys, time.monotonic() + seconds / 2)
    found |= sessions.judge(model, keys)
    return found


_ANSWERS = {"holds": "yes", "violated": "no", "unknown": "unknown"}


def sentence(found: Mapping[str, Guarantee]) -> str:
    """All of it in one line."""
    parts = [f"still sequentially consistent: {_ANSWERS[found['sequential'].status]}"]
    stale = found["stale-reads"]
    if stale.status == "holds":
        parts.append(f"no read was staler than {duration(stale.details['at_most_ns'])}")
    else:
        violated = stale.status == "violated"
        parts.append("stale reads alone do not explain it" if violated else "staleness of reads unknown")
    parts += [f"{name} {found[name].status}" for name in sessions.NAMES]
    return "; ".join(parts)
