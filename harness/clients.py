"""Logical clients: each works through its planned operations, one at a time, and records what it saw.

The invoke line is written before the request leaves; the completion after enough replies. An operation that
times out is ``info``: it may take effect at any later time, so its process is retired, and its logical
client goes on as a new process with the client identity that belongs to it. Time is the world's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from checker.history import READS
from harness.plan import PlannedClient, PlannedOperation
from harness.recorder import Recorder
from harness.sessions import Session, Sessions
from harness.world import Timer, World
from pbft_node.core.effects import Completed
from workloads.operation import Operation, Outcome, Workload

"""They change nothing: a cluster with ``reads: fast`` need not order them."""
TIMED_OUT = Outcome("info", error="timeout")
GIVEN_UP = Outcome("info", error="abandoned")
"""It was still under way when the run went on without it."""


class LogicalClient:
    """One of the plan's clients, whatever processes it goes through."""

    def __init__(self, number: int, plan: PlannedClient, crew: Clients) -> None:
        self.process = number
        self._retry = plan.retry
        self._crew = crew
        self._queue: deque[PlannedOperation] = deque()
        self._start_ns = 0
        self._phase = "load"
        self._session: Session | None = None
        self._open: Operation | None = None
        self._due: Timer | None = None
        self._timeout: Timer | None = None

    @property
    def idle(self) -> bool:
        """Nothing under way and nothing to come."""
        return self._open is None and not self._queue

    def assign(self, operations: Sequence[PlannedOperation], start_ns: int, phase: str) -> None:
        """Work through these, none before its time, counted from ``start_ns``."""
        assert self.idle, f"process {self.process} is not done yet"
        self._queue.extend(operations)
        self._start_ns = start_ns
        self._phase = phase
        self._next()

    def leave_the_rest(self) -> None:
        """Begin nothing more of what was assigned."""
        self._queue.clear()
        if self._due is not None:
            self._due.cancel()

    def give_up(self, outcome: Outcome = GIVEN_UP) -> None:
        """The open operation, if there is one, is nobody's any more."""
        if self._open is not None:
            self._end(outcome)

    def _next(self) -> None:
        if self._queue:
            due_ns = max(self._start_ns + self._queue[0].at_ns, self._crew.world.now_ns())
            who = ("invoke", self._crew.sessions.client_of(self.process))
            self._due = self._crew.world.call_at(due_ns, self._invoke, who)

    def _invoke(self) -> None:
        operation = self._queue.popleft().operation
        crew = self._crew
        if self._session is None:
            self._session = crew.sessions.open_process(self.process, self._retry, self._completed)
        session = self._session
        now_ns = crew.world.now_ns()
        read_only = operation.f in READS
        effects = session.prepare(crew.workload.encode(operation), now_ns, read_only=read_only)
        crew.recorder.invoked(
            self.process, operation, session.client, session.machine.timestamp, self._phase, now_ns
        )
        self._open = operation
        self._timeout = crew.world.call_at(
            now_ns + crew.operation_timeout_ns,
            partial(self.give_up, TIMED_OUT),
            ("timeout", session.client),
        )
        session.carry_out(effects)

    def _completed(self, completed: Completed) -> None:
        if self._open is not None:
            outcome = self._crew.workload.decode(self._open.f, completed.result)
            self._end(outcome, completed)

    def _end(self, outcome: Outcome, completed: Completed | None = None) -> None:
        assert self._session is not None
        assert self._open is not None
        if self._timeout is not None:
            self._timeout.cancel()
        operation, self._open = self._open, None
        self._crew.recorder.ended(self.process, outcome, self._session.machine.view, completed)
        self._crew.heard(operation, outcome)
        if outcome.type == "info":
            self._crew.sessions.close(self._session)
            self._session = None
            self.process += self._crew.count
        self._next()


class Clients:
    """All logical clients of a run."""

    def __init__(
        self,
        world: World,
        sessions: Sessions,
        recorder: Recorder,
        workload: Workload,
        operation_timeout_ns: int,
        plans: Sequence[PlannedClient],
        heard: Callable[[Operation, Outcome], None] = lambda operation, outcome: None,
    ) -> None:
        self.world = world
        self.sessions = sessions
        self.recorder = recorder
        self.workload = workload
        self.operation_timeout_ns = operation_timeout_ns
        self.count = len(plans)
        self.heard = heard
        self._plans = plans
        self._clients = [LogicalClient(number, plan, self) for number, plan in enumerate(plans)]

    @property
    def idle(self) -> bool:
        """Every client is done."""
        return all(client.idle for client in self._clients)

    def begin_load(self, start_ns: int) -> None:
        """Each client its own planned operations."""
        for client, plan in zip(self._clients, self._plans, strict=True):
            client.assign(plan.operations, start_ns, "load")

    def end_load(self) -> None:
        """Operations not begun are left out; those under way go on until they end or time out."""
        for client in self._clients:
            client.leave_the_rest()

    def begin_final_reads(self, reads: Sequence[Operation]) -> None:
        """Shared out. What is still under way is given up: nobody waits for a stuck client."""
        self.stop()
        now_ns = self.world.now_ns()
        for number, client in enumerate(self._clients):
            share = [PlannedOperation(0, read) for read in reads[number :: self.count]]
            client.assign(share, now_ns, "final")

    def stop(self) -> None:
        """Everything under way becomes ``info``, and nothing more begins."""
        for client in self._clients:
            client.leave_the_rest()
            client.give_up()
