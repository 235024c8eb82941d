"""Lies in REPLY and STATUS, as their receivers see them; and what every lie survives."""

from __future__ import annotations

import functools
import random

import pytest
from stage import FIRST_CLIENT, Stage

from nemesis.lies.catalogue import LIES
from nemesis.lies.lie import Lie
from nemesis.packets.packet import CLIENTS, Packet, header_of
from pbft_node.core.codec import decode, encode_status
from pbft_node.core.digests import result_digest
from pbft_node.core.frames import Malformed, MessageType
from pbft_node.core.messages import Reply, Status
from pbft_node.core.types import Digest

D = Digest(b"d" * 32)
EVERY = [(lie, strategy) for lie in LIES for strategy in lie.strategies]
every_strategy = pytest.mark.parametrize(
    ("lie", "strategy"), EVERY, ids=[f"{a.action}-{b}" for a, b in EVERY]
)


def lying(strategy: str, liars: tuple[int, ...] = (0,), **more: object) -> Stage:
    stage = Stage(n=7 if len(liars) > 1 else 4, liars=liars)
    stage.rule(action="lie-to-client", strategy=strategy, replicas=list(liars), **more)
    return stage


def replies(
    stage: Stage, client: int, timestamp: int, result: bytes, *, replica: int = 0, whole: bool = True
) -> list[tuple[Reply, bool]]:
    """What a client gets in place of one, and whether it is authentic before that client."""
    seal = stage.seals[replica]
    data = seal.reply(FIRST_CLIENT + client, 0, timestamp, result, whole=whole)  # type: ignore[arg-type]
    out = []
    for packet in stage.send(replica, CLIENTS, data):
        message, frame = decode(packet.data)
        assert isinstance(message, Reply)
        out.append((message, stage.client(client).authentic(frame)))
    return out


def one_reply(stage: Stage, client: int, timestamp: int, result: bytes) -> Reply:
    ((reply, authentic),) = replies(stage, client, timestamp, result)
    assert authentic
    assert reply.replica == 0
    return reply


def test_wrong_results() -> None:
    assert one_reply(lying("result"), 0, 1, b"good").result == b"gooe"
    stage = lying("other-request")
    one_reply(stage, 0, 1, b"first")
    assert one_reply(stage, 1, 1, b"second").result == b"first"
    stage = lying("stale")
    one_reply(stage, 0, 1, b"old")
    one_reply(stage, 1, 1, b"another's")
    assert one_reply(stage, 0, 2, b"new").result == b"old"
    assert one_reply(stage, 0, 2, b"new").result == b"old", "asked again, the same"


def test_wrong_views_timestamps_and_clients() -> None:
    assert one_reply(lying("view"), 0, 1, b"r").view == 10**9
    assert abs(one_reply(lying("timestamp"), 0, 5, b"r").timestamp - 5) == 1
    assert one_reply(lying("client"), 0, 1, b"r").client == FIRST_CLIENT + 1
    assert one_reply(lying("state"), 0, 1, b"r").state == 1


def test_others_names_over_its_own_key() -> None:
    said = replies(lying("sender"), 0, 1, b"r")
    assert [(reply.replica, authentic) for reply, authentic in said] == [(1, False), (2, False), (3, False)]


def test_many_and_none() -> None:
    said = replies(lying("many"), 0, 1, b"r")
    assert len(said) == 3
    assert len({reply.raw for reply, _ in said}) == 1
    assert replies(lying("omit"), 0, 1, b"r") == []
    assert len(replies(lying("omit", clients="one"), 1, 1, b"r")) == 1
    assert replies(lying("omit", clients="one"), 0, 1, b"r") == []


def test_a_digest_stays_one_and_colluders_agree() -> None:
    stage = lying("result", (0, 3))
    ((first, _),) = replies(stage, 0, 1, b"good")
    ((second, good),) = replies(stage, 0, 1, b"good", replica=3, whole=False)
    assert good
    assert (second.result, second.digest) == (None, first.digest)
    assert first.result is not None
    assert first.digest == result_digest(first.result) != result_digest(b"good")


def test_early_answers() -> None:
    stage = lying("early")
    first = stage.send(CLIENTS, "r0", stage.request(0).raw)
    reply, frame = decode(first[1].data)
    assert isinstance(reply, Reply)
    assert (reply.timestamp, reply.client, reply.replica) == (1, FIRST_CLIENT, 0)
    assert stage.client().authentic(frame)


