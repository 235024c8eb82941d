"""Exports: read again they are the same history. And no bytes raise anything but HistoryError."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from medium_histories import medium_history

from checker.__main__ import main
from checker.bare import judge_reading
from checker.formats.detect import read_bytes, read_history
from checker.formats.export import WRITERS
from checker.formats.reading import FORMATS, Options
from checker.formats.writer import HistoryWriter
from checker.history import HistoryError
from checker.limits import Limits

HERE = Path(__file__).parent
FILES = sorted(
    path
    for folder in ("foreign", "good_histories", "bad_histories")
    for path in (HERE / folder).iterdir()
    if "_empty" not in path.name
)


def same(history, exported: str):
    """What an export must keep: all of JSONL, and of EDN what makes the verdict."""
    operations = history.operations
    if exported == "edn":
        operations = tuple(
            replace(op, client=None, timestamp=None, view=None, replicas=(), path=None) for op in operations
        )
    return history.model, history.initial, operations


@pytest.mark.parametrize("exported", WRITERS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_read_again_it_is_the_same_history_and_verdict(path, exported):
    reading = read_history(path)
    content = b"".join(WRITERS[exported](reading.history))
    again = read_bytes(content, "again", "auto", Options())
    assert again.format == {"edn": "jepsen-edn", "jsonl": "traitor"}[exported]
    assert same(again.history, exported) == same(reading.history, exported)
    verdicts = [judge_reading(each, Limits()).verdict for each in (reading, again)]
    assert verdicts[0] == verdicts[1]
    assert verdicts[0] == ("invalid" if "bad" in f"{path.parent.name}{path.name}" else "valid")
    twice = b"".join(WRITERS[exported](again.history))
    assert twice == content or path.suffix == ".jsonl", "the export of an export is itself"


def own_lines(model, *events):
    """A history of ours, of (time, process, type, f, input, output); the place is the index."""
    yield json.dumps({"schema": "traitor/history/1", "model": model, "initial": None})
    for index, (time_ns, process, kind, f, asked, *told) in enumerate(events):
        fields = {"index": index, "time_ns": time_ns, "process": process, "type": kind, "f": f, "key": "k"}
        yield json.dumps({**fields, "input": asked, **({"output": told[0]} if told else {})})


def read_again(model, *events):
    """What was read, and what was read of its export, to each format."""
    reading = read_bytes("\n".join([*own_lines(model, *events), ""]).encode(), "h", "traitor", Options())
    for name, export in WRITERS.items():
        again = read_bytes(b"".join(export(reading.history)), "again", "auto", Options())
        yield name, reading, again


@pytest.mark.parametrize("told", [0, 1, 2])
def test_an_output_of_one_is_not_taken_for_true(told):
    """1 == True: an `add` that was told a wrong sum was exported without it, and the copy was valid."""
    for _, reading, again in read_again(
        "counter",
        (0, 0, "invoke", "add", 3),
        (1, 0, "ok", "add", 3, told),
    ):
        assert judge_reading(reading, Limits()).verdict == "invalid"
        assert judge_reading(again, Limits()).verdict == "invalid"
    bank = (0, 0, "invoke", "balance", 1), (1, 0, "ok", "balance", 1, told)
    for _, _, again in read_again("bank", *bank):
        assert [op.output for op in again.history.operations] == [told]


def test_what_ended_at_the_time_of_a_call_finds_an_index():
    """Ends that were not completions have no order among calls of the same time, but there must be room."""
    write = ("put", "a")
    for kind in ("info", "fail"):
        for name, reading, again in read_again(
            "kv",
            (12, 3, "invoke", *write),
            (16, 3, kind, *write),
            (16, 8, "invoke", "get", None),
            (23, 7, "invoke", "get", None),
            (23, 8, "ok", "get", None, None),
        ):
            assert same(again.history, name) == same(reading.history, name)


def test_histories_of_a_coarse_clock_are_exported_whole():
    rng = random.Random(5)
    for _ in range(200):
        events, now, open_of, processes = [], 0, {}, 0
        for _ in range(rng.randrange(1, 30)):
            now += rng.choice((0, 0, 1))
            if open_of and rng.random() < 0.5:
                process = rng.choice(list(open_of))
                kind = rng.choice(("ok", "ok", "info", "fail"))
                f, asked = open_of.pop(process)
                answer = [None] if kind == "ok" else []
                events.append((now, process, kind, f, asked, *answer))
            elif rng.random() < 0.1:
                events.append((now, "nemesis", "info", "start", None))
            else:
                processes += 1
                open_of[processes] = rng.choice((("put", "a"), ("get", None)))
                events.append((now, processes, "invoke", *open_of[processes]))
        if processes:
            for name, reading, again in read_again("kv", *events):
                assert same(again.history, name) == same(reading.history, name)


def _written(model, *events, initial=None):
    """Of (time, process, what, …) as HistoryWriter takes it."""
    lines: list[bytes] = []
    writer = HistoryWriter(lines.append, model, initial)
    for now, process, what, *more in events:
        getattr(writer, what)(now, process, *more)
    return read_bytes(b"".join(lines), "h", "traitor", Options()).history


def _gap_before_a_nemesis_line():
    call = {"index": 4, "time_ns": 5, "process": 0, "type": "invoke", "f": "read", "key": "k", "input": None}
    fault = {"index": 3, "time_ns": 5, "process": "nemesis", "type": "info", "f": "start", "fault": "f"}
    lines = [{"schema": "traitor/history/1", "model": "register"}, fault | {"kind": "k"}, call]
    lines.append(call | {"index": 5, "type": "ok", "output": None})
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return read_bytes(content, "h", "traitor", Options()).history


CALLS = [(0, process, "invoke", "write", "k", f"v{process}") for process in range(3)]


@pytest.mark.parametrize(
    "history",
    [
        # What failed at the moment of a later call: only before that call is there an index for its end.
        _written("register", CALLS[2], (0, 2, "fail", "no"), CALLS[1], CALLS[2], (0, 1, "ok", None)),
        _written("register", *CALLS, (0, 1, "fail", "no"), CALLS[1], (0, 0, "fail", "no"), CALLS[0]),
        _written("register", *CALLS[:2], (0, 1, "fail", "no"), CALLS[2], CALLS[1], (0, 0, "fail", "no")),
        # The moment of a line of the nemesis is also that of a call after it.
        _gap_before_a_nemesis_line(),
        # 1 is an answer, though Python holds it to be equal to true.
        _written("bank", (0, 0, "invoke", "balance", "k", 2), (1, 0, "ok", 1), initial=[3, 2, 1]),
    ],
)
@pytest.mark.parametrize("exported", WRITERS)
def test_these_were_lost_on_the_way(exported, history):
    again = read_bytes(b"".join(WRITERS[exported](history)), "again", "auto", Options()).history
    assert same(again, exported) == same(history, exported)


@pytest.mark.parametrize("exported", WRITERS)
@pytest.mark.parametrize(
    "name", ["register", "cas-register", "set", "queue", "counter", "bank", "growing text"]
)
def test_many_histories_survive(exported, name):
    rng = random.Random(name)
    for _ in range(20):
        history = medium_history(rng, name, 60)
        again = read_bytes(b"".join(WRITERS[exported](history)), "again", "auto", Options()).history
        assert same(again, exported)[2] == same(history, exported)[2]


def test_to_others_the_edn_says_what_the_operations_said(tmp_path):
    """Without what only our reader knows, by Knossos' rules, the verdict is the same."""
    path = HERE / "bad_histories" / "cas_contradicts_itself.jsonl"
    content = b"".join(WRITERS["edn"](read_history(path).history)).decode()
    bare = "\n".join(line for line in content.split("\n") if not line.startswith(";;"))
    for name in ("f", "input", "output", "phase"):
        bare = bare.replace(f":traitor/{name}", f":other/{name}")
    reading = read_bytes(bare.encode(), "h", "jepsen-edn", Options(model="cas-register"))
    assert judge_reading(reading, Limits()).verdict == "invalid"


