"""Hostile datagrams against live replica processes: noise, spoiled traffic, lies with a member's seal.

Four processes run; then the fourth is killed and the attacker takes its port and its keys, so that it hears
real traffic and may speak as a member. The other three must go on serving: no answer without the victim.

``TRAITOR_HOSTILE_DATAGRAMS`` says how many are sent.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pbft_node import by_hand
from pbft_node.core.cluster import MILLISECOND_NS, Cluster
from pbft_node.core.codec import decode
from pbft_node.core.frames import HEADER, HEADER_BYTES, Malformed, MessageType, parse_frame
from pbft_node.core.seal import Seal
from pbft_node.genesis import ClientBlock, Genesis, make_genesis, write_json, write_replica

DATAGRAMS = int(os.environ.get("TRAITOR_HOSTILE_DATAGRAMS", "40000"))
VICTIM, LIAR = 1, 3
NUMBERS = (0, 1, 2, 3, 4, 5, 8, 12, 13, 2**31, 2**62, 2**62 + 1, 2**64 - 1)
BURST = 100
"""Datagrams sent before the victim's socket is seen empty: what overflows would test nothing."""


def ports(count: int) -> list[int]:
    """Ports nobody uses now."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    found = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return found


def wait_for(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.002)


class Live:
    """Four processes on this machine, with checkpoints every four numbers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        *replicas, client = ports(5)
        settings = {"checkpoint_interval": 4, "window": 8, "pipeline": 4}
        timers = {"request_timeout_ns": 500 * MILLISECOND_NS, "view_change_timeout_ns": 500 * MILLISECOND_NS}
        timers |= {"status_busy_ns": 50 * MILLISECOND_NS, "status_idle_ns": 200 * MILLISECOND_NS}
        cluster = Cluster(cluster_id=b"hostile, live...", n=4, **settings, **timers)
        block = ClientBlock(1000, 1999, "127.0.0.1", client)
        self.genesis: Genesis = make_genesis(cluster, 7, [("127.0.0.1", p) for p in replicas], [block])
        self.configs = [
            write_replica(self.genesis, i, folder / str(i), durability="write") for i in range(cluster.n)
        ]
        write_json(folder / "client.json", self.genesis.client_config(0))
        self.processes = [self.start(i) for i in range(cluster.n)]

    def start(self, index: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "pbft_node", "--config", str(self.configs[index])]
        with (self.folder / str(index) / "stderr.log").open("ab") as stderr:
            process = subprocess.Popen(command, stderr=stderr)
        wait_for(lambda: self.trace(index), f"replica {index} is up")
        return process

    def trace(self, index: int) -> list[dict[str, object]]:
        path = self.folder / str(index) / "trace.jsonl"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def call(self, *fields: str) -> int:
        """The exit code of a client by hand: 0 is an answer of the service."""
        return by_hand.main(["call", str(self.folder / "client.json"), *fields, "--timeout", "20"])

    def waiting_bytes(self, index: int) -> tuple[int, int]:
        """What lies unread in the socket of a replica, and how many datagrams did not fit in, ever."""
        port = f":{self.genesis.replicas[index][1]:04X}"
        for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(port):
                return int(fields[4].split(":")[1], 16), int(fields[-1])
        raise AssertionError(f"replica {index} has closed its socket: {self.last_words(index)}")

    def last_words(self, index: int) -> str:
        return (self.folder / str(index) / "stderr.log").read_text()[-2000:]

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(timeout=10)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    made = Live(tmp_path)
    yield made
    made.end()


