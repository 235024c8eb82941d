"""An audit of a run: a copy that nobody touched verifies, and every forgery is found and named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from audited_run import AuditedRun, audited, found, judge_and_seal, lines, put_lines, results, seal
from signed_run import clients_entry

from pbft_node.core.operations import encode_fields
from workloads.encoding import pack

ALL = ["files", "certificate", "verdict", "requests", "replies", "traces", "guilt"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that verifies. Copied before it is changed."""
    return AuditedRun().write(tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def copy(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def test_what_nobody_touched_verifies(copy):
    audit = audited(copy)
    assert results(audit) == dict.fromkeys(ALL, "verified"), "\n".join(audit.lines())
    assert audit.exit_code == 0
    text = "\n".join(audit.lines())
    assert "61 signatures of executed requests" in text
    assert "122 replies behind 61 acknowledged operations, alike and in time" in text
    trusted = [trust.what for trust in audit.on_trust]
    assert trusted == ["manifest.json", "who sent the replies", "the harness", "all times", "the traces",
                       "the keys", "the judge"]  # fmt: skip
    assert json.loads(json.dumps(audit.to_json()))["exit_code"] == 0


def test_signed_replies_are_verified(tmp_path):
    run = AuditedRun(auth="sign")
    audit = audited(run.write(tmp_path / "run"))
    assert results(audit) == dict.fromkeys(ALL, "verified"), "\n".join(audit.lines())
    assert "122 signatures of replies verified" in found(audit, "replies").told
    assert "who sent the replies" not in [trust.what for trust in audit.on_trust]


# ------------------------------------------------------------------ one byte


@pytest.mark.parametrize(
    "name",
    [
        "history.jsonl",
        "replicas/2/trace.jsonl",
        "replicas/1/journal",
        "clients.journal",
        "verdict.json",
        "witness.jsonl",
        "recheck.py",
        "plan.json",
        "ledger.json",
        "keys/public.json",
    ],
)
def test_one_byte_changed_is_named(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    audit = audited(copy)
    assert audit.exit_code == 1, "\n".join(audit.lines())
    assert found(audit, "files").result == "wrong"
    assert name in found(audit, "files").told


# ------------------------------------------------------------------ cunning: the seals are renewed


def test_an_answer_changed_everywhere_in_the_history(copy):
    """Linearizable still, and judged and sealed anew: the signed requests and the replies say otherwise."""
    text = (copy / "history.jsonl").read_text()
    assert text.count('"v9"') > 2
    (copy / "history.jsonl").write_text(text.replace('"v9"', '"w9"'))
    judge_and_seal(copy)
    audit = audited(copy)
    wrong = [what for what, result in results(audit).items() if result == "wrong"]
    assert wrong == ["requests", "replies"]
    assert "'put k v9', and operation" in found(audit, "requests").told
    assert audit.exit_code == 1


def test_an_output_that_nobody_replied(copy):
    """A read that overlaps a write may return what it wrote or not; the replies know what it did return."""
    history = lines(copy / "history.jsonl")
    event = next(e for e in history if e.get("type") == "ok" and e.get("f") == "get")
    event["output"] = None
    put_lines(copy / "history.jsonl", history)
    judge_and_seal(copy)
    told = found(audited(copy), "replies").told
    assert "the history has output None, the replies have (b'ok', b'v" in told


def test_an_operation_that_was_never_begun(tmp_path):
    run = AuditedRun()
    dropped = clients_entry(0, 3, b"").__len__()
    run.change_clients = lambda entries: [e for i, e in enumerate(entries) if i or len(e) < dropped]
    audit = audited(run.write(tmp_path / "run"))
    assert "client 1000 began 30 operations, the history has 31" in found(audit, "replies").told
    assert audit.exit_code == 1


def _nobody_answered(run):
    run.change_clients = lambda entries: [e for e in entries if b"\x05\x02" not in e[40:60]][:1]


def _one_answered(run):
    real = run.reply
    run.reply = lambda replica, *rest, **more: real(0, *rest, **more)


def _late(run):
    run.late_ns = 10**9


def _another_answer(run):
    """Of one of the two."""
    real = run.reply

    def reply(replica, client, timestamp, result, *, whole=True):
        lie = encode_fields(b"ok", b"lie") if (replica, timestamp) == (1, 8) else result
        return real(replica, client, timestamp, lie, whole=whole)

    run.reply = reply


def _digests_only(run):
    real = run.reply
    run.reply = lambda *rest, whole=True: real(*rest, whole=False)


def _another_began(run):
    other = clients_entry(0, 3, (1000).to_bytes(4, "big") + b"\2\0\0\0\0" + pack("put", "k", "evil"))
    run.change_clients = lambda entries: [other, *entries[1:]]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_nobody_answered, "no reply to it is in clients.journal"),
        (_one_answered, "replicas [0, 1] did not all answer it alike by the time it ended"),
        (_late, "replicas [0, 1] did not all answer it alike by the time it ended"),
        (_another_answer, "timestamp 8): replicas [0, 1] did not all answer it alike"),
        (_digests_only, "no reply to it has the result, all have its digest"),
        (_another_began, "operation 0 is not what client 1000 began: 'put k v0'"),
    ],
)
def test_replies_that_are_not_there(tmp_path, spoil, says):
    run = AuditedRun()
    spoil(run)
    audit = audited(run.write(tmp_path / "run"))
    assert found(audit, "replies").result == "wrong", "\n".join(audit.lines())
    assert says in found(audit, "replies").told


