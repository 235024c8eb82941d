"""The short cut through a history's lines gives what the strict way gives, also of what is wrong."""

from __future__ import annotations

import gc
import json
import random

import pytest

from checker.formats import traitor, traitor_lines
from checker.formats.writer import HistoryWriter
from checker.history import HistoryError

VALUES = {
    "register": ("a", "b", 7, 1000, True, False, None, 1, 0),
    "append": ("a", 1, True, "é"),
    "counter": (1, -5, 10**12),
}
READ = {
    "register": lambda rng: rng.choice(VALUES["register"]),
    "append": lambda rng: [rng.choice(VALUES["append"]) for _ in range(rng.randrange(3))],
    "counter": lambda rng: rng.randrange(9),
}
MUTATES = {"register": "write", "append": "append", "counter": "add"}


def recorded(model: str, seed: int) -> bytes:
    """A history of everything a writer writes; nothing in it needs to be right."""
    rng, lines = random.Random(seed), list[bytes]()
    writer = HistoryWriter(lines.append, model)
    free, busy, time_ns = list(range(8)), dict[int, str](), 0
    for _ in range(60):
        time_ns += rng.choice((0, 0, 1, 50))
        if free and rng.random() < 0.55:
            process = free.pop(rng.randrange(len(free)))
            f = rng.choice(("read", MUTATES[model], *(["cas"] if model == "register" else [])))
            given = None if f == "read" else rng.choice(VALUES[model])
            if f == "cas":
                given = [given, rng.choice(VALUES[model])]
            writer.invoke(time_ns, process, f, rng.choice("kl"), given, client=rng.choice((None, 1000)))
            busy[process] = f
        elif busy:
            process = rng.choice(sorted(busy))
            f, how = busy.pop(process), rng.random()
            if how < 0.1:
                writer.info(time_ns, process, "timeout")
                continue
            free.append(process)
            if how < 0.2:
                writer.fail(time_ns, process, "full")
                continue
            output = (
                READ[model](rng) if f == "read" else rng.choice((True, [False, "a"])) if f == "cas" else None
            )
            path, view = rng.choice((None, "fast")), rng.choice((None, 3))
            writer.ok(time_ns, process, output, path=path, view=view, replicas=(0, 2))
        else:
            writer.nemesis(time_ns, "start", "kill-1", "kill")
    return b"".join(lines)


def read(content: bytes):
    try:
        return traitor.read_bytes(content, "h")
    except HistoryError as error:
        return str(error)


def both_ways(content: bytes, monkeypatch: pytest.MonkeyPatch):
    quick = read(content)
    with monkeypatch.context() as patched:
        for short_cut in ("_invoked", "_answered"):
            patched.setattr(traitor_lines.Lines, short_cut, lambda *_: False)
        return quick, read(content)


@pytest.mark.parametrize("model", VALUES)
def test_what_is_right_reads_the_same_both_ways(model, monkeypatch):
    for seed in range(30):
        quick, strict = both_ways(recorded(model, seed), monkeypatch)
        assert quick == strict
        assert not isinstance(quick, str), quick
        kinds = [[type(op.output), op.output] for op in quick.operations]
        assert kinds == [[type(op.output), op.output] for op in strict.operations]


def spoilt(rng: random.Random, content: bytes) -> bytes:
    """With one field of one line changed, lost or in the place of another."""
    lines = content.splitlines()
    place = rng.randrange(1, len(lines))
    fields = json.loads(lines[place])
    name = rng.choice(sorted(fields))
    wrong = rng.choice(
        (None, True, False, -1, 0, 1.0, "", "k", "read", [], [1], {}, [True, "a"], 10**30, "nemesis")
    )
    how = rng.randrange(3)
    if how == 0:
        del fields[name]
    elif how == 1:
        fields[name] = wrong
    else:
        fields[rng.choice(("timestamp", "client", "view", "replicas", "path", "error", "phase"))] = wrong
    lines[place] = json.dumps(fields).encode() + rng.choice((b"", b"", b" ", b"\r", b"x"))
    return b"\n".join(lines) + b"\n"


@pytest.mark.parametrize("model", VALUES)
def test_what_is_wrong_is_refused_with_the_same_words_both_ways(model, monkeypatch):
    rng, refused = random.Random(5), 0
    for seed in range(300):
        quick, strict = both_ways(spoilt(rng, recorded(model, seed % 7)), monkeypatch)
        assert quick == strict
        refused += isinstance(quick, str)
    assert refused > 100


@pytest.mark.parametrize("model", VALUES)
def test_usual_lines_take_the_short_cut(model, monkeypatch):
    taken = []
    strict = traitor_lines.Lines.take
    monkeypatch.setattr(
        traitor_lines.Lines,
        "take",
        lambda self, number, line: taken.append(line) or strict(self, number, line),
    )
    content = recorded(model, 3)
    assert not isinstance(read(content), str)
    assert all(b'"fail"' in line or b'"info"' in line for line in taken)
    assert len(taken) < content.count(b"\n") / 2


def test_the_collector_is_as_it_was_before():
    for content in (recorded("append", 1), recorded("append", 1)[:-5], b"{}"):
        read(content)
        assert gc.isenabled()
        gc.disable()
        try:
            read(content)
            assert not gc.isenabled()
        finally:
            gc.enable()
