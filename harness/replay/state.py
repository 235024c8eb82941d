"""What a replica knows at one moment, as data and as text: the view, the log window, certificates,
checkpoints, who waits, which timers run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.replay.readable import counted
from pbft_node.core.replica import Replica
from pbft_node.core.slots import Slot

Facts = dict[str, object]
MOST_ROWS = 200
"""Of each list, in text; ``--json`` has all."""
SHORT = 12
"""Digits shown of a digest."""


def facts_of(replica: Replica, now_ns: int, timers: Mapping[str, tuple[int, int]]) -> Facts:
    """``timers``: name -> (generation, when it is due). Times are relative to ``now_ns``."""
    return {
        "replica": replica.me,
        "view": replica.view,
        "active": replica.active,
        "primary": replica.primary,
        "may_vote": replica.may_vote,
        "failed_views": replica.failed_views,
        "log_view": replica.log_view,
        "executed": replica.executed,
        "stable": replica.stable,
        "high_watermark": replica.high_watermark,
        "next_seq": replica.next_seq if replica.is_active_primary else None,
        "slots": [_slot(replica, replica.slots[seq]) for seq in sorted(replica.slots)],
        "decided": {str(seq): replica.decided[seq].hex() for seq in sorted(replica.decided)},
        "certificates": [
            {
                "seq": seq,
                "view": certificate.pre_prepare.view,
                "digest": certificate.pre_prepare.digest.hex(),
                "prepares": [vote.replica for vote in certificate.prepares],
            }
            for seq, certificate in sorted(replica.certificates.items())
        ],
        "view_changes": [
            {
                "replica": sender,
                "view": message.view,
                "stable": message.stable,
                "prepared": [certificate.pre_prepare.seq for certificate in message.prepared],
            }
            for sender, message in sorted(replica.view_changes.items())
        ],
        "checkpoints": _checkpoints(replica),
        "pending": [
            {
                "client": client,
                "timestamp": waiting.request.timestamp,
                "digest": waiting.request.digest.hex(),
                "waits_ns": now_ns - waiting.since_ns,
            }
            for client, waiting in replica.pending.items()
        ],
        "timers": [
            {"name": name, "generation": generation, "due_in_ns": due_ns - now_ns}
            for name, (generation, due_ns) in sorted(timers.items(), key=lambda item: (item[1][1], item[0]))
        ],
        "clients": len(replica.clients),
        "batches": len(replica.batches),
        "state_transfer": replica.fetching_state(),
        "state_is_wrong": replica.state_is_wrong,
    }


def _slot(replica: Replica, slot: Slot) -> Facts:
    proposal = slot.pre_prepare
    return {
        "seq": slot.seq,
        "view": slot.view,
        "digest": None if proposal is None else proposal.digest.hex(),
        "primary": None if proposal is None else proposal.primary,
        "prepares": {str(voter): slot.prepares[voter].digest.hex() for voter in sorted(slot.prepares)},
        "commits": {str(voter): slot.commits[voter].hex() for voter in sorted(slot.commits)},
        "prepared": slot.prepared,
        "committed": slot.committed,
        "executed": slot.seq <= replica.executed,
    }


def _checkpoints(replica: Replica) -> list[Facts]:
    seqs = sorted({*replica.snapshots, *replica.checkpoint_votes})
    return [
        {
            "seq": seq,
            "own": replica.snapshots[seq].digest.hex() if seq in replica.snapshots else None,
            "votes": {
                str(voter): vote.digest.hex()
                for voter, vote in sorted(replica.checkpoint_votes.get(seq, {}).items())
            },
            "stable": seq == replica.stable,
        }
        for seq in seqs
    ]


def text_of(replica: Replica, now_ns: int, timers: Mapping[str, tuple[int, int]]) -> list[str]:
    """The same for a person, a line each."""
    state = "active" if replica.active else "between VIEW-CHANGE and NEW-VIEW"
    vote = "" if replica.may_vote else ", silent: it has no vote"
    failed = f", {counted(replica.failed_views, 'view')} failed in a row" if replica.failed_views else ""
    lines = [
        f"{'view':<14}{replica.view} ({state}), primary {replica.primary}{vote}{failed}",
        f"{'executed':<14}{replica.executed}",
        f"{'watermarks':<14}h = {replica.stable}, H = {replica.high_watermark}",
        f"{'clients':<14}{len(replica.clients)} in the table, {counted(len(replica.batches), 'batch')[:-1]}"
        f"{'es' if len(replica.batches) != 1 else 'h'} held",
    ]
    if replica.fetching_state():
        lines.append(f"{'state':<14}is being fetched from the others")
    if replica.state_is_wrong:
        lines.append(f"{'state':<14}is wrong: a quorum contradicts it")
    lines += _section("log window", _slot_rows(replica))
    lines += _section("certificates", _certificate_rows(replica))
    lines += _section("view changes", _view_change_rows(replica))
    lines += _section("checkpoints", _checkpoint_rows(replica))
    lines += _section(
        "pending",
        [
            f"client {client}, timestamp {waiting.request.timestamp}, {short(waiting.request.digest)}, "
            f"waits for {(now_ns - waiting.since_ns) / 1e6:.3f} ms"
            for client, waiting in replica.pending.items()
        ],
    )
    running = sorted(timers.items(), key=lambda item: (item[1][1], item[0]))
    lines += _section(
        "timers",
        [f"{name} due in {(due - now_ns) / 1e6:.3f} ms (generation {g})" for name, (g, due) in running],
    )
    return lines


def _section(title: str, rows: list[str]) -> list[str]:
    shown = rows[:MOST_ROWS] or ["none"]
    if len(rows) > MOST_ROWS:
        shown.append(f"… and {len(rows) - MOST_ROWS} more, see --json")
    return [f"{title if index == 0 else '':<14}{row}" for index, row in enumerate(shown)]


def _slot_rows(replica: Replica) -> list[str]:
    rows = []
    for seq in sorted(replica.slots):
        slot = replica.slots[seq]
        proposal = slot.pre_prepare
        digest = "no PRE-PREPARE" if proposal is None else f"pre-prepared {short(proposal.digest)}"
        reached = ["prepared"] if slot.prepared else []
        reached += ["committed"] if slot.committed else []
        reached += ["executed"] if seq <= replica.executed else []
        votes = f"PREPARE {_voters(slot.prepares)}, COMMIT {_voters(slot.commits)}"
        rows.append(f"seq {seq} view {slot.view}: {digest}; {votes}; {', '.join(reached) or 'waiting'}")
    loose = [seq for seq in sorted(replica.decided) if seq not in replica.slots]
    rows += [f"seq {seq}: decided {short(replica.decided[seq])}, no votes held" for seq in loose]
    return rows


def _certificate_rows(replica: Replica) -> list[str]:
    return [
        f"seq {seq} view {found.pre_prepare.view}: {short(found.pre_prepare.digest)}, prepared by "
        + " ".join(str(vote.replica) for vote in found.prepares)
        for seq, found in sorted(replica.certificates.items())
    ]


def _view_change_rows(replica: Replica) -> list[str]:
    return [
        f"of {sender} for view {message.view}: stable {message.stable}, "
        f"{counted(len(message.prepared), 'certificate')}"
        for sender, message in sorted(replica.view_changes.items())
    ]


def _checkpoint_rows(replica: Replica) -> list[str]:
    rows = []
    for seq in sorted({*replica.snapshots, *replica.checkpoint_votes}):
        own = replica.snapshots.get(seq)
        said = "no own state" if own is None else f"own state {short(own.digest)}"
        votes = replica.checkpoint_votes.get(seq, {})
        stable = ", stable" if seq == replica.stable else ""
        rows.append(f"seq {seq}: {said}, votes of {_voters(votes)}{stable}")
    return rows


def _voters(votes: Iterable[int]) -> str:
    return " ".join(str(voter) for voter in sorted(votes)) or "-"


def short(digest: bytes) -> str:
    """The first digits of it."""
    return digest.hex()[:SHORT]
