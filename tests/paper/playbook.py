"""A playbook for one replica: feed it events, say what must follow, in the order it must follow.

    play.receives(proposal).persists("PRE_PREPARE", seq=1).sends("PREPARE", to=play.others, seq=1)

Records, sends, rejections and halts are strict: every one must be expected, in order, before the next
event (a send of one message to many is one line). Traces and timers are looked up where a test asks for
them. Disagreement prints both sides line by line. STATUS sent to others is noise and left out unless
``noise=False``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from members import Members, wire
from memory_cluster import SimulatedKeys

from pbft_node.core.cluster import MILLISECOND_NS, Cluster
from pbft_node.core.codec import decode, decode_certificate, decode_checkpoints, decode_pre_prepare
from pbft_node.core.effects import (
    CancelTimer,
    Compact,
    Effect,
    Halt,
    Persist,
    Rejected,
    Send,
    SetTimer,
    Trace,
)
from pbft_node.core.events import Event, Received, Started, TimerFired
from pbft_node.core.frames import OF_STATE, RESULT_DIGEST, parse_frame
from pbft_node.core.reader import BodyReader
from pbft_node.core.records import RecordType, decode_seq, parse_record
from pbft_node.core.replica import Replica
from pbft_node.core.services import SERVICES
from pbft_node.core.state_codec import read_addresses, read_parts
from pbft_node.core.trace_events import problem
from pbft_node.core.types import FIRST_CLIENT_ID, ReplicaId

NONCE = b"n" * 16
"""Of every life in a playbook."""


@dataclass
class Line:
    """An effect, as a reader wants it."""

    verb: str
    what: str
    fields: dict[str, object]
    to: list[int] = field(default_factory=list)
    data: bytes = b""

    def __str__(self) -> str:
        shown = " ".join(f"{name}={short(value)}" for name, value in self.fields.items())
        to = f" to {','.join(map(str, self.to))}" if self.to else ""
        return f"{self.verb} {self.what} {shown}".rstrip() + to


def short(value: object) -> str:
    return value.hex()[:8] if isinstance(value, bytes) else str(value)


class Playbook:
    """One replica, alone with a test."""

    def __init__(self, me: int = 1, noise: bool = True, replica: type = Replica, **settings: object) -> None:
        small: dict[str, object] = {"n": 4, "checkpoint_interval": 4, "window": 8, "pipeline": 4}
        self.cluster = Cluster(cluster_id=b"playbook, tests.", **(small | settings))
        self.me = ReplicaId(me)
        self.others = [r for r in range(self.cluster.n) if r != me]
        self.cast = Members(self.cluster, me)
        self.noise = noise
        self.log: list[bytes] = []
        self.now_ns = 0
        self.lines: list[Line] = []
        self.matched: list[str] = []
        self.traces: list[Trace] = []
        self.timers: dict[str, tuple[int, int]] = {}
        self.event = "nothing yet"
        self.make_replica = replica
        self.replica = self.begin()

    # ------------------------------------------------------------ events

    def begin(self) -> Replica:
        service = SERVICES[self.cluster.service]()
        self.replica = self.make_replica(self.cluster, self.me, SimulatedKeys(self.me), service)
        self.timers = {}
        self.happens(Started(tuple(self.log), nonce=NONCE), f"start with {len(self.log)} records")
        return self.replica

    def restarts(self, records: Iterable[bytes] | None = None) -> Playbook:
        """The process dies and comes back with its log (or with this one)."""
        self.finish()
        self.log = list(self.log if records is None else records)
        self.begin()
        return self

    def receives(self, *messages: object) -> Playbook:
        """Datagrams arrive, in this order, from whoever sealed them."""
        for message in messages:
            data = wire(message)
            self.happens(Received(data), describe_datagram(data))
        return self

    def after(self, *messages: object) -> Playbook:
        """As ``receives``, for what is not the point of the test: whatever follows is fine."""
        for message in messages:
            self.receives(message).skips()
        return self

    def fires(self, name: str, late_ms: int = 0) -> Playbook:
        """The timer runs out; time jumps to when it is due."""
        self.finish()
        assert name in self.timers, f"no timer {name!r} runs, only {sorted(self.timers)}"
        generation, due_ns = self.timers.pop(name)
        self.now_ns = max(self.now_ns, due_ns + late_ms * MILLISECOND_NS)
        self.happens(TimerFired(name, generation), f"timer {name!r}")
        return self

    def passes(self, ms: int) -> Playbook:
        """Time goes by and nothing happens."""
        self.now_ns += ms * MILLISECOND_NS
        return self

    def happens(self, event: Event, name: str) -> None:
        self.finish()
        self.event = name
        self.matched, self.traces = [], []
        self.lines = []
        for effect in self.replica.handle(event, self.now_ns):
            self.take(effect)

    def take(self, effect: Effect) -> None:
        match effect:
            case Persist(record):
                self.log.append(record)
                self.lines.append(describe_record(record))
            case Compact(records):
                self.log = list(records)
                self.lines.append(Line("compact", f"{len(records)} records", {}))
            case Send(to, data):
                self.take_send(to, data)
            case Rejected(sender, message, reason):
                self.lines.append(Line("reject", message, {"sender": sender, "reason": reason}))
            case Halt(reason):
                self.lines.append(Line("halt", "", {"reason": reason}))
            case Trace():
                assert problem(effect.kind, effect.fields) is None, problem(effect.kind, effect.fields)
                self.traces.append(effect)
            case SetTimer(name, generation, delay_ns):
                self.timers[name] = (generation, self.now_ns + delay_ns)
            case CancelTimer(name):
                self.timers.pop(name, None)

    def take_send(self, to: int, data: bytes) -> None:
        line = describe_send(to, data)
        if self.noise and line.what == "STATUS":
            return
        last = self.lines[-1] if self.lines else None
        same = last is not None and (last.verb, last.what, last.fields) == (line.verb, line.what, line.fields)
        if same and last is not None and to not in last.to:
            last.to.append(to)
        else:
            self.lines.append(line)

    # ------------------------------------------------------------ expectations

    def persists(self, what: str, **fields: object) -> Playbook:
        return self.expect("persist", what, fields)

    def compacts(self) -> Playbook:
        return self.expect("compact", "", {})

    def sends(self, what: str, to: int | Iterable[int], **fields: object) -> Playbook:
        return self.expect("send", what, fields, [to] if isinstance(to, int) else sorted(to))

    def rejects(self, what: str, reason: str = "", sender: int | None = -1) -> Playbook:
        """``reason`` is a part of it; sender -1 means any."""
        fields = {} if sender == -1 else {"sender": sender}
        return self.expect("reject", what, fields, reason=reason)

    def halts(self, reason: str = "") -> Playbook:
        return self.expect("halt", "", {}, reason=reason)

    def expect(
        self, verb: str, what: str, fields: dict[str, object], to: list[int] | None = None, reason: str = ""
    ) -> Playbook:
        wanted = Line(verb, what, dict(fields), to or [])
        if reason:
            wanted.fields["reason"] = f"…{reason}…"
        if not self.lines:
            self.disagree(str(wanted), "nothing more happens")
        got = self.lines[0]
        fits = got.verb == verb and (not what or got.what == what) and (to is None or got.to == to)
        fits = fits and all(got.fields.get(name) == value for name, value in fields.items())
        if not fits or reason not in str(got.fields.get("reason", "")):
            self.disagree(str(wanted), "something else happens")
        self.matched.append(str(self.lines.pop(0)))
        return self

    def does_nothing(self) -> Playbook:
        """No record, no message, no complaint."""
        if self.lines or self.matched:
            self.disagree("nothing at all", "something happens")
        return self

    def skips(self) -> Playbook:
        """Whatever else follows this event is fine."""
        self.matched += [str(line) for line in self.lines]
        self.lines = []
        return self

    def skips_to(self, verb: str, what: str) -> Playbook:
        """Whatever comes before the first such line is fine."""
        while self.lines and (self.lines[0].verb, self.lines[0].what) != (verb, what):
            self.matched.append(str(self.lines.pop(0)))
        return self

    def traced(self, kind: str, **fields: object) -> Playbook:
        """The latest event gave such a trace line."""
        found = [trace for trace in self.traces if trace.kind == kind]
        fits = any(all(t.fields.get(name) == value for name, value in fields.items()) for t in found)
        assert fits, f"after {self.event}: no trace {kind} {fields}, only {self.traces}"
        return self

    def not_traced(self, kind: str) -> Playbook:
        assert not any(t.kind == kind for t in self.traces), f"after {self.event}: {self.traces}"
        return self

    def runs(self, name: str, ms: int | None = None) -> Playbook:
        """The timer runs, and is due in that many milliseconds."""
        assert name in self.timers, f"after {self.event}: timer {name!r} does not run: {sorted(self.timers)}"
        due_ms = (self.timers[name][1] - self.now_ns) / MILLISECOND_NS
        assert ms is None or due_ms == ms, (
            f"after {self.event}: timer {name!r} is due in {due_ms} ms, not {ms}"
        )
        return self

    def rests(self, name: str) -> Playbook:
        """The timer does not run."""
        assert name not in self.timers, f"after {self.event}: timer {name!r} runs"
        return self

    def finish(self) -> None:
        """Everything that happened was expected."""
        if self.lines and self.event.startswith("start"):
            self.skips()
        if self.lines:
            self.disagree("nothing more", "more happens")

    def disagree(self, wanted: str, summary: str) -> None:
        rest = [f"    + {line}" for line in self.lines]
        self.lines = []
        raise AssertionError(
            "\n".join(
                [
                    f"replica {self.me}, after {self.event}: {summary} (- expected, + happened)",
                    *(f"      {line}" for line in self.matched),
                    f"    - {wanted}",
                    *rest,
                ]
            )
        )


def describe_send(to: int, data: bytes) -> Line:
    frame, _ = parse_frame(data)
    fields: dict[str, object] = {"view": frame.view, "seq": frame.seq}
    if frame.type.name in ("PRE_PREPARE", "PREPARE", "COMMIT", "CHECKPOINT", "FETCH_BATCH", "DECIDED"):
        fields["digest"] = frame.body
    if frame.type.name == "REPLY":
        body = frame.body[4:]
        if frame.flags & OF_STATE:
            fields["state"], body = int.from_bytes(body[:8], "big"), body[8:]
        fields["digest" if frame.flags & RESULT_DIGEST else "result"] = body
    if frame.type.name == "REQUEST":
        fields["client"] = frame.sender
    if frame.type.name == "FETCH_PARTS":
        fields["parts"] = list(read_addresses(BodyReader(frame.body)))
    if frame.type.name == "STATE_PARTS":
        fields["parts"] = [address for address, _ in read_parts(BodyReader(frame.body))]
    return Line("send", frame.type.name, fields, [to], data)


def describe_record(data: bytes) -> Line:
    found = parse_record(data)
    assert found is not None, f"a record of no known type: {data[:20]!r}"
    match found.type:
        case RecordType.PRE_PREPARE:
            message = decode_pre_prepare(found.payload)
            fields: dict[str, object] = {"view": message.view, "seq": message.seq, "digest": message.digest}
        case RecordType.PREPARED:
            proposal = decode_certificate(found.payload).pre_prepare
            fields = {"view": proposal.view, "seq": proposal.seq, "digest": proposal.digest}
        case RecordType.COMMITTED:
            seq, digest = decode_seq(found.payload)
            fields = {"seq": seq, "digest": digest}
        case RecordType.SNAPSHOT | RecordType.PAGES:
            fields = {"seq": decode_seq(found.payload)[0]}
        case RecordType.STABLE:
            fields = {"seq": decode_checkpoints(found.payload)[0].seq}
        case RecordType.VIEW_CHANGE | RecordType.NEW_VIEW:
            fields = {"view": parse_frame(found.payload)[0].view}
        case _:
            fields = {}
    return Line("persist", found.type.name, fields, data=data)


def describe_datagram(data: bytes) -> str:
    try:
        _, frame = decode(data)
    except Exception:
        return f"{len(data)} bytes {data[:12]!r}…"
    who = "client" if frame.sender >= FIRST_CLIENT_ID else "replica"
    return f"{frame.type.name}(view={frame.view}, seq={frame.seq}) from {who} {frame.sender}"
