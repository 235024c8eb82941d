"""Was everything that was executed asked for by its client? Requests forged, swapped and lost."""

from __future__ import annotations

import builtins
import json

import pytest
from signed_run import FAR, SignedRun, entry, turn

from checker.judge import judge_run
from checker.limits import Limits
from harness.virtual.hashed_keys import HashedKeys
from pbft_node.core.seal import Seal
from pbft_node.genesis import make_genesis
from pbft_node.journal_file import FrameType, encode_frame
from workloads.encoding import pack


@pytest.fixture
def run():
    return SignedRun()


def line_of(run, tmp_path):
    return judge_run(run.write(tmp_path / "run")).line("validity")


def hashed_keys(genesis):
    return HashedKeys(genesis.directory(), genesis.client_secrets[0])


def test_what_was_asked_for_is_valid(run, tmp_path):
    verdict = judge_run(run.write(tmp_path / "run"))
    line = verdict.line("validity")
    assert line.verdict == "valid", line.reason
    assert line.details == {"requests": 61, "signatures": 61, "compared": 61, "probes": 0, "journals": 1}
    assert verdict.exit_code == 0, verdict.text()


@pytest.mark.parametrize("only", [1, 3])
def test_bytes_are_found_in_batches_and_in_pieces(run, tmp_path, only):
    run.spoil_journal = {replica: lambda _: None for replica in range(4) if replica != only}
    line = line_of(run, tmp_path)
    assert line.verdict == "valid", line.reason
    assert line.details["journals"] == 1


# ------------------------------------------------------------------ violations


def _nobody_signed_it(run):
    frame = run.frames[1001, 10]
    run.replace(1001, 10, frame[:-1] + bytes([frame[-1] ^ 1]))


def _another_cluster_signed_it(run):
    strangers = make_genesis(run.cluster, 8, [("10.0.0.1", 7000 + i) for i in range(4)], run.genesis.clients)
    seal = Seal(run.cluster, 1001, strangers.client_keyring(0))
    run.replace(1001, 10, seal.request(10, pack("put", "k", "v9")))


def _a_replica_made_it(run):
    seal = Seal(run.cluster, 1001, run.genesis.replica_keyring(0))
    run.replace(1001, 10, seal.request(10, pack("put", "k", "v9")))


def _a_mac_stands_in_its_place(run):
    maced = SignedRun(client_auth="mac")
    run.replace(1001, 10, maced.frames[1001, 10])


def _another_value(run):
    run.replace(1001, 10, run.request(1001, 10, pack("put", "k", "v8")))


def _another_key(run):
    run.replace(1001, 10, run.request(1001, 10, pack("put", "j", "v9")))


def _another_function(run):
    run.replace(1001, 10, run.request(1001, 10, pack("delete", "k", "v9")))


def _bytes_that_say_nothing(run):
    run.replace(1001, 10, run.request(1001, 10, b"\xff\xff"))


def _another_request(run):
    run.replace(1001, 10, run.frames[1000, 9])


def _a_read_that_was_not_to_be_ordered(run):
    run.replace(1000, 11, run.request(1000, 11, pack("get", "k"), read_only=True))


def _executed(run, client, timestamp, operation):
    """One more request, in every trace and journal."""
    run.frames[client, timestamp] = run.request(client, timestamp, operation)
    for replica in range(4):
        for line in run.traces[replica]:
            if line["e"] == "executed" and line["seq"] == 30:
                line["requests"] = [*line["requests"], [client, timestamp, "", "executed"]]
    run.point_at_frames()


def _one_more_of_a_client(run):
    _executed(run, 1001, 777, pack("put", "k", "evil"))


def _a_write_of_a_client_nobody_knows(run):
    _executed(run, 1500, 1, pack("put", "k", "evil"))


def _bytes_that_are_nowhere(run):
    run.missing = {(1001, 10)}