def test_a_signature_of_a_reply(tmp_path):
    run = AuditedRun(auth="sign")
    real = run.reply
    run.reply = lambda *rest, **more: real(*rest, **more)[:-1] + b"!"
    assert found(audited(run.write(tmp_path / "run")), "replies").result == "wrong"


def test_a_trace_that_names_other_bytes(copy):
    for replica in range(4):
        path = copy / "replicas" / str(replica) / "trace.jsonl"
        trace = lines(path)
        for line in trace:
            if line["e"] == "executed" and line["seq"] == 9:
                line["requests"][0][2] = "ab" * 32
        put_lines(path, trace)
    judge_and_seal(copy)
    audit = audited(copy)
    assert found(audit, "requests").result == "wrong"
    assert "such bytes never reached it" in found(audit, "requests").told


def test_an_operation_that_no_replica_executed(copy):
    for replica in range(4):
        path = copy / "replicas" / str(replica) / "trace.jsonl"
        trace = [
            {**line, "requests": []} if line.get("seq") == 9 and "requests" in line else line
            for line in lines(path)
        ]
        put_lines(path, trace)
    seal(copy)
    audit = audited(copy)
    assert found(audit, "traces").result == "wrong"
    assert found(audit, "verdict").result == "wrong"
    assert "durability is valid in it, judged again it is invalid" in found(audit, "verdict").told


def test_a_verdict_that_hides_a_violation(tmp_path):
    run = AuditedRun()
    run.executed(3, 7)["digest"] = "ff" * 32
    folder = run.write(tmp_path / "run")
    audit = audited(folder)
    assert found(audit, "verdict").result == "verified", "a violation that is named is no forgery"
    assert found(audit, "traces").told.endswith("as in verdict.json")
    assert audit.exit_code == 0, "\n".join(audit.lines())
    verdict = json.loads((folder / "verdict.json").read_text())
    line = next(line for line in verdict["lines"] if line["name"] == "agreement")
    line.update(verdict="valid", details={})
    (folder / "verdict.json").write_text(json.dumps(verdict | {"exit_code": 0, "verdict": "valid"}))
    seal(folder)
    audit = audited(folder)
    assert "agreement is valid in it, judged again it is invalid" in found(audit, "verdict").told
    assert audit.exit_code == 1


@pytest.mark.parametrize(
    ("change", "result", "says"),
    [
        (
            lambda v: v["lines"][0].update(reason="all is well"),
            "unchecked",
            "linearizability reads otherwise",
        ),
        (lambda v: v["lines"].append({**v["lines"][0], "name": "honesty"}), "wrong", "a line 'honesty'"),
        (lambda v: v["operations"].update(ok=10**6), "wrong", "counted otherwise"),
        (lambda v: v.update(exit_code=3), "wrong", "exit code 3, judged again it is 0"),
        (lambda v: v["lines"][0].update(verdict="unknown"), "unchecked", "linearizability is unknown in it"),
        (lambda v: v["lines"].pop(5), "verified", "1 more are newer than it"),
        (lambda v: v.update(lines=3), "unchecked", "verdict.json is malformed"),
    ],
)
def test_a_verdict_that_was_edited(copy, change, result, says):
    verdict = json.loads((copy / "verdict.json").read_text())
    change(verdict)
    (copy / "verdict.json").write_text(json.dumps(verdict))
    seal(copy)
    finding = found(audited(copy), "verdict")
    assert finding.result == result, finding.told
    assert says in finding.told


def test_a_witness_that_explains_nothing(copy):
    header, key = lines(copy / "witness.jsonl")
    key["order"][3], key["order"][30] = key["order"][30], key["order"][3]
    put_lines(copy / "witness.jsonl", [header, key])
    seal(copy)
    audit = audited(copy)
    assert found(audit, "certificate").result == "wrong"
    assert audit.exit_code == 1


def test_a_recheck_that_is_not_ours_is_not_run(copy):
    (copy / "recheck.py").write_text("import pathlib\npathlib.Path('ran').write_text('')\n")
    seal(copy)
    audit = audited(copy)
    assert audit.exit_code == 0
    assert any("it was not run" in trust.why for trust in audit.on_trust)
    assert not (copy / "ran").exists()
