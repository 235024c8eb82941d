"""The schedule of a live run: from its journals, traces' last words, capture, ``faults.jsonl``, ``run.json``.

Of the last turn of a killed life the journal does not say whether it was carried out; that lines of it are
in the trace does. Where a journal ends early (its limit, damage), so does the schedule.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from checker.files import read_regular
from checker.forensics.capture import Capture
from harness import clients_journal as clients
from harness import store
from harness.errors import UsageError
from harness.identities import LAST_CLIENT_ID
from harness.schedule.record import (
    CLOCK,
    DELIVER,
    IN_FORCE,
    START,
    TIMER,
    UNDONE,
    Arrived,
    Called,
    Ends,
    Event,
    Item,
    Phase,
    Said,
    Schedule,
    Stopped,
    Turn,
    digest_of,
)
from harness.schedule.schedule_file import wanted_of
from harness.twin_folders import twins_of
from nemesis.packets.capture import FILE_NAME
from pbft_node.core.events import ClockMoved, Received, TimerFired
from pbft_node.core.frames import MessageType, peek
from pbft_node.journal_file import JournalError
from pbft_node.journal_reader import Contents, Entry, Life, Start, read_journal

MOST_PROBES = 100_000
TIMED_STEPS = ("asked", "undo-asked", UNDONE)
"""Of a fault: when it was begun, when it was to be undone, when that was proved. When rules on packets came
into force, is in the receipt."""
_TYPES = {int(kind): kind.name.replace("_", "-") for kind in MessageType}
_TRACE_LINE = re.compile(rb'\{"t_ns":(\d{1,19}),"e":"([a-z-]{1,40})"')


def schedule_of(run: Path, n: int) -> Schedule:
    """Raises UsageError when the run has no record to follow."""
    phases = _phases(run)
    items: list[Item] = []
    try:
        for replica in range(n):
            items += _of_replica(run / "replicas" / str(replica), replica)
            for twin in twins_of(run, replica):
                items += _of_replica(run / "replicas" / twin, replica, twin)
        items += _of_clients(run / clients.FILE_NAME)
    except JournalError as error:
        raise UsageError(f"the order of this run is not recorded: {error}", _ADVICE) from None
    items += _of_faults(run / "faults.jsonl")
    items += _of_rules(run / FILE_NAME, {digest for _, digest in wanted_of(items)})
    items.sort(key=lambda item: item.t_ns)  # stable: what one host recorded at one time stays in its order
    begin_ns = phases[0].start_ns
    items = [item for item in items if item.t_ns >= begin_ns]
    return Schedule(run.name, n, begin_ns, phases, tuple(items), wanted_of(items))


_ADVICE = "Only live runs keep the journals that a schedule is made of, since this version."


def _phases(run: Path) -> tuple[Phase, ...]:
    phases = []
    found = store.read_object(run / "run.json").get("phases")
    for entry in (found if isinstance(found, list) else [])[:100]:
        if (
            isinstance(entry, dict)
            and type(entry.get("start_ns")) is int
            and type(entry.get("end_ns")) is int
        ):
            name = store.printable(entry.get("name"))[:40]
            phases.append(Phase(name, max(0, entry["start_ns"]), max(0, entry["end_ns"])))
    if not phases:
        raise UsageError(f"{run / 'run.json'} tells no phases of the run", _ADVICE)
    return tuple(phases)


# Replicas


def _of_replica(folder: Path, replica: int, twin: str = "") -> Iterator[Item]:
    contents = read_journal(folder / "journal")
    words = _last_words(folder / "trace.jsonl")
    number = 1
    for life in contents.lives:
        for item in _of_life(contents, life, replica, number, words):
            if isinstance(item, Turn):
                number += len(item.events)
            yield item._replace(twin=twin)
    if contents.ending.why in ("limit", "damaged"):
        last_ns = max((entry.now_ns for life in contents.lives[-1:] for entry in life.entries()), default=0)
        who = f"the twin {twin}" if twin else f"replica {replica}"
        yield Ends(last_ns, f"the journal of {who} ends there: {contents.ending.reason}"[:200])


def _of_life(
    contents: Contents, life: Life, replica: int, number: int, words: dict[int, int]
) -> Iterator[Turn | Stopped]:
    turns = list(_whole_turns(life))
    broken = life is contents.lives[-1] and contents.ending.why in ("limit", "damaged")
    killed = life.ended_ns is None and not broken
    started_ns = turns[0][1][0].now_ns
    for place, (end_ns, entries, whole) in enumerate(turns):
        last = killed and place == len(turns) - 1
        told = whole and (not last or _was_told(entries, words.get(started_ns)))
        events = tuple(_event(entry) for entry in entries)
        yield Turn(end_ns, replica, life.number, number, events, last, told)
        number += len(events)
    if life.ended_ns is not None:
        yield Stopped(life.ended_ns, replica)


def _whole_turns(life: Life) -> Iterator[tuple[int, list[Entry], bool]]:
    """(end, events, was it finished)."""
    entries: list[Entry] = []
    end_ns = 0
    for turn in life.turns():
        entries += turn.entries
        end_ns = turn.end_ns
        if not turn.goes_on:
            yield end_ns, entries, True
            entries = []
    if entries:
        yield end_ns, entries, False


def _was_told(entries: list[Entry], last_told_ns: int | None) -> bool:
    """Is there a trace line of that turn? ``last_told_ns``: of that life."""
    return bool(entries) and last_told_ns is not None and last_told_ns >= entries[0].now_ns


def _last_words(trace: Path) -> dict[int, int]:
    """Time of a ``started`` line -> that of the last whole line of that life."""
    words: dict[int, int] = {}
    started_ns: int | None = None
    try:
        content = read_regular(trace)
    except OSError:
        return words
    for line in content.splitlines(keepends=True):
        found = _TRACE_LINE.match(line)
        if found is None or not line.endswith(b"\n"):
            continue
        at_ns = int(found[1])
        if found[2] == b"started":
            started_ns = at_ns
        if started_ns is not None:
            words[started_ns] = max(at_ns, words.get(started_ns, 0))
    return words


def _event(entry: Entry) -> Event:
    match entry.event:
        case Start(wall_offset_ns, nonce, _, _, count):
            return Event(entry.now_ns, START, "", nonce, wall_offset_ns, count, entry.hash)
        case Received(data):
            return Event(entry.now_ns, DELIVER, _name(data), digest_of(data), 0, 0, entry.hash)
        case TimerFired(name, generation):
            return Event(entry.now_ns, TIMER, name, b"", generation, 0, entry.hash)
        case ClockMoved(_, own_ns, rate, wall_offset_ns):
            return Event(entry.now_ns, CLOCK, f"{own_ns} {rate}", b"", wall_offset_ns, 0, entry.hash)


def _name(data: bytes) -> str:
    """``COMMIT 2 0 57``: type, sender, view, number, as the header claims."""
    header = peek(data)
    if header is None or header[0] not in _TYPES:
        return f"{len(data)} bytes"
    return f"{_TYPES[header[0]]} {header[1]} {header[2]} {header[3]}"


# Clients and faults


def _of_clients(path: Path) -> Iterator[Item]:
    record = clients.read_clients_journal(path)
    last_ns = 0
    for entry in record.entries():
        last_ns = entry.now_ns
        match entry:
            case clients.Arrived(now_ns, datagram):
                yield Arrived(now_ns, _name(datagram), digest_of(datagram))
            case clients.Fired(now_ns, client, name, generation):
                yield Called(now_ns, ("timer", client, name, generation))
            case clients.Invoked(now_ns, client):
                yield Called(now_ns, ("invoke", client))
                if client > LAST_CLIENT_ID - MOST_PROBES:
                    yield Called(now_ns, ("probe", LAST_CLIENT_ID + 1 - client))
            case clients.Closed(now_ns, client):
                yield Called(now_ns, ("timeout", client))
    if record.ending.why in ("limit", "damaged"):
        yield Ends(last_ns, f"the journal of the clients ends there: {record.ending.reason}"[:200])


def _of_rules(path: Path, arrived: set[bytes]) -> Iterator[Item]:
    """What they put on the wire and arrived, each once. Where the capture ends, the engine has to do."""
    try:
        capture = Capture(path)
    except OSError:
        return
    try:
        for packet in capture.packets():
            digest = digest_of(packet.data)
            if digest in arrived and packet.comment.startswith(("altered", "injected")):
                arrived.remove(digest)
                yield Said(packet.time_ns, packet.data)
    finally:
        capture.close()


def _of_faults(path: Path) -> Iterator[Item]:
    """When each was begun, in force and undone."""
    try:
        lines = read_regular(path).splitlines()
    except OSError:
        return
    for line in lines:
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(data, dict):
            continue
        fault, receipt = data.get("fault"), data.get("receipt")
        if not isinstance(fault, str) or not fault.isprintable():
            continue
        times = {data.get("step"): data.get("time_ns")} if data.get("step") in TIMED_STEPS else {}
        if data.get("step") == UNDONE and isinstance(receipt, dict):
            times[IN_FORCE] = receipt.get("since_ns") or None
        for step, at_ns in times.items():
            if type(at_ns) is int and at_ns >= 0:
                yield Called(at_ns, ("fault", fault[:100], str(step)))
