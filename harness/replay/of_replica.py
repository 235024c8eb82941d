"""The replay of one replica of a run folder, from its first event to the end of its journal.

Of the folder's files only ``config.json``, ``journal`` and ``trace.jsonl`` of that replica are read (the
journals of others where something differs); nothing that the config names is opened.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from harness import store
from harness.errors import HarnessError
from harness.replay.readable import counted
from harness.replay.recorded_trace import Comparison, Difference, RecordedTrace
from harness.replay.replayer import Mismatch, Replayer
from harness.replay.witnesses import other_journals_say
from harness.spec import VIRTUAL_WORLDS
from harness.virtual.hashed_keys import HashedKeys
from harness.virtual.settings import KEYED_HASH
from pbft_node.config import ReplicaConfig, load_replica, read_json
from pbft_node.core.effects import Send
from pbft_node.errors import ConfigError, NodeError
from pbft_node.journal_file import JournalError
from pbft_node.journal_reader import Contents, read_journal
from pbft_node.keys import SecretKeys

JOURNAL = "journal"
MOST_LINES = 10_000
"""Looked through for what the recorded trace says of an event that differs."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What a replay must know of the run's plan."""

    virtual: bool = False
    """Its lives end with the run, and nobody stops the processes."""
    keyed_hash: bool = False
    """What its replicas signed with."""


def kind_of(run: Path) -> Kind:
    """A plan that cannot be read is one of a live run."""
    plan = store.read_object(run / "plan.json")
    virtual = plan.get("virtual")
    signer = virtual.get("signer") if isinstance(virtual, dict) else None
    return Kind(plan.get("world") in VIRTUAL_WORLDS, signer == KEYED_HASH)


@dataclass(frozen=True, slots=True)
class Subject:
    """A replica of a run, ready to be replayed."""

    replica: int
    config: ReplicaConfig
    contents: Contents


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a replay went. All plain data: it travels between processes as JSON."""

    replica: int
    lives: int
    events: int
    """In the journal."""
    equal: int
    """Whose hash was found equal."""
    crashes: list[int]
    """The last event of each life that did not end in order, but for the journal's last where it goes on."""
    ending: str
    """``whole``, ``torn``, ``limit`` or ``damaged``."""
    ending_reason: str
    seconds: float
    mismatch: dict[str, object] | None
    trace_lines: int
    """Of the recorded trace, found equal."""
    trace_left_out: int
    """Lines of turns that were journalled and not carried out."""
    trace_difference: dict[str, object] | None
    trace_readable: bool = True
    """There is a recorded trace. Without one nobody knows which last turns of a life were carried out: then
    no trace of this replica is judged."""

    @property
    def good(self) -> bool:
        """Everything there was could be replayed and was equal."""
        same = self.mismatch is None and self.trace_difference is None and self.trace_readable
        return same and self.ending != "damaged"


def open_subject(run: Path, replica: int, kind: Kind) -> Subject:
    """Raises HarnessError when it cannot be replayed."""
    folder = run / "replicas" / str(replica)
    try:
        contents = read_journal(folder / JOURNAL)
        config = load_replica(folder / "config.json")
        if kind.keyed_hash:
            config = _with_hashed_keys(config)
    except (JournalError, ConfigError) as error:
        raise _cannot(replica, str(error)) from None
    named = (config.replica, config.cluster.cluster_id)
    if (contents.replica, contents.cluster_id) != named or config.replica != replica:
        raise HarnessError(
            f"replica {replica} cannot be replayed: its journal is that of replica {contents.replica} of "
            f"cluster {contents.cluster_id.hex()}, its config that of replica {config.replica} of cluster "
            f"{config.cluster.cluster_id.hex()}",
            "Files of another run were put into this folder.",
        )
    return Subject(replica, config, contents)


def _with_hashed_keys(config: ReplicaConfig) -> ReplicaConfig:
    """The same secrets, signing as that run did."""
    secret = read_json(config.path)["secret"]
    assert isinstance(secret, dict), "the configuration was read already"
    keys = SecretKeys(*(bytes.fromhex(secret[name]) for name in ("sign", "exchange")))
    return replace(config, keyring=HashedKeys(config.keyring.directory, keys))


def replay_replica(run: Path, replica: int, out: Path | None, kind: Kind) -> Outcome:
    """All of it; the trace to be judged goes to ``out``, if there is one. Raises HarnessError."""
    begin_ns = time.process_time_ns()
    subject = open_subject(run, replica, kind)
    contents = subject.contents
    recorded = RecordedTrace(run / "replicas" / str(replica) / "trace.jsonl")
    try:
        with open("/dev/null" if out is None or not recorded.readable else out, "wb") as file:
            comparison = Comparison(recorded, file) if recorded.readable else None
            replayer = make_replayer(subject, comparison)
            for _ in replayer.events():
                pass
            mismatch = None
            if replayer.mismatch is not None:
                mismatch = _explained(run, subject, replayer, replayer.mismatch, recorded)
            elif comparison is not None and contents.ending.why in ("limit", "damaged"):
                comparison.take_rest()
    except NodeError as error:
        raise _cannot(replica, str(error)) from None
    except OSError as error:
        raise HarnessError(
            f"cannot write the replayed trace: {error.strerror}", "Free some space in TMPDIR."
        ) from None
    finally:
        recorded.close()
    difference: Difference | None = None if comparison is None else comparison.difference
    return Outcome(
        replica=replica,
        lives=len(contents.lives),
        events=sum(life.events for life in contents.lives),
        equal=replayer.done,
        crashes=_crashes(contents, kind),
        ending=contents.ending.why,
        ending_reason=contents.ending.reason,
        seconds=(time.process_time_ns() - begin_ns) / 1e9,
        mismatch=mismatch,
        trace_lines=0 if comparison is None else comparison.compared,
        trace_left_out=0 if comparison is None else comparison.left_out,
        trace_difference=None if difference is None else asdict(difference),
        trace_readable=recorded.readable,
    )


