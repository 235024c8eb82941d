"""Coverage: was anything tested? Few operations, no contention or a fault that never happened: `unknown`.

A bare history has no plan to compare with; there it is enough that an operation completed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checker.history import READS, History, Operation, by_key
from checker.limits import Limits
from checker.numbers import counted
from checker.verdict import Line, unknown, valid

if TYPE_CHECKING:
    from checker.folder import RunFolder
    from checker.formats.reading import Reading

NAME = "coverage"
MOST_TOLD = 12


def judge(folder: RunFolder, limits: Limits) -> Line:
    """All that is missing, in one line."""
    missing: list[str] = []
    operations = _of_the_load(folder.history)
    done = [op for op in operations if op.type == "ok"]
    reads = sum(op.f in READS for op in done)
    if len(done) < limits.least_ok:
        missing.append(
            f"{counted(len(done), 'operation')} of the load completed, fewer than {limits.least_ok}"
        )
    if not reads or reads == len(done):
        missing.append("no read completed" if not reads else "no write completed")
    contended = contended_keys(operations)
    if not contended:
        missing.append("no two operations on one key overlapped")
    receipts = {step.fault for step in folder.faults or () if step.step == "took-effect" and step.receipt}
    planned = folder.plan.faults if folder.plan else ()
    absent = [fault for fault in planned if fault not in receipts]
    if absent:
        missing.append(f"no receipt that {', '.join(absent[:5])} took effect{_why(folder, absent)}")
    if folder.plan is None or folder.faults is None:
        missing.append("the plan or the faults cannot be read")
    if folder.run is not None and folder.run.interrupted is not None:
        missing.append(f"the run was interrupted ({folder.run.interrupted})")
    details: dict[str, object] = {
        "ok": len(done),
        "reads": reads,
        "contended_keys": contended,
        "faults": len(receipts),
    }
    from checker.judges import lies  # only runs have any

    if became := lies.what_became(folder):
        details |= {"packets": became, "became": list(lies.sentences(became))[:MOST_TOLD]}
    if missing:
        return unknown(NAME, "; ".join(missing), **details)
    faults = f"{counted(len(receipts), 'fault')} with {'a receipt' if len(receipts) == 1 else 'receipts'}"
    reason = (
        f"{counted(len(done), 'operation')} of the load completed, contention on "
        f"{counted(contended, 'key')}, {faults}"
    )
    if idle := lies.untold(folder):
        reason += f"; {'; '.join(idle[:3])}" + (f"; and {len(idle) - 3} more" if len(idle) > 3 else "")
    return valid(NAME, reason, **details)


def _of_the_load(history: History | None) -> tuple[Operation, ...]:
    """The final reads come when all is over: they test nothing under faults."""
    return tuple(op for op in history.operations if op.phase != "final") if history else ()


def judge_bare(reading: Reading) -> Line:
    """Of a history without a run folder."""
    done = sum(op.type == "ok" for op in reading.history.operations)
    sentence, details = reading.sentence(), {"ok": done, "read": reading.to_json()}
    if not done:
        return unknown(NAME, f"{sentence}: nothing to judge", **details)
    return valid(NAME, sentence, **details)


def contended_keys(operations: tuple[Operation, ...]) -> int:
    """Keys on which two operations were open at once."""
    return sum(_overlap(group) for group in by_key(operations).values())


def _overlap(group: tuple[Operation, ...]) -> bool:
    until = -1
    for op in sorted(group, key=lambda op: op.call_ns):
        if op.call_ns <= until:
            return True
        end = op.return_ns if op.return_ns is not None else op.gave_up_ns
        until = max(until, op.call_ns if end is None else end)
    return False


def _why(folder: RunFolder, absent: list[str]) -> str:
    refused = [s for s in folder.faults or () if s.fault in absent and s.step == "no-effect"]
    reasons = [step.reason for step in refused if step.reason]
    return f" ({reasons[0]:.120})" if reasons else ""
