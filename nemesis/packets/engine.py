"""The engine: rules of faults, at work on every packet.

Deterministic: what it answers follows from the rules, the packets, the trace lines and the times it is
given. Lies come before the network's faults, and each stage in the order in which faults began; what one rule
puts on the wire meets the rules after it, never the same or an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from nemesis.packets.activation import Activation, Tally
from nemesis.packets.packet import Header, Packet, header_of
from nemesis.packets.registry import make_rule
from nemesis.packets.scene import Order, Scene
from nemesis.packets.tamperer import Composite, RuleData, Tamperer, Uncounted, Walling

MOST_AT_ONCE = 4096
"""Packets that one may become; more is a storm, and the rest is dropped and counted."""


@dataclass(slots=True)
class _Rule:
    owner: str
    index: int
    action: str
    began: int
    tamperer: Tamperer


@dataclass(slots=True)
class _Kept:
    """Of a fault, also after its rules are gone: the receipt is asked for then."""

    tally: Tally = field(default_factory=Tally)
    last_reports: list[Mapping[str, object]] = field(default_factory=list)
    since_ns: int = 0
    """When its rules came into force."""
    until_ns: int = 0
    """When the last packet that it delayed leaves."""


def _ignore(_activation: Activation) -> None:
    pass


class Engine:
    """``sink`` is given every activation, in order."""

    def __init__(self, scene: Scene, sink: Callable[[Activation], None] = _ignore) -> None:
        self.scene = scene
        self._sink = sink
        self._rules: list[_Rule] = []
        self._walls: list[Walling] = []
        self._kept: dict[str, _Kept] = {}
        self._wanted: dict[tuple[str, str, int], bool] = {}
        self._began = 0
        self.storms = 0
        """Packets dropped because one became too many."""

    # Rules

    def set_rules(self, owner: str, rules: Sequence[RuleData], now_ns: int) -> Sequence[Packet]:
        """From now on the fault has exactly these; none: it is over. What the rules before held back leaves.
        Raises ValueError for what is no rule, and changes nothing then."""
        self._began += 1
        made = [
            _Rule(
                owner,
                index,
                str(data.get("action")),
                self._began,
                make_rule(data, f"{owner}/{index}", self.scene),
            )
            for index, data in enumerate(rules)
        ]
        gone = [rule for rule in self._rules if rule.owner == owner]
        left: list[Packet] = []
        for rule in gone:
            held = rule.tamperer.left()
            if held:
                self._note(rule, None, held, now_ns)
            left.extend(held)
        if gone:
            self._kept[owner].last_reports = [rule.tamperer.report() for rule in gone]
        stays = [rule for rule in self._rules if rule.owner != owner]
        self._rules = sorted([*stays, *made], key=lambda rule: (rule.tamperer.stage, rule.began, rule.index))
        self._walls = [rule.tamperer for rule in self._rules if isinstance(rule.tamperer, Walling)]
        kept = self._kept.setdefault(owner, _Kept())
        if made:
            kept.since_ns = now_ns
        self._wanted.clear()
        return left

    @property
    def idle(self) -> bool:
        """No rules."""
        return not self._rules

    @property
    def listens(self) -> bool:
        """Somebody wants to hear traces."""
        return any(rule.tamperer.listens for rule in self._rules)

    def listeners(self) -> Sequence[str]:
        """The faults that want to hear traces: what they report may change without a packet touched."""
        return tuple(dict.fromkeys(rule.owner for rule in self._rules if rule.tamperer.listens))

    def wants(self, source: str, target: str, type_: int) -> bool:
        """May any rule touch such packets? Where not, ``packet`` need not be called, but ``saw`` should."""
        key = source, target, type_
        known = self._wanted.get(key)
        if known is None:
            known = any(rule.tamperer.wants(source, target, type_) for rule in self._rules)
            self._wanted[key] = known
        return known

    # Events

    def packet(self, packet: Packet, now_ns: int) -> Sequence[Packet] | None:
        """What travels instead; None: the packet itself, untouched."""
        header = header_of(packet.data)
        self.scene.phase.saw(header)
        if not self._rules or not self.wants(packet.source, packet.target, header.type):
            return None
        return self._through([packet], self._rules, now_ns)

    def walled(self, packet: Packet) -> bool:
        """A wall of a script stands in its way: for packets that were held back and leave only now. Others
        met it already."""
        return any(wall.stops(packet) for wall in self._walls)

    def due_ns(self) -> int | None:
        """When ``tick`` is due."""
        dues = [due for rule in self._rules if (due := rule.tamperer.due_ns()) is not None]
        return min(dues, default=None)

    def tick(self, now_ns: int) -> Sequence[Packet]:
        """What rules send of their own, or held back until now."""
        return self._made_up(
            lambda tamperer: (
                tamperer.tick(now_ns) if (due := tamperer.due_ns()) is not None and due <= now_ns else ()
            ),
            now_ns,
        )

    def heard(self, replica: int, event: Mapping[str, object], now_ns: int) -> Sequence[Packet]:
        """A line of a replica's trace."""
        return self._made_up(
            lambda tamperer: tamperer.heard(replica, event, now_ns) if tamperer.listens else (), now_ns
        )

    def take_orders(self) -> Sequence[Order]:
        """What was asked to be done to processes since."""
        orders, self.scene.orders[:] = tuple(self.scene.orders), ()
        return orders

    def report(self, owner: str) -> Mapping[str, object]:
        """What a fault did, as JSON: the evidence of its receipt."""
        kept = self._kept.get(owner)
        if kept is None:
            return {"in_force": False, **Tally().report(), "since_ns": 0, "held_until_ns": 0, "rules": []}
        now = [rule.tamperer.report() for rule in self._rules if rule.owner == owner]
        times = {"since_ns": kept.since_ns, "held_until_ns": kept.until_ns}
        return {"in_force": bool(now), **kept.tally.report(), **times, "rules": now or kept.last_reports}

    # What happens to a packet

    def _made_up(self, ask: Callable[[Tamperer], Sequence[Packet]], now_ns: int) -> Sequence[Packet]:
        out: list[Packet] = []
        for position, rule in enumerate(list(self._rules)):
            sent = ask(rule.tamperer)
            if sent:
                self._note(rule, None, sent, now_ns)
                passed = self._through(sent, self._rules[position + 1 :], now_ns)
                out.extend(sent if passed is None else passed)
        return out

    def _through(
        self, packets: Sequence[Packet], rules: Sequence[_Rule], now_ns: int
    ) -> Sequence[Packet] | None:
        touched = False
        for rule in rules:
            onward: list[Packet] = []
            met = False
            for packet in packets:
                whole = packet._replace(delay_ns=0) if packet.delay_ns else packet
                became = rule.tamperer.handle(whole, header_of(packet.data), now_ns)
                if became is None:
                    onward.append(packet)
                    continue
                met = True
                if not isinstance(became, Uncounted):
                    self._note(rule, packet, became, now_ns)
                onward.extend(
                    one._replace(delay_ns=one.delay_ns + packet.delay_ns) if packet.delay_ns else one
                    for one in became
                )
            if met:
                touched = True
                self.storms += max(0, len(onward) - MOST_AT_ONCE)
                packets = onward[:MOST_AT_ONCE]
        return packets if touched else None

    def _note(self, rule: _Rule, was: Packet | None, now: Sequence[Packet], now_ns: int) -> None:
        tamperer, kept = rule.tamperer, self._kept[rule.owner]
        kept.until_ns = max(kept.until_ns, now_ns + max((packet.delay_ns for packet in now), default=0))
        if isinstance(tamperer, Composite):
            for part in tamperer.take_activations():
                kept.tally.count(part, self.scene.phase.name, self.scene.n)
                self._sink(part)
            return
        header: Header = header_of(was.data if was is not None else now[0].data)
        one = Activation(
            now_ns,
            rule.owner,
            rule.index,
            rule.action,
            header,
            was,
            tuple(now),
            tamperer.note(),
            tamperer.keeps,
        )
        kept.tally.count(one, self.scene.phase.name, self.scene.n)
        self._sink(one)


def held_until_ns(report: Mapping[str, object]) -> int:
    """When the last packet leaves that a fault delayed, of its ``Engine.report``."""
    value = report.get("held_until_ns", 0)
    return value if isinstance(value, int) else 0
