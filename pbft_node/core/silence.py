"""Not in the paper: coming back when the log, and with it every promise, is lost.

Such a replica may have voted for anything in any view it took part in, and may have asked to leave it. So it
votes on nothing (no PRE-PREPARE, PREPARE, COMMIT, CHECKPOINT, VIEW-CHANGE, NEW-VIEW) until the others have
entered a view T, without its help, in which it cannot have voted on any number. It fetches the state and
follows meanwhile; what it executes rests on others' proofs, so it may answer clients. In view T it votes,
and once it is stable at or prepared again every number that the NEW-VIEW settled it leaves views, too.

*T.* A correct replica asks for view v only when a quorum was at v-1 or beyond (4.5.2), or after another
correct one did. So of the others at least q-1-f correct ones were at v-1, and in any q answers given since
(a fresh nonce shows it) by replicas that are not silent, at least 2q-f-n >= 1 of them answers with v-1 or
more: views never run back, in a log or here. T is therefore one more than the highest of q answers; any q
will do, so the q lowest are taken and liars gain nothing by high claims. With the same argument its own
earlier VIEW-CHANGE for T, which may still be around, is true: it names all it had prepared below T.

*Leaving T.* What it forgot is what it prepared below T. Of that, what was decided is shown by a correct
replica in the NEW-VIEW of T: at or below min-s, or settled again in O. With a stable checkpoint or a
certificate of T or later for each, its next VIEW-CHANGE lacks nothing that a decision may rest on.

So safety holds however many lose their logs, at once or in turn (liars: at most f). Recovering takes q
others that are not silent: with more than f logs lost at once no one does, all wait, and the trace says so.
The state thus lies beyond any number it could have voted on, in every view that can still decide one, and
an idle cluster needs no null requests for it. Its price is a view change for each lost log, which the others
begin when asked by a signed QUERY-VIEW that they pass on, so that they leave together; ``HELP_BURST`` and
``HELP_INTERVALS`` bound what a liar that asks for ever costs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .codec import NONCE_BYTES
from .frames import MessageType
from .messages import QueryView, TellView
from .records import RecordType
from .slow_primary import SlowPrimary
from .types import ReplicaId, SeqNum, View

HELP_BURST = 3
HELP_INTERVALS = 30
"""For one replica's sake at most HELP_BURST views are left within so many view change timeouts."""
MAX_VIEWS_AHEAD = 2
"""Beyond that the replica that asks has heard a liar, or the one asked lags."""


@dataclass(slots=True)
class Silent:
    """What a replica that lost its log knows of the others."""

    nonce: bytes
    views: dict[ReplicaId, View] = field(default_factory=dict)
    """The lowest each has told: what was true once since the loss is enough."""
    stables: dict[ReplicaId, SeqNum] = field(default_factory=dict)
    bound: View | None = None
    """T, or None while fewer than a quorum have answered."""


