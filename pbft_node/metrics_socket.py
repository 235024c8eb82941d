"""``metrics.sock``: a unix stream socket in the replica's folder; whoever connects is told the metrics.

The replica never waits for a reader and keeps nothing of one: an answer goes into the connection's buffer in
one non-blocking write and the connection is closed, whether anybody reads it or not. Answers are bounded per
turn and made at most once in ``REUSE_NS``. Mode 0600: for the replica's own user. Unix addresses are at most
108 bytes long, so both sides name the folder by descriptor.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .errors import NodeError

MAX_ANSWERS_PER_TURN = 8
MAX_ANSWER_BYTES = 128 * 1024
"""What fits into a unix socket's buffer (by default 208 KiB, bookkeeping included)."""
REUSE_NS = 50_000_000
_LISTEN = 64


class NoAnswer(NodeError):
    """Nobody told the metrics in time."""

    exit_code = 3


class MetricsSocket:
    """The replica's side."""

    def __init__(self, path: Path, answer: Callable[[int], bytes]) -> None:
        """Raises OSError when it cannot be."""
        self._path = path
        self._answer = answer
        self._made = b""
        self._made_ns: int | None = None
        _remove_stale(path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        mask = os.umask(0o177)
        try:
            with _address(path) as address:
                self._listener.bind(address)
            self._listener.listen(_LISTEN)
        except BaseException:
            self._listener.close()
            raise
        finally:
            os.umask(mask)

    def fileno(self) -> int:
        """For epoll."""
        return self._listener.fileno()

    def serve(self, now_ns: int) -> bool:
        """Answer who waits, some of them. False when the socket is of no more use."""
        for _ in range(MAX_ANSWERS_PER_TURN):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return True
            except OSError:  # out of descriptors, say: the replica has better uses for its turns
                return False
            connection.setblocking(False)
            with connection, contextlib.suppress(OSError):  # it is gone, or its buffer is too small
                connection.send(self._current(now_ns))
        return True

    def close(self) -> None:
        """Take the socket out of the folder."""
        self._listener.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _current(self, now_ns: int) -> bytes:
        if self._made_ns is None or now_ns - self._made_ns >= REUSE_NS:
            self._made, self._made_ns = self._answer(now_ns), now_ns
        return self._made


def ask(path: Path, timeout_seconds: float) -> bytes:
    """What the replica behind a socket tells. Raises NoAnswer, with what to do."""
    deadline = time.monotonic() + timeout_seconds
    pieces: list[bytes] = []
    try:
        with _address(path) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            _connect(connection, address, deadline)
            while sum(map(len, pieces)) <= MAX_ANSWER_BYTES:
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                piece = connection.recv(65_536)
                if not piece:
                    break
                pieces.append(piece)
    except (FileNotFoundError, ConnectionRefusedError):
        raise NoAnswer(
            f"{path}: no replica answers there. Is it running? See stderr.log or start it: "
            f"python -m pbft_node --config {path.parent / 'config.json'}"
        ) from None
    except TimeoutError:
        raise NoAnswer(
            f"{path}: no answer within {timeout_seconds:g} s. Its process is stopped (state T) or a "
            "turn takes that long: see top, or ask again with a longer --timeout"
        ) from None
    except OSError as error:
        raise NoAnswer(f"{path}: {error.strerror}. Only the replica's own user may ask it") from None
    return b"".join(pieces)


def _connect(connection: socket.socket, address: str, deadline: float) -> None:
    """Again while others wait in front: a full queue is refused at once, whatever the timeout."""
    connection.setblocking(False)
    while True:
        try:
            connection.connect(address)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TimeoutError from None
            select.poll().poll(10)


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """A name for it that is short, however deep the folder lies."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _remove_stale(path: Path) -> None:
    """A killed replica leaves its socket behind. Another file, or a socket in use, is left alone."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(17, "a file that is no socket is in its place")
    except FileNotFoundError:
        return
    with _address(path) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(address)
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass
        raise FileExistsError(98, "another process answers there")