@pytest.mark.parametrize(
    ("spoil", "kind", "says"),
    [
        (
            _nobody_signed_it,
            "not signed by its client",
            "request 10 of client 1001, which that client did not",
        ),
        (_another_cluster_signed_it, "not signed by its client", "request 10 of client 1001"),
        (_a_replica_made_it, "not signed by its client", "request 10 of client 1001"),
        (_a_mac_stands_in_its_place, "not signed by its client", "request 10 of client 1001"),
        (_another_value, "nobody asked for it", "it does 'put k v8', and operation 17 asked for 'put k v9'"),
        (_another_key, "nobody asked for it", "'put j v9'"),
        (_another_function, "nobody asked for it", "'delete k v9'"),
        (_bytes_that_say_nothing, "nobody asked for it", "it does what is no operation"),
        (_another_request, "under another name", "whose bytes are of request 9 of client 1000"),
        (_a_read_that_was_not_to_be_ordered, "read-only request ordered", "request 11 of client 1000"),
        (_one_more_of_a_client, "nobody asked for it", "which that client never asked for"),
        (_a_write_of_a_client_nobody_knows, "nobody asked for it", "the history knows no such client"),
        (_bytes_that_are_nowhere, "bytes that exist nowhere", "such bytes never reached it or anybody"),
    ],
)
def test_what_nobody_asked_for_is_invalid(run, tmp_path, spoil, kind, says):
    spoil(run)
    verdict = judge_run(run.write(tmp_path / "run"))
    line = verdict.line("validity")
    assert (line.verdict, line.details["kind"]) == ("invalid", kind), line.reason
    assert says in line.reason
    assert verdict.exit_code == 1


def test_a_liar_may_execute_what_it_likes(run, tmp_path):
    run.ledger["byzantine"] = [3]
    run.executed(3, 10)["requests"][0][2] = "ab" * 32
    assert line_of(run, tmp_path).verdict == "valid"


def test_a_health_probe_is_no_operation_of_the_history(run, tmp_path):
    _executed(run, 1999, 1, pack("get", "probe"))
    line = line_of(run, tmp_path)
    assert line.verdict == "valid", line.reason
    assert line.details["probes"] == 1


def test_a_fast_read_that_was_ordered_after_all(run, tmp_path):
    """Never answered: the history knows it under the timestamp of the fast one."""
    run.operation(2, "get", None, None, 59 * 10**9, None, 1002, 5)
    _executed(run, 1002, 6, pack("get", "k"))
    assert line_of(run, tmp_path).verdict == "valid"
    _executed(run, 1002, 6, pack("get", "j"))
    assert line_of(run, tmp_path).verdict == "invalid"


# ------------------------------------------------------------------ what cannot be verified


def test_macs_prove_nothing_to_a_third_party(tmp_path):
    run = SignedRun(client_auth="mac")
    line = line_of(run, tmp_path)
    assert line.verdict == "valid", line.reason
    assert "signatures there are none (client_auth mac" in line.reason
    assert line.details["signatures"] == 0
    assert line.details["compared"] == 61
    run.replace(1001, 10, run.request(1001, 10, pack("put", "k", "v8")))
    assert line_of(run, tmp_path).details["kind"] == "nobody asked for it"


def test_keyed_hashes_are_no_signatures(tmp_path):
    run = SignedRun(keyring=hashed_keys)
    run.plan["virtual"] = {"signer": "keyed-hash"}
    line = line_of(run, tmp_path)
    assert line.verdict == "valid", line.reason
    assert "61 keyed hashes in place of signatures are good (they stop no liar)" in line.reason
    _nobody_signed_it(run)
    assert line_of(run, tmp_path).verdict == "invalid"
    run.plan["virtual"] = {}
    assert line_of(run, tmp_path).details["kind"] == "not signed by its client"


def _cut_short(content):
    return content + encode_frame(FrameType.LIMIT, 0, 0, (1 << 20).to_bytes(8, "big"))


