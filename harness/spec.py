"""What a user asks for: a YAML file, flags on top, defaults below, checked once into a frozen ``Spec``.

Every problem is a ``UsageError`` that names the key, the value and what is allowed; a key nobody knows gets
the nearest one we do. After this module nothing about the request is in doubt but the seed, which ``traitor
run`` draws when it was not given: the only chance outside the plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.cluster_settings import settle_cluster
from harness.errors import UsageError
from harness.request import (
    SECOND_NS,
    mapping,
    name_of_run,
    nearest,
    seconds,
    seconds_or_none,
    shown,
    whole,
)
from harness.virtual.asked import in_words, settle_for
from harness.virtual.settings import Virtual
from nemesis.faults import KINDS
from nemesis.faults.fault import Params
from workloads.parameters import Setting, settle
from workloads.registry import WORKLOADS

LIVE = "live"
VIRTUAL_WORLDS = ("lockstep", "sim")
WORLDS = (LIVE, *VIRTUAL_WORLDS)
BUDGETS = ("within", "safety", "break")
Budget = Literal["within", "safety", "break"]
MIN_NODES, MAX_NODES = 4, 64
MAX_CLIENTS = 500
MAX_OPERATIONS = 2_000_000
OPERATION_TIMEOUT_NS = (SECOND_NS // 10, 600 * SECOND_NS)


@dataclass(frozen=True, slots=True)
class AskedFault:
    """One entry of ``faults``. What is None is drawn from the seed."""

    kind: str
    params: Params | None = None
    start_ns: int | None = None
    stop_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Spec:
    """A complete request. Times are ns, ``rate`` is operations a second of all clients together."""

    name: str
    world: str = LIVE
    workload: str = "kv"
    workload_settings: Mapping[str, Setting] = field(default_factory=dict)
    """Complete: with defaults."""
    faults: tuple[AskedFault, ...] = ()
    nodes: int = 4
    clients: int = 5
    rate: float = 250.0
    duration_ns: int = 30 * SECOND_NS
    seed: int | None = None
    budget: Budget = "within"
    """``within``: never more than f bad at once. ``safety``: never more than f that ever lie, but more may be
    down or cut off. ``break``: anything."""
    operation_timeout_ns: int = 5 * SECOND_NS
    cluster: Mapping[str, int | str] = field(default_factory=dict)
    """Complete: every parameter of ``pbft_node``'s Cluster but n, service and cluster_id."""
    virtual: Virtual | None = None
    """Network and time of a virtual world; None: the world is live."""


DEFAULT_FAULTS = ("partition", "kill", "pause")
DEFAULTS: Mapping[str, object] = {
    "world": LIVE,
    "workload": "kv",
    "faults": DEFAULT_FAULTS,
    "nodes": 4,
    "clients": 5,
    "rate": 250,
    "time": 30,
    "seed": None,
    "budget": "within",
    "operation_timeout": 5,
    "cluster": {},
    "virtual": None,
    "name": None,
}


def make_spec(asked: Mapping[str, object]) -> Spec:
    """The keys of ``DEFAULTS``, as YAML has them: ``{"workload": "kv", "time": 20, …}``. Raises
    UsageError."""
    for key in asked:
        if key not in DEFAULTS:
            raise UsageError(
                f"unknown key {shown(key)} in the spec" + nearest(key, DEFAULTS),
                "Known keys: " + ", ".join(DEFAULTS),
            )
    value = {key: default if asked.get(key) is None else asked[key] for key, default in DEFAULTS.items()}
    workload, workload_asked = _workload(value["workload"])
    nodes = whole("nodes", value["nodes"], 1, MAX_NODES)
    if nodes < MIN_NODES:
        raise UsageError(
            f"nodes = {nodes}: PBFT tolerates f faulty replicas out of n >= 3f+1, so {nodes} tolerate none",
            "Use --nodes 4 (f = 1), 7 (f = 2), 10 (f = 3) …",
        )
    world = _choice("world", value["world"], WORLDS)
    spec = Spec(
        name=name_of_run(value["name"] or workload),
        world=world,
        workload=workload,
        workload_settings=_workload_settings(workload, workload_asked),
        faults=_faults(value["faults"]),
        nodes=nodes,
        clients=whole("clients", value["clients"], 1, MAX_CLIENTS),
        rate=_rate(value["rate"]),
        duration_ns=seconds("time", value["time"], 1, 24 * 3600),
        seed=None if value["seed"] is None else whole("seed", value["seed"], 0, 2**63 - 1),
        budget=budget_of(_choice("budget", value["budget"], BUDGETS)),
        operation_timeout_ns=seconds(
            "operation_timeout", value["operation_timeout"], *(ns / SECOND_NS for ns in OPERATION_TIMEOUT_NS)
        ),
        cluster=settle_cluster(mapping("cluster", value["cluster"]), nodes),
        virtual=_virtual(world, value["virtual"]),
    )
    _check_together(spec)
    return spec


def as_yaml_data(spec: Spec) -> dict[str, object]:
    """The complete spec in the words of a YAML file: ``make_spec(as_yaml_data(spec)) == spec``."""
    return {
        "name": spec.name,
        "world": spec.world,
        "workload": {"name": spec.workload, **spec.workload_settings},
        "faults": [_fault_data(fault) for fault in spec.faults],
        "nodes": spec.nodes,
        "clients": spec.clients,
        "rate": _plain(spec.rate),
        "time": _plain(spec.duration_ns / SECOND_NS),
        "seed": spec.seed,
        "budget": spec.budget,
        "operation_timeout": _plain(spec.operation_timeout_ns / SECOND_NS),
        "cluster": dict(spec.cluster),
        "virtual": None if spec.virtual is None else in_words(spec.virtual),
    }


