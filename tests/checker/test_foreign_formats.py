"""Histories of other checkers: golden files with good and bad twins, what they mean, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from checker.bare import judge_reading
from checker.formats.detect import detect, read_bytes, read_history
from checker.formats.reading import FORMATS, Options
from checker.history import HistoryError
from checker.limits import Limits

HERE = Path(__file__).parent / "foreign"
GOOD = sorted(path.name for path in HERE.glob("*_good.*"))
BAD = sorted(path.name for path in HERE.glob("*_bad.*"))


def judged(path: Path, **options) -> str:
    return judge_reading(read_history(path, options=Options(**options)), Limits()).verdict


def read(text: str | bytes, format: str = "auto", **options):
    content = text if isinstance(text, bytes) else text.encode()
    return read_bytes(content, "h", format, Options(**options))


@pytest.mark.parametrize("name", GOOD)
def test_good(name):
    assert judged(HERE / name) == "valid"


@pytest.mark.parametrize("name", BAD)
def test_bad(name):
    assert judged(HERE / name) == "invalid"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (f"log_{kind}_good.log", "read 7 operations (4 ok, 2 fail, 1 info) of 4 processes, "
        "format porcupine-log, model cas-register")
        for kind in ("tabs", "spaces", "crlf")
    ]
    + [
        (f"jepsen_{kind}_good.edn", "read 4 operations (3 ok, 1 fail, 0 info) of 3 processes, "
        "format jepsen-edn, model cas-register")
        for kind in ("vector", "list", "lines", "behind", "crlf", "records")
    ],
)  # fmt: skip
def test_every_operation_is_counted_whatever_parts_the_columns(name, sentence):
    assert read_history(HERE / name).sentence() == sentence


# ------------------------------------------------------------------ what is refused


def log(*lines: str) -> str:
    return "".join(f"INFO  jepsen.util - {line}\n" for line in lines)


INVOKE = "{:process 0 :type :invoke :f :write :value 1}\n"
OK = "{:process 0 :type :ok :f :write :value 1}\n"
REFUSED = {
    "empty": ("", 0, "the file is empty"),
    "blank": (" \r\n\t\n", 0, "the file is empty"),
    "only a mark": ("\ufeff", 0, "the file is empty"),
    "only a comment": ("; nothing\n", 0, "no operations"),
    "an empty vector": ("[]", 0, "no operations"),
    "only a nemesis": ("{:process :nemesis :type :info :f :start}", 0, "no operations"),
    "no format": ("hello, world\n", 1, "looks like none"),
    "packed": (b"\x1f\x8b\x08\x00\x00", 1, "looks like none"),
    "no text": (b"[{:process \xff}]", 1, "byte 0xff is not text"),
    "an answer without a call": (OK, 1, "without a call"),
    "two answers": (INVOKE + OK + OK, 3, "without a call"),
    "two calls open": (INVOKE + INVOKE, 2, "line 1 is still open"),
    "the wrong order": (OK + INVOKE, 1, "without a call"),
    "another f": (INVOKE + OK.replace(":write", ":read"), 2, "differs from :write of its call in line 1"),
    "another value": (INVOKE + OK.replace("1}", "2}"), 2, "the answer to a :write of 1 says 2"),
    "unknown type": (INVOKE + "{:process 0 :type :maybe :f :write}", 2, ":type :maybe is unknown"),
    "no process": ("{:type :invoke :f :read}", 1, ":process is missing"),
    "no type": ("{:process 1 :f :read}", 1, ":type is missing"),
    "no f": ("{:process 1 :type :invoke}", 1, ":f is missing"),
    "f of a wrong kind": ("{:process 1 :type :invoke :f 7}", 1, ":f 7 is not a keyword"),
    "a process below 0": ("{:process -1 :type :invoke :f :read}", 1, ":process -1"),
    "a process of a wrong kind": ('{:process "a" :type :invoke :f :read}', 1, ':process "a"'),
    "no map": ("[1 2]", 1, "an operation is a map"),
    "a half line": (INVOKE + OK[:-9], 2, "the file ends in the middle of a form"),
    "a half vector": ("[" + INVOKE + OK, 3, "the file ends inside the vector that begins in line 1"),
    "a half string": ('{:process 0 :f "abc', 1, "the file ends inside the string that begins in line 1"),
    "a ratio": ("{:process 0 :type :invoke :f :write :value 1/2}", 1, "1/2 is a ratio"),
    "too deep": ("[" * 100_000, 1, "nested more than"),
    "a wrong bracket": ("[" + INVOKE + "}", 2, "} cannot end the vector that begins in line 1"),
    "a bracket too many": (INVOKE + "]", 2, "] closes nothing"),
    "time backwards": (
        INVOKE.replace("}", " :time 5}") + OK.replace("}", " :time 4}"), 2, "time runs backwards by 1 ns",
    ),
    "a time is missing": (INVOKE.replace("}", " :time 5}") + OK, 2, ":time is missing"),
    "a time of a wrong kind": (INVOKE.replace("}", ' :time "now"}'), 1, ':time "now" is not a number'),
    "index backwards": (
        INVOKE.replace("}", " :index 5}") + OK.replace("}", " :index 4}"), 2, ":index 4 comes after 5",
    ),
    "a strange function": ("{:process 0 :type :invoke :f :frobnicate}", 0, "operations :frobnicate"),
    "a cas of one": ("{:process 0 :type :invoke :f :cas :value [1]}", 1, "must be [old new], not [1]"),
    "half a log line": (log("0 :invoke :write 1") + "INFO  jepsen.util - 0 :o", 2, "in the middle"),
    "a strange log line": (log("0 :invoke :write 1", "0 :okay :write 1"), 2, "the line is not `INFO"),
    "a log of nothing": ("INFO  jepsen.core - hello\n", 0, "no operations"),
    "a log answer without a call": (log("0 :ok :write 1"), 1, "without a call"),
    "a log value that is no value": (log("0 :invoke :write ]"), 1, "the line is not `INFO"),
    "a crashed drain": (
        "{:process 0 :type :invoke :f :drain}{:process 0 :type :info :f :drain}", 1, "any number of items",
    ),
}  # fmt: skip
REFUSED["a counter of words"] = (
    '{:process 0 :type :invoke :f :add :value "a"}{:process 1 :type :invoke :f :inc}', 1, "an integer",
)  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_with_file_line_and_rule(case, tmp_path):
    text, line, rule = REFUSED[case]
    path = tmp_path / "h"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(HistoryError) as caught:
        read_history(path)
    assert rule in caught.value.reason
    assert caught.value.line == line
    assert str(caught.value).startswith(f"{path}: " + (f"line {line}: " if line else ""))
    assert "\n" not in str(caught.value)


def test_a_history_of_another_format_than_named_is_refused():
    for name in ("jepsen_vector_good.edn", "log_tabs_good.log"):
        content = (HERE / name).read_bytes()
        for format in FORMATS:
            if format != detect(content, "h"):
                with pytest.raises(HistoryError):
                    read_bytes(content, "h", format, Options())


# ------------------------------------------------------------------ what it means


def test_the_fail_policy_of_each_format_and_of_the_user():
    """The failed compare-and-set is the only evidence."""
    bad = HERE / "log_failed_cas_bad.log"
    assert judged(bad) == "invalid"
    assert judged(bad, fail="never-happened") == "valid"
    edn = "".join(
        f"{{:process 0 :type :{kind} :f :{f} :value {value}}}"
        for kind, f, value in [
            ("invoke", "write", 1), ("ok", "write", 1), ("invoke", "cas", "[1 2]"), ("fail", "cas", "[1 2]"),
        ]
    )  # fmt: skip
    assert [op.type for op in read(edn).history.operations] == ["ok", "fail"]
    observed = read(edn, fail="observer")
    assert [(op.type, op.output) for op in observed.history.operations] == [("ok", None), ("ok", False)]
    assert judge_reading(observed, Limits()).verdict == "invalid"
    assert "fail: 1 failed compare-and-set is an observer of another value" in observed.notes
    assert any("never happened" in note for note in read(edn).notes)


def test_a_failed_write_never_happened_under_either_policy():
    text = log("0 :invoke :write 1", "0 :fail :write 1", "0 :invoke :read nil", "0 :ok :read 1")
    for fail in ("never-happened", "observer"):
        assert judge_reading(read(text, fail=fail), Limits()).verdict == "invalid"


def test_a_read_that_timed_out_tells_nothing_and_its_process_goes_on_under_a_new_number():
    text = log("0 :invoke :read nil", "0 :fail :read :timed-out", "0 :invoke :read nil", "0 :ok :read nil")
    reading = read(text)
    first, second = reading.history.operations
    assert (first.type, first.output, first.return_ns, first.process) == ("info", None, None, 0)
    assert (second.type, second.process) == ("ok", 1)
    assert "1 read has an unknown result" in reading.notes


def test_info_is_pending_for_ever_and_its_process_goes_on_under_a_new_number():
    write = ("3 :invoke :write 1", "3 :info :write :timed-out")
    reading = read(log(*write, "3 :invoke :read nil", "3 :ok :read nil"))
    write, look = reading.history.operations
    assert (write.type, write.return_ns, write.gave_up_ns, write.error) == ("info", None, 1, "timed-out")
    assert (write.process, look.process) == (3, 4)
    assert reading.processes == 1


def test_what_is_open_at_the_end_is_info():
    reading = read(INVOKE)
    assert reading.counts == (0, 0, 1)
    assert reading.history.operations[0].gave_up_ns is None


def test_a_strayed_info_ends_nothing_and_is_told():
    reading = read("{:process 0 :type :info :f :write :value 1}" + INVOKE + OK)
    assert reading.counts == (1, 0, 0)
    assert "1 info line ends no operation: skipped" in reading.notes


def test_equal_times_are_ordered_by_lines():
    """The read comes after the write's answer, in the same nanosecond."""
    text = INVOKE.replace("}", " :time 5}") + OK.replace("}", " :time 5}")
    text += "{:process 1 :type :invoke :f :read :time 5}{:process 1 :type :ok :f :read :value nil :time 5}"
    write, look = read(text).history.operations
    assert look.call_ns > write.return_ns