class Attacker:
    """Replica 3's port and keys, a memory of what came in there, and bad intentions."""

    def __init__(self, live: Live, seed: int) -> None:
        self.stream = random.Random(seed)
        self.target = live.genesis.replicas[VICTIM]
        self.seal = Seal(live.genesis.cluster, LIAR, live.genesis.replica_keyring(LIAR))
        self.heard: list[bytes] = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.bind(live.genesis.replicas[LIAR])
        self.socket.setblocking(False)

    def listen(self) -> None:
        """Keep the latest of what correct replicas send to the fourth."""
        try:
            while True:
                self.heard.append(self.socket.recv(65_535))
        except BlockingIOError:
            del self.heard[:-500]

    def learns_from(self, live: Live) -> bool:
        """A call more; whether enough was overheard to lie well."""
        assert live.call("put", "k", str(len(self.heard))) == 0
        self.listen()
        usual = {MessageType.PRE_PREPARE, MessageType.PREPARE, MessageType.COMMIT, MessageType.STATUS}
        return len(self.heard) > 40 and usual <= {decode(data)[1].type for data in self.heard}

    def send(self, count: int) -> None:
        for _ in range(count):
            self.socket.sendto(self.datagram(), self.target)

    def datagram(self) -> bytes:
        kind = self.stream.randrange(8)
        data = self.stream.choice(self.heard)
        if kind == 0:
            return self.stream.randbytes(self.stream.randrange(1500))
        if kind == 1:
            return data
        if kind < 5:
            return self.spoiled(data)
        return self.resealed(data)

    def spoiled(self, data: bytes) -> bytes:
        """A bit flipped, the end cut, two spliced, a header field rewritten; not sealed again."""
        kind, position = self.stream.randrange(4), self.stream.randrange(len(data))
        if kind == 0:
            return (
                data[:position]
                + bytes([data[position] ^ 1 << self.stream.randrange(8)])
                + data[position + 1 :]
            )
        if kind == 1:
            return data[:position]
        if kind == 2:
            other = self.stream.choice(self.heard)
            return data[:position] + other[self.stream.randrange(len(other)) :]
        fields = list(HEADER.unpack_from(data))
        index = self.stream.randrange(1, len(fields))
        fields[index] = self.stream.choice(NUMBERS) % (1 << (8, 8, 8, 8, 8, 32, 64, 64, 32)[index])
        return HEADER.pack(*fields) + data[HEADER_BYTES:]

    def resealed(self, data: bytes) -> bytes:
        """Another type, view, number or a shorter body, in replica 3's name and with its seal."""
        try:
            frame, end = parse_frame(data)
        except Malformed:
            return data
        stream = self.stream
        type_ = stream.choice(list(MessageType)) if stream.random() < 0.3 else frame.type
        view = stream.choice(NUMBERS) if stream.random() < 0.5 else frame.view
        seq = stream.choice(NUMBERS) if stream.random() < 0.5 else frame.seq
        body = frame.body[: stream.randrange(len(frame.body) + 1)] if stream.random() < 0.3 else frame.body
        return self.seal.for_peer(VICTIM, type_, view, seq, body) + data[end:]


def test_a_live_replica_outlives_hostile_datagrams(live: Live) -> None:
    for number in range(6):
        assert live.call("put", "k", str(number)) == 0
    live.processes[LIAR].send_signal(signal.SIGKILL)
    live.processes[LIAR].wait(timeout=10)
    attacker = Attacker(live, seed=11)
    wait_for(lambda: attacker.learns_from(live), "real traffic of every usual kind")
    before = live.waiting_bytes(VICTIM)[1]
    for sent in range(0, DATAGRAMS, BURST):
        attacker.send(min(BURST, DATAGRAMS - sent))
        wait_for(lambda: live.waiting_bytes(VICTIM)[0] == 0, f"replica {VICTIM} reads its socket")
        attacker.listen()
        if sent % (DATAGRAMS // 10) == 0:
            assert live.call("put", "k", f"under attack {sent}") == 0
    assert live.waiting_bytes(VICTIM)[1] - before < DATAGRAMS // 100, "too many never reached the process"
    attacker.socket.close()
    assert live.call("put", "k", "after") == 0
    assert live.call("get", "k") == 0
    assert_in_good_health(live)


def assert_in_good_health(live: Live) -> None:
    """Alive, small, in step with the others, and its trace limited however much was rejected."""
    for index in (0, 1, 2):
        assert live.processes[index].poll() is None, live.last_words(index)
        assert "Traceback" not in live.last_words(index)
        assert psutil.Process(live.processes[index].pid).memory_info().rss < 400 * 1024 * 1024
        assert (live.folder / str(index) / "trace.jsonl").stat().st_size < 8 * 1024 * 1024
    executed = lambda i: max(int(str(t["seq"])) for t in live.trace(i) if t["e"] == "executed")  # noqa: E731
    wait_for(lambda: executed(VICTIM) == executed(0) == executed(2), "all three execute the same numbers")
    digests = [{t["seq"]: t["digest"] for t in live.trace(i) if t["e"] == "executed"} for i in (0, 1, 2)]
    assert all(len({d[seq] for d in digests if seq in d}) == 1 for seq in digests[0])
    rejected = [t for t in live.trace(VICTIM) if t["e"] == "rejected"]
    counted = sum(int(str(t.get("count", 1))) for t in rejected)
    assert counted > DATAGRAMS // 4, f"only {counted} of {DATAGRAMS} were worth a rejection"
    assert not any(t["e"] == "alarm" for i in (0, 1, 2) for t in live.trace(i))
