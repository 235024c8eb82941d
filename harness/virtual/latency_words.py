"""A latency model, from the words of a spec or of a plan, and back.

A mapping (``{model: exponential, mean: 5ms}``) or short: its name alone, ``5ms`` (constant), ``1ms..5ms``
(uniform). What is not given has its default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.errors import UsageError
from harness.request import duration, mapping, nearest, shown, whole
from harness.virtual.latency import MODELS, Constant, Exponential, Latency, Uniform, WideArea, plain
from harness.virtual.wan import ONE_WAY_NS, REGIONS
from harness.virtual.words import MAX_DELAY_NS, Words, time_of, with_unit, word_of

MAX_REGIONS = 64
MAX_REGION_CHARACTERS = 40


def settle_latency(where: str, value: object) -> Latency:
    """The model that is meant. Raises UsageError."""
    if isinstance(value, str):
        low, dots, high = value.partition("..")
        if dots:
            value = {"model": Uniform.model, "low": low, "high": high}
        elif value in MODELS:
            value = {"model": value}
        elif duration(value, 1) is not None:
            value = {"model": Constant.model, "delay": value}
    if not isinstance(value, Mapping):
        raise UsageError(
            f"{where} = {shown(value)}" + nearest(value, MODELS),
            f"It must be a time (5ms), a span (1ms..5ms), or one of {', '.join(MODELS)}; with parameters, "
            "such as {model: exponential, mean: 5ms}.",
        )
    rest = dict(mapping(where, value))
    model = word_of(f"{where}.model", rest.pop("model", None), MODELS)
    if model == WideArea.model:
        return _wide_area(where, rest)
    if model == Constant.model:
        return Constant(Words(where, rest, ("delay",), ("delay",)).time("delay", Constant().delay_ns))
    if model == Uniform.model:
        span = Uniform()
        words = Words(where, rest, ("low", "high"), ("low", "high"))
        span = Uniform(words.time("low", span.low_ns), words.time("high", span.high_ns))
        return _in_order(where, span, "low", span.low_ns, "high", span.high_ns)
    tail, names = Exponential(), ("mean", "least", "most")
    words = Words(where, rest, names, names)
    tail = Exponential(
        words.time("mean", tail.mean_ns), words.time("least", tail.least_ns), words.time("most", tail.most_ns)
    )
    return _in_order(where, tail, "least", tail.least_ns, "most", tail.most_ns)


def _in_order(where: str, latency: Latency, low: str, low_ns: int, high: str, high_ns: int) -> Latency:
    if low_ns <= high_ns:
        return latency
    raise UsageError(
        f"{where}: {low} = {with_unit(low_ns)} is more than {high} = {with_unit(high_ns)}",
        f"Lower {low}, or raise {high}.",
    )


def _wide_area(where: str, asked: Mapping[str, object]) -> WideArea:
    words = Words(where, asked, ("regions", "one_way", "replicas", "clients", "jitter"), ("one_way",))
    own = [name for name in ("one_way", "one_way_ns") if asked.get(name) is not None]
    if asked.get("regions") is None and own:
        raise UsageError(
            f"{where}: {own[0]} without regions", "Name the regions of its rows: regions: [a, b]."
        )
    regions = _names(f"{where}.regions", words.get("regions", list(REGIONS)), None if own else REGIONS)
    twice = [name for place, name in enumerate(regions) if name in regions[:place]]
    if twice:
        raise UsageError(f"{where}.regions names {shown(twice[0])} twice", "Name each region once.")
    if own:
        matrix = _matrix(f"{where}.{own[0]}", asked[own[0]], len(regions), own[0].endswith("_ns"))
    else:
        rows = [REGIONS.index(name) for name in regions]
        matrix = tuple(tuple(ONE_WAY_NS[row][column] for column in rows) for row in rows)
    replicas = _names(f"{where}.replicas", words.get("replicas", list(regions)), regions)
    clients = word_of(f"{where}.clients", words.get("clients", regions[0]), regions)
    return WideArea(
        regions=regions,
        one_way_ns=matrix,
        replicas=tuple(regions.index(name) for name in replicas),
        clients=regions.index(clients),
        jitter=words.share("jitter", WideArea().jitter),
    )


def _names(where: str, value: object, known: Sequence[str] | None) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_REGIONS:
        raise UsageError(f"{where} = {shown(value)}", f"It must be a list of 1 to {MAX_REGIONS} regions.")
    if known is not None:
        return tuple(word_of(f"{where}[{place}]", name, known) for place, name in enumerate(value))
    for place, name in enumerate(value):
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_REGION_CHARACTERS or not name.isprintable():
            raise UsageError(
                f"{where}[{place}] = {shown(name)}",
                f"It must be a word of 1 to {MAX_REGION_CHARACTERS} printable characters.",
            )
    return tuple(value)


def _matrix(where: str, value: object, size: int, in_ns: bool) -> tuple[tuple[int, ...], ...]:
    rows = value if isinstance(value, list) else []
    if len(rows) != size or any(not isinstance(row, list) or len(row) != size for row in rows):
        raise UsageError(
            f"{where} = {shown(value)}",
            f"It must be a list of {size} rows of {size} times each: for each region, from it to every one.",
        )

    def time_ns(place: str, cell: object) -> int:
        return whole(place, cell, 0, MAX_DELAY_NS) if in_ns else time_of(place, cell)

    return tuple(
        tuple(time_ns(f"{where}[{i}][{j}]", cell) for j, cell in enumerate(row)) for i, row in enumerate(rows)
    )


def latency_words(latency: Latency) -> object:
    """As people write it: ``settle_latency`` makes the same of it."""
    if isinstance(latency, Constant):
        return with_unit(latency.delay_ns)
    if isinstance(latency, Uniform):
        return f"{with_unit(latency.low_ns)}..{with_unit(latency.high_ns)}"
    if isinstance(latency, Exponential):
        times = {"mean": latency.mean_ns, "least": latency.least_ns, "most": latency.most_ns}
        return {"model": latency.model, **{name: with_unit(time_ns) for name, time_ns in times.items()}}
    data: dict[str, object] = {"model": latency.model}
    if (latency.regions, latency.one_way_ns) != (REGIONS, ONE_WAY_NS):
        data["regions"] = list(latency.regions)
        data["one_way"] = [[with_unit(cell) for cell in row] for row in latency.one_way_ns]
    if latency.replicas != tuple(range(len(latency.regions))):
        data["replicas"] = [latency.regions[place] for place in latency.replicas]
    if latency.clients:
        data["clients"] = latency.regions[latency.clients]
    return data | {"jitter": plain(latency.jitter)}
