"""What became of what rules did to packets: planned, matched, told, and rejected by whom and why.

A receipt counts what was put on the wire; whether anybody fell for it only the receivers know. Their traces
say what they rejected (`rejected`: of whom, which type, why). Here the two are put side by side, fault by
fault: rejections by correct replicas while the fault was in force and shortly after, of the message types it
touched. Two faults at once share their rejections. What is not rejected was taken, ignored as old or early,
or lost: an attack within the fault model may be taken by everybody and do no harm.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from checker.folder import RunFolder
from checker.limits import SECOND_NS
from checker.numbers import counted
from checker.run_facts import FaultStep
from checker.trace import Rejection

MOST_FAULTS = 100
MOST_REASONS = 12
_AFTER_NS = SECOND_NS
"""How long after its end a rejection still counts: packets are under way, counts are told once a second."""
LEFT_OUT = "…"
"""In the place of a number: reasons that differ in nothing else are one."""
_NUMBERS = re.compile(r"\b[0-9a-f]{8,}\b|\d+")
_COUNTS = ("matched", "dropped", "emitted", "altered", "delayed")
_IN_PIECES = "FRAGMENT"


def what_became(folder: RunFolder) -> list[dict[str, object]]:
    """An object for each fault with a receipt of what was done to packets, for the details of a line."""
    last: dict[str, FaultStep] = {}
    began: dict[str, int] = {}
    ended: dict[str, int] = {}
    for step in folder.faults or ():
        began.setdefault(step.fault, step.time_ns)
        ended[step.fault] = step.time_ns
        if isinstance(step.evidence.get("cells"), list):
            last[step.fault] = step
    rejections = [
        (trace.replica, record)
        for trace in folder.correct_traces()
        for record in trace.records()
        if isinstance(record, Rejection)
    ]
    byzantine = folder.liars() or frozenset()
    return [
        _of_fault(step, (began[fault], ended[fault] + _AFTER_NS), rejections, byzantine)
        for fault, step in list(last.items())[:MOST_FAULTS]
    ]


def _of_fault(
    step: FaultStep,
    stretch: tuple[int, int],
    rejections: Sequence[tuple[int, Rejection]],
    byzantine: frozenset[int],
) -> dict[str, object]:
    counts = {name: _number(step.evidence.get(name)) for name in _COUNTS}
    cells = _cells(step.evidence.get("cells"))
    types = {cell[0] for cell in cells}
    found: Counter[tuple[int, int, str, str]] = Counter()
    for replica, one in rejections:
        message = one.message.replace("-", "_")
        if one.sender is None or not stretch[0] <= one.t_ns <= stretch[1]:
            continue
        if message in types or _IN_PIECES in types:
            found[replica, one.sender, one.message, _NUMBERS.sub(LEFT_OUT, one.reason)] += one.count
    total = sum(found.values())
    return {
        "fault": step.fault,
        "kind": step.kind,
        **counts,
        "told_to_correct": _told_to_correct(step.evidence.get("targets"), byzantine),
        "cells": [list(cell) for cell in cells],
        "rejected": total,
        "rejected_by": [
            {"replica": replica, "sender": sender, "message": message, "reason": reason, "times": times}
            for (replica, sender, message, reason), times in sorted(
                found.most_common(MOST_REASONS), key=lambda item: (-item[1], item[0])
            )
        ],
    }


def _cells(value: object) -> list[tuple[str, str, str, str, int]]:
    """Message type, action, phase, role, how often."""
    found = []
    for cell in value if isinstance(value, list) else []:
        match cell:
            case [str(type_), str(action), str(phase), str(role), int(count)]:
                found.append((type_, action, phase, role, count))
    return found[:200]


def _told_to_correct(targets: object, byzantine: frozenset[int]) -> int:
    """Altered or made up packets, to correct replicas and to clients."""
    liars = {f"r{replica}" for replica in byzantine}
    given = targets if isinstance(targets, Mapping) else {}
    return sum(_number(count) for target, count in given.items() if target not in liars)


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def untold(folder: RunFolder) -> list[str]:
    """Lies of scripts that came to their end and never had anything to lie about, in sentences."""
    last: dict[str, FaultStep] = {}
    for step in folder.faults or ():
        if isinstance(step.evidence.get("rules"), list):
            last[step.fault] = step
    found = []
    for fault, step in last.items():
        rules = step.evidence["rules"]
        for rule in rules if isinstance(rules, list) else []:
            lies = rule.get("untold") if isinstance(rule, Mapping) else None
            some = [lie for lie in lies if isinstance(lie, str)] if isinstance(lies, list) else []
            found += [f"{fault}'s lie {lie:.120} was never told" for lie in some]
    return found


def sentences(became: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """For people, of those faults that said something false or changed what was said."""
    for one in became:
        if not one["altered"]:
            continue
        packets = counted(int(str(one["matched"])), "packet")
        told = (
            f"{one['fault']}: {packets} matched, {one['altered']} altered or made up, "
            f"{one['told_to_correct']} of them for correct replicas and clients; {one['rejected']} rejected"
        )
        by = one["rejected_by"]
        if isinstance(by, list) and by:
            first = by[0]
            told += (
                f", most often by replica {first['replica']} {first['message']} of replica {first['sender']}"
                f": {first['reason']}"
            ) + (" (… is a number)" if LEFT_OUT in str(first["reason"]) else "")
        yield told
