"""``schedule.jsonl``: a header, then one line for each item, in order.

    {"schema": "traitor/schedule/1", "source": "…", "n": 4, "begin_ns": …, "phases": [["load", start, end] …]}
    {"t": …, "r": 2, "life": 1, "events": [EVENT, …]}     and "last": true, "told": false where it is so
    {"t": …, "r": 2, "stopped": true}                     both with "twin": "2-twin" if they are of a twin
    {"t": …, "arrived": ["REPLY 2 0 57", digest]}         at the clients
    {"t": …, "called": ["timer", 1003, "retry", 5]}       also invoke, timeout, probe, fault
    {"t": …, "ends": "why the record goes no further"}

EVENT is ``[now, "start", wall offset, nonce, records, hash]``, ``[now, "timer", name, generation, hash]`` or
``[now, "COMMIT 2 0 57", digest, hash]``; bytes are hex. A file of hostile bytes gives a UsageError.
"""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from harness.errors import UsageError
from harness.schedule.record import (
    CLOCK,
    DELIVER,
    SCHEMA,
    START,
    TIMER,
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
)
from harness.twin_folders import is_twin
from harness.virtual.settings import CLIENTS

MAX_BYTES = 1 << 30
MAX_LINE_BYTES = 64 << 20
MAX_REPLICAS = 1000
MAX_NS = 1 << 62
MAX_TEXT = 200
MAX_NUMBER = 1 << 63
MAX_DATAGRAM = 65_535


def write_schedule(schedule: Schedule, path: Path) -> None:
    """Raises OSError."""
    with path.open("w", encoding="ascii") as file:
        header = {
            "schema": SCHEMA,
            "source": schedule.source,
            "n": schedule.n,
            "begin_ns": schedule.begin_ns,
            "phases": [list(phase) for phase in schedule.phases],
        }
        file.write(json.dumps(header) + "\n")
        for item in schedule.items:
            file.write(json.dumps(_item_data(item), separators=(",", ":")) + "\n")


