"""Histories of transactions as files: Jepsen's EDN, our JSONL, the judge's command, and exports."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from serial_truth import judge, random_transactions

from checker.__main__ import main
from checker.formats.detect import read_history
from checker.formats.export import WRITERS
from checker.history import History, HistoryError

LONG_FORK = """\
{:type :invoke, :process 0, :f :txn, :value [[:append :x 1]]}
{:type :invoke, :process 1, :f :txn, :value [[:append :y 1]]}
{:type :invoke, :process 2, :f :txn, :value [[:r :x nil] [:r :y nil]]}
{:type :invoke, :process 3, :f :txn, :value [[:r :y nil] [:r :x nil]]}
{:type :invoke, :process 4, :f :txn, :value [[:append :x 7]]}
{:type :info, :process 1, :f :txn, :value [[:append :y 1]], :error :timeout}
{:type :ok, :process 0, :f :txn, :value [[:append :x 1]]}
{:type :ok, :process 2, :f :txn, :value [[:r :x [1]] [:r :y nil]]}
{:type :ok, :process 3, :f :txn, :value [[:r :y [1]] [:r :x []]]}
{:type :fail, :process 4, :f :txn, :value [[:append :x 7]]}
"""


def judged(tmp_path, capsys, text, *flags, name="history.edn"):
    path = tmp_path / name
    path.write_text(text)
    code = main([str(path), "--json", *flags])
    return code, json.loads(capsys.readouterr().out)


def test_a_history_of_jepsen_is_judged_by_the_command(tmp_path, capsys):
    code, verdict = judged(tmp_path, capsys, LONG_FORK)
    line = verdict["lines"][0]
    assert (code, line["details"]["kind"]) == (1, "G-nonadjacent")
    assert "snapshot-isolation" in line["details"]["not"]
    [anomaly] = line["details"]["anomalies"]
    assert [step["edge"] for step in anomaly["steps"]] == ["wr", "rw", "wr", "rw"]
    code, verdict = judged(tmp_path, capsys, LONG_FORK.replace("[:r :x []]", "[:r :x [1]]"))
    assert (code, verdict["operations"]) == (0, {"ok": 3, "fail": 1, "info": 1, **by_txn(3, 1, 1)})


def by_txn(ok, fail, info):
    return {"by_function": {"txn": {"fail": fail, "info": info, "ok": ok}}}


def test_text_names_each_transaction_and_step(tmp_path, capsys):
    path = tmp_path / "history.edn"
    path.write_text(LONG_FORK)
    assert main([str(path), "--model", "txn-append"]) == 1
    text = capsys.readouterr().out
    for sentence in ("T1 is operation 0", 'read ":x" up to 1, which T1 appended, so T1 -wr-> T2', "-rw->"):
        assert sentence in text


@pytest.mark.parametrize("kind", ["edn", "jsonl"])
def test_an_export_is_judged_alike(tmp_path, kind):
    rng = random.Random(4)
    for number in range(60):
        # Each event has an index of its own.
        operations = [replace(op, index=10 * op.index) for op in random_transactions(rng)]
        history = History("", "list-append", None, tuple(operations), (), "")
        path = tmp_path / f"{number}.{kind}"
        path.write_bytes(b"".join(WRITERS[kind](history)))
        again = read_history(path).history
        assert [op.output for op in again.operations] == [op.output for op in operations]
        assert judge(again.operations).line.verdict == judge(operations).line.verdict


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[[:r :x [1]] [:r :y nil]]", "[[:r :x [1]]]"),
        ("[[:r :x [1]] [:r :y nil]]", "[[:r :x [1]] [:r :z nil]]"),
        ("[[:r :x [1]] [:r :y nil]]", "[[:r :x 1] [:r :y nil]]"),
        ("[[:append :x 1]]}\n{:type :inv", "[[:add :x 1]]}\n{:type :inv"),
        ("[[:append :x 1]]}\n{:type :inv", "[[:append :x [1]]]}\n{:type :inv"),
        ("[[:append :x 1]]}\n{:type :inv", "nil}\n{:type :inv"),
    ],
)
def test_what_is_no_transaction_is_refused(tmp_path, old, new):
    path = tmp_path / "history.edn"
    assert old in LONG_FORK
    path.write_text(LONG_FORK.replace(old, new, 1))
    with pytest.raises(HistoryError, match=r"line \d"):
        read_history(path)
