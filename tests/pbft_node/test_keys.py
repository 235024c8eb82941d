"""Keyrings: what they accept, and everything they must not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pbft_node.core.authentication import MAC_BYTES, SIGNATURE_BYTES
from pbft_node.core.cluster import Cluster
from pbft_node.genesis import ClientBlock, Genesis, make_genesis
from pbft_node.keys import ClientRange, Directory, NodeKeys, SecretKeys

MESSAGE = b"a promise"


def genesis(cluster_id: bytes = b"c" * 16, seed: int = 7) -> Genesis:
    return make_genesis(
        Cluster(cluster_id=cluster_id, n=4),
        seed,
        [("127.0.0.1", 7000 + i) for i in range(4)],
        [ClientBlock(1000, 1099, "127.0.0.1", 7100), ClientBlock(2000, 2000, "127.0.0.1", 7101)],
    )


@pytest.fixture(scope="module")
def rings() -> list[NodeKeys]:
    made = genesis()
    return [made.replica_keyring(i) for i in range(4)] + [made.client_keyring(i) for i in range(2)]


def test_signature_is_verified_for_its_signer_only(rings: list[NodeKeys]) -> None:
    signature = rings[2].sign(MESSAGE)
    assert len(signature) == SIGNATURE_BYTES
    assert signature == rings[2].sign(MESSAGE), "Ed25519 is deterministic"
    assert rings[0].verify(2, MESSAGE, signature)
    assert not rings[0].verify(1, MESSAGE, signature)
    assert not rings[0].verify(2, MESSAGE + b".", signature)
    assert not rings[0].verify(1000, MESSAGE, signature)


@pytest.mark.parametrize("principal", [-1, 4, 999, 1100, 1999, 2001, 2**32, 2**70, -(2**70)])
def test_nobody_speaks_for_an_unknown_principal(rings: list[NodeKeys], principal: int) -> None:
    for ring in rings:
        assert not rings[0].verify(principal, MESSAGE, ring.sign(MESSAGE))
    assert rings[0].mac(principal, MESSAGE) == b""
    assert not rings[0].verify_mac(principal, MESSAGE, b"")
    assert not rings[0].verify_mac(principal, MESSAGE, bytes(MAC_BYTES))


def test_block_key_speaks_for_its_whole_range_and_no_further(rings: list[NodeKeys]) -> None:
    signature = rings[4].sign(MESSAGE)
    assert all(rings[0].verify(client, MESSAGE, signature) for client in (1000, 1050, 1099))
    assert not rings[0].verify(2000, MESSAGE, signature), "the other block has its own key"


def test_mac_holds_between_two_holders_in_one_direction(rings: list[NodeKeys]) -> None:
    tag = rings[1].mac(3, MESSAGE)
    assert len(tag) == MAC_BYTES
    assert rings[3].verify_mac(1, MESSAGE, tag)
    assert not rings[3].verify_mac(1, MESSAGE + b".", tag)
    assert not rings[1].verify_mac(3, MESSAGE, tag), "sent back to its author it proves nothing"
    assert not rings[2].verify_mac(1, MESSAGE, tag), "nobody else can check it"
    assert not rings[3].verify_mac(2, MESSAGE, tag)
    assert rings[2].mac(3, MESSAGE) != tag
    assert rings[4].verify_mac(1, MESSAGE, rings[1].mac(1042, MESSAGE))
    assert rings[1].verify_mac(1042, MESSAGE, rings[4].mac(1, MESSAGE))


def test_keys_of_another_cluster_do_not_fit() -> None:
    here, there = genesis(), genesis(cluster_id=b"d" * 16)
    assert not here.replica_keyring(0).verify(1, MESSAGE, there.replica_keyring(1).sign(MESSAGE))
    same_keys = Directory(b"d" * 16, here.replica_keys, ())
    stranger = NodeKeys(same_keys, here.replica_secrets[1])
    tag = stranger.mac(0, MESSAGE)
    assert not here.replica_keyring(0).verify_mac(1, MESSAGE, tag), "the cluster id is part of every MAC key"


@given(signature=st.binary(max_size=200), message=st.binary(max_size=50), signer=st.integers())
@settings(max_examples=100)
def test_hostile_bytes_are_false_never_an_exception(
    rings: list[NodeKeys], signature: bytes, message: bytes, signer: int
) -> None:
    for peer in (signer, 1, 1001):
        assert not rings[0].verify(peer, message, signature)
        assert not rings[0].verify_mac(peer, message, signature)


def test_remembered_signature_is_bound_to_signer_and_message(rings: list[NodeKeys]) -> None:
    signature = rings[2].sign(MESSAGE)
    assert all(rings[1].verify(2, MESSAGE, signature) for _ in range(3))
    assert not rings[1].verify(3, MESSAGE, signature)
    assert not rings[1].verify(2, MESSAGE + b"\x00", signature)
    assert not rings[1].verify(2, MESSAGE, signature[:-1] + bytes([signature[-1] ^ 1]))


def test_own_signatures_are_remembered_and_bind_signer_and_message() -> None:
    made = genesis()
    ring = made.replica_keyring(2)
    signature = ring.sign(MESSAGE)
    assert ring.verify(2, MESSAGE, signature)
    assert (ring.checked, ring.remembered) == (0, 1), "a view change shows them again, by the hundred"
    assert not ring.verify(1, MESSAGE, signature)
    assert not ring.verify(2, MESSAGE + b".", signature)
    assert ring.checked == ring.bad == 2
    small = NodeKeys(made.directory(), made.replica_secrets[0], cache_entries=3)
    for number in range(10):
        small.sign(b"%d" % number)
    assert len(small._verified) == 3


def test_memory_of_signatures_is_bounded_and_drops_the_oldest() -> None:
    made = genesis()
    ring = NodeKeys(made.directory(), made.replica_secrets[0], cache_entries=3)
    author = made.replica_keyring(1)
    for number in range(10):
        message = b"%d" % number
        assert ring.verify(1, message, author.sign(message))
        assert not ring.verify(1, message, bytes(SIGNATURE_BYTES)), "failures are not remembered"
        assert len(ring._verified) == min(number + 1, 3)


def test_low_order_exchange_key_makes_no_mac() -> None:
    made = genesis()
    weak = [*made.replica_keys[:3], type(made.replica_keys[3])(made.replica_keys[3].verify, bytes(32))]
    ring = NodeKeys(Directory(made.cluster.cluster_id, weak, ()), made.replica_secrets[0])
    assert ring.mac(3, MESSAGE) == b""
    assert not ring.verify_mac(3, MESSAGE, b"")
    assert ring.mac(2, MESSAGE)


def test_directory_rejects_overlaps_and_shared_keys() -> None:
    made = genesis()
    keys, other = made.client_keys
    replicas = made.replica_keys
    cases = {
        "overlaps": [ClientRange(1000, 1100, keys), ClientRange(1100, 1200, other)],
        "1000 to": [ClientRange(999, 1100, keys)],
        "client ids 1200 to 1100": [ClientRange(1200, 1100, keys)],
        "client ids 1000 to 4294967296": [ClientRange(1000, 2**32, keys)],
        "same key": [ClientRange(1000, 1100, keys), ClientRange(1200, 1300, keys)],
    }
    for words, blocks in cases.items():
        with pytest.raises(ValueError, match=words):
            Directory(b"c" * 16, replicas, blocks)
    with pytest.raises(ValueError, match="same key"):
        Directory(b"c" * 16, [*replicas[:3], replicas[0]], ())
    with pytest.raises(ValueError, match="1000 replicas"):
        Directory(b"c" * 16, [replicas[0]] * 1000, ())


def test_secrets_are_not_shown() -> None:
    assert repr(SecretKeys(b"\x07" * 32, b"\x09" * 32)) == "SecretKeys()"
    assert "SecretKeys" not in repr(genesis())
