"""What the replicas of a simulation share: pure, bounded, and without a trace in what a run leaves."""

from pathlib import Path

import pytest

from harness.plan import make_plan
from harness.plan_file import plan_text
from harness.spec import make_spec
from harness.store import hash_files
from harness.virtual.shared import MOST_MESSAGES, Shared
from harness.virtual.virtual_run import run_virtual
from pbft_node.core.cluster import Cluster
from pbft_node.core.codec import decode
from pbft_node.core.frames import Malformed, MessageType
from pbft_node.core.seal import Seal
from pbft_node.genesis import ClientBlock, make_genesis

CLUSTER = Cluster(cluster_id=b"c" * 16, n=4)
MADE = make_genesis(
    CLUSTER, 7, [("127.0.0.1", 7000 + i) for i in range(4)], [ClientBlock(1000, 1099, "127.0.0.1", 7100)]
)
SMALL = {"K": 4, "L": 8, "request_timeout": "200ms", "view_change_timeout": "200ms"}


def prepare(seq: int) -> bytes:
    return Seal(CLUSTER, 1, MADE.replica_keyring(1)).signed(MessageType.PREPARE, 0, seq, b"d" * 32)


@pytest.mark.parametrize(
    "asked",
    [
        {"cluster": SMALL, "virtual": {"loss": 0.03, "duplication": 0.1, "reordering": 0.2}},
        {"nodes": 7, "cluster": {**SMALL, "durability": "none", "client_auth": "mac"}},
    ],
    ids=["lossy", "other keys"],
)
def test_a_run_is_the_same_without(asked: dict[str, object], tmp_path: Path) -> None:
    spec = make_spec({"world": "sim", "time": 2, "rate": 30, "faults": ["kill", "partition"], **asked})
    files = []
    for share in (True, False):
        folder = tmp_path / str(share)
        folder.mkdir()
        (folder / "plan.json").write_text(plan_text(make_plan(spec, 3)))
        assert run_virtual(folder, quiet=True, share=share) == 0
        files.append({name: digest for name, digest in hash_files(folder).items() if name != "run.json"})
    assert files[0] == files[1]
    assert "replicas/3/journal" in files[0]


def test_a_good_signature_is_good_for_all_and_a_bad_one_for_nobody() -> None:
    shared = Shared()
    rings = [MADE.replica_keyring(i) for i in range(3)]
    for ring in rings:
        shared.join(ring)
    for message in (b"m", b"m" * 5000):
        signature = rings[0].sign(message)
        assert all(ring.verify(0, message, signature) for ring in rings)
        wrong = [(1, message, signature), (0, message + b"m", signature), (0, message, signature[::-1])]
        assert not any(ring.verify(*each) for ring in rings for each in wrong * 2)
    assert [ring.checked for ring in rings] == [12, 12, 12], "only what is wrong: good ones are remembered"


def test_alone_each_asks_for_itself() -> None:
    shared = Shared(remembers=False)
    rings = [MADE.replica_keyring(i) for i in range(2)]
    for ring in rings:
        shared.join(ring)
    assert rings[1].verify(0, b"m", rings[0].sign(b"m"))
    assert rings[1].checked == 1
    data = prepare(1)
    assert shared.decode(data) == decode(data)
    assert shared.decode(data)[0] is not shared.decode(data)[0]


def test_signed_messages_are_decoded_once_within_the_bound() -> None:
    shared = Shared()
    first, _ = shared.decode(prepare(1))
    assert shared.decode(prepare(1))[0] is first
    assert shared.decode(prepare(1)) == decode(prepare(1))
    for seq in range(2, MOST_MESSAGES + 2):
        shared.decode(prepare(seq))
    assert shared.decode(prepare(1))[0] is not first, "the oldest went"


def test_a_mac_is_for_one_receiver_only() -> None:
    data = Seal(CLUSTER, 1, MADE.replica_keyring(1)).for_peer(2, MessageType.COMMIT, 0, 1, b"d" * 32)
    shared = Shared()
    assert shared.decode(data)[0] is not shared.decode(data)[0]


@pytest.mark.parametrize(
    "data", [b"", b"PBFT\x01\x03", b"PBFT\x01\x03\x01\x00", prepare(1)[:-1], b"\x01" * 99]
)
def test_what_is_no_message_is_none_every_time(data: bytes) -> None:
    shared = Shared()
    for _ in range(2):
        with pytest.raises(Malformed):
            shared.decode(data)
