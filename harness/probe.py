"""Run inside a sandbox as ``python -m harness.probe``: what works here, as one JSON object on stdout.

Each name maps to null, or to what went wrong and how to mend it. Every probe really does the thing:
versions and configuration say little about what a kernel lets a user do.
"""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Callable
from pathlib import Path

from harness import commands, firewall
from harness.errors import HarnessError
from nemesis.interceptor.nfqueue import ACCEPT, Wholes

_QUEUE, _PORT, _ANSWER_S = 7, 7, 5.0


def _ip() -> None:
    if commands.find("ip") is None:
        raise HarnessError("ip is not installed", "On Debian and Ubuntu: apt-get install iproute2")


def _veth() -> None:
    link = "link add probe mtu 65535 type veth peer name eth0 netns probe"
    lines = ("netns add probe", link, "link del probe", "netns del probe", "")
    commands.call("ip", ["-batch", "-"], "\n".join(lines))


def _ip_rule() -> None:
    rule = "fwmark 9 lookup 99 pref 999"
    commands.call("ip", ["-batch", "-"], f"rule add {rule}\nrule del {rule}\n")


def _forward() -> None:
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _iptables() -> None:
    firewall.choose_backend()


def _nfqueue() -> None:
    """A datagram waits in the kernel, is read here, and let go."""
    backend = firewall.choose_backend()
    rule = f"OUTPUT -o lo -p udp --dport {_PORT} -j NFQUEUE --queue-num {_QUEUE}"
    queue = Wholes(_QUEUE)
    try:
        for action in ("-A", "-D"):
            commands.call(backend.restore, ["--noflush", "-w", "5"], f"*filter\n{action} {rule}\nCOMMIT\n")
            if action == "-A":
                _let_one_go(queue)
    finally:
        queue.close()


def _let_one_go(queue: Wholes) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source,
    ):
        target.bind(("127.0.0.1", _PORT))
        target.settimeout(_ANSWER_S)
        source.sendto(b"probe", ("127.0.0.1", _PORT))
        select.select((queue.fileno(),), (), (), _ANSWER_S)
        if (waiting := queue.read()) is not None:
            queue.verdict(waiting[0], ACCEPT)
        if target.recv(100) != b"probe":
            raise HarnessError("a queued packet came back changed")


def _raw_socket() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW).close()


PROBES: dict[str, Callable[[], None]] = {
    "ip": _ip,
    "veth": _veth,
    "ip rule": _ip_rule,
    "ip_forward": _forward,
    "iptables": _iptables,
    "nfqueue": _nfqueue,
    "raw socket": _raw_socket,
}


def examine() -> dict[str, str | None]:
    """Try everything."""
    found: dict[str, str | None] = {}
    for name, attempt in PROBES.items():
        try:
            attempt()
            found[name] = None
        except (HarnessError, OSError) as problem:
            found[name] = str(problem)
    if found["iptables"] is None:
        found["iptables backend"] = firewall.choose_backend().name
    return found


if __name__ == "__main__":
    print(json.dumps(examine()))