def test_overlap_is_kept_where_times_are_equal():
    text = INVOKE.replace("}", " :time 5}") + "{:process 1 :type :invoke :f :read :time 5}"
    text += OK.replace("}", " :time 5}") + "{:process 1 :type :ok :f :read :value nil :time 5}"
    write, look = read(text).history.operations
    assert look.call_ns <= write.return_ns


def test_keys_apart_only_where_values_tell():
    plain = "".join(f"{{:process 0 :type :{kind} :f :write :value [1 2]}}" for kind in ("invoke", "ok"))
    assert {op.key for op in read(plain).history.operations} == {"x"}
    keyed = read(plain + "{:process 1 :type :invoke :f :read :value [1 nil]}")
    assert {op.key for op in keyed.history.operations} == {"1"}
    assert any("independent" in note for note in keyed.notes)


def test_keys_of_different_types_differ():
    text = "".join(
        f"{{:process {i} :type :invoke :f :read :value [{key} nil]}}"
        for i, key in enumerate(("1", '"1"', ":a", '":a"', "[1]", "nil"))
    )
    assert len({op.key for op in read(text).history.operations}) == 6


def test_the_nemesis_is_kept_and_told():
    reading = read_history(HERE / "jepsen_vector_good.edn")
    assert [event.f for event in reading.history.nemesis] == ["start"]
    assert "1 event is of no client: it is not judged" in reading.notes


