"""Clients that lie: what they send, with whose keys, and that honest clients do not notice."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from nemesis.lies.client_requests import HOW, Round
from nemesis.lies.client_signer import ClientSigner
from nemesis.packets.chance import Chance
from nemesis.packets.engine import Engine
from nemesis.packets.packet import Packet
from nemesis.packets.registry import problem_of_rule
from nemesis.packets.scene import Scene
from pbft_node.core.cluster import Cluster
from pbft_node.core.codec import decode
from pbft_node.core.frames import Malformed, parse_frame
from pbft_node.core.messages import Request
from pbft_node.core.seal import Seal
from pbft_node.core.types import MAX_TIMESTAMP
from pbft_node.genesis import ClientBlock, make_genesis

FIRST, LAST = 5000, 5063
RULE: dict[str, object] = {"action": "client", "how": "crowd", "clients": 3, "every_ns": 5_000_000}


class Stage:
    """A cluster of four, and the signer of the second block of clients."""

    def __init__(self, client_auth: str = "sign") -> None:
        cluster = Cluster(n=4, service="kv", cluster_id=bytes(16), client_auth=client_auth)
        blocks = [ClientBlock(1000, 1999, "10.0.0.9", 1), ClientBlock(FIRST, LAST, "10.0.0.9", 1)]
        self.genesis = make_genesis(cluster, 1, [("10.0.0.1", 1 + i) for i in range(4)], blocks)
        self.signer = ClientSigner(cluster, FIRST, LAST, self.genesis.client_keyring(1))
        self.seals = [Seal(cluster, i, self.genesis.replica_keyring(i)) for i in range(4)]

    def round(self, how: str, number: int, clients: int = 2, primary: int = 0) -> list[tuple[int, bytes]]:
        return list(HOW[how](Round(number, clients, primary, self.signer, Chance(7, "x"))))

    def accepted(self, sends: Iterable[tuple[int, bytes]]) -> dict[int, list[Request]]:
        """By replica: the requests it finds authentic."""
        found: dict[int, list[Request]] = {i: [] for i in range(4)}
        for replica, data in sends:
            try:
                message, _ = decode(data)
                frame, _ = parse_frame(data)
            except Malformed:
                continue
            if isinstance(message, Request) and self.seals[replica].authentic(frame):
                found[replica].append(message)
        return found


@pytest.mark.parametrize("auth", ["sign", "mac"])
@pytest.mark.parametrize("how", HOW)
def test_whatever_is_accepted_is_of_its_own_clients_and_keys(how: str, auth: str) -> None:
    stage = Stage(auth)
    for number in range(30):
        sends = stage.round(how, number)
        assert 1 <= len(sends) <= 100
        assert sends == stage.round(how, number)
        accepted = [one for each in stage.accepted(sends).values() for one in each]
        assert all(FIRST <= one.client <= LAST and b"liar" in one.operation for one in accepted)
        if how == "bad-signatures":
            assert not accepted


def test_one_timestamp_and_another_operation_for_each_replica() -> None:
    stage = Stage()
    accepted = stage.accepted(stage.round("equivocates", 5))
    assert {(one.client, one.timestamp) for each in accepted.values() for one in each} == {(FIRST + 1, 3)}
    assert len({each[0].operation for each in accepted.values()}) == 4


def test_one_backup_alone_is_asked() -> None:
    asked = {replica for number in range(9) for replica, _ in Stage().round("one-backup", number, primary=2)}
    assert asked == {0, 1, 3}


@pytest.mark.parametrize("auth", ["sign", "mac"])
def test_good_for_the_primary_only_and_then_for_all_but_it(auth: str) -> None:
    stage = Stage(auth)
    good = [
        [
            replica
            for replica, each in stage.accepted(stage.round("half-authenticated", number)).items()
            if each
        ]
        for number in (0, 2)
    ]
    assert good == [[0], [1, 2, 3]]


def test_the_last_timestamp_and_falling_ones() -> None:
    stage = Stage()
    seen: dict[int, list[int]] = {}
    for number in range(18):
        for one in stage.accepted(stage.round("timestamps", number))[0]:
            seen.setdefault(one.client, []).append(one.timestamp)
    assert any(MAX_TIMESTAMP in each and each[-1] > 1 and 1 in each for each in seen.values())
    assert any(each != sorted(each) for each in seen.values())


def test_a_crowd_sends_every_copy_to_everybody() -> None:
    accepted = Stage().accepted(Stage().round("crowd", 0, clients=8))
    assert {replica: len(each) for replica, each in accepted.items()} == dict.fromkeys(range(4), 16)


def test_rounds_go_on_where_an_earlier_fault_left_off_and_need_a_block() -> None:
    stage = Stage()
    it = Engine(Scene(1, stage.signer.cluster, clients=stage.signer))
    it.set_rules("a", [RULE], 10)
    assert it.due_ns() == 0
    first = it.tick(10)
    assert it.due_ns() == 10 + 5_000_000
    assert it.tick(11) == []
    it.set_rules("a", [], 12)
    it.set_rules("b", [RULE], 13)
    second = it.tick(13)
    assert len(first) == len(second) == 3 * 4 * 2
    assert {one.source for one in first} == {"clients"}
    assert not set(first) & set(second), "the same bytes again would not be new requests"
    assert it.packet(Packet("clients", "r0", b""), 14) is None
    nobody = Engine(Scene(1, stage.signer.cluster))
    nobody.set_rules("a", [RULE], 0)
    assert nobody.due_ns() is None
    assert nobody.tick(10) == []


@pytest.mark.parametrize(
    "change", [{"how": "politely"}, {"clients": 0}, {"clients": 65}, {"every_ns": 1}, {"match": {}}, {"x": 1}]
)
def test_what_is_no_rule_is_refused(change: dict[str, object]) -> None:
    assert problem_of_rule(RULE, 4) is None
    assert problem_of_rule({**RULE, **change}, 4)
