"""The static overview: latency and completions over the run under fault bands, as one small SVG.

It is what prints, and what stands on the page where scripts are off; with scripts the zoomable time line
takes its place. Latency is on a logarithmic scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

from reports.axis import Axis
from reports.faults import Fault, segments
from reports.operations import Bucket, round_step
from reports.untrusted import duration

WIDTH, GUTTER, RIGHT = 1000.0, 112.0, 16.0
LATENCY_TOP, LATENCY_HEIGHT = 16.0, 150.0
RATE_TOP, RATE_HEIGHT = 196.0, 70.0
LANE = 15.0
MAX_LANES = 12


@dataclass(frozen=True, slots=True)
class _Scale:
    axis: Axis

    def x(self, at_ns: int) -> float:
        axis = self.axis
        inside = min(max(at_ns, axis.from_ns), axis.to_ns) - axis.from_ns
        return GUTTER + inside / (axis.to_ns - axis.from_ns) * (WIDTH - GUTTER - RIGHT)


def draw_overview(axis: Axis, buckets: Sequence[Bucket], faults: Sequence[Fault]) -> Markup:
    """An SVG of fixed size; nothing in it but numbers and safe text."""
    scale = _Scale(axis)
    shown_faults = [fault for fault in faults if fault.steps][:MAX_LANES]
    lanes_top = RATE_TOP + RATE_HEIGHT + 14
    bottom = lanes_top + LANE * len(shown_faults)
    size = {"viewBox": f"0 0 {WIDTH:g} {bottom + 26:g}", "class": "picture", "role": "img"}
    svg = Element("svg", size)
    SubElement(svg, "title").text = "Latency and completions over the run, with the faults that took effect"
    _bands(svg, scale, shown_faults, lanes_top)
    _time(svg, scale, bottom)
    _latency(svg, scale, buckets)
    _rate(svg, scale, buckets)
    return Markup(tostring(svg, encoding="unicode"))


def _bands(svg: Element, scale: _Scale, faults: Sequence[Fault], top: float) -> None:
    for number, fault in enumerate(faults):
        y = top + LANE * number
        _text(svg, 0, y + 11, fault.id[:16], "label")
        for segment in segments(fault, scale.axis.to_ns):
            left, right = scale.x(segment.from_ns), scale.x(segment.to_ns)
            if segment.state == "effect":
                _rect(svg, left, LATENCY_TOP, right - left, RATE_TOP + RATE_HEIGHT - LATENCY_TOP, "band")
            _rect(svg, left, y + 2, max(1.0, right - left), LANE - 4, f"fault {segment.state}")


def _time(svg: Element, scale: _Scale, bottom: float) -> None:
    axis = scale.axis
    step = round_step((axis.to_ns - axis.from_ns) / 10)
    at_ns = axis.zero_ns - (axis.zero_ns - axis.from_ns) // step * step
    while at_ns <= axis.to_ns:
        x = scale.x(at_ns)
        line = {
            "x1": f"{x:.1f}",
            "x2": f"{x:.1f}",
            "y1": f"{LATENCY_TOP:g}",
            "y2": f"{bottom:g}",
            "class": "grid",
        }
        SubElement(svg, "line", line)
        _text(svg, x, bottom + 16, duration(at_ns - axis.zero_ns), "tick")
        at_ns += step


def _latency(svg: Element, scale: _Scale, buckets: Sequence[Bucket]) -> None:
    known = [bucket for bucket in buckets if bucket.median_ns is not None]
    _text(svg, 0, LATENCY_TOP + 10, "latency", "label")
    if not known:
        return
    low = math.floor(math.log10(max(1, min(bucket.median_ns or 1 for bucket in known))))
    high = max(low + 1, math.ceil(math.log10(max(1, max(bucket.max_ns or 1 for bucket in known)))))

    def y(latency_ns: int) -> float:
        part = (math.log10(max(1, latency_ns)) - low) / (high - low)
        return LATENCY_TOP + LATENCY_HEIGHT * (1 - min(max(part, 0.0), 1.0))

    for power in range(low, high + 1):
        at = f"{y(10**power):.1f}"
        SubElement(
            svg,
            "line",
            {"x1": f"{GUTTER:g}", "x2": f"{WIDTH - RIGHT:g}", "y1": at, "y2": at, "class": "grid"},
        )
        _text(svg, GUTTER - 6, y(10**power) + 4, duration(10**power), "value")
    for name in ("median", "p99", "max"):
        points = [
            (scale.x((bucket.from_ns + bucket.to_ns) // 2), y(value))
            for bucket in known
            if (value := getattr(bucket, f"{name}_ns")) is not None
        ]
        path = " ".join(f"{x:.1f},{height:.1f}" for x, height in points)
        SubElement(svg, "polyline", {"points": path, "class": f"line {name}"})
    _text(svg, 0, LATENCY_TOP + 26, "median", "label median")
    _text(svg, 0, LATENCY_TOP + 40, "99 %", "label p99")
    _text(svg, 0, LATENCY_TOP + 54, "slowest", "label max")


def _rate(svg: Element, scale: _Scale, buckets: Sequence[Bucket]) -> None:
    _text(svg, 0, RATE_TOP + 10, "completed", "label")
    tallest = max((sum(bucket.counts.values()) for bucket in buckets), default=0)
    if not tallest:
        return
    seconds = (buckets[0].to_ns - buckets[0].from_ns) / 1e9
    _text(svg, GUTTER - 6, RATE_TOP + 24, f"{tallest / seconds:,.0f}/s", "value")
    for bucket in buckets:
        y = RATE_TOP + RATE_HEIGHT
        left, right = scale.x(bucket.from_ns), scale.x(bucket.to_ns)
        for kind in ("ok", "info", "fail"):
            height = bucket.counts[kind] / tallest * RATE_HEIGHT
            if height:
                y -= height
                _rect(svg, left, y, max(0.5, right - left - 0.5), height, f"bar {kind}")


def _text(svg: Element, x: float, y: float, text: str, kind: str) -> None:
    SubElement(svg, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "class": kind}).text = text


def _rect(svg: Element, x: float, y: float, width: float, height: float, kind: str) -> None:
    box = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{max(0.0, width):.1f}", "height": f"{height:.1f}"}
    SubElement(svg, "rect", {**box, "class": kind})
