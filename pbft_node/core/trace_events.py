"""The events of the trace: every kind a replica may write, with its fields, as qlog does for QUIC.

This list is the schema; ARCHITECTURE.md shows it, ``python -m pbft_node trace-events`` prints it, and the
tests hold every line of every run against it (``problem``). A new kind is one line in ``KINDS``, a new field
one word in it; both raise ``MINOR``. What a field means never changes within a version: that takes a new
``SCHEMA``. Levels: ``core`` (a judge rests on it), ``base`` (people do), ``debug`` (written only where
``trace_level`` is ``debug``). A kind that one peer alone can cause at will is ``debug``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

SCHEMA = "traitor/trace/1"
MINOR = 6
"""Raised with every kind or field added. Readers ignore what they do not know."""
CORE, BASE, DEBUG = "core", "base", "debug"
_HEX_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Type:
    """What a field holds. Called with a text it is the same type with that meaning."""

    name: str
    accepts: Callable[[object], bool]
    meaning: str = ""
    optional: bool = False

    def __call__(self, meaning: str) -> Type:
        return replace(self, meaning=meaning)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of event."""

    name: str
    level: str
    section: str
    """Of the paper; ``-`` where the paper is silent."""
    when: str
    fields: Mapping[str, Type]


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and _HEX_DIGITS.issuperset(value)


def _is_outcome(value: object) -> bool:
    match value:
        case [client, timestamp, digest, "executed" | "duplicate"]:
            return _is_number(client) and _is_number(timestamp) and _is_digest(digest)
    return False


NUMBER = Type("number", _is_number)
NANOSECONDS = Type("ns", _is_number)
FLAG = Type("flag", lambda value: isinstance(value, bool))
TEXT = Type("text", _is_text)
DIGEST = Type("digest", _is_digest)
"""64 hexadecimal digits."""
DIGEST_OR_EMPTY = Type("digest or empty", lambda value: value == "" or _is_digest(value))
NUMBER_OR_NULL = Type("number or null", lambda value: value is None or _is_number(value))
REPLICAS = Type("list", lambda value: isinstance(value, list) and all(map(_is_number, value)))
PRINCIPAL = Type("principal or null", lambda value: value is None or _is_number(value))
OUTCOMES = Type("list", lambda value: isinstance(value, list) and all(map(_is_outcome, value)))


def one_of(*words: str) -> Type:
    """One of these words."""
    return Type(" / ".join(f"`{word}`" for word in words), lambda value: value in words)


def optional(type_: Type) -> Type:
    """A field that may be left out."""
    return replace(type_, optional=True)


def _kind(name: str, level: str, section: str, when: str, /, **fields: Type) -> Kind:
    return Kind(name, level, section, when, fields)


SEQ, VIEW, REPLICA = NUMBER, NUMBER, NUMBER