def _cannot(replica: int, why: str) -> HarnessError:
    return HarnessError(f"replica {replica} cannot be replayed: {why}", "See the others: --replica N")


def make_replayer(subject: Subject, comparison: Comparison | None = None) -> Replayer:
    """Raises HarnessError when the core cannot be made (a service of the user's that is not there)."""
    try:
        return Replayer(subject.config, subject.contents, comparison)
    except NodeError as error:
        raise HarnessError(
            f"replica {subject.replica} cannot be replayed: {error}",
            "A service of your own must be on PYTHONPATH, as it was for the run.",
        ) from None


def _crashes(contents: Contents, kind: Kind) -> list[int]:
    crashes, events = [], 0
    for life in contents.lives:
        events += life.events
        goes_on = life is contents.lives[-1] and (kind.virtual or contents.ending.why in ("limit", "damaged"))
        if life.ended_ns is None and not goes_on:
            crashes.append(events)
    return crashes


def _explained(
    run: Path, subject: Subject, replayer: Replayer, mismatch: Mismatch, recorded: RecordedTrace
) -> dict[str, object]:
    """With what the rest of the run folder says of this event."""
    stamp = b'{"t_ns":%d,' % mismatch.now_ns
    was: list[str] = []
    for _ in range(MOST_LINES):
        if recorded.line is None:
            break
        if recorded.line.startswith(stamp):
            was.append(recorded.line[:400].decode("utf-8", "replace"))
        recorded.advance()
    now = [line[:400] for line in mismatch.trace]
    sends = [effect for effect in replayer.effects if type(effect) is Send]
    return asdict(mismatch) | {
        "trace_only_then": [line for line in was if line not in now],
        "trace_only_now": [line for line in now if line not in was],
        "others": other_journals_say(run, subject.config.cluster.n, subject.replica, sends),
    }


def outcome_line(outcome: Outcome) -> str:
    """For people."""
    rate = f" ({outcome.equal / max(outcome.seconds, 1e-9):.0f} events/s)" if outcome.mismatch is None else ""
    crashed = ""
    if outcome.crashes:
        shown = ", ".join(map(str, outcome.crashes[:8])) + (" …" if len(outcome.crashes) > 8 else "")
        crashed = f", cut by a crash after event{'s' if len(outcome.crashes) > 1 else ''} {shown}"
    lives = f"{outcome.lives} {'life' if outcome.lives == 1 else 'lives'}"
    said = "every hash equal" if outcome.mismatch is None else f"{outcome.equal} hashes equal, then NOT"
    return (
        f"{f'replica {outcome.replica}':<16} {lives}, {counted(outcome.events, 'event')}, {said}{crashed}; "
        f"{outcome.seconds:.2f} s{rate}"
    )


def outcome_notes(outcome: Outcome) -> list[str]:
    """What is not as it should be, or good to know."""
    notes = []
    if outcome.ending == "torn":
        notes.append(f"cut by a crash: {outcome.ending_reason}")
    elif outcome.ending != "whole":
        notes.append(f"the journal ends early ({outcome.ending}): {outcome.ending_reason}")
    if outcome.trace_left_out:
        notes.append(
            f"{counted(outcome.trace_left_out, 'trace line')} of a last turn not carried out: not judged"
        )
    if not outcome.trace_readable:
        notes.append("trace.jsonl is missing or no regular file: no trace of this replica is judged")
    if outcome.mismatch is not None:
        notes += _mismatch_words(outcome.mismatch)
    if outcome.trace_difference is not None:
        notes += _difference_words(outcome.trace_difference)
    return notes


def _mismatch_words(mismatch: dict[str, object]) -> list[str]:
    lines = [f"event {mismatch['number']} (life {mismatch['life']}): {mismatch['event']}: {mismatch['what']}"]
    for key, title in (
        ("effects", "now it asks for"),
        ("trace_only_then", "only the recorded trace has"),
        ("trace_only_now", "only the replayed trace has"),
        ("others", "journals of others"),
    ):
        found = mismatch[key]
        lines += [f"  {title}: {line}" for line in (found if isinstance(found, list | tuple) else ())]
    return lines


def _difference_words(difference: dict[str, object]) -> list[str]:
    events = difference["events"]
    first, last = events if isinstance(events, list | tuple) else (0, 0)
    where = f" (events {first} to {last})" if last else ""
    return [
        f"trace.jsonl, line {difference['line']}{where}, is not what the replay writes, though every hash "
        "before it is equal: the file was changed, or its driver failed",
        f"  recorded: {difference['recorded'] or 'nothing, the file has ended'}",
        f"  replayed: {difference['replayed'] or 'nothing'}",
    ]
