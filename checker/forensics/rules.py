"""What a correct replica never signs. A rule takes one message, or two that are at odds, all of one signer.

Each rule says of which section it is and under which condition it is a proof:

- `ALWAYS`: whatever all others did. A correct replica keeps these promises across restarts.
- `KEPT_LOG`: unless the replica lost its log and said so (QUERY-VIEW, and `silent` in its trace): what it had
  prepared before is forgotten then, and the others were asked for it.
- `WITHIN_F`: while at most f replicas lie. More of them can make a correct replica execute what others do
  not; when it finds out it fetches their state, and its word on a state or a result changes.

A PREPARE and a later VIEW-CHANGE that does not mention it are no contradiction: a backup that prepared
nothing owes nothing. A COMMIT says *prepared*, so from then on every VIEW-CHANGE shows the number, in that
view or a later one, until a stable checkpoint covers it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from checker.forensics.messages import (
    CHECKPOINT,
    COMMIT,
    DECIDED,
    DIGESTS,
    NAMES,
    NEW_VIEW,
    PREPARE,
    VIEW_CHANGE,
    VOTES,
    NewView,
    ViewChange,
    new_view_in,
    view_change_in,
)
from checker.forensics.view_rules import (
    Cluster,
    Good,
    highest,
    is_digest,
    wrong_new_view,
    wrong_view_change,
)
from checker.wire import OF_STATE, PRE_PREPARE, REPLY, Frame, answer_in

ALWAYS, KEPT_LOG, WITHIN_F = "always", "unless it lost its log", "while at most f replicas lie"
Check = Callable[[Sequence[Frame], Cluster, Good], str | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """`check` is given as many frames as `frames` says (0: any number from two on), the first of them, and
    with `ALL_OF_ONE` rules all of them, signed by the culprit; it says what is wrong, or None."""

    name: str
    section: str
    """Of Castro and Liskov, "Practical Byzantine Fault Tolerance" (OSDI 1999); "-": not in it."""
    holds: str
    frames: int
    check: Check


def guilt(rule: Rule, frames: Sequence[Frame], cluster: Cluster, good: Good) -> str | None:
    """What the first frame's sender did, in words, if these frames prove it: else None."""
    if not frames or (rule.frames and len(frames) != rule.frames):
        return None
    culprit = frames[0].sender
    if culprit >= cluster.n or (rule.frames and any(frame.sender != culprit for frame in frames)):
        return None
    said = rule.check(frames, cluster, good)
    return said if said is not None and all(good(frame) for frame in frames) else None


# ---------------------------------------------------------------- two messages at odds


def _short(frame: Frame) -> str:
    return frame.body.hex()[:16]


def _votes(frames: Sequence[Frame], _cluster: Cluster, _good: Good) -> str | None:
    a, b = frames
    same = a.type in VOTES and b.type in VOTES and (a.view, a.seq) == (b.view, b.seq)
    if not same or a.body == b.body or not is_digest(a) or not is_digest(b):
        return None
    return (
        f"signed {NAMES[a.type]} for {_short(a)} and {NAMES[b.type]} for {_short(b)}, both of view {a.view}, "
        f"number {a.seq}"
    )


def _of_number(kind: int) -> Check:
    def check(frames: Sequence[Frame], _cluster: Cluster, _good: Good) -> str | None:
        a, b = frames
        if a.type != kind or b.type != kind or a.seq != b.seq or a.body == b.body:
            return None
        if not is_digest(a) or not is_digest(b):
            return None
        return f"signed {NAMES[kind]} for {_short(a)} and for {_short(b)}, both of number {a.seq}"

    return check


def _replies(frames: Sequence[Frame], _cluster: Cluster, _good: Good) -> str | None:
    a, b = frames
    said = reply_in(a), reply_in(b)
    if said[0] is None or said[1] is None or said[0][:2] != said[1][:2] or said[0][2] == said[1][2]:
        return None
    client, timestamp, _ = said[0]
    return (
        f"answered request {timestamp} of client {client} by a result with digest "
        f"{said[0][2].hex()[:16]} and by one with {said[1][2].hex()[:16]}"
    )


def _replies_of_others(frames: Sequence[Frame], cluster: Cluster, _good: Good) -> str | None:
    mine, *others = (reply_in(frame) for frame in frames)
    senders = {frame.sender for frame in frames}
    if mine is None or len(others) <= cluster.f or len(senders) != len(frames):
        return None
    if max(senders) >= cluster.n or any(other is None or other != others[0] for other in others):
        return None
    other = others[0]
    assert other is not None
    if other[:2] != mine[:2] or other[2] == mine[2]:
        return None
    return (
        f"answered request {mine[1]} of client {mine[0]} by a result with digest {mine[2].hex()[:16]}, and "
        f"{len(others)} others by one with {other[2].hex()[:16]}"
    )


def reply_in(frame: Frame) -> tuple[int, int, bytes] | None:
    """Client, timestamp and the result's digest of a REPLY to what was ordered."""
    if frame.type != REPLY or frame.flags & OF_STATE:
        return None
    answer = answer_in(frame)
    return None if answer is None else (answer.client, frame.seq, answer.digest)


