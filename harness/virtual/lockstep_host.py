"""A replica as a real process that is told everything (``pbft_node.lockstep``), from its socket's other end.

What a turn is told waits here until the turn ends, so that a turn costs one write and one read. Before a
signal the process is asked to handle what it was told: a SIGKILL then meets it between two deliveries, in
the same place in every run.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import time
from pathlib import Path

from harness.errors import HarnessError, disk_hint
from harness.processes import last_lines, state_letter
from harness.virtual.host import Ended, TurnEnd, machine_failed
from harness.virtual.nursery import Room, set_patience
from pbft_node.clock import Setting
from pbft_node.errors import MachineError
from pbft_node.lockstep_wire import (
    BEGIN,
    BEGINNING,
    CLOCK,
    DISK,
    END_TURN,
    FIRE_DUE,
    HEADER,
    NO_TIMER,
    READ_BYTES,
    RECEIVED,
    RECOVERED,
    SEND,
    SETTING,
    SETTLE,
    SETTLED,
    SILENT,
    TURN_ENDED,
    CutOffError,
    Frame,
    WireError,
    frames,
)

ANSWER_SECONDS = 60
"""For a turn, in real time."""
STATE_SECONDS = 10
"""To die, stop or go on after the signal."""
FLUSH_BYTES = 1 << 18
MAX_SENDS_BYTES = 1 << 30
"""Of one turn: more is a storm."""


class LockstepHost:
    """See ``Host``. ``forgetful``: after its first life it has no vote before it recovered. Whoever gives the
    room closes it."""

    def __init__(self, replica: int, config: Path, room: Room, *, forgetful: bool = False) -> None:
        self._replica = replica
        self._config = config
        self._room = room
        self._forgetful = forgetful
        self._process: _Process | None = None
        self._lives = 0
        self._recovered = False
        self.silent = self._must_recover = self._refuses = False

    def begin_life(self, now_ns: int, wall_offset_ns: int, nonce: bytes) -> None:
        """See ``Host``."""
        assert self._process is None, "it runs already"
        self._lives += 1
        self._recovered = self._refuses = False
        self._must_recover = self.silent or (self._forgetful and self._lives > 1)
        self._process = _Process(self._replica, self._config, self._room)
        if self.silent:
            self._process.tell(DISK, now_ns, bytes([SILENT]))
        self.silent = False
        self._process.tell(BEGIN, now_ns, BEGINNING.pack(wall_offset_ns, nonce))

    def deliver(self, now_ns: int, datagram: bytes) -> None:
        """See ``Host``."""
        if self._process is not None:
            self._process.tell(RECEIVED, now_ns, datagram)

    def fire_due(self, now_ns: int) -> None:
        """See ``Host``."""
        if self._process is not None:
            self._process.tell(FIRE_DUE, now_ns)

    def move_clock(self, now_ns: int, setting: Setting) -> None:
        """See ``Host``."""
        if self._process is not None:
            self._process.tell(CLOCK, now_ns, SETTING.pack(*setting))

    def refuse_writes(self, now_ns: int, error: int) -> None:
        """See ``Host``."""
        if self._process is not None:
            self._refuses = True
            self._process.tell(DISK, now_ns, bytes([error]))

    def write_log(self) -> None:
        """See ``Host``: it is there."""

    def copy_log(self, path: Path) -> None:
        """See ``Host``."""
        try:
            shutil.copyfile(self._config.parent / "wal", path)
        except OSError as error:
            raise HarnessError(f"cannot copy the log to {path}: {error.strerror}", disk_hint(error)) from None

    def adopt_log(self) -> None:
        """See ``Host``: a process always does."""

    def end_turn(self, now_ns: int) -> TurnEnd:
        """See ``Host``."""
        assert self._process is not None, "none runs"
        self._process.tell(END_TURN, now_ns)
        sends: list[tuple[int, bytes]] = []
        bytes_left = MAX_SENDS_BYTES
        while (answer := self._process.answer()) is not None:
            kind, number, body = answer
            if kind == SEND:
                sends.append((number, body))
                bytes_left -= len(body)
                if bytes_left >= 0:
                    continue
                raise self._process.error(f"sends more than {MAX_SENDS_BYTES} bytes in one turn")
            if kind != TURN_ENDED:
                raise self._process.error(f"answered the end of a turn by a frame of kind {kind}")
            self._recovered = body == RECOVERED
            return TurnEnd(sends, None if number == NO_TIMER else number)
        process, self._process = self._process, None
        ended = process.reap()
        if ended.code == MachineError.exit_code and not self._refuses:
            raise machine_failed(self._replica, " ".join(ended.last_lines[-1:]))
        return TurnEnd((), None, ended)

    def kill(self) -> None:
        """See ``Host``."""
        if self._process is not None:
            self._process.settle()
            self._end()

    def pause(self) -> None:
        """See ``Host``."""
        if self._process is not None:
            self._process.settle()
            self._process.signal(signal.SIGSTOP)
            self._process.wait_for_state(stopped=True)

    def resume(self) -> None:
        """See ``Host``."""
        if self._process is not None:
            self._process.signal(signal.SIGCONT)
            self._process.wait_for_state(stopped=False)

    def is_up(self) -> bool:
        """See ``Host``."""
        return self._process is not None and (self._recovered or not self._must_recover)

    def close(self) -> None:
        """See ``Host``. A room that is gone took it along."""
        if self._process is not None:
            with contextlib.suppress(HarnessError):
                self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        assert process is not None, "none runs"
        process.signal(signal.SIGKILL)
        process.reap()


class _Process:
    """One life: a pid that is surely its own, and what is said to it and by it."""

    def __init__(self, replica: int, config: Path, room: Room) -> None:
        self._replica = replica
        self._room = room
        self._said = config.parent / "stderr.log"
        self._words: list[bytes] = []
        self._waiting_bytes = 0
        self._unsettled = False
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        set_patience(self._connection, ANSWER_SECONDS)
        try:
            with theirs, self._said.open("ab") as output:
                self._said_from = output.tell()
                self.pid = room.begin(config.resolve(), theirs, output.fileno())
            self._pidfd = os.pidfd_open(self.pid)
        except BaseException as problem:
            self._connection.close()
            if isinstance(problem, OSError):
                raise HarnessError(
                    f"cannot start replica {self._replica}: {problem}",
                    "Leave a run's folder alone until the run ends.",
                ) from problem
            raise
        self._frames = frames(self._read)

    def tell(self, kind: int, number: int, body: bytes = b"") -> None:
        """In the order of the calls, at the latest when an answer is asked for."""
        self._words += (HEADER.pack(len(body), kind, number), body)
        self._waiting_bytes += len(body)
        self._unsettled = True
        if self._waiting_bytes >= FLUSH_BYTES:
            self._flush()

    def answer(self) -> Frame | None:
        """What it says next; None when it has ended. Only while one is due."""
        if self._words:
            self._unsettled = False
            self._flush()
        try:
            return next(self._frames, None)
        except CutOffError:
            return None
        except WireError as problem:
            raise self.error(f"does not keep to the protocol: {problem}") from None

    def settle(self) -> None:
        """It has handled everything it was told, if it still runs."""
        if self._unsettled:
            self.tell(SETTLE, 0)
            answer = self.answer()
            if answer is not None and answer[0] != SETTLED:
                raise self.error(f"answered SETTLE by a frame of kind {answer[0]}")

    def signal(self, number: signal.Signals) -> None:
        """Never to another process that got its pid."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def wait_for_state(self, *, stopped: bool) -> None:
        """Until the kernel says so, or it is dead."""
        deadline = time.monotonic() + STATE_SECONDS
        while (state_letter(self.pid) in ("T", "t")) is not stopped:
            if self._is_dead(1):
                return
            if time.monotonic() > deadline:
                wanted = "stopped" if stopped else "went on"
                raise self.error(f"has not {wanted} {STATE_SECONDS} s after it was told to")

    def reap(self) -> Ended:
        """It has ended, or is about to: how, and everything of it is let go of."""
        if not self._is_dead(STATE_SECONDS * 1000):
            raise self.error(f"does not end within {STATE_SECONDS} s")
        try:
            code, number = self._room.ended(self.pid)
        finally:
            os.close(self._pidfd)
            self._connection.close()
        return Ended(code, number, last_lines(self._said, self._said_from))

    def error(self, what: str) -> HarnessError:
        """With the state it is in."""
        said = "\n  ".join(("Its last words:", *last_lines(self._said, self._said_from)))
        return HarnessError(
            f"replica {self._replica} (process {self.pid}, state {state_letter(self.pid)}) {what}. {said}",
            "Leave the replicas of a run alone; if nobody touched it, this is a bug: keep the folder.",
        )

    def _is_dead(self, wait_ms: int) -> bool:
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return bool(poll.poll(wait_ms))

    def _flush(self) -> None:
        data = b"".join(self._words)
        self._words.clear()
        self._waiting_bytes = 0
        try:
            self._connection.sendall(data)
        except BlockingIOError:
            raise self.error(f"took nothing for {ANSWER_SECONDS} s") from None
        except OSError:  # it has ended; that shows when it should answer
            return

    def _read(self) -> bytes:
        try:
            return self._connection.recv(READ_BYTES)
        except BlockingIOError:
            raise self.error(f"said nothing for {ANSWER_SECONDS} s") from None
        except OSError:  # it ended with something unread
            return b""
