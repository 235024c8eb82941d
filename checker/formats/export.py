"""Writes a history that was read for other checkers to judge: as Jepsen's EDN, or as our `history.jsonl`.

Reading it again gives the same operations, with the same indexes and times, and so the same verdict. To
Knossos and Elle the EDN says exactly what the operations said: a compare-and-set that failed and told what it
found is a `:read` of that, one that told nothing a `:fail`, a delete a `:write` of nil. What they cannot know
is beside it, under `:traitor/…` and in a comment, for our own reader.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from heapq import heappop, heappush
from operator import attrgetter

from checker.formats.edn import Atom, EdnMap, Form, write
from checker.formats.foreign import ONLY_KEY
from checker.formats.scalars import form
from checker.formats.text import without_mark
from checker.formats.traitor import SCHEMA
from checker.formats.traitor_lines import freeze
from checker.history import History, NemesisEvent, Operation

_JEPSEN = {"get": "read", "put": "write", "delete": "write"}
_PLAIN = re.compile(r"[A-Za-z][\w*!?+-]*", re.ASCII)
_LOOKS = frozenset({"read", "get", "dequeue", "peek", "length"})
_NEVER = 1 << 64
_Event = tuple[int, bool, Operation | NemesisEvent]


def to_jsonl(history: History) -> Iterator[bytes]:
    """The lines of a `history.jsonl`."""
    header = {"schema": SCHEMA, "model": history.model, "initial": _lists(history.initial)}
    yield _line(header)
    for index, begins, op in _events(history):
        more: dict[str, object]
        if isinstance(op, NemesisEvent):
            more = {"f": op.f, "fault": op.fault, "kind": op.kind}
            when = {"index": index, "time_ns": op.time_ns, "process": "nemesis", "type": "info"}
            yield _line({**when, **more})
            continue
        if begins:
            kind, time_ns, more = "invoke", op.call_ns, {"phase": op.phase}
            more |= _given(client=op.client, timestamp=op.timestamp)
        else:
            kind, time_ns = op.type, _end_ns(op)
            if kind == "ok":
                told = _given(path=op.path, timestamp=op.timestamp, view=op.view)
                more = {"output": plain(op.output), **told, "replicas": list(op.replicas)}
            else:
                more = _given(error=op.error)
        what = {"f": op.f, "key": op.key, "input": plain(op.input)}
        yield _line({"index": index, "time_ns": time_ns, "process": op.process, "type": kind, **what, **more})


def to_edn(history: History) -> Iterator[bytes]:
    """A map a line, in a vector."""
    keyed = any(op.key != ONLY_KEY for op in history.operations)
    about = {"model": history.model, "initial": _vectors(history.initial)} | (
        {"independent": 1} if keyed else {}
    )
    yield f";; traitor {write(_map(about))}\n[".encode()
    for index, begins, op in _events(history):
        if isinstance(op, NemesisEvent):
            who = {"process": _keyword("nemesis"), "type": _keyword("info")}
            about = {"index": index, "time": op.time_ns, **who}
            yield (write(_map({**about, "f": op.f, "value": (op.fault, op.kind)})) + "\n").encode()
            continue
        fields = _invoked(op) if begins else _ended(op)
        if keyed:
            fields["value"] = (op.key, fields["value"])
        kind = "invoke" if begins else fields.pop("type", op.type)
        assert isinstance(kind, str)
        time_ns = op.call_ns if begins else _end_ns(op)
        when: dict[str, Form] = {"index": index, "time": time_ns, "process": op.process}
        text = write(_map({**when, "type": _keyword(kind), **fields}))
        yield f"{text}\n".encode()
    yield b"]\n"


WRITERS: Mapping[str, Callable[[History], Iterator[bytes]]] = {"edn": to_edn, "jsonl": to_jsonl}


def plain(value: Hashable) -> object:
    """A value as JSON: tuples are lists, and a boolean has left the box the models keep it in."""
    if not isinstance(value, tuple):
        return value
    if len(value) == 1 and isinstance(value[0], bool):
        return value[0]
    return [plain(element) for element in value]


def with_initial(content: bytes, initial: Hashable) -> bytes:
    """A `history.jsonl` whose header says another first value, and is otherwise the same."""
    header, _, rest = without_mark(content).partition(b"\n")
    fields = json.loads(header)
    if repr(freeze(fields.get("initial"))) == repr(initial):  # True == 1
        return content
    return _line({**fields, "initial": _lists(initial)}) + rest


def _lists(value: Hashable) -> object:
    """What becomes this value when it is frozen: `[true]` may be a list of one."""
    return [_lists(element) for element in value] if isinstance(value, tuple) else value


def _vectors(value: Hashable) -> Form:
    """As `_lists`, in EDN."""
    return tuple(_vectors(element) for element in value) if isinstance(value, tuple) else form(value)


def _events(history: History) -> Iterator[_Event]:
    """Each call and each end, in order, as (index, whether it begins, operation).

    Where times are equal, what begins comes first (it overlapped), unless its process has to end something
    before. A call keeps its index; an end takes the first free one, of which there is one for each. So an
    end that orders nothing (it did not complete, or a line of the nemesis follows) comes first where there
    is room: of those called before, the one whose process calls again first, since it must be over by then.
    """
    ends = sorted(
        (op for op in history.operations if op.type == "ok" or op.gave_up_ns is not None),
        key=lambda op: (_end_ns(op), op.index),
    )
    given_up, next_calls = [op for op in ends if op.type != "ok"], _next_calls(history)
    waiting: list[tuple[int, int]] = []
    open_ends: dict[int, Operation] = {}
    done: set[int] = set()
    last, place, tied = -1, 0, 0

    def ended(op: Operation) -> _Event:
        nonlocal last
        last += 1
        done.add(op.index)
        return last, False, op

    fixed: list[Operation | NemesisEvent] = [*history.operations, *history.nemesis]
    for op in sorted(fixed, key=attrgetter("index")):
        now = op.time_ns if isinstance(op, NemesisEvent) else op.call_ns
        while place < len(ends) and _end_ns(ends[place]) < now:
            if ends[place].index not in done:
                yield ended(ends[place])
            place += 1
        before = None if isinstance(op, NemesisEvent) else open_ends.get(op.process)
        if before is not None and before.index not in done:
            yield ended(before)
        if isinstance(op, NemesisEvent):
            while place < len(ends) and _end_ns(ends[place]) == now and last + 1 < op.index:
                if ends[place].index > op.index:  # not called yet
                    break
                if ends[place].index not in done:
                    yield ended(ends[place])
                place += 1
        while tied < len(given_up) and (_end_ns(given_up[tied]), given_up[tied].index) < (now, op.index):
            heappush(waiting, (next_calls.get(given_up[tied].index, _NEVER), tied))
            tied += 1
        while waiting and last + 1 < op.index:
            end = given_up[heappop(waiting)[1]]
            if end.index not in done:
                yield ended(end)
        assert op.index > last, f"operation {op.index} leaves no room for what ended before it"
        last = op.index
        if not isinstance(op, NemesisEvent):
            open_ends[op.process] = op
        yield op.index, True, op
    for end in ends[place:]:
        if end.index not in done:
            yield ended(end)


def _next_calls(history: History) -> dict[int, int]:
    """Of each operation whose process went on: the index of its next call."""
    found: dict[int, int] = {}
    last: dict[int, int] = {}
    for op in history.operations:
        if op.process in last:
            found[last[op.process]] = op.index
        last[op.process] = op.index
    return found


def _end_ns(op: Operation) -> int:
    time_ns = op.return_ns if op.type == "ok" else op.gave_up_ns
    assert time_ns is not None
    return time_ns


def _invoked(op: Operation) -> dict[str, Form]:
    """`f` and `value` of a call in Jepsen's words, and what they do not say."""
    if op.f == "txn":
        return {"f": _keyword("txn"), "value": _micro_ops(op.input)} | _phase(op)
    if op.f == "transfer" and isinstance(op.input, tuple):
        named = zip(("from", "to", "amount"), op.input, strict=True)
        amounts = _map({name: form(value) for name, value in named})
        return {"f": _keyword("transfer"), "value": amounts} | _own(op) | _phase(op)
    told = _told(op)
    f = "read" if told else _JEPSEN.get(op.f, op.f)
    fields: dict[str, Form] = {"f": _name(f), "value": None if told else form(op.input)}
    return fields | _own(op) | _phase(op)


