"""The phases of a run, on any world: set up, healthy, load, undo, recover, final reads, tear down.

The only place that touches a world. Every phase has a deadline, and whatever happens (a phase that fails,
Ctrl-C, SIGTERM, an error of the harness) every fault is undone, the world is torn down, and everything that
was seen is on disk. Recovery never waits for a stuck client.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.clients import Clients
from harness.clients_journal import ClientsJournal
from harness.errors import EXIT_HARNESS, HarnessError
from harness.identities import lying_clients
from harness.nemesis_driver import UNDO_PATIENCE_NS, Nemesis
from harness.plan import Plan
from harness.probe_health import Health, HealthProbe
from harness.progress import Progress, Status
from harness.recorder import Recorder
from harness.request import counted
from harness.run_record import PhaseRecord, RunRecord, ledger_data, write_json
from harness.sessions import ClientPort, Sessions
from harness.world import World
from nemesis.faults import KINDS
from workloads.operation import Operation, Outcome
from workloads.registry import WORKLOADS

SECOND_NS = 1_000_000_000
HEALTHY_NS = 20 * SECOND_NS
RECOVER_NS = 30 * SECOND_NS
FINAL_READS_NS = 20 * SECOND_NS
FINAL_READ_NS = 20_000_000
"""More for every key."""
FINAL_ROUNDS = 3
EXIT_INTERRUPTED = 130


class Interrupted(Exception):
    """Somebody stopped the world. The argument is the reason."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What runs beside the phases for as long as the world is up (a watch of resources, say)."""

    start: Callable[[], None] = lambda: None
    stop: Callable[[], None] = lambda: None
    clients: ClientsJournal | None = None
    """Where all that happens to the clients is kept; whoever made it closes it."""