def _view_changes(frames: Sequence[Frame], _cluster: Cluster, _good: Good) -> str | None:
    return _two_of_a_view(frames, VIEW_CHANGE)


def _new_views(frames: Sequence[Frame], _cluster: Cluster, _good: Good) -> str | None:
    return _two_of_a_view(frames, NEW_VIEW)


def _two_of_a_view(frames: Sequence[Frame], kind: int) -> str | None:
    a, b = frames
    if a.type != kind or b.type != kind or a.view != b.view or a.signed == b.signed:
        return None
    return f"signed two {NAMES[kind]}s for view {a.view} that differ"


def _vote_and_certificate(frames: Sequence[Frame], _cluster: Cluster, _good: Good) -> str | None:
    vote, later = frames
    change = view_change_in(later) if later.type == VIEW_CHANGE else None
    if change is None or vote.type not in VOTES or not is_digest(vote):
        return None
    for proposal, _ in change.prepared:
        if (proposal.view, proposal.seq) == (vote.view, vote.seq) and proposal.body != vote.body:
            return (
                f"signed {NAMES[vote.type]} for {_short(vote)} of view {vote.view}, number {vote.seq}, and "
                f"shows in its VIEW-CHANGE for view {later.view} that it prepared {_short(proposal)} there"
            )
    return None


def _forgotten(frames: Sequence[Frame], _cluster: Cluster, _good: Good) -> str | None:
    before, later = frames
    change = view_change_in(later) if later.type == VIEW_CHANGE else None
    if change is None or before.view >= later.view:
        return None
    for view, number in prepared_by(before):
        if forgets(change, view, number):
            how = "COMMIT" if before.type == COMMIT else f"VIEW-CHANGE for view {before.view}"
            return (
                f"showed by its {how} that it had prepared number {number} in view {view}, and its "
                f"VIEW-CHANGE for view {later.view}, with its stable checkpoint at {later.seq}, has no "
                "certificate for that number of that view or a later one"
            )
    return None


def prepared_by(frame: Frame) -> list[tuple[int, int]]:
    """View and number of what a COMMIT or VIEW-CHANGE says its signer has prepared."""
    if frame.type == COMMIT:
        return [(frame.view, frame.seq)] if is_digest(frame) else []
    change = view_change_in(frame) if frame.type == VIEW_CHANGE else None
    return [] if change is None else [(one.proposal.view, one.proposal.seq) for one in change.prepared]


def forgets(change: ViewChange, view: int, number: int) -> bool:
    """What was prepared in `view` is neither covered by its stable checkpoint nor shown."""
    if view >= change.frame.view or number <= change.frame.seq:
        return False
    return not any(one.proposal.seq == number and one.proposal.view >= view for one in change.prepared)


def _taken_back(frames: Sequence[Frame], _cluster: Cluster, _good: Good) -> str | None:
    a, b = frames
    if a.type != VIEW_CHANGE or b.type != VIEW_CHANGE or a.view >= b.view or a.seq <= b.seq:
        return None
    return (
        f"asked for view {a.view} with its stable checkpoint at {a.seq}, and for view {b.view} with it at "
        f"{b.seq}"
    )


def _against_new_view(frames: Sequence[Frame], _cluster: Cluster, _good: Good) -> str | None:
    proposal, announced = frames
    message = new_view_in(announced) if announced.type == NEW_VIEW else None
    if message is None or proposal.type != PRE_PREPARE or proposal.view != announced.view:
        return None
    if not settles(message, proposal.seq):
        return None
    top = highest(message.changes)
    return (
        f"proposed number {proposal.seq} in view {proposal.view}, whose NEW-VIEW, its own, settled all up to "
        f"{top} without it"
    )


def settles(message: NewView, number: int) -> bool:
    """The NEW-VIEW leaves no room for a proposal of that number, since it is not in O."""
    return number <= highest(message.changes) and all(one.seq != number for one in message.order)


# ---------------------------------------------------------------- one message, wrong by itself


def _not_primary(frames: Sequence[Frame], cluster: Cluster, _good: Good) -> str | None:
    (frame,) = frames
    primary = cluster.primary(frame.view)
    if frame.type not in (PRE_PREPARE, NEW_VIEW) or frame.sender == primary:
        return None
    where = f", number {frame.seq}" if frame.type == PRE_PREPARE else ""
    return f"signed {NAMES[frame.type]} for view {frame.view}{where}, whose primary is replica {primary}"


def _primary_prepared(frames: Sequence[Frame], cluster: Cluster, _good: Good) -> str | None:
    (frame,) = frames
    if frame.type != PREPARE or frame.sender != cluster.primary(frame.view):
        return None
    return f"signed PREPARE for number {frame.seq} of view {frame.view}, whose primary it is"


