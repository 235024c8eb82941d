"""What the driver owes the journal: it is written before the log, the trace and the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pbft_node.core.effects import Compact, Effect, Halt, Persist, Rejected, Send, Trace
from pbft_node.core.events import Event, Received, TimerFired
from pbft_node.errors import HaltedError, MachineError
from pbft_node.trace import INTERVAL_NS, TraceLines, encode_line
from pbft_node.turns import Turns

SEND = Send(1, b"m")
LINE = encode_line(7, "prepared", {"seq": 1})


class Calls:
    """Stands for log and journal, and writes down every call."""

    def __init__(self) -> None:
        self.made: list[tuple[Any, ...]] = []
        self.fail_on = ""

    def part(self, name: str) -> Any:
        return Part(name, self)

    @property
    def names(self) -> list[str]:
        return [made[0] for made in self.made]


class Part:
    def __init__(self, name: str, calls: Calls) -> None:
        self._name, self._calls = name, calls

    def __getattr__(self, method: str) -> Callable[..., None]:
        def call(*arguments: object, **options: object) -> None:
            name = f"{self._name}.{method}"
            if name == self._calls.fail_on:
                raise MachineError("no space")
            copied = [list(a) if isinstance(a, list) else a for a in arguments]
            self._calls.made.append((name, *copied, *options.values()))

        return call


class Lines(TraceLines):
    """A trace whose flushes are calls, too."""

    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self._calls = calls

    def flush(self) -> None:
        self._calls.made.append(("trace.flush", self.take()))

    def finish(self, now_ns: int) -> None:
        self.end_life(now_ns)
        self.flush()


class Script:
    def __init__(self, rule: Callable[[Event], list[Effect]]) -> None:
        self._rule = rule

    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        return self._rule(event)


def driven(rule: Callable[[Event], list[Effect]]) -> tuple[Turns, Calls]:
    calls = Calls()
    trace: Any = Lines(calls)
    return Turns(Script(rule), calls.part("log"), trace, calls.part("journal")), calls


def test_journal_then_log_then_trace_then_what_leaves() -> None:
    effects: list[Effect] = [SEND, Persist(b"r"), Trace("prepared", {"seq": 1}), Compact((b"c",))]
    turns, calls = driven(lambda event: effects)
    turns.step(Received(b"x"), 7)
    assert turns.finish(8) == [SEND]
    assert calls.made == [
        ("log.append", b"r"),
        ("log.compact", (b"c",)),
        ("journal.add", Received(b"x"), 7, effects, [LINE]),
        ("journal.end_turn", 8, True),
        ("log.sync",),
        ("trace.flush", [LINE]),
    ]


def test_every_event_has_its_own_lines() -> None:
    turns, calls = driven(lambda event: [Trace("prepared", {"seq": 1})] if event == Received(b"a") else [])
    for event in (Received(b"a"), TimerFired("t", 1), Received(b"a")):
        turns.step(event, 7)
    assert [made[-1] for made in calls.made] == [[LINE], [], [LINE]]


def test_nothing_is_durable_or_leaves_where_the_journal_cannot_be_written() -> None:
    turns, calls = driven(lambda event: [SEND, Persist(b"r"), Trace("prepared", {"seq": 1})])
    calls.fail_on = "journal.end_turn"
    turns.step(Received(b"x"), 7)
    with pytest.raises(MachineError):
        turns.finish(8)
    assert calls.names == ["log.append", "journal.add"]


def test_the_event_that_breaks_the_core_is_in_the_journal() -> None:
    bug = AssertionError("bug")

    def rule(event: Event) -> list[Effect]:
        if event == Received(b"poison"):
            raise bug
        return [SEND]

    turns, calls = driven(rule)
    turns.step(Received(b"fine"), 7)
    with pytest.raises(AssertionError, match="bug"):
        turns.step(Received(b"poison"), 8)
    assert calls.made[-1] == ("journal.raised", Received(b"poison"), 8, bug)
    assert "log.sync" not in calls.names


def test_a_halt_is_in_the_journal_and_what_follows_it_is_not() -> None:
    turns, calls = driven(lambda event: [Halt("two digests")])
    turns.step(Received(b"a"), 7)
    turns.step(Received(b"b"), 8)
    with pytest.raises(HaltedError):
        turns.finish(9)
    assert calls.names == ["journal.add", "journal.end_turn", "log.sync", "trace.flush"]


def test_a_turn_that_only_the_trace_had_something_to_say_in_is_told() -> None:
    turns, calls = driven(lambda event: [Rejected(1, "PREPARE", "late")])
    for _ in range(9):
        turns.step(Received(b"x"), 7)
    turns.finish(8)
    calls.made.clear()
    for now_ns in (9, INTERVAL_NS * 2, INTERVAL_NS * 2 + 1):
        turns.finish(now_ns)
    told = [made for made in calls.made if made[0] == "journal.end_turn"]
    assert [made[-1] for made in told] == [False, True, False]
    turns.stop(INTERVAL_NS * 3)
    assert calls.names[-2:] == ["journal.end_life", "trace.flush"]
