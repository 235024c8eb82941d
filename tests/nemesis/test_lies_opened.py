"""Opening and closing a liar's packets, the memory of what was told, and what every lie has in common."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import pytest
from stage import Stage

from nemesis.lies.lie import Lie, Option, Strategy
from nemesis.lies.memory import MOST_NUMBERS, Memory, Told
from nemesis.lies.opened import Opened, resealed
from nemesis.packets import registry
from nemesis.packets.chance import Slot
from nemesis.packets.packet import Packet
from pbft_node.core.codec import decode, encode_batch
from pbft_node.core.frames import MessageType
from pbft_node.core.messages import Prepare, PrePrepare
from pbft_node.core.types import Digest

A, B = Digest(b"a" * 32), Digest(b"b" * 32)


class Shift(Lie):
    """Says every PREPARE and PRE-PREPARE of number n about n + ``by``; never about number 9."""

    action = "shift"
    strategies = MappingProxyType({"up": Strategy("n + by.")})
    options = MappingProxyType({"by": Option("how far", (1,), 1, 5)})
    says = frozenset({MessageType.PREPARE, MessageType.PRE_PREPARE})

    def lie(self, opened: Opened, slot: Slot, now_ns: int) -> Sequence[Packet] | None:
        by = self.chosen["by"]
        assert isinstance(by, int)
        if opened.header.seq == 9:
            return None
        return resealed(opened, self.signer(opened.replica), seq=opened.frame.seq + by)


@pytest.fixture(autouse=True)
def _shift_is_an_action(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ACTIONS", {**registry.ACTIONS, "shift": Shift})


def test_what_was_told_first_stands_and_the_oldest_is_forgotten() -> None:
    memory = Memory()
    assert memory.tell(0, 1, "r1", Told(A)).digest == A
    assert memory.tell(0, 1, "r1", Told(B)).digest == A
    assert not memory.split(0, 1)
    memory.tell(0, 1, "r2", Told(B))
    assert memory.split(0, 1)
    assert [told.digest for told in memory.versions(0, 1)] == [A, B]
    assert memory.told(0, 1, "r3") is None
    for seq in range(2, MOST_NUMBERS + 2):
        memory.tell(0, seq, "r1", Told(A))
    assert memory.told(0, 1, "r1") is None
    assert len(memory.numbers()) == MOST_NUMBERS


def test_a_lie_is_sealed_by_the_liar_and_only_the_liars_own_words_change() -> None:
    stage = Stage()
    stage.rule(action="shift", replicas=[0], strategy="up", by=3)
    told = stage.vote(0, MessageType.PREPARE, A)
    (message,) = stage.read(told["r1"])
    assert isinstance(message, Prepare)
    assert (message.seq, message.digest, message.replica) == (4, A, 0)
    assert stage.engine.report("lie-1")["matched"] == 3
    others = stage.seals[1].signed(MessageType.PREPARE, 0, 1, A)
    assert stage.send(0, "r2", others) == [Packet("r0", "r2", others)], "passed on, not the liar's own"
    assert stage.vote(2, MessageType.PREPARE, A)["r1"][0].data == stage.seals[2].signed(
        MessageType.PREPARE, 0, 1, A
    )
    assert stage.engine.report("lie-1")["matched"] == 3


def test_a_message_in_pieces_is_opened_whole_and_goes_out_in_pieces() -> None:
    stage = Stage(batch_bytes=400_000)
    stage.rule(action="shift", replicas=[0], strategy="up")
    batch = stage.batch(*(stage.request(i, operation=bytes([i]) * 30_000) for i in range(4)))
    shifted = stage.propose(batch)["r1"]
    assert [decode(one.data)[0] for one in shifted] == [
        decode(stage.seals[0].signed(MessageType.PRE_PREPARE, 0, 2, batch.digest))[0]
    ]
    left = stage.propose(batch, seq=9)
    for target in ("r1", "r2", "r3"):
        (message,) = stage.read(left[target])
        assert isinstance(message, PrePrepare)
        assert message.batch == batch
        assert len(left[target]) == 3
    assert stage.engine.report("lie-1")["matched"] == 3, "held pieces are no activation"


@pytest.mark.parametrize("data", [b"", b"PBFT", b"x" * 40, b"PBFT\x01\x03\x01\x00" + b"\xff" * 24])
def test_bytes_nobody_can_read_pass_untouched(data: bytes) -> None:
    stage = Stage()
    stage.rule(action="shift", replicas=[0], strategy="up")
    assert stage.send(0, "r1", data) == [Packet("r0", "r1", data)]
    assert stage.engine.report("lie-1")["matched"] == 0


def test_pieces_of_nothing_pass_untouched() -> None:
    stage = Stage()
    stage.rule(action="shift", replicas=[0], strategy="up")
    head = (1).to_bytes(4, "big") + bytes(32)
    for index in (0, 1):
        piece = stage.seals[0].for_peer(1, MessageType.FRAGMENT, 2, index, head + b"z" * 90)
        assert stage.send(0, "r1", piece) == [Packet("r0", "r1", piece)]
    assert decode(piece)[0]
    start = stage.seals[0].signed(MessageType.PREPARE, 0, 1, A)
    first = stage.seals[0].for_peer(1, MessageType.FRAGMENT, 2, 0, head + start)
    second = stage.seals[0].for_peer(1, MessageType.FRAGMENT, 2, 1, head + b"z")
    assert stage.send(0, "r1", first) == [], "it begins like a PREPARE"
    assert [one.data for one in stage.send(0, "r1", second)] == [first, second], "and is none"


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"replicas": []}, "give a list"),
        ({"replicas": [4]}, "does not exist"),
        ({"replicas": [True]}, "does not exist"),
        ({"replicas": [0, 0]}, "named twice"),
        ({"strategy": "down"}, "choose one of up"),
        ({"strategy": ["up"]}, "choose one of up"),
        ({"by": 9}, "from 1 to 5"),
        ({"by": True}, "from 1 to 5"),
        ({"more": 1}, "unknown key"),
        ({"match": {"types": ["x"]}}, "match.types"),
    ],
)
def test_what_is_no_lie_is_refused(wrong: dict[str, object], word: str) -> None:
    problem = Shift.problem({"action": "shift", "replicas": [0], "strategy": "up", **wrong}, 4)
    assert problem is not None
    assert word in problem


def test_nobody_lies_in_the_name_of_a_correct_replica() -> None:
    stage = Stage(liars=(0,))
    with pytest.raises(ValueError, match="replica 1 is not compromised"):
        stage.rule(action="shift", replicas=[0, 1], strategy="up")
    assert stage.engine.idle


def test_encoding_of_the_stage_is_the_replicas_own() -> None:
    stage = Stage()
    batch = stage.batch()
    data = stage.seals[0].signed(MessageType.PRE_PREPARE, 0, 1, batch.digest) + encode_batch(batch)
    assert stage.propose(batch)["r1"] == [Packet("r0", "r1", data)]
