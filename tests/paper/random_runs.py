"""Random runs of the in-memory cluster: everything drawn from a seed by ``draw``, checked by ``run_checks``.

At most f replicas are faulty at a time as far as liveness is demanded: liars count for the whole run.
Crashes that keep the synced log may hit more, even all, at once. The network loses, doubles, delays,
reorders. Then the faults end, and within ``CALM_MS`` every operation not given up must complete and the
correct replicas must come to one state. A liar goes on lying in that time, or falls silent.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from liar import Careless, Liar
from memory_cluster import MemoryCluster, Network
from promises import Promises
from run_checks import KEY, Operation, check_all, check_end, check_memory, read_result

from pbft_node.core.authentication import Keyring
from pbft_node.core.cluster import MILLISECOND_NS, Cluster
from pbft_node.core.effects import Completed
from pbft_node.core.replica import Replica
from pbft_node.core.services import Service
from pbft_node.core.types import FIRST_CLIENT_ID, ReplicaId

CALM_MS = 120_000
"""Timeouts of 200 ms that doubled up to their cap of 30 s in the worst seconds, f+1 views, retries."""
READER = 900
"""Client number of the read at the end."""


@dataclass(frozen=True)
class Options:
    """One run, drawn whole."""

    n: int
    liars: int
    boldness: float
    """How often a liar lies."""
    lies_to_the_end: bool
    loss: float
    duplication: float
    max_delay_ms: int
    turn_ms: float
    """Events that share one sync; what was not synced is lost with a crash. 0: no turns."""
    faults: int
    clients: int
    operations: int
    """Of each client, during each fault."""
    reads: float
    large: float
    """Share of appends of 3 kB, which make states of many chunks."""
    gives_up: float
    """Share of operations whose client loses patience."""
    auth: str
    client_auth: str
    digest_replies: bool
    slow_primary_factor: int
    loses_logs: bool
    """Some of those that crash come back without their log; they count as faulty until they vote again."""
    beyond: bool
    """Logs are lost by any number of replicas, beside liars: only safety is demanded."""
    checkpoint_interval: int
    window: int
    batch_limit: int
    pipeline: int
    fast_reads: bool


def draw(seed: int) -> Options:
    """The only place where a run's parameters are chosen."""
    stream = random.Random(seed)
    n = stream.choice([4, 4, 4, 4, 5, 6, 7])
    liars = stream.choice([0, 1, 1, 1]) if n < 7 else stream.choice([0, 1, 1, 2])
    interval = stream.choice([2, 4, 4, 4, 8])
    return Options(
        n=n,
        liars=liars,
        boldness=stream.choice([0.05, 0.3, 0.7]),
        lies_to_the_end=stream.random() < 0.5,
        loss=stream.choice([0, 0, 0.02, 0.1, 0.2]),
        duplication=stream.choice([0, 0.05, 0.3]),
        max_delay_ms=stream.choice([2, 10, 40]),
        turn_ms=stream.choice([0, 0, 0.3, 3]),
        faults=stream.randint(1, 6),
        clients=stream.randint(1, 4),
        operations=stream.randint(1, 6),
        reads=stream.choice([0, 0.2, 0.5]),
        large=stream.choice([0, 0, 0, 0.3]),
        gives_up=stream.choice([0, 0, 0.1]),
        auth=stream.choice(["hybrid", "hybrid", "sign"]),
        client_auth=stream.choice(["sign", "sign", "mac"]),
        digest_replies=stream.random() < 0.7,
        slow_primary_factor=stream.choice([0, 8, 8]),
        loses_logs=stream.random() < 0.4,
        beyond=stream.random() < 0.08,
        checkpoint_interval=interval,
        window=interval * stream.choice([2, 2, 4]),
        batch_limit=stream.choice([1, 4, 64]),
        pipeline=stream.choice([1, 4, 8]),
        fast_reads=stream.random() < 0.5,
    )


