"""Puts one replica together from its configuration and runs it: ``python -m pbft_node --config FILE``.

Exit codes: 0 stopped by SIGTERM or SIGINT · 2 wrong configuration · 3 the log cannot be trusted or written,
or the core halted · 4 the machine is at fault (port, rights, space) · 70 a bug of ours, with its traceback.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from .config import ReplicaConfig, load_replica
from .core.codec import NONCE_BYTES
from .core.records import LOST_LOG
from .core.replica import Replica
from .errors import EXIT_BUG, ConfigError, LostLogError, NodeError
from .metrics_socket import MetricsSocket
from .own_services import load_service
from .runtime import Runtime
from .trace import TraceFile
from .transport import BUFFER_BYTES, AddressBook, UdpTransport
from .wal import Log, Opened, open_log, start_over

MAX_ALARMS = 10
"""Told on stderr in one life; the trace has them all."""


def main(path: Path, *, silent: bool = False) -> int:
    """Run the replica configured in ``path`` until it is stopped. Its exit code.

    ``silent``: come back without a vote if the log is lost.
    """
    try:
        config = load_replica(path)
        _run(config, _open_log(config, silent))
    except NodeError as error:
        _say(f"stopped: {error}")
        return error.exit_code
    except Exception:
        import traceback  # not needed for a start, which must be quick

        _say("stopped by a bug in pbft_node; what the events of this turn asked for was not sent:")
        traceback.print_exc()
        return EXIT_BUG
    return 0


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
    _say(
        f"{what}{kept}. Silent until it has the state of the others and they entered another view; for that "
        f"{cluster.quorum} others must answer that are not silent themselves"
    )
    return opened


class _Teller:
    """What the person who looks after a replica should not have to find in its trace; little of it."""

    def __init__(self) -> None:
        self._alarms = 0
        self._configured_otherwise: set[object] = set()

    def tell(self, kind: str, fields: Mapping[str, object]) -> None:
        """Once for a peer, ten times for an alarm: nobody fills a disk with it."""
        if kind == "recovered":
            _say(f"recovered: it votes again, in view {fields['view']}")
        elif kind == "silent":
            self._silent(fields)
        elif kind == "alarm" and self._alarms < MAX_ALARMS:
            self._alarms += 1
            _say(f"alarm: {fields['reason']}. See its trace for what led there")
        elif kind == "rejected" and fields["sender"] not in self._configured_otherwise:
            self._configured_otherwise.add(fields["sender"])
            _say(f"replica {fields['sender']}: {fields['reason']}. Neither helps the other catch up")

    @staticmethod
    def _silent(fields: Mapping[str, object]) -> None:
        if not fields["answers"]:
            return
        told = ", ".join(str(replica) for replica in cast(list[int], fields["answers"]))
        bound = "" if fields["bound"] is None else f": it may vote from view {fields['bound']} on"
        _say(f"silent: answered by {told}, needs {fields['needed']}{bound}")


def _run(config: ReplicaConfig, opened: Opened) -> None:
    cluster, me = config.cluster, config.replica
    try:
        service = load_service(cluster.service, _say)
    except ConfigError as problem:
        raise ConfigError(f"{config.path}: cluster.{problem}") from None
    address = config.replica_addresses[me]
    peers = [other for index, other in enumerate(config.replica_addresses) if index != me]
    transport = UdpTransport(address, AddressBook(config.replica_addresses, config.client_addresses), peers)
    trace = None if config.trace is None else TraceFile(config.trace)
    if opened.cut_bytes:
        _say(
            f"{config.log}: cut off a torn write of {opened.cut_bytes} bytes at its end; nothing rested on it"
        )
    if transport.buffer_bytes < BUFFER_BYTES:
        _say(
            f"socket buffers of {transport.buffer_bytes} bytes, not {BUFFER_BYTES}: a long pause may lose "
            "datagrams (sysctl net.core.rmem_max, net.core.wmem_max)"
        )
    _say(
        f"replica {me} of {cluster.n} at {address[0]}:{address[1]}, {len(opened.records)} records in its log"
    )
    replica = Replica(cluster, me, config.keyring, service)
    replica.traces_debug = config.trace_level == "debug"
    runtime = Runtime(replica, opened.log, transport, trace)
    runtime.turns.tell = _Teller().tell
    runtime.metrics = _metrics(config, replica, runtime, opened.log, transport)
    try:
        nonce = os.urandom(NONCE_BYTES)  # noqa: TID251  the core has no chance of its own
        runtime.run(opened.records, time.time_ns() - time.monotonic_ns(), nonce)
    finally:
        runtime.close()
        if transport.lost:
            lost = ", ".join(f"{count} {reason}" for reason, count in sorted(transport.lost.items()))
            _say(f"datagrams that could not be sent: {lost}")
    _say("stopped by a signal")


def _metrics(
    config: ReplicaConfig, replica: Replica, runtime: Runtime, log: Log, transport: UdpTransport
) -> MetricsSocket | None:
    """Nothing rests on it: where it cannot be, the replica says so and runs without."""
    if config.metrics is None:
        return None
    up_since_ns = time.monotonic_ns()

    def answer(now_ns: int) -> bytes:
        from . import metrics  # not needed for a start

        try:
            sources = metrics.Sources(replica, runtime.meter, config.keyring, log, transport, up_since_ns)
            return json.dumps(metrics.snapshot(sources, now_ns)).encode()
        except Exception as bug:  # a bug here must not cost the replica
            return json.dumps({"schema": metrics.SCHEMA, "error": repr(bug)}).encode()

    try:
        return MetricsSocket(config.metrics, answer)
    except OSError as error:
        _say(f"{config.metrics}: no metrics can be asked for: {error.strerror}. Mend it, or set it to null")
        return None


def _say(line: str) -> None:
    print(f"pbft_node: {line}", file=sys.stderr, flush=True)
