"""A counterexample in words and as a static picture: true time, a lane per process, no script needed.

An operation is a bar from invocation to completion; one that never completed runs out to the right.
Numbers in circles give the longest order that still explains the answers; the operation no order can place
has a heavy frame. What the judge weakened, cut or took out is marked, beside what the history has instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

from reports.evidence import TRANSACTIONS
from reports.moves import Moves, read_moves
from reports.operations import Operation
from reports.untrusted import counted, duration, integer, listing, mapping, shown, time_ns
from reports.values import NAME_LIMIT, answered_text, asked_text, call_words, value_text

MAX_LISTED = 200
MAX_FACTS = 100
MAX_DRAWN = 40
WIDTH, GUTTER, RIGHT = 1000.0, 96.0, 24.0
LANE, TOP, BAR = 54.0, 14.0, 20.0
LETTER = 6.7


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation of the counterexample."""

    index: int
    process: str
    f: str
    input: str
    output: str
    type: str
    call_ns: int
    return_ns: int | None
    place: int | None
    """Position in the longest prefix, from 1."""
    stuck: bool
    mark: str = ""
    """``weakened``, ``cut``, ``reduced``: how it differs from the history's; empty where it does not."""
    original: str = ""
    """What the history has in its place."""

    @property
    def words(self) -> str:
        """``put v17``, ``get → v12``."""
        return call_words(self.f, self.input, self.output, self.type)


@dataclass(frozen=True, slots=True)
class Fact:
    """One step of the argument, as counterexample.json has it in ``steps``."""

    rule: str
    operations: str
    text: str
    margin: str
    """How far clocks may be off for it; empty where no clock is asked."""


@dataclass(frozen=True, slots=True)
class Counterexample:
    """What counterexample.json says, made safe."""

    key: str
    model: str
    entries: Sequence[Entry]
    total: int
    state_then: str
    reasons: Sequence[str]
    picture: Markup
    drawn: int
    start_ns: int
    facts: Sequence[Fact] = ()
    moves: Sequence[str] = ()

    @property
    def stuck(self) -> Entry | None:
        return next((entry for entry in self.entries if entry.stuck), None)

    @property
    def changed(self) -> bool:
        """Whether an operation shown is not as it was recorded."""
        return any(entry.mark for entry in self.entries)

    @property
    def prefix(self) -> Sequence[Entry]:
        """The longest explained order."""
        placed = [entry for entry in self.entries if entry.place is not None]
        return sorted(placed, key=lambda entry: entry.place or 0)


def read_counterexample(
    document: Mapping[str, object], history: Sequence[Operation] = ()
) -> Counterexample | None:
    """None when there is none to show. ``history``: the operations as they were recorded.

    Anomalies of transactions are no operations that lack an order: ``reports.anomalies`` tells them.
    """
    operations = listing(document.get("operations"))
    if not document or document.get("kind") == TRANSACTIONS:
        return None
    prefix = [
        number for value in listing(document.get("longest_prefix")) if (number := integer(value)) is not None
    ]
    places = {index: place for place, index in enumerate(prefix, start=1)}
    stuck_on = integer(document.get("stuck_on"))
    moves = read_moves(document)
    entries = [entry for value in operations if (entry := _entry(mapping(value), places, stuck_on))]
    entries.sort(key=lambda entry: (entry.call_ns, entry.index))
    wanted = {entry.index for entry in entries}
    recorded = {operation.index: operation for operation in history if operation.index in wanted}
    entries = [_marked(entry, recorded.get(entry.index), moves) for entry in entries]
    kept = _keep(entries, MAX_LISTED)
    drawn = _keep(entries, MAX_DRAWN)
    start_ns = min((entry.call_ns for entry in entries), default=0)
    return Counterexample(
        key=shown(document["key"], NAME_LIMIT) if document.get("key") is not None else "",
        model=shown(document.get("model"), NAME_LIMIT),
        entries=kept,
        total=len(operations),
        state_then=value_text(document.get("state_then")),
        reasons=[shown(reason, 1_000) for reason in listing(document.get("reasons"))[:50]],
        picture=_picture(drawn) if drawn else Markup(""),
        drawn=len(drawn),
        start_ns=start_ns,
        facts=_facts(document),
        moves=moves.sentences(start_ns),
    )


def _facts(document: Mapping[str, object]) -> list[Fact]:
    """The steps, each once."""
    facts: dict[Fact, None] = {}
    for value in listing(document.get("steps"))[:MAX_FACTS]:
        step = mapping(value)
        margin = time_ns(step.get("margin_ns"))
        indexes = [
            number for value in listing(step.get("operations")) if (number := integer(value)) is not None
        ]
        names = " ".join(f"#{index}" for index in indexes[:12]) + (" …" if len(indexes) > 12 else "")
        text = shown(step.get("text", "(no words)"), 600)
        facts[Fact(shown(step.get("rule"), 30), names, text, "" if margin is None else duration(margin))] = (
            None
        )
    return list(facts)


def _marked(entry: Entry, recorded: Operation | None, moves: Moves) -> Entry:
    """The entry with what was done to it on the way into the counterexample."""
    marks = ["weakened"] if entry.index in moves.weakened else []
    if recorded is None:
        return replace(entry, mark=", ".join(marks))
    original = "" if recorded.words == entry.words else recorded.words
    if recorded.type == "ok" and entry.type == "info" and moves.cut_ns is not None:
        marks.append("cut")
    elif original and not marks:
        marks.append("reduced" if moves.projects else "not as recorded")
    return replace(entry, mark=", ".join(marks), original=original)


