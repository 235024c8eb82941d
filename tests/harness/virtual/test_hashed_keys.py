"""The cheap signer of ``sim``: what it still catches, and that nothing else of a run rests on it."""

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.plan import Plan, in_world, make_plan
from harness.plan_file import parse_plan, plan_text
from harness.spec import make_spec
from harness.store import hash_files
from harness.trial import Trial, trial
from harness.virtual.hashed_keys import HashedKeys
from harness.virtual.settings import ED25519, KEYED_HASH
from pbft_node.core.cluster import Cluster
from pbft_node.genesis import ClientBlock, make_genesis

MADE = make_genesis(
    Cluster(cluster_id=b"c" * 16, n=4),
    7,
    [("127.0.0.1", 7000 + i) for i in range(4)],
    [ClientBlock(1000, 1099, "127.0.0.1", 7100)],
)
RINGS = [HashedKeys(MADE.directory(), secret) for secret in (*MADE.replica_secrets, *MADE.client_secrets)]


def plan(signer: str) -> Plan:
    virtual = {"signer": signer}
    keys = {"world": "sim", "time": 4, "rate": 20, "faults": ["kill"], "virtual": virtual}
    return make_plan(make_spec(keys), 7)


def test_a_damaged_message_or_another_name_is_seen() -> None:
    signature = RINGS[2].sign(b"message")
    assert len(signature) == 64
    assert all(ring.verify(2, b"message", signature) for ring in RINGS)
    wrong = [(2, b"messagf", signature), (1, b"message", signature), (1000, b"message", signature)]
    wrong += [(2, b"message", signature[:-1]), (2, b"message", b""), (77, b"message", signature)]
    assert not any(RINGS[0].verify(*each) for each in wrong)
    assert RINGS[4].verify(1000, b"m", RINGS[4].sign(b"m"))
    assert RINGS[4].verify(1050, b"m", RINGS[4].sign(b"m")), "a block has one key"


def test_the_counters_go_on() -> None:
    ring = HashedKeys(MADE.directory(), MADE.replica_secrets[0])
    ring.verify(0, b"m", ring.sign(b"m"))
    ring.verify(0, b"m", b"")
    assert (ring.signed, ring.checked, ring.bad) == (1, 2, 1)


def test_macs_are_real() -> None:
    real = MADE.replica_keyring(1)
    assert real.verify_mac(0, b"m", RINGS[0].mac(1, b"m"))
    assert not real.verify(0, b"m", RINGS[0].sign(b"m")), "and a hash is no signature"


def test_a_run_is_valid_and_repeats(tmp_path: Path) -> None:
    seen: list[dict[str, str]] = []

    def look(folder: Path, result: Trial) -> None:
        seen.append(hash_files(folder, [folder / "history.jsonl", folder / "replicas/2/trace.jsonl"]))

    results = [trial(plan(signer), tmp_path, look) for signer in (KEYED_HASH, KEYED_HASH, ED25519)]
    assert [result.exit_code for result in results] == [0, 0, 0], [result.summary() for result in results]
    assert seen[0] == seen[1]
    assert seen[0]["replicas/2/trace.jsonl"] != seen[2]["replicas/2/trace.jsonl"], "digests of what is signed"
    assert results[0].operations == results[2].operations


def test_real_replicas_sign_as_they_do() -> None:
    hashed = plan(KEYED_HASH)
    for world in ("lockstep", "live"):
        with pytest.raises(UsageError):
            make_spec({"world": world, "virtual": {"signer": KEYED_HASH}})
    with pytest.raises(UsageError, match=r"plan\.virtual\.signer = 'keyed-hash': world lockstep"):
        parse_plan(plan_text(hashed).replace('"world": "sim"', '"world": "lockstep"'), "plan")
    moved = in_world(hashed, "lockstep").virtual
    assert moved is not None
    assert moved.signer == ED25519
    assert in_world(hashed, "sim") == hashed
