"""Runs a command in namespaces of its own; everything it started dies with it.

Started by ``sandbox`` as a script of its own (it imports nothing of ours, so that a broken checkout cannot
break it):

    outer ── launcher ── init (pid 1 of the sandbox) ── command

The launcher and init only relay: signals inwards, the exit code outwards. Each asks the kernel to be killed
when its parent dies; when init dies the kernel kills every process in the sandbox, and with the last of
them go the namespaces, links and firewall rules. Nothing has to be cleaned up by name.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Sequence

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
PRIVATE = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC

MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REC, MS_PRIVATE = 2, 4, 8, 0x4000, 1 << 18
PR_SET_PDEATHSIG = 1
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

RELAYED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
WATCHED = (*RELAYED, signal.SIGCHLD)
PLACE_VARIABLE = "TRAITOR_SANDBOX"

_libc = ctypes.CDLL(None, use_errno=True)


class StepFailed(Exception):
    """One step of building the sandbox; args are (step, errno, text)."""


def main(arguments: Sequence[str]) -> int:
    """``launcher.py ERROR_FD OUTER_PID COMMAND…``; trouble is written to ERROR_FD as JSON."""
    error_fd, outer, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    os.set_inheritable(error_fd, False)  # The outer waits for its end: it closes when the command runs.
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    try:
        _unshare()
        _die_with_parent()
        if os.getppid() != outer:
            return 128 + signal.SIGKILL
        lifeline, held_open = os.pipe()
        init = os.fork()
        if init == 0:
            os.close(held_open)
            os._exit(_init(lifeline, error_fd, command))
        os.close(lifeline)
    except StepFailed as problem:
        return _report(error_fd, problem)
    os.close(error_fd)
    return _relay_until_exit(init)


def _unshare() -> None:
    user, group = os.geteuid(), os.getegid()
    if user == 0 and _libc.unshare(PRIVATE) == 0:
        return
    _check("unshare", _libc.unshare(PRIVATE | CLONE_NEWUSER))
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    except OSError as problem:
        raise StepFailed("map", problem.errno, str(problem)) from problem


def _init(lifeline: int, error_fd: int, command: Sequence[str]) -> int:
    """Pid 1: prepares the place, starts the command, reaps orphans, leaves with the command's exit code."""
    try:
        _die_with_parent()
        if select.select([lifeline], [], [], 0)[0]:
            return 128 + signal.SIGKILL
        _check("private mounts", _libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
        _check("proc", _libc.mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, None))
        _check("run", _libc.mount(b"tmpfs", b"/run", b"tmpfs", MS_NOSUID | MS_NODEV, b"mode=755"))
        os.mkdir("/run/netns")
        _loopback_up()
        child = os.fork()
        if child == 0:
            _exec(command)
    except StepFailed as problem:
        return _report(error_fd, problem)
    except OSError as problem:
        return _report(error_fd, StepFailed("prepare", problem.errno, str(problem)))
    os.close(error_fd)
    return _relay_until_exit(child)


def _exec(command: Sequence[str]) -> None:
    for number in (*RELAYED, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
    os.environ[PLACE_VARIABLE] = os.readlink("/proc/self/ns/pid")
    try:
        os.execvp(command[0], list(command))
    except OSError as problem:
        raise StepFailed("command", problem.errno, f"{command[0]}: {problem.strerror}") from problem


def _relay_until_exit(child: int) -> int:
    """Signals are blocked and waited for, so none is lost before or between; each is passed on once."""
    while True:
        information = signal.sigwaitinfo(WATCHED)
        if information.si_signo != signal.SIGCHLD:
            os.kill(child, information.si_signo)
            continue
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
            if pid == 0:
                break


def _die_with_parent() -> None:
    _check("parent death signal", _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0))


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name, flags = struct.unpack_from(
            "16sh", fcntl.ioctl(any_socket, SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
        )
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", name, flags | IFF_UP))


def _check(step: str, result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise StepFailed(step, number, os.strerror(number))


def _report(error_fd: int, problem: StepFailed) -> int:
    step, number, text = problem.args
    os.write(error_fd, json.dumps({"step": step, "errno": number, "text": text}).encode())
    return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