class Silence(SlowPrimary):
    """Silent until a view it cannot have voted in, then as the others."""

    silence: Silent | None = None

    def fall_silent(self, nonce: bytes) -> None:
        """The log is lost: vote on nothing, and ask."""
        assert len(nonce) == NONCE_BYTES, f"a nonce of {len(nonce)} bytes"
        self.may_vote = self.may_leave = False
        self.silence = Silent(nonce)
        self.rewrite_log()
        self.trace_silence()

    def trace_silence(self) -> None:
        """How far it is: whose answers there are, and the view it waits for."""
        assert self.silence is not None
        answers = sorted(self.silence.views)
        self.trace(
            "silent", view=self.view, answers=answers, needed=self.cluster.quorum, bound=self.silence.bound
        )

    # ------------------------------------------------------------ asking

    def on_status_timer(self) -> None:
        """With every STATUS, ask again."""
        super().on_status_timer()
        self.query_view()

    def end_transfer(self) -> None:
        """Ask with the state in hand: under load the others are ahead of it again by the next STATUS."""
        super().end_transfer()
        if self.silence is not None and self.silence.bound is not None and self.has_state():
            self.query_view()

    def lacks_something(self) -> bool:
        """Ask often while silent."""
        return not self.may_leave or super().lacks_something()

    def query_view(self) -> None:
        """Multicast <QUERY-VIEW, T, nonce>; T only with the state in hand, so that it can vote at once."""
        if self.silence is None or self.may_vote:
            return
        wanted = self.silence.bound if self.has_state() else None
        self.broadcast(MessageType.QUERY_VIEW, wanted or View(0), 0, self.silence.nonce)

    def on_tell_view(self, message: TellView) -> None:
        """Count an answer to this life's question."""
        silence = self.silence
        if silence is None or self.may_vote or message.nonce != silence.nonce:
            return
        before = (len(silence.views), silence.bound)
        known = silence.views.get(message.replica, message.view)
        silence.views[message.replica] = min(known, message.view)
        silence.stables[message.replica] = message.stable
        silence.bound = self.view_bound()
        if before != (len(silence.views), silence.bound):
            self.trace_silence()
        if self.others_stable() > self.executed and not self.fetching_state():
            self.start_transfer()

    def view_bound(self) -> View | None:
        """T: one more than the highest view of the q lowest answers."""
        assert self.silence is not None
        views = sorted(self.silence.views.values())
        return None if len(views) < self.cluster.quorum else View(views[self.cluster.quorum - 1] + 1)

    def others_stable(self) -> SeqNum:
        """A stable checkpoint that f+1 claim, so that a correct one has it; 0 with too few answers."""
        assert self.silence is not None
        stables = sorted(self.silence.stables.values(), reverse=True)
        return SeqNum(0) if len(stables) < self.cluster.weak else stables[self.cluster.weak - 1]

    def has_state(self) -> bool:
        """Near enough to the others to be of use."""
        behind = self.fetching_state() or self.provably_behind() is not None
        return not behind and not self.state_is_wrong and self.executed >= self.others_stable()

    # ------------------------------------------------------------ answering

    def on_query_view(self, message: QueryView) -> None:
        """A silent replica's word counts for nothing; the others answer, and help it into another view. Its
        own question, passed on by others, comes back to it."""
        if not self.may_vote or message.replica == self.me:
            return
        if self.may_answer(message.replica, message.nonce):
            body = message.nonce
            self.send(message.replica, MessageType.TELL_VIEW, self.view, self.stable, body)
        if self.may_help_out(message):
            self.broadcast_raw(message.raw)
            self.start_view_change(View(self.view + 1), "asked by a silent replica")

    def may_answer(self, peer: ReplicaId, nonce: bytes) -> bool:
        """The same question at most once in half a busy interval. Another one at once: a liar that repeats
        what the peer asked in an earlier life must not keep it from being answered in this one."""
        last_nonce, last_ns = self.answered_queries.get(peer, (b"", 0))
        if nonce == last_nonce and self.now_ns - last_ns < self.cluster.status_busy_ns // 2:
            return False
        self.answered_queries[peer] = nonce, self.now_ns
        return True

    def may_help_out(self, message: QueryView) -> bool:
        """It needs a view that ours is not yet, and was not helped too often."""
        if not self.active or not self.may_leave:
            return False
        if not self.view < message.view <= self.view + MAX_VIEWS_AHEAD:
            return False
        return self.help_allowed(message.replica)

    def help_allowed(self, peer: ReplicaId) -> bool:
        """A view change is dear: at most HELP_BURST in HELP_INTERVALS timeouts for any one peer."""
        interval_ns = HELP_INTERVALS * self.cluster.view_change_timeout_ns
        recent = [at for at in self.helped_out_ns.get(peer, ()) if self.now_ns - at < interval_ns]
        if len(recent) >= HELP_BURST:
            return False
        self.helped_out_ns[peer] = [*recent, self.now_ns]
        return True

    # ------------------------------------------------------------ the way back

    def check_view_changes(self) -> None:
        """A silent replica sends no VIEW-CHANGE, but the others' may make it the primary of its first
        view."""
        if self.may_leave:
            super().check_view_changes()
        elif not self.may_vote:
            self.lead_first_view()

    def lead_first_view(self) -> None:
        """V is a quorum of others: as primary of a view at or above T it may announce it."""
        silence = self.silence
        assert silence is not None
        if silence.bound is None or not self.has_state():
            return
        for view in sorted({change.view for change in self.view_changes.values()}):
            if view < silence.bound or view <= self.view or self.cluster.primary(view) != self.me:
                continue
            if len(self.view_changes_for(view)) >= self.cluster.quorum:
                self.view = view
                self.may_vote = True
                self.announce_new_view()
                return

    def consider_speaking(self) -> None:
        """After every event: is the silence over?"""
        silence = self.silence
        if silence is None:
            return
        if not self.may_vote and silence.bound is not None and self.view >= silence.bound:
            self.speak()
        if self.may_vote and self.shows_everything(silence):
            self.end_silence(silence)

    def speak(self) -> None:
        """The view is one it never voted in: vote for what it accepted there."""
        self.may_vote = True
        for seq in sorted(self.snapshots):
            if seq >= self.stable:
                self.announce_checkpoint(self.snapshots[seq])
        for seq in sorted(self.slots):
            slot = self.slots.get(seq)  # a vote may make a checkpoint stable, and that drops slots
            if slot is None or slot.pre_prepare is None:
                continue
            batch = self.batch_of(slot.pre_prepare.digest)
            self.trace_accepted(slot.pre_prepare, 0 if batch is None else len(batch.requests))
            self.send_prepare(slot)
            if slot.prepared:
                self.send_commit(slot, slot.pre_prepare.digest)
            self.check_prepared(slot)
            self.check_committed(slot)

    def shows_everything(self, silence: Silent) -> bool:
        """Stable, or prepared in its first view or later: each number its NEW-VIEW settled."""
        if not self.active or self.state_is_wrong or self.executed < self.settled:
            return False
        return self.first_not_shown(silence) is None

    def first_not_shown(self, silence: Silent) -> SeqNum | None:
        """The first number settled that is neither stable nor prepared again."""
        assert silence.bound is not None
        for number in range(self.stable + 1, self.settled + 1):
            certificate = self.certificates.get(SeqNum(number))
            if certificate is None or certificate.pre_prepare.view < silence.bound:
                return SeqNum(number)
        return None

    def needs_nothing_up_to(self) -> SeqNum:
        """It lacks votes for numbers that it has executed, too: STATUS asks for them."""
        missing = self.first_not_shown(self.silence) if self.silence is not None and self.may_vote else None
        return self.executed if missing is None else SeqNum(min(self.executed, missing - 1))

    def end_silence(self, silence: Silent) -> None:
        """A replica like any other again."""
        self.may_leave = True
        self.silence = None
        self.persist(RecordType.RECOVERED, b"")
        self.trace("recovered", view=self.view, bound=silence.bound, executed=self.executed)
        self.restart_waiting()
