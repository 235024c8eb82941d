"""Coming back with every promise made: the log read from front to back.

Nothing is sent while reading. What was durable is taken up as it was: the view and the VIEW-CHANGE sent for
it, the proposals accepted, the certificates, the decisions, the last state. Votes are not in the log: they
are made again from what is (Ed25519 is deterministic, so they are the same bytes). What others voted comes
back by STATUS.
"""

from __future__ import annotations

from . import trace_events
from .codec import decode, decode_batch, decode_certificate, decode_checkpoints, decode_pre_prepare
from .effects import Halt
from .frames import Malformed
from .messages import Checkpoint, NewView, ViewChange
from .records import Record, RecordType, decode_seq, is_lost, parse_record
from .silence import Silence
from .snapshot_records import SnapshotReader
from .types import Digest, SeqNum


class Recovery(Silence):
    """The first event of a life."""

    def on_started(self, records: tuple[bytes, ...], nonce: bytes) -> None:
        """Take up the log, then ask the others what happened since. Of a lost one nothing is taken up."""
        lost = is_lost(records)
        records = () if lost else records
        self.silent = True
        problem = self.read_log(records) or self.restore_last_state()
        self.measure_log(records)
        if problem is None:
            self.make_own_votes_again()
            self.number_after_the_log()
        self.silent = False
        if problem is not None:
            self.emit(Halt(problem))
            return
        self.trace(
            "started",
            schema=trace_events.SCHEMA,
            minor=trace_events.MINOR,
            level="debug" if self.traces_debug else "normal",
            replica=self.me,
            view=self.view,
            active=self.active,
            executed=self.executed,
            stable=self.stable,
            records=len(records),
        )
        if lost:
            self.fall_silent(nonce)
        for seq in sorted(self.checkpoint_votes):
            self.check_stable(seq)
        self.execute_ready()
        self.on_status_timer()

    def measure_log(self, records: tuple[bytes, ...]) -> None:
        """How long it is; rewritten it would take about as much as the state."""
        self.logged_snapshot = self.snapshot_reader.last
        self.log_bytes = sum(map(len, records))
        stable = self.snapshots.get(self.stable)
        pages = () if stable is None else (*stable.service.pages, *stable.clients.pages)
        self.rewritten_bytes = sum(map(len, pages))

    def read_log(self, records: tuple[bytes, ...]) -> str | None:
        """Every record in order; why the log cannot be ours, or None."""
        self.snapshot_reader = SnapshotReader()
        for index, data in enumerate(records):
            found = parse_record(data)
            if found is None:
                return f"log record {index} is of no known type: the log was written by another version"
            try:
                self.read_record(found)
            except Malformed as problem:
                return f"log record {index} ({found.type.name}) does not decode: {problem}"
        return None

    def read_record(self, found: Record) -> None:
        """One promise."""
        match found.type:
            case RecordType.PRE_PREPARE:
                self.read_pre_prepare(found.payload)
            case RecordType.PREPARED:
                self.read_prepared(found.payload)
            case RecordType.COMMITTED:
                seq, digest = decode_seq(found.payload)
                if seq > self.stable:
                    self.decided[seq] = Digest(digest)
            case RecordType.VIEW_CHANGE | RecordType.NEW_VIEW:
                self.read_view(found.payload)
            case RecordType.PAGES:
                self.snapshot_reader.read_pages(found.payload)
            case RecordType.SNAPSHOT:
                snapshot, proof = self.snapshot_reader.read_snapshot(found.payload)
                self.snapshots[snapshot.seq] = snapshot
                if proof:
                    self.read_stable(proof)
            case RecordType.STABLE:
                self.read_stable(decode_checkpoints(found.payload))
            case RecordType.BATCH:
                batch = decode_batch(found.payload)
                self.keep_batch(batch.digest, batch, self.high_watermark)
            case RecordType.SILENT | RecordType.RECOVERED:
                if found.payload:  # else it is over, see is_lost
                    raise Malformed(f"{found.type.name} with a payload")

    def read_stable(self, proof: tuple[Checkpoint, ...]) -> None:
        """A checkpoint became stable: what is at or below it no longer matters."""
        if not proof:
            raise Malformed("a proof without CHECKPOINTs")
        seq = proof[0].seq
        if seq not in self.snapshots or self.snapshots[seq].digest != proof[0].digest:
            raise Malformed(f"a proof for a state at {seq} that is not in the log before it")
        self.drop_below(seq, proof)

    def read_pre_prepare(self, payload: bytes) -> None:
        """A proposal made or accepted; of an earlier view only its batch still matters."""
        message = decode_pre_prepare(payload)
        if message.batch is not None:
            self.keep_batch(message.digest, message.batch, message.seq)
        if message.view == self.log_view and message.seq > self.stable:
            self.slot(message.seq).pre_prepare = message

    def read_prepared(self, payload: bytes) -> None:
        """A certificate; the latest view's wins, as when it was made."""
        certificate = decode_certificate(payload)
        proposal = certificate.pre_prepare
        if proposal.seq <= self.stable:
            return
        self.certificates[proposal.seq] = certificate
        if proposal.view == self.log_view:
            slot = self.slot(proposal.seq)
            slot.pre_prepare = slot.pre_prepare or proposal
            slot.prepared = True
            for vote in certificate.prepares:
                slot.prepares[vote.replica] = vote

    def read_view(self, payload: bytes) -> None:
        """A VIEW-CHANGE sent, or a NEW-VIEW entered."""
        message, _ = decode(payload)
        if isinstance(message, ViewChange):
            self.view = message.view
            self.active = False
            self.view_changes[self.me] = message
        elif isinstance(message, NewView):
            self.enter_view(message)
        else:
            raise Malformed(f"{type(message).__name__} where a view belongs")

    def number_after_the_log(self) -> None:
        """A primary goes on behind everything it ever assigned."""
        highest = max([self.stable, *self.slots])
        self.next_seq = max(self.next_seq, SeqNum(highest + 1))

    def restore_last_state(self) -> str | None:
        """Become the latest state this replica vouched for; why it is none, or None."""
        self.transfer = None
        if not self.snapshots:
            return None
        snapshot = self.snapshots[max(self.snapshots)]
        try:
            self.become(snapshot)
        except Malformed as problem:
            return f"the state at {snapshot.seq} in the log does not decode: {problem}"
        return None

    def make_own_votes_again(self) -> None:
        """PREPARE, COMMIT and CHECKPOINT votes follow from what they stood for."""
        for seq in sorted(self.slots):
            slot = self.slots[seq]
            if slot.pre_prepare is None:
                continue
            if slot.pre_prepare.primary != self.me:
                slot.prepares[self.me] = self.own_prepare(slot)
            if slot.prepared:
                slot.commits[self.me] = slot.pre_prepare.digest
        for seq in sorted(self.snapshots):
            if seq > self.stable:
                votes = self.checkpoint_votes.setdefault(seq, {})
                votes[self.me] = self.own_checkpoint(self.snapshots[seq])
