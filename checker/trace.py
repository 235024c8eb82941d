"""A replica's `trace.jsonl` for the judges: lives, and in each what was committed, executed, checkpointed.

The bytes are hostile, also those of a correct replica (a crash tears them, a bug garbles them): nothing here
raises for what a file contains. A line that cannot be read becomes a `flaw`; a line torn by a crash (the last
of the file, or just before a new life) is forgiven, because what it announced never left the replica.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from checker.fields import parse_json
from checker.files import read_regular

SCHEMA = "traitor/trace/1"
_LONGEST_LINE_BYTES = 8 * 1024 * 1024
_MOST_FLAWS = 20
_LINE_START = b'{"t_ns"'


@dataclass(frozen=True, slots=True)
class Request:
    """One request in an executed batch. `did` is "executed" or "duplicate"."""

    client: int
    timestamp: int
    digest: str
    did: str


@dataclass(frozen=True, slots=True)
class Voted:
    """A vote sent: `pre-prepare` (proposed, or accepted with a PREPARE) or `prepared` (and a COMMIT)."""

    line: int
    t_ns: int
    kind: str
    view: int
    seq: int
    digest: str
    role: str = ""
    """Of a `pre-prepare`: "primary" or "backup"; "" where the trace does not say."""


@dataclass(frozen=True, slots=True)
class Committed:
    """committed-local became true."""

    line: int
    t_ns: int
    view: int
    seq: int
    digest: str


@dataclass(frozen=True, slots=True)
class Executed:
    """A sequence number was executed."""

    line: int
    t_ns: int
    seq: int
    digest: str
    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Checkpointed:
    """A checkpoint was taken, or became stable."""

    line: int
    t_ns: int
    seq: int
    digest: str
    stable: bool
    high: int | None = None
    """Of a stable one: the high water mark from then on."""


@dataclass(frozen=True, slots=True)
class Transferred:
    """A state transfer finished: the replica is now as after `seq`."""

    line: int
    t_ns: int
    seq: int


@dataclass(frozen=True, slots=True)
class NewView:
    """A view was entered. Its primary proposes anew what is above `min_s`, up to `max_s`."""

    line: int
    t_ns: int
    view: int
    primary: int
    min_s: int
    max_s: int


@dataclass(frozen=True, slots=True)
class AskedView:
    """A VIEW-CHANGE was sent: the replica votes in no lower view, and in this one when it is entered."""

    line: int
    t_ns: int
    view: int


@dataclass(frozen=True, slots=True)
class Silent:
    """Its log was lost: it votes on nothing before view `bound`, which may not be known yet. `over`: it has
    recovered, and is a replica like any other."""

    line: int
    t_ns: int
    view: int
    bound: int | None
    over: bool


@dataclass(frozen=True, slots=True)
class Alarm:
    """The replica saw its own state contradict a quorum."""

    line: int
    t_ns: int
    reason: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """Bytes that a correct peer would not have sent, or so many alike."""

    line: int
    t_ns: int
    sender: int | None
    message: str
    reason: str
    count: int


Record = (
    Voted
    | Committed
    | Executed
    | Checkpointed
    | Transferred
    | NewView
    | AskedView
    | Silent
    | Alarm
    | Rejection
)


@dataclass(slots=True)
class Life:
    """What one process of a replica did, from `started` on. `executed` is where it went on from."""

    line: int
    t_ns: int
    executed: int
    log_records: int
    """What it read from its log."""
    records: list[Record] = field(default_factory=list)
    view: int | None = None
    """None: it did not say."""
    active: bool = True
    """It was in the view, and not on its way there."""
    stable: int = 0

    def position(self) -> int:
        """The last sequence number whose effects its state holds."""
        at = self.executed
        for record in self.records:
            if isinstance(record, Executed | Transferred):
                at = max(at, record.seq)
        return at


@dataclass(frozen=True, slots=True)
class Flaw:
    """A line that could not be read, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReplicaTrace:
    """One replica's trace. `missing` says why there is none."""

    replica: int
    lives: tuple[Life, ...]
    flaws: tuple[Flaw, ...]
    missing: str | None = None

    def records(self) -> Iterator[Record]:
        """All records of all lives, in order."""
        for life in self.lives:
            yield from life.records


class _Bad(Exception):
    """A line that is no trace line; the text says why."""


def read_trace(path: Path, replica: int) -> ReplicaTrace:
    """The trace in `path`. Never raises for what the file holds."""
    try:
        content = read_regular(path)
    except OSError as error:
        return ReplicaTrace(replica, (), (), f"{path.name} of replica {replica}: {error.strerror}")
    lines = list(_lines(content))
    lives: list[Life] = []
    flaws: list[Flaw] = []
    for position, (number, line) in enumerate(lines):
        try:
            _take(number, _fields(line), lives, replica)
        except _Bad as bad:
            last = position + 1 == len(lines)
            at_an_end = not content.endswith(b"\n") if last else _begins_life(lines[position + 1][1])
            torn = at_an_end and not _is_json(line)
            if len(flaws) < _MOST_FLAWS and not torn:
                flaws.append(Flaw(number, str(bad)))
    return ReplicaTrace(replica, tuple(lives), tuple(flaws))


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Numbered lines; a new life's line glued to the torn one before it is taken apart."""
    for number, line in enumerate(content.split(b"\n"), start=1):
        glued = line.rfind(_LINE_START)
        if glued > 0 and b'"started"' in line[glued:]:
            yield number, line[:glued]
            line = line[glued:]
        if line:
            yield number, line


