"""What happens during a run, on its way to the disk: ``history.jsonl`` and ``faults.jsonl``.

Every line is handed to the kernel with one ``write`` before anything else happens, so that a run that dies
in any way (SIGKILL included) keeps its history. Times are the world's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from checker.formats.writer import HistoryWriter
from harness.errors import HarnessError, disk_hint
from harness.world import World
from pbft_node.core.effects import Completed
from workloads.operation import Operation, Outcome

FAULTS_SCHEMA = "traitor/faults/1"
FAULTS_MINOR = 1
"""From 1 on every fault tells its own charge."""


class LineFile:
    """A file of whole lines, appended without a buffer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except OSError as error:
            raise self._failed(error) from None

    def write(self, line: bytes) -> None:
        """All of it, or HarnessError (disk full, say)."""
        try:
            written = os.write(self._descriptor, line)
            while written < len(line):
                written += os.write(self._descriptor, line[written:])
        except OSError as error:
            raise self._failed(error) from None

    def close(self) -> None:
        """Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _failed(self, error: OSError) -> HarnessError:
        return HarnessError(f"cannot write {self._path}: {error.strerror}", disk_hint(error))


class Recorder:
    """The record of one run, and its running counts."""

    def __init__(self, folder: Path, model: str, world: World) -> None:
        self._world = world
        self._history_file = LineFile(folder / "history.jsonl")
        self._faults_file = LineFile(folder / "faults.jsonl")
        self._history = HistoryWriter(self._history_file.write, model, () if model == "append" else None)
        self._faults_file.write(_line({"schema": FAULTS_SCHEMA, "minor": FAULTS_MINOR}))
        self.counts = {"ok": 0, "fail": 0, "info": 0}
        self.open = 0

    def invoked(
        self, process: int, operation: Operation, client: int, timestamp: int, phase: str, time_ns: int
    ) -> None:
        """Before the request leaves. ``time_ns``: when it was made."""
        self._history.invoke(
            time_ns,
            process,
            operation.f,
            operation.key,
            operation.input,
            client=client,
            timestamp=timestamp,
            phase=phase,
        )
        self.open += 1

    def ended(self, process: int, outcome: Outcome, view: int, completed: Completed | None) -> None:
        """The process' open operation ended, as far as its client will ever know."""
        now_ns = self._world.now_ns()
        if outcome.type == "ok":
            assert completed is not None, "nobody answered, and it is ok?"
            self._history.ok(
                now_ns,
                process,
                outcome.output,
                view=view,
                replicas=completed.replicas,
                path=completed.path,
                timestamp=completed.timestamp,
            )
        elif outcome.type == "fail":
            self._history.fail(now_ns, process, outcome.error or "refused")
        else:
            self._history.info(now_ns, process, outcome.error or "unknown")
        self.counts[outcome.type] += 1
        self.open -= 1

    def fault_turned(self, f: str, fault: str, kind: str) -> None:
        """A fault's ``start`` or ``stop``, into the history."""
        self._history.nemesis(self._world.now_ns(), f, fault, kind)

    def fault_step(self, fault: str, kind: str, step: str, more: Mapping[str, object]) -> int:
        """A line of ``faults.jsonl``; returns its time."""
        now_ns = self._world.now_ns()
        self._faults_file.write(
            _line({"time_ns": now_ns, "fault": fault, "kind": kind, "step": step, **more})
        )
        return now_ns

    def close(self) -> None:
        """Idempotent."""
        self._history_file.close()
        self._faults_file.close()


def _line(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields).encode() + b"\n"
