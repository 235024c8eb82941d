"""``auth: sign``: not one MAC is made or asked for, whatever the cluster goes through."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from memory_cluster import MemoryCluster, SimulatedKeys
from playbook import Playbook
from run_checks import check_agreement

from pbft_node.core.frames import SIGNED, MessageType, parse_frame
from pbft_node.core.operations import encode_fields

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