@pytest.mark.parametrize(
    ("strategy", "shown"),
    [
        ("ahead", (0, True, 1 << 40, 1 << 40, b"\x01", False)),
        ("behind", (0, True, 0, 0, b"", False)),
        ("naked", (0, True, 128, 130, b"", False)),
        ("full", (0, True, 128, 130, b"\xff" * 64, False)),
        ("view", (1000, True, 128, 130, b"\x01", False)),
        ("leaving", (0, False, 128, 130, b"\x01", False)),
        ("suspects", (0, True, 128, 130, b"\x01", True)),
        ("stranger", (0, True, 128, 130, b"\x01", False)),
        ("flood", (0, True, 128, 130, b"\x01", False)),
    ],
)
def test_status(strategy: str, shown: tuple[int, bool, int, int, bytes, bool]) -> None:
    stage = Stage(liars=(2,))
    stage.rule(action="spam-status", strategy=strategy, replicas=[2], times=5)
    parameters = stage.cluster.fingerprint()
    body = encode_status(parameters, True, 0, 130, (), b"\x01")  # type: ignore[arg-type]
    data = stage.seals[2].for_peer(1, MessageType.STATUS, 0, 128, body)
    said = stage.read(stage.send(2, "r1", data))
    assert len(said) == 5
    status = said[0]
    assert isinstance(status, Status)
    assert said == [status] * 5
    seen = (status.view, status.active, status.stable, status.executed, status.slots, status.suspects)
    assert seen == shown
    assert (status.parameters == parameters) is (strategy != "stranger")


def stage_of(lie: type[Lie], strategy: str, seed: int = 7) -> Stage:
    stage = Stage(liars=(0, 2), seed=seed)
    stage.rule(action=lie.action, strategy=strategy, replicas=[0, 2])
    return stage


def a_life(stage: Stage) -> list[Packet]:
    """A little of everything that travels."""
    out: list[Packet] = []
    for number in range(1, 3):
        requests = [stage.request(client, number) for client in range(2)]
        for request in requests:
            out += stage.send(CLIENTS, "r0", request.raw)
        batch = stage.batch(*requests)
        for replica, view in ((0, 0), (2, 2)):
            for packets in stage.propose(batch, view=view, seq=number).values():
                out += packets
            for kind in (MessageType.PREPARE, MessageType.COMMIT, MessageType.DECIDED):
                for packets in stage.vote(replica, kind, batch.digest, seq=number).values():
                    out += packets
            for packets in stage.vote(replica, MessageType.CHECKPOINT, D, seq=128 * number).values():
                out += packets
            reply = stage.seals[replica].reply(FIRST_CLIENT, 0, number, b"result")  # type: ignore[arg-type]
            out += stage.send(replica, CLIENTS, reply)
    return out


@functools.cache
def honest_life() -> tuple[Packet, ...]:
    """Without a lie."""
    return tuple(a_life(Stage(liars=())))


@every_strategy
def test_a_lie_survives_any_bytes(lie: type[Lie], strategy: str) -> None:
    chance = random.Random(strategy)
    stage = stage_of(lie, strategy)
    for packet in chance.sample(honest_life(), 40):
        data = bytearray(packet.data)
        match chance.randrange(3):
            case 0:
                data[chance.randrange(len(data))] = chance.randrange(256)
            case 1:
                del data[chance.randrange(len(data)) :]
            case _:
                data[5] = chance.randrange(256)
        stage.engine.packet(packet._replace(data=bytes(data)), 0)
        stage.engine.tick(0)


@every_strategy
def test_the_same_packets_make_the_same_lies_with_the_liars_keys_only(lie: type[Lie], strategy: str) -> None:
    """What is authentic as a correct replica's is what that replica's process sent, or a liar passed on."""
    said = a_life(stage_of(lie, strategy))
    assert said == a_life(stage_of(lie, strategy))
    stage = Stage()
    honest = {packet.data for packet in honest_life()}
    for packet in said:
        if packet.data in honest or header_of(packet.data).type == MessageType.REQUEST:
            continue
        try:
            _, frame = decode(packet.data)
        except Malformed:
            continue
        assert frame.sender in (0, 2) or not stage.seal_of(packet).authentic(frame)


def test_what_is_said_of_ones_own_is_asked_for_at_once() -> None:
    """Who runs the engine asks again after a packet was touched: the one heard is, and not counted."""
    stage = lying("early")
    packet = Packet(CLIENTS, "r0", stage.request(0).raw)
    assert stage.engine.packet(packet, 5) == [packet]
    assert stage.engine.due_ns() == 5
    assert stage.engine.report("lie-1")["matched"] == 0
    assert len(stage.engine.tick(5)) == 1
    assert stage.engine.report("lie-1")["matched"] == 1
