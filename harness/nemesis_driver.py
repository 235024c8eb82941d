"""Carries out the plan's faults: start in time, collect the receipt, undo, collect the proof; the ledger on
the side.

A fault waits while one that the plan ends before it is not over yet, or while it would exceed the budget: a
late undo must not make two faults meet that the plan kept apart. It still ends at its time, or has half its
length, but not beyond the end of the load; where half of it does not fit there any more it is left out. One
that gave no receipt before its stop had no effect. Undoing is retried by nobody: what is not proved undone
within the patience is ``undo-failed``, and stays in the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from harness.recorder import Recorder
from harness.world import Timer, World
from nemesis.faults.fault import Fault, FaultKind
from nemesis.ledger import Book

POLL_NS = 20_000_000
UNDO_PATIENCE_NS = 10_000_000_000
_PAST = {"kill": "killed by", "pause": "paused by", "partition": "cut off by"}


class Stage(Enum):
    """Of a fault's life."""

    PLANNED = "planned"
    ACTIVE = "active"
    UNDOING = "undoing"
    OVER = "over"


class FaultRun:
    """One fault of the plan."""

    def __init__(self, fault: Fault, kind: FaultKind, nemesis: Nemesis) -> None:
        self.fault = fault
        self.stage = Stage.PLANNED
        self.proved = True
        """Whether what was started is proved undone."""
        self._kind = kind
        self._nemesis = nemesis
        self._world = nemesis.world
        self._timer: Timer | None = None
        self._received = False
        self._struck: set[int] = set()
        """Whose process its rules did something to."""
        self._blamed: frozenset[int] = frozenset()
        """Whom it made bad so far."""
        self._stop_ns = 0
        self._undo_deadline_ns = 0

    def plan(self, load_start_ns: int, load_end_ns: int) -> None:
        """Begin in time."""
        self._stop_ns = load_start_ns + self.fault.stop_ns
        self._at(load_start_ns + self.fault.start_ns, lambda: self._begin(load_end_ns), "asked")

    def stop(self) -> None:
        """Undo now; when it has not begun, it never will. One being undone goes on being watched."""
        if self._timer is not None and self.stage is not Stage.UNDOING:
            self._timer.cancel()
        if self.stage is Stage.PLANNED:
            self.stage = Stage.OVER
            self._step("no-effect", reason="the load ended before it could begin")
        elif self.stage is Stage.ACTIVE:
            self._undo()
            self._await_undone()

    def check_now(self) -> None:
        """The last look, when nobody can wait any more."""
        if self.stage is Stage.UNDOING:
            self._undo_deadline_ns = 0
            self._await_undone()

    def ordered(self, replica: int) -> None:
        """Its rules are about to do something to that process."""
        self._struck.add(replica)
        if self.stage in (Stage.ACTIVE, Stage.UNDOING):
            self._note(self._world.now_ns())

    def _at(self, at_ns: int, callback: Callable[[], None], step: str = "") -> None:
        """``step``: what it will come to, if it is known; ``look``: nothing, maybe."""
        who = ("fault", self.fault.id, step) if step else None
        self._timer = self._world.call_at(at_ns, callback, who)

    def _step(self, step: str, **more: object) -> int:
        return self._nemesis.recorder.fault_step(self.fault.id, self.fault.kind, step, more)

    def _begin(self, load_end_ns: int) -> None:
        unavailable = self._kind.available(self._world)
        if unavailable:
            self.stage = Stage.OVER
            self._step("no-effect", reason=unavailable)
            return
        now_ns = self._world.now_ns()
        half_ns = (self.fault.stop_ns - self.fault.start_ns) // 2
        if not self._nemesis.has_room(self.fault, self._kind):
            if now_ns + POLL_NS < max(self._stop_ns, load_end_ns - half_ns):
                self._at(now_ns + POLL_NS, lambda: self._begin(load_end_ns))
            else:
                self.stage = Stage.OVER
                self._step("no-effect", reason="an earlier fault was not undone in time")
            return
        self._stop_ns = min(load_end_ns, max(self._stop_ns, now_ns + half_ns))
        self.stage, self.proved = Stage.ACTIVE, False
        victims = self._kind.victims(self.fault.params, self._world.n, self._world.f)
        asked_ns = self._step("asked", params=dict(self.fault.params), charges=victims.data())
        self._nemesis.recorder.fault_turned("start", self.fault.id, self.fault.kind)
        self._kind.start(self._world, self.fault.id, self.fault.params)
        self._note(asked_ns)
        self._watch()

    def _watch(self) -> None:
        """Poll for the receipt, then wait for the stop."""
        if not self._received:
            self._observe()
        now_ns = self._world.now_ns()
        if now_ns >= self._stop_ns:
            self._undo()
            self._await_undone()
        else:
            wait_ns = self._stop_ns if self._received else min(self._stop_ns, now_ns + POLL_NS)
            self._at(wait_ns, self._watch, "undo-asked" if wait_ns == self._stop_ns else "look")

    def _observe(self) -> None:
        receipt = self._kind.observe(self._world, self.fault.id, self.fault.params)
        if receipt is not None:
            self._received = True
            self._blame()
            self._note(self._step("took-effect", receipt=dict(receipt.evidence), bad=sorted(self._blamed)))

    def _undo(self) -> None:
        if not self._received:
            self._observe()
        if not self._received:
            self._step("no-effect", reason=self._kind.trouble(self._world, self.fault.id, self.fault.params))
        self.stage = Stage.UNDOING
        self._blame()
        self._undo_deadline_ns = self._step("undo-asked", bad=sorted(self._blamed)) + UNDO_PATIENCE_NS
        self._nemesis.recorder.fault_turned("stop", self.fault.id, self.fault.kind)
        self._kind.stop(self._world, self.fault.id, self.fault.params)

    def _await_undone(self) -> None:
        receipt = self._kind.stopped(self._world, self.fault.id, self.fault.params)
        now_ns = self._world.now_ns()
        if receipt is not None:
            self.stage, self.proved = Stage.OVER, True
            self._note(self._step("undone", receipt=dict(receipt.evidence), bad=sorted(self._blamed)))
        elif now_ns >= self._undo_deadline_ns:
            self.stage = Stage.OVER
            reason = self._kind.trouble(self._world, self.fault.id, self.fault.params)
            self._step("undo-failed", reason=reason, bad=sorted(self._blamed))
        else:
            self._at(now_ns + POLL_NS, self._await_undone)

    def _note(self, time_ns: int) -> None:
        self._nemesis.note(time_ns, self.fault, self._blame(), self.stage is Stage.OVER)

    def _blame(self) -> frozenset[int]:
        """Whom it makes bad now; remembered."""
        bad = self._kind.bad_now(self._world, self.fault.id, self.fault.params)
        bad |= self._struck if self.stage is not Stage.OVER else frozenset()
        self._blamed |= bad
        return bad


