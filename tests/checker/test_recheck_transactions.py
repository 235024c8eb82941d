"""Certificates of transactions: `recheck.py` verifies them, and rejects every part that is changed."""

from __future__ import annotations

import copy
import hashlib
import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from serial_truth import judge as transactions_judge
from test_recheck import recheck, written
from test_transaction_anomalies import CASES

import checker.transactions.audit
import checker.transactions.levels
from checker.__main__ import main
from checker.audit_run.certificates import check_certificate
from checker.bare import judge_history
from checker.formats.traitor import read_bytes
from checker.models.list_append import ListAppend
from checker.recheck import assemble, program
from checker.recheck.transactions import Transactions
from checker.results import write_results
from checker.transactions.audit import Auditor

HERE = Path(__file__).parent
PROSE = ("sentences",)


def here(folder: Path) -> int:
    """The same in this process, as an audit does it."""
    return program.main([str(folder)], ListAppend, "list-append", folder, Transactions)


def claim_of(folder: Path) -> dict:
    return json.loads((folder / "counterexample.json").read_text())


def write(folder: Path, claim: dict) -> None:
    (folder / "counterexample.json").write_text(json.dumps(claim))


@pytest.fixture
def checked(tmp_path, capsys):
    """What `traitor check FILE --out FOLDER` leaves."""

    def check(kind: str) -> Path:
        folder = tmp_path / kind
        main([str(HERE / "foreign" / f"jepsen_list_append_{kind}.edn"), "--out", str(folder)])
        capsys.readouterr()
        return folder

    return check


def judged(folder: Path, operations) -> Path:
    (folder / "history.jsonl").write_bytes(written("list-append", operations, random.Random(1)))
    write_results(judge_history(folder / "history.jsonl"), folder)
    return folder


@pytest.mark.parametrize(
    ("kind", "certificate", "says"),
    [
        ("bad", "counterexample.json", "VERIFIED: the history is not strictly serializable"),
        ("good", "witness.jsonl", "VERIFIED: the history is linearizable"),
    ],
)
def test_both_verdicts_are_verified_alone_and_by_an_audit(checked, kind, certificate, says):
    folder = checked(kind)
    files = {path.name for path in folder.iterdir()}
    assert files == {"history.jsonl", "verdict.json", "recheck.py", certificate}
    said = recheck(folder)
    assert (said.returncode, said.stderr, said.stdout.splitlines()[-1]) == (0, "", says)
    assert ("not for the prose" in said.stdout) is (kind == "bad")
    history = read_bytes((folder / "history.jsonl").read_bytes(), "h")
    finding, more = check_certificate(folder, history, None)
    assert (finding.result, more) == ("verified", [])


def test_a_history_of_which_it_does_not_hold(checked):
    folder, other = checked("bad"), checked("good")
    (folder / "history.jsonl").write_bytes((other / "history.jsonl").read_bytes())
    said = recheck(folder)
    assert said.returncode == 1
    assert "another history" in said.stdout
    digest = hashlib.sha256((folder / "history.jsonl").read_bytes()).hexdigest()
    write(folder, claim_of(folder) | {"history_sha256": digest})
    said = recheck(folder)
    assert said.returncode == 1
    assert "not the history's transactions" in said.stdout
    history = read_bytes((folder / "history.jsonl").read_bytes(), "h")
    assert check_certificate(folder, history, None)[0].result == "wrong"
    # Shown as they are in that history, they make no cycle.
    claim, by_index = claim_of(folder), {op.index: op.to_json() for op in history.operations}
    claim["operations"] = [by_index[op["index"]] for op in claim["operations"]]
    write(folder, claim)
    said = recheck(folder)
    assert said.returncode == 1
    assert "does not follow from the history" in said.stdout


def _drop_step(claim):
    del claim["anomalies"][0]["steps"][-1]


def _twice(claim):
    claim["anomalies"][0]["steps"] *= 2


def _turned(claim):
    claim["anomalies"][0]["steps"].reverse()


def _without_steps(claim):
    del claim["anomalies"][0]["steps"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_drop_step, "is followed by one from"),
        (_twice, "no cycle of different transactions"),
        (_turned, "not those of the steps"),
        (_without_steps, "not written as one"),
        (lambda claim: claim["anomalies"].clear(), "names 0 anomalies"),
        (lambda claim: claim.update(anomalies=claim["anomalies"] * 10_001), "names 10001 anomalies"),
        (lambda claim: claim.update(anomaly="G0"), "of another type"),
        (lambda claim: claim["not"].append("read-committed"), "rule out other models"),
        (lambda claim: claim["operations"].pop(), "not the history's transactions"),
        (lambda claim: claim["operations"][0].update(type="info"), "not the history's transactions"),
        (lambda claim: claim["anomalies"][0].update(more=1), "not written as one"),
        (lambda claim: claim["anomalies"][0]["steps"][0].update(evidence=0), "not"),
        (lambda claim: claim["anomalies"][0]["steps"][0].update(source=[0]), "named by the index"),
        (lambda claim: claim["anomalies"][0]["steps"][0].update(before=True), "strings or integers"),
        (lambda claim: claim.update(kind="else"), "KeyError"),
        (lambda claim: claim.update(model="register"), "model register"),
        (lambda claim: claim.update(schema="traitor/counterexample/0"), "schema"),
    ],
)
def test_it_rejects_what_was_changed(checked, capsys, change, why):
    folder = checked("bad")
    assert here(folder) == 0
    claim = claim_of(folder)
    change(claim)
    write(folder, claim)
    capsys.readouterr()
    assert here(folder) == 1
    assert why in capsys.readouterr().out


