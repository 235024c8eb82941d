"""``plan.json``, both ways: the same plan gives the same bytes, and an edited file is read back.

An edited plan is checked as thoroughly as a spec: schema, types, every operation, every fault's parameters,
unique values, the budget. Everything that is wrong is a ``UsageError`` that says where in the file.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from harness.cluster_settings import SERVICE, settle_cluster
from harness.errors import HarnessError, UsageError, disk_hint
from harness.plan import PLAN_SCHEMA, Plan, PlannedClient, PlannedOperation, certify
from harness.request import counted, name_of_run, nearest, shown
from harness.run_record import write_text
from harness.spec import (
    BUDGETS,
    LIVE,
    MAX_CLIENTS,
    MAX_NODES,
    MAX_OPERATIONS,
    MIN_NODES,
    OPERATION_TIMEOUT_NS,
    WORLDS,
    budget_of,
)
from harness.spec_file import read_text
from harness.virtual.asked import settle_for
from harness.virtual.deliveries import delivery_data, read_deliveries
from harness.virtual.settings import Virtual
from nemesis.faults import KINDS
from nemesis.faults.fault import Fault
from pbft_node.own_services import is_own
from workloads.operation import Operation, Value, Workload
from workloads.parameters import settle
from workloads.registry import WORKLOADS

MAX_PLAN_BYTES = 256 << 20
"""The largest plan there is, of ``MAX_OPERATIONS``, has about 200 MiB."""
PLAIN_BYTES, BYTES_PER_OPERATION = 16 << 20, 256 << 10
"""A longer file is no plan, and is not parsed to find that out: that takes 10 s for 100 MB."""
MAX_DURATION_NS = 24 * 3600 * 10**9
SCHEDULE = "schedule.jsonl"
"""See ``harness.schedule``."""


def plan_text(plan: Plan) -> str:
    """The content of ``plan.json``: one operation and one fault a line, to be edited and diffed."""
    head: dict[str, object] = {
        "schema": PLAN_SCHEMA,
        "name": plan.name,
        "seed": plan.seed,
        "world": plan.world,
        "duration_ns": plan.duration_ns,
        "budget": plan.budget,
        "cluster": {"nodes": plan.nodes, "service": plan.service, **plan.cluster},
        "workload": {"name": plan.workload, "model": plan.model, "params": dict(plan.workload_settings)},
        "operation_timeout_ns": plan.operation_timeout_ns,
    }
    lines = [f" {_json(key)}: {_json(value)}," for key, value in head.items()]
    if plan.virtual is not None:
        lines.append(_virtual_text(plan.virtual))
    clients = [
        f'  {{"retry": {_json(client.retry)}, "operations": ['
        + _lines(_planned_operation(planned) for planned in client.operations)
        + "]}"
        for client in plan.clients
    ]
    lines.append(' "clients": [\n' + ",\n".join(clients) + "\n ],")
    lines.append(' "faults": [' + _lines(_fault(fault) for fault in plan.faults) + "],")
    lines.append(' "final_reads": [' + _lines(_operation(read) for read in plan.final_reads) + "]")
    return "{\n" + "\n".join(lines) + "\n}\n"


def _virtual_text(virtual: Virtual) -> str:
    settings = "".join(f"\n  {_json(key)}: {_json(value)}," for key, value in virtual.data().items())
    deliveries = _lines(delivery_data(each) for each in virtual.deliveries)
    schedule = f'\n  "schedule": {_json(SCHEDULE)},' if virtual.schedule is not None else ""
    return f' "virtual": {{{settings}{schedule}\n  "deliveries": [{deliveries}]\n }},'


def read_plan(path: Path) -> Plan:
    """A plan from a file. Raises UsageError."""
    plan = parse_plan(read_text(path, MAX_PLAN_BYTES, "a plan (plan.json of a run folder)"), str(path))
    if plan.virtual is None or plan.virtual.schedule is None:
        return plan
    there = path.resolve().parent / SCHEDULE
    if not there.exists():
        raise UsageError(
            f"{path}: plan.virtual.schedule: there is no {SCHEDULE} beside it",
            "Copy it from the run folder the plan is of, or take 'schedule' out: then the network decides.",
        )
    return replace(plan, virtual=replace(plan.virtual, schedule=there))


def write_plan(plan: Plan, folder: Path) -> None:
    """``plan.json``, and the recorded order it names. Raises HarnessError."""
    write_text(folder / "plan.json", plan_text(plan))
    schedule = None if plan.virtual is None else plan.virtual.schedule
    if schedule is not None:
        try:
            shutil.copyfile(schedule, folder / SCHEDULE)
        except OSError as error:
            raise HarnessError(
                f"cannot copy {schedule} into {folder}: {error.strerror}", disk_hint(error)
            ) from None


def parse_plan(text: str, source: str) -> Plan:
    """A plan from the content of its file. Raises UsageError, with ``source`` in front."""
    _check_size(text, source)
    try:
        data = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_no_key_twice)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{source}: line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}",
            "Mend the line, or start from the plan.json of a run folder.",
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{source}: not valid JSON: {error}", "Start from the plan.json of a run.") from None
    try:
        plan = _plan(_Place(data, "plan"))
        certify(plan)
    except UsageError as error:
        raise UsageError(f"{source}: {error.message}", _in_a_plan(error.hint)) from None
    return plan


def _check_size(text: str, source: str) -> None:
    """A large file must look like a plan before it is parsed."""
    if len(text) <= PLAIN_BYTES:
        return
    operations = text.count('"f"')
    if PLAN_SCHEMA not in text or len(text) > PLAIN_BYTES + BYTES_PER_OPERATION * operations:
        raise UsageError(
            f"{source}: {len(text)} characters with {counted(operations, 'operation')} in them are no plan",
            f'A plan names its schema {PLAN_SCHEMA} and has an "f" for each operation, of at most '
            f"{BYTES_PER_OPERATION} characters.",
        )


def _in_a_plan(hint: str) -> str:
    """A plan takes no flags beside it."""
    for flag in ("--budget break ('budget: break')", "--budget break"):
        hint = hint.replace(flag, '"budget": "break" in the plan')
    return hint.replace("--budget safety", '"budget": "safety"')


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=True)


def _lines(items: Iterable[object]) -> str:
    return ",".join("\n   " + _json(item) for item in items)


def _operation(operation: Operation) -> dict[str, object]:
    return {"f": operation.f, "key": operation.key, "input": operation.input}


def _planned_operation(planned: PlannedOperation) -> dict[str, object]:
    return {"at_ns": planned.at_ns, **_operation(planned.operation)}


def _fault(fault: Fault) -> dict[str, object]:
    return {
        "id": fault.id,
        "kind": fault.kind,
        "start_ns": fault.start_ns,
        "stop_ns": fault.stop_ns,
        "params": dict(fault.params),
    }


def _refuse_constant(word: str) -> object:
    raise ValueError(f"{word} is not a number")


def _no_key_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table: dict[str, object] = {}
    for name, value in pairs:
        if name in table:
            raise ValueError(f"{name!r:.60} is there twice in one object")
        table[name] = value
    return table


class _Place:
    """A value of the file and the way to it, for messages."""

    def __init__(self, value: object, where: str) -> None:
        self.value = value
        self.where = where

    def wrong(self, allowed: str) -> UsageError:
        return UsageError(f"{self.where} = {shown(self.value)}", f"It must be {allowed}.")

    def get(self, key: str) -> _Place:
        if not isinstance(self.value, Mapping):
            raise self.wrong("an object")
        if key not in self.value:
            raise UsageError(
                f"{self.where} has no {key!r}" + nearest(key, self.value), "See ARCHITECTURE.md."
            )
        return _Place(self.value[key], f"{self.where}.{key}")

    def items(self, limit: int) -> list[_Place]:
        if not isinstance(self.value, list) or len(self.value) > limit:
            raise self.wrong(f"a list of at most {limit}")
        return [_Place(value, f"{self.where}[{index}]") for index, value in enumerate(self.value)]

    def whole(self, low: int, high: int) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not low <= self.value <= high:
            raise self.wrong(f"a whole number from {low} to {high}")
        return self.value

    def word(self, allowed: Iterable[str]) -> str:
        choices = list(allowed)
        if not isinstance(self.value, str) or self.value not in choices:
            if len(choices) == 1:
                raise self.wrong(repr(choices[0]))
            raise self.wrong("one of " + ", ".join(choices) + nearest(self.value, choices))
        return self.value

    def yes_or_no(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.wrong("true or false")
        return self.value

    def object(self) -> dict[str, object]:
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return self.value


def _plan(data: _Place) -> Plan:
    data.get("schema").word([PLAN_SCHEMA])
    world = data.get("world").word(WORLDS)
    duration_ns = data.get("duration_ns").whole(1, MAX_DURATION_NS)
    budget = data.get("budget").word(BUDGETS)
    cluster = data.get("cluster").object()
    nodes = data.get("cluster").get("nodes").whole(MIN_NODES, MAX_NODES)
    workload = WORKLOADS[data.get("workload").get("name").word(WORKLOADS)]
    data.get("workload").get("model").word([workload.model])
    service = data.get("cluster").get("service")
    if not (isinstance(service.value, str) and is_own(service.value)):
        service.word([workload.service])
    params = data.get("workload").get("params").object()
    try:
        settings = settle(workload.parameters, params).values
    except ValueError as error:
        raise UsageError(f"plan.workload.params: {error}", "See: traitor workloads") from None
    plan = Plan(
        name=name_of_run(data.get("name").value),
        seed=data.get("seed").whole(0, 2**63 - 1),
        world=world,
        duration_ns=duration_ns,
        budget=budget_of(budget),
        nodes=nodes,
        service=str(service.value),
        cluster=_cluster(cluster, nodes),
        workload=workload.name,
        model=workload.model,
        workload_settings=settings,
        operation_timeout_ns=data.get("operation_timeout_ns").whole(*OPERATION_TIMEOUT_NS),
        clients=tuple(_client(place, workload) for place in data.get("clients").items(MAX_CLIENTS)),
        faults=tuple(_parse_fault(place, nodes, duration_ns) for place in data.get("faults").items(10_000)),
        final_reads=tuple(_final_reads(data.get("final_reads"), workload)),
        virtual=_virtual(data, world, nodes),
    )
    _check_unique(plan, workload)
    return plan


def _cluster(given: dict[str, object], nodes: int) -> dict[str, int | str]:
    """Every parameter but how many nodes, and which service."""
    settled = settle_cluster({k: v for k, v in given.items() if k not in ("nodes", SERVICE)}, nodes)
    return {name: value for name, value in settled.items() if name != SERVICE}


def _virtual(data: _Place, world: str, nodes: int) -> Virtual | None:
    given = data.object().get("virtual")
    if world == LIVE:
        if given is not None:
            raise UsageError(
                "plan.virtual is there, but in a live run network and time are the kernel's",
                'Take it out, or say "world": "sim" or "lockstep".',
            )
        return None
    if given is None:
        raise UsageError(
            f"plan has no 'virtual', which world {world} needs", 'Say "virtual": {} for its defaults.'
        )
    asked = dict(data.get("virtual").object())
    deliveries = read_deliveries(asked.pop("deliveries", []), "plan.virtual.deliveries", nodes)
    schedule = _schedule(asked.pop("schedule", None), world)
    return replace(settle_for(world, asked, "plan.virtual"), deliveries=deliveries, schedule=schedule)


def _schedule(given: object, world: str) -> Path | None:
    if given is None:
        return None
    if given != SCHEDULE or world != "sim":
        raise UsageError(
            f"plan.virtual.schedule = {shown(given)} in world {world}",
            f"It can only be {SCHEDULE!r}, a file beside the plan, and only in world sim.",
        )
    return Path(SCHEDULE)


def _client(data: _Place, workload: Workload) -> PlannedClient:
    operations = []
    last_ns = 0
    for place in data.get("operations").items(MAX_OPERATIONS):
        at_ns = place.get("at_ns").whole(last_ns, MAX_DURATION_NS)
        operations.append(PlannedOperation(at_ns, _parse_operation(place, workload)))
        last_ns = at_ns
    return PlannedClient(data.get("retry").yes_or_no(), tuple(operations))


def _parse_operation(data: _Place, workload: Workload) -> Operation:
    f = data.get("f").word(workload.functions)
    operation = Operation(f, cast(str, data.get("key").value), cast(Value, data.get("input").value))
    problem = workload.problem(operation)
    if problem:
        raise UsageError(f"{data.where}: {problem}", f"See: traitor workloads ({workload.name})")
    return operation


def _final_reads(data: _Place, workload: Workload) -> Iterator[Operation]:
    seen: set[str] = set()
    for place in data.items(MAX_OPERATIONS):
        operation = _parse_operation(place, workload)
        if operation != workload.final_read(operation.key):
            raise place.get("f").wrong(f"{workload.final_read(operation.key).f}: a final read writes nothing")
        if operation.key in seen:
            raise place.get("key").wrong("a key that no other final read has")
        seen.add(operation.key)
        yield operation


def _parse_fault(data: _Place, nodes: int, duration_ns: int) -> Fault:
    kind = KINDS[data.get("kind").word(KINDS)]
    start_ns = data.get("start_ns").whole(0, duration_ns - 1)
    stop_ns = data.get("stop_ns").whole(start_ns + 1, duration_ns)
    params = data.get("params").object()
    problem = kind.check(params, nodes)
    if problem:
        raise UsageError(f"{data.where}.params: {problem}", f"Such as: {_json(dict(kind.example))}")
    return Fault(name_of_fault(data.get("id")), kind.name, start_ns, stop_ns, params)


def name_of_fault(data: _Place) -> str:
    """The id of a fault: a short printable word."""
    if not isinstance(data.value, str) or not 1 <= len(data.value) <= 60 or not data.value.isprintable():
        raise data.wrong("1 to 60 printable characters")
    return data.value


def _check_unique(plan: Plan, workload: Workload) -> None:
    ids = [fault.id for fault in plan.faults]
    for index, one in enumerate(ids):
        if one in ids[:index]:
            raise UsageError(
                f"plan.faults[{index}].id = {one!r}: another fault has it", "Ids must be unique."
            )
    seen: set[tuple[str, str]] = set()
    for number, client in enumerate(plan.clients):
        for index, planned in enumerate(client.operations):
            value = workload.written(planned.operation)
            if value is None:
                continue
            if (planned.operation.key, value) in seen:
                raise UsageError(
                    f"plan.clients[{number}].operations[{index}]: {shown(value)} is written to "
                    f"{planned.operation.key} a second time",
                    "Values are written once each: that is what lets a read name the write it saw.",
                )
            seen.add((planned.operation.key, value))