KINDS: tuple[Kind, ...] = (
    _kind("started", CORE, "-", "a process came up and has read its log", schema=TEXT, minor=NUMBER,
          level=one_of("normal", "debug"), replica=REPLICA, view=VIEW, active=FLAG, executed=SEQ, stable=SEQ,
          records=NUMBER("it read from its log")),
    _kind("pre-prepare", CORE, "4.2", "sent as primary, or accepted as backup", view=VIEW, seq=SEQ,
          digest=DIGEST, requests=NUMBER("in the batch"), role=one_of("primary", "backup")),
    _kind("prepared", CORE, "4.2", "prepared(m, v, n, i) became true", view=VIEW, seq=SEQ, digest=DIGEST),
    _kind("committed", CORE, "4.2", "committed-local(m, v, n, i) became true", view=VIEW, seq=SEQ,
          digest=DIGEST),
    _kind("executed", CORE, "4.2", "in sequence order", seq=SEQ, digest=DIGEST,
          requests=OUTCOMES("of `[client, timestamp, request digest, \"executed\" or \"duplicate\"]`")),
    _kind("checkpoint", CORE, "4.3", "it took and announced a checkpoint (also after a state transfer)",
          seq=SEQ, digest=DIGEST),
    _kind("stable", CORE, "4.3", "a quorum proof made it stable (h); the log below was dropped", seq=SEQ,
          digest=DIGEST, high=SEQ("H, the high watermark")),
    _kind("view-change", CORE, "4.4", "VIEW-CHANGE sent", view=VIEW("asked for"),
          reason=one_of("request timeout", "new-view timeout", "joined f+1", "asked by a silent replica",
                        "slow primary"),
          failed_views=NUMBER("in a row; every timeout is doubled so often")),
    _kind("new-view", CORE, "4.4", "the view was entered", view=VIEW, primary=REPLICA, min_s=SEQ, max_s=SEQ),
    _kind("state-transfer", CORE, "5.3", "a state is fetched", seq=SEQ, digest=DIGEST_OR_EMPTY,
          step=one_of("started", "finished")),
    _kind("silent", CORE, "-", "its log is lost and it votes on nothing: at the start, and with each news",
          view=VIEW, answers=REPLICAS("that told their view, ascending"), needed=NUMBER("answers"),
          bound=NUMBER_OR_NULL("the first view it may vote in")),
    _kind("recovered", CORE, "-", "it votes and can show all that counts: no longer silent", view=VIEW,
          bound=VIEW("as in `silent`"), executed=SEQ),
    _kind("rejected", BASE, "-", "bytes a correct peer would not send; alike ones are limited to 5 lines a"
          " second, the rest is counted", sender=PRINCIPAL, message=TEXT("its type"), reason=TEXT,
          count=optional(NUMBER("when the line stands for several")),
          view=optional(NUMBER("in its header, when it stands for one")), seq=optional(NUMBER("the same"))),
    _kind("clock", BASE, "-", "its own clock is no longer the true one, or is again", own_ns=NANOSECONDS("its"
          " clock at `t_ns`, which is true time"), rate=NUMBER("billionths of the true clock's"),
          wall_ns=NANOSECONDS("its wall clock")),
    _kind("alarm", CORE, "-", "own state contradicts a quorum", reason=TEXT),
    _kind("request", DEBUG, "4.1", "an authentic REQUEST arrived", client=NUMBER, timestamp=NUMBER,
          step=one_of("kept", "relayed", "answered again", "read", "dropped")),
    _kind("timer", DEBUG, "4.5.2", "a timer of the core",
          timer=one_of("request", "new-view", "status", "pace"),
          step=one_of("set", "cancelled", "fired"), delay_ns=optional(NANOSECONDS("when set")),
          late_ns=optional(NANOSECONDS("when fired"))),
    _kind("view-change-received", DEBUG, "4.4", "a valid VIEW-CHANGE was kept (`rejected` tells of others)",
          view=VIEW, replica=REPLICA, stable=SEQ, prepared=NUMBER("certificates in P"),
          held=NUMBER("VIEW-CHANGEs held for that view")),
    _kind("helped", DEBUG, "5.2", "a STATUS was answered", replica=REPLICA, view=VIEW("of the peer"),
          active=FLAG("is the peer"), stable=SEQ("of the peer"), executed=SEQ("of the peer"),
          datagrams=NUMBER("sent in answer")),
    _kind("batch-fetch", DEBUG, "4.4", "a batch known by digest only", digest=DIGEST,
          step=one_of("asked", "learned")),
    _kind("debug-dropped", DEBUG, "-", "more debug lines in one second than the trace takes", count=NUMBER),
)  # fmt: skip

BY_NAME: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}
DEBUG_KINDS = frozenset(kind.name for kind in KINDS if kind.level == DEBUG)


def problem(kind: str, fields: Mapping[str, object]) -> str | None:
    """Why an event is not as the list says, or None. For tests: production trusts the core."""
    known = BY_NAME.get(kind)
    if known is None:
        return f"kind {kind!r} is not registered: add a line to KINDS in pbft_node/core/trace_events.py"
    for name, type_ in known.fields.items():
        if name not in fields:
            if not type_.optional:
                return f"{kind}: field {name!r} is missing"
        elif not type_.accepts(fields[name]):
            return f"{kind}: {name} = {fields[name]!r:.60} is no {type_.name}"
    for name in fields:
        if name not in known.fields:
            return f"{kind}: field {name!r} is not registered: add it in pbft_node/core/trace_events.py"
    return None


def as_markdown() -> str:
    """The list as a table, as ARCHITECTURE.md shows it."""
    lines = ["| kind | level | paper | fields | when |", "|---|---|---|---|---|"]
    for kind in KINDS:
        fields = ", ".join(_described(name, type_) for name, type_ in kind.fields.items())
        lines.append(f"| `{kind.name}` | {kind.level} | {kind.section} | {fields} | {kind.when} |")
    return "\n".join(lines)


def _described(name: str, type_: Type) -> str:
    notes = [type_.name, type_.meaning, "may be absent" if type_.optional else ""]
    return f"`{name}` ({', '.join(note for note in notes if note)})"


def as_data() -> dict[str, object]:
    """The list as JSON values."""
    return {
        "schema": SCHEMA,
        "minor": MINOR,
        "every_line": {"t_ns": "ns of CLOCK_MONOTONIC", "e": "kind"},
        "kinds": [
            {
                "name": kind.name,
                "level": kind.level,
                "section": kind.section,
                "when": kind.when,
                "fields": [
                    {
                        "name": name,
                        "type": type_.name.replace("`", ""),
                        "meaning": type_.meaning,
                        "optional": type_.optional,
                    }
                    for name, type_ in kind.fields.items()
                ],
            }
            for kind in KINDS
        ],
    }
