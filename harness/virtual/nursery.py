"""The harness' side of ``pbft_node.nursery``: one process for all lockstep runs that this one and its forks
make, and a room in it for each run.

The nursery dies with the thread that started it, so start it in one that lasts (``shared``). A room's
replicas die with the process that runs there, and when the room is closed.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from harness.errors import HarnessError

ANSWER_SECONDS = 60
DEATH_SECONDS = 1
"""For the nursery to end where its socket or a room's did."""
MAX_ANSWER_BYTES = 4096
LAST_BYTES = 4096
_ROOT = str(Path(__file__).resolve().parents[2])
_LIMITS = (resource.RLIMIT_AS, resource.RLIMIT_FSIZE)
_HINT = "Run it again; if it fails again, look at the machine's memory and at its limit of processes."


class Nursery:
    """See the module. ``environment``: all of the replicas'; nothing is inherited. Raises HarnessError."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        paths = os.pathsep.join(filter(None, (_ROOT, environment.get("PYTHONPATH"))))
        self.environment = dict(environment)
        self.owner = os.getpid()
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed with the nursery
        self._connection, theirs = _pair()
        with theirs:
            words = ("--nursery", str(theirs.fileno()), str(self.owner))
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "pbft_node", *words],
                    env={**self.environment, "PYTHONPATH": paths},
                    stdin=subprocess.DEVNULL,
                    stdout=self._said,
                    stderr=self._said,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            except OSError as problem:
                self._connection.close()
                self._said.close()
                raise HarnessError(f"cannot start the replicas' nursery: {problem.strerror}", _HINT) from None

    @property
    def pid(self) -> int:
        """Of the nursery."""
        return self._process.pid

    def room(self) -> Room:
        """For a run. Also in a fork of the process that made the nursery."""
        connection, theirs = _pair()
        with theirs:
            try:
                socket.send_fds(self._connection, [b"room"], [theirs.fileno()])
            except OSError:
                connection.close()
                raise HarnessError(self.last_words(), _HINT) from None
        return Room(self, connection)

    def runs(self) -> bool:
        """As far as this process can know."""
        return self.owner != os.getpid() or self._process.poll() is None

    def last_words(self) -> str:
        """Why a room of it is gone."""
        name = f"the replicas' nursery (process {self.pid})"
        if self._said.closed:
            return f"{name} is closed"
        how = "ended"
        if self.owner == os.getpid():
            try:
                code = self._process.wait(DEATH_SECONDS)
                how = f"ended with {f'signal {-code}' if code < 0 else f'exit code {code}'}"
            except subprocess.TimeoutExpired:
                how = "closed a room"
        size = os.fstat(self._said.fileno()).st_size
        said = os.pread(self._said.fileno(), LAST_BYTES, max(0, size - LAST_BYTES))
        return f"{name} {how}, and all replicas are gone with it\n{said.decode('utf-8', 'replace')}".strip()

    def close(self) -> None:
        """End it and all that came out of it. Idempotent."""
        if self.owner != os.getpid():
            return  # a forked copy: it is another process' nursery
        self._connection.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._said.close()


class Room:
    """Where the replicas of one run live. They are held to the limits and the cores this process is held to
    now."""

    def __init__(self, nursery: Nursery, connection: socket.socket) -> None:
        self._nursery = nursery
        self._connection = connection
        self._limits = {what: resource.getrlimit(what) for what in _LIMITS}
        self._cores = os.sched_getaffinity(0)

    def begin(self, config: Path, connection: socket.socket, output: int) -> int:
        """A new replica process, in the folder of its config, that is driven through ``connection``. Its pid;
        it stays a zombie when it ends, so that the pid is its own, until ``ended`` was asked and told of it.
        """
        request = {"do": "begin", "config": str(config), "folder": str(config.parent)}
        pid = int(str(self._ask(request, [connection.fileno(), output])["pid"]))
        with contextlib.suppress(ProcessLookupError):
            with contextlib.suppress(PermissionError):
                os.sched_setaffinity(pid, self._cores)
            for what, limit in self._limits.items():
                resource.prlimit(pid, what, limit)
        return pid

    def ended(self, pid: int) -> tuple[int | None, int | None]:
        """(exit code, signal): one of them when the process has ended, none while it lives."""
        answer = self._ask({"do": "ended", "pid": pid}, [])
        code, number = answer["code"], answer["signal"]
        return (None if code is None else int(str(code)), None if number is None else int(str(number)))

    def close(self) -> None:
        """End it and its replicas. Idempotent."""
        global _spent_s
        if self._connection.fileno() < 0:
            return
        try:
            _spent_s += float(str(self._ask({"do": "spent"}, [])["cpu_s"]))
            self._connection.shutdown(socket.SHUT_WR)
            self._connection.recv(1)  # it ends when the room does
        except (HarnessError, OSError):
            pass  # it is gone already
        finally:
            self._connection.close()

    def _ask(self, request: Mapping[str, object], descriptors: list[int]) -> dict[str, object]:
        if self._connection.fileno() < 0:
            raise HarnessError(f"the room is closed and cannot {request['do']}", _HINT)
        try:
            socket.send_fds(self._connection, [json.dumps(request).encode()], descriptors)
            data = self._connection.recv(MAX_ANSWER_BYTES)
        except BlockingIOError:
            raise HarnessError(
                f"the replicas' nursery (process {self._nursery.pid}) did not answer {request['do']} within "
                f"{ANSWER_SECONDS} s",
                _HINT,
            ) from None
        except OSError:
            data = b""
        if not data:
            raise HarnessError(self._nursery.last_words(), _HINT)
        answer = json.loads(data)
        if "error" in answer:
            raise HarnessError(f"the replicas' nursery cannot {request['do']}: {answer['error']}", _HINT)
        return dict(answer)


_shared: Nursery | None = None
_spent_s = 0.0


def shared(environment: Mapping[str, str]) -> Nursery:
    """This process' nursery, or the one it was forked with, for replicas with that environment. One that asks
    for another environment ends the one before."""
    global _shared
    if _shared is not None and _shared.environment == dict(environment) and _shared.runs():
        return _shared
    if _shared is None:
        atexit.register(_close_shared)
    else:
        _shared.close()
    _shared = Nursery(environment)
    return _shared


def spent_s() -> float:
    """Processor time of all replicas in rooms that this process has closed: they are no children of it."""
    return _spent_s


def set_patience(connection: socket.socket, seconds: int) -> None:
    """Reads and writes that take longer raise BlockingIOError; without a system call more for each."""
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", seconds, 0))


def _pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    set_patience(ours, ANSWER_SECONDS)
    return ours, theirs


def _close_shared() -> None:
    if _shared is not None:
        _shared.close()
