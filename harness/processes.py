"""A replica's operating system process, over all its lives.

Each life starts in the replica's network namespace with its output appended to ``stderr.log`` (a file,
never a pipe: a full pipe stops a node and looks like a liveness bug). It dies with the harness. Signals go
through a pidfd, so never to another process that got the same pid.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from harness.adapter import ReplicaProgram
from harness.errors import HarnessError
from harness.world import Exit
from nemesis.machinery import ProcessState

LAST_LINES = 20
LAST_BYTES = 8192
LINE_CHARACTERS = 500
_PR_SET_PDEATHSIG = 1
_STATES = {"T": "stopped", "t": "stopped", "Z": "dead", "X": "dead"}

TRACE_MARGIN_BYTES = 64 * 1024
"""A replica cuts a torn line off its trace when it starts, so its first line may lie before the old end."""
TRACE_READ_BYTES = 4 * 1024 * 1024
_libc = ctypes.CDLL(None)


class ReplicaProcess:
    """One replica; at most one process at a time."""

    def __init__(self, replica: int, program: ReplicaProgram, on_exit: Callable[[Exit], None]) -> None:
        self.replica = replica
        self.program = program
        self.incarnation = 0
        self.pidfd: int | None = None
        self._on_exit = on_exit
        self._process: subprocess.Popen[bytes] | None = None
        self._expected = self._silent = False
        self.expected_codes: frozenset[int] = frozenset()
        """With which it may end by itself, and nobody wonders."""
        self._last: Exit | None = None
        self._log = program.folder / "stderr.log"
        self._log_start = 0
        self._trace_start = self._began_ns = 0
        self._up = False

    def start(
        self, place: AbstractContextManager[None], *, silent: bool = False, waits: bool = False
    ) -> None:
        """A new life, in ``place`` (its namespace); ``silent``: also if its log is lost; ``waits``: for
        ``let_go``, if it is a program that does. Raises HarnessError."""
        assert self._process is None, "it runs already"
        parent = os.getpid()
        self._up, self._began_ns = False, time.monotonic_ns()
        self._trace_start = _size(self.program.trace)

        def die_with_harness() -> None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

        try:
            with self._log.open("ab") as log, place:
                self._log_start = log.tell()
                self._process = subprocess.Popen(
                    (*self.program.argv, *(("--silent",) if silent else ())),
                    cwd=self.program.cwd,
                    env=dict(self.program.env),
                    stdin=subprocess.PIPE if waits else subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=die_with_harness,
                )
        except OSError as problem:
            if not self.program.folder.is_dir():
                raise HarnessError(
                    f"cannot start replica {self.replica}: its folder {self.program.folder} is gone",
                    "Leave a run's folder alone until the run ends.",
                ) from problem
            raise HarnessError(
                f"cannot start replica {self.replica}: {self.program.argv[0]}: {problem.strerror}",
                "Check that this user may run it; a home directory of mode 0700 hides an interpreter.",
            ) from problem
        self.pidfd = os.pidfd_open(self._process.pid)
        self.incarnation += 1
        self._expected = False
        self._silent = silent

    def let_go(self) -> None:
        """A line for one that waits. Harmless when it is dead."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), self._process.stdin as gate:
                gate.write(b"go\n")

    @property
    def pid(self) -> int | None:
        """None when none runs."""
        return None if self._process is None else self._process.pid

    @property
    def doomed(self) -> bool:
        """It was told to die, and may not have done so yet."""
        return self._expected

    def signal(self, number: signal.Signals, *, expect_exit: bool = False) -> None:
        """To the process that runs now; harmless when none does."""
        if self.pidfd is None:
            return
        self._expected = self._expected or expect_exit
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, number)

    def reap(self) -> bool:
        """If the process has ended, note its end. True when none runs any more."""
        if self._process is None:
            return True
        code = self._process.poll()
        if code is None:
            return False
        ended = Exit(
            replica=self.replica,
            time_ns=time.monotonic_ns(),
            code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            expected=self._expected or code in self.expected_codes,
            last_lines=() if self._expected else last_lines(self._log, self._log_start),
        )
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process, self._last = None, ended
        self._on_exit(ended)
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None
        return True

    def state(self) -> ProcessState:
        """As the kernel sees it now."""
        letter = None if self.reap() or self.pid is None else state_letter(self.pid)
        if letter is None:
            last = self._last
            how = {} if last is None else {"exit_signal": last.signal, "exit_code": last.code}
            return ProcessState(self.replica, None, "dead", self.incarnation, how)
        state = _STATES.get(letter, "running")
        up = self.is_up()
        awaited = {} if up or self.program.trace is None else {"awaited": self._event}
        detail = {"state_letter": letter, **awaited}
        return ProcessState(self.replica, self.pid, state, self.incarnation, detail, up)

    @property
    def _event(self) -> str:
        """What its trace says when this life has begun to work."""
        if self._silent:
            return "recovered"
        return "started" if self.incarnation == 1 else self.program.comes_back_by

    def is_up(self) -> bool:
        """Has this life begun to work: a line of its own in its trace that says so, else a port it listens
        on?"""
        if not self._up:
            trace = self.program.trace
            self._up = (
                self.listens()
                if trace is None
                else began(trace, max(0, self._trace_start - TRACE_MARGIN_BYTES), self._began_ns, self._event)
            )
            if not self._up and _size(trace) - self._trace_start > TRACE_READ_BYTES:
                self._trace_start += TRACE_READ_BYTES // 2
        return self._up

    def remove_sockets(self) -> None:
        """What a killed process leaves beside its files. Call when it is dead."""
        with contextlib.suppress(OSError):
            for path in self.program.folder.iterdir():
                if path.is_socket():
                    path.unlink()

    def listens(self) -> bool:
        """Does it listen on its port yet?"""
        port = self.program.ready_port
        return self.pid is not None and (port is None or listens(self.pid, port))


def last_lines(log: Path, start: int) -> tuple[str, ...]:
    """Of what a process wrote there, which began at ``start``."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(start, size - LAST_BYTES))
            text = file.read(LAST_BYTES).decode("utf-8", "replace")
    except OSError as problem:
        return (f"(cannot read {log}: {problem.strerror})",)
    return tuple(line[:LINE_CHARACTERS] for line in text.splitlines()[-LAST_LINES:])


def began(trace: Path, start: int, since_ns: int, event: str = "started") -> bool:
    """Is there a line of that event of ``since_ns`` or later, on the clock all traces share?"""
    word = b'"%s"' % event.encode()
    try:
        with trace.open("rb") as file:
            file.seek(start)
            text = file.read(TRACE_READ_BYTES)
    except OSError:
        return False
    for line in text.split(b"\n") if word in text else ():
        if word not in line:
            continue
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):  # torn, or cut by where we began to read
            continue
        if isinstance(fields, dict) and fields.get("e") == event:
            t_ns = fields.get("t_ns")
            if isinstance(t_ns, int) and t_ns >= since_ns:
                return True
    return False


def _size(path: Path | None) -> int:
    try:
        return 0 if path is None else path.stat().st_size
    except OSError:
        return 0


def state_letter(pid: int) -> str | None:
    """The state in /proc: R, S, D, T, Z …; None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()[0]


def listens(pid: int, port: int) -> bool:
    """Is this port bound (UDP) or listening (TCP) in the network namespace of a process?"""
    unconnected, listening = "07", "0A"
    for table, state in (("udp", unconnected), ("tcp", listening)):
        try:
            lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if columns[1].endswith(f":{port:04X}") and columns[3] == state:
                return True
    return False
