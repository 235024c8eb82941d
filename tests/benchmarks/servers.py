"""Starts what is measured: a cluster of replicas, or the same service unreplicated, as processes of this
machine.

Everything lives in one temporary folder and dies with this process, however it ends (PR_SET_PDEATHSIG).
Each cluster has loopback addresses of its own, so no port can be taken.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import count
from pathlib import Path

import psutil
from machine import cpu_ns

from pbft_node.config import ClientConfig, load_client
from pbft_node.core.cluster import Cluster
from pbft_node.genesis import ClientBlock, make_genesis, write_replica

ROOT = Path(__file__).resolve().parents[2]
PORT = 7000
FIRST_CLIENT, LAST_CLIENT = 1000, 9999
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
_hosts = count(0)


@dataclass(slots=True)
class Servers:
    """Running replicas (or the one unreplicated server, as replica 0) and how to be their clients."""

    cluster: Cluster
    folder: Path
    clients: ClientConfig
    commands: list[list[str]]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, index: int) -> None:
        """(Re)start one; its stderr goes on in ``<index>.stderr``."""
        with open(self.folder / f"{index}.stderr", "ab") as stderr:
            process = subprocess.Popen(
                self.commands[index],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"},
                preexec_fn=_die_with_parent,
            )
        if index < len(self.processes):
            self.processes[index] = process
        else:
            self.processes.append(process)

    def kill(self, index: int) -> None:
        """SIGKILL, and wait until it is gone."""
        self.processes[index].kill()
        self.processes[index].wait()

    def cpu_ns(self) -> list[int]:
        """Time on a processor so far, of each."""
        return [cpu_ns(process.pid) for process in self.processes]

    def rss_bytes(self) -> list[int]:
        """Memory of each; 0 for one that is gone."""
        return [psutil.Process(p.pid).memory_info().rss if p.poll() is None else 0 for p in self.processes]

    def log_bytes(self) -> list[int]:
        """Size of each write-ahead log."""
        return [
            path.stat().st_size if (path := self.folder / str(i) / "wal").exists() else 0
            for i in range(len(self.processes))
        ]

    def complaints(self) -> str:
        """The last words of those that ended by themselves."""
        words = []
        for index, process in enumerate(self.processes):
            if process.poll() is not None:
                said = (self.folder / f"{index}.stderr").read_text(errors="replace").strip()[-2000:]
                words.append(f"server {index} ended with {process.returncode}: {said or 'silently'}")
        return "\n".join(words)


@contextmanager
def replicas(cluster: Cluster, *, durability: str = "none") -> Iterator[Servers]:
    """A cluster as users run it, without a trace."""
    with _servers(cluster, durability) as (servers, configs):
        servers.commands = [[sys.executable, "-m", "pbft_node", "--config", str(path)] for path in configs]
        yield from _running(servers)


@contextmanager
def unreplicated(cluster: Cluster, *, crypto: bool = True, durability: str = "none") -> Iterator[Servers]:
    """The same service behind one process (see ``unreplicated.py``), at the address of replica 0."""
    with _servers(cluster, durability) as (servers, configs):
        script = Path(__file__).with_name("unreplicated.py")
        servers.commands = [[sys.executable, str(script), str(configs[0]), "crypto" if crypto else "open"]]
        yield from _running(servers)


def _running(servers: Servers) -> Iterator[Servers]:
    try:
        for index in range(len(servers.commands)):
            servers.start(index)
        yield servers
    finally:
        for process in servers.processes:
            process.kill()
        for process in servers.processes:
            process.wait()


@contextmanager
def _servers(cluster: Cluster, durability: str) -> Iterator[tuple[Servers, list[Path]]]:
    host = f"127.{os.getpid() >> 8 & 255}.{os.getpid() & 255}.{next(_hosts) % 250 + 2}"
    folder = Path(tempfile.mkdtemp(prefix="traitor-bench-"))
    try:
        addresses = [(host, PORT + i) for i in range(cluster.n)]
        block = ClientBlock(FIRST_CLIENT, LAST_CLIENT, host, PORT + cluster.n)
        genesis = make_genesis(cluster, 1, addresses, [block])
        configs = [
            write_replica(genesis, i, folder / str(i), durability=durability, trace=None)
            for i in range(cluster.n)
        ]
        clients = load_client(genesis.client_config(0))
        yield Servers(cluster, folder, clients, []), configs
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_cluster(**settings: object) -> Cluster:
    """n = 4 and the ``null`` service unless told otherwise; every other setting is the node's default."""
    name = b"traitor benchmark"
    values: dict[str, object] = {"n": 4, "service": "null", **settings}
    return Cluster(cluster_id=blake2b(name, digest_size=16).digest(), **values)  # type: ignore[arg-type]


def stop_on_signals() -> None:
    """SIGTERM and SIGHUP (without nohup) end a benchmark as Ctrl-C does: folders are removed, processes
    killed."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, interrupt)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
