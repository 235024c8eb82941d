"""UDP, as in the paper: it hides neither loss nor reordering. What cannot leave is lost and counted.

One non-blocking socket sends, and receives from clients and strangers. For each peer there is a second one on
the same port, connected to the peer's address, which Linux prefers for what comes from there: so a flood from
one peer fills that peer's buffer, not the others', and each source gets its share of a turn (``receive``).
Addresses come from the configuration only, and sharing is all they are good for: who sent a datagram is for
its authentication to say. A peer that sends from elsewhere is heard, too, among the strangers.
"""

from __future__ import annotations

import errno
import socket
from bisect import bisect_right
from collections.abc import Collection, Sequence

from .config import Address, ClientAddress
from .core.types import FIRST_CLIENT_ID, Principal
from .errors import MachineError

BUFFER_BYTES = 4 * 1024 * 1024
"""Room for what arrives while the process is paused or busy; the kernel's default holds 256 datagrams."""
MAX_DATAGRAM_BYTES = 65_535
PEER_SHARE = 32
"""Datagrams of one peer in a turn, at most: the votes on a full pipeline, and little for a flood."""


class AddressBook:
    """Where each principal receives."""

    def __init__(self, replicas: Sequence[Address], clients: Sequence[ClientAddress] = ()) -> None:
        self._replicas = tuple(replicas)
        self._clients = sorted(clients, key=lambda block: block.first)
        self._firsts = [block.first for block in self._clients]

    def find(self, principal: Principal) -> Address | None:
        """None for a principal without one."""
        if 0 <= principal < len(self._replicas):
            return self._replicas[principal]
        if principal >= FIRST_CLIENT_ID:
            position = bisect_right(self._firsts, principal) - 1
            if position >= 0 and principal <= self._clients[position].last:
                return self._clients[position].address
        return None


class UdpTransport:
    """The sockets of one replica (``peers``: the addresses of the others), or the socket of a block of
    clients."""

    def __init__(
        self,
        address: Address,
        book: AddressBook,
        peers: Sequence[Address] = (),
        *,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        self._book = book
        self.lost: dict[str, int] = {}
        """Datagrams that did not leave, by reason (an errno's name, or ``unknown receiver``)."""
        self._socket = _new_socket()
        try:
            self._socket.bind(address)
        except OSError as error:
            self._socket.close()
            raise MachineError(_cannot_bind(address, error)) from None
        self.buffer_bytes = _widen(self._socket, buffer_bytes)
        """What the kernel granted for each direction, the smaller one."""
        self._peers = self._connect(peers, buffer_bytes)
        self._sources = [(own.fileno(), own) for own in (*self._peers, self._socket)]

    def fileno(self) -> int:
        """For polling, where there are no peers."""
        return self._socket.fileno()

    def filenos(self) -> list[int]:
        """For epoll: peers first."""
        return [number for number, _ in self._sources]

    def receive(self, limit: int, ready: Collection[int] | None = None) -> list[bytes]:
        """The datagrams that wait, about ``limit`` at most, peers' first. ``ready``: where epoll saw some.

        Sources share the turn: none gets more than its part of it, whatever waits there.
        """
        sources = [own for number, own in self._sources if ready is None or number in ready]
        share = max(1, limit // max(1, len(sources)))
        datagrams: list[bytes] = []
        for source in sources:
            part = share if source is self._socket else min(share, PEER_SHARE)
            self._read(source, datagrams, len(datagrams) + part)
        return datagrams

    def _read(self, source: socket.socket, datagrams: list[bytes], until: int) -> None:
        receive = source.recv
        try:
            while len(datagrams) < until:
                datagrams.append(receive(MAX_DATAGRAM_BYTES))
        except BlockingIOError:
            pass
        except OSError as error:  # an ICMP error of an earlier send; reading it has cleared it
            self._count(error)

    def send(self, to: Principal, data: bytes) -> None:
        """Try once. Never raises for what the network or the receiver is like."""
        address = self._book.find(to)
        if address is None:
            self.lost["unknown receiver"] = self.lost.get("unknown receiver", 0) + 1
            return
        try:
            self._socket.sendto(data, address)
        except OSError as error:
            self._count(error)

    def close(self) -> None:
        """Give the port back."""
        for own in (*self._peers, self._socket):
            own.close()

    def _count(self, error: OSError) -> None:
        name = errno.errorcode.get(error.errno or 0, str(error.errno))
        self.lost[name] = self.lost.get(name, 0) + 1

    def _connect(self, peers: Sequence[Address], buffer_bytes: int) -> list[socket.socket]:
        """A socket for each peer that has a route. What arrives between bind and connect may be anybody's; it
        stays in that socket's buffer and is read like the rest.

        The port is shared among these sockets only, and not for longer than this: two processes that both
        asked for SO_REUSEADDR would take each other's datagrams.
        """
        connected: list[socket.socket] = []
        local = self._socket.getsockname()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for peer in peers:
            own = _new_socket()
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _widen(own, buffer_bytes)
            try:
                own.bind(local)
                own.connect(peer)
            except OSError:  # no such network here now: its datagrams come in with the strangers'
                own.close()
            else:
                connected.append(own)
        for own in (*connected, self._socket):
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        return connected


def _new_socket() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


def _widen(own: socket.socket, wanted: int) -> int:
    granted = []
    for force, plain in (("SO_RCVBUFFORCE", socket.SO_RCVBUF), ("SO_SNDBUFFORCE", socket.SO_SNDBUF)):
        try:
            own.setsockopt(socket.SOL_SOCKET, _FORCE[force], wanted)
        except OSError:  # not root: the kernel caps it at rmem_max, wmem_max
            own.setsockopt(socket.SOL_SOCKET, plain, wanted)
        granted.append(own.getsockopt(socket.SOL_SOCKET, plain) // 2)
    return min(granted)


_FORCE = {"SO_RCVBUFFORCE": 33, "SO_SNDBUFFORCE": 32}
"""Linux; the socket module does not name them."""


def _cannot_bind(address: Address, error: OSError) -> str:
    where = f"UDP {address[0]}:{address[1]}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use by another process: stop it (ss -ulnp shows which), or choose another port"
    if error.errno == errno.EACCES:
        return f"{where}: no permission to use this port: choose one from 1024 up, or run as root"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{where}: this machine has no such address: correct 'host' in the configuration"
    return f"{where}: {error.strerror}: correct 'host' and 'port' in the configuration"
