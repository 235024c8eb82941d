"""Where lockstep replicas come from: ``python -m pbft_node --nursery FD PARENT``.

A fresh interpreter spends 0.2 s on imports, a fork of one that has them a few milliseconds. So a harness
starts one nursery, which forks a process for each life it is asked for: with a session of its own, in the
replica's folder, its output at the end of the file it was given, one end of the socket it is driven by
(``lockstep``), and nothing else of the nursery's. Requests and answers are JSON, one to a packet, over the
inherited SOCK_SEQPACKET socket FD:

    {"do": "begin", "config": path, "folder": path, "silent": false}   beside the driver's socket, the output
                                    -> {"pid": 4711}
    {"do": "ended", "pid": 4711}    -> {"code": 3, "signal": null}; both are null while it lives
    anything that fails             -> {"error": why}

The nursery dies with its parent, the process PARENT, or when FD is closed; its children die with it.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from . import lockstep
from .errors import EXIT_BUG

MAX_REQUEST_BYTES = 32_768
DESCRIPTORS = 2
"""With each ``begin``: the driver's socket, the output."""
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_libc = ctypes.CDLL(None)


def main(descriptor: int, parent: int) -> int:
    """Serve until the other side closes. The exit code."""
    die_with(parent)
    try:
        requests = socket.socket(fileno=descriptor)
    except OSError as error:
        print(
            f"pbft_node: --nursery {descriptor}: {error.strerror}: give an inherited socket", file=sys.stderr
        )
        return 2
    gc.collect()
    gc.freeze()  # what is here now stays, and need not be copied because a child's collector looked at it
    with requests:
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


def die_with(parent: int) -> None:
    """When process ``parent``, which made this one, ends in any way, this one is killed."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(EXIT_BUG)


def _answer(request: Mapping[str, object], descriptors: list[int], own: socket.socket) -> dict[str, object]:
    if request["do"] == "begin":
        return {"pid": _begin(request, descriptors, own)}
    if request["do"] == "ended":
        return _ended(int(str(request["pid"])))
    raise ValueError(f"{request['do']!r}: ask for begin or ended")


def _ended(pid: int) -> dict[str, object]:
    done, status = os.waitpid(pid, os.WNOHANG)
    code = os.waitstatus_to_exitcode(status) if done else None
    if code is None or code >= 0:
        return {"code": code, "signal": None}
    return {"code": None, "signal": -code}


def _begin(request: Mapping[str, object], descriptors: list[int], own: socket.socket) -> int:
    config, folder = Path(str(request["config"])), str(request["folder"])
    connection, output = descriptors
    nursery = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = EXIT_BUG
    try:
        own.close()
        die_with(nursery)
        os.setsid()
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        os.chdir(folder)
        _libc.prctl(_PR_SET_NAME, b"pbft_node %s" % config.parent.name.encode()[:5], 0, 0, 0)
        code = lockstep.main(config, connection, silent=request.get("silent") is True)
    except BaseException:  # a child must not come back into the nursery's loop
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(code)