def _is_json(line: bytes) -> bool:
    """A whole line that is wrong was not torn by a crash."""
    try:
        parse_json(line)
    except (ValueError, RecursionError):
        return False
    return True


def _begins_life(line: bytes) -> bool:
    try:
        return _fields(line).get("e") == "started"
    except _Bad:
        return False


def _fields(line: bytes) -> Mapping[str, object]:
    if len(line) > _LONGEST_LINE_BYTES:
        raise _Bad(f"the line has {len(line)} bytes, more than {_LONGEST_LINE_BYTES}")
    try:
        value = parse_json(line)
    except (ValueError, RecursionError):
        raise _Bad("the line is not JSON") from None
    if not isinstance(value, dict):
        raise _Bad("the line is not a JSON object")
    return value


def _take(number: int, fields: Mapping[str, object], lives: list[Life], replica: int) -> None:
    kind, t_ns = fields.get("e"), _number(fields, "t_ns")
    if kind == "started":
        if fields.get("schema") != SCHEMA:
            raise _Bad(f"schema {fields.get('schema')!r:.60} is not {SCHEMA}")
        if fields.get("replica") != replica:
            raise _Bad(f"it says it is of replica {fields.get('replica')!r:.20}")
        lives.append(_life(number, t_ns, fields))
        return
    if not isinstance(kind, str):
        raise _Bad("field 'e' is missing or no string")
    record = _record(number, t_ns, kind, fields)
    if record is None:
        return
    if not lives:
        raise _Bad(f"{kind} before any started")
    lives[-1].records.append(record)


def _life(number: int, t_ns: int, fields: Mapping[str, object]) -> Life:
    life = Life(number, t_ns, _number(fields, "executed"), _number(fields, "records"))
    if "view" in fields:
        life.view = _number(fields, "view")
    life.active = fields.get("active") is not False
    if "stable" in fields:
        life.stable = _number(fields, "stable")
    return life


def _record(number: int, t_ns: int, kind: str, fields: Mapping[str, object]) -> Record | None:
    """The record, or None for kinds no judge uses."""
    match kind:
        case "pre-prepare" | "prepared":
            view, seq = _number(fields, "view"), _number(fields, "seq")
            role = fields.get("role")
            digest = _text(fields, "digest")
            return Voted(number, t_ns, kind, view, seq, digest, role if isinstance(role, str) else "")
        case "committed":
            view, seq = _number(fields, "view"), _number(fields, "seq")
            return Committed(number, t_ns, view, seq, _text(fields, "digest"))
        case "executed":
            seq, digest = _number(fields, "seq"), _text(fields, "digest")
            return Executed(number, t_ns, seq, digest, _requests(fields.get("requests")))
        case "checkpoint" | "stable":
            seq, digest = _number(fields, "seq"), _text(fields, "digest")
            high = _number(fields, "high") if "high" in fields else None
            return Checkpointed(number, t_ns, seq, digest, kind == "stable", high)
        case "state-transfer":
            return (
                Transferred(number, t_ns, _number(fields, "seq"))
                if fields.get("step") == "finished"
                else None
            )
        case "new-view":
            limits = _number(fields, "min_s"), _number(fields, "max_s")
            return NewView(number, t_ns, _number(fields, "view"), _number(fields, "primary"), *limits)
        case "view-change":
            return AskedView(number, t_ns, _number(fields, "view"))
        case "silent" | "recovered":
            bound = None if fields.get("bound") is None else _number(fields, "bound")
            return Silent(number, t_ns, _number(fields, "view"), bound, kind == "recovered")
        case "alarm":
            return Alarm(number, t_ns, _text(fields, "reason"))
        case "rejected":
            return _rejection(number, t_ns, fields)
    return None


def _rejection(number: int, t_ns: int, fields: Mapping[str, object]) -> Rejection | None:
    """No judgement rests on it, so one that cannot be read is no flaw."""
    match fields.get("sender"), fields.get("message"), fields.get("reason"), fields.get("count", 1):
        case (int() | None) as sender, str(message), str(reason), int(count):
            return Rejection(number, t_ns, sender, message[:40], reason[:200], count)
    return None


def _requests(value: object) -> tuple[Request, ...]:
    if not isinstance(value, list):
        raise _Bad("requests is no list")
    found = []
    for item in value:
        match item:
            case [int(client), int(timestamp), str(digest), "executed" | "duplicate" as did]:
                found.append(Request(client, timestamp, digest, did))
            case _:
                raise _Bad(f"request {item!r:.60} is not [client, timestamp, digest, what was done]")
    return tuple(found)


def _number(fields: Mapping[str, object], name: str) -> int:
    value = fields.get(name)
    if type(value) is int and value >= 0:  # a bool is of another type
        return value
    raise _Bad(f"{name} is {value!r:.40}, not a number from 0 on")


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise _Bad(f"{name} is {value!r:.40}, not a string")
    return value
