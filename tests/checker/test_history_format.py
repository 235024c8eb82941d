"""Reading strictly: what is no history is refused with file, line, rule and advice; what is, round-trips."""

from __future__ import annotations

import contextlib
import json
import random

import pytest

from checker.formats import traitor
from checker.formats.writer import HistoryWriter
from checker.history import HistoryError

HEADER = '{"schema": "traitor/history/1", "model": "kv", "initial": null}'


def invoke(index, process=0, time=None, **more):
    fields = {"index": index, "time_ns": index * 10 if time is None else time, "process": process}
    return json.dumps({**fields, "type": "invoke", "f": "get", "key": "k", "input": None, **more})


def ended(index, process=0, type_="ok", **more):
    output = {"output": None} if type_ == "ok" else {}
    return json.dumps(
        {"index": index, "time_ns": index * 10, "process": process, "type": type_, **output, **more}
    )


def without(line, field):
    return json.dumps({name: value for name, value in json.loads(line).items() if name != field})


MALFORMED = {
    "answer without a call": ([HEADER, ended(0)], 2, "without a call"),
    "two answers": ([HEADER, invoke(0), ended(1), ended(2)], 4, "without a call"),
    "two calls open": ([HEADER, invoke(0), invoke(1)], 3, "still open"),
    "call of a retired process": ([HEADER, invoke(0), ended(1, type_="info"), invoke(2)], 4, "retired"),
    "time backwards": ([HEADER, invoke(5), invoke(6, 1, time=49)], 3, "backwards by 1 ns"),
    "unknown type": ([HEADER, ended(0, type_="maybe")], 2, "type"),
    "unknown function": ([HEADER, invoke(0, f="frobnicate")], 2, "frobnicate"),
    "missing field": ([HEADER, without(invoke(0), "key")], 2, "'key' is missing"),
    "missing index": ([HEADER, without(invoke(0), "index")], 2, "'index' is missing"),
    "missing output": ([HEADER, invoke(0), without(ended(1), "output")], 3, "'output' is missing"),
    "key of a wrong type": ([HEADER, invoke(0, key=7)], 2, "key 7"),
    "time of a wrong type": ([HEADER, invoke(0, time="soon")], 2, "time_ns"),
    "true is no number": ([HEADER, invoke(True)], 2, "index"),
    "process of a wrong type": ([HEADER, invoke(0, process=-1)], 2, "process"),
    "input of a wrong type": ([HEADER, invoke(0, f="put", input=3.5)], 2, "input of put"),
    "output of a wrong type": ([HEADER, invoke(0), ended(1, output=["a"])], 3, "output of get"),
    "cas output too short": (
        [HEADER, invoke(0, f="cas", input=["a", "b"]), ended(1, output=[True])],
        3,
        "swapped, actual",
    ),
    "duplicated index": ([HEADER, invoke(0), invoke(0, 1)], 3, "used once"),
    "answer about another key": ([HEADER, invoke(0), ended(1, key="other")], 3, "differs"),
    "not JSON": ([HEADER, invoke(0), "{oops"], 3, "not a JSON object"),
    "not an object": ([HEADER, "[1, 2]"], 2, "not a JSON object"),
    "very deep": ([HEADER, "[" * 100_000], 2, "not a JSON object"),
    "empty line": ([HEADER, "", invoke(0)], 2, "empty"),
    "blank line": ([HEADER, "  ", invoke(0)], 2, "empty"),
    "name twice": ([HEADER, invoke(0), ended(1)[:-1] + ', "output": "b"}'], 3, 'name "output" is in one'),
    "name twice, once escaped": (
        [HEADER, invoke(0)[:-1] + ', "ke\\u0079" : "other"}'],
        2,
        'name "key" is in one',
    ),
    "name twice inside": (
        [HEADER, invoke(0, f="put", input=None)[:-1] + ', "more": [{"a": ":", "a": ":"}]}'],
        2,
        'name "a" is in one',
    ),
    "name twice in the header": (['{"model": "kv", ' + HEADER[1:]], 1, 'name "model" is in one'),
    "name twice in a last line": (
        [HEADER, invoke(0), ended(1)[:-1] + ', "time_ns": 10}'],
        3,
        'name "time_ns" is in one',
    ),
    "phase unknown": ([HEADER, invoke(0, phase="dessert")], 2, "phase"),
    "replicas no list": ([HEADER, invoke(0), ended(1, replicas="all")], 3, "replicas"),
    "no header": ([invoke(0)], 1, "not a header"),
    "another schema": (['{"schema": "traitor/history/9"}'], 1, "traitor/history/9"),
    "unknown model": (['{"schema": "traitor/history/1", "model": "chess"}'], 1, "chess"),
    "wrong initial": (['{"schema": "traitor/history/1", "model": "kv", "initial": 3.5}'], 1, "initial"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_refuses(case):
    lines, number, rule = MALFORMED[case]
    with pytest.raises(HistoryError) as caught:
        traitor.read_bytes(("\n".join(lines) + "\n").encode(), "h.jsonl")
    error = caught.value
    assert error.line == number
    assert rule in error.reason
    assert str(error).startswith(f"h.jsonl: line {number}: ")
    assert error.advice in str(error)


def test_refuses_an_empty_file():
    for content in (b"", b"\n\n"):
        with pytest.raises(HistoryError, match="empty"):
            traitor.read_bytes(content, "h.jsonl")


def test_refuses_bytes_that_are_no_text():
    with pytest.raises(HistoryError) as caught:
        traitor.read_bytes(HEADER.encode() + b"\n\xff\xfe\n", "h.jsonl")
    assert caught.value.line == 2


def test_a_half_last_line_is_refused_unless_forgiven():
    whole = f"{HEADER}\n{invoke(0)}\n"
    torn = (whole + ended(1)[:-5]).encode()
    with pytest.raises(HistoryError) as caught:
        traitor.read_bytes(torn, "h.jsonl")
    assert caught.value.line == 3
    assert "middle of this line" in caught.value.reason
    forgiven = traitor.read_bytes(torn, "h.jsonl", forgive_torn_tail=True)
    assert forgiven.torn_line == 3
    assert forgiven.operations[0].type == "info"


def test_a_whole_last_line_may_lack_its_newline():
    history = traitor.read_bytes(f"{HEADER}\n{invoke(0)}\n{ended(1)}".encode(), "h.jsonl")
    assert history.operations[0].type == "ok"


def test_no_bytes_raise_anything_else():
    rng = random.Random(3)
    good = f"{HEADER}\n{invoke(0)}\n{ended(1)}\n{invoke(2)}\n{ended(3, type_='info')}\n".encode()
    for _ in range(3_000):
        spoilt = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(spoilt))
            if rng.random() < 0.5:
                spoilt[at] = rng.randrange(256)
            else:
                del spoilt[at : at + rng.randint(1, 20)]
        with contextlib.suppress(HistoryError):
            traitor.read_bytes(bytes(spoilt), "h.jsonl")


def test_what_the_writer_writes_the_reader_reads():
    lines: list[bytes] = []
    writer = HistoryWriter(lines.append, "append")
    first = writer.invoke(5, 0, "append", "k", "é\ud800", client=1000, timestamp=1)
    writer.nemesis(6, "start", "kill-1", "kill")
    second = writer.invoke(7, 1, "read", "k", None, client=1001, timestamp=1, phase="final")
    writer.ok(8, 1, ["é\ud800"], view=2, replicas=[0, 3])
    writer.info(9, 0, "timeout")
    writer.invoke(9, 2, "append", "k", "x")
    writer.fail(10, 2, "full")
    writer.invoke(11, 3, "read", "k", None)
    history = traitor.read_bytes(b"".join(lines), "h.jsonl")
    appended, read, failed, still_open = history.operations
    assert (appended.index, appended.type, appended.error, appended.gave_up_ns) == (
        first,
        "info",
        "timeout",
        9,
    )
    assert (appended.client, appended.timestamp, appended.return_ns) == (1000, 1, None)
    assert (read.index, read.output, read.view, read.replicas) == (second, ("é\ud800",), 2, (0, 3))
    assert (read.phase, read.call_ns, read.return_ns) == ("final", 7, 8)
    assert (failed.type, failed.error) == ("fail", "full")
    assert (still_open.type, still_open.gave_up_ns) == ("info", None)
    assert history.nemesis[0].fault == "kill-1"


@pytest.mark.parametrize(
    "misuse",
    [
        lambda w: w.invoke(2, 0, "get", "k", None),
        lambda w: w.invoke(0, 1, "get", "k", None),
        lambda w: (w.info(2, 0, "timeout"), w.invoke(3, 0, "get", "k", None)),
    ],
)
def test_the_writer_asserts_that_it_is_used_rightly(misuse):
    writer = HistoryWriter(lambda line: None, "kv")
    writer.invoke(1, 0, "get", "k", None)
    with pytest.raises(AssertionError):
        misuse(writer)


def test_the_model_can_be_named_from_outside():
    bare = '{"schema": "traitor/history/1"}'
    content = f"{bare}\n{invoke(0)}\n{ended(1)}\n".encode()
    assert traitor.read_bytes(content, "h.jsonl", "kv").model == "kv"
    with pytest.raises(HistoryError, match="--model"):
        traitor.read_bytes(content, "h.jsonl")


@pytest.mark.parametrize("end", ["\n", "\n\n\n", "\r\n \t\n", "\n  "])
def test_blank_lines_at_the_very_end_are_nothing(end):
    content = "\n".join([HEADER, invoke(0), ended(1)])
    assert traitor.read_bytes((content + end).encode(), "h").operations == (
        traitor.read_bytes(content.encode(), "h").operations
    )


def test_a_half_line_before_blank_lines_is_no_torn_tail():
    content = "\n".join([HEADER, invoke(0), ended(1)[:30], "", ""]).encode()
    with pytest.raises(HistoryError, match="line 3"):
        traitor.read_bytes(content, "h", forgive_torn_tail=True)


def test_colons_in_values_are_no_names():
    lines = [HEADER, invoke(0, key='a":b'), ended(1, output='{"a": 1, "a": 1}')]
    (found,) = traitor.read_bytes("\n".join(lines).encode(), "h").operations
    assert (found.key, found.output) == ('a":b', '{"a": 1, "a": 1}')
