"""A run folder as the judges see it: each file read once into a dataclass, or a sentence why it was not.

Only what some judge needs is read; unknown fields are ignored. A file that is missing or malformed is a
`problem` (the harness line reports it) and the judges that need it answer `unknown`. The history is the
exception: without a readable one there is nothing to judge, and `HistoryError` is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from checker import virtual_pace
from checker.fields import Fields, Unreadable, parse_object
from checker.files import read_regular
from checker.formats import traitor
from checker.history import History
from checker.patience import Timers
from checker.run_facts import (
    Charge,
    Exit,
    FaultStep,
    Ledger,
    PlanFacts,
    RunPhase,
    RunReport,
    Window,
)
from checker.seal import broken_seals
from checker.trace import ReplicaTrace, read_trace

_T = TypeVar("_T")
MAX_REPLICAS = 1000
_TELL_BAD = ("took-effect", "undo-asked", "undone", "undo-failed")
"""Steps of a fault that name whom it made bad so far."""
_TIMERS = (
    "request_timeout_ns",
    "view_change_timeout_ns",
    "max_timeout_ns",
    "client_retry_ns",
    "client_retry_max_ns",
)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Everything the judges may look at. None: missing or unreadable, and then a problem says why."""

    path: Path
    """For what is too large to be held, such as journals."""
    history: History | None
    plan: PlanFacts | None
    ledger: Ledger | None
    faults: tuple[FaultStep, ...] | None
    run: RunReport | None
    traces: Mapping[int, ReplicaTrace]
    problems: tuple[str, ...]

    def liars(self) -> frozenset[int] | None:
        """Who is held to nothing: by the ledger or, where there is none (the harness was killed), by what the
        faults said of themselves when they were asked for. None: nobody knows."""
        if self.ledger is not None:
            return self.ledger.byzantine
        charges = [step.charge for step in self.faults or () if step.step == "asked"]
        if self.faults is None or any(charge is None for charge in charges):
            return None
        return frozenset[int]().union(*(charge.byzantine for charge in charges if charge is not None))

    def correct_traces(self) -> tuple[ReplicaTrace, ...]:
        """Traces of correct replicas that are there; none if nobody knows who lied."""
        liars = self.liars()
        correct = () if liars is None else sorted(self.traces.keys() - liars)
        return tuple(self.traces[r] for r in correct if not self.traces[r].missing)

    def why_no_traces(self) -> str:
        """If there is none of a correct replica."""
        if self.ledger is not None and not self.ledger.correct():
            return "no replica was correct"
        if self.liars() is None:
            return "nobody knows who lied: ledger.json is missing, and faults.jsonl does not tell"
        return "no trace of a correct replica could be read"


def read_folder(path: Path, model: str | None = None) -> RunFolder:
    """Read a run folder. Raises HistoryError if it has a history that is malformed (a torn tail is not)."""
    problems: list[str] = []
    history = None
    if (path / "history.jsonl").exists():
        history = traitor.read(path / "history.jsonl", model, forgive_torn_tail=True)
        if history.torn_line is not None:
            problems.append(f"history.jsonl ends in the middle of line {history.torn_line}")
    else:
        problems.append("history.jsonl is missing")
    plan = _read(path / "plan.json", _plan, problems)
    ledger = _read(path / "ledger.json", _ledger, problems)
    faults = _read_lines(path / "faults.jsonl", problems)
    run = _read(path / "run.json", _run, problems)
    replicas = range(ledger.n) if ledger else _replicas_in(path / "replicas")
    traces = {r: read_trace(path / "replicas" / str(r) / "trace.jsonl", r) for r in replicas}
    problems += [trace.missing for trace in traces.values() if trace.missing]
    problems += [seal.told for seal in broken_seals(path) if not seal.forbidden]  # each reader says so itself
    return RunFolder(path, history, plan, ledger, faults, run, traces, tuple(problems))


def _replicas_in(path: Path) -> list[int]:
    try:
        names = [entry.name for entry in path.iterdir()]
    except OSError:
        return []
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal() and len(name) < 4)


def _read(path: Path, parse: Callable[[Fields], _T], problems: list[str]) -> _T | None:
    try:
        value = parse_object(read_regular(path))
        fields = Fields(value, path.name)
        wanted = f"traitor/{path.stem}/1"
        if value.get("schema") != wanted:
            raise Unreadable(f"its schema is not {wanted}")
        return parse(fields)
    except OSError as error:
        problems.append(f"{path.name} cannot be read: {error.strerror}")
    except Unreadable as error:
        problems.append(f"{path.name} is malformed: {error}")
    return None


def _read_lines(path: Path, problems: list[str]) -> tuple[FaultStep, ...] | None:
    try:
        lines = read_regular(path).splitlines()
        header = parse_object(lines[0]) if lines else {}
        if header.get("schema") != "traitor/faults/1":
            raise Unreadable("line 1 is no header with schema traitor/faults/1")
        tells = Fields(header, "line 1").number("minor") >= 1 if "minor" in header else False
        return tuple(
            _fault_step(Fields(parse_object(line), f"line {n}"), tells) for n, line in enumerate(lines[1:], 2)
        )
    except OSError as error:
        problems.append(f"{path.name} cannot be read: {error.strerror}")
    except Unreadable as error:
        problems.append(f"{path.name} is malformed: {error}")
    return None