@dataclass
class Run:
    """A run under way."""

    seed: int
    options: Options
    cluster: MemoryCluster
    stream: random.Random
    liars: dict[int, Liar]
    promises: Promises
    history: list[Operation] = field(default_factory=list)
    open: dict[int, Operation] = field(default_factory=dict)
    left: dict[int, int] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    calm_ms: int = CALM_MS
    calm_from_ns: int = 0

    @property
    def good(self) -> list[int]:
        return [index for index in range(self.options.n) if index not in self.liars]

    def note(self, what: str) -> None:
        self.log.append(f"{self.cluster.now_ns / 1e6:9.1f} ms  {what}")

    # ------------------------------------------------------------ clients

    def begin(self, number: int) -> None:
        """The client's next operation."""
        if not self.left.get(number):
            return
        self.left[number] -= 1
        element = b"%d-%d" % (number, len(self.history))
        if self.stream.random() < self.options.large:
            element += b"." * 3_000
        read = self.stream.random() < self.options.reads
        operation = Operation(number, None if read else element, self.cluster.now_ns)
        self.history.append(operation)
        self.open[number] = operation
        if self.stream.random() < self.options.gives_up:
            patience_ns = self.stream.choice([5, 50, 500]) * MILLISECOND_NS
            self.cluster.call_at(self.cluster.now_ns + patience_ns, lambda: self.give_up(number, operation))
        fields = (b"read", KEY) if read else (b"append", KEY, element)
        self.cluster.invoke(number, *fields, read_only=read)

    def give_up(self, number: int, operation: Operation) -> None:
        if self.open.get(number) is operation:
            operation.given_up = True
            client = FIRST_CLIENT_ID + number
            self.cluster.carry_out(client, self.cluster.clients[client].abandon())
            self.end(number)

    def completed(self, client: int, effect: Completed) -> None:
        number = client - FIRST_CLIENT_ID
        operation = self.open[number]
        operation.completed_ns = self.cluster.now_ns
        operation.path = effect.path
        if operation.element is None:
            operation.result = read_result(effect.result)
        self.end(number)

    def end(self, number: int) -> None:
        del self.open[number]
        self.begin(number)

    def finished(self) -> bool:
        return not self.open

    def demand(self, condition: Callable[[], bool], otherwise: str) -> None:
        """It must come true within the calm; where it does not, what is unsafe is told first."""
        if not self.cluster.run(self.calm_ms, until=condition):
            check_all(self.cluster, self.promises, self.liars)
            raise AssertionError(f"{otherwise}: {describe(self.cluster)}")

    def final_read(self) -> None:
        operation = Operation(READER, None, self.cluster.now_ns)
        self.history.append(operation)
        self.open[READER] = operation
        self.cluster.invoke(READER, b"read", KEY, read_only=True)

    # ------------------------------------------------------------ faults

    def load(self) -> None:
        """Every client has so much more to do, and is in the middle of it when the fault comes."""
        for number in range(self.options.clients):
            self.left[number] = self.left.get(number, 0) + self.options.operations
            if number not in self.open:
                self.begin(number)
        self.cluster.run(self.stream.choice([0, 3, 10, 30]))

    def one_fault(self) -> None:
        """Up to f replicas die, stop, lag, lose their logs or are cut off for a while."""
        cluster, stream = self.cluster, self.stream
        self.load()
        victims = stream.sample(range(self.options.n), stream.randint(1, cluster.cluster.f))
        kind = stream.choice(["crash", "crash", "tear", "pause", "cut", "deaf", "slow", "all"])
        duration_ms = stream.choice([50, 400, 1500])
        self.note(f"{kind} {'' if kind == 'all' else victims} for {duration_ms} ms")
        if kind == "all":
            for victim in range(self.options.n):
                self.crash(victim)
            self.heal()
            return
        if kind in ("cut", "deaf"):
            both = kind == "cut"
            cluster.network.cut = lambda source, to: to in victims or (both and source in victims)
        elif kind == "slow":
            late_ns = stream.choice([30, 150]) * MILLISECOND_NS
            cluster.network.extra_ns = lambda source, to: late_ns if source in victims else 0
        for victim in victims:
            if kind == "crash":
                self.crash(victim)
            elif kind == "tear":
                cluster.crash_after_effects(victim, stream.randint(0, 6))
            elif kind == "pause":
                cluster.pause(victim)
        cluster.run(duration_ms, until=self.finished)
        if self.options.loses_logs:
            self.lose_logs()
        self.heal()
        cluster.run(stream.choice([0, 20, 500]), until=self.finished)

    def lose_logs(self) -> None:
        """Of those that are down now, as many as the budget allows."""
        room = self.cluster.cluster.f - len(self.liars) - len(self.cluster.silent() - self.liars.keys())
        for index in self.good:
            if self.cluster.hosts[index].replica is None and (room > 0 or self.options.beyond):
                self.note(f"replica {index} loses its log")
                self.cluster.lose_log(index)
                room -= 1

    def crash(self, victim: int) -> None:
        self.cluster.crash(victim, kept=self.stream.randint(0, 3))

    def heal(self) -> None:
        """Everything that is down or in the way is no more."""
        self.cluster.network.cut = lambda source, to: False
        self.cluster.network.extra_ns = lambda source, to: 0
        self.cluster.crash_in_effects.clear()
        for index, host in enumerate(self.cluster.hosts):
            if host.replica is None:
                self.cluster.start(index)
            elif host.paused:
                self.cluster.resume(index)


