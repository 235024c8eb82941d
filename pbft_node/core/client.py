"""The client of section 4.1, sans-IO: one operation at a time, accepted at f+1 matching replies (at a quorum
where there are fast reads, see ``reads``; such a read that gets none in time is ordered instead).

A request goes to the believed primary; unanswered, the same bytes go to all replicas, again and again with
doubling pauses. A reply counts for the replica whose key made it, once per operation; what a liar sends
beyond that is ``Rejected``. The client believes in the highest view that f+1 replicas say they reached: one
of them is correct. Section 5.1: the request names one replica, each time another one, that sends a long
result; the others' digests vouch for it, and a request that comes again is answered in full by all. Drivers:
``invoke``, ``handle`` and ``abandon`` return effects of the same kinds as a replica's, plus ``Completed``.
"""

from __future__ import annotations

from .authentication import Keyring
from .cluster import Cluster
from .codec import decode
from .effects import CancelTimer, Completed, Effect, Rejected, Send, SetTimer
from .events import Event, Received, TimerFired
from .fragments import Reassembly
from .frames import Malformed, MessageType, peek
from .messages import Fragment, Reply
from .operations import MAX_OPERATION_BYTES
from .seal import Seal
from .types import FIRST_CLIENT_ID, MAX_TIMESTAMP, ClientId, Digest, ReplicaId, SeqNum, Timestamp, View

RETRY_TIMER = "client-retry"

