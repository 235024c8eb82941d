"""Real objects under concurrent clients, one step at a time: what they answer is linearizable, and judged so.

A machine plays one object a key: clients call it, it takes effect, they hear of it or never do, and the clock
may stand still all the while. What was seen is written as the harness writes it and judged as `traitor check`
judges it, certificates and `recheck.py` and all. Then one answer is spoilt: the verdict is brute force's.
"""

from __future__ import annotations

import contextlib
import functools
import io
import random
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from brute_force import linearizable
from brute_objects import OBJECTS, model_of
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

import checker.recheck
from checker.check import Question, check
from checker.formats.export import plain
from checker.formats.writer import HistoryWriter
from checker.history import Operation
from checker.models import model_class
from checker.recheck import program
from checker.verdict import Verdict

NAMES = ("register", "kv", "cas-register", "append", "set", "queue", "counter", "bank", "kv-append of tokens")
KEYS = ("a", "b")
CLIENTS = 4
MOST_TO_TRY = 8
"""Operations of a key whose orders brute force tries."""
EXAMPLES = max(8, settings().max_examples // 12)
SPOILT = 3
"""Answers of a history that are spoilt, one at a time."""
ASSEMBLED = functools.cache(checker.recheck.assemble)
SEEDS = st.integers(0, 2**32)
PICKS = st.integers(0, 7)


@dataclass
class Asked:
    """One operation of one client. `told`: what the client will hear, from when it took effect."""

    process: int
    key: str
    f: str
    given: object
    line: int
    ended: int | None = None
    type: str = "info"
    happened: bool = False
    told: object = None

    def operation(self) -> Operation:
        """With numbers of lines for times."""
        output, end = (self.told, self.ended) if self.type == "ok" else (None, None)
        return Operation(
            self.line, self.process, self.f, self.key, self.given, output, self.type, self.line, end
        )


SEEN: Counter[tuple[str, str | None]] = Counter()
"""Verdicts of histories with a spoilt answer, and what brute force said."""


class Machine(RuleBasedStateMachine):
    """`name` is that of an object in `brute_objects`; subclasses have it."""

    name = ""

    def __init__(self) -> None:
        super().__init__()
        self.thing = OBJECTS[self.name]
        self.asked: list[Asked] = []
        self.events: list[tuple[int, Asked, bool]] = []
        self.clients: list[int] = []
        self.now = 0

    @initialize(seed=SEEDS, clients=st.integers(1, CLIENTS))
    def begin(self, seed, clients):
        self.clients = list(range(clients))
        self.initial = self.thing.first(random.Random(seed))
        self.states = dict.fromkeys(KEYS, self.thing.begin(self.initial))
        self.invoke(seed, 0, "a", True)

    def free(self):
        busy = {each.process for each in self.open()}
        return [client for client in self.clients if client not in busy]

    def open(self):
        return [each for each in self.asked if each.ended is None]

    def event(self, each, begins):
        self.events.append((self.now, each, begins))
        return len(self.events)

    @precondition(lambda self: self.free())
    @rule(seed=SEEDS, pick=PICKS, key=st.sampled_from(KEYS), unique=st.booleans())
    def invoke(self, seed, pick, key, unique):
        rng = random.Random(seed)
        f, given = self.thing.ask(rng, len(self.asked) if unique else rng.randrange(3))
        client = self.free()[pick % len(self.free())]
        self.asked.append(Asked(client, key, f, given, 0))
        self.asked[-1].line = self.event(self.asked[-1], True)

    def waiting(self):
        """Also those nobody waits for any more."""
        return [each for each in self.asked if not each.happened and each.type != "fail"]

    @precondition(lambda self: self.waiting())
    @rule(pick=PICKS)
    def take_effect(self, pick):
        self.happens(self.waiting()[pick % len(self.waiting())])

    def happens(self, each):
        output, self.states[each.key] = self.thing.apply(self.states[each.key], each.f, each.given)
        each.told, each.happened = self.thing.tell(random.Random(each.line), each.f, output), True

    def end(self, each, type_):
        each.type, each.ended = type_, self.event(each, False)

    @precondition(lambda self: self.free())
    @rule(seed=SEEDS, pick=PICKS, key=st.sampled_from(KEYS), unique=st.booleans())
    def invoke_and_take_effect(self, seed, pick, key, unique):
        self.invoke(seed, pick, key, unique)
        self.happens(self.asked[-1])

    @precondition(lambda self: any(each.happened for each in self.open()))
    @rule(pick=PICKS)
    def return_ok(self, pick):
        done = [each for each in self.open() if each.happened]
        self.end(done[pick % len(done)], "ok")

    @precondition(lambda self: any(not each.happened for each in self.open()))
    @rule(pick=PICKS)
    def return_fail(self, pick):
        still = [each for each in self.open() if not each.happened]
        self.end(still[pick % len(still)], "fail")

    @precondition(lambda self: self.open())
    @rule(pick=PICKS)
    def crash(self, pick):
        each = self.open()[pick % len(self.open())]
        self.end(each, "info")
        self.clients[self.clients.index(each.process)] = max(self.clients) + 1

    @rule(step=st.sampled_from((1, 1, 1_000)))
    def clock_moves_on(self, step):
        self.now += step

    def drain(self):
        """Clients that still wait hear what they waited for."""
        for each in self.open():
            if not each.happened:
                self.happens(each)
            self.end(each, "ok")

    def teardown(self):
        if len(self.events) % 4:
            self.drain()
        completed = any(each.type == "ok" for each in self.asked)
        assert self.judged() == ("valid" if completed else "unknown")
        rng = random.Random(len(self.events))
        done = [each for each in self.asked if each.type == "ok"]
        for each in rng.sample(done, min(SPOILT, len(done))):
            true, others = each.told, [other.told for other in done if other.f == each.f]
            each.told = self.thing.spoil(rng, each.f, each.given, true, others)
            found, truth = self.judged(), self.truth()
            assert truth is None or found == truth, (each, found)
            SEEN[found, truth] += 1
            each.told = true

    def truth(self) -> str | None:
        """The verdict by brute force, if the keys are small enough."""
        groups = [[each.operation() for each in self.asked if each.key == key] for key in KEYS]
        if any(len(group) > MOST_TO_TRY for group in groups):
            return None
        explained = all(linearizable(self.name, group, self.initial) for group in groups)
        return "valid" if explained else "invalid"

    def judged(self) -> str:
        """What is said of linearizability, once the certificate was verified again."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "history.jsonl"
            path.write_bytes(self.written())
            verdict = check(Question(path, out=Path(folder)))
            assert self.understood(verdict)
            self.verified(Path(folder))
        return verdict.line("linearizability").verdict

    def understood(self, verdict: Verdict) -> bool:
        """Whether the reader found the operations that were written."""
        ends = [each.type for each in self.asked]
        return [verdict.operations[end] for end in ("ok", "fail", "info")] == [
            ends.count(end) for end in ("ok", "fail", "info")
        ]

    def verified(self, folder: Path) -> None:
        model, said = model_of(self.name), io.StringIO()
        if all(each.type != "ok" for each in self.asked):
            return  # nothing is certified where nothing completed
        with contextlib.redirect_stdout(said):
            code = program.main([str(folder)], model_class(model), model, folder)
        assert code == 0, said.getvalue()

    def written(self) -> bytes:
        lines: list[bytes] = []
        writer = HistoryWriter(lines.append, model_of(self.name), plain(self.initial))
        for now, each, begins in self.events:
            if begins:
                writer.invoke(now, each.process, each.f, each.key, plain(each.given))
            elif each.type == "ok":
                writer.ok(now, each.process, plain(each.told))
            else:
                getattr(writer, each.type)(now, each.process, "no word")
        return b"".join(lines)


@pytest.mark.parametrize("name", NAMES)
def test_a_real_object_is_valid_and_with_a_spoilt_answer_what_brute_force_says(monkeypatch, name):
    monkeypatch.setattr(checker.recheck, "assemble", ASSEMBLED)
    SEEN.clear()
    machine = type(f"Machine of {name}", (Machine,), {"name": name})
    allowed = settings(
        max_examples=EXAMPLES,
        stateful_step_count=40,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    run_state_machine_as_test(machine, settings=allowed)
    if allowed.derandomize:  # otherwise chance may leave one out
        assert min(SEEN["valid", "valid"], SEEN["invalid", "invalid"]) > 0, SEEN
