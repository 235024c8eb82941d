"""What must hold after any run, whatever happened in it. Every check raises ``AssertionError`` with a reason.

``History`` is what clients saw of one append-only list. For such a list linearizability needs no search: the
final list is the order, so every acknowledged append is in it once, every list read is a beginning of it,
and whatever ended before something else began comes before it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from memory_cluster import MemoryCluster
from promises import Promises

from pbft_node.core.operations import decode_fields

KEY = b"k"


@dataclass
class Operation:
    """One operation of a client: an append of ``element``, or a read where that is None."""

    client: int
    element: bytes | None
    invoked_ns: int
    completed_ns: int | None = None
    result: tuple[bytes, ...] = ()
    given_up: bool = False
    path: str = ""


def check_all(cluster: MemoryCluster, promises: Promises, liars: Collection[int]) -> None:
    """What nobody may have done at any time."""
    halted = {index: why for index, why in cluster.halted.items() if index not in liars}
    assert not halted, f"halted: {halted}"
    assert not promises.problems, f"contradictions signed: {promises.problems[:3]}"
    check_agreement(cluster, liars)
    alarms = [(i, trace) for _, i, _, trace in cluster.traces if trace.kind == "alarm" and i not in liars]
    assert not alarms, f"alarms: {alarms[:3]}"
    check_quorums(cluster, liars)
    check_blame(cluster, liars)


def check_end(cluster: MemoryCluster, history: list[Operation], liars: Collection[int]) -> None:
    """The run is over, everybody is up and has executed as much as the others."""
    correct = [index for index in range(cluster.cluster.n) if index not in liars]
    states = {cluster.replica(i).store.image().digest for i in correct}
    assert len(states) == 1, f"{len(states)} different states among replicas that executed the same"
    check_history(history)


def check_agreement(cluster: MemoryCluster, liars: Collection[int]) -> None:
    """One digest per number and per checkpoint, one list of requests, each executed at one number only."""
    seen: dict[tuple[str, object], object] = {}
    executed_at: dict[tuple[object, object], object] = {}
    following: dict[tuple[int, int], int] = {}
    for _, replica, life, trace in cluster.traces:
        if replica in liars:
            continue
        if trace.kind in ("committed", "executed", "checkpoint"):
            seq, digest = trace.fields["seq"], trace.fields["digest"]
            known = seen.setdefault((trace.kind, seq), digest)
            assert known == digest, f"two digests {trace.kind} at {seq}"
        if trace.kind in ("started", "state-transfer"):
            if trace.fields.get("step") != "started":
                name = "executed" if trace.kind == "started" else "seq"
                following[replica, life] = int(str(trace.fields[name])) + 1
        elif trace.kind == "executed":
            assert seq == following[replica, life], f"replica {replica}: number {seq} out of order"
            following[replica, life] += 1
            requests = trace.fields["requests"]
            assert seen.setdefault(("requests", seq), requests) == requests, f"two batches executed at {seq}"
            for client, timestamp, _, outcome in requests:  # type: ignore[attr-defined]
                if outcome == "executed":
                    where = executed_at.setdefault((client, timestamp), seq)
                    assert where == seq, f"request {client}/{timestamp} executed at {where} and at {seq}"


def check_quorums(cluster: MemoryCluster, liars: Collection[int]) -> None:
    """Behind every decision stands a quorum that was prepared by then.

    Liars count, and who came back before: it may have its certificate on disk and lost the trace.
    """
    prepared: dict[tuple[object, object], set[int]] = {}
    doubtful = set(liars)
    for _, replica, life, trace in cluster.traces:
        if replica in liars:
            continue
        if life > 1:
            doubtful.add(replica)
        if trace.kind not in ("prepared", "committed"):
            continue
        behind = prepared.setdefault((trace.fields["seq"], trace.fields["digest"]), set())
        if trace.kind == "prepared":
            behind.add(replica)
        else:
            count = len(behind | doubtful)
            assert count >= cluster.cluster.quorum, f"{trace} with only {sorted(behind)} prepared"


def check_history(history: list[Operation]) -> None:
    """Linearizable, each append exactly once. The last operation is a read after everything ended."""
    final = history[-1].result
    place = {element: index for index, element in enumerate(final)}
    assert len(place) == len(final), f"an element twice: {final}"
    assert set(place) <= {op.element for op in history}, "an element nobody appended"
    events = []
    for op in history:
        done = op.completed_ns is not None
        if op.element is not None:
            assert not done or op.element in place, f"{op} was acknowledged and is gone"
            low = high = place.get(op.element, len(final))
        else:
            assert op.result == final[: len(op.result)], f"{op} is no beginning of {final}"
            low, high = len(op.result) - 1, len(op.result)
        events.append((op.invoked_ns, 1, low, high, op))
        if done:
            events.append((op.completed_ns, 0, low, high, op))
    latest = -1
    for _, begins, low, high, op in sorted(events, key=lambda event: event[:2]):
        if not begins:
            latest = max(latest, low)
        elif op.completed_ns is not None and op.element is None:
            assert high > latest, f"stale: {op} began when {latest + 1} elements were certain"
        elif op.completed_ns is not None:
            assert low > latest, f"{op} is before what ended before it began"


def check_blame(cluster: MemoryCluster, liars: Collection[int]) -> None:
    """Correct replicas and their clients blame nobody but liars. Who is named on what is not authentic did
    not write it."""
    for source, rejected in cluster.rejected:
        if source in liars:
            continue
        forged = rejected.sender is None or rejected.reason == "not authentic"
        anonymous = forged or rejected.sender >= cluster.cluster.n
        fits = rejected.sender in liars or (anonymous and liars)
        assert fits, f"{source} rejects what a correct one sent: {rejected}"


def check_memory(cluster: MemoryCluster, liars: Collection[int]) -> None:
    """Nothing a replica keeps grows past the window, whoever sends what. Asked in the middle of runs."""
    window, n = cluster.cluster.window, cluster.cluster.n
    for index, host in enumerate(cluster.hosts):
        replica = host.replica
        if replica is None or index in liars:
            continue
        checkpoints = window // cluster.cluster.checkpoint_interval + 2
        sizes = {
            "slots": (len(replica.slots), window),
            "certificates": (len(replica.certificates), window),
            "decided": (len(replica.decided), window),
            "decision_claims": (len(replica.decision_claims), window),
            "checkpoint_votes": (len(replica.checkpoint_votes), checkpoints),
            "snapshots": (len(replica.snapshots), checkpoints),
            "view_changes": (len(replica.view_changes), n),
            "pending": (len(replica.pending), len(cluster.clients)),
            "early": (sum(map(len, replica.early.values())), 512 * n),
        }
        over = {name: size for name, size in sizes.items() if size[0] > size[1]}
        assert not over, f"replica {index} holds more than the window explains: {over}"


def read_result(result: bytes) -> tuple[bytes, ...]:
    """The elements of a ``read``."""
    fields = decode_fields(result)
    assert fields is not None
    assert fields[0] == b"list", fields
    return tuple(fields[1:])
