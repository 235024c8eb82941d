"""The network of a live run: a star of namespaces around a router.

The sandbox's own network namespace is the router. Every replica, and the ``clients``, has a namespace
joined to it by one veth pair, one /32 address and permanent neighbours on both ends (so no ARP that a
partition could break). All traffic between hosts crosses the router's FORWARD chain. Addresses identify
hosts, ports never do. What namespaces inherit from the machine (forwarding, reverse path filters) is set
explicitly.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from harness import commands
from harness.errors import HarnessError

CLIENTS = "clients"
REPLICA_PORT = 7000
CLIENT_PORT = 7100
MTU_BYTES = 65535
MOST_REPLICAS = 200
_ROUTER_ADDRESS = "10.77.255.254"
_CLIENT_ADDRESS = "10.77.1.1"
_NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def replica_address(replica: int) -> tuple[str, int]:
    """Where a replica listens."""
    assert 0 <= replica < MOST_REPLICAS
    return f"10.77.0.{replica + 1}", REPLICA_PORT


def client_address() -> tuple[str, int]:
    """Where all clients listen: one socket."""
    return _CLIENT_ADDRESS, CLIENT_PORT


def host_names(n: int) -> tuple[str, ...]:
    """Every host of a run."""
    return (*(f"r{i}" for i in range(n)), CLIENTS)


def host_address(host: str) -> str:
    """The address of ``r<i>`` or ``clients``."""
    return _CLIENT_ADDRESS if host == CLIENTS else replica_address(int(host[1:]))[0]


class Topology:
    """The namespaces and links of one run."""

    def __init__(self, n: int) -> None:
        self.hosts = host_names(n)
        self._own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._opened: dict[str, int] = {}

    def build(self) -> None:
        """Make everything. Raises HarnessError; call ``remove`` then too."""
        commands.call("ip", ["-batch", "-"], "".join(self._router_lines()))
        self._configure_hosts()
        for host in self.hosts:
            self._opened[host] = os.open(_NAMESPACES / host, os.O_RDONLY | os.O_CLOEXEC)
        _forwarding(True, ("all", "default", *self.hosts))
        for host in self.hosts:
            with self.inside(host):
                _forwarding(False, ("all", "default", "eth0"))

    def remove(self) -> None:
        """Unmake whatever exists. Idempotent."""
        for descriptor in self._opened.values():
            os.close(descriptor)
        self._opened.clear()
        present = [host for host in self.hosts if (_NAMESPACES / host).exists()]
        linked = [host for host in self.hosts if Path(f"/proc/sys/net/ipv4/conf/{host}").exists()]
        lines = [f"link del {host}\n" for host in linked] + [f"netns del {host}\n" for host in present]
        lines.append(f"addr flush dev lo to {_ROUTER_ADDRESS}/32\n")
        commands.call("ip", ["-force", "-batch", "-"], "".join(lines))

    @contextlib.contextmanager
    def inside(self, host: str) -> Iterator[None]:
        """Sockets opened and processes started meanwhile belong to the host."""
        _enter(self._opened[host])
        try:
            yield
        finally:
            _enter(self._own)

    def open_udp(self, host: str, address: tuple[str, int], buffer_bytes: int) -> socket.socket:
        """A non-blocking UDP socket on a host; ``buffer_bytes`` to receive in, or what the system allows."""
        with self.inside(host):
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
            with contextlib.suppress(OSError):
                opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, buffer_bytes)
            opened.bind(address)
        except OSError as problem:
            opened.close()
            raise HarnessError(f"cannot open {address[0]}:{address[1]} in {host}: {problem}") from problem
        return opened

    def _router_lines(self) -> Iterator[str]:
        yield f"addr add {_ROUTER_ADDRESS}/32 dev lo\n"
        for number, host in enumerate(self.hosts):
            near, far = _mac(0, number), _mac(1, number)
            yield f"netns add {host}\n"
            yield f"link add {host} mtu {MTU_BYTES} address {near} type veth "
            yield f"peer name eth0 mtu {MTU_BYTES} address {far} netns {host}\n"
            yield f"link set {host} up\n"
            yield f"route add {host_address(host)}/32 dev {host}\n"
            yield f"neigh add {host_address(host)} lladdr {far} dev {host} nud permanent\n"

    def _configure_hosts(self) -> None:
        """One ``ip`` per namespace, all at once."""
        tool = commands.find("ip") or "ip"
        running = []
        for number, host in enumerate(self.hosts):
            lines = (
                "link set lo up\nlink set eth0 up\n"
                f"addr add {host_address(host)}/32 dev eth0\n"
                f"route add default via {_ROUTER_ADDRESS} dev eth0 onlink\n"
                f"neigh add {_ROUTER_ADDRESS} lladdr {_mac(0, number)} dev eth0 nud permanent\n"
            )
            process = subprocess.Popen(
                [tool, "-n", host, "-batch", "-"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            running.append((host, lines, process))
        failures = [_finish(*one) for one in running]
        problems = [problem for problem in failures if problem]
        if problems:
            raise HarnessError(f"cannot configure the network: {problems[0]}")


_SO_RCVBUFFORCE = 33


def _finish(host: str, lines: str, process: subprocess.Popen[str]) -> str | None:
    try:
        _, said = process.communicate(lines, timeout=commands.DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return f"ip in {host} did not end within {commands.DEADLINE_S:.0f} s"
    return f"ip in {host}: {said.strip()}" if process.returncode != 0 else None


def _mac(end: int, number: int) -> str:
    """Locally administered; end 0 is the router's."""
    return f"02:77:00:{end:02x}:00:{number:02x}"


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise HarnessError(f"cannot enter a network namespace: {os.strerror(number)}")


def _forwarding(enabled: bool, interfaces: tuple[str, ...]) -> None:
    """Of the namespace this process is in. The reverse path filter would drop what the nemesis re-emits."""
    base = Path("/proc/sys/net/ipv4")
    try:
        (base / "ip_forward").write_text("1" if enabled else "0")
        for interface in interfaces:
            (base / "conf" / interface / "rp_filter").write_text("0")
    except OSError as problem:
        raise HarnessError(f"cannot set {problem.filename}: {problem.strerror}") from problem