Vote = tuple[Digest, SeqNum | None]


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
        self._operation = b""
        self._needed = cluster.reply_quorum
        self._reading = False
        """The request is a fast read."""
        self._invoked_ns = self._now_ns = 0
        self._completed = False
        self._replies: dict[int, Reply] = {}
        self._replier: ReplicaId | None = None
        """Who was named to send the whole result."""
        self._unreliable: list[ReplicaId] = []
        """The last f that were named and failed, the latest last."""
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
        """To the latest operation: one of each replica, in order of their arrival, late ones too."""
        return tuple(self._replies.values())

    def invoke(
        self, operation: bytes, now_ns: int, *, needed: int | None = None, read_only: bool = False
    ) -> list[Effect]:
        """Begin an operation. ``needed``: matching replies to accept a result, as many as the cluster's rules
        ask for unless told. ``read_only``: it changes nothing, so a fast read will do where there are any."""
        assert not self.busy, (
            f"client {self._id} has an operation under way: one at a time (abandon it first)"
        )
        assert len(operation) <= MAX_OPERATION_BYTES, (
            f"operation of {len(operation)} bytes > {MAX_OPERATION_BYTES}"
        )
        assert self._timestamp < MAX_TIMESTAMP, "the client's timestamps are used up"
        self._needed = self._cluster.reply_quorum if needed is None else needed
        assert 1 <= self._needed <= self._cluster.n, f"needed = {needed} of {self._cluster.n} replicas"
        self._operation = operation
        self._invoked_ns = self._now_ns = now_ns
        self._completed = False
        self._pause_ns = self._cluster.client_retry_ns
        self._reading = read_only and self._may_read_fast()
        return self._ask_fast() if self._reading else self._ask_primary()

    def _ask_primary(self) -> list[Effect]:
        """Section 4.1."""
        request = self._new_request()
        effects: list[Effect] = [Send(self._cluster.primary(self.view), request)]
        if self._retry:
            effects.append(self._start_timer(self._pause_ns))
        return effects

    def _new_request(self) -> bytes:
        """Under a timestamp never used before."""
        self._timestamp = Timestamp(self._timestamp + 1)
        self._replier = self._name_replier()
        self._replies = {}
        self._request = self._seal.request(
            self._timestamp, self._operation, self._replier, read_only=self._reading
        )
        return self._request

    # ------------------------------------------------------------ reads (section 5.1)

    def _may_read_fast(self) -> bool:
        """It must be able to fall back, under another timestamp."""
        return self._cluster.reads == "fast" and self._retry and self._timestamp < MAX_TIMESTAMP - 1

    def _ask_fast(self) -> list[Effect]:
        """Everybody, once."""
        request = self._new_request()
        effects: list[Effect] = [Send(ReplicaId(i), request) for i in range(self._cluster.n)]
        effects.append(self._start_timer(self._cluster.read_timeout_ns))
        return effects

    def _fall_back(self, *, in_time: bool) -> list[Effect]:
        """Have the operation ordered. What was late goes to everybody; else that comes at the time it would
        have come for an ordered request."""
        self._reading = False
        if in_time:  # a read has at most half the pause; this process may have been stopped for longer
            waited_ns = self._now_ns - self._invoked_ns
            self._pause_ns = max(self._pause_ns - waited_ns, self._pause_ns // 2)
            return self._ask_primary()
        self._new_request()
        return self._ask_all()

    def _is_hopeless(self, votes: int) -> bool:
        """So many agree, and not enough are left that could."""
        return votes + self._cluster.n - len(self._replies) < self._needed

    # ------------------------------------------------------------ digest replies (section 5.1)

    def _name_replier(self) -> ReplicaId | None:
        """Each replica in its turn, except who failed lately. Who does not retransmit needs all results."""
        if not self._retry or not self._cluster.digest_replies:
            return None
        reliable = [ReplicaId(i) for i in range(self._cluster.n) if i not in self._unreliable]
        return reliable[(self._id + self._timestamp) % len(reliable)]

    def _blame_replier(self) -> None:
        """It was named, and the whole result did not come in time or is not what the others vouch for."""
        assert self._replier is not None
        others = [replica for replica in self._unreliable if replica != self._replier]
        self._unreliable = [*others, self._replier][-self._cluster.f :]
        self._replier = None

    # ------------------------------------------------------------ events

    def abandon(self) -> list[Effect]:
        """Forget the operation. It may still take effect, once, at any later time."""
        self._request = None
        self._replies = {}
        return self._stop_timer()

    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        """A datagram for this client, or its timer. Never raises, whatever the bytes."""
        self._now_ns = now_ns
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
        if self._replier is not None and self._replier not in self._replies:
            self._blame_replier()
        if self._reading:
            return self._fall_back(in_time=False)
        self._pause_ns = min(2 * self._pause_ns, self._cluster.client_retry_max_ns)
        return self._ask_all()

    def _ask_all(self) -> list[Effect]:
        """The same bytes to everybody, and again after the next pause."""
        assert self._request is not None
        effects: list[Effect] = [Send(ReplicaId(i), self._request) for i in range(self._cluster.n)]
        effects.append(self._start_timer(self._pause_ns))
        return effects

    def _start_timer(self, pause_ns: int) -> Effect:
        self._generation += 1
        return SetTimer(RETRY_TIMER, self._generation, pause_ns)

    def _stop_timer(self) -> list[Effect]:
        self._generation += 1
        return [CancelTimer(RETRY_TIMER)] if self._retry else []

    def _received(self, data: bytes) -> list[Effect]:
        if self._is_old_news(data):
            return []
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
        if message.receiver != self._id:  # a signature, unlike a MAC, is good before others, too
            return [Rejected(frame.sender, name, f"for {message.receiver}, not client {self._id}")]
        whole = self._reassembly.add(message)
        if isinstance(whole, str):
            return [Rejected(frame.sender, name, whole)]
        return [] if whole is None else self._whole(whole)

    def _is_old_news(self, data: bytes) -> bool:
        """A REPLY to an earlier operation, from a view its sender was known to be in: not worth checking,
        and every other reply is one, for f+1 were enough."""
        header = peek(data)
        if header is None or header[0] != MessageType.REPLY:
            return False
        _, sender, view, timestamp = header
        return timestamp < self._timestamp and sender < self._cluster.n and view <= self._views[sender]

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
        if (reply.state is not None) != self._reading:
            return [Rejected(reply.replica, "REPLY", "to a read, or not, and the request was the other")]
        first = self._replies.setdefault(reply.replica, reply)
        if self._vote(first) != self._vote(reply):
            if self._reading:  # the network doubled the request, and the replica went on in between
                return []
            return [Rejected(reply.replica, "REPLY", "two results for one operation; the first stands")]
        if first.result is None:
            self._replies[reply.replica] = reply
        return self._complete_if_vouched()

    def _complete_if_vouched(self) -> list[Effect]:
        """Enough replicas vouch for one digest, and one of them sent the result that has it."""
        if self._completed or (len(self._replies) < self._needed and not self._reading):
            return []
        votes = [self._vote(reply) for reply in self._replies.values()]
        vote = max(votes, key=votes.count)
        if votes.count(vote) < self._needed:
            hopeless = self._reading and self._is_hopeless(votes.count(vote))
            return self._fall_back(in_time=True) if hopeless else []
        result = self._whole_result(vote)
        if result is None:
            return self._ask_again_if_replier_failed()
        vouching = tuple(sorted(r.replica for r in self._replies.values() if self._vote(r) == vote))
        self._completed = True
        return [
            *self._stop_timer(),
            Completed(self._timestamp, result, vouching, "fast" if self._reading else "ordered"),
        ]

    def _vote(self, reply: Reply) -> Vote:
        """What replies must agree in: the result, and the state a read saw (see ``reads`` for why)."""
        return reply.digest, reply.state

    def _whole_result(self, vote: Vote) -> bytes | None:
        for reply in self._replies.values():
            if self._vote(reply) == vote and reply.result is not None:
                return reply.result
        return None

    def _ask_again_if_replier_failed(self) -> list[Effect]:
        """It answered, but not with the result that enough others vouch for: no need to wait any longer."""
        if self._replier is None or self._replier not in self._replies:
            return []
        self._blame_replier()
        return self._fall_back(in_time=True) if self._reading else self._ask_all()