def leaves(value, path=()):
    """Paths of everything that is neither list nor object, prose left out."""
    if not isinstance(value, dict | list):
        yield path
        return
    for name, part in value.items() if isinstance(value, dict) else enumerate(value):
        if name not in PROSE:
            yield from leaves(part, (*path, name))


@pytest.mark.parametrize("name", CASES)
def test_every_anomaly_is_verified_and_nothing_of_it_can_be_changed(tmp_path, capsys, name):
    operations, _, _, twin = CASES[name]
    folder = judged(tmp_path, operations)
    assert here(folder) == 0, capsys.readouterr().out
    claim = claim_of(folder)
    places = list(leaves(claim["anomalies"]))
    assert len(places) >= 3
    for place in places:
        forged = copy.deepcopy(claim)
        *way, last = place
        part = forged["anomalies"]
        for step in way:
            part = part[step]
        part[last] = "zz" if isinstance(part[last], str) else 77
        write(folder, forged)
        assert here(folder) == 1, (place, part[last])
    capsys.readouterr()
    assert here(judged(folder, twin)) == 0
    assert "linearizable" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "change"),
    [("G1a", {"transactions": (1, 1)}), ("incompatible-order", {"elements": (1, 2)})],
)
def test_no_other_transaction_or_element_is_believed(name, change):
    operations = CASES[name][0]
    auditor = Auditor(operations)
    [found] = [anomaly for anomaly in transactions_judge(operations).anomalies if anomaly.type == name]
    assert auditor.objection(found) is None
    assert auditor.objection(replace(found, **change)) is not None


def test_the_prose_is_not_what_it_vouches_for(checked):
    folder = checked("bad")
    claim = claim_of(folder)
    claim["reasons"] = claim["anomalies"][0]["sentences"] = ["nothing happened"]
    write(folder, claim)
    said = recheck(folder)
    assert said.returncode == 0
    assert "not for the prose about them (sentences, reasons)" in said.stdout


@pytest.mark.parametrize(("kind", "name"), [("bad", "counterexample.json"), ("good", "witness.jsonl")])
def test_what_a_certificate_says_twice_is_refused(checked, capsys, kind, name):
    folder = checked(kind)
    text = (folder / name).read_text()
    (folder / name).write_text(text.replace('"model":', '"model": "register", "model":', 1))
    assert here(folder) == 1
    assert "in one object twice" in capsys.readouterr().out


DUPLICATE = """\
{:type :invoke, :process 0, :f :txn, :value [[:append :x 1]]}
{:type :ok, :process 0, :f :txn, :value [[:append :x 1]]}
{:type :invoke, :process 0, :f :txn, :value [[:append :x 1]]}
{:type :ok, :process 0, :f :txn, :value [[:append :x 1]]}
{:type :invoke, :process 1, :f :txn, :value [[:r :x nil]]}
{:type :ok, :process 1, :f :txn, :value [[:r :x [1]]]}
"""


def test_a_refutation_by_search_is_a_counterexample_like_any_other(tmp_path, capsys):
    (tmp_path / "h.edn").write_text(DUPLICATE)
    folder = tmp_path / "out"
    assert main([str(tmp_path / "h.edn"), "--out", str(folder), "--json"]) == 1
    line = json.loads(capsys.readouterr().out)["lines"][0]
    assert (line["details"]["kind"], line["details"]["audited"]) == ("no serial order", True)
    said = recheck(folder)
    assert said.returncode == 0
    assert "VERIFIED: the history is not linearizable" in said.stdout
    claim = claim_of(folder)
    claim["operations"][-1]["output"] = [["r", ":x", [1, 1]]]
    write(folder, claim)
    assert recheck(folder).returncode == 1


def test_results_that_are_of_other_micro_operations_are_refused(checked):
    folder = checked("good")
    events = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    begun = next(event for event in events if event.get("input"))
    begun["input"] = [["append", "elsewhere", 5]]
    text = "".join(json.dumps(event) + "\n" for event in events)
    (folder / "history.jsonl").write_text(text)
    lines = (folder / "witness.jsonl").read_text().splitlines()
    header = json.loads(lines[0]) | {"history_sha256": hashlib.sha256(text.encode()).hexdigest()}
    (folder / "witness.jsonl").write_text("\n".join([json.dumps(header), *lines[1:]]) + "\n")
    said = recheck(folder)
    assert said.returncode == 1
    assert "not those of its micro-operations" in said.stdout


def test_it_carries_the_auditor_word_for_word():
    text = assemble("list-append")
    for module in (checker.transactions.audit, checker.transactions.levels):
        source = Path(module.__file__).read_text()
        assert source[source.index("\n\n\ndef") :].strip() in text
    assert "class Auditor" not in assemble("register")
