"""``--until``, ``--events`` and ``--pdb``: one replica at one moment."""

from __future__ import annotations

import bdb
import pdb
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from harness.console import say
from harness.errors import UsageError
from harness.replay.moment import Moment
from harness.replay.of_replica import Subject, make_replayer
from harness.replay.readable import counted, effect_words, event_words, seconds
from harness.replay.replayer import Replayer, Upcoming
from harness.replay.state import facts_of, text_of
from pbft_node.core.effects import Effect
from pbft_node.core.events import Event
from pbft_node.core.replica import Replica

LEAD = 10
"""Events shown before the moment."""
FORM = "{number:>8}  {at:>14}  {what}"


@dataclass(frozen=True, slots=True)
class Line:
    """One event in a list."""

    number: int
    life: int
    now_ns: int
    what: str

    def text(self, zero_ns: int) -> str:
        """For people."""
        return FORM.format(number=self.number, at=seconds(self.now_ns, zero_ns), what=self.what)


def until(subject: Subject, moment: Moment, zero_ns: int) -> tuple[list[str], dict[str, object], bool]:
    """Stop after that event. (text, the same as data, was it reached with every hash equal)."""
    replayer = make_replayer(subject)
    last: deque[Line] = deque(maxlen=LEAD)
    for upcoming in replayer.events():
        if last and _over(moment, replayer, upcoming, zero_ns):
            break
        last.append(_line(upcoming))
    if (mismatch := replayer.mismatch) is not None:
        said = f"event {mismatch.number} ({mismatch.event}): {mismatch.what}"
        return [f"not reached: {said}"], {"reached": False, "mismatch": said, "event": replayer.done}, False
    _check_reached(moment, replayer, last[-1] if last else None, zero_ns)
    return _shown(replayer, list(last), zero_ns)


def _shown(replayer: Replayer, last: list[Line], zero_ns: int) -> tuple[list[str], dict[str, object], bool]:
    here, now_ns = last[-1], last[-1].now_ns
    effects = [effect_words(effect) for effect in replayer.effects]
    facts = facts_of(replayer.replica, now_ns, replayer.timers)
    text = [
        f"replica {replayer.replica.me} after event {here.number} (life {here.life}, "
        f"{seconds(now_ns, zero_ns)} of load); every hash up to it is equal",
        *(line.text(zero_ns) for line in last),
        *(f"{'':>24}  -> {words}" for words in effects),
        "",
        *text_of(replayer.replica, now_ns, replayer.timers),
    ]
    data: dict[str, object] = {
        "reached": True,
        "event": here.number,
        "life": here.life,
        "time_ns": now_ns,
        "what": here.what,
        "effects": effects,
        "before": [{"event": line.number, "time_ns": line.now_ns, "what": line.what} for line in last],
        "state": facts,
    }
    return text, data, True


def _over(moment: Moment, replayer: Replayer, upcoming: Upcoming, zero_ns: int) -> bool:
    """Is the event before ``upcoming`` the one to stop after?"""
    if moment.event is not None:
        return replayer.done >= moment.event
    if moment.seq is not None:
        return replayer.replica.executed >= moment.seq
    return upcoming.now_ns - zero_ns > (moment.after_load_ns or 0)


def _check_reached(moment: Moment, replayer: Replayer, last: Line | None, zero_ns: int) -> None:
    """The journal's last event may be the one; else there is none such."""
    if last is not None and _passed(moment, replayer, last, zero_ns):
        return
    at = "" if last is None else f", the last at {seconds(last.now_ns, zero_ns)}"
    raise UsageError(
        f"the journal of replica {replayer.replica.me} ends before {moment}: it has "
        f"{counted(replayer.done, 'event')}{at}, and executed {replayer.replica.executed}",
        "See them: --events.",
    )


def _passed(moment: Moment, replayer: Replayer, last: Line, zero_ns: int) -> bool:
    if moment.event is not None:
        return replayer.done >= moment.event
    if moment.seq is not None:
        return replayer.replica.executed >= moment.seq
    return True  # the last event there is, is the last one before that time


def events(subject: Subject, first: int, last: int) -> list[Line]:
    """Events ``first`` to ``last``, from the journal alone."""
    lines: list[Line] = []
    number = 0
    for life in subject.contents.lives:
        if number + life.events < first:
            number += life.events
            continue
        for entry in life.entries():
            number += 1
            if number > last:
                return lines
            if number >= first:
                lines.append(Line(number, life.number, entry.now_ns, event_words(entry.event)))
    return lines


def debug(subject: Subject, number: int, zero_ns: int) -> bool:
    """A debugger just before that event. True iff every hash up to it and its own were equal."""
    replayer = make_replayer(subject)
    try:
        for upcoming in replayer.events():
            if upcoming.number > number:
                break
            if upcoming.number == number:
                say(f"{_line(upcoming).text(zero_ns)}\n{_HELP}")
                replayer.call = _debugged
    except bdb.BdbQuit:
        return True
    if replayer.mismatch is not None:
        say(f"event {replayer.mismatch.number}: {replayer.mismatch.what}")
        return False
    say(f"its hash is equal; {counted(len(replayer.effects), 'effect')}")
    return True


_HELP = (
    "replica: its core as all events before left it; event, now_ns: what it is about to be handed; "
    "n: hand it over, then effects is what it gave back; s: step into it; q: quit"
)


def _debugged(replica: Replica, event: Event, now_ns: int) -> Sequence[Effect]:
    pdb.Pdb(nosigint=True, stdin=sys.stdin, stdout=sys.stdout).set_trace()
    effects = replica.handle(event, now_ns)
    return effects  # noqa: RET504 - a line to stop at, with a name for what came back


def _line(upcoming: Upcoming) -> Line:
    return Line(upcoming.number, upcoming.life, upcoming.now_ns, event_words(upcoming.event))