def _plan(fields: Fields) -> PlanFacts:
    cluster = fields.inner("cluster")
    known = all(cluster.has(name) for name in _TIMERS)
    timers = Timers(*(cluster.number(name) for name in _TIMERS)) if known else None
    nodes = cluster.number("nodes")
    return PlanFacts(
        faults=tuple(fault.text("id") for fault in fields.objects("faults")),
        operation_timeout_ns=fields.number("operation_timeout_ns"),
        retries=tuple(client.flag("retry") for client in fields.objects("clients")),
        final_reads=tuple(read.text("key") for read in fields.objects("final_reads")),
        nodes=nodes,
        timers=timers,
        network_excuse=virtual_pace.excuse(fields.raw("virtual"), timers, nodes),
        window=cluster.number("window") if cluster.has("window") else None,
        client_auth=cluster.text("client_auth", "sign"),
        signer=_signer(fields.raw("virtual")),
    )


def _signer(virtual: object) -> str:
    signer = virtual.get("signer") if isinstance(virtual, dict) else None
    return signer if isinstance(signer, str) else "ed25519"


def _ledger(fields: Fields) -> Ledger:
    windows = tuple(
        Window(
            window.number("from_ns"),
            window.number("to_ns"),
            _replica_numbers(window.listed("bad")),
            window.flag("within_liveness_budget"),
            bool(window.text("asynchronous")),
        )
        for window in fields.objects("windows")
    )
    n = fields.number("n")
    if not 1 <= n <= MAX_REPLICAS:
        raise Unreadable(f"n is {n}, not a number of replicas from 1 to {MAX_REPLICAS}")
    byzantine = frozenset(_replica_numbers(fields.listed("byzantine")))
    liars = _block(fields.listed("byzantine_clients")) if fields.has("byzantine_clients") else None
    return Ledger(n, fields.number("f"), byzantine, fields.flag("safety_demanded"), windows, liars)


def _block(values: list[object]) -> tuple[int, int]:
    """First and last of a block of clients."""
    ids = _replica_numbers(values)
    if len(ids) != 2 or ids[0] > ids[1]:
        raise Unreadable(f"byzantine_clients is {values!r:.60}, not the first and the last id of a block")
    return ids[0], ids[1]


def _replica_numbers(values: list[object]) -> tuple[int, ...]:
    for value in values:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise Unreadable(f"{value!r:.40} is not the number of a replica")
    return tuple(cast(list[int], values))


def _fault_step(fields: Fields, tells: bool) -> FaultStep:
    """`tells`: the file is of a minor version in which faults tell their own charge."""
    receipt, step = fields.raw("receipt"), fields.text("step")
    return FaultStep(
        time_ns=fields.number("time_ns"),
        fault=fields.text("fault"),
        kind=fields.text("kind"),
        step=step,
        receipt=isinstance(receipt, dict) and bool(receipt),
        reason=fields.text("reason"),
        evidence=receipt if isinstance(receipt, dict) else {},
        charge=_charge(fields.inner("charges")) if tells and step == "asked" else None,
        bad=frozenset(_replica_numbers(fields.listed("bad"))) if tells and step in _TELL_BAD else None,
    )


def _charge(fields: Fields) -> Charge:
    return Charge(
        bad=frozenset(_replica_numbers(fields.listed("bad"))),
        any_of=fields.number("any_of"),
        byzantine=frozenset(_replica_numbers(fields.listed("byzantine"))),
        network=fields.flag("network"),
    )


def _run(fields: Fields) -> RunReport:
    lag = fields.inner("lag")
    replies = fields.inner("health").inner("replies") if fields.has("health") else None
    healthy = fields.inner("health").flag("reached") if fields.has("health") else None
    return RunReport(
        phases=tuple(
            RunPhase(
                phase.text("name"),
                phase.number("start_ns"),
                phase.number("end_ns"),
                phase.flag("ok"),
                phase.text("detail"),
            )
            for phase in fields.objects("phases")
        ),
        healthy=healthy,
        answered=frozenset() if replies is None else replies.true_names(),
        exits=tuple(_exit(entry) for entry in fields.objects("exits")),
        processor=_processor(fields),
        lag_max_ns=lag.number("max_ns"),
        lag_over_50ms=lag.number("over_50ms"),
        interrupted=fields.text("interrupted") if fields.has("interrupted") else None,
        harness_errors=tuple(
            " | ".join(map(str.strip, str(error).splitlines())) for error in fields.listed("harness_errors")
        ),
    )


def _processor(fields: Fields) -> tuple[int, int]:
    if not fields.has("processor"):
        return 0, 0
    processor = fields.inner("processor")
    return processor.number("ran_ns"), processor.number("waited_ns")


def _exit(fields: Fields) -> Exit:
    signal, code = fields.raw("signal"), fields.raw("code")
    how = f"by signal {signal}" if signal is not None else f"with code {code}"
    lines = tuple(str(line) for line in fields.listed("last_lines"))
    replica, time_ns, expected = fields.number("replica"), fields.number("time_ns"), fields.flag("expected")
    return Exit(replica, time_ns, how, expected, lines, orderly=signal is None and code == 0)


def is_run_folder(path: Path) -> bool:
    """Whether `path` is a folder a run could have written."""
    return path.is_dir() and any(
        (path / name).exists() for name in ("run.json", "plan.json", "history.jsonl")
    )
