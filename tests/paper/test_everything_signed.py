"""``auth: sign``: not one MAC is made or asked for, whatever the cluster goes through."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from memory_cluster import MemoryCluster, SimulatedKeys
from playbook import Playbook
from run_checks import check_agreement

from pbft_node.core.frames import SIGNED, MessageType, parse_frame
from pbft_node.core.messages import Address, PartKind
from pbft_node.core.operations import encode_fields
from pbft_node.core.records import LOST_LOG
from pbft_node.core.seal import ALWAYS_SIGNED

OK = encode_fields(b"ok")


def life(**settings: object) -> MemoryCluster:
    """Long values, fast reads, a view change, and a replica that fetches the state."""
    cluster = MemoryCluster(service="append", reads="fast", **settings)
    cluster.crash(3)
    for number in range(6):
        assert cluster.call(number % 2, b"append", b"k%d" % (number % 2), bytes([number]) * 30_000) == OK
    cluster.start(3)
    cluster.run(3_000)
    cluster.crash(0)
    assert cluster.call(0, b"append", b"k", b"e") == OK
    assert len(cluster.call(1, b"read", b"k1", read_only=True)) > 90_000
    cluster.start(0)
    cluster.run(1_000)
    check_agreement(cluster, liars=())
    assert cluster.trace("new-view")
    assert any(trace.fields["step"] == "finished" for trace in cluster.trace("state-transfer"))
    return cluster


def test_no_mac_is_made_or_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> bytes:
        raise AssertionError("a MAC in a cluster that signs everything")

    monkeypatch.setattr(SimulatedKeys, "mac", none)
    monkeypatch.setattr(SimulatedKeys, "verify_mac", none)
    frames = [parse_frame(send.data)[0] for _, send in life(auth="sign").sent]
    assert {frame.auth for frame in frames} == {SIGNED}
    assert {MessageType.FRAGMENT, MessageType.STATUS, MessageType.REPLY} <= {frame.type for frame in frames}


def test_the_same_life_in_a_cluster_with_macs() -> None:
    """What the test above is about does happen."""
    frames = [parse_frame(send.data)[0] for _, send in life(auth="hybrid").sent]
    maced = {frame.type for frame in frames if frame.auth != SIGNED}
    assert {MessageType.FRAGMENT, MessageType.STATUS, MessageType.REPLY, MessageType.COMMIT} <= maced


def test_a_signed_piece_for_somebody_else_is_not_gathered(playbook: Callable[..., Playbook]) -> None:
    play = playbook(me=1, auth="sign")
    play.cast.to = 2
    play.receives(play.cast.fragment(3, b"x", 0, 2, b"d" * 32)).rejects("FRAGMENT", "for 2", sender=3)
    play.cast.to = 1
    play.receives(play.cast.fragment(3, b"x", 0, 2, b"d" * 32)).does_nothing()


@pytest.mark.parametrize("type_", [t for t in MessageType if t not in ALWAYS_SIGNED])
def test_its_own_words_sent_back_to_it_count_for_nothing(
    playbook: Callable[..., Playbook], type_: MessageType
) -> None:
    """A signature is good before its maker, too. What others show it for a proof is another matter."""
    play = playbook(me=1, auth="sign")
    play.receives(play.cast.sealed(1, type_, 0, 0, b"")).skips()
    body = {MessageType.COMMIT: b"d" * 32, MessageType.DECIDED: b"d" * 32}.get(type_)
    if body is not None:
        play.receives(play.cast.sealed(1, type_, 0, 1, body)).rejects(type_.name, "sent back")
    assert not play.replica.slots


def test_its_own_offer_of_an_earlier_life_sent_back_to_it(playbook: Callable[..., Playbook]) -> None:
    """It lost its log and looks for a state; a liar shows it one that it offered itself once."""
    play = playbook(me=1, auth="sign")
    state = play.cast.state(4, {1000: (1, OK)}, k=b"v")
    play.restarts(LOST_LOG)
    for by in (0, 2):
        play.after(play.cast.tell_view(by, stable=4))
    assert play.replica.fetching_state()
    play.receives(play.cast.state_meta(state, 1)).rejects("STATE_META", "sent back")
    play.receives(play.cast.state_meta(state, 0)).skips_to("send", "FETCH_PARTS").sends("FETCH_PARTS", to=0)
    play.skips().receives(play.cast.parts(state, 1, Address(PartKind.GROUP, 0, 0)))
    play.rejects("STATE_PARTS", "sent back")
