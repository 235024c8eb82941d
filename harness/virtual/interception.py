"""The interceptor of a virtual world: the engine between who sends and the network.

What a rule delays is given to the network later, so a cut that came meanwhile takes it. What has a wrong
checksum is lost here: there is no kernel to find that out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.virtual.scheduler import Scheduler
from nemesis.packets.activation import Activation
from nemesis.packets.engine import Engine, held_until_ns
from nemesis.packets.packet import Packet
from nemesis.packets.scene import Order, Scene
from nemesis.packets.tamperer import RuleData
from nemesis.packets.trace_tail import TraceTail

Put = Callable[[Packet], None]
"""A packet into the network, now."""


def _ignore(_activation: Activation) -> None:
    pass


class Interception:
    """Of one run. ``traces``: where each replica writes its own."""

    def __init__(
        self,
        scene: Scene,
        scheduler: Scheduler,
        put: Put,
        carry_out: Callable[[Order], None],
        traces: Sequence[Path],
        sink: Callable[[Activation], None] = _ignore,
    ) -> None:
        self.engine = Engine(scene, sink)
        self._scheduler = scheduler
        self._put = put
        self._carry_out = carry_out
        self._tails = [TraceTail(path) for path in traces]
        self._listening = False
        self.delays = True
        """Whether what a rule delays waits here; if not, somebody else decides when things arrive."""
        self.held = 0
        """Packets that rules delayed and that are still to come."""
        self._waking_ns: int | None = None
        self._wakes = 0

    def set_rules(self, owner: str, rules: Sequence[RuleData]) -> None:
        """See ``Machinery.tamper``."""
        self._send(self.engine.set_rules(owner, rules, self._scheduler.now_ns))
        if self.engine.listens and not self._listening:
            for tail in self._tails:
                tail.skip()
        self._listening = self.engine.listens
        self._after()

    def report(self, owner: str) -> Mapping[str, object]:
        """See ``Machinery.tampered``."""
        report = self.engine.report(owner)
        return {**report, "held": self.held if held_until_ns(report) >= self._scheduler.now_ns else 0}

    def packet(self, packet: Packet) -> bool:
        """Somebody sends it. False: nobody has anything to do with it, and it is for the network."""
        became = self.engine.packet(packet, self._scheduler.now_ns)
        if became is None:
            if self._listening:  # who listens may give orders for what it only saw
                self._after()
            return False
        self._send(became)
        self._after()
        return True

    def turn_ended(self, replica: int) -> None:
        """A replica wrote its trace; nothing of the turn has left."""
        if self._listening:
            for event in self._tails[replica].lines():
                self._send(self.engine.heard(replica, event, self._scheduler.now_ns))
            self._after()

    def close(self) -> None:
        """Let go of the files. Idempotent."""
        for tail in self._tails:
            tail.close()

    def _send(self, packets: Sequence[Packet]) -> None:
        for packet in packets:
            if packet.spoilt:
                continue
            if packet.delay_ns > 0 and self.delays:
                self.held += 1
                due_ns = self._scheduler.now_ns + packet.delay_ns
                self._scheduler.at(due_ns, self._release, packet._replace(delay_ns=0))
            else:
                self._put(packet._replace(delay_ns=0))

    def _release(self, packet: Packet) -> None:
        self.held -= 1
        if not self.engine.walled(packet):
            self._put(packet)

    def _after(self) -> None:
        """Orders, and the next tick."""
        for order in self.engine.take_orders():
            self._carry_out(order)
        due_ns = self.engine.due_ns()
        if due_ns is not None and (self._waking_ns is None or due_ns < self._waking_ns):
            self._waking_ns = due_ns
            self._wakes += 1
            self._scheduler.at(due_ns, self._tick, self._wakes)

    def _tick(self, wake: int) -> None:
        if wake != self._wakes:
            return
        self._waking_ns = None
        self._send(self.engine.tick(self._scheduler.now_ns))
        self._after()
