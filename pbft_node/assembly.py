"""Puts a replica together from its configuration, for every driver alike (``node``, ``lockstep``).

``ending`` runs a life and turns its end into an exit code of ``python -m pbft_node``: 0 stopped in order ·
2 wrong configuration · 3 the log cannot be trusted, or the core halted · 4 the machine is at fault (port,
rights, space for log, journal or trace) · 70 a bug of ours, with its traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from .config import ReplicaConfig, load_replica
from .core.records import LOST_LOG
from .core.replica import Replica
from .errors import EXIT_BUG, ConfigError, LostLogError, NodeError
from .journal import Journal
from .own_services import load_service
from .trace import TraceFile
from .wal import Opened, open_log, start_over

MAX_ALARMS = 10
"""Told on stderr in one life; the trace has them all."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A replica before its first event."""

    config: ReplicaConfig
    replica: Replica
    opened: Opened
    """Its log, and the records in it."""
    trace: TraceFile | None
    journal: Journal | None


def ending(life: Callable[[], None]) -> int:
    """Live, and say on stderr why it ended. The exit code."""
    try:
        life()
    except NodeError as error:
        say(f"stopped: {error}")
        return error.exit_code
    except Exception:
        import traceback  # not needed for a start, which must be quick

        say("stopped by a bug in pbft_node; what the events of this turn asked for was not sent:")
        traceback.print_exc()
        return EXIT_BUG
    return 0


def assemble(path: Path, silent: bool) -> Parts:
    """The replica configured in ``path``. Raises NodeError.

    ``silent``: come back without a vote if the log is lost.
    """
    config = load_replica(path)
    opened = _open_log(config, silent)
    replica = make_replica(config, say)
    trace = None if config.trace is None else TraceFile(config.trace)
    if opened.cut_bytes:
        say(
            f"{config.log}: cut off a torn write of {opened.cut_bytes} bytes at its end; nothing rested on it"
        )
    return Parts(config, replica, opened, trace, open_journal(config, say))


def open_journal(config: ReplicaConfig, report: Callable[[str], None]) -> Journal | None:
    """If it keeps one. ``report`` takes a text for the log. Raises MachineError."""
    if config.journal is None:
        return None
    cluster_id, limit = config.cluster.cluster_id, config.journal_bytes
    return Journal(config.journal, cluster_id, config.replica, limit=limit, report=report)


def make_replica(
    config: ReplicaConfig, report: Callable[[str], None], kind: type[Replica] = Replica
) -> Replica:
    """The core of the configured replica. Every driver and every world looks it up here, by this name, when a
    life begins: the one place where a test that plants a bug puts another ``kind``.

    ``report``: see ``load_service``. Raises ConfigError.
    """
    try:
        service = load_service(config.cluster.service, report)
    except ConfigError as problem:
        raise ConfigError(f"{config.path}: cluster.{problem}") from None
    replica = kind(config.cluster, config.replica, config.keyring, service)
    replica.traces_debug = config.trace_level == "debug"
    return replica


def _open_log(config: ReplicaConfig, silent: bool) -> Opened:
    """The log, or a new one that says it is lost. With durability ``none`` nobody need be asked."""
    cluster = config.cluster
    try:
        return open_log(config.log, cluster.cluster_id, config.replica, config.durability)
    except LostLogError as lost:
        if not silent and config.lost_log == "stop" and config.durability != "none":
            raise
        what = str(lost).split(". ", 1)[0]
    identity = (cluster.cluster_id, config.replica, config.log_salt)
    opened, aside = start_over(config.log, identity, config.durability, LOST_LOG)
    kept = f"; it is kept as {aside.name}" if aside else ""
    say(
        f"{what}{kept}. Silent until it has the state of the others and they entered another view; for that "
        f"{cluster.quorum} others must answer that are not silent themselves"
    )
    return opened


class Teller:
    """What the person who looks after a replica should not have to find in its trace; little of it."""

    def __init__(self) -> None:
        self._alarms = 0
        self._configured_otherwise: set[object] = set()

    def tell(self, kind: str, fields: Mapping[str, object]) -> None:
        """Once for a peer, ten times for an alarm: nobody fills a disk with it."""
        if kind == "recovered":
            say(f"recovered: it votes again, in view {fields['view']}")
        elif kind == "silent":
            self._silent(fields)
        elif kind == "alarm" and self._alarms < MAX_ALARMS:
            self._alarms += 1
            say(f"alarm: {fields['reason']}. See its trace for what led there")
        elif kind == "rejected" and fields["sender"] not in self._configured_otherwise:
            self._configured_otherwise.add(fields["sender"])
            say(f"replica {fields['sender']}: {fields['reason']}. Neither helps the other catch up")

    @staticmethod
    def _silent(fields: Mapping[str, object]) -> None:
        if not fields["answers"]:
            return
        told = ", ".join(str(replica) for replica in cast(list[int], fields["answers"]))
        bound = "" if fields["bound"] is None else f": it may vote from view {fields['bound']} on"
        say(f"silent: answered by {told}, needs {fields['needed']}{bound}")


def say(line: str) -> None:
    """To the person who looks after the replica."""
    print(f"pbft_node: {line}", file=sys.stderr, flush=True)
