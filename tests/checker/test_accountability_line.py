"""The accountability line over whole run folders: who is named, who is not, and what it can not say."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from accused_run import AccusedRun, Change, judged
from guilty_messages import A, B

from checker.audit_run.guilt import check_guilt
from checker.forensics.__main__ import main as verify
from checker.forensics.evidence import MOST_OF_A_RULE, PLACE
from checker.judge import judge_run
from checker.limits import Limits
from checker.public_keys import read_public_keys
from checker.results import write_results
from checker.verdict import Verdict
from pbft_node.core.frames import MessageType


def _votes(run: AccusedRun, *by: int, seq: int = 9) -> list[bytes]:
    return [run.cast.prepare(replica, 0, seq, digest) for replica in by for digest in (A, B)]


def test_a_run_without_lies_convicts_nobody(tmp_path):
    run = AccusedRun()
    run.messages = [run.cast.prepare(1, 0, 9), run.cast.prepare(1, 0, 9), run.cast.commit(1, 0, 9)]
    line, evidence = judged(run, tmp_path / "run")
    assert line.verdict == "valid"
    assert line.reason.startswith("nobody is proved guilty; ")
    assert not evidence


def test_a_liar_is_named_with_its_bytes(tmp_path):
    run = AccusedRun(liars=(1,))
    run.messages = _votes(run, 1)
    line, evidence = judged(run, tmp_path / "run")
    assert line.verdict == "valid"
    assert "1 culprit proved, all of them liars of the ledger: replica 1 (conflicting votes)" in line.reason
    (proof,) = evidence["proofs"]
    assert [message["hex"] for message in proof["messages"]] == [raw.hex() for raw in run.messages]
    assert proof["messages"][0]["seen"]["file"] == "replicas/3/journal"
    assert proof["section"] == "4.2"


def test_a_correct_replica_that_is_proved_guilty_is_a_violation(tmp_path):
    run = AccusedRun(liars=(2,))
    run.messages = _votes(run, 1)
    line, _ = judged(run, tmp_path / "run")
    assert (line.verdict, line.details["kind"]) == ("invalid", "a correct replica is proved guilty")
    assert line.reason.startswith("replica 1, which the nemesis did not compromise, signed PREPARE for 6161")


def test_one_and_several_are_told_as_such(tmp_path):
    run = AccusedRun(liars=(1, 2))
    run.messages = _votes(run, 0, 3)
    several, _ = judged(run, tmp_path / "several")
    assert "; so is replica 3 proved guilty" in several.reason
    run.messages = _votes(run, 3)[:1]
    line, _ = judged(run, tmp_path / "nobody")
    assert "nothing that replicas 1, 2 signed convicts any of them; " in line.reason
    run = AccusedRun(liars=(1,))
    run.messages = _votes(run, 1)
    line, _ = judged(run, tmp_path / "one")
    verdict = judge_run(tmp_path / "one", Limits())
    write_results(verdict, tmp_path / "one")
    told = check_guilt(tmp_path / "one", read_public_keys(tmp_path / "one"), verdict).told
    assert told.startswith("1 proof against replica 1, shown again from its bytes")


def test_where_nobody_lied_the_proof_is_the_evidence_of_the_bug(tmp_path):
    run = AccusedRun()
    run.disagree = True
    run.messages = _votes(run, 3, seq=7)
    line, _ = judged(run, tmp_path / "run")
    assert line.verdict == "invalid"
    assert line.reason.endswith("that is the evidence for what is wrong with agreement")


@pytest.mark.parametrize(("named", "verdict"), [((1, 2), "valid"), ((1,), "invalid")])
def test_when_safety_broke_more_than_f_are_named(tmp_path, named, verdict):
    run = AccusedRun(liars=(1, 2))
    run.disagree = True
    run.messages = _votes(run, *named, seq=7)
    line, _ = judged(run, tmp_path / "run")
    assert line.verdict == verdict, line.reason
    assert line.details.get("kind") == ("too few culprits" if verdict == "invalid" else None)


def test_with_macs_it_says_what_cannot_be_proved(tmp_path):
    run = AccusedRun("hybrid", liars=(1, 2))
    run.disagree = True
    seal = run.cast.seal(2)
    maced = [seal.for_peer(3, MessageType.COMMIT, 0, 7, digest) for digest in (A, B)]
    run.messages = [*_votes(run, 1, seq=7), *maced]
    line, _ = judged(run, tmp_path / "run")
    assert line.verdict == "unknown"
    assert "nothing that replica 2 signed convicts it" in line.reason
    assert "(so COMMIT, REPLY) has MACs" in line.reason


def test_a_broken_checkpoint_word_accuses_no_correct_replica_where_too_many_lied(tmp_path):
    for liars, verdict in (((1, 2), "valid"), ((1,), "invalid")):
        run = AccusedRun(liars=liars)
        run.messages = [run.cast.checkpoint(3, 128, digest) for digest in (A, B)]
        line, _ = judged(run, tmp_path / str(len(liars)))
        assert line.verdict == verdict, line.reason


def test_evidence_names_nobody_whom_too_many_liars_may_have_misled(tmp_path, capsys):
    run = AccusedRun(liars=(1, 2))
    run.messages = [*_votes(run, 1), *(run.cast.checkpoint(3, 128, digest) for digest in (A, B))]
    path = run.write(tmp_path / "run")
    verdict = judge_run(path)
    write_results(verdict, path)
    assert verify([str(path / PLACE), str(path / "keys/public.json")]) == 0
    assert "replica 3" not in capsys.readouterr().out
    assert json.loads((path / PLACE).read_text())["void"] == [
        {"replica": 3, "rules": {"conflicting CHECKPOINTs": 1}}
    ]
    details = verdict.line("accountability").details
    assert {one["replica"]: one["counts"] for one in details["culprits"]} == {1: True, 3: False}
    assert {proof["culprit"] for proof in details["proofs"]} == {1}


def test_a_replica_that_lost_its_log_owes_no_certificate(tmp_path):
    for lost in (False, True):
        run = AccusedRun()
        said = [run.cast.commit(3, 0, 9), run.cast.view_change(3, 1)]
        query = run.cast.seal(3).signed(MessageType.QUERY_VIEW, 0, 0, b"?" * 16)
        run.messages = [*said, *([query] if lost else [])]
        line, _ = judged(run, tmp_path / str(lost))
        assert line.verdict == ("valid" if lost else "invalid"), line.reason


def test_what_is_shown_in_others_messages_convicts_its_signer_only(tmp_path):
    run = AccusedRun(liars=(1,))
    x = run.cast
    change = x.view_change(2, 5, x.certificate(4, 9, A, by=(1, 3)))
    run.messages = [x.prepare(1, 4, 9, B), change]
    line, evidence = judged(run, tmp_path / "run")
    assert line.verdict == "valid"
    assert {proof["culprit"] for proof in evidence["proofs"]} == {1}
    seen = [message["seen"].get("within") for message in evidence["proofs"][0]["messages"]]
    assert "in VIEW-CHANGE of replica 2 for view 5" in seen


def test_messages_in_pieces_are_put_together(tmp_path):
    run = AccusedRun(liars=(1,))
    x = run.cast
    certificates = [x.certificate(4, seq, A, by=(1, 3)) for seq in range(1, 161)]
    run.messages = [x.view_change(2, 5, *certificates), x.prepare(1, 4, 100, B)]
    assert len(run.messages[0]) > 60_000
    line, evidence = judged(run, tmp_path / "run")
    assert line.verdict == "valid", line.reason
    assert {proof["culprit"] for proof in evidence["proofs"]} == {1}


def test_replies_to_clients_count(tmp_path):
    run = AccusedRun(liars=(1,))
    run.to_clients = [run.cast.reply(1, b"one"), run.cast.reply(0, b"other"), run.cast.reply(3, b"other")]
    line, _ = judged(run, tmp_path / "run")
    assert "replica 1 (reply against f+1 others)" in line.reason
    assert "holds while at most f replicas lie" in line.reason


def test_changed_bytes_convict_nobody(tmp_path):
    run = AccusedRun()
    good = run.cast.prepare(1, 0, 9)
    run.messages = [good, *(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(8, len(good)))]
    line, evidence = judged(run, tmp_path / "run")
    assert line.verdict == "valid", line.reason
    assert not evidence


def test_many_proofs_are_counted_and_a_few_kept(tmp_path):
    run = AccusedRun(liars=(1,))
    run.messages = [raw for seq in range(1, 20) for raw in _votes(run, 1, seq=seq)]
    line, evidence = judged(run, tmp_path / "run")
    assert "conflicting votes × 19" in line.reason
    assert len(evidence["proofs"]) == MOST_OF_A_RULE
    assert evidence["counts"][0]["proofs"] == 19


def test_too_many_signatures_leave_it_undecided(tmp_path):
    run = AccusedRun(liars=(1,))
    run.messages = [raw for seq in range(1, 20) for raw in _votes(run, 1, seq=seq)]
    line, _ = judged(run, tmp_path / "run", Limits(evidence_signatures=10))
    assert line.verdict == "unknown"
    assert "more than 10 signatures" in line.reason


def test_what_the_nemesis_took_off_the_wire_is_no_evidence(tmp_path):
    for comment, verdict in (("was | f", "valid"), ("dropped | f", "valid"), ("altered | f", "invalid")):
        run, path = AccusedRun(), tmp_path / comment[:3]
        path.mkdir()
        packets = [(run.cast.prepare(1, 0, 9, digest), comment) for digest in (A, B)]
        (path / "packets.pcapng").write_bytes(capture(packets))
        line, _ = judged(run, path)
        assert line.verdict == verdict, line.reason


def capture(packets: list[tuple[bytes, str]]) -> bytes:
    def block(kind: int, body: bytes) -> bytes:
        size = struct.pack("<I", len(body) + 12)
        return struct.pack("<I", kind) + size + body + size

    out = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(
        1, struct.pack("<HHI", 228, 0, 0)
    )
    for data, comment in packets:
        udp = struct.pack(">HHHH", 7000, 7000, 8 + len(data), 0) + data
        packet = struct.pack(">BBHHHBBHII", 0x45, 0, 20 + len(udp), 0, 0, 63, 17, 0, 1, 2) + udp
        said = comment.encode()
        body = struct.pack("<IIIII", 0, 0, 7, len(packet), len(packet)) + packet + bytes(-len(packet) % 4)
        body += struct.pack("<HH", 1, len(said)) + said + bytes(-len(said) % 4) + bytes(4)
        out += block(6, body)
    return out


# ------------------------------------------------------------------ verified again


def _first(evidence: dict) -> dict:
    return evidence["proofs"][0]


def _flip(evidence: dict, at: int) -> None:
    message = _first(evidence)["messages"][0]
    raw = bytearray.fromhex(message["hex"])
    raw[at] ^= 1
    message["hex"] = raw.hex()


FORGERIES: dict[str, Change] = {
    "another culprit": lambda e: _first(e).update(culprit=3),
    "another rule": lambda e: _first(e).update(rule="conflicting CHECKPOINTs"),
    "a rule that there is not": lambda e: _first(e).update(rule="he looks guilty"),
    "another section": lambda e: _first(e).update(section="4.4"),
    "under no condition": lambda e: _first(e).update(holds="while at most f replicas lie"),
    "another story": lambda e: _first(e).update(told="signed its own conviction"),
    "one message twice": lambda e: _first(e)["messages"].__setitem__(1, _first(e)["messages"][0]),
    "one message": lambda e: _first(e)["messages"].pop(),
    "no message": lambda e: _first(e)["messages"].clear(),
    "another signer": lambda e: _first(e)["messages"][0].update(signer=3),
    "a digest changed": lambda e: _flip(e, 40),
    "a signature changed": lambda e: _flip(e, -1),
    "no hex": lambda e: _first(e)["messages"][0].update(hex="zz"),
    "bytes too many": lambda e: _first(e)["messages"][0].update(hex=_first(e)["messages"][0]["hex"] + "00"),
    "another cluster": lambda e: e.update(cluster_id="00" * 16),
    "counted without a proof": lambda e: e["counts"].append({"culprit": 3, "rule": "malformed", "proofs": 1}),
    "proofs that are not counted": lambda e: e["counts"].clear(),
    "no schema": lambda e: e.pop("schema"),
    "no list": lambda e: e.update(proofs={}),
}


@pytest.fixture(scope="module")
def convicted(tmp_path_factory) -> tuple[Path, Verdict]:
    """A judged run with evidence."""
    run, path = AccusedRun(liars=(1,)), tmp_path_factory.mktemp("convicted")
    run.messages = _votes(run, 1)
    verdict = judge_run(run.write(path))
    write_results(verdict, path)
    return path, verdict


@pytest.mark.parametrize("name", [None, *FORGERIES])
def test_forged_evidence_is_refused(convicted, tmp_path, name, capsys):
    original, verdict = convicted
    evidence = json.loads((original / PLACE).read_text())
    if name is not None:
        FORGERIES[name](evidence)
    path = tmp_path / "run"
    (path / "evidence").mkdir(parents=True)
    (path / PLACE).write_text(json.dumps(evidence))
    code = verify([str(path / PLACE), str(original / "keys/public.json")])
    finding = check_guilt(path, read_public_keys(original), verdict)
    said = capsys.readouterr().out
    if name is None:
        assert (code, finding.result) == (0, "verified"), finding.told
        assert "PROVED    replica 1" in said
    else:
        assert code != 0
        assert finding.result == "wrong", finding.told


def test_an_audit_misses_evidence_that_is_gone_and_culprits_left_out(tmp_path):
    run = AccusedRun(liars=(1, 2))
    run.messages = _votes(run, 1, 2)
    path = run.write(tmp_path / "run")
    now = judge_run(path)
    write_results(now, path)
    evidence = json.loads((path / PLACE).read_text())
    evidence["proofs"] = [proof for proof in evidence["proofs"] if proof["culprit"] == 1]
    evidence["counts"] = [count for count in evidence["counts"] if count["culprit"] == 1]
    (path / PLACE).write_text(json.dumps(evidence))
    assert "convicts replica 1" in check_guilt(path, read_public_keys(path), now).told
    (path / PLACE).unlink()
    assert check_guilt(path, read_public_keys(path), now).result == "wrong"


def test_an_audit_says_which_proofs_hold_only_within_the_fault_model(tmp_path, capsys):
    run = AccusedRun(liars=(1, 3))
    run.messages = [*_votes(run, 1), *(run.cast.checkpoint(3, 128, digest) for digest in (A, B))]
    path = run.write(tmp_path / "run")
    now = judge_run(path)
    write_results(now, path)
    finding = check_guilt(path, read_public_keys(path), now)
    assert finding.result == "verified"
    assert "against replicas 1, 3" in finding.told
    assert finding.told.endswith("(of replica 3 this holds while at most f replicas lie)")
    assert verify([str(path / PLACE), str(path / "keys/public.json")]) == 0
    assert "PROVED    replica 3, while at most f replicas lie\n" in capsys.readouterr().out


def test_evidence_of_an_earlier_judgement_is_removed(tmp_path):
    run = AccusedRun()
    path = run.write(tmp_path / "run")
    (path / "evidence").mkdir()
    (path / PLACE).write_text("{}")
    write_results(judge_run(path), path)
    assert not (path / PLACE).exists()
