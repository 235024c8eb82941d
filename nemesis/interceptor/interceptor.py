"""The loop of the interceptor: packets, the harness, and time, in one thread.

A packet that no rule wants costs a look at its head. One that a rule wants is fetched whole and shown to the
engine, after what replicas traced until then, when anybody listens.

Messages from the harness are ``{"do": …}``, to it ``{"say": …}``; ARCHITECTURE.md lists them.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Mapping, Sequence

from nemesis.interceptor.channel import Channel
from nemesis.interceptor.emitter import HEADERS_BYTES, Emitter
from nemesis.interceptor.held import Delayed, Frozen
from nemesis.interceptor.nfqueue import ACCEPT, DROP, HEAD_BYTES, PATIENCE_NS, Head, Heads, Lost, Wholes
from nemesis.interceptor.opening import Opening
from nemesis.packets.activation import Activation
from nemesis.packets.capture import Capture
from nemesis.packets.engine import Engine
from nemesis.packets.packet import Header, Packet
from nemesis.packets.scene import Order
from nemesis.packets.trace_tail import TraceTail
from nemesis.sides import Side
from pbft_node.core.frames import HEADER, MessageType

REPORT_NS = 10_000_000
"""Receipts are at most so old."""
LISTEN_NS = 5_000_000
"""How often traces are read when no packet comes."""
LISTENERS_NS = 100_000_000
"""Faults that listen may come on without a packet touched: their reports are sent at least so often."""
BEAT_NS = 500_000_000
SLOW_NS = 50_000_000
"""Busy for longer at one go, it is counted: no packet passes meanwhile."""
END_NS = 2_000_000_000
"""For what the kernel has queued to arrive here, at the end."""
FREEZING = ("kill", "pause")
LOOK_NS = 5_000_000
"""How often the harness is listened to when nothing else is to be done: asking costs as much as a packet."""
MOST_PASSING = 4096
_PATIENT_NS = 4 * PATIENCE_NS
"""When nothing is due for so long, waiting needs no exact end."""
_OF_A_VIEW = (MessageType.VIEW_CHANGE, MessageType.NEW_VIEW, MessageType.PRE_PREPARE)


class Interceptor:
    """See the module. ``run`` once."""

    def __init__(
        self, opening: Opening, channel: Channel, heads: Heads, whole: Wholes, emitter: Emitter
    ) -> None:
        """``heads`` gives the first bytes of every packet, ``whole`` those that it is told to pass on."""
        self._channel = channel
        self._heads, self._whole, self._emitter = heads, whole, emitter
        self._capture_file = None if opening.capture is None else opening.capture.open("ab", buffering=0)
        self._capture = (
            None if self._capture_file is None else Capture(self._capture_file.write, opening.hosts)
        )
        self.engine = Engine(opening.scene, self._activated)
        self._links = _links(opening.hosts)
        self._passing: set[Head] = set()
        """Heads of packets that nobody wants, now that one such was looked at."""
        self._of_a_view = frozenset(int(kind) for kind in _OF_A_VIEW)
        self._tails = [TraceTail(path) for path in opening.traces]
        self._listening = False
        self._delayed, self._frozen = Delayed(), Frozen()
        self._orders = 0
        self._touched: dict[str, None] = {}
        """Faults whose report changed since it was sent."""
        self._said_held = 0
        self._next_report_ns = self._next_beat_ns = self._next_listen_ns = self._next_listeners_ns = 0
        self._heads_fd, self._harness_fd = heads.fileno(), channel.fileno()
        self._harness = select.poll()
        self._harness.register(self._harness_fd, select.POLLIN)
        self._wake_ns = self._now_ns = self._next_look_ns = 0
        self._stirred = False
        """Something happened that may have changed when to wake up."""
        self._slowest_ns = self._slow = 0
        self._ended = False
        self._counts = {"touched": 0, "made_up": 0}
        self._began_cpu_ns = time.process_time_ns()

    def run(self) -> None:
        """Until told to end, or the harness is gone. Raises Lost when the run is void."""
        self._channel.send({"say": "ready"})
        try:
            while not self._ended and not self._channel.over:
                self._turn()
        finally:
            self._close()

    def _turn(self) -> None:
        quiet_until_ns = min(self._next_look_ns, self._wake_ns - _PATIENT_NS)
        if self._now_ns < quiet_until_ns and not self._frozen.hosts:
            woke_ns, told = self._let_pass(quiet_until_ns), False
        else:
            heads, told = self._wait()
            woke_ns = time.monotonic_ns()
            self._came(heads)
        now_ns = time.monotonic_ns()
        if told or now_ns >= self._next_look_ns:
            self._look_at_harness(now_ns)
        if self._stirred or now_ns >= self._wake_ns:
            self._channel.flush()
            self._in_time(now_ns)
        self._was_busy(woke_ns)

    def _let_pass(self, until_ns: int) -> int:
        """Until then, or until something else happens than packets that nobody wants. Since when it is busy.
        Run for nearly all of those: what is not needed is not done, and nothing looked up twice."""
        wait, passing, accept = self._heads.wait, self._passing.issuperset, self._heads.accept
        now_ns = woke_ns = self._now_ns
        slowest_ns = min(self._slowest_ns, SLOW_NS)
        while now_ns < until_ns and not self._stirred:
            heads = wait()
            woke_ns = time.monotonic_ns()
            if not heads:
                now_ns = woke_ns
                continue
            if not self._listening and passing(heads):
                accept()
            else:
                self._came(heads)
            now_ns = time.monotonic_ns()
            if now_ns - woke_ns > slowest_ns and now_ns < until_ns and not self._stirred:
                self._was_busy(woke_ns)
        return woke_ns

    def _was_busy(self, since_ns: int) -> None:
        self._now_ns = time.monotonic_ns()
        busy_ns = self._now_ns - since_ns
        self._slowest_ns = max(self._slowest_ns, busy_ns)
        self._slow += busy_ns > SLOW_NS

    def _wait(self) -> tuple[list[Head], bool]:
        """Exactly until something is to be done: what came, and whether the harness said something."""
        left_ns = max(0, self._wake_ns - self._now_ns)
        readable = select.select((self._heads_fd, self._harness_fd), (), (), left_ns / 1e9)[0]
        return self._heads.read() if self._heads_fd in readable else [], self._harness_fd in readable

    def _look_at_harness(self, now_ns: int) -> None:
        self._next_look_ns = now_ns + LOOK_NS
        if self._harness.poll(0):
            self._stirred = True
            for message in self._channel.receive():
                self._told(message, now_ns)

    # Packets

    def _came(self, heads: list[Head]) -> None:
        """Those that nobody wants are let go together, before one that somebody wants is handled: order
        stays."""
        if self._listening:
            self._stirred = True
            self._hear()
        pending = 0
        for number, head in enumerate(heads, self._heads.last - len(heads) + 1):
            if head in self._passing or self._passes(head):
                pending = number
                continue
            self._stirred = True
            if pending:
                self._heads.accept_up_to(pending)
                pending = 0
            self._fetch(number, self._links[head[1]])
        if pending:
            self._heads.accept_up_to(pending)

    def _passes(self, head: Head) -> bool:
        """Does nobody want it? Then nobody wants the next with the same head either, nor does it say more
        about the phase, until rules change or a replica's packets are held."""
        _, addresses, kind, view = head
        link = self._links.get(addresses)
        if link is not None:
            if self.engine.wants(*link, kind) or self._frozen.hosts:
                return False
            if kind in self._of_a_view:
                self.engine.scene.phase.saw(Header(kind, 0, int.from_bytes(view), 0))
        if len(self._passing) >= MOST_PASSING:
            self._passing.clear()
        self._passing.add(head)
        return True

    def _fetch(self, number: int, link: tuple[str, str]) -> None:
        """The whole packet, through the other queue; whoever passes it on has it there at once."""
        self._heads.pass_on(number, self._whole.number)
        whole = self._whole.read()
        if whole is None:
            raise Lost(f"packet {number} did not come whole: the kernel had no room for it")
        waiting, data = whole
        packet = Packet(*link, data[HEADERS_BYTES:])
        if self._frozen.holds(*link):
            self._frozen.add(packet, waiting)
        else:
            self._decide(packet, waiting)

    def _decide(self, packet: Packet, waiting: int) -> None:
        became = self.engine.packet(packet, time.monotonic_ns())
        if became is None:
            self._whole.verdict(waiting, ACCEPT)
        else:
            self._whole.verdict(waiting, DROP)
            self._counts["touched"] += 1
            self._send(became)
        self._carry_on()

    def _send(self, packets: Sequence[Packet]) -> None:
        """Now, or later. A cut that comes meanwhile takes what is held: it stands in OUTPUT, too."""
        for packet in packets:
            if packet.delay_ns > 0:
                due_ns = time.monotonic_ns() + packet.delay_ns
                self._delayed.add(due_ns, packet._replace(delay_ns=0))
            else:
                self._emitter.send(packet)

    def _hear(self) -> None:
        for replica, tail in enumerate(self._tails):
            for event in tail.lines():
                self._make_up(self.engine.heard(replica, event, time.monotonic_ns()))
        self._carry_on()

    def _make_up(self, packets: Sequence[Packet]) -> None:
        if packets:
            self._counts["made_up"] += len(packets)
            self._send(packets)

    def _carry_on(self) -> None:
        """What rules want done to processes."""
        for order in self.engine.take_orders():
            self._give(order)

    def _give(self, order: Order) -> None:
        """At once to the harness; what is to and from a replica to be stopped waits until it is."""
        self._orders += 1
        if order.what in FREEZING:
            self._passing.clear()
            self._frozen.order(self._orders, f"r{order.replica}", time.monotonic_ns())
        self._channel.send({"say": "order", "number": self._orders, **order._asdict()})

    def _activated(self, one: Activation) -> None:
        """The engine's sink: every activation."""
        self._touched[one.owner] = None
        if self._capture is not None:
            self._capture(one)

    # Time

    def _in_time(self, now_ns: int) -> None:
        due_ns = None if self.engine.idle else self.engine.due_ns()
        if due_ns is not None and due_ns <= now_ns:
            self._make_up(self.engine.tick(now_ns))
        for packet in self._delayed.due(now_ns):
            if not self.engine.walled(packet):
                self._emitter.send(packet)
        if self._listening and now_ns >= self._next_listen_ns:
            self._next_listen_ns = now_ns + LISTEN_NS
            self._hear()
        if self._listening and now_ns >= self._next_listeners_ns:
            self._next_listeners_ns = now_ns + LISTENERS_NS
            self._touched.update(dict.fromkeys(self.engine.listeners()))
        self._carry_on()
        if now_ns >= self._next_beat_ns:
            self._next_beat_ns = now_ns + BEAT_NS
            self._frozen.check(now_ns)
            self._channel.send({"say": "alive"})
        if self._must_say() and now_ns >= self._next_report_ns:
            self._next_report_ns = now_ns + REPORT_NS
            if not self._channel.full:
                self._report(list(self._touched))
        self._stirred = False
        self._wake_ns = self._due_ns()

    def _must_say(self) -> bool:
        return bool(self._touched) or self._said_held != self._held() or self._channel.full

    def _due_ns(self) -> int:
        dues = [self._next_beat_ns]
        if self._must_say():
            dues.append(self._next_report_ns)
        if self._delayed.due_ns is not None:
            dues.append(self._delayed.due_ns)
        if self._listening:
            dues += [self._next_listen_ns, self._next_listeners_ns]
        due_ns = None if self.engine.idle else self.engine.due_ns()
        if due_ns is not None:
            dues.append(due_ns)
        return min(dues)

    # The harness

    def _held(self) -> int:
        return len(self._delayed) + len(self._frozen)

    def _report(self, owners: Sequence[str]) -> None:
        for owner in owners:
            self._touched.pop(owner, None)
        self._said_held = self._held()
        reports = {owner: self.engine.report(owner) for owner in owners}
        self._channel.send({"say": "reports", "reports": reports, "held": self._said_held})

    def _told(self, message: Mapping[str, object], now_ns: int) -> None:
        match message:
            case {"do": "rules", "owner": str(owner), "rules": list(rules), "number": int(number)}:
                self._set_rules(owner, rules, number, now_ns)
            case {"do": "done", "number": int(number)}:
                for packet, waiting in self._frozen.done(number):
                    self._decide(packet, waiting)
            case {"do": "divide", "sides": dict(sides)}:
                self._emitter.divide({int(replica): Side.read(side) for replica, side in sides.items()})
            case {"do": "end", "queued": int(queued)}:
                self._end(queued)
            case _:
                raise ValueError(f"what does {str(message)[:200]} mean?")

    def _set_rules(self, owner: str, rules: list[Mapping[str, object]], number: int, now_ns: int) -> None:
        try:
            self._passing.clear()
            self._make_up(self.engine.set_rules(owner, rules, now_ns))
        except ValueError as problem:
            self._channel.send({"say": "refused", "owner": owner, "number": number, "reason": str(problem)})
            return
        if self.engine.listens and not self._listening:
            for tail in self._tails:
                tail.skip()
        self._listening = self.engine.listens
        self._carry_on()
        self._report([owner])
        self._channel.send({"say": "in force", "owner": owner, "number": number})

    def _end(self, queued: int) -> None:
        """Nothing is queued any more; ``queued`` packets were in all. What waits here is dropped."""
        end_ns = time.monotonic_ns() + END_NS
        while self._heads.seen < queued and time.monotonic_ns() < end_ns:
            select.select((self._heads.fileno(),), (), (), 0.01)
            self._came(self._heads.read())
        self._channel.send({"say": "end", "statistics": self.statistics()})
        self._ended = True

    def statistics(self) -> Mapping[str, object]:
        """Of the whole run."""
        counts = dict(self._counts)
        counts["untouched"] = self._heads.seen - counts["touched"] - len(self._frozen)
        return {
            "seen": self._heads.seen,
            **counts,
            **{name.replace(" ", "_"): count for name, count in sorted(self._emitter.counts.items())},
            "storms": self.engine.storms,
            "orders": self._orders,
            "slowest_ns": self._slowest_ns,
            "over_50ms": self._slow,
            "cpu_ns": time.process_time_ns() - self._began_cpu_ns,
        }

    def _close(self) -> None:
        if self._channel.full:
            with contextlib.suppress(OSError):
                select.select((), (self._channel.fileno(),), (), 1.0)
            self._channel.flush()
        if self._capture is not None and self._capture_file is not None:
            self._capture.close()
            self._capture_file.close()
        for tail in self._tails:
            tail.close()
        self._emitter.close()
        self._heads.close()
        self._whole.close()


def _links(hosts: Mapping[str, tuple[str, int]]) -> dict[bytes, tuple[str, str]]:
    """Source and target address, as they stand in an IP header -> names."""
    return {
        socket.inet_aton(source[0]) + socket.inet_aton(target[0]): (name, other)
        for name, source in hosts.items()
        for other, target in hosts.items()
        if name != other
    }


assert HEADERS_BYTES + HEADER.size - 4 == HEAD_BYTES
