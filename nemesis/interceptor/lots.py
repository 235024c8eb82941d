"""Reads many messages of a socket in one call: ``recvmmsg``, which Python has no function for.

It costs a tenth of asking for them one by one, for two reasons: one system call instead of one for each
message, and no exception (5 us, as much as all else together) to say that there are no more. The buffers are
made once. Structures: ``recvmmsg(2)``.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
from functools import partial


class _Part(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("parts", ctypes.POINTER(_Part)),
        ("parts_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    _fields_ = (("header", _Header), ("length", ctypes.c_uint))


_recvmmsg = ctypes.CDLL(None).recvmmsg
"""Without types of arguments, which would cost as much again as the call. Numbers are C's ``int``, None is
NULL."""
_WAIT_FOR_ONE = 0x10000


class Lots:
    """Of at most ``most`` messages of at most ``size`` bytes; what is longer is cut off."""

    def __init__(self, source: socket.socket, most: int, size: int) -> None:
        self._source = source
        self.size = size
        self.memory = bytearray(most * size)
        """Message i begins at ``i * size``. The next lot overwrites it."""
        base = ctypes.addressof((ctypes.c_char * len(self.memory)).from_buffer(self.memory))
        self._parts = (_Part * most)(*(_Part(base + i * size, size) for i in range(most)))
        self._messages = (_Message * most)(
            *(_Message(_Header(parts=ctypes.pointer(part), parts_length=1)) for part in self._parts)
        )
        call = partial(_recvmmsg, source.fileno(), ctypes.byref(self._messages), most)
        self._read_now = partial(call, socket.MSG_DONTWAIT, None)
        self._wait_for_one = partial(call, _WAIT_FOR_ONE, None)

    def read(self) -> int:
        """How many messages came: 0 when there were none. Raises OSError."""
        count: int = self._read_now()
        return count if count >= 0 else self._why_none()

    def wait(self) -> int:
        """The same, but it waits for the first, as long as the socket does (SO_RCVTIMEO)."""
        count: int = self._wait_for_one()
        return count if count >= 0 else self._why_none()

    def message(self, index: int) -> bytes:
        """One of the last lot."""
        at = index * self.size
        return bytes(self.memory[at : at + self._messages[index].length])

    def _why_none(self) -> int:
        """There was none, or reading fails, of which Python knows the words. (When one has come since, it is
        left for the next time.)"""
        with contextlib.suppress(BlockingIOError):
            self._source.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        return 0
