"""The clocks of a world's replicas that the nemesis moved, and what the replicas say of it.

A replica that notices writes a line ``clock`` into its trace: what its own clock shows at ``t_ns``, which is
true time. That line is the receipt, so it is looked for in what was written since the clock was moved.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from pbft_node.clock import RIGHT, Setting

_WORD = b'"e":"clock"'
_READ_BYTES = 16 << 20
"""Looked through for one answer; what a replica writes in one of our polls is far less."""


class MovedClocks:
    """``traces``: of each replica. ``put`` carries a setting to the replica."""

    def __init__(self, traces: list[Path], put: Callable[[int, Setting], None]) -> None:
        self._traces = traces
        self._put = put
        self._settings: dict[int, Setting] = {}
        self._read_to: dict[int, int] = {}
        self._told: dict[int, Mapping[str, object]] = {}

    def move(self, replica: int, now_ns: int, wall_ns: int, jump_ns: int, rate: int) -> None:
        """From now on; see ``Setting``."""
        serial = self._settings.get(replica, RIGHT).serial + 1
        setting = Setting(serial, now_ns, jump_ns, wall_ns, rate)
        self._settings[replica] = setting
        self._told.pop(replica, None)
        self._read_to[replica] = _size(self._traces[replica])
        self._put(replica, setting)

    def told(self, replica: int) -> Mapping[str, object] | None:
        """What it said last since its clock was moved; None: nothing yet."""
        if replica not in self._told and replica in self._settings:
            for line in self._new_lines(replica):
                event = _event(line)
                if event is not None:
                    self._told[replica] = event
        return self._told.get(replica)

    def _new_lines(self, replica: int) -> list[bytes]:
        """Whole ones of the kind."""
        start = self._read_to[replica]
        try:
            with self._traces[replica].open("rb") as file:
                file.seek(start)
                text = file.read(_READ_BYTES)
        except OSError:
            return []
        whole = text.rfind(b"\n") + 1
        self._read_to[replica] = start + whole
        return [line for line in text[:whole].split(b"\n") if _WORD in line]


def _event(line: bytes) -> Mapping[str, object] | None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or event.get("e") != "clock":
        return None
    return {name: event.get(name) for name in ("t_ns", "own_ns", "rate", "wall_ns")}


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
