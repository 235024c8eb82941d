"""Runs one replica that is told everything: what arrives, and what time it is (``lockstep_wire``).

A real process with its real log and trace, but no clock, network or chance of its own: its driver reads one
inherited socket, so that the same words of the harness give the same bytes, in the files too. Until
END_TURN nothing of a turn has left the process, and a kill in it loses that turn, nothing else. What stops
the replica (a bug, a log that cannot be trusted, a halt) does so at END_TURN, so that a kill before that
is a kill. No metrics can be asked for: they tell of a clock.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from .assembly import Teller, assemble, ending, say
from .clock import Setting
from .core.events import Received, Started
from .errors import ConfigError
from .lockstep_wire import (
    BEGIN,
    BEGINNING,
    CLOCK,
    DISK,
    END_TURN,
    FIRE_DUE,
    HEADER,
    NO_TIMER,
    NOT_RECOVERED,
    READ_BYTES,
    RECEIVED,
    RECOVERED,
    SEND,
    SETTING,
    SETTLE,
    SETTLED,
    SILENT,
    TURN_ENDED,
    WireError,
    frame,
    frames,
)
from .turns import Turns
from .wal import Log

_SIZES = {BEGIN: BEGINNING.size, CLOCK: SETTING.size, DISK: 1}


def main(path: Path, descriptor: int, *, silent: bool = False) -> int:
    """Live as told through the inherited socket ``descriptor`` until it is closed. The exit code."""

    def life() -> None:
        try:
            connection = socket.socket(fileno=descriptor)
        except OSError as error:
            raise ConfigError(
                f"--lockstep {descriptor}: {error.strerror}: give the number of an inherited stream socket"
            ) from None
        with connection:
            LockstepDriver(path, connection, silent).run()

    return ending(life)


class LockstepDriver:
    """One life, word by word."""

    def __init__(self, path: Path, connection: socket.socket, silent: bool) -> None:
        self._path = path
        self._connection = connection
        self._silent = silent
        self._turns: Turns | None = None
        self._log: Log | None = None
        self._teller = Teller()
        self._now_ns = -1
        self._begun = False
        self._recovered = False
        self._failure: Exception | None = None

    def run(self) -> None:
        """Until the harness closes the connection. Raises NodeError, and whatever the core raises."""
        say(f"process {os.getpid()}, in lockstep")
        for kind, number, body in frames(self._read):
            if kind == SETTLE:
                self._write(frame(SETTLED, 0))
                continue
            self._check(kind, number, body)
            self._now_ns = number
            if kind == END_TURN:
                self._end_turn()
            elif self._failure is None:
                try:
                    self._event(kind, body)
                except Exception as failure:  # it ends the replica when the turn ends
                    self._failure = failure
        say("stopped: the harness closed the connection")

    def _check(self, kind: int, now_ns: int, body: bytes) -> None:
        if kind not in (BEGIN, RECEIVED, FIRE_DUE, END_TURN, CLOCK, DISK):
            raise WireError(f"a frame of unknown kind {kind}: harness and replica must be of one version")
        if (kind == BEGIN) is self._begun and kind != DISK:
            raise WireError(
                f"a frame of kind {kind} {'after' if self._begun else 'before'} BEGIN: a life begins once"
            )
        if now_ns < self._now_ns:
            raise WireError(f"the time went back from {self._now_ns} ns to {now_ns} ns")
        wanted = len(body) if kind == RECEIVED else _SIZES.get(kind, 0)
        if len(body) != wanted:
            raise WireError(f"a frame of kind {kind} has {len(body)} bytes, and {wanted} belong there")
        self._begun = self._begun or kind != DISK

    def _event(self, kind: int, body: bytes) -> None:
        if kind == BEGIN:
            self._begin(*BEGINNING.unpack(body))
            return
        if kind == DISK and body[0] == SILENT:
            self._silent = True
            return
        assert self._turns is not None, "the first turn failed or began"
        if kind == RECEIVED:
            self._turns.step(Received(body), self._now_ns)
        elif kind == DISK:
            assert self._log is not None, "it was opened when this life began"
            self._log.refuses = body[0]
        elif kind == CLOCK:
            self._turns.move_clock(Setting(*SETTING.unpack(body)), self._now_ns)
        else:
            self._turns.fire_due(self._now_ns)

    def _begin(self, wall_offset_ns: int, nonce: bytes) -> None:
        parts = assemble(self._path, self._silent)
        config = parts.config
        say(f"replica {config.replica} of {config.cluster.n}, {len(parts.opened.records)} records in its log")
        self._log = parts.opened.log
        self._turns = Turns(parts.replica, parts.opened.log, parts.trace, parts.journal)
        self._turns.tell = self._tell
        self._turns.step(Started(parts.opened.records, wall_offset_ns, nonce), self._now_ns)

    def _end_turn(self) -> None:
        if self._failure is not None:
            raise self._failure
        assert self._turns is not None, "it began"
        parts: list[bytes] = []
        for send in self._turns.finish(self._now_ns):
            parts += (HEADER.pack(len(send.data), SEND, send.to), send.data)
        due_ns = self._turns.next_due_ns()
        recovered = RECOVERED if self._recovered else NOT_RECOVERED
        parts.append(frame(TURN_ENDED, NO_TIMER if due_ns is None else due_ns, recovered))
        self._write(b"".join(parts))

    def _tell(self, kind: str, fields: Mapping[str, object]) -> None:
        self._recovered = self._recovered or kind == "recovered"
        self._teller.tell(kind, fields)

    def _read(self) -> bytes:
        try:
            return self._connection.recv(READ_BYTES)
        except OSError as error:
            raise _gone(error) from None

    def _write(self, data: bytes) -> None:
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise _gone(error) from None


def _gone(error: OSError) -> WireError:
    return WireError(f"the connection to the harness broke: {error.strerror}")
