"""Writes `history.jsonl`, schema `traitor/history/1`, an event at a time.

The writer remembers what each process has open, so that a line it writes is one the strict reader takes;
misuse by the caller is an assertion. Each call hands one whole line to `write`, which decides about flushing:
the invoke line must be on its way to disk before the request leaves.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence

from checker.formats.traitor import SCHEMA


class HistoryWriter:
    """`write` gets each line as bytes with its newline; the header is written at once."""

    def __init__(self, write: Callable[[bytes], object], model: str, initial: Hashable = None) -> None:
        self._write = write
        self._next = 0
        self._time_ns = 0
        self._open: dict[int, dict[str, object]] = {}
        self._retired: set[int] = set()
        self._line({"schema": SCHEMA, "model": model, "initial": initial})

    def invoke(
        self,
        time_ns: int,
        process: int,
        f: str,
        key: str,
        input: object,
        *,
        client: int | None = None,
        timestamp: int | None = None,
        phase: str = "load",
    ) -> int:
        """An operation begins; returns its index. To be called before the request leaves."""
        assert process not in self._open, f"process {process} has an open operation"
        assert process not in self._retired, f"process {process} was retired by an info"
        what = {"f": f, "key": key, "input": input}
        more: dict[str, object] = {"phase": phase}
        if client is not None:
            more["client"] = client
        if timestamp is not None:
            more["timestamp"] = timestamp
        index = self._event(time_ns, process, "invoke", {**what, **more})
        self._open[process] = what
        return index

    def ok(
        self,
        time_ns: int,
        process: int,
        output: object,
        *,
        view: int | None = None,
        replicas: Sequence[int] = (),
        path: str | None = None,
        timestamp: int | None = None,
    ) -> None:
        """The process' open operation completed with `output`. `path`: `ordered`, or `fast` for a read that
        was not; `timestamp`: of the request that was answered, the operation's last."""
        more: dict[str, object] = {"output": output}
        if path is not None:
            more["path"] = path
        if timestamp is not None:
            more["timestamp"] = timestamp
        if view is not None:
            more["view"] = view
        self._event(time_ns, process, "ok", {**self._open.pop(process), **more, "replicas": list(replicas)})

    def fail(self, time_ns: int, process: int, error: str) -> None:
        """The process' open operation certainly did not happen; `error` is a word."""
        self._event(time_ns, process, "fail", {**self._open.pop(process), "error": error})

    def info(self, time_ns: int, process: int, error: str) -> None:
        """Nobody knows whether the open operation happens. Retires the process."""
        self._event(time_ns, process, "info", {**self._open.pop(process), "error": error})
        self._retired.add(process)

    def nemesis(self, time_ns: int, f: str, fault: str, kind: str) -> None:
        """A fault started or stopped."""
        self._event(time_ns, "nemesis", "info", {"f": f, "fault": fault, "kind": kind})

    def _event(self, time_ns: int, process: int | str, type_: str, more: dict[str, object]) -> int:
        assert time_ns >= self._time_ns, f"time runs backwards: {time_ns} after {self._time_ns}"
        index = self._next
        self._line({"index": index, "time_ns": time_ns, "process": process, "type": type_, **more})
        self._next, self._time_ns = index + 1, time_ns
        return index

    def _line(self, fields: dict[str, object]) -> None:
        self._write(json.dumps(fields, separators=(", ", ": ")).encode() + b"\n")
