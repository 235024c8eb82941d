"""The network of a live run: a star of namespaces around a router.

The sandbox's own network namespace is the router. Every replica, and the ``clients``, has a namespace
joined to it by one veth pair, one /32 address and permanent neighbours on both ends (so no ARP that a
partition could break). All traffic between hosts crosses the router's FORWARD chain. Addresses identify
hosts, ports never do. A replica that is to have a twin, and the clients then, have a second host with the
same address; which of the two a packet reaches hangs on the interface it came by (policy routing), so nothing
in it is rewritten. What namespaces inherit from the machine (forwarding, reverse path filters) is set
explicitly.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from harness import commands
from harness.errors import HarnessError
from nemesis.interceptor.emitter import TWINS_MARK
from nemesis.sides import Side

CLIENTS = "clients"
REPLICA_PORT = 7000
CLIENT_PORT = 7100
MTU_BYTES = 65535
MOST_REPLICAS = 200
_ROUTER_ADDRESS = "10.77.255.254"
_CLIENT_ADDRESS = "10.77.1.1"
_NAMESPACES = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_TWINS = "-twin"
_TABLE, _PREFERENCE = 77, 770
"""Routes to the second hosts, and the rules that lead there. A rule for all targets comes one later: the
kernel takes it for the same as one for a single target."""

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


def second(host: str) -> str:
    """The name of the other host with its address."""
    return host + _TWINS


def host_address(host: str) -> str:
    """The address of ``r<i>`` or ``clients``, or of their second ones."""
    host = host.removesuffix(_TWINS)
    return _CLIENT_ADDRESS if host == CLIENTS else replica_address(int(host[1:]))[0]


class Topology:
    """The namespaces and links of one run. ``doubled``: who may get a twin."""

    def __init__(self, n: int, doubled: Collection[int] = ()) -> None:
        self._n = n
        twins = [second(host) for host in (*(f"r{replica}" for replica in sorted(doubled)), CLIENTS)]
        self.hosts = (*host_names(n), *(twins if doubled else ()))
        self._doubled = frozenset(doubled)
        self._rules: frozenset[str] = frozenset()
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
        self.divide({})

    def remove(self) -> None:
        """Unmake whatever exists. Idempotent."""
        for descriptor in self._opened.values():
            os.close(descriptor)
        self._opened.clear()
        present = [host for host in self.hosts if (_NAMESPACES / host).exists()]
        linked = [host for host in self.hosts if Path(f"/proc/sys/net/ipv4/conf/{host}").exists()]
        lines = [f"link del {host}\n" for host in linked] + [f"netns del {host}\n" for host in present]
        lines.append(f"addr flush dev lo to {_ROUTER_ADDRESS}/32\n")
        if second(CLIENTS) in self.hosts:
            lines += [f"rule del {rule}\n" for rule in (*sorted(self._rules), _TO_TWINS)]
            self._rules = frozenset()
        commands.call("ip", ["-force", "-batch", "-"], "".join(lines))

    def divide(self, sides: Mapping[int, Side]) -> None:
        """From now on the twins of these replicas, which are among ``doubled``, and no others, talk with
        those of their side. Raises HarnessError."""
        wanted = frozenset(division(self._n, self._doubled, sides))
        lines = [f"rule add {rule}" for rule in sorted(wanted - self._rules)]
        lines += [f"rule del {rule}" for rule in sorted(self._rules - wanted)]
        if lines:
            commands.call("ip", ["-batch", "-"], "\n".join((*lines, "")))
        self._rules = wanted

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
            table = f" table {_TABLE}" if host.endswith(_TWINS) else ""
            yield f"route add {host_address(host)}/32 dev {host}{table}\n"
            yield f"neigh add {host_address(host)} lladdr {far} dev {host} nud permanent\n"
        if second(CLIENTS) in self.hosts:
            yield f"rule add {_TO_TWINS}\n"

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


def division(n: int, doubled: Collection[int], sides: Mapping[int, Side]) -> Iterator[str]:
    """The rules that let every twin talk with its side only, and its replica with the others only. Of two
    identities with twins, first ones talk with first ones, and twins with twins. Second hosts of others talk
    with nobody."""
    lookup = f"lookup {_TABLE} pref {_PREFERENCE}"
    for replica in sorted(frozenset(doubled) - sides.keys()):
        yield f"iif {second(f'r{replica}')} blackhole pref {_PREFERENCE + 1}"
    for replica, side in sides.items():
        host, address = f"r{replica}", replica_address(replica)[0]
        yield f"iif {second(CLIENTS)} to {address} {lookup}"
        yield f"iif {second(host)} to {_CLIENT_ADDRESS} {lookup}"
        for peer in range(n):
            if peer == replica:
                continue
            if peer in sides:
                yield f"iif {second(f'r{peer}')} to {address} {lookup}"
                continue
            met = side.meets(peer)
            if met:
                yield f"iif r{peer} to {address} {lookup}"
            deaf = host if met else second(host)
            yield f"iif {deaf} to {replica_address(peer)[0]} blackhole pref {_PREFERENCE}"


_TO_TWINS = f"fwmark {TWINS_MARK} lookup {_TABLE} pref {_PREFERENCE}"
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
    return f"02:77:00:{end:02x}:{number >> 8:02x}:{number & 255:02x}"


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