def test_a_drain_is_as_many_dequeues_and_one_of_the_empty_queue():
    reading = read_history(HERE / "jepsen_queue_good.edn")
    taken = [op for op in reading.history.operations if op.f == "dequeue"]
    assert [op.output for op in taken] == [1, 2, 3, None]
    assert len({op.index for op in reading.history.operations}) == 7


def test_a_drain_may_tell_a_set():
    text = (HERE / "jepsen_queue_good.edn").read_text().replace("[2 3]", "#{3 2}")
    operations = read(text).history.operations
    assert len({op.index for op in operations}) == len(operations) == 7


def test_a_log_whose_last_line_may_be_torn_says_so():
    """`:read 12` torn after the 1 is a read of 1: nothing in the line tells."""
    whole = log("0 :invoke :write 12", "0 :ok :write 12", "0 :invoke :read nil", "0 :ok :read 12")
    assert not any("no line end" in note for note in read(whole).notes)
    assert any("line 4, the last, has no line end" in note for note in read(whole.rstrip()[:-1]).notes)


def test_a_half_last_line_is_forgiven_only_when_asked():
    for text in (INVOKE + OK + INVOKE[:-9], log("0 :invoke :write 1", "0 :ok :write 1") + "INFO jeps"):
        with pytest.raises(HistoryError, match="ends i"):
            read(text)
        reading = read(text, forgive_torn_tail=True)
        assert (reading.counts, reading.history.torn_line) == ((1, 0, 0), 3)
        assert any("torn" in note for note in reading.notes)
    with pytest.raises(HistoryError, match="closes nothing"):
        read(INVOKE + "]" + OK, forgive_torn_tail=True)


def test_a_long_line_is_judged_or_refused_in_one_sentence():
    blob = "y" * 2_000_000
    assert read(f'{{:process 0 :type :invoke :f :write :value "{blob}"}}').counts == (0, 0, 1)
    blanks = "INFO  jepsen.util - 0" + " " * 1_000_000
    for text in (blob, "[" + blob, "INFO " + blob, blanks + blob, blanks, '{"' + blob):
        with pytest.raises(HistoryError) as caught:
            read(text)
        assert len(str(caught.value)) < 500