class Run:
    """One run of a plan. ``execute`` once."""

    def __init__(
        self,
        plan: Plan,
        world: World,
        port: ClientPort,
        folder: Path,
        record: RunRecord,
        progress: Progress,
        beside: Beside | None = None,
    ) -> None:
        self._plan = plan
        self._world = world
        self._folder = folder
        self._record = record
        self._progress = progress
        self._beside = beside or Beside()
        self._workload = WORKLOADS[plan.workload]
        self._recorder = Recorder(folder, plan.model, world)
        self._sessions = Sessions(world, port, self._beside.clients)
        self._unread = {read.key: read for read in plan.final_reads}
        self._clients = Clients(
            world,
            self._sessions,
            self._recorder,
            self._workload,
            plan.operation_timeout_ns,
            plan.clients,
            self._heard,
        )
        self._nemesis = Nemesis(world, self._recorder, plan.faults, KINDS, plan.budget != "within")
        self._start_ns = world.now_ns()
        self._reading = False

    def execute(self) -> int:
        """The exit code: 0 when the run went to its end (whatever it showed), 4, or 130."""
        try:
            self._to_the_end()
        except Interrupted as interruption:
            self._record.interrupted = str(interruption)
            for write in (self._write_record, self._write_ledger):
                with contextlib.suppress(HarnessError):  # now: a second signal may end the tearing down
                    write()
        except HarnessError as error:
            self._record.harness_errors.append(str(error))
        except KeyboardInterrupt:
            self._record.interrupted = f"{self._world.stopped or 'stopped'}, and at once"
        except Exception as error:
            self._record.harness_errors.append(f"{type(error).__name__}: {error}")
            raise
        finally:
            self._finish()
        if self._record.interrupted:
            return EXIT_INTERRUPTED
        return EXIT_HARNESS if self._record.harness_errors else 0

    def _to_the_end(self) -> None:
        with self._phase("set up"):
            self._world.set_up()
        self._progress.begin(self._world, self._status)
        with self._phase("healthy") as phase:
            self._beside.start()
            health = self._probe(HEALTHY_NS, recovering=False)
            phase.ok, phase.detail = health.reached, health.detail()
            if not health.reached:
                raise HarnessError(
                    f"no healthy cluster within {HEALTHY_NS // SECOND_NS} s of its start: {health.detail()}",
                    f"See {self._folder / 'replicas'}: stderr.log of each replica.",
                )
        with self._phase("load"):
            self._load()
        with self._phase("undo") as phase:
            self._undo(phase)
        with self._phase("recover") as phase:
            health = self._probe(RECOVER_NS, recovering=True)
            phase.ok, phase.detail = health.reached, health.detail()
        with self._phase("final reads") as phase:
            self._final_reads(phase)

    def _load(self) -> None:
        start_ns = self._world.now_ns()
        end_ns = start_ns + self._plan.duration_ns
        self._clients.begin_load(start_ns)
        self._nemesis.begin(start_ns, end_ns)
        self._run(lambda: False, end_ns)
        self._clients.end_load()

    def _undo(self, phase: PhaseRecord) -> None:
        self._nemesis.undo_all()
        self._run(lambda: self._nemesis.over, self._world.now_ns() + UNDO_PATIENCE_NS + SECOND_NS)
        left = self._nemesis.not_undone()
        phase.ok = not left
        phase.detail = f"not proved undone: {', '.join(left)}" if left else ""

    def _probe(self, patience_ns: int, recovering: bool) -> Health:
        deadline_ns = self._world.now_ns() + patience_ns
        probe = HealthProbe(self._world, self._sessions, self._workload.encode(self._workload.probe()))
        probe.start()
        try:
            self._run(lambda: probe.reached or self._one_is_dead(), deadline_ns)
        finally:  # an answer that did not come because the world broke accuses nobody: not recorded
            health = probe.stop(deadline_ns)
        if recovering or not health.reached:
            self._record.health = health
        return health

    def _one_is_dead(self) -> bool:
        """A replica that ended by itself answers no probe, however long one waits."""
        ended = {one.replica for one in self._world.exits() if not one.expected}
        return any(self._world.process(replica).state == "dead" for replica in ended)

    def _final_reads(self, phase: PhaseRecord) -> None:
        """Every key; those that got no answer are asked for again, by fresh processes."""
        self._reading = True
        deadline_ns = self._world.now_ns() + FINAL_READS_NS + len(self._unread) * FINAL_READ_NS
        for _ in range(FINAL_ROUNDS):
            self._clients.begin_final_reads(list(self._unread.values()))
            self._run(lambda: self._clients.idle, deadline_ns)
            if not self._unread:
                break
        self._clients.stop()
        phase.ok = not self._unread
        if self._unread:
            keys = ", ".join(sorted(self._unread)[:5])
            phase.detail = f"{counted(len(self._unread), 'key')} could not be read: {keys} …"

    def _heard(self, operation: Operation, outcome: Outcome) -> None:
        if self._reading and outcome.type == "ok":
            self._unread.pop(operation.key, None)

    def _run(self, until: Callable[[], bool], deadline_ns: int) -> None:
        """Raises Interrupted when somebody stopped the world."""
        self._world.run(until, deadline_ns)
        self._check_stopped()

    def _check_stopped(self) -> None:
        if self._world.stopped:
            raise Interrupted(self._world.stopped)

    @contextlib.contextmanager
    def _phase(self, name: str) -> Iterator[PhaseRecord]:
        self._check_stopped()
        phase = PhaseRecord(name, self._world.now_ns())
        self._record.phases.append(phase)
        self._write_record()
        self._progress.phase(name)
        try:
            yield phase
        except BaseException as error:
            phase.ok, phase.detail = False, phase.detail or str(error).split("\n")[0]
            raise
        finally:
            phase.end_ns = self._world.now_ns()
        if phase.ok is None:
            phase.ok = True

    def _finish(self) -> None:
        """Undo what is not undone, tear down, write. Each step whatever the ones before did."""
        record = self._record
        phase = PhaseRecord("tear down", self._world.now_ns())
        record.phases.append(phase)
        self._progress.phase("tear down")
        problems: list[str] = []
        for step in (
            self._clients.stop,
            self._nemesis.undo_all,
            self._nemesis.give_up_waiting,
            self._beside.stop,
            self._world.tear_down,
        ):
            try:
                step()
            except HarnessError as error:
                problems.append(str(error))
            except Exception as error:  # the first error is the one to show; this one goes into run.json
                problems.append(f"{type(error).__name__} while tearing down: {error}")
        phase.end_ns = self._world.now_ns()
        phase.ok, phase.detail = not problems, "; ".join(problems)
        record.harness_errors += problems
        self._recorder.close()
        for write in (self._write_ledger, self._write_record):
            try:
                write()
            except HarnessError as error:
                record.harness_errors.append(str(error))
        self._progress.end()

    def _write_ledger(self) -> None:
        end_ns = self._record.phases[-1].end_ns or self._world.now_ns()
        windows = self._nemesis.book.windows(self._start_ns, end_ns)
        liars = lying_clients(self._plan)
        data = ledger_data(self._world.n, self._world.f, self._nemesis.book.byzantine, windows, liars)
        write_json(self._folder / "ledger.json", data)

    def _write_record(self) -> None:
        self._record.exits = self._world.exits()
        self._record.lag = self._world.lag()
        self._record.write(self._folder)

    def _status(self) -> Status:
        counts = self._recorder.counts
        return Status(
            phase=self._record.phases[-1].name,
            elapsed_ns=self._world.now_ns() - self._start_ns,
            ok=counts["ok"],
            fail=counts["fail"],
            info=counts["info"],
            view=self._sessions.view,
            faults=tuple(self._nemesis.active()),
        )
