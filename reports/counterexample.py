"""A counterexample in words and as a static picture: true time, a lane per process, no script needed.

An operation is a bar from invocation to completion; one that never completed runs out to the right.
Numbers in circles give the longest order that still explains the answers; the operation no order can place
has a heavy frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

from reports.operations import NAME_LIMIT, value_text
from reports.untrusted import counted, duration, integer, listing, mapping, shown, time_ns

MAX_LISTED = 200
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

    @property
    def words(self) -> str:
        """``put v17``, ``get → v12``."""
        parts = [self.f]
        if self.input != "null":
            parts.append(self.input)
        if self.type == "ok" and self.output != "null":
            parts.append(f"→ {self.output}")
        elif self.type == "ok" and self.input == "null":
            parts.append("→ nothing")
        elif self.type != "ok":
            parts.append(f"({self.type})")
        return " ".join(parts)


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

    @property
    def stuck(self) -> Entry | None:
        return next((entry for entry in self.entries if entry.stuck), None)

    @property
    def prefix(self) -> Sequence[Entry]:
        """The longest explained order."""
        placed = [entry for entry in self.entries if entry.place is not None]
        return sorted(placed, key=lambda entry: entry.place or 0)


def read_counterexample(document: Mapping[str, object]) -> Counterexample | None:
    """None when there is none to show."""
    operations = listing(document.get("operations"))
    if not document:
        return None
    prefix = [
        number for value in listing(document.get("longest_prefix")) if (number := integer(value)) is not None
    ]
    places = {index: place for place, index in enumerate(prefix, start=1)}
    stuck_on = integer(document.get("stuck_on"))
    entries = [entry for value in operations if (entry := _entry(mapping(value), places, stuck_on))]
    entries.sort(key=lambda entry: (entry.call_ns, entry.index))
    kept = _keep(entries, MAX_LISTED)
    drawn = _keep(entries, MAX_DRAWN)
    return Counterexample(
        key=shown(document["key"], NAME_LIMIT) if document.get("key") is not None else "",
        model=shown(document.get("model"), NAME_LIMIT),
        entries=kept,
        total=len(operations),
        state_then=value_text(document.get("state_then")),
        reasons=[shown(reason, 1_000) for reason in listing(document.get("reasons"))[:50]],
        picture=_picture(drawn) if drawn else Markup(""),
        drawn=len(drawn),
        start_ns=min((entry.call_ns for entry in entries), default=0),
    )


def _entry(value: Mapping[str, object], places: Mapping[int, int], stuck_on: int | None) -> Entry | None:
    index, call = integer(value.get("index")), time_ns(value.get("call_ns"))
    if index is None or call is None:
        return None
    end = time_ns(value.get("return_ns"))
    return Entry(
        index=index,
        process=shown(value.get("process"), 20),
        f=shown(value.get("f"), NAME_LIMIT),
        input=value_text(value.get("input")),
        output=value_text(value.get("output")),
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
        SubElement(group, "title").text = f"#{entry.index} process {entry.process}: {entry.words}"
        box = {
            "x": f"{left:.1f}",
            "y": f"{y + 24:g}",
            "width": f"{right - left:.1f}",
            "height": f"{BAR:g}",
            "rx": "3",
        }
        SubElement(group, "rect", box)
        full, short = f"#{entry.index} {entry.words}", f"#{entry.index}"
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
