"""The client of section 4.1, sans-IO: one operation at a time, accepted at f+1 matching replies.

A request goes to the believed primary; unanswered, the same bytes go to all replicas, again and again with
doubling pauses. A reply counts for the replica whose key made it, once per operation; what a liar sends
beyond that is ``Rejected``. The client believes in the highest view that f+1 replicas say they reached: one
of them is correct. Drivers: ``invoke``, ``handle`` and ``abandon`` return effects of the same kinds as a
replica's, plus ``Completed``.
"""

from __future__ import annotations

from .authentication import Keyring
from .cluster import Cluster
from .codec import decode
from .effects import CancelTimer, Completed, Effect, Rejected, Send, SetTimer
from .events import Event, Received, TimerFired
from .fragments import Reassembly
from .frames import Malformed
from .messages import Fragment, Reply
from .operations import MAX_OPERATION_BYTES
from .seal import Seal
from .types import FIRST_CLIENT_ID, MAX_TIMESTAMP, ClientId, ReplicaId, Timestamp, View

RETRY_TIMER = "client-retry"


class Client:
    """One logical client. ``last_timestamp``: the last one it ever used, in this life or an earlier one."""

    def __init__(
        self,
        cluster: Cluster,
        client_id: int,
        keys: Keyring,
        *,
        retry: bool = True,
        last_timestamp: int = 0,
    ) -> None:
        assert client_id >= FIRST_CLIENT_ID, f"client id {client_id}: clients begin at {FIRST_CLIENT_ID}"
        self._cluster = cluster
        self._id = ClientId(client_id)
        self._seal = Seal(cluster, client_id, keys)
        self._retry = retry
        self._timestamp = Timestamp(last_timestamp)
        self._request: bytes | None = None
        self._needed = cluster.weak
        self._completed = False
        self._replies: dict[int, Reply] = {}
        self._views = [View(0)] * cluster.n
        self._generation = 0
        self._pause_ns = cluster.client_retry_ns
        self._reassembly = Reassembly()

    @property
    def id(self) -> ClientId:
        """Its principal."""
        return self._id

    @property
    def timestamp(self) -> Timestamp:
        """Of the current or latest operation; the next one is greater."""
        return self._timestamp

    @property
    def busy(self) -> bool:
        """An operation is under way: invoked, neither completed nor abandoned."""
        return self._request is not None and not self._completed

    @property
    def view(self) -> View:
        """The highest view that f+1 replicas claim to have reached; a correct one is among them."""
        return sorted(self._views, reverse=True)[self._cluster.f]

    @property
    def replies(self) -> tuple[Reply, ...]:
        """To the latest operation: the first of each replica, in order of arrival, late ones too."""
        return tuple(self._replies.values())

    def invoke(self, operation: bytes, now_ns: int, *, needed: int | None = None) -> list[Effect]:
        """Begin an operation. ``needed``: matching replies to accept a result, f+1 unless told."""
        assert not self.busy, (
            f"client {self._id} has an operation under way: one at a time (abandon it first)"
        )
        assert len(operation) <= MAX_OPERATION_BYTES, (
            f"operation of {len(operation)} bytes > {MAX_OPERATION_BYTES}"
        )
        assert self._timestamp < MAX_TIMESTAMP, "the client's timestamps are used up"
        self._needed = self._cluster.weak if needed is None else needed
        assert 1 <= self._needed <= self._cluster.n, f"needed = {needed} of {self._cluster.n} replicas"
        self._timestamp = Timestamp(self._timestamp + 1)
        self._request = self._seal.request(self._timestamp, operation)
        self._completed = False
        self._replies = {}
        self._pause_ns = self._cluster.client_retry_ns
        effects: list[Effect] = [Send(self._cluster.primary(self.view), self._request)]
        if self._retry:
            effects.append(self._start_timer())
        return effects

    def abandon(self) -> list[Effect]:
        """Forget the operation. It may still take effect, once, at any later time."""
        self._request = None
        self._replies = {}
        return self._stop_timer()

    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        """A datagram for this client, or its timer. Never raises, whatever the bytes."""
        match event:
            case Received(data):
                return self._received(data)
            case TimerFired(name, generation):
                return self._timer_fired(name, generation)
            case _:
                return []

    def _timer_fired(self, name: str, generation: int) -> list[Effect]:
        if name != RETRY_TIMER or generation != self._generation or not self.busy:
            return []
        assert self._request is not None
        self._pause_ns = min(2 * self._pause_ns, self._cluster.client_retry_max_ns)
        effects: list[Effect] = [Send(ReplicaId(i), self._request) for i in range(self._cluster.n)]
        effects.append(self._start_timer())
        return effects

    def _start_timer(self) -> Effect:
        self._generation += 1
        return SetTimer(RETRY_TIMER, self._generation, self._pause_ns)

    def _stop_timer(self) -> list[Effect]:
        self._generation += 1
        return [CancelTimer(RETRY_TIMER)] if self._retry else []

    def _received(self, data: bytes) -> list[Effect]:
        try:
            message, frame = decode(data)
        except Malformed as error:
            return [Rejected(None, "datagram", str(error))]
        name = frame.type.name
        if frame.sender >= self._cluster.n or not isinstance(message, Reply | Fragment):
            return [Rejected(None, name, "not a message from a replica to a client")]
        if not self._seal.authentic(frame):
            return [Rejected(None, name, f"not authentic as {frame.sender}'s to client {self._id}")]
        if isinstance(message, Reply):
            return self._reply(message)
        whole = self._reassembly.add(message)
        if isinstance(whole, str):
            return [Rejected(frame.sender, name, whole)]
        return [] if whole is None else self._whole(whole)

    def _whole(self, data: bytes) -> list[Effect]:
        """A reassembled message is worth what its own authentication says; it cannot be a fragment again."""
        try:
            message, frame = decode(data)
        except Malformed as error:
            return [Rejected(None, "datagram", str(error))]
        if not isinstance(message, Reply) or not self._seal.authentic(frame):
            return [Rejected(None, frame.type.name, f"in fragments, no authentic reply to client {self._id}")]
        return self._reply(message)

    def _reply(self, reply: Reply) -> list[Effect]:
        """An authentic reply by ``reply.replica``."""
        if reply.client != self._id:
            return [Rejected(reply.replica, "REPLY", f"to client {reply.client}, sent to {self._id}")]
        if reply.timestamp > self._timestamp:
            return [Rejected(reply.replica, "REPLY", "to a timestamp this client has not used yet")]
        self._views[reply.replica] = max(self._views[reply.replica], reply.view)
        if reply.timestamp < self._timestamp or self._request is None:
            return []
        first = self._replies.setdefault(reply.replica, reply)
        if first.result != reply.result:
            return [Rejected(reply.replica, "REPLY", "two results for one operation; the first stands")]
        return self._complete_if_vouched(reply.result)

    def _complete_if_vouched(self, result: bytes) -> list[Effect]:
        if self._completed:
            return []
        vouching = tuple(sorted(r.replica for r in self._replies.values() if r.result == result))
        if len(vouching) < self._needed:
            return []
        self._completed = True
        return [*self._stop_timer(), Completed(self._timestamp, result, vouching)]