def test_a_model_of_ones_own_may_have_any_names(tmp_path, monkeypatch):
    (tmp_path / "any_model.py").write_text(
        "from checker.models.base import Model\n"
        "class Any(Model):\n    def step(self, state, call):\n        return True, state\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    lines: list[bytes] = []
    writer = HistoryWriter(lines.append, "register")
    for process, f in enumerate(("two words", "\ud800", "", "plain", ":a", "#edn 1")):
        writer.invoke(process, process, f, "k", [f, {"a": [True, None]}])
    options = Options(model="any_model:Any")
    reading = read_bytes(b"".join(lines), "h", "traitor", options)
    for name, export in WRITERS.items():
        again = read_bytes(b"".join(export(reading.history)), "h", "auto", options)
        assert same(again.history, name) == same(reading.history, name)


def test_indexes_are_those_of_the_file_only_if_all_have_one():
    first = "{:process 0 :type :invoke :f :read}{:process 1 :type :invoke :f :read :index 0}"
    reading = read_bytes(first.encode(), "h", "jepsen-edn", Options())
    assert [op.index for op in reading.history.operations] == [0, 1]
    all_have = first.replace(":read}", ":read :index 7}", 1).replace("0}", "9}")
    reading = read_bytes(all_have.encode(), "h", "auto", Options())
    assert [op.index for op in reading.history.operations] == [7, 9]


def test_the_command_exports_and_judges(tmp_path, capsys):
    source, to = HERE / "foreign" / "log_tabs_good.log", tmp_path / "h.edn"
    assert main([str(source), "--export", "edn", "--to", str(to)]) == 0
    assert main([str(to)]) == 0
    assert main([str(to), "--export", "jsonl", "--to", str(tmp_path / "h.jsonl")]) == 0
    assert main([str(tmp_path / "h.jsonl")]) == 0
    said = capsys.readouterr().out
    assert said.count("read 7 operations") == 4


@pytest.mark.parametrize("flags", [["--export", "edn"], ["--to", "x"]])
def test_an_export_needs_both(capsys, flags):
    assert main([str(HERE / "foreign" / "log_tabs_good.log"), *flags]) == 2
    assert "--export and --to go together" in capsys.readouterr().err


def test_an_export_does_not_replace_what_it_is_made_of(tmp_path, capsys):
    path = tmp_path / "h.edn"
    path.write_bytes((HERE / "foreign" / "jepsen_vector_good.edn").read_bytes())
    before = path.read_bytes()
    assert main([str(path), "--export", "edn", "--to", str(path)]) == 2
    assert main([str(path), "--export", "edn", "--to", str(tmp_path)]) == 2
    assert main([str(path), "--export", "edn", "--to", str(tmp_path / "no" / "where")]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_kept_foreign_history_is_ours_and_has_the_hash_of_the_verdict(tmp_path):
    from checker.formats import traitor

    source = HERE / "foreign" / "jepsen_independent_bad.edn"
    assert main([str(source), "--out", str(tmp_path)]) == 1
    kept = traitor.read(tmp_path / "history.jsonl")
    assert same(kept, "jsonl") == same(read_history(source).history, "jsonl")
    assert main([str(tmp_path / "history.jsonl")]) == 1


# ------------------------------------------------------------------ hostile bytes


PIECES = (b"[", b"}", b'"', b"\\", b"#_", b"nil ", b":info", b"1/2", b"\n")


def refused_or_read(content: bytes, format: str) -> None:
    reading = None
    said = ""
    try:
        reading = read_bytes(content, "h", format, Options())
    except HistoryError as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 2_000
    if reading is None:
        return
    for writer in WRITERS.values():
        b"".join(writer(reading.history))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(("auto", *FORMATS)))
def test_random_bytes(content, format):
    refused_or_read(content, format)


def test_spoilt_files():
    rng = random.Random(11)
    contents = [path.read_bytes() for path in FILES if path.parent.name == "foreign"]
    for _ in range(800):
        spoilt = bytearray(rng.choice(contents))
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(spoilt))
            match rng.randrange(5):
                case 0:
                    spoilt[at] = rng.randrange(256)
                case 1:
                    del spoilt[at : at + rng.randint(1, 30)]
                case 2:
                    spoilt[at:at] = rng.choice(
                        (b"[", b"}", b'"', b"\\", b"#_", b"nil ", b":info", b"1/2", b"\n")
                    )
                case 3:
                    other = rng.choice(contents)
                    spoilt[at:at] = other[: rng.randrange(len(other))]
                case _:
                    lines = spoilt.split(b"\n")
                    rng.shuffle(lines)
                    spoilt = bytearray(b"\n".join(lines))
            if not spoilt:
                break
        refused_or_read(bytes(spoilt), rng.choice(("auto", "auto", *FORMATS)))
