"""Everything one replica knows, and the few verbs all phases use.

The phases of the protocol are layers of one class, each in its own file and each reading like its section
of the paper: ``Requests`` (4.1), ``NormalCase`` (4.2), ``Execution``, ``Checkpoints`` (4.3),
``StateTransfer``, ``ViewChanges`` and ``NewViews`` (4.4), ``Retransmission``, ``Recovery``. ``Replica`` is
all of them. A rule of the paper is one small method, so that a planted bug is one method overridden.

Invariants: slots are of view ``log_view`` and lie above ``stable``; nothing is sent that a record before it
does not cover; containers are walked in insertion or sorted order only.
"""

from __future__ import annotations

from dataclasses import dataclass

from .allowances import Allowance
from .authentication import Keyring
from .cluster import Cluster
from .effects import CancelTimer, Effect, Persist, Rejected, Send, SetTimer, Trace
from .frames import MAX_DATAGRAM_BYTES, MessageType, peek
from .messages import (
    Batch,
    Checkpoint,
    Message,
    NewView,
    PreparedCertificate,
    Request,
    Status,
    ViewChange,
)
from .records import RecordType, record
from .seal import Seal
from .services import Service
from .slots import Slot
from .snapshots import ClientTable, Snapshot
from .store import Store
from .types import ClientId, Digest, Principal, ReplicaId, SeqNum, Timestamp, View

REQUEST_TIMER = "request"
NEW_VIEW_TIMER = "new-view"
STATUS_TIMER = "status"


