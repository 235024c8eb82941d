"""A replica process in lockstep, driven by hand: forked from the test, so that a test may plant its core."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from pathlib import Path

from pbft_node import lockstep
from pbft_node.core.cluster import Cluster
from pbft_node.genesis import ClientBlock, Genesis, make_genesis, write_replica
from pbft_node.lockstep_wire import BEGIN, BEGINNING, END_TURN, READ_BYTES, Frame, frame, frames

SECONDS = 20
NONCE = b"n" * 16
MS = 1_000_000


def genesis() -> Genesis:
    cluster = Cluster(n=4, cluster_id=b"c" * 16, batch_limit=1)
    addresses = [("127.0.0.1", 7000 + replica) for replica in range(4)]
    return make_genesis(cluster, 1, addresses, [ClientBlock(1000, 1099, "127.0.0.1", 7100)])


def place(folder: Path) -> Path:
    """The config of replica 0, the primary, in a new folder."""
    return write_replica(genesis(), 0, folder / "replicas" / "0")


class Driven:
    """One life."""

    def __init__(self, config: Path, *, buffer_bytes: int | None = None) -> None:
        self.folder = config.parent
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(SECONDS)
        for one in (self.socket, theirs) if buffer_bytes else ():
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self.pid = os.fork()
        if self.pid == 0:
            code = 99
            try:
                self.socket.close()
                said = os.open(self.folder / "stderr.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                sys.stderr = os.fdopen(said, "w")  # pytest has put something else there
                code = lockstep.main(config, theirs.detach())
            finally:
                sys.stderr.flush()
                os._exit(code)
        theirs.close()
        self.pidfd = os.pidfd_open(self.pid)
        self._frames = frames(lambda: self.socket.recv(READ_BYTES))
        self.code: int | None = None

    def say(self, *words: bytes) -> None:
        self.socket.sendall(b"".join(words))

    def begin(self, now_ns: int = 0) -> list[Frame]:
        """And end the first turn."""
        self.say(beginning(now_ns), frame(END_TURN, now_ns + MS))
        return self.answer()

    def answer(self, last: int = 12) -> list[Frame]:
        """Everything up to a frame of that kind."""
        heard = []
        for one in self._frames:
            heard.append(one)
            if one[0] == last:
                return heard
        raise AssertionError(f"it ended: {self.said()}")

    def ended(self) -> int:
        """Its exit code, negative for a signal; bounded."""
        if self.code is None:
            poll = select.poll()
            poll.register(self.pidfd, select.POLLIN)
            assert poll.poll(SECONDS * 1000), f"process {self.pid} does not end"
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self.pidfd)
            self.socket.close()
        return self.code

    def kill(self) -> None:
        if self.code is None:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            assert self.ended() == -signal.SIGKILL

    def said(self) -> str:
        return (self.folder / "stderr.log").read_text()

    def files(self) -> tuple[bytes, bytes]:
        """Log and trace."""
        return (self.folder / "wal").read_bytes(), (self.folder / "trace.jsonl").read_bytes()


def beginning(now_ns: int = 0) -> bytes:
    return frame(BEGIN, now_ns, BEGINNING.pack(5, NONCE))