def read_schedule(path: Path) -> Schedule:
    """Raises UsageError."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
                raise UsageError(f"{path} is no schedule: a file of at most {MAX_BYTES} bytes", _ADVICE)
            return _read(file, path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", _ADVICE) from None


_ADVICE = (
    "A plan that names a schedule needs that file beside it. "
    "Make one with: traitor reproduce RUN --world sim --schedule recorded"
)


def _read(file: BinaryIO, path: Path) -> Schedule:
    lines = _lines(file, path)
    try:
        _, header = next(lines)
    except StopIteration:
        raise UsageError(f"{path} is empty", _ADVICE) from None
    items: list[Item] = []
    firsts: Counter[tuple[int, str]] = Counter()
    number = 1
    try:
        if header.get("schema") != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        n = _whole(header.get("n"), MAX_REPLICAS)
        phases = tuple(_phase(each) for each in _listed(header.get("phases"), 100))
        source, begin_ns = _text(header.get("source")), _whole(header.get("begin_ns"), MAX_NS)
        last_ns = 0
        for place, data in lines:
            number = place
            item = _item(data, n, firsts)
            if item.t_ns < last_ns:
                raise ValueError("its time is before that of the line before it")
            last_ns = item.t_ns
            items.append(item)
    except (ValueError, KeyError, TypeError) as problem:
        raise UsageError(f"{path}, line {number}: {problem}", _ADVICE) from None
    return Schedule(source, n, begin_ns, phases, tuple(items), wanted_of(items))


def wanted_of(items: list[Item]) -> dict[tuple[int, bytes], int]:
    """See ``Schedule.wanted``."""
    wanted: Counter[tuple[int, bytes]] = Counter()
    for item in items:
        if isinstance(item, Turn):
            wanted.update((item.replica, event.digest) for event in item.events if event.kind == DELIVER)
        elif isinstance(item, Arrived):
            wanted[CLIENTS, item.digest] += 1
    return dict(wanted)


def _lines(file: BinaryIO, path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    number = 0
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        try:
            data = json.loads(line)
        except (ValueError, RecursionError) as problem:
            raise UsageError(f"{path}, line {number}: not JSON: {problem}", _ADVICE) from None
        if not isinstance(data, dict):
            raise UsageError(f"{path}, line {number}: no JSON object", _ADVICE)
        yield number, data


# Both ways


def _item_data(item: Item) -> dict[str, object]:
    match item:
        case Turn(t_ns, replica, life, _, events, last, told, twin):
            data: dict[str, object] = {"t": t_ns, "r": replica, "life": life}
            data["events"] = [_event_data(event) for event in events]
            return data | ({"last": True} if last else {}) | ({} if told else {"told": False}) | _of(twin)
        case Stopped(t_ns, replica, twin):
            return {"t": t_ns, "r": replica, "stopped": True} | _of(twin)
        case Arrived(t_ns, name, digest):
            return {"t": t_ns, "arrived": [name, digest.hex()]}
        case Called(t_ns, who):
            return {"t": t_ns, "called": list(who)}
        case Said(t_ns, datagram):
            return {"t": t_ns, "said": datagram.hex()}
        case Ends(t_ns, why):
            return {"t": t_ns, "ends": why}


def _of(twin: str) -> dict[str, object]:
    return {"twin": twin} if twin else {}


def _event_data(event: Event) -> list[object]:
    after = event.hash.hex()
    if event.kind == START:
        return [event.now_ns, START, event.number, event.digest.hex(), event.records, after]
    if event.kind == TIMER:
        return [event.now_ns, TIMER, event.name, event.number, after]
    if event.kind == CLOCK:
        return [event.now_ns, CLOCK, event.name, event.number, after]
    return [event.now_ns, event.name, event.digest.hex(), after]


def _item(data: dict[str, object], n: int, firsts: Counter[tuple[int, str]]) -> Item:
    t_ns = _whole(data.get("t"), MAX_NS)
    if "r" in data:
        replica = _whole(data["r"], n - 1)
        twin = _twin(data["twin"], replica) if "twin" in data else ""
        if data.get("stopped") is True:
            return Stopped(t_ns, replica, twin)
        events = tuple(_event(each) for each in _listed(data.get("events"), 1 << 20))
        first = firsts[replica, twin] + 1
        firsts[replica, twin] += len(events)
        last, told = data.get("last") is True, data.get("told") is not False
        return Turn(t_ns, replica, _whole(data.get("life"), 1 << 20), first, events, last, told, twin)
    if "arrived" in data:
        name, digest = _listed(data["arrived"], 2)
        return Arrived(t_ns, _text(name), _bytes(digest))
    if "called" in data:
        who = _listed(data["called"], 8)
        return Called(t_ns, tuple(_word(each) for each in who))
    if "said" in data:
        return Said(t_ns, _datagram(data["said"]))
    if "ends" in data:
        return Ends(t_ns, _text(data["ends"]))
    raise ValueError("it is no item of a schedule")


def _event(data: object) -> Event:
    values = _listed(data, 6)
    if len(values) < 4:
        raise ValueError(f"an event of {len(values)} values: none that is known")
    now_ns, what, after = _whole(values[0], MAX_NS), _text(values[1]), _bytes(values[-1])
    if what == START and len(values) == 6:
        nonce, records = _bytes(values[3]), _whole(values[4], 1 << 40)
        return Event(now_ns, START, "", nonce, _offset(values[2]), records, after)
    if what == TIMER and len(values) == 5:
        return Event(now_ns, TIMER, _text(values[2]), b"", _whole(values[3], MAX_NUMBER), 0, after)
    if what == CLOCK and len(values) == 5:
        own_ns, rate = (_whole(int(each), MAX_NS) for each in _text(values[2]).split(" "))
        return Event(now_ns, CLOCK, f"{own_ns} {rate}", b"", _offset(values[3]), 0, after)
    if len(values) == 4:
        return Event(now_ns, DELIVER, what, _bytes(values[2]), 0, 0, after)
    raise ValueError(f"an event of {len(values)} values: none that is known")


def _twin(value: object, replica: int) -> str:
    """It becomes the name of a folder."""
    name = _text(value)
    if not is_twin(name, replica):
        raise ValueError(f"{name[:40]!a} where the name of a twin of replica {replica} belongs")
    return name


def _offset(value: object) -> int:
    if type(value) is not int or abs(value) >= MAX_NS:
        raise ValueError("a wall clock's offset that is none")
    return value


def _phase(data: object) -> Phase:
    name, start_ns, end_ns = _listed(data, 3)
    return Phase(_text(name), _whole(start_ns, MAX_NS), _whole(end_ns, MAX_NS))


def _whole(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{str(value)[:40]!a} where a number from 0 to {most} belongs")
    return value


def _listed(value: object, most: int) -> list[object]:
    if not isinstance(value, list) or len(value) > most:
        raise ValueError("no list where one belongs, or one too long")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
        raise ValueError(f"{str(value)[:40]!a} where a short text belongs")
    return value


def _word(value: object) -> str | int:
    return _text(value) if isinstance(value, str) else _whole(value, MAX_NUMBER)


def _datagram(value: object) -> bytes:
    if not isinstance(value, str) or len(value) > 2 * MAX_DATAGRAM:
        raise ValueError(f"{value!a:.40} where a datagram belongs")
    return bytes.fromhex(value)


def _bytes(value: object) -> bytes:
    return bytes.fromhex(_text(value))