def _entry(value: Mapping[str, object], places: Mapping[int, int], stuck_on: int | None) -> Entry | None:
    index, call = integer(value.get("index")), time_ns(value.get("call_ns"))
    if index is None or call is None:
        return None
    end = time_ns(value.get("return_ns"))
    return Entry(
        index=index,
        process=shown(value.get("process"), 20),
        f=shown(value.get("f"), NAME_LIMIT),
        input=asked_text(value.get("input")),
        output=answered_text(value.get("input"), value.get("output")),
        type=shown(value.get("type"), 10),
        call_ns=call,
        return_ns=None if end is None else max(end, call),
        place=places.get(index),
        stuck=index == stuck_on,
    )


def _keep(entries: list[Entry], limit: int) -> list[Entry]:
    """The operations nearest in time to the one no order can place, it included."""
    if len(entries) <= limit:
        return entries
    centre = next((place for place, entry in enumerate(entries) if entry.stuck), len(entries) - 1)
    first = max(0, min(centre - limit * 3 // 4, len(entries) - limit))
    return entries[first : first + limit]


def _picture(entries: Sequence[Entry]) -> Markup:
    start = min(entry.call_ns for entry in entries)
    end = max(max(entry.return_ns or 0, entry.call_ns) for entry in entries)
    span = max(1, end - start)
    lanes = list(dict.fromkeys(entry.process for entry in entries))
    lanes.sort(key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0, name))
    height = TOP + LANE * len(lanes) + 34
    svg = Element("svg", {"viewBox": f"0 0 {WIDTH:g} {height:g}", "class": "picture", "role": "img"})
    SubElement(svg, "title").text = (
        f"{counted(len(entries), 'operation')} of {len(lanes)} "
        f"{'process' if len(lanes) == 1 else 'processes'} "
        f"over {duration(span)}, true time scale; the table below says the same in words"
    )

    def x(at_ns: int) -> float:
        return GUTTER + (at_ns - start) / span * (WIDTH - GUTTER - RIGHT - 30)

    _scale(svg, span, height - 20, x, start)
    for number, lane in enumerate(lanes):
        y = TOP + LANE * number
        line = {"x1": f"{GUTTER:g}", "x2": f"{WIDTH - RIGHT:g}", "y1": f"{y + 34:g}", "y2": f"{y + 34:g}"}
        SubElement(svg, "line", {**line, "class": "lane"})
        SubElement(svg, "text", {"x": "0", "y": f"{y + 38:g}", "class": "who"}).text = f"process {lane}"
        _lane(svg, [entry for entry in entries if entry.process == lane], y, x)
    return Markup(tostring(svg, encoding="unicode"))


def _lane(svg: Element, entries: Sequence[Entry], y: float, x: Callable[[int], float]) -> None:
    """Bars of one process. A label that would run into the next bar is cut to the operation's number."""
    for place, entry in enumerate(entries):
        left = x(entry.call_ns)
        right = WIDTH - RIGHT if entry.return_ns is None else max(left + 4, x(entry.return_ns))
        room = (x(entries[place + 1].call_ns) if place + 1 < len(entries) else WIDTH) - left - 4
        group = SubElement(
            svg, "g", {"class": f"op {entry.type if entry.type in ('ok', 'fail') else 'info'}"}
        )
        if entry.stuck:
            group.set("class", f"{group.get('class')} stuck")
        if entry.mark:
            group.set("class", f"{group.get('class')} changed")
        said = f"{entry.words} [{entry.mark}]" if entry.mark else entry.words
        SubElement(group, "title").text = f"#{entry.index} process {entry.process}: {said}"
        box = {
            "x": f"{left:.1f}",
            "y": f"{y + 24:g}",
            "width": f"{right - left:.1f}",
            "height": f"{BAR:g}",
            "rx": "3",
        }
        SubElement(group, "rect", box)
        full, short = f"#{entry.index} {said}", f"#{entry.index}"
        label = full if len(full) * LETTER <= room else short if len(short) * LETTER <= room else ""
        if len(entries) == place + 1 and not label:
            label = short
        anchor = {"x": f"{left:.1f}", "y": f"{y + 17:g}"}
        if left + len(label) * LETTER > WIDTH:
            anchor = {"x": f"{min(right, WIDTH):.1f}", "y": f"{y + 17:g}", "text-anchor": "end"}
        SubElement(group, "text", anchor).text = label
        mark = "✗" if entry.stuck else str(entry.place) if entry.place is not None else ""
        if mark and right - left >= 9 * len(mark):
            middle = {
                "x": f"{(left + min(right, WIDTH - RIGHT)) / 2:.1f}",
                "y": f"{y + 38.5:g}",
                "class": "place",
            }
            SubElement(group, "text", middle).text = mark


def _scale(svg: Element, span: int, y: float, x: Callable[[int], float], start: int) -> None:
    for part in range(5):
        at_ns = span * part // 4
        place = f"{x(start + at_ns):.1f}"
        SubElement(svg, "line", {"x1": place, "x2": place, "y1": f"{TOP:g}", "y2": f"{y:g}", "class": "grid"})
        SubElement(svg, "text", {"x": place, "y": f"{y + 14:g}", "class": "tick"}).text = duration(at_ns)