def _malformed(frames: Sequence[Frame], _cluster: Cluster, _good: Good) -> str | None:
    (frame,) = frames
    name = NAMES.get(frame.type)
    if frame.type in DIGESTS:
        if not is_digest(frame):
            return (
                f"signed {name} with {len(frame.body)} bytes where a digest belongs, and flags {frame.flags}"
            )
        if frame.view and frame.type in (CHECKPOINT, DECIDED):
            return f"signed {name} with view {frame.view}: it has none"
    if frame.type == VIEW_CHANGE and view_change_in(frame) is None:
        return f"signed {name} for view {frame.view} whose {len(frame.body)} bytes are no C and P"
    if frame.type == NEW_VIEW and new_view_in(frame) is None:
        return f"signed {name} for view {frame.view} whose {len(frame.body)} bytes are no V and O"
    return None


def _no_checkpoint(frames: Sequence[Frame], cluster: Cluster, _good: Good) -> str | None:
    (frame,) = frames
    interval = cluster.checkpoint_interval
    if frame.type != CHECKPOINT or interval is None or (frame.seq and not frame.seq % interval):
        return None
    return f"signed CHECKPOINT for number {frame.seq}, where none is taken (K = {interval})"


def _invalid_change(frames: Sequence[Frame], cluster: Cluster, good: Good) -> str | None:
    (frame,) = frames
    change = view_change_in(frame) if frame.type == VIEW_CHANGE else None
    problem = None if change is None else wrong_view_change(change, cluster, good)
    return None if problem is None else f"signed VIEW-CHANGE for view {frame.view} that is invalid: {problem}"


def _invalid_new_view(frames: Sequence[Frame], cluster: Cluster, good: Good) -> str | None:
    (frame,) = frames
    message = new_view_in(frame) if frame.type == NEW_VIEW else None
    problem = None if message is None else wrong_new_view(message, cluster, good)
    return None if problem is None else f"signed NEW-VIEW for view {frame.view} that is invalid: {problem}"


CONFLICTING_VOTES = Rule("conflicting votes", "4.2", ALWAYS, 2, _votes)
CONFLICTING_CHECKPOINTS = Rule("conflicting CHECKPOINTs", "4.3", WITHIN_F, 2, _of_number(CHECKPOINT))
CONFLICTING_DECISIONS = Rule("conflicting decisions", "-", WITHIN_F, 2, _of_number(DECIDED))
CONFLICTING_REPLIES = Rule("conflicting replies", "4.1", WITHIN_F, 2, _replies)
REPLY_OF_OTHERS = Rule("reply against f+1 others", "4.1", WITHIN_F, 0, _replies_of_others)
CONFLICTING_VIEW_CHANGES = Rule("conflicting VIEW-CHANGEs", "4.4", ALWAYS, 2, _view_changes)
CONFLICTING_NEW_VIEWS = Rule("conflicting NEW-VIEWs", "4.4", ALWAYS, 2, _new_views)
VOTE_AGAINST_CERTIFICATE = Rule("vote against its own certificate", "4.4", KEPT_LOG, 2, _vote_and_certificate)
FORGOTTEN = Rule("forgotten certificate", "4.4", KEPT_LOG, 2, _forgotten)
TAKEN_BACK = Rule("stable checkpoint taken back", "4.3", KEPT_LOG, 2, _taken_back)
AGAINST_NEW_VIEW = Rule("proposal against its own NEW-VIEW", "4.4", ALWAYS, 2, _against_new_view)
NOT_PRIMARY = Rule("not the primary", "4.2", ALWAYS, 1, _not_primary)
PRIMARY_PREPARED = Rule("PREPARE of the primary", "4.2", ALWAYS, 1, _primary_prepared)
MALFORMED = Rule("malformed", "-", ALWAYS, 1, _malformed)
NO_CHECKPOINT = Rule("CHECKPOINT where none is taken", "4.3", ALWAYS, 1, _no_checkpoint)
INVALID_VIEW_CHANGE = Rule("invalid VIEW-CHANGE", "4.4", ALWAYS, 1, _invalid_change)
INVALID_NEW_VIEW = Rule("invalid NEW-VIEW", "4.4", ALWAYS, 1, _invalid_new_view)

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        rule.name: rule
        for rule in (
            CONFLICTING_VOTES,
            CONFLICTING_CHECKPOINTS,
            CONFLICTING_DECISIONS,
            CONFLICTING_REPLIES,
            REPLY_OF_OTHERS,
            CONFLICTING_VIEW_CHANGES,
            CONFLICTING_NEW_VIEWS,
            VOTE_AGAINST_CERTIFICATE,
            FORGOTTEN,
            TAKEN_BACK,
            AGAINST_NEW_VIEW,
            NOT_PRIMARY,
            PRIMARY_PREPARED,
            MALFORMED,
            NO_CHECKPOINT,
            INVALID_VIEW_CHANGE,
            INVALID_NEW_VIEW,
        )
    }
)
BY_ITSELF = (NOT_PRIMARY, PRIMARY_PREPARED, MALFORMED, NO_CHECKPOINT)
"""Of single messages, those that need nothing but the message."""
