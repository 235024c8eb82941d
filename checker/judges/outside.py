"""What is judged outside the fault model is still judged; the reason then begins by saying so.

With more than f liars PBFT promises nothing: no safety, and since correct replicas that were led apart may
never come together again, no liveness either.
"""

from __future__ import annotations

from dataclasses import replace

from checker.folder import RunFolder
from checker.verdict import Line


def mark_outside(line: Line, folder: RunFolder) -> Line:
    """The line, marked if more replicas were Byzantine than the protocol promises to survive."""
    ledger = folder.ledger
    if line.verdict != "invalid" or ledger is None or ledger.safety_demanded:
        return line
    count = len(ledger.byzantine)
    return replace(line, reason=f"outside the fault model ({count} Byzantine, f = {ledger.f}): {line.reason}")
