"""Requests with MACs, as in the paper, and why they are signed by default (Clement et al., NSDI 2009).

An authenticator holds a MAC for each replica, and a lying client makes some of them wrong: then correct
replicas disagree on whether the request is authentic.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from members import Members
from memory_cluster import MemoryCluster, SimulatedKeys
from playbook import Playbook
from promises import check_sent
from run_checks import check_agreement

from pbft_node.core.authentication import MAC_BYTES
from pbft_node.core.codec import decode
from pbft_node.core.effects import Send
from pbft_node.core.frames import AUTHENTICATOR, Malformed, parse_frame
from pbft_node.core.messages import Request
from pbft_node.core.operations import encode_fields

Make = Callable[..., Playbook]
ATTACKER = 1066


def crafted(raw: bytes, good_for: set[int], n: int = 4) -> bytes:
    """The request with a wrong MAC for everybody else; a signature has one value for all, wrong or not."""
    if parse_frame(raw)[0].auth != AUTHENTICATOR:
        return raw if len(good_for) == n else raw[:-1] + bytes([raw[-1] ^ 1])
    macs = len(raw) - n * MAC_BYTES
    changed = bytearray(raw)
    for replica in set(range(n)) - good_for:
        changed[macs + replica * MAC_BYTES] ^= 1
    return bytes(changed)


def request(play: Playbook, good_for: set[int], timestamp: int = 1) -> Request:
    raw = crafted(play.cast.request(timestamp, client=ATTACKER).raw, good_for)
    message, _ = decode(raw)
    assert isinstance(message, Request)
    return message


# ---------------------------------------------------------------- one replica


def test_each_replica_checks_its_own_entry(playbook: Make) -> None:
    play = playbook(me=2, client_auth="mac")
    play.receives(request(play, {0, 1, 3})).rejects("REQUEST", "not authentic", sender=ATTACKER)
    play.receives(request(play, {2})).sends("REQUEST", to=0, client=ATTACKER)


def test_also_in_a_batch(playbook: Make) -> None:
    play = playbook(me=2, client_auth="mac")
    play.receives(play.cast.pre_prepare(1, request(play, {0, 1, 3}))).rejects("PRE-PREPARE", "did not sign")
    play.receives(play.cast.pre_prepare(1, request(play, {2}))).persists("PRE_PREPARE")
    play.sends("PREPARE", to=play.others)


@pytest.mark.parametrize(("mine", "theirs"), [("sign", "mac"), ("mac", "sign")])
def test_the_other_kind_is_rejected_alone_and_in_a_batch(playbook: Make, mine: str, theirs: str) -> None:
    play, other = playbook(me=1, client_auth=mine), playbook(me=1, client_auth=theirs)
    foreign = other.cast.request(1)
    play.receives(foreign).rejects("REQUEST", "not authentic")
    play.receives(play.cast.pre_prepare(1, foreign)).rejects("PRE-PREPARE", "did not sign")


def test_an_authenticator_for_another_number_of_replicas_is_rejected(playbook: Make) -> None:
    seven = playbook(me=1, client_auth="mac", n=7).cast.request(1)
    playbook(me=1, client_auth="mac").receives(seven).rejects("REQUEST", "not authentic")


def test_it_describes_itself_and_no_cut_does(playbook: Make) -> None:
    """Whoever reads frames later needs no configuration to find their ends."""
    raw = playbook(me=1, client_auth="mac", n=7).cast.request(1).raw
    frame, end = parse_frame(raw + b"what follows")
    assert (frame.auth, end, frame.raw) == (AUTHENTICATOR, len(raw), raw)
    for cut in range(len(raw)):
        with pytest.raises(Malformed):
            parse_frame(raw[:cut])
    with pytest.raises(Malformed):
        parse_frame(raw[:5] + b"\x02" + raw[6:])  # authenticators are for requests


@pytest.mark.parametrize("client_auth", ["sign", "mac"])
def test_a_request_that_came_before_is_not_checked_again_in_a_batch(
    playbook: Make, client_auth: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = playbook(me=2, client_auth=client_auth)
    known, new, forged = play.cast.request(1), play.cast.request(1, client=1001), play.cast.request(1)
    checked: list[int] = []
    for name in ("verify", "verify_mac"):
        original = getattr(SimulatedKeys, name)

        def counting(
            self: object, signer: int, *rest: bytes, original: Callable[..., bool] = original
        ) -> bool:
            checked.append(signer)
            return original(self, signer, *rest)

        monkeypatch.setattr(SimulatedKeys, name, counting)
    play.after(known, play.cast.pre_prepare(1, known, new))
    assert [who for who in checked if who >= 1000] == [1000, 1001]
    other = crafted(forged.raw, set())
    message, _ = decode(other)
    assert isinstance(message, Request)
    play.receives(play.cast.pre_prepare(2, message)).rejects("PRE-PREPARE", "client 1000 did not sign")


# ---------------------------------------------------------------- safety holds


def test_what_was_decided_is_executed_whatever_its_mac() -> None:
    """2f+1 replicas vouch for the batch; the one that could not check it fetches it by its digest."""
    cluster = MemoryCluster(client_auth="mac", service="append")
    raw = Members(cluster.cluster, 0).request(1, b"append", b"k", b"mine", client=ATTACKER).raw
    cluster.carry_out(ATTACKER, [Send(0, crafted(raw, {0, 1, 2}))])
    assert cluster.run(3_000, until=lambda: all(h.replica.executed == 1 for h in cluster.hosts if h.replica))
    assert cluster.replica(3).view == 0
    assert cluster.call(0, b"read", b"k") == encode_fields(b"list", b"mine")
    assert {r.message for _, r in cluster.rejected} == {"PRE-PREPARE"}
    cluster.run(1_000)
    check_agreement(cluster, liars=())
    assert len({host.replica.store.image().digest for host in cluster.hosts if host.replica}) == 1


def test_it_is_prepared_again_in_the_next_view_by_those_who_could_not_check_it() -> None:
    cluster = MemoryCluster(client_auth="mac", service="append")
    raw = Members(cluster.cluster, 0).request(1, b"append", b"k", b"mine", client=ATTACKER).raw
    cluster.carry_out(ATTACKER, [Send(0, crafted(raw, {0, 1, 2}))])
    cluster.network.cut = lambda source, target: source == 0 and target == 3
    cluster.on_send = lambda source, send: [] if send.data[5] == 4 and cluster.now_ns < 50_000_000 else [send]
    cluster.run(30)
    assert not cluster.trace("committed")
    cluster.crash(0)
    assert cluster.call(0, b"read", b"k") == encode_fields(b"list", b"mine")
    assert cluster.trace("new-view", 3)
    check_agreement(cluster, liars=())
    check_sent(cluster)


# ---------------------------------------------------------------- liveness does not


def views_used_up(client_auth: str, good_for: Callable[[int], set[int]]) -> int:
    """An honest client does its work while the attacker sends everybody a crafted request before each
    operation."""
    cluster = MemoryCluster(client_auth=client_auth, service="append")
    cast = Members(cluster.cluster, 0)
    for number in range(6):
        view = max(host.replica.view for host in cluster.hosts if host.replica)
        raw = cast.request(number + 1, b"append", b"k", b"x", client=ATTACKER).raw
        data = crafted(raw, good_for(view % 4))
        cluster.carry_out(ATTACKER, [Send(replica, data) for replica in range(4)])
        assert cluster.call(0, b"append", b"k", b"%d" % number) == encode_fields(b"ok")
        cluster.run(700)
    check_agreement(cluster, liars=())
    check_sent(cluster)
    return max(host.replica.view for host in cluster.hosts if host.replica)


@pytest.mark.parametrize(
    "good_for",
    [
        pytest.param(lambda primary: {primary}, id="the primary alone believes it"),
        pytest.param(lambda primary: {0, 1, 2, 3} - {primary}, id="all but the primary believe it"),
    ],
)
def test_one_client_forces_view_changes_with_macs_and_none_with_signatures(
    good_for: Callable[[int], set[int]],
) -> None:
    assert views_used_up("sign", good_for) == 0
    assert views_used_up("mac", good_for) >= 3