PROOFS_AT_ONCE = 4
SERVED_AT_ONCE_BYTES = 4 * 1024 * 1024
SERVED_PER_SECOND_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request accepted and not yet executed."""

    request: Request
    since_ns: int
    relayed_ns: int | None = None
    """When it was last passed on to the primary."""


class ReplicaState:
    """The state of section 4: view, log, service, client table."""

    traces_debug: bool = False
    """Set by the driver before ``Started``: events of level ``debug`` are traced, too. Nothing else rests on
    it."""

    def __init__(self, cluster: Cluster, me: ReplicaId, keys: Keyring, service: Service) -> None:
        assert 0 <= me < cluster.n, f"replica {me} of {cluster.n}"
        self.cluster = cluster
        self.parameters = cluster.fingerprint()
        self.me = me
        self.others = tuple(ReplicaId(i) for i in range(cluster.n) if i != me)
        self.service = service
        self.seal = Seal(cluster, me, keys)
        self.now_ns = 0
        self.at_hand = b""
        """The message that is looked at; empty where it is none, or one that was kept."""
        self.wall_offset_ns = 0
        """What to add to ``now_ns`` for the wall clock."""
        self.silent = False
        """While the log is read back: nothing is sent, persisted or traced."""
        self._effects: list[Effect] = []
        self._generations: dict[str, int] = {}
        self._due_ns: dict[str, int] = {}
        self.begin_in_view_0()
        self.begin_with_an_empty_log()
        self.begin_with_the_initial_state()

    def begin_in_view_0(self) -> None:
        """The view, and how to leave it."""
        self.may_vote = True
        """False from the loss of its log until it enters a view it never took part in (see ``silence``)."""
        self.may_leave = True
        """False until it can show all that it may have committed before its log was lost: no VIEW-CHANGE
        before."""
        self.view = View(0)
        self.active = True
        """False between VIEW-CHANGE and NEW-VIEW."""
        self.log_view = View(0)
        self.new_view: NewView | None = None
        """The proof of ``log_view``; None in view 0."""
        self.settled = SeqNum(0)
        """max-s of that NEW-VIEW: up to it O says what is proposed in ``log_view``, and nothing else is."""
        self.view_changes: dict[ReplicaId, ViewChange] = {}
        """The latest VIEW-CHANGE of each replica for a view not yet entered."""
        self.failed_views = 0
        """View changes in a row that brought no progress; every timeout doubles with each."""

    def begin_with_an_empty_log(self) -> None:
        """What section 4.2 gathers of each number."""
        self.slots: dict[SeqNum, Slot] = {}
        self.certificates: dict[SeqNum, PreparedCertificate] = {}
        """P: of each number above the stable checkpoint the certificate of the highest view, executed ones
        too."""
        self.batches: dict[Digest, Batch] = {}
        self.batch_numbers: dict[Digest, SeqNum] = {}
        """The highest number each batch is known under. It is kept until that is stable, in whatever view it
        was proposed: views later a liar may show a certificate for it, and keep the batch to itself."""
        self.decided: dict[SeqNum, Digest] = {}
        self.next_seq = SeqNum(1)
        """Primary: the next number to assign."""
        self.proposed: dict[ClientId, Timestamp] = {}
        """Primary: the latest request of each client proposed in this view."""
        self.early: dict[ReplicaId, list[Message]] = {}
        """Authentic votes for views not yet entered."""
        self.early_bytes: dict[ReplicaId, int] = {}
        """Of the batches among them."""
        self.bad_batches = 0
        """Batches with requests nobody signed, from the primary of this view."""

        self.decision_claims: dict[SeqNum, dict[ReplicaId, Digest]] = {}
        """DECIDED messages for numbers not decided here."""

    def begin_with_the_initial_state(self) -> None:
        """What was executed, who waits, and the checkpoints of section 4.3."""
        self.executed = SeqNum(0)
        self.time_ns = 0
        """The time of section 4.6 that operations are executed with: agreed on, never going back."""
        self.latest_time_ns = 0
        """Primary: the latest time it chose."""
        self.store = Store()
        """All of the service's state."""
        self.clients = ClientTable()
        self.pending: dict[ClientId, Waiting] = {}
        """By client, oldest first."""
        self.answered: dict[ClientId, tuple[int, int]] = {}
        """What each client was told at will: (since when, bytes)."""
        self.watched: Waiting | None = None
        """The request the request timer runs for."""

        self.stable = SeqNum(0)
        """h, the low watermark."""
        self.stable_proof: tuple[Checkpoint, ...] = ()
        self.snapshots: dict[SeqNum, Snapshot] = {}
        self.logged_snapshot: Snapshot | None = None
        """The latest one in the log on disk: the next is logged as changes to it."""
        self.log_bytes = 0
        """Of the records in the log on disk."""
        self.rewritten_bytes = 0
        """Of those when it was last rewritten."""
        self.checkpoint_votes: dict[SeqNum, dict[ReplicaId, Checkpoint]] = {}
        self.peers: dict[ReplicaId, Status] = {}
        """The latest STATUS of each peer: hints, never proof."""
        self.helped_ns: dict[ReplicaId, int] = {}
        """When each peer's STATUS was last answered."""
        self.helped_times: dict[ReplicaId, int] = {}
        """How many were."""
        self.answered_queries: dict[ReplicaId, tuple[bytes, int]] = {}
        """The nonce of each peer's QUERY-VIEW last answered, and when."""
        self.proofs_read = Allowance(PROOFS_AT_ONCE, self.proofs_per_second())
        """VIEW-CHANGEs and NEW-VIEWs verified in full: hundreds of signatures each."""
        self.bytes_served = Allowance(SERVED_AT_ONCE_BYTES, SERVED_PER_SECOND_BYTES)
        """Batches sent to a peer because it asked."""
        self.helped_out_ns: dict[ReplicaId, list[int]] = {}
        """When a view was left for a silent peer's sake."""

    def proofs_per_second(self) -> int:
        """Four in the time a view change may take: a correct replica leaves a view once in it."""
        return max(1, 4_000_000_000 // self.cluster.view_change_timeout_ns)

    # ------------------------------------------------------------ predicates

    @property
    def primary(self) -> ReplicaId:
        """Of the current view."""
        return self.cluster.primary(self.view)

    @property
    def is_active_primary(self) -> bool:
        """This replica orders requests now."""
        return self.active and self.may_vote and self.cluster.primary(self.view) == self.me

    def wall_ns(self) -> int:
        """This replica's wall clock."""
        return self.now_ns + self.wall_offset_ns

    @property
    def high_watermark(self) -> SeqNum:
        """H = h + L."""
        return SeqNum(self.stable + self.cluster.window)

    def in_window(self, seq: SeqNum) -> bool:
        """h < n <= H (section 4.2)."""
        return self.stable < seq <= self.stable + self.cluster.window

    def slot(self, seq: SeqNum) -> Slot:
        """The slot of a number in the current window, made at its first use."""
        found = self.slots.get(seq)
        if found is None:
            found = self.slots[seq] = Slot(self.log_view, seq)
        return found

    def keep_batch(self, digest: Digest, batch: Batch, seq: SeqNum) -> None:
        """Remember what a digest stands for."""
        self.batches[digest] = batch
        self.batch_numbers[digest] = max(self.batch_numbers.get(digest, seq), seq)

    # ------------------------------------------------------------ verbs

    def emit(self, effect: Effect) -> None:
        """Add an effect, unless the log is being read back."""
        if not self.silent:
            self._effects.append(effect)

    def take_effects(self) -> list[Effect]:
        """What to do, in order."""
        effects, self._effects = self._effects, []
        return effects

    def effects_so_far(self) -> int:
        """Of the event under way."""
        return len(self._effects)

    def persist(self, type_: RecordType, payload: bytes) -> None:
        """Durable before anything sent after it."""
        self.persist_record(record(type_, payload))

    def persist_record(self, data: bytes) -> None:
        """A whole record."""
        if not self.silent:
            self.log_bytes += len(data)
            self._effects.append(Persist(data))

    def trace(self, kind: str, /, **fields: object) -> None:
        """A protocol fact, of a kind and with fields as in ``trace_events``."""
        if not self.silent:
            self._effects.append(Trace(kind, fields))

    def reject(self, sender: Principal | None, message: str, reason: str) -> None:
        """A peer misbehaved, or somebody in its name."""
        header = None if sender is None else peek(self.at_hand)
        view, seq = (None, None) if header is None else header[2:]
        self.emit(Rejected(sender, message, reason, view, seq))

    def send_raw(self, to: Principal, data: bytes) -> None:
        """One message, in as many datagrams as it takes."""
        if self.silent:
            return
        if len(data) <= MAX_DATAGRAM_BYTES:
            self._effects.append(Send(to, data))
            return
        for piece in self.seal.fragments(to, data):
            self._effects.append(Send(to, piece))

    def send(self, to: Principal, type_: MessageType, view: int, seq: int, body: bytes) -> None:
        """One message to one principal."""
        if not self.silent:
            self.send_raw(to, self.seal.for_peer(to, type_, view, seq, body))

    def broadcast_raw(self, data: bytes) -> None:
        """A signed message to every other replica."""
        for replica in self.others:
            self.send_raw(replica, data)

    def broadcast(self, type_: MessageType, view: int, seq: int, body: bytes) -> None:
        """A message to every other replica: signed once, or MAC'd for each."""
        if self.silent:
            return
        for replica, data in zip(self.others, self.seal.for_peers(self.others, type_, view, seq, body)):
            self.send_raw(replica, data)

    # ------------------------------------------------------------ timers

    def set_timer(self, name: str, delay_ns: int) -> None:
        """(Re)start a timer; an earlier setting of it is stale from now on."""
        if self.silent:
            return
        generation = self._generations.get(name, 0) + 1
        self._generations[name] = generation
        self._due_ns[name] = self.now_ns + delay_ns
        self.emit(SetTimer(name, generation, delay_ns))
        if self.traces_debug:
            self.trace("timer", timer=name, step="set", delay_ns=delay_ns)

    def cancel_timer(self, name: str) -> None:
        """Stop a timer, if it runs."""
        if name in self._due_ns:
            del self._due_ns[name]
            self.emit(CancelTimer(name))
            if self.traces_debug:
                self.trace("timer", timer=name, step="cancelled")

    def timer_runs(self, name: str) -> bool:
        """It is set and has not fired."""
        return name in self._due_ns

    def timer_fired(self, name: str, generation: int) -> int | None:
        """How late it fired in ns; None when it is stale."""
        if self._generations.get(name) != generation or name not in self._due_ns:
            return None
        late_ns = max(0, self.now_ns - self._due_ns.pop(name))
        if self.traces_debug:
            self.trace("timer", timer=name, step="fired", late_ns=late_ns)
        return late_ns

    def timeout_ns(self, base_ns: int, patience: int | None = None) -> int:
        """A timeout doubled ``patience`` times, else once for each view in a row that failed; capped."""
        doublings = self.failed_views if patience is None else patience
        return min(base_ns << min(doublings, 20), self.cluster.max_timeout_ns)
