"""Twins (Bano et al., OPODIS 2021): a second process under the same identity and keys as a replica.

Both run honest code, with a log each; a partition decides who meets which of them. Together they are a
Byzantine replica that equivocates, forgets, and supports two views, and no lie had to be thought up for it.

Whose peers and clients are divided so that each side can ask for something, and that leads, will propose two
batches under one number. That is the receipt: both run, different hosts heard them, and of one (view, number)
or one executed number they say two digests; or one side lost patience, and what one instance has left, the
other goes on with. Twins of a backup whom nobody makes impatient say the same: no receipt. With ``views`` the
fault therefore first waits for the turn of an identity to lead: until then it loses the proposals of all
others, so that their views end. The network is asynchronous meanwhile, and nobody owes liveness.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from nemesis.faults.fault import Params, Receipt, Victims
from nemesis.faults.memory import Memory
from nemesis.faults.targets import PRIMARY, check_replicas
from nemesis.machinery import Machinery, ProcessState
from nemesis.packets.packet import host
from nemesis.packets.tamperer import RuleData

ROUND_NS = 5_500_000_000
"""With timers of 500 ms, which double from view to view, three others have had their turn after 4.5 s."""
CLIENTS = ("odd", "even")
LOGS = ("copy", "genesis")
_KNOWN = ("replicas", "peers", "clients", "log", "views")


@dataclass(slots=True)
class _Doubling:
    """Who has a twin of this fault."""

    replicas: tuple[int, ...]
    waits: bool
    """For the turn of one of the identities to lead: the twins are not started yet."""
    pushed: bool = False
    """It has had rules."""
    stopped: bool = False
    undone: bool = False


class Twins:
    """See the module."""

    name = "twins"
    label = "twins"
    colour = "#D55E00"
    description = (
        "Runs a second process under a replica's identity and keys; half of the others talk with either."
    )
    family = "process"
    parameters: Mapping[str, str] = MappingProxyType(
        {
            "replicas": "list of the identities that get a twin",
            "peers": "list of the other replicas that talk with the twins; the rest talk with the first ones",
            "clients": "`odd` (default) or `even`: clients with such an identity talk with the twins",
            "log": "what a twin begins with: a `copy` of its replica's log (default), or `genesis`, none",
            "views": "true: proposals of others are lost until one of the replicas leads; "
            "false (default): nothing is lost",
        }
    )
    receipt = (
        "both run, different replicas heard them, and of one number their traces have two digests (of what "
        "was proposed or executed), or one took a proposal in a view that the other had left"
    )
    charges = "safety and liveness: each identity is Byzantine; with `views` nobody owes liveness meanwhile"
    worlds: tuple[str, ...] = ("live", "lockstep", "sim")
    leads = True
    """Only who proposes says two things."""
    least_hold_ns = 3_000_000_000
    """A twin has to come up and to catch up, and views to change."""

    def __init__(self) -> None:
        self._memory: Memory[_Doubling] = Memory()

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {"replicas": [0], "peers": [2, 3], "clients": "odd", "log": "copy"}

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``."""
        doubled = sorted(liars) or sorted(stream.sample(range(n), f + budget_break))
        others = [replica for replica in range(n) if replica not in doubled]
        peers = stream.sample(others, stream.randint(1, len(others) - 1))
        log, clients = stream.choice(("copy", "copy", "genesis")), stream.choice(CLIENTS)
        if len(peers) <= f:  # of whom nobody fetches a state: one without a log would stay behind
            log = "copy"
        return {"replicas": doubled, "peers": sorted(peers), "clients": clients, "log": log}

    def draw_later(self, stream: random.Random, params: Params, n: int) -> Params:
        """See ``schedule``: after other faults somebody else may lead."""
        return {**params, "views": True}

    def needs_ns(self, params: Params) -> int:
        """See ``schedule``: how long it has to last."""
        return ROUND_NS if params.get("views") else self.least_hold_ns

    def check(self, params: Params, n: int) -> str | None:
        """See ``FaultKind``."""
        unknown = sorted(set(params) - set(_KNOWN))
        if unknown:
            return f"unknown parameter {unknown[0]!r:.80}: known are {', '.join(_KNOWN)}"
        if params.get("replicas") == PRIMARY:
            return "who has a twin is charged as Byzantine: name the replicas, such as [0]"
        problem = check_replicas(params.get("replicas"), n)
        if problem:
            return problem
        peers = params.get("peers")
        problem = "give a list of replica numbers" if peers == PRIMARY else check_replicas(peers, n)
        if problem:
            return f"peers: {problem}"
        doubled, met = _numbers(params, "replicas"), _numbers(params, "peers")
        if doubled & met:
            return f"peers: replica {min(doubled & met)} has a twin itself, and its twin talks with twins"
        if len(doubled | met) == n:
            return "peers: at least one replica without a twin has to talk with the first instances"
        for name, known in (("clients", CLIENTS), ("log", LOGS)):
            value = params.get(name, known[0])
            if not isinstance(value, str) or value not in known:
                return f"{name} = {value!r:.80}: choose one of {', '.join(known)}"
        views = params.get("views", False)
        return None if isinstance(views, bool) else f"views = {views!r:.80}: give true or false"

    def doubled(self, params: Params) -> frozenset[int]:
        """Who gets a twin."""
        return _numbers(params, "replicas")

    def victims(self, params: Params, n: int, f: int) -> Victims:
        """See ``FaultKind``."""
        doubled = _numbers(params, "replicas")
        return Victims(doubled, byzantine=doubled, network=bool(params.get("views")))

    def tampers(self, params: Params) -> bool:
        """Does it need a world that intercepts packets?"""
        return bool(params.get("views"))

    def available(self, machinery: Machinery) -> str | None:
        """See ``FaultKind``."""
        return None if "twins" in machinery.capabilities else "this world cannot run a twin of a replica"

    def start(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """See ``FaultKind``. One that has a twin through another fault gets no second one."""
        doubled = sorted(r for r in _numbers(params, "replicas") if machinery.twin(r) is None)
        doubling = _Doubling(tuple(doubled), waits=True)
        self._memory.keep(machinery, fault_id, doubling)
        if params.get("views") and doubled and machinery.primary_hint() not in doubled:
            doubling.pushed = True
            machinery.tamper(fault_id, _push(_numbers(params, "replicas"), machinery.n))
        else:
            _double(machinery, doubling, params)

    def observe(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """See ``FaultKind``. All have to run and to be heard; one of them has to say two things."""
        doubling = self._memory.of(machinery, fault_id)
        if doubling is None or not doubling.replicas:
            return None
        if doubling.waits and not doubling.stopped and machinery.primary_hint() in doubling.replicas:
            machinery.tamper(fault_id, ())
            _double(machinery, doubling, params)
        seen: dict[str, object] = {}
        diverged = False
        for replica in doubling.replicas:
            first, twin = machinery.process(replica), machinery.twin(replica)
            if twin is None or not _works(first) or not _works(twin) or not _both_heard(twin):
                return None
            diverged = diverged or twin.detail.get("diverged") is not None
            told = {name: twin.detail.get(name) for name in ("folder", "heard_by", "diverged")}
            seen[str(replica)] = {"pids": [first.pid, twin.pid], **told}
        return Receipt({"twins": seen}) if diverged else None

    def trouble(self, machinery: Machinery, fault_id: str, params: Params) -> str:
        """See ``FaultKind``."""
        doubling = self._memory.of(machinery, fault_id)
        if doubling is None:
            return "it was not started"
        if not doubling.replicas:
            return "whom it was to give a twin has one through another fault"
        if doubling.waits:
            return f"the turn to lead did not come to whom it was to double: {machinery.primary_hint()} leads"
        told = []
        for replica in doubling.replicas:
            first, twin = machinery.process(replica), machinery.twin(replica)
            state = "is gone" if twin is None else f"is {twin.state}, {dict(twin.detail)}"
            told.append(f"replica {replica} is {first.state}, its twin {state}")
        return "two instances, both heard, said nothing that differs: " + "; ".join(told)

    def stop(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """See ``FaultKind``."""
        doubling = self._memory.of(machinery, fault_id)
        if doubling is None or doubling.stopped:
            return
        doubling.stopped = True
        if doubling.pushed:
            machinery.tamper(fault_id, ())
        for replica in () if doubling.waits else doubling.replicas:
            machinery.stop_twin(replica)

    def stopped(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """See ``FaultKind``. The end of a run sees whether the first instances work as before."""
        doubling = self._memory.of(machinery, fault_id)
        if doubling is None:
            return Receipt({"alone": {}, "note": "it was not started"})
        doubled = () if doubling.waits else doubling.replicas
        if not doubling.stopped or any(machinery.twin(replica) is not None for replica in doubled):
            return None
        if (
            doubling.pushed
            and (report := machinery.tampered(fault_id))
            and (report.get("in_force") or report.get("held"))
        ):
            return None
        doubling.undone = True
        firsts = {replica: machinery.process(replica) for replica in doubling.replicas}
        alone = {str(replica): {"pid": one.pid, "process": one.state} for replica, one in firsts.items()}
        return Receipt({"alone": alone})

    def bad_now(self, machinery: Machinery, fault_id: str, params: Params) -> frozenset[int]:
        """See ``FaultKind``: also one that had a twin already, which this fault charges as well."""
        doubling = self._memory.of(machinery, fault_id)
        return frozenset() if doubling is None or doubling.undone else _numbers(params, "replicas")


def _double(machinery: Machinery, doubling: _Doubling, params: Params) -> None:
    """Start the twins."""
    doubling.waits = False
    clients, log = str(params.get("clients", CLIENTS[0])), str(params.get("log", LOGS[0]))
    for replica in doubling.replicas:
        machinery.start_twin(replica, peers=_numbers(params, "peers"), clients=clients, log=log)


def _push(doubled: frozenset[int], n: int) -> list[RuleData]:
    """No view of another replica gets anywhere."""
    others = [host(replica) for replica in range(n) if replica not in doubled]
    return [{"action": "drop", "match": {"types": ["PRE_PREPARE"], "from": others}}]


def _numbers(params: Params, name: str) -> frozenset[int]:
    value = params[name]
    assert isinstance(value, list)
    return frozenset(value)


def _works(process: ProcessState) -> bool:
    return process.state == "running" and process.up is not False


def _both_heard(twin: ProcessState) -> bool:
    """By replicas, and by different ones."""
    heard = twin.detail.get("heard_by")
    assert isinstance(heard, Mapping)
    first, other = ({host for host in heard[name] if host != "clients"} for name in ("first", "twin"))
    return bool(first - other) and bool(other - first)
