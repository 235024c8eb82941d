"""``kill -9`` and restart from the replica's own log.

The receipt is the exit by signal 9 of the very process that ran when it began; the undo is proved by a
process of a later incarnation that is alive and has come up (its trace says ``started``). A replica that
dies again by itself after the restart is not started a second time: that exit nobody asked for must be seen.
"""

from __future__ import annotations

from dataclasses import dataclass

from nemesis.faults.fault import Params, Receipt
from nemesis.faults.memory import Memory
from nemesis.faults.targets import AimedAtReplicas, resolve_targets
from nemesis.machinery import Machinery, ProcessState

SIGKILL = 9


@dataclass(slots=True)
class _Killing:
    """Incarnation and pid of each victim as it began."""

    victims: dict[int, ProcessState]
    restarted: bool = False
    undone: bool = False


class Kill(AimedAtReplicas):
    """See the module."""

    name = "kill"
    label = "kill -9"
    colour = "#D55E00"
    description = "Kills replicas with SIGKILL and starts them again from their own logs."
    charges = "liveness: each killed replica is bad until it runs again; never safety"
    receipt = "the exit by signal 9 of the very process that ran when it began"
    worlds: tuple[str, ...] = ("live", "lockstep", "sim")

    def __init__(self) -> None:
        self._memory: Memory[_Killing] = Memory()

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {"replicas": [2]}

    def available(self, machinery: Machinery) -> str | None:
        """See ``FaultKind``."""
        return None if "kill" in machinery.capabilities else "this world cannot kill and restart replicas"

    def start(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """See ``FaultKind``."""
        targets = resolve_targets(machinery, params)
        killing = _Killing({replica: machinery.process(replica) for replica in targets})
        self._memory.keep(machinery, fault_id, killing)
        for replica in killing.victims:
            machinery.kill(replica)

    def observe(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """See ``FaultKind``."""
        killing = self._memory.of(machinery, fault_id)
        if killing is None or _problem(machinery, killing) is not None:
            return None
        exits = {
            str(replica): {"pid": before.pid, "incarnation": before.incarnation, "exit_signal": SIGKILL}
            for replica, before in killing.victims.items()
        }
        return Receipt({"killed": exits})

    def trouble(self, machinery: Machinery, fault_id: str, params: Params) -> str:
        """See ``FaultKind``."""
        killing = self._memory.of(machinery, fault_id)
        if killing is None:
            return "it was not started"
        if killing.restarted:
            return _not_back(machinery, killing) or "it is undone"
        return _problem(machinery, killing) or "it took effect"

    def stop(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """See ``FaultKind``."""
        killing = self._memory.of(machinery, fault_id)
        if killing is None or killing.restarted:
            return
        killing.restarted = True
        for replica in killing.victims:
            if not self._held(machinery, fault_id, replica):
                machinery.restart(replica)

    def stopped(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """See ``FaultKind``."""
        killing = self._memory.of(machinery, fault_id)
        if killing is None:
            return Receipt({"running": {}, "note": "it was not started"})
        running: dict[str, object] = {}
        for replica, before in killing.victims.items():
            now = machinery.process(replica)
            if self._held(machinery, fault_id, replica):
                running[str(replica)] = {"held_by_another_kill": True}
            elif not _is_back(now, before):
                return None
            else:
                up = {} if now.up is None else {"up": now.up}
                running[str(replica)] = {"pid": now.pid, "incarnation": now.incarnation, **up}
        killing.undone = killing.restarted
        return Receipt({"running": running}) if killing.restarted else None

    def bad_now(self, machinery: Machinery, fault_id: str, params: Params) -> frozenset[int]:
        """See ``FaultKind``."""
        killing = self._memory.of(machinery, fault_id)
        return frozenset() if killing is None or killing.undone else frozenset(killing.victims)

    def _held(self, machinery: Machinery, fault_id: str, replica: int) -> bool:
        """Does another kill still want it dead?"""
        others = self._memory.others(machinery, fault_id)
        return any(replica in other.victims and not other.restarted for other in others)


def _problem(machinery: Machinery, killing: _Killing) -> str | None:
    """Why it has not taken effect, or None."""
    for replica, before in killing.victims.items():
        if before.state == "dead":
            return f"replica {replica} was dead already"
        now = machinery.process(replica)
        if now.incarnation != before.incarnation or now.state != "dead":
            return f"replica {replica} (pid {now.pid}) is {now.state}, not dead"
        if now.detail.get("exit_signal") != SIGKILL:
            return f"replica {replica} ended otherwise: {dict(now.detail)}"
    return None


def _not_back(machinery: Machinery, killing: _Killing) -> str | None:
    for replica, before in killing.victims.items():
        now = machinery.process(replica)
        if not _is_back(now, before):
            said = ", and did not come up" if now.up is False and now.state != "dead" else ""
            where = f"{now.state} in incarnation {now.incarnation}{said}"
            return f"replica {replica} is {where}: {dict(now.detail)}"
    return None


def _is_back(now: ProcessState, before: ProcessState) -> bool:
    """A later life, alive, and as far as one can see at work."""
    later = now.state != "dead" and now.incarnation > before.incarnation
    return later and now.up is not False
