"""The harness' side of ``pbft_node.nursery``: a process that forks lockstep replicas, quickly.

One serves as many runs as one process makes, one after another (``shared``). It and all it forked die with
the thread that started it, so start it in one that lasts; what it forked dies with it, too.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
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
MAX_ANSWER_BYTES = 4096
LAST_BYTES = 4096
_ROOT = str(Path(__file__).resolve().parents[2])
_HINT = "Run it again; if it fails again, look at the machine's memory and at its limit of processes."


class Nursery:
    """See the module. ``environment``: all of the replicas'; nothing is inherited."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        paths = os.pathsep.join(filter(None, (_ROOT, environment.get("PYTHONPATH"))))
        self.environment = dict(environment)
        self.owner = os.getpid()
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed with the nursery
        self._connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        set_patience(self._connection, ANSWER_SECONDS)
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

    def begin(self, config: Path, folder: Path, connection: socket.socket, output: int) -> int:
        """A new replica process that is driven through ``connection``. Its pid; it stays a zombie when it
        ends, so that the pid is its own, until ``ended`` was asked and told of it."""
        request = {"do": "begin", "config": str(config), "folder": str(folder)}
        return int(str(self._ask(request, [connection.fileno(), output])["pid"]))

    def ended(self, pid: int) -> tuple[int | None, int | None]:
        """(exit code, signal): one of them when the process has ended, none while it lives."""
        answer = self._ask({"do": "ended", "pid": pid}, [])
        code, number = answer["code"], answer["signal"]
        return (None if code is None else int(str(code)), None if number is None else int(str(number)))

    def close(self) -> None:
        """End it and all its children. Idempotent."""
        if self.owner != os.getpid():
            return  # a forked copy: it is another process' nursery
        self._connection.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._said.close()

    def _ask(self, request: Mapping[str, object], descriptors: list[int]) -> dict[str, object]:
        try:
            socket.send_fds(self._connection, [json.dumps(request).encode()], descriptors)
            data = self._connection.recv(MAX_ANSWER_BYTES)
        except BlockingIOError:
            raise HarnessError(
                f"the replicas' nursery (process {self.pid}) did not answer {request['do']} within "
                f"{ANSWER_SECONDS} s",
                _HINT,
            ) from None
        except OSError:
            data = b""
        if not data:
            raise self._is_gone()
        answer = json.loads(data)
        if "error" in answer:
            raise HarnessError(f"the replicas' nursery cannot {request['do']}: {answer['error']}", _HINT)
        return dict(answer)

    def _is_gone(self) -> HarnessError:
        try:
            code = self._process.wait(ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            return HarnessError(f"the replicas' nursery (process {self.pid}) hung up", _HINT)
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - LAST_BYTES))
        said = self._said.read(LAST_BYTES).decode("utf-8", "replace").strip()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return HarnessError(
            f"the replicas' nursery (process {self.pid}) ended with {how}, and all replicas with it"
            + (f". It said:\n{said}" if said else ""),
            _HINT,
        )


_shared: Nursery | None = None


def shared(environment: Mapping[str, str]) -> Nursery:
    """This process' nursery for replicas with that environment; a run that asks for another one ends it."""
    global _shared
    if _shared is not None and _shared.owner == os.getpid():
        if _shared.environment == dict(environment) and _shared._process.poll() is None:
            return _shared
        _shared.close()
    elif _shared is None:
        atexit.register(_close_shared)
    _shared = Nursery(environment)
    return _shared


def _close_shared() -> None:
    if _shared is not None:
        _shared.close()


def set_patience(connection: socket.socket, seconds: int) -> None:
    """Reads and writes that take longer raise BlockingIOError; without a system call more for each."""
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", seconds, 0))
