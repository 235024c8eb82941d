"""Sides of twins: who talks with which instance, told by peer, by the client that asks or is answered."""

from __future__ import annotations

import json

from nemesis.sides import Side, for_twin
from pbft_node.core.frames import HEADER, HEADER_BYTES, MessageType, peek

SIDE = Side(frozenset({2}), odd=True)


def header(kind: MessageType, sender: int, body: bytes = b"") -> bytes:
    data = HEADER.pack(b"PBFT", 1, kind, 0, 0, sender, 0, 0, len(body)) + body
    assert peek(data) == (kind, sender, 0, 0)
    return data


def request(client: int) -> bytes:
    return header(MessageType.REQUEST, client)


def reply(replica: int, client: int) -> bytes:
    return header(MessageType.REPLY, replica, client.to_bytes(4, "big"))


def test_peers_are_named_and_clients_are_odd_or_even() -> None:
    assert [SIDE.meets(principal) for principal in (1, 2, 3, 1000, 1001)] == [False, True, False, False, True]
    assert not Side.of(frozenset(), "even").meets(1001)
    assert SIDE.asked_by(request(1001))
    assert not SIDE.asked_by(request(1000))
    assert not SIDE.asked_by(header(MessageType.REQUEST, 2)), "a replica at the clients' host"
    assert not SIDE.asked_by(b"short"[:HEADER_BYTES])
    assert [SIDE.answers(reply(0, client)) for client in (1000, 1001)] == [False, True]
    assert SIDE.answers(b"noise") is None


def test_the_half_of_the_network_hangs_on_who_receives_or_asks() -> None:
    sides = {0: SIDE, 1: Side(frozenset({3}), odd=False)}
    assert for_twin(sides, 2, 0, b"")
    assert not for_twin(sides, 3, 0, b"")
    assert not for_twin(sides, 2, 1, b""), "every twin has a side of its own"
    assert not for_twin(sides, 1, 0, b""), "between two with twins, the first ones"
    assert for_twin(sides, None, 0, request(1001))
    assert not for_twin(sides, None, 1, request(1001))
    assert for_twin(sides, 1, None, reply(1, 1000))
    assert not for_twin(sides, 0, None, reply(0, 1000))
    assert not for_twin(sides, 3, None, reply(3, 1001)), "it has no twin"
    assert not for_twin(sides, 0, 2, b""), "who has no twin has one host"
    assert not for_twin({}, 2, 0, b"")


def test_it_travels_as_json() -> None:
    assert Side.read(json.loads(json.dumps(SIDE.data()))) == SIDE
