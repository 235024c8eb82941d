"""What the checks of an audit found, and the whole of it as text or JSON.

Exit codes: 0 everything that is there verified, 1 something does not verify, 3 something that ought to be
verifiable could not be checked. What is taken on trust changes no exit code: no folder can prove it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

SCHEMA = "traitor/audit/1"
Result = Literal["verified", "wrong", "unchecked", "on trust"]
_WORDS: dict[Result, str] = {
    "verified": "verified",
    "wrong": "WRONG",
    "unchecked": "not checked",
    "on trust": "on trust",
}
_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One check. `counts`: what of it was verified, and how many, for the list at the end. `details`: lines
    that belong to it."""

    what: str
    result: Result
    told: str
    counts: tuple[str, ...] = ()
    details: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """As `--json` has it."""
        return {
            "what": self.what,
            "result": self.result,
            "told": self.told,
            "counts": list(self.counts),
            "details": list(self.details),
        }


@dataclass(frozen=True, slots=True)
class OnTrust:
    """Something that no check here can show, and why."""

    what: str
    why: str

    def to_json(self) -> dict[str, object]:
        """As `--json` has it."""
        return {"what": self.what, "why": self.why}


@dataclass(frozen=True, slots=True)
class Audit:
    """All checks of one run."""

    run: str
    findings: Sequence[Finding]
    on_trust: Sequence[OnTrust]

    @property
    def exit_code(self) -> int:
        """See the module."""
        results = {finding.result for finding in self.findings}
        return 1 if "wrong" in results else 3 if "unchecked" in results else 0

    def to_json(self) -> dict[str, object]:
        """Schema `traitor/audit/1`."""
        return {
            "schema": SCHEMA,
            "run": self.run,
            "exit_code": self.exit_code,
            "checks": [finding.to_json() for finding in self.findings],
            "on_trust": [trust.to_json() for trust in self.on_trust],
        }

    def lines(self) -> Iterator[str]:
        """As a terminal shows it, control characters of hostile names made harmless."""
        for line in self._lines():
            yield "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)

    def _lines(self) -> Iterator[str]:
        for finding in self.findings:
            yield f"{finding.what:<14} {_WORDS[finding.result]:<12} {finding.told}"
            for detail in finding.details[:_MOST_SHOWN]:
                yield f"{'':<27} {detail}"
            if len(finding.details) > _MOST_SHOWN:
                yield f"{'':<27} and {len(finding.details) - _MOST_SHOWN} more (--json has them)"
        yield ""
        yield "verified"
        counts = [count for f in self.findings if f.result == "verified" for count in f.counts]
        for count in counts or ["nothing"]:
            yield f"  {count}"
        yield "taken on trust"
        for trust in self.on_trust:
            yield f"  {trust.what}: {trust.why}"
        yield ""
        words = {
            0: "everything verified",
            1: "SOMETHING DOES NOT VERIFY",
            3: "something could not be checked",
        }
        yield f"{'audit':<14} {words[self.exit_code]}, exit code {self.exit_code}"


def listed(names: Sequence[str]) -> str:
    """Some of them, and how many more there are."""
    shown = ", ".join(f"{name!a:.80}" for name in names[:_MOST_SHOWN])
    return shown + (f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else "")
