"""``run.json`` and ``ledger.json``: what the harness saw of itself, and who was bad when.

``run.json`` is rewritten at every change of phase, so that a run that dies leaves the phases it went through.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import HarnessError, disk_hint
from harness.probe_health import Health
from harness.world import Exit
from nemesis.ledger import Window

RUN_SCHEMA = "traitor/run/1"
LEDGER_SCHEMA = "traitor/ledger/1"


@dataclass(slots=True)
class PhaseRecord:
    """One phase. ``ok`` is None while it lasts."""

    name: str
    start_ns: int
    end_ns: int | None = None
    ok: bool | None = None
    detail: str = ""


@dataclass(slots=True)
class RunRecord:
    """Everything ``run.json`` tells."""

    started_utc: str
    phases: list[PhaseRecord] = field(default_factory=list)
    health: Health | None = None
    """After the faults were undone; or at the start, when it was not reached then."""
    exits: tuple[Exit, ...] = ()
    lag: tuple[int, int] = (0, 0)
    processor: tuple[int, int] = (0, 0)
    """ns that all replicas ran, and that they waited for a processor."""
    interrupted: str | None = None
    harness_errors: list[str] = field(default_factory=list)
    schedule: Mapping[str, object] | None = None
    """How far a recorded order was followed; None: there was none to follow."""
    interception: Mapping[str, object] | None = None
    """What the interceptor of a live run counted; None: there was none, or it did not come to its end."""

    def data(self) -> dict[str, object]:
        """As in ARCHITECTURE.md."""
        data: dict[str, object] = {
            "schema": RUN_SCHEMA,
            "started_utc": self.started_utc,
            "phases": [
                {
                    "name": phase.name,
                    "start_ns": phase.start_ns,
                    "end_ns": phase.start_ns if phase.end_ns is None else phase.end_ns,
                    "ok": phase.ok is True,
                    "detail": "it did not end" if phase.ok is None else phase.detail,
                }
                for phase in self.phases
            ],
            "health": None if self.health is None else _health(self.health),
            "exits": [_exit(one) for one in self.exits],
            "lag": {"max_ns": self.lag[0], "over_50ms": self.lag[1]},
            "processor": {"ran_ns": self.processor[0], "waited_ns": self.processor[1]},
            "interrupted": self.interrupted,
            "harness_errors": self.harness_errors,
        }
        beside = {"schedule": self.schedule, "interception": self.interception}
        return data | {name: value for name, value in beside.items() if value is not None}

    def write(self, folder: Path) -> None:
        """Atomically."""
        write_json(folder / "run.json", self.data())


def ledger_data(
    n: int,
    f: int,
    byzantine: frozenset[int],
    windows: tuple[Window, ...],
    byzantine_clients: tuple[int, int] | None = None,
) -> dict[str, object]:
    """``ledger.json``. ``byzantine``: who lied at any time; ``byzantine_clients``: first and last id of the
    clients that may have."""
    liars = {} if byzantine_clients is None else {"byzantine_clients": list(byzantine_clients)}
    return {
        "schema": LEDGER_SCHEMA,
        "n": n,
        "f": f,
        "byzantine": sorted(byzantine),
        **liars,
        "safety_demanded": len(byzantine) <= f,
        "windows": [
            {
                "from_ns": window.from_ns,
                "to_ns": window.to_ns,
                "bad": sorted(window.bad),
                "reasons": {str(replica): why for replica, why in window.bad.items()},
                "within_liveness_budget": window.within_liveness_budget,
                **({"asynchronous": window.asynchronous} if window.asynchronous else {}),
            }
            for window in windows
        ],
    }


def write_json(path: Path, data: Mapping[str, object]) -> None:
    """One object, replacing the file atomically. Raises HarnessError."""
    write_text(path, json.dumps(data, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace the file atomically. Raises HarnessError."""
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise HarnessError(f"cannot write {path}: {error.strerror}", disk_hint(error)) from None


def _health(health: Health) -> dict[str, object]:
    return {
        "deadline_ns": health.deadline_ns,
        "reached": health.reached,
        "replies": {str(replica): replied for replica, replied in health.replies.items()},
    }


def _exit(one: Exit) -> dict[str, object]:
    return {
        "replica": one.replica,
        "time_ns": one.time_ns,
        "code": one.code,
        "signal": one.signal,
        "expected": one.expected,
        "last_lines": list(one.last_lines),
    }