def budget_of(word: str) -> Budget:
    """One of ``BUDGETS``."""
    return "break" if word == "break" else "safety" if word == "safety" else "within"


def _fault_data(fault: AskedFault) -> object:
    if fault.params is None and fault.start_ns is None:
        return fault.kind
    data: dict[str, object] = {"kind": fault.kind}
    if fault.start_ns is not None and fault.stop_ns is not None:
        data |= {"start": _plain(fault.start_ns / SECOND_NS), "stop": _plain(fault.stop_ns / SECOND_NS)}
    return data if fault.params is None else data | {"params": dict(fault.params)}


def _plain(number: float) -> int | float:
    return int(number) if number == int(number) else number


def _choice(key: str, value: object, allowed: tuple[str, ...]) -> str:
    if isinstance(value, str) and value in allowed:
        return value
    raise UsageError(
        f"{key} = {shown(value)}" + nearest(value, allowed), f"Choose one of: {', '.join(allowed)}"
    )


def _virtual(world: str, value: object) -> Virtual | None:
    if world in VIRTUAL_WORLDS:
        return settle_for(world, {} if value is None else mapping("virtual", value))
    if value is None:
        return None
    asked = ", ".join(mapping("virtual", value)) or "virtual"
    raise UsageError(
        f"{asked}: in a live run network and time are the kernel's",
        "Use --world sim or --world lockstep, or leave it out.",
    )


def _rate(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.1 <= value <= 100_000:
        raise UsageError(
            f"rate = {shown(value)}",
            "It must be a number from 0.1 to 100000: operations a second, all clients.",
        )
    return float(value)


def _workload(value: object) -> tuple[str, Mapping[str, object]]:
    """A name, or a mapping of a name and parameters."""
    if isinstance(value, Mapping):
        parameters = dict(mapping("workload", value))
        value = parameters.pop("name", None)
        if value is None:
            raise UsageError("workload: the mapping has no 'name'", f"Name one of: {', '.join(WORKLOADS)}")
    else:
        parameters = {}
    return _choice("workload", value, tuple(WORKLOADS)), parameters


def _workload_settings(workload: str, asked: Mapping[str, object]) -> Mapping[str, Setting]:
    parameters = WORKLOADS[workload].parameters
    names = [parameter.name for parameter in parameters]
    for key in asked:
        if key not in names:
            raise UsageError(
                f"unknown parameter {shown(key)} of workload {workload}" + nearest(key, names),
                f"It has: {', '.join(names)}. See: traitor workloads",
            )
    try:
        return settle(parameters, asked).values
    except ValueError as error:
        raise UsageError(f"workload {workload}: {error}", "See: traitor workloads") from None


def _faults(value: object) -> tuple[AskedFault, ...]:
    if isinstance(value, str):
        value = [] if value == "none" else [value]
    if not isinstance(value, list | tuple):
        raise UsageError(f"faults = {shown(value)}", "It must be a list: faults: [partition, kill, pause]")
    if list(value) == ["none"]:
        return ()
    return tuple(_fault(index, entry) for index, entry in enumerate(value))


def _fault(index: int, entry: object) -> AskedFault:
    where = f"faults[{index}]"
    if not isinstance(entry, Mapping):
        return AskedFault(_kind(where, entry))
    data = mapping(where, entry)
    known = ("kind", "start", "stop", "params")
    for key in data:
        if key not in known:
            raise UsageError(
                f"{where}: unknown key {shown(key)}" + nearest(key, known), f"It may have: {', '.join(known)}"
            )
    start_ns = seconds_or_none(f"{where}.start", data.get("start"))
    stop_ns = seconds_or_none(f"{where}.stop", data.get("stop"))
    if (start_ns is None) != (stop_ns is None) or (start_ns is not None and start_ns >= (stop_ns or 0)):
        raise UsageError(
            f"{where}: start = {shown(data.get('start'))}, stop = {shown(data.get('stop'))}",
            "Give both, in seconds from the start of the load, start before stop; or neither, and the seed "
            "decides.",
        )
    params = None if data.get("params") is None else mapping(f"{where}.params", data["params"])
    return AskedFault(_kind(f"{where}.kind", data.get("kind")), params, start_ns, stop_ns)


def _kind(where: str, value: object) -> str:
    if isinstance(value, str) and value in KINDS:
        return value
    raise UsageError(
        f"{where} = {shown(value)}: no such fault" + nearest(value, KINDS),
        f"There are: {', '.join(KINDS)}. See: traitor faults",
    )


def _check_together(spec: Spec) -> None:
    operations = spec.rate * spec.duration_ns / SECOND_NS
    if operations > MAX_OPERATIONS:
        raise UsageError(
            f"rate {spec.rate:g}/s for {spec.duration_ns / SECOND_NS:g} s makes {operations:.0f} operations",
            f"The limit is {MAX_OPERATIONS}: lower --rate or --time.",
        )
    for index, fault in enumerate(spec.faults):
        kind = KINDS[fault.kind]
        problem = None if fault.params is None else kind.check(fault.params, spec.nodes)
        if problem:
            raise UsageError(
                f"faults[{index}] ({fault.kind}): {problem}", f"Such as: params: {dict(kind.example)}"
            )
        if fault.stop_ns is not None and fault.stop_ns > spec.duration_ns:
            raise UsageError(
                f"faults[{index}] ({fault.kind}) stops at {fault.stop_ns / SECOND_NS:g} s, after the load",
                f"The load lasts {spec.duration_ns / SECOND_NS:g} s: raise --time, or stop it earlier.",
            )