def prepare(seed: int, options: Options, replica: type[Replica] = Replica, traces_debug: bool = False) -> Run:
    """The cluster of a run, its liars among it."""
    stream = random.Random(seed + 1_000_000)
    bad = sorted(stream.sample(range(options.n), options.liars))

    def make(cluster: Cluster, me: ReplicaId, keys: Keyring, service: Service) -> Replica:
        made = (Careless if me in bad else replica)(cluster, me, keys, service)
        if seed % 2:
            made.log_slack_bytes = 2_000  # so short a log is rewritten often
        return made

    network = Network(
        max_ns=options.max_delay_ms * MILLISECOND_NS, loss=options.loss, duplication=options.duplication
    )
    cluster = MemoryCluster(
        seed,
        network,
        make,
        turn_ns=int(options.turn_ms * MILLISECOND_NS),
        traces_debug=traces_debug,
        service="append",
        n=options.n,
        auth=options.auth,
        client_auth=options.client_auth,
        digest_replies=options.digest_replies,
        slow_primary_factor=options.slow_primary_factor,
        reads="fast" if options.fast_reads else "ordered",
        checkpoint_interval=options.checkpoint_interval,
        window=options.window,
        batch_limit=options.batch_limit,
        pipeline=options.pipeline,
    )
    liars = {index: Liar(cluster, index, random.Random(seed + index), options.boldness) for index in bad}
    promises = Promises(lambda index: cluster.hosts[index].records, bad)
    cluster.on_emit = promises.watch
    cluster.on_send = lambda source, send: liars[source].on_send(send) if source in liars else [send]
    run = Run(seed, options, cluster, stream, liars, promises)
    cluster.on_completed = run.completed
    return run


def carry_through(run: Run) -> None:
    """Faults within the budget, then calm; every check at its end."""
    cluster, options = run.cluster, run.options
    for _ in range(options.faults):
        run.one_fault()
        check_memory(cluster, run.liars)
    cluster.network.loss = min(options.loss, 0.05)
    run.calm_from_ns = cluster.now_ns
    run.note("calm")
    if not options.lies_to_the_end:
        for index in run.liars:
            cluster.crash(index)
    if options.beyond:
        cluster.run(5_000, until=run.finished)
        check_all(cluster, run.promises, run.liars)
        return
    run.demand(run.finished, "not live")
    run.note("every operation has ended")
    run.final_read()
    run.demand(run.finished, "not live at the end")
    together = lambda: len({cluster.replica(i).executed for i in run.good}) == 1  # noqa: E731
    run.demand(together, "the correct replicas do not come together")
    run.demand(lambda: not cluster.silent() & set(run.good), "still silent")
    cluster.run(150)
    check_memory(cluster, run.liars)
    check_all(cluster, run.promises, run.liars)
    check_end(cluster, run.history, run.liars)


def random_run(
    seed: int,
    options: Options | None = None,
    replica: type[Replica] = Replica,
    calm_ms: int = CALM_MS,
    traces_debug: bool = False,
) -> Run:
    """One seed from draw to checks; ``AssertionError`` names the seed and what was drawn."""
    run = prepare(seed, options or draw(seed), replica, traces_debug)
    run.calm_ms = calm_ms
    try:
        carry_through(run)
    except AssertionError as problem:
        raise AssertionError(f"seed {seed}, {run.options}: {problem}") from problem
    return run


def describe(cluster: MemoryCluster) -> object:
    return [
        (i, r.view, r.active, r.executed, r.stable, r.fetching_state(), len(r.pending))
        for i, r in ((i, host.replica) for i, host in enumerate(cluster.hosts))
        if r is not None
    ]
