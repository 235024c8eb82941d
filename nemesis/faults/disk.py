"""Disks that fail: a replica's log is torn, rotten, or older than it was; its disk is full or read-only.

``torn``: killed by a power failure in the middle of a write, of which half a record is on the disk; nothing
that was synced is lost, so it comes back as after a kill. ``bit-rot``: killed, and a bit in the middle of its
log is another one: it must see that and stay down (exit code 3); it is brought back without a vote
(``--silent``). ``rollback``: killed, and an older log lies in its place, which nothing can tell from the real
one: it has forgotten synced promises, and is charged as Byzantine (amnesia). ``full``, ``read-only``: what is
not in the log may not be promised, so it must stop (exit code 4); then the disk is mended.

Stopping for its disk is what a replica must do: those exits are expected. Undone: it runs, and has recovered
where its log was lost.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from nemesis.faults.fault import Params, Receipt, Victims
from nemesis.faults.memory import Memory
from nemesis.faults.targets import PRIMARY, check_replicas, draw_targets, planned_victims, resolve_targets
from nemesis.machinery import Machinery, ProcessState

TORN, BIT_ROT, ROLLBACK, FULL, READ_ONLY = MODES = ("torn", "bit-rot", "rollback", "full", "read-only")
DISTRUSTED, REFUSED = 3, 4
"""Exit codes: the log cannot be trusted; the machine refuses something."""


@dataclass(slots=True)
class _Breaking:
    """Each victim as it began, and what was done to its log."""

    victims: dict[int, ProcessState]
    harmed: dict[int, Mapping[str, object]] = field(default_factory=dict)
    stopped: bool = False
    undone: bool = False


class Disk:
    """See the module."""

    name = "disk"
    label = "disk"
    colour = "#CC79A7"
    description = "Tears, rots or rolls back the log of a replica that is killed, or takes its disk away."
    family = "disk"
    parameters: Mapping[str, str] = MappingProxyType(
        {
            "replicas": "list of replicas, or (not for `rollback`) `primary`",
            "mode": "`torn`, `bit-rot`, `rollback`, `full` or `read-only`",
            "keep": "of `rollback`: the share of its records that the older log has, 0 to 0.99",
        }
    )
    receipt = "what was changed in the file, and how the replica took it: came back, or its exit code"
    charges = "liveness: bad until it is back; `rollback` also safety: it forgets, and counts as Byzantine"
    worlds: tuple[str, ...] = ("live", "lockstep", "sim")

    def __init__(self) -> None:
        self._memory: Memory[_Breaking] = Memory()

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {"replicas": [2], "mode": "full"}

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``. Only who is compromised anyway forgets."""
        mode = stream.choice(MODES)
        if mode == ROLLBACK:
            forgetful = sorted(liars) or sorted(stream.sample(range(n), f + budget_break))
            keep = stream.choice((0.0, 0.5, 0.9))
            return {"replicas": forgetful, "mode": mode, "keep": keep}
        return {**draw_targets(stream, n, f, budget_break), "mode": mode}

    def check(self, params: Params, n: int) -> str | None:
        """See ``FaultKind``."""
        mode = params.get("mode")
        if not isinstance(mode, str) or mode not in MODES:
            return f"mode = {mode!r:.80}: choose one of {', '.join(MODES)}"
        known = ("replicas", "mode", "keep") if mode == ROLLBACK else ("replicas", "mode")
        unknown = sorted(set(params) - set(known))
        if unknown:
            return f"unknown parameter {unknown[0]!r:.80} of mode {mode}: known are {', '.join(known)}"
        if mode == ROLLBACK:
            keep = params.get("keep", 0.5)
            if not isinstance(keep, int | float) or isinstance(keep, bool) or not 0 <= keep <= 0.99:
                return f"keep = {keep!r:.80}: give a share from 0 to 0.99"
            if params.get("replicas") == PRIMARY:
                return "who forgets is charged as Byzantine: name the replicas, such as [0]"
        return check_replicas(params.get("replicas"), n)

    def victims(self, params: Params, n: int, f: int) -> Victims:
        """See ``FaultKind``."""
        planned = planned_victims(params)
        if params["mode"] == ROLLBACK:
            return Victims(planned.replicas, byzantine=planned.replicas)
        return planned

    def available(self, machinery: Machinery) -> str | None:
        """See ``FaultKind``."""
        return None if "disks" in machinery.capabilities else "this world cannot touch a replica's disk"

    def start(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """See ``FaultKind``."""
        targets = resolve_targets(machinery, params)
        breaking = _Breaking({replica: machinery.process(replica) for replica in targets})
        self._memory.keep(machinery, fault_id, breaking)
        mode = str(params["mode"])
        for replica in breaking.victims:
            machinery.expect_exits(replica, frozenset({DISTRUSTED, REFUSED}))
            if mode in (FULL, READ_ONLY):
                machinery.break_disk(replica, mode)
            else:
                machinery.kill(replica)

    def observe(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """See ``FaultKind``. Logs are harmed here, once their owners are dead."""
        breaking = self._memory.of(machinery, fault_id)
        if breaking is None:
            return None
        mode = str(params["mode"])
        if mode not in (FULL, READ_ONLY):
            self._harm(machinery, breaking, mode, params)
        seen: dict[str, object] = {}
        for replica, before in breaking.victims.items():
            now = machinery.process(replica)
            took = _took(mode, breaking.harmed.get(replica), before, now)
            if took is None:
                return None
            seen[str(replica)] = took
        return Receipt({"mode": mode, "disks": seen})

    def _harm(self, machinery: Machinery, breaking: _Breaking, mode: str, params: Params) -> None:
        for replica in breaking.victims:
            if replica not in breaking.harmed and machinery.process(replica).state == "dead":
                keep = params.get("keep", 0.5)
                share = float(keep) if isinstance(keep, int | float) else 0.5
                breaking.harmed[replica] = machinery.harm_log(replica, mode, share)
                machinery.restart(replica)

    def trouble(self, machinery: Machinery, fault_id: str, params: Params) -> str:
        """See ``FaultKind``."""
        breaking = self._memory.of(machinery, fault_id)
        if breaking is None:
            return "it was not started"
        told = []
        for replica in breaking.victims:
            now = machinery.process(replica)
            harmed = f", its log {dict(breaking.harmed[replica])}" if replica in breaking.harmed else ""
            up = ", and did not come up" if now.up is False and now.state != "dead" else ""
            told.append(f"replica {replica} is {now.state}{up}: {dict(now.detail)}{harmed}")
        return f"mode {params['mode']}: " + "; ".join(told)

    def stop(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """See ``FaultKind``."""
        breaking = self._memory.of(machinery, fault_id)
        if breaking is None or breaking.stopped:
            return
        breaking.stopped = True
        for replica in breaking.victims:
            if params["mode"] in (FULL, READ_ONLY):
                machinery.mend_disk(replica)
            self._bring_back(machinery, replica, params)

    def stopped(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """See ``FaultKind``."""
        breaking = self._memory.of(machinery, fault_id)
        if breaking is None:
            return Receipt({"running": {}, "note": "it was not started"})
        if not breaking.stopped:
            return None
        running: dict[str, object] = {}
        for replica in breaking.victims:
            now = machinery.process(replica)
            if now.state == "dead":
                self._bring_back(machinery, replica, params)
                return None
            if now.up is False:
                return None
            running[str(replica)] = {"pid": now.pid, "incarnation": now.incarnation, "up": now.up}
        for replica in breaking.victims:
            machinery.expect_exits(replica, frozenset())
        breaking.undone = True
        return Receipt({"running": running})

    def bad_now(self, machinery: Machinery, fault_id: str, params: Params) -> frozenset[int]:
        """See ``FaultKind``."""
        breaking = self._memory.of(machinery, fault_id)
        return frozenset() if breaking is None or breaking.undone else frozenset(breaking.victims)

    def _bring_back(self, machinery: Machinery, replica: int, params: Params) -> None:
        """Without a vote, where its log is lost. One that runs is left alone."""
        machinery.restart(replica, silent=params["mode"] == BIT_ROT)


def _took(
    mode: str, harmed: Mapping[str, object] | None, before: ProcessState, now: ProcessState
) -> dict[str, object] | None:
    """How a replica took it, if it did as it must."""
    if mode in (FULL, READ_ONLY):
        refused = now.state == "dead" and now.detail.get("exit_code") == REFUSED
        return {"exit_code": REFUSED} if refused and before.state != "dead" else None
    if harmed is None or now.incarnation == before.incarnation:
        return None
    if mode == BIT_ROT:
        distrusted = now.state == "dead" and now.detail.get("exit_code") == DISTRUSTED
        return {**harmed, "exit_code": DISTRUSTED} if distrusted else None
    if now.state == "dead" or now.up is False or harmed.get("lost_records") == 0:
        return None
    return {**harmed, "came_back": now.incarnation}
