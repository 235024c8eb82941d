"""Runs one replica on this machine's clock and network: ``python -m pbft_node --config FILE``.

Exit codes: ``assembly``; 0 is stopped by SIGTERM or SIGINT.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from .assembly import Parts, Teller, assemble, ending, say
from .clock import ClockFile
from .core.codec import NONCE_BYTES
from .metrics_socket import MetricsSocket
from .runtime import Runtime
from .transport import BUFFER_BYTES, AddressBook, UdpTransport


def main(path: Path, *, silent: bool = False) -> int:
    """Run the replica configured in ``path`` until it is stopped. Its exit code.

    ``silent``: come back without a vote if the log is lost.
    """
    return ending(lambda: _run(assemble(path, silent)))


def _run(parts: Parts) -> None:
    config, opened = parts.config, parts.opened
    me = config.replica
    address = config.replica_addresses[me]
    peers = [other for index, other in enumerate(config.replica_addresses) if index != me]
    transport = UdpTransport(address, AddressBook(config.replica_addresses, config.client_addresses), peers)
    if transport.buffer_bytes < BUFFER_BYTES:
        say(
            f"socket buffers of {transport.buffer_bytes} bytes, not {BUFFER_BYTES}: a long pause may lose "
            "datagrams (sysctl net.core.rmem_max, net.core.wmem_max)"
        )
    say(
        f"replica {me} of {config.cluster.n} at {address[0]}:{address[1]}, {len(opened.records)} records in "
        "its log"
    )
    runtime = Runtime(parts.replica, opened.log, transport, parts.trace, parts.journal)
    runtime.turns.tell = Teller().tell
    runtime.metrics = _metrics(parts, runtime, transport)
    try:
        if config.clock is not None:
            runtime.clock = ClockFile(config.clock)
        nonce = os.urandom(NONCE_BYTES)  # noqa: TID251  the core has no chance of its own
        runtime.run(opened.records, time.time_ns() - time.monotonic_ns(), nonce)
    finally:
        runtime.close()
        if transport.lost:
            lost = ", ".join(f"{count} {reason}" for reason, count in sorted(transport.lost.items()))
            say(f"datagrams that could not be sent: {lost}")
    say("stopped by a signal")


def _metrics(parts: Parts, runtime: Runtime, transport: UdpTransport) -> MetricsSocket | None:
    """Nothing rests on it: where it cannot be, the replica says so and runs without."""
    config = parts.config
    if config.metrics is None:
        return None
    up_since_ns = time.monotonic_ns()

    def answer(now_ns: int) -> bytes:
        from . import metrics  # not needed for a start

        try:
            sources = metrics.Sources(
                parts.replica, runtime.meter, config.keyring, parts.opened.log, transport, up_since_ns
            )
            return json.dumps(metrics.snapshot(sources, now_ns)).encode()
        except Exception as bug:  # a bug here must not cost the replica
            return json.dumps({"schema": metrics.SCHEMA, "error": repr(bug)}).encode()

    try:
        return MetricsSocket(config.metrics, answer)
    except OSError as error:
        say(f"{config.metrics}: no metrics can be asked for: {error.strerror}. Mend it, or set it to null")
        return None