def _damaged(content):
    return content[:-40] + bytes([content[-40] ^ 1]) + content[-39:]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda content: None, "replica 0 its journal cannot be read: No such file"),
        (lambda content: b"PBFTJRN\n", "its journal cannot be read: its header is damaged"),
        (lambda content: b"", "its header is damaged"),
        (_cut_short, "its journal had reached its limit"),
        (_damaged, "its journal is damaged"),
        (lambda content: content[:56], "its journal ends before its trace"),
        (lambda content: content.replace(FAR.to_bytes(8, "big"), bytes(8)), "its journal is damaged"),
        (lambda content: SignedRun().journal(2, []), "its journal is another's"),
    ],
)
def test_without_whole_journals_nobody_is_accused(run, tmp_path, spoil, says):
    run.missing = {(1001, 10)}
    run.spoil_journal = {0: spoil}
    line = line_of(run, tmp_path)
    assert (line.verdict, line.judged) == ("unknown", False), line.reason
    assert says in line.reason
    assert "the bytes of 1 executed request are not there" in line.reason


def test_a_damaged_journal_that_was_set_aside_is_missed(run, tmp_path):
    run.missing = {(1001, 10)}
    folder = run.write(tmp_path / "run")
    (folder / "replicas" / "0" / "journal.damaged-1").write_bytes(b"")
    assert not judge_run(folder).line("validity").judged


def test_a_torn_end_is_forgiven(run, tmp_path):
    run.spoil_journal = {0: lambda content: content + turn([entry(2, b"x" * 100)])[:70]}
    run.missing = {(1001, 10)}
    assert line_of(run, tmp_path).details["kind"] == "bytes that exist nowhere"


def test_a_lean_run_is_not_judged(run, tmp_path):
    run.spoil_journal = {replica: lambda _: None for replica in range(4)}
    verdict = judge_run(run.write(tmp_path / "run"))
    line = verdict.line("validity")
    assert (line.verdict, line.judged) == ("unknown", False)
    assert "kept no journals" in line.reason
    assert verdict.exit_code == 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_text("{"),
        lambda path: path.write_text(path.read_text().replace("keys/1", "keys/2")),
        lambda path: path.write_text(
            json.dumps({**json.loads(path.read_text()), "replicas": [{"verify": "0g"}]})
        ),
    ],
)
def test_without_keys_it_is_unknown(run, tmp_path, spoil):
    folder = run.write(tmp_path / "run")
    spoil(folder / "keys" / "public.json")
    line = judge_run(folder).line("validity")
    assert line.verdict == "unknown"
    assert "the public keys cannot be read" in line.reason


def test_without_openssl_it_is_said(run, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **more):
        if name.startswith("cryptography"):
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    line = line_of(run, tmp_path)
    assert (line.verdict, line.judged) == ("unknown", False)
    assert "cryptography is not installed" in line.reason


def test_there_is_a_limit(run, tmp_path):
    folder = run.write(tmp_path / "run")
    line = judge_run(folder, Limits(signatures=20)).line("validity")
    assert line.verdict == "unknown"
    assert "more than 20 requests" in line.reason


def test_clients_that_lie_ask_for_what_they_like_in_their_own_names(run, tmp_path):
    run.ledger["byzantine_clients"] = [1400, 1500]
    _a_write_of_a_client_nobody_knows(run)
    line = line_of(run, tmp_path)
    assert line.verdict == "valid", line.reason
    assert "1 signed by clients that lie" in line.reason


@pytest.mark.parametrize("block", [[1501, 1600], [1400, 1499], [1500], [1500, 1400], ["1500", 1500]])
def test_and_nobody_else_does(run, tmp_path, block):
    run.ledger["byzantine_clients"] = block
    _a_write_of_a_client_nobody_knows(run)
    assert line_of(run, tmp_path).verdict != "valid"


def test_who_is_in_the_history_is_held_to_it(run, tmp_path):
    run.ledger["byzantine_clients"] = [1000, 1999]
    _one_more_of_a_client(run)
    assert line_of(run, tmp_path).details["kind"] == "nobody asked for it"


def test_nobody_signs_for_a_client_that_lies(run, tmp_path):
    run.ledger["byzantine_clients"] = [1000, 1999]
    _nobody_signed_it(run)
    assert line_of(run, tmp_path).details["kind"] == "not signed by its client"
