"""What a world needs from a system under test, so that a foreign cluster is one small class.

An adapter writes what each replica needs before its first start and says how to start it; the world does
the rest. ``PbftNodeAdapter`` is the first one and gets no private door.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.topology import REPLICA_PORT
from pbft_node.core.cluster import Cluster
from pbft_node.genesis import ClientBlock, Genesis, make_genesis, write_replica

_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class ReplicaProgram:
    """How to start a replica, the first time and again."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    """All of it; nothing is inherited."""
    folder: Path
    """The replica's own files; ``stderr.log`` is written here."""
    ready_port: int | None = REPLICA_PORT
    """It has come up when it listens here (UDP or TCP); None: as soon as it runs."""
    trace: Path | None = None
    """Where each life begins with a ``started`` line, which proves that it came up; None: it writes none."""
    clock: Path | None = None
    """Where whoever writes moves its clock (``pbft_node.clock``); None: nobody can."""
    comes_back_by: str = "started"
    """The event that proves it for all lives but the first: ``recovered`` for one that forgets its promises
    when it ends, and has no vote before."""


class Adapter(Protocol):
    """A system under test."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def capabilities(self) -> frozenset[str]:
        """Of ``restart`` (from its own log), ``keys`` (we hold them), ``trace`` (it writes one)."""

    def prepare(self, replica: int, folder: Path) -> ReplicaProgram:
        """Write what it needs, a fresh log too, into ``folder`` (made if missing)."""


class PbftNodeAdapter:
    """Replicas of ``pbft_node``. Clients use the genesis' ``client_config``."""

    name = "pbft_node"
    capabilities = frozenset({"restart", "keys", "trace"})

    def __init__(
        self,
        genesis: Genesis,
        env: Mapping[str, str],
        durability: str = "fsync",
        journal: str | None = "journal",
        *,
        clock: str | None = None,
    ) -> None:
        self.genesis = genesis
        paths = os.pathsep.join(filter(None, (str(_ROOT), env.get("PYTHONPATH"))))
        self._env = {**env, "PYTHONPATH": paths}
        self._durability = durability
        self._journal = journal
        self._clock = clock

    @classmethod
    def make(
        cls,
        cluster: Cluster,
        seed: int,
        replicas: Sequence[tuple[str, int]],
        clients: Sequence[ClientBlock],
        env: Mapping[str, str],
    ) -> PbftNodeAdapter:
        """With test keys derived from the seed. ``env`` is the environment the replicas get."""
        return cls(make_genesis(cluster, seed, replicas, clients), env)

    def prepare(self, replica: int, folder: Path) -> ReplicaProgram:
        """See ``Adapter``."""
        path = write_replica(
            self.genesis,
            replica,
            folder,
            durability=self._durability,
            journal=self._journal,
            clock=self._clock,
        )
        argv = (sys.executable, "-P", "-m", "pbft_node", "--config", str(path.resolve()))
        back = "recovered" if self._durability == "none" else "started"
        return ReplicaProgram(
            argv,
            folder,
            self._env,
            folder,
            trace=folder / "trace.jsonl",
            clock=None if self._clock is None else folder / self._clock,
            comes_back_by=back,
        )
