"""The part of a ``FaultKind`` that is the same for everything done to packets: rules in, evidence out.

A subclass says what its rules are, whom it charges, and what its parameters may be. The receipt needs an
activation: rules that no packet met did nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from nemesis.faults.fault import Params, Receipt, Victims
from nemesis.faults.memory import Memory
from nemesis.machinery import Machinery
from nemesis.packets.registry import problem_of_rule
from nemesis.packets.tamperer import RuleData

CAPABILITY = "packets"
NOTHING_MET = "its rules were in force, but no packet met them"
MATCH_WORDS = (
    "which packets: an object of from, to (lists of r0 …, clients), types (PREPARE …), view, seq, copy "
    "([from, to]), p (a share), by_primary (true or false), every ([divisor, rest] of the number); what is "
    "left out is everything"
)
Report = Mapping[str, object]


@dataclass(slots=True)
class _Tampering:
    """Whom it makes bad; whether it was stopped, and is proved over."""

    bad: frozenset[int]
    stopped: bool = False
    undone: bool = False


class TampersWithPackets:
    """See the module. ``rules``, ``victims`` and ``check`` are the subclass's own."""

    worlds: tuple[str, ...] = ("live", "lockstep", "sim")
    family: str = "lie"
    parameters: Mapping[str, str] = MappingProxyType({"match": MATCH_WORDS})
    receipt: str = (
        "the packets its rules matched, altered, made up, delayed, dropped, by type, action, phase and role"
    )

    def __init__(self) -> None:
        self._memory: Memory[_Tampering] = Memory()

    def rules(self, params: Params, n: int, f: int) -> Sequence[RuleData]:
        """Of parameters that pass ``check``."""
        raise NotImplementedError

    def victims(self, params: Params, n: int, f: int) -> Victims:
        """See ``FaultKind``."""
        raise NotImplementedError

    def check_rules(self, params: Params, n: int) -> str | None:
        """For ``check``, when the rest of the parameters is right: the first rule that is none."""
        problems = (problem_of_rule(rule, n) for rule in self.rules(params, n, (n - 1) // 3))
        return next((problem for problem in problems if problem is not None), None)

    def proof(self, report: Report) -> bool:
        """Does the report show that it took effect? Something was matched, as a rule."""
        return _number(report, "matched") > 0

    def unproved(self, report: Report) -> str:
        """Why a report of rules that are in force shows no effect, in a sentence."""
        met = _number(report, "matched")
        return (
            f"its rules met {met} packets, but what is to prove it did not come about" if met else NOTHING_MET
        )

    def available(self, machinery: Machinery) -> str | None:
        """See ``FaultKind``."""
        return None if CAPABILITY in machinery.capabilities else "this world cannot intercept packets"

    def start(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """See ``FaultKind``."""
        bad = self.victims(params, machinery.n, machinery.f).replicas
        self._memory.keep(machinery, fault_id, _Tampering(bad))
        machinery.tamper(fault_id, self.rules(params, machinery.n, machinery.f))

    def observe(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """See ``FaultKind``."""
        if self._memory.of(machinery, fault_id) is None:
            return None
        report = machinery.tampered(fault_id)
        return Receipt(dict(report)) if self.proof(report) else None

    def trouble(self, machinery: Machinery, fault_id: str, params: Params) -> str:
        """See ``FaultKind``."""
        tampering = self._memory.of(machinery, fault_id)
        if tampering is None:
            return "it was not started"
        report = machinery.tampered(fault_id)
        if tampering.stopped:
            if report.get("in_force"):
                return "its rules are still in force"
            return f"{_number(report, 'held')} packets of its are still held"
        if not report.get("in_force"):
            return "its rules did not come into force"
        return self.unproved(report)

    def stop(self, machinery: Machinery, fault_id: str, params: Params) -> None:
        """See ``FaultKind``."""
        tampering = self._memory.of(machinery, fault_id)
        if tampering is not None and not tampering.stopped:
            tampering.stopped = True
            machinery.tamper(fault_id, ())

    def stopped(self, machinery: Machinery, fault_id: str, params: Params) -> Receipt | None:
        """See ``FaultKind``: no rule, and nothing held back any more."""
        tampering = self._memory.of(machinery, fault_id)
        if tampering is None:
            return Receipt({"rules": [], "note": "it was not started"})
        report = machinery.tampered(fault_id)
        if not tampering.stopped or report.get("in_force") or _number(report, "held"):
            return None
        tampering.undone = True
        return Receipt(dict(report))

    def bad_now(self, machinery: Machinery, fault_id: str, params: Params) -> frozenset[int]:
        """See ``FaultKind``."""
        tampering = self._memory.of(machinery, fault_id)
        return frozenset() if tampering is None or tampering.undone else tampering.bad

    def over(self, machinery: Machinery, fault_id: str) -> bool:
        """Is it proved undone, or was it never begun?"""
        tampering = self._memory.of(machinery, fault_id)
        return tampering is None or tampering.undone


def _number(report: Report, key: str) -> int:
    value = report.get(key, 0)
    return value if isinstance(value, int) else 0
