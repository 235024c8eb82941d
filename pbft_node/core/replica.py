"""A replica: events in, effects out.

    replica = Replica(cluster, me, keys, service)
    effects = replica.handle(Started(records), now_ns)

The phases are in the modules named in ``state``; this one only opens what arrives and hands it on. Nothing
a peer sends can raise: bytes that are no message, or not the sender's, become ``Rejected``.
"""

from __future__ import annotations

from collections.abc import Callable

from .authentication import Keyring
from .cluster import Cluster
from .codec import decode
from .effects import Effect
from .events import ClockMoved, Event, Received, Started, TimerFired
from .fragments import Reassembly
from .frames import Frame, Malformed, MessageType, peek
from .messages import (
    BatchBody,
    Checkpoint,
    Commit,
    Decided,
    FetchBatch,
    FetchParts,
    FetchState,
    Fragment,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    QueryView,
    Request,
    StateMeta,
    StateParts,
    Status,
    TellView,
    ViewChange,
)
from .recovery import Recovery
from .seal import ALWAYS_SIGNED
from .services import Service
from .slow_primary import PACE_TIMER
from .state import NEW_VIEW_TIMER, REQUEST_TIMER, STATUS_TIMER
from .types import ReplicaId, SeqNum

_VOTES = (int(MessageType.PREPARE), int(MessageType.COMMIT))
_OF_VIEW_CHANGES = (int(MessageType.VIEW_CHANGE), int(MessageType.NEW_VIEW))


class Replica(Recovery):
    """One of n state machines that behave as one."""

    def __init__(self, cluster: Cluster, me: ReplicaId, keys: Keyring, service: Service) -> None:
        super().__init__(cluster, me, keys, service)
        self.started = False
        self.decode: Callable[[bytes], tuple[Message, Frame]] = decode
        """Pure: a simulation has one in its place that remembers what others decoded."""
        self.reassembly = Reassembly()

    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        """What to do about an event, in order (see ``effects`` for the contract)."""
        self.now_ns = now_ns
        self.at_hand = b""
        if isinstance(event, Received):
            if self.is_old_news(event.data):  # nothing changes, so nothing follows
                return []
            self.on_datagram(event.data)
        elif isinstance(event, TimerFired):
            self.on_timer(event.name, event.generation)
        elif isinstance(event, ClockMoved):
            self.on_clock(event)
        else:
            self.on_start(event)
        assert self.started, "the first event is Started"
        if self.silence is not None:
            self.consider_speaking()
        if self.pending or self.watched is not None:
            self.propose()
            self.watch_oldest()
        return self.take_effects()

    def on_start(self, event: Started) -> None:
        """A life begins."""
        assert not self.started, "a replica starts once in its life"
        self.wall_offset_ns = event.wall_offset_ns
        self.started = True
        self.on_started(event.records, event.nonce)

    def on_clock(self, event: ClockMoved) -> None:
        """Timers are the driver's; the core only looks at the wall clock."""
        self.wall_offset_ns = event.wall_offset_ns
        wall_ns = event.own_ns + event.wall_offset_ns
        self.trace("clock", own_ns=event.own_ns, rate=event.rate, wall_ns=max(0, wall_ns))

    def on_timer(self, name: str, generation: int) -> None:
        """A stale timer does nothing."""
        late_ns = self.timer_fired(name, generation)
        if late_ns is None:
            return
        match name:
            case _ if name == REQUEST_TIMER:
                self.on_request_timeout(late_ns)
            case _ if name == NEW_VIEW_TIMER:
                self.on_new_view_timeout()
            case _ if name == STATUS_TIMER:
                self.on_status_timer()
            case _ if name == PACE_TIMER:
                self.on_pace_timer(late_ns)

    def on_datagram(self, data: bytes) -> None:
        """Open, check the seal, hand on."""
        self.at_hand = data
        try:
            message, frame = self.decode(data)
        except Malformed as problem:
            self.reject(None, "datagram", str(problem))
            return
        if frame.type is not MessageType.REQUEST and frame.sender >= self.cluster.n:
            self.reject(None, frame.type.name, f"from {frame.sender}, which is no replica here")
        elif self.is_reflected(frame):
            self.reject(None, frame.type.name, "this replica's own, sent back to it")
        elif not self.seal.authentic(frame):
            self.reject(frame.sender, frame.type.name, "not authentic")
        else:
            self.on_message(message)

    def is_old_news(self, data: bytes) -> bool:
        """By the header alone: a message that changes nothing any more is not worth taking apart, let alone
        checking a signature for."""
        header = peek(data)
        if header is None:
            return False
        type_, sender, view, seq = header
        if type_ in _VOTES:
            slot = self.slots.get(SeqNum(seq))
            if slot is None or view > slot.view:
                return False
            return slot.prepared if type_ == MessageType.PREPARE else slot.committed
        return type_ in _OF_VIEW_CHANGES and self.is_old_view(type_, sender, view, data)

    def is_old_view(self, type_: int, sender: int, view: int, data: bytes) -> bool:
        """A VIEW-CHANGE or NEW-VIEW that would change nothing: they are large, and many copies travel."""
        if view < self.view or (view == self.view and self.active):
            return True
        known = self.view_changes.get(ReplicaId(sender))
        return type_ == MessageType.VIEW_CHANGE and known is not None and known.raw == data

    def is_reflected(self, frame: Frame) -> bool:
        """Only what proves something to others is passed on, and so may come back to who said it. The rest is
        for its receivers; but a signature (``auth: sign``), unlike a MAC, is good before its maker, too."""
        return frame.sender == self.me and frame.type not in ALWAYS_SIGNED

    def on_message(self, message: Message) -> None:
        """By type; a replica has no use for REPLY."""
        match message:
            case Request():
                self.on_request(message)
            case PrePrepare():
                self.on_pre_prepare(message)
            case Prepare():
                self.on_prepare(message)
            case Commit():
                self.on_commit(message)
            case Decided():
                self.on_decided(message)
            case Checkpoint():
                self.on_checkpoint(message)
            case ViewChange():
                self.on_view_change(message)
            case NewView():
                self.on_new_view(message)
            case Status():
                self.on_status(message)
            case FetchBatch():
                self.on_fetch_batch(message)
            case BatchBody():
                self.on_batch(message)
            case FetchState():
                self.on_fetch_state(message)
            case StateMeta():
                self.on_state_meta(message)
            case QueryView():
                self.on_query_view(message)
            case TellView():
                self.on_tell_view(message)
            case FetchParts():
                self.on_fetch_parts(message)
            case StateParts():
                self.on_state_parts(message)
            case Fragment():
                self.on_fragment(message)
            case _:
                self.reject(None, type(message).__name__, "not for a replica")

    def on_fragment(self, message: Fragment) -> None:
        """The last piece makes it a message like any other."""
        if message.receiver != self.me:  # a signature, unlike a MAC, is good before others, too
            self.reject(message.sender, "FRAGMENT", f"for {message.receiver}")
            return
        whole = self.reassembly.add(message)
        if isinstance(whole, str):
            self.reject(message.sender, "FRAGMENT", whole)
        elif whole is not None and is_fragment(whole):  # each a little smaller, hundreds deep
            self.reject(message.sender, "FRAGMENT", "a fragment made of fragments")
        elif whole is not None and not self.is_old_news(whole):
            self.on_datagram(whole)


def is_fragment(data: bytes) -> bool:
    """By the header alone."""
    header = peek(data)
    return header is not None and header[0] == MessageType.FRAGMENT
