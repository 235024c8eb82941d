"""What the judge says beside its lines: engines, certificate, clocks, weaker guarantees, anomalies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from checker.verdict import NAMES
from reports import evidence, render
from reports.anomalies import MAX_ANOMALIES, MAX_TRANSACTIONS, read_anomalies
from reports.counterexample import read_counterexample
from reports.evidence import RECHECK, read_certificate
from reports.operations import read_history
from reports.run_folder import RunFolder
from reports.verdict_view import ASKS, FEW_ALIKE, read_lines, rows

EVIL = '"><img src=x onerror=alert(1)></script>'
HISTORY = [
    {"schema": "traitor/history/1", "model": "list-append", "initial": None},
    {"index": 0, "time_ns": 1, "process": 0, "type": "invoke", "f": "txn", "input": [["append", "x", 1]]},
    {"index": 1, "time_ns": 2, "process": 0, "type": "ok", "f": "txn", "output": [["append", "x", 1]]},
    {"index": 2, "time_ns": 3, "process": 1, "type": "invoke", "f": "txn", "input": [["r", "x", None]]},
    {"index": 3, "time_ns": 4, "process": 1, "type": "ok", "f": "txn", "output": [["r", "x", None]]},
]
INVALID = {"verdict": "invalid", "details": {"engine": "search"}}


def verdict(details: Mapping[str, object], level: str = "invalid", name: str = "linearizability") -> dict:
    line = {"name": name, "verdict": level, "judged": True, "reason": "because", "details": details}
    return {"verdict": level, "exit_code": 1 if level == "invalid" else 0, "lines": [line]}


def folder(
    path: Path, document: Mapping[str, object], *, certificate: Mapping[str, object] | None = None
) -> Path:
    """A folder as ``traitor check`` leaves it."""
    history = "".join(json.dumps(event) + "\n" for event in HISTORY)
    (path / "history.jsonl").write_text(history)
    (path / "verdict.json").write_text(json.dumps(document))
    if certificate is not None:
        bound = {"history_sha256": hashlib.sha256(history.encode()).hexdigest(), **certificate}
        valid = document["verdict"] == "valid"
        (path / ("witness.jsonl" if valid else "counterexample.json")).write_text(json.dumps(bound))
        (path / "recheck.py").write_text("")
    return path


def test_every_line_of_the_judge_has_its_question() -> None:
    assert set(ASKS) == set(NAMES)
    lines = read_lines({"lines": [{"name": name, "verdict": "valid"} for name in (*NAMES, "invented")]})
    assert [bool(line.asks) for line in lines] == [True] * len(NAMES) + [False]


def test_lines_not_judged_for_one_reason_are_one_row() -> None:
    def table(count: int) -> list[tuple[str, str]]:
        bare = [{"name": f"n{i}", "judged": False, "reason": "a bare history"} for i in range(count)]
        other = {"name": "other", "judged": False, "reason": "no journals"}
        judged = {"name": "last", "verdict": "unknown", "reason": "a bare history"}
        return [(line.name, line.reason) for line in rows(read_lines({"lines": [*bare, other, judged]}))]

    rest = [("other", "no journals"), ("last", "a bare history")]
    assert table(FEW_ALIKE)[FEW_ALIKE:] == rest
    assert table(FEW_ALIKE + 1) == [*rest, ("the others", "a bare history: n0, n1, n2, n3")]


def test_who_decided_how_many_keys() -> None:
    details = {"engines": {"witness": 7, "polynomial": 1, "search": 2, "mine": "x"}}
    assert list(evidence.sentences(details)) == [
        "Decided by the order the replicas executed (7 keys), the polynomial engine (1 key), "
        "search (2 keys), engine mine (x keys); each order was audited."
    ]


@pytest.mark.parametrize(
    ("details", "said"),
    [
        ({"engine": "search", "audited": True}, "Refuted by search and audited."),
        ({"engine": "search"}, "Refuted by search, NOT audited."),
        ({"engine": "search", "audited": "yes"}, "NOT audited"),
        ({"engine": "search"}, "was not found out"),
        ({"margin_ns": 499_999}, "until clocks are off by more than 500 µs"),
        ({"margin_ns": None}, "Clocks do not matter"),
        ({"margin_ns": 0}, "rests on the order of the lines"),
        ({"margin_ns": -1}, "no length of time"),
        ({"margin_ns": "1 s"}, "no length of time"),
        ({"still": "still sequential: yes; x"}, "What still holds: sequential: yes; x."),
        ({"guarantees": "not known (ValueError: x)"}, "What still holds: not known (ValueError: x)."),
        ({"furthest": {"k1": [3, 9, 2, 77]}}, "k1: 3 of 9 completed operations placed, 2 ways on left"),
        ({"furthest": {str(i): [1, 2, 3, 4] for i in range(30)}}, "And 20 keys more undecided."),
        ({"failures": ["search: MemoryError"]}, "An engine failed: search: MemoryError."),
        ({"reasons": ["T1 is operation 0"]}, "T1 is operation 0"),
    ],
)  # fmt: skip
def test_details_in_words(details: Mapping[str, object], said: str) -> None:
    assert said in "\n".join(evidence.sentences(details))


@pytest.mark.parametrize(
    "details",
    [{}, {"engines": 5}, {"furthest": {"k": [1, 2]}}, {"furthest": 7, "failures": {}}, {"still": ""}],
)  # fmt: skip
def test_details_that_say_nothing_are_no_sentence(details: Mapping[str, object]) -> None:
    assert list(evidence.sentences(details)) == []


def test_guarantees_and_lengths_are_in_the_fold() -> None:
    sequential = {"status": "violated", "why": "all orders were tried"}
    (line,) = read_lines(verdict({"guarantees": {"sequential": sequential}, "kind": "stale read"}))
    assert line.details.splitlines() == [
        "sequential: violated: all orders were tried", "kind: stale read"
    ]  # fmt: skip
    (line,) = read_lines(verdict({"settle_ns": 5_800_000_000, "lives": 5}, "valid", "liveness"))
    assert line.details.splitlines() == ["settle_ns: 5800000000 (5.80 s)", "lives: 5"]


def test_keys_the_order_of_execution_does_not_explain() -> None:
    rejected = {f"k{i}": "the model does not accept operation 9 there" for i in range(20)}
    (line,) = read_lines(verdict({"rejected": rejected}, name="witness"))
    assert line.told[0] == "Key k0: the model does not accept operation 9 there"
    assert line.told[-1] == "And 8 keys more."
    assert "rejected" not in line.details


def test_notes_of_a_foreign_history() -> None:
    notes = {"read": {"format": "jepsen-edn", "notes": ["no times: the order of the lines is the time"]}}
    (line,) = read_lines(verdict(notes, "valid", "coverage"))
    assert line.told == ["no times: the order of the lines is the time"]


def test_a_witness_is_named_with_what_verifies_it(tmp_path: Path) -> None:
    page = render(
        folder(tmp_path, verdict({}, "valid"), certificate={"schema": "traitor/witness/1"})
    ).read_text()
    assert "Certificate: witness.jsonl, an order for every key." in page
    assert f"<code>{RECHECK}</code>" in page


def test_a_counterexample_is_named_with_its_frontier(tmp_path: Path) -> None:
    levels = [{"r": 1, "configs": [[], [], []]}, {"r": 2, "configs": [[]]}, 7]
    document = {"operations": [{}, {}], "frontier": {"kind": "frontier", "levels": levels}}
    path = folder(tmp_path, verdict({"engine": "search"}), certificate=document)
    found = read_certificate(
        RunFolder(path), INVALID, json.loads((path / "counterexample.json").read_text()), "history.jsonl"
    )
    assert found
    assert "2 operations that no order explains" in found.sentence
    assert "a frontier of 4 points" in found.sentence
    assert found.command == RECHECK


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: (path / "witness.jsonl").unlink(), "No certificate: there is no witness.jsonl"),
        (lambda path: (path / "witness.jsonl").write_text("not json\n"), "No certificate"),
        (lambda path: (path / "recheck.py").unlink(), "recheck.py, is not here"),
        (lambda path: (path / "history.jsonl").unlink(), "Its history is not here"),
        (lambda path: (path / "history.jsonl").write_text("{}\n"), "It is of ANOTHER history"),
        (
            lambda path: (path / "witness.jsonl").write_text('{"schema": 1}\n'),
            "does not say of which history",
        ),
    ],
)
def test_a_certificate_that_shows_nothing_is_said_to(tmp_path: Path, spoil, said: str) -> None:
    path = folder(tmp_path, verdict({}, "valid"), certificate={"schema": "traitor/witness/1"})
    spoil(path)
    page = render(path).read_text()
    assert said in page
    assert RECHECK not in page


@pytest.mark.parametrize(
    "line", [{}, {"verdict": "unknown"}, {"verdict": "invalid", "judged": False}, {"verdict": []}]
)
def test_no_verdict_needs_no_certificate(tmp_path: Path, line: Mapping[str, object]) -> None:
    assert read_certificate(RunFolder(tmp_path), line, {}, "history.jsonl") is None


def anomaly(**more: object) -> dict[str, object]:
    sentences = ["T2 read x as empty, without 1, which T1 appended, so T2 -rw-> T1", "so no serial order"]
    return {"type": "G-single-realtime", "transactions": [0, 2], "sentences": sentences, **more}


def transactions(*anomalies: object) -> dict[str, object]:
    counts = {"G-single-realtime": 41}
    return {
        "anomalies": list(anomalies), "anomaly_types": counts, "not": ["strict-serializable"],
        "also_not": [], "may_hold": ["serializable"], "holds": ["strong-session-serializable"],
        "reasons": ["once"],
    }  # fmt: skip


def test_anomalies_are_told_with_their_transactions(tmp_path: Path) -> None:
    page = render(folder(tmp_path, verdict(transactions(anomaly())))).read_text()
    assert "T1 = #0 of process 0: txn append x 1" in page
    assert "T2 = #2 of process 1: txn r x → x: nothing" in page
    assert "<li>T2 read x as empty, without 1, which T1 appended, so T2 -rw-&gt; T1</li>" in page
    assert "G-single-realtime × 41" in page
    assert "<strong>may hold</strong> serializable" in page
    assert "so neither" not in page
    assert "No certificate: there is no counterexample.json" in page
    assert "<li>once</li>" not in page


def test_a_certificate_of_transactions_is_named_and_drawn_as_no_operations(tmp_path: Path) -> None:
    document = {"kind": "transactions", "anomalies": [anomaly()], "operations": [{"index": 0, "call_ns": 1}]}
    path = folder(tmp_path, verdict(transactions(anomaly())), certificate=document)
    page = render(path).read_text()
    assert "counterexample.json, 1 anomaly of 1 transaction that no serial order explains" in page
    assert f"<code>{RECHECK}</code>" in page
    assert "Why no serial order explains it" in page
    assert "Why no order explains it" not in page
    document = json.loads((path / "counterexample.json").read_text())
    assert read_counterexample(document) is None
    assert read_counterexample({**document, "kind": "else"}) is not None


def test_anomalies_without_end_are_cut() -> None:
    many = anomaly(transactions=list(range(99)), sentences=["s" * 9_999] * 99)
    found = read_anomalies(transactions(*[many] * 50), ())
    assert found
    assert (len(found.shown), found.total) == (MAX_ANOMALIES, 50)
    first = found.shown[0]
    assert (len(first.transactions), first.more) == (MAX_TRANSACTIONS, 99 - MAX_TRANSACTIONS)
    assert first.transactions[0] == ("T1", "#0 (not in the history)")
    assert max(map(len, first.sentences)) < 700


@pytest.mark.parametrize("given", [None, {}, [], "x", 5])
def test_no_anomalies_no_section(given: object) -> None:
    assert read_anomalies({"anomalies": given}, ()) is None


def test_hostile_details_stay_text(tmp_path: Path) -> None:
    evil = anomaly(type=EVIL, sentences=[EVIL, {EVIL: EVIL}], transactions=[0, EVIL, None])
    details = {
        **transactions(evil, EVIL, [EVIL]), "engines": {EVIL: EVIL}, "still": EVIL, "margin_ns": EVIL,
        "guarantees": {EVIL: {"status": EVIL, "why": EVIL}}, "furthest": {EVIL: [EVIL] * 4},
        "failures": [EVIL], "anomaly_types": {EVIL: EVIL}, "not": [EVIL],
    }  # fmt: skip
    page = render(folder(tmp_path, verdict(details), certificate={"history_sha256": EVIL})).read_text()
    assert "<img" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") > 10
    assert "#0 of process 0" in page


def test_a_history_of_transactions_reads_as_what_was_asked_and_told() -> None:
    read = read_history(enumerate(HISTORY))
    assert [operation.words for operation in read.operations] == ["txn append x 1", "txn r x → x: nothing"]
