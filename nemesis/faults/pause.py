"""SIGSTOP and SIGCONT: a replica that is silent, misses every timer, and comes back knowing nothing of it.

Its sockets go on receiving meanwhile. The receipt is state ``T`` of the same process; the undo is proved by
that process running again, or by its end for another reason.
"""

from __future__ import annotations

from dataclasses import dataclass

from nemesis.faults.fault import Params, Receipt
from nemesis.faults.memory import Memory
from nemesis.faults.targets import AimedAtReplicas, resolve_targets
from nemesis.machinery import Machinery, ProcessState


@dataclass(slots=True)
class _Pausing:
    """The victims as it began."""

    victims: dict[int, ProcessState]
    resumed: bool = False
    undone: bool = False


class Pause(AimedAtReplicas):
    """See the module."""

    name = "pause"
    label = "pause"
    colour = "#E69F00"
    description = (
        "Stops replicas with SIGSTOP, as a long garbage collection or a starved machine would; then SIGCONT."
    )
    charges = "liveness: each paused replica is bad until it runs again; never safety"
    receipt = "the process in state T (stopped), as the system shows it"
    worlds: tuple[str, ...] = ("live", "lockstep", "sim")

    def __init__(self) -> None:
        self._memory: Memory[_Pausing] = Memory()

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {"replicas": [1]}

    def available(self, machinery: Machinery) -> str | None:
        """See ``FaultKind``."""
        return None if "pause" in machinery.capabilities else "this world cannot pause replicas"

    def start(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """See ``FaultKind``."""
        targets = resolve_targets(machinery, params)
        pausing = _Pausing({replica: machinery.process(replica) for replica in targets})
        self._memory.keep(machinery, fault_id, pausing)
        for replica in pausing.victims:
            machinery.pause(replica)

    def observe(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """See ``FaultKind``."""
        pausing = self._memory.of(machinery, fault_id)
        if pausing is None:
            return None
        seen = {}
        for replica, before in pausing.victims.items():
            now = machinery.process(replica)
            if now.state != "stopped" or now.incarnation != before.incarnation:
                return None
            seen[str(replica)] = {"pid": now.pid, **now.detail}
        return Receipt({"stopped": seen})

    def trouble(self, machinery: Machinery, fault_id: str, params: Params) -> str:
        """See ``FaultKind``."""
        pausing = self._memory.of(machinery, fault_id)
        if pausing is None:
            return "it was not started"
        states = ", ".join(f"replica {r} is {machinery.process(r).state}" for r in pausing.victims)
        return f"{'resumed' if pausing.resumed else 'asked to stop'}, but {states}"

    def stop(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """See ``FaultKind``."""
        pausing = self._memory.of(machinery, fault_id)
        if pausing is None:
            return
        pausing.resumed = True
        for replica in pausing.victims:
            if not pausing.undone and not self._held(machinery, fault_id, replica):
                machinery.resume(replica)

    def stopped(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """See ``FaultKind``."""
        pausing = self._memory.of(machinery, fault_id)
        if pausing is None:
            return Receipt({"running": {}, "note": "it was not started"})
        seen = {}
        for replica in pausing.victims:
            now = machinery.process(replica)
            held = self._held(machinery, fault_id, replica)
            if not held and now.state == "stopped":
                return None
            note = {"held_by_another_pause": True} if held else {}
            seen[str(replica)] = {"pid": now.pid, "process": now.state, **now.detail, **note}
        pausing.undone = pausing.resumed
        return Receipt({"resumed": seen}) if pausing.resumed else None

    def bad_now(self, machinery: Machinery, fault_id: str, params: Params) -> frozenset[int]:
        """See ``FaultKind``."""
        pausing = self._memory.of(machinery, fault_id)
        return frozenset() if pausing is None or pausing.undone else frozenset(pausing.victims)

    def _held(self, machinery: Machinery, fault_id: str, replica: int) -> bool:
        """Does another pause still want it stopped?"""
        others = self._memory.others(machinery, fault_id)
        return any(replica in other.victims and not other.resumed for other in others)
