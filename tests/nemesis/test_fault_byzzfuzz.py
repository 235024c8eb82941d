"""Random mutations: every one that can be drawn does something, in its round, and is plain data."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence

import pytest

from nemesis.faults import KINDS
from nemesis.lies.mutations import FAR, NEAR
from nemesis.lies.signer import Signer
from nemesis.packets.engine import Engine
from nemesis.packets.packet import Packet
from nemesis.packets.scene import Scene
from pbft_node.core import codec, state_codec
from pbft_node.core.cluster import FINGERPRINT_BYTES, Cluster
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import Address, Batch, Part, PartKind, StoreOffer
from pbft_node.core.seal import Seal
from pbft_node.genesis import ClientBlock, make_genesis

KIND = KINDS["byzzfuzz"]
CLUSTER = Cluster(n=4, service="kv", cluster_id=bytes(16))
GENESIS = make_genesis(
    CLUSTER,
    1,
    [(f"10.0.0.{i + 1}", 7000) for i in range(4)],
    [ClientBlock(1000, 1999, "10.0.1.1", 7100)],
)
SEALS = [Seal(CLUSTER, i, GENESIS.replica_keyring(i)) for i in range(4)]
CLIENT = Seal(CLUSTER, 1003, GENESIS.client_keyring(0))
D, E = bytes(range(32)), bytes(range(32, 64))


def messages() -> Mapping[str, bytes]:
    """One of each type, by replica 1, with something in every list."""
    requests = tuple(codec.decode(CLIENT.request(time, b"op"))[0] for time in (1, 2))
    batch = Batch(requests, 77)
    order = SEALS[0].signed(MessageType.PRE_PREPARE, 4, 9, D)
    own = SEALS[1].signed(MessageType.PRE_PREPARE, 5, 9, D)
    votes = codec.encode_frames([SEALS[i].signed(MessageType.PREPARE, 4, 9, D) for i in (1, 3)])
    proof = codec.encode_frames([SEALS[i].signed(MessageType.CHECKPOINT, 0, 8, E) for i in (0, 1, 2)])
    certificates = (2).to_bytes(2, "big") + order + votes + own + votes
    changes = [SEALS[i].signed(MessageType.VIEW_CHANGE, 5, 8, proof + certificates) for i in (0, 1, 2)]
    orders = codec.encode_frames([own, SEALS[1].signed(MessageType.PRE_PREPARE, 5, 10, E)])
    offer = state_codec.encode_store_offer(StoreOffer(1, (D,)))
    addresses = (Address(PartKind.GROUP, 0, 3, 1), Address(PartKind.PAGE, 1, 4, 0))
    parts = state_codec.encode_parts([Part(address, b"data") for address in addresses])
    bodies = {
        "PREPARE": D,
        "COMMIT": D,
        "DECIDED": D,
        "CHECKPOINT": D,
        "VIEW_CHANGE": proof + certificates,
        "NEW_VIEW": codec.encode_frames(changes) + orders,
        "STATUS": codec.encode_status(bytes(FINGERPRINT_BYTES), True, 4, 11, [], b"\1\2"),
        "FETCH_BATCH": D,
        "BATCH": codec.encode_batch(batch),
        "FETCH_STATE": b"",
        "STATE_META": proof + offer + offer,
        "FETCH_PARTS": state_codec.encode_addresses(addresses),
        "STATE_PARTS": parts,
        "QUERY_VIEW": D[:16],
        "TELL_VIEW": D[:16],
    }
    unnumbered = {"DECIDED": 0, "CHECKPOINT": 0}
    found = {
        name: SEALS[1].for_peer(
            2,
            MessageType[name],
            unnumbered.get(name, 5),
            0 if name == "NEW_VIEW" else 9,
            body,
        )
        for name, body in bodies.items()
    }
    found["PRE_PREPARE"] = SEALS[1].signed(MessageType.PRE_PREPARE, 5, 9, batch.digest) + codec.encode_batch(
        batch
    )
    found["REPLY"] = SEALS[1].reply(1003, 5, 7, b"result")
    for data in found.values():
        codec.decode(data)
    return found


SAMPLES = messages()


def mutated(name: str, fields: Mapping[str, object]) -> Engine:
    """An engine that did it, if it is done at all."""
    it = Engine(Scene(7, CLUSTER, {1: Signer.of(CLUSTER, 1, GENESIS.replica_keyring(1))}))
    it.set_rules("a", [{"action": "alter", "replicas": [1], "set": fields}], 0)
    it.packet(Packet("r1", "clients" if name == "REPLY" else "r2", SAMPLES[name]), 0)
    return it


@pytest.mark.parametrize("table", [NEAR, FAR], ids=["small", "any"])
def test_a_receiver_could_tell_every_mutation(table: Mapping[str, Sequence[Mapping[str, object]]]) -> None:
    for name, several in table.items():
        for fields in several:
            report = mutated(name, fields).report("a")
            assert report["altered"] == 1, f"{fields} does nothing to {name}"
            if table is NEAR:
                assert report["rules"][0]["unreadable"] == 0, f"{fields} makes no {name}"


def test_every_type_has_mutations_of_both_scopes() -> None:
    sent = {kind.name for kind in MessageType} - {"REQUEST", "FRAGMENT"}
    assert set(NEAR) == set(FAR) == sent


def test_rounds_become_rules() -> None:
    others = ["r0", "r1", "r3"]
    rules = KIND.rules(KIND.example, 4, 1)
    assert json.loads(json.dumps(rules)) == [
        {
            "action": "alter",
            "replicas": [1],
            "match": {"types": ["COMMIT"], "every": [8, 3], "to": ["r0", "r2"]},
            "set": {"seq": "+1"},
        },
        {
            "action": "drop",
            "match": {"types": ["PREPARE"], "every": [8, 5], "from": ["r2"], "to": others, "copy": [0, 0]},
        },
        {
            "action": "drop",
            "match": {"types": ["PREPARE"], "every": [8, 5], "from": others, "to": ["r2"], "copy": [0, 0]},
        },
    ]  # fmt: skip


def test_who_is_charged() -> None:
    lies, cuts = KIND.example["lies"], KIND.example["cuts"]
    both = KIND.victims(KIND.example, 4, 1)
    assert (both.byzantine, both.network) == ({1}, True)
    only_lies = KIND.victims({"replicas": [1], "rounds": 8, "lies": lies}, 4, 1)
    assert (only_lies.byzantine, only_lies.network) == ({1}, False)
    only_cuts = KIND.victims({"rounds": 8, "cuts": cuts}, 4, 1)
    assert (only_cuts.count, only_cuts.network) == (0, True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rounds": 0}, "rounds = 0"),
        ({"rounds": True}, "rounds = True"),
        ({"more": 1}, "unknown parameter 'more'"),
        ({"lies": [], "cuts": []}, "neither lies nor cuts"),
        ({"lies": []}, "without lies nobody"),
        ({"replicas": [4]}, "does not exist"),
        ({"lies": 7}, "lies = 7"),
        ({"lies": [7]}, "lies: 7"),
        ({"lies": [{"round": 8, "types": ["COMMIT"], "set": {"seq": "+1"}}]}, "round = 8"),
        ({"lies": [{"types": ["COMMIT"]}]}, "set = None"),
        ({"lies": [{"types": "COMMIT", "set": {"seq": "+1"}}]}, "match.types"),
        ({"lies": [{"types": ["COMMIT"], "set": {"seq": "+1"}, "to": ["r9"]}]}, "match.to"),
        ({"cuts": [{"types": ["COMMIT"], "apart": []}]}, "apart = []"),
        ({"cuts": [{"types": ["COMMIT"], "apart": ["r0", "r1", "r2", "r3"]}]}, "apart = "),
        ({"cuts": [{"types": ["COMMIT"], "apart": [[]]}]}, "apart = [[]]"),
        ({"cuts": [{"types": ["COMMIT"], "apart": ["r0"], "copies": 0}]}, "copies = 0"),
        ({"cuts": [{"types": ["X"], "apart": ["r0"]}]}, "match.types"),
    ],
)
def test_bad_parameters_are_refused_in_a_sentence(changes: Mapping[str, object], said: str) -> None:
    assert said in (KIND.check({**KIND.example, **changes}, 4) or "")


def test_a_drawn_one_always_has_a_lie_that_is_told() -> None:
    for seed in range(200):
        params = KIND.draw(random.Random(seed), 4, 1, False, (2,))
        first = params["lies"][0]
        assert first["types"][0] in ("COMMIT", "REPLY")
        assert first["round"] < params["rounds"]