class Nemesis:
    """All faults of a run."""

    def __init__(
        self,
        world: World,
        recorder: Recorder,
        faults: Sequence[Fault],
        kinds: Mapping[str, FaultKind],
        unbounded: bool,
    ) -> None:
        """``unbounded``: more than f may be bad at once."""
        self.world = world
        self.recorder = recorder
        self.book = Book(world.n, world.f)
        self._noted_ns = 0
        self._kinds = kinds
        self._unbounded = unbounded
        self._runs = [FaultRun(fault, kinds[fault.kind], self) for fault in faults]
        world.on_order(self.ordered)

    def ordered(self, fault: str, replica: int) -> None:
        """See ``World.on_order``."""
        for run in self._runs:
            if run.fault.id == fault:
                run.ordered(replica)

    def begin(self, load_start_ns: int, load_end_ns: int) -> None:
        """Every fault at its time."""
        for run in self._runs:
            run.plan(load_start_ns, load_end_ns)

    def undo_all(self) -> None:
        """Now; also what has not begun."""
        for run in self._runs:
            run.stop()

    def give_up_waiting(self) -> None:
        """The last look at what is being undone."""
        for run in self._runs:
            run.check_now()

    @property
    def over(self) -> bool:
        """Nothing is active or being undone."""
        return all(run.stage is Stage.OVER for run in self._runs)

    def active(self) -> list[str]:
        """Ids of the faults at work."""
        return [run.fault.id for run in self._runs if run.stage in (Stage.ACTIVE, Stage.UNDOING)]

    def not_undone(self) -> list[str]:
        """Ids of the faults not proved undone."""
        return [run.fault.id for run in self._runs if not run.proved]

    def note(self, time_ns: int, fault: Fault, bad: frozenset[int], over: bool) -> None:
        """Into the ledger."""
        self._noted_ns = max(time_ns, self._noted_ns)
        victims = self._kinds[fault.kind].victims(fault.params, self.world.n, self.world.f)
        past = "lying through" if victims.byzantine else _PAST.get(fault.kind, "made bad by")
        self.book.lied(victims.byzantine)
        self.book.note(self._noted_ns, fault.id, f"{past} {fault.id}", bad, victims.network and not over)

    def has_room(self, fault: Fault, kind: FaultKind) -> bool:
        """Whether it may begin now: what was to end before it has ended, and the budget allows it."""
        if self._unbounded:
            return True
        if any(run.fault.stop_ns <= fault.start_ns and run.stage is not Stage.OVER for run in self._runs):
            return False
        victims = kind.victims(fault.params, self.world.n, self.world.f)
        return len(victims.replicas | set(self.book.bad())) + victims.any_of <= self.world.f
