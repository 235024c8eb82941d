"""One non-blocking UDP socket. A datagram that cannot leave is lost and counted: networks lose some anyway.

UDP as in the paper: it hides neither loss nor reordering from the protocol. Addresses come from the
configuration only; who sent a datagram is for its authentication to say, so source addresses are not even
looked at.
"""

from __future__ import annotations

import errno
import socket
from bisect import bisect_right
from collections.abc import Sequence

from .config import Address, ClientAddress
from .core.types import FIRST_CLIENT_ID, Principal
from .errors import MachineError

BUFFER_BYTES = 4 * 1024 * 1024
"""Room for what arrives while the process is paused or busy; the kernel's default holds 256 datagrams."""
MAX_DATAGRAM_BYTES = 65_535


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
    """The socket of one replica, or of a block of clients."""

    def __init__(self, address: Address, book: AddressBook, *, buffer_bytes: int = BUFFER_BYTES) -> None:
        self._book = book
        self.lost: dict[str, int] = {}
        """Datagrams that did not leave, by reason (an errno's name, or ``unknown receiver``)."""
        self._socket = socket.socket(
            socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        try:
            self._socket.bind(address)
        except OSError as error:
            self._socket.close()
            raise MachineError(_cannot_bind(address, error)) from None
        self.buffer_bytes = self._widen(buffer_bytes)
        """What the kernel granted for each direction, the smaller one."""

    def fileno(self) -> int:
        """For epoll."""
        return self._socket.fileno()

    def receive(self, limit: int) -> list[bytes]:
        """The datagrams that wait, ``limit`` at most."""
        datagrams: list[bytes] = []
        receive = self._socket.recv
        try:
            while len(datagrams) < limit:
                datagrams.append(receive(MAX_DATAGRAM_BYTES))
        except BlockingIOError:
            pass
        except OSError as error:  # an ICMP error of an earlier send; reading it has cleared it
            self._count(error)
        return datagrams

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
        self._socket.close()

    def _count(self, error: OSError) -> None:
        name = errno.errorcode.get(error.errno or 0, str(error.errno))
        self.lost[name] = self.lost.get(name, 0) + 1

    def _widen(self, wanted: int) -> int:
        granted = []
        for force, plain in (("SO_RCVBUFFORCE", socket.SO_RCVBUF), ("SO_SNDBUFFORCE", socket.SO_SNDBUF)):
            try:
                self._socket.setsockopt(socket.SOL_SOCKET, _FORCE[force], wanted)
            except OSError:  # not root: the kernel caps it at rmem_max, wmem_max
                self._socket.setsockopt(socket.SOL_SOCKET, plain, wanted)
            granted.append(self._socket.getsockopt(socket.SOL_SOCKET, plain) // 2)
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
