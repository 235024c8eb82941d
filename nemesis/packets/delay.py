"""Delays packets: by a constant, about normally, or with a heavy tail (Pareto).

The time is drawn from the packet's slot, so the same message is late alike in every world. It is whole ns,
made with whole numbers and decimals alone: the same on every machine. A normal time is the sum of twelve even
ones (Irwin and Hall), which has the right variance and ends at six deviations. Delays that differ reorder.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal

from nemesis.packets.chance import WORDS, Chance, Slot
from nemesis.packets.numbers import MOST_DELAY_NS, choice_problem, whole, whole_problem
from nemesis.packets.packet import Header, Packet
from nemesis.packets.scene import Scene
from nemesis.packets.tamperer import RuleData, Tampering

MODELS = ("constant", "normal", "pareto")
_NEEDS = {"constant": ("ns",), "normal": ("ns", "spread_ns", "most_ns"), "pareto": ("ns", "shape", "most_ns")}
_SUMMANDS = 12
_CONTEXT = Context(prec=24)


class Delay(Tampering):
    """``ns``: the constant, the mean, or the least; ``spread_ns``: the standard deviation; ``shape``: of the
    tail, the smaller the heavier; ``most_ns``: the bound."""

    action = "delay"
    keys = ("model", "ns", "spread_ns", "shape", "most_ns")

    def __init__(self, data: RuleData, name: str, scene: Scene) -> None:
        super().__init__(data, name, scene)
        self._model = str(data["model"])
        self._ns, self._spread_ns = whole(data, "ns"), whole(data, "spread_ns")
        self._most_ns = longest_ns(data)
        shape = data.get("shape", 1)
        assert isinstance(shape, int | float)
        self._power = _CONTEXT.divide(Decimal(-1), Decimal(repr(shape)))

    @classmethod
    def problem(cls, data: RuleData, n: int) -> str | None:
        """See ``Tampering``."""
        found = super().problem(data, n) or choice_problem(data, "model", MODELS)
        if found is not None:
            return found
        needs = _NEEDS[str(data["model"])]
        for key in ("ns", "spread_ns", "most_ns", "shape"):
            if key not in needs:
                if key in data:
                    return f"{key}: the model {data['model']} knows {', '.join(needs)} only"
                continue
            wrong = _shape_problem(data) if key == "shape" else whole_problem(data, key, 1, MOST_DELAY_NS)
            if wrong is not None:
                return wrong
        return None

    def act(self, packet: Packet, header: Header, slot: Slot, now_ns: int) -> Sequence[Packet]:
        """See ``Tampering``."""
        late_ns = self.drawn_ns(slot)
        self.said = f"{late_ns / 1e6:.3f} ms late"
        return (packet._replace(delay_ns=late_ns),)

    def drawn_ns(self, slot: Slot) -> int:
        """Of that slot."""
        if self._model == "constant":
            return self._ns
        if self._model == "normal":
            drawn = self._ns + self._spread_ns * _deviates(self.chance, slot) // 2**16
        else:
            share = Decimal(self.chance.word("tail", slot.text()) + 1) / WORDS
            drawn = int(min(_CONTEXT.power(share, self._power) * self._ns, Decimal(MOST_DELAY_NS)))
        return min(max(drawn, 0), self._most_ns)


def longest_ns(data: RuleData) -> int:
    """What such a rule delays at most."""
    return whole(data, "most_ns", whole(data, "ns"))


def _deviates(chance: Chance, slot: Slot) -> int:
    """How many standard deviations from the mean, times 2**16."""
    total = 0
    for number in range(_SUMMANDS // 4):
        word = chance.word(f"normal {number}", slot.text())
        total += sum(word >> shift & 0xFFFF for shift in (0, 16, 32, 48))
    return total - _SUMMANDS * 2**16 // 2


def _shape_problem(data: RuleData) -> str | None:
    shape = data.get("shape")
    if isinstance(shape, int | float) and not isinstance(shape, bool) and 0.25 <= shape <= 16:
        return None
    return f"shape = {shape!r:.80}: give a number from 0.25 to 16"
