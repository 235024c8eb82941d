"""Where lockstep replicas come from: ``python -m pbft_node --nursery FD PARENT``.

A fresh interpreter spends 0.2 s on imports, a fork of one that has them a few milliseconds. So a harness
starts one nursery, and forks of it serve:

    nursery ── room, one for each run ── replica, one for each life

FD is an inherited SOCK_SEQPACKET socket. Each packet on it brings the socket of a new room and has no answer,
so any process that holds the other end may ask. A room answers JSON with JSON, one to a packet:

    {"do": "begin", "config": path, "folder": path, "silent": false}   beside the driver's socket, the output
                                    -> {"pid": 4711}
    {"do": "ended", "pid": 4711}    -> {"code": 3, "signal": null}; both are null while it lives
    {"do": "spent"}                 -> {"cpu_s": 0.25}: processor time of the room and of those that ended
    anything that fails             -> {"error": why}

A replica has a session of its own, runs in the folder, writes to the output, is driven by its socket
(``lockstep``), and has nothing else of the nursery's. A room ends when its socket closes, the nursery with
process PARENT or when FD closes, and whatever one of them made is killed when it ends.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from . import lockstep
from .assembly import say
from .errors import EXIT_BUG, ConfigError

MAX_REQUEST_BYTES = 32_768
DESCRIPTORS = 2
"""With each ``begin``: the driver's socket, the output."""
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_libc = ctypes.CDLL(None)


def main(descriptor: int, parent: int) -> int:
    """Open rooms until nobody can ask any more. The exit code."""
    die_with(parent)
    try:
        wanted = socket.socket(fileno=descriptor)
    except OSError as error:
        say(
            f"--nursery {descriptor}: {error.strerror}: give the number of an inherited SOCK_SEQPACKET socket"
        )
        return ConfigError.exit_code
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a room ended
    gc.collect()
    gc.freeze()  # what is here now stays, and need not be copied because a child's collector looked at it
    with wanted:
        while True:
            data, descriptors, _, _ = socket.recv_fds(wanted, MAX_REQUEST_BYTES, DESCRIPTORS)
            if not data:
                return 0
            if len(descriptors) == 1:
                _open_room(wanted, descriptors[0])
            for one in descriptors:
                os.close(one)


def die_with(parent: int) -> None:
    """When process ``parent``, which made this one, ends in any way, this one is killed."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(EXIT_BUG)


def _fork(name: str, life: Callable[[], int]) -> int:
    """The pid of a child that does this and ends with that exit code. ``name``: at most 15 characters."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = EXIT_BUG
    try:
        die_with(parent)
        _libc.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
        code = life()
    except BaseException:  # a child must not come back into its parent's loop
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)


def _open_room(wanted: socket.socket, descriptor: int) -> None:
    def life() -> int:
        wanted.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with socket.socket(fileno=descriptor) as requests:
            return _serve(requests)

    _fork("pbft_node room", life)


def _serve(requests: socket.socket) -> int:
    """A room: answer until nobody can ask any more."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, DESCRIPTORS)
        if not data:
            return 0
        try:
            answer = _answer(json.loads(data), descriptors, requests)
        except (OSError, ValueError, LookupError, TypeError) as problem:
            answer = {"error": f"{type(problem).__name__}: {problem}"}
        finally:
            for one in descriptors:
                os.close(one)
        requests.send(json.dumps(answer).encode())


def _answer(request: Mapping[str, object], descriptors: list[int], own: socket.socket) -> dict[str, object]:
    match request["do"]:
        case "begin":
            return {"pid": _begin(request, descriptors, own)}
        case "ended":
            return _ended(int(str(request["pid"])))
        case "spent":
            used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
            return {"cpu_s": sum(one.ru_utime + one.ru_stime for one in used)}
    raise ValueError(f"{request['do']!r}: ask for begin, ended or spent")


def _ended(pid: int) -> dict[str, object]:
    done, status = os.waitpid(pid, os.WNOHANG)
    code = os.waitstatus_to_exitcode(status) if done else None
    if code is None or code >= 0:
        return {"code": code, "signal": None}
    return {"code": None, "signal": -code}


def _begin(request: Mapping[str, object], descriptors: list[int], own: socket.socket) -> int:
    config, folder = Path(str(request["config"])), str(request["folder"])
    silent = request.get("silent") is True
    connection, output = descriptors

    def life() -> int:
        own.close()
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        os.chdir(folder)
        return lockstep.main(config, connection, silent=silent)

    return _fork(f"pbft_node {config.parent.name:.4}", life)