def _own(op: Operation) -> dict[str, Form]:
    """What only we know."""
    return {"traitor/f": op.f, "traitor/input": form(op.input)} if _needs_more(op) else {}


def _phase(op: Operation) -> dict[str, Form]:
    return {"traitor/phase": op.phase} if op.phase != "load" else {}


def _micro_ops(value: Hashable) -> Form:
    """Their names are keywords."""
    if not isinstance(value, tuple):
        return form(value)
    return tuple((_keyword(step[0]), *map(form, step[1:])) for step in value)


def _ended(op: Operation) -> dict[str, Form]:
    """As `_invoked`, of how it ended."""
    fields = _invoked(op)
    fields.pop("traitor/phase", None)
    if op.type != "ok":
        return fields | _given(error=op.error)
    if op.f == "txn":
        return fields | {"value": _micro_ops(op.output)}
    if _told(op):
        assert isinstance(op.output, tuple)
        fields["value"] = form(op.output[1])
    elif op.output is False and op.f == "cas":
        fields["type"] = "fail"
    elif op.f in _LOOKS:
        fields["value"] = form(op.output)
    return fields | ({"traitor/output": form(op.output)} if _needs_more(op) else {})


def _needs_more(op: Operation) -> bool:
    """Whether Jepsen's words do not say it all: another name, or an output that they have no place for."""
    if op.f in _LOOKS or op.type != "ok":
        # What a read was asked for has no place beside what it was told.
        return op.f in _JEPSEN or (op.f in _LOOKS and op.input is not None)
    said = op.output is None or (op.output is True and op.f == "cas")  # 1 == True, and is no True
    return op.f in _JEPSEN or not said


def _told(op: Operation) -> bool:
    """Whether it is a compare-and-set that did not swap and told what it found."""
    return op.f == "cas" and isinstance(op.output, tuple) and op.output[0] is False


def _name(f: str) -> Form:
    """A keyword, if it can be one: a model of one's own may have any names."""
    return _keyword(f) if _PLAIN.fullmatch(f) else f


def _keyword(name: str) -> Form:
    return Atom("keyword", f":{name}")


def _map(fields: Mapping[str, Form]) -> EdnMap:
    return EdnMap({_keyword(name): value for name, value in fields.items()})


def _given(**fields: Hashable) -> dict[str, Hashable]:
    return {name: value for name, value in fields.items() if value is not None}


def _line(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, separators=(", ", ": ")).encode() + b"\n"
