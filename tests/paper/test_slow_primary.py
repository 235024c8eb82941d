"""A slow but correct-looking primary is replaced (Aardvark's rule; not in the paper).

Whole clusters: request timer 200 ms, clients tell all replicas after 50 ms, a backup looks every 25 ms. The
scripts at the end: request timer 1000 ms, so a look every 125 ms, and the replica is 3.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from memory_cluster import MemoryCluster, Network
from playbook import Playbook

from pbft_node.core.cluster import MILLISECOND_NS
from pbft_node.core.effects import Send
from pbft_node.core.events import Received
from pbft_node.core.frames import MessageType, parse_frame
from pbft_node.core.messages import Batch
from pbft_node.core.replica import Replica
from pbft_node.core.slow_primary import LATE_LOOKS, LOOKS
from pbft_node.core.types import FIRST_CLIENT_ID

Make = Callable[..., Playbook]
PUPPET = FIRST_CLIENT_ID + 9


def cluster_of(replica: type = Replica, network: Network | None = None, **settings: object) -> MemoryCluster:
    chosen = {"client_retry_ns": 50 * MILLISECOND_NS, "client_retry_max_ns": 50 * MILLISECOND_NS}
    network = network or Network(min_ns=2 * MILLISECOND_NS, max_ns=4 * MILLISECOND_NS)
    return MemoryCluster(3, network, replica, **(chosen | settings))


def delay_proposals(cluster: MemoryCluster, by: set[int], ms: int, only: Callable[[int], bool]) -> None:
    """These replicas' PRE-PREPAREs leave ``ms`` later, where ``only`` says so of the number."""

    def on_send(source: int, send: Send) -> list[Send]:
        frame, _ = parse_frame(send.data)
        own = frame.type is MessageType.PRE_PREPARE and frame.sender == source and source in by
        if not own or not only(frame.seq):
            return [send]
        cluster.push(cluster.now_ns + ms * MILLISECOND_NS, send.to, 0, Received(send.data))
        return []

    cluster.on_send = on_send


def load(
    cluster: MemoryCluster, ms: int, clients: int = 1, pause_ms: int = 0, until_view: int | None = None
) -> int:
    """Clients that ask again ``pause_ms`` after each answer; how many answers they got."""
    end = cluster.now_ns + ms * MILLISECOND_NS
    before = sum(map(len, cluster.completed.values()))
    while cluster.now_ns < end and views(cluster) != {until_view}:
        for number in range(clients):
            if not cluster.client(number).busy:
                cluster.invoke(number, b"put", b"k%d" % number, b"v")
        cluster.run(max(pause_ms, 5))
    return sum(map(len, cluster.completed.values())) - before


def reasons(cluster: MemoryCluster) -> list[str]:
    return [str(trace.fields["reason"]) for trace in cluster.trace("view-change")]


def views(cluster: MemoryCluster) -> set[int]:
    return {cluster.replica(index).view for index in range(cluster.cluster.n)}


# ---------------------------------------------------------------- who is replaced


@pytest.mark.parametrize("clients", [1, 4])
@pytest.mark.parametrize("healthy_ms", [0, 2_000])
def test_a_primary_just_under_the_timer_is_replaced(clients: int, healthy_ms: int) -> None:
    """Whether it was slow from the beginning or became so."""
    cluster = cluster_of()
    load(cluster, healthy_ms, clients)
    delay_proposals(cluster, {0}, 160, lambda seq: True)
    load(cluster, 6_000, clients, until_view=1)
    assert views(cluster) == {1}
    assert set(reasons(cluster)) <= {"slow primary", "joined f+1"}
    assert load(cluster, 1_000, clients) > 40 * clients, "the next primary is fast"
    assert views(cluster) == {1}


def test_without_the_rule_it_stays() -> None:
    """The request timer alone never fires: what the tests above measure is the rule."""
    cluster = cluster_of(slow_primary_factor=0)
    delay_proposals(cluster, {0}, 170, lambda seq: True)
    assert load(cluster, 10_000) < 80
    assert views(cluster) == {0}


def test_two_slow_primaries_after_each_other_are_replaced() -> None:
    """n = 7 has room for two; the first of them was no better than the second."""
    cluster = cluster_of(n=7)
    delay_proposals(cluster, {0, 1}, 170, lambda seq: True)
    load(cluster, 15_000, until_view=2)
    assert views(cluster) == {2}
    assert "request timeout" not in reasons(cluster)


def test_a_primary_that_leaves_holes_is_replaced() -> None:
    """It proposes at once, but for one number in two: what is behind a hole cannot be executed."""
    cluster = cluster_of()
    delay_proposals(cluster, {0}, 170, lambda seq: seq % 2 == 0)
    load(cluster, 6_000, clients=6, until_view=1)
    assert views(cluster) == {1}


class ServesAFriend(Replica):
    """As primary of view 0, it makes all but one client wait as long as it dares."""

    def next_batch(self) -> Batch:
        if self.view == 0:
            old_ns = self.now_ns - 170 * MILLISECOND_NS
            self.held = {c: w for c, w in self.pending.items() if c != PUPPET and w.since_ns > old_ns}
            for client in self.held:
                del self.pending[client]
            batch = super().next_batch()
            self.pending |= self.held
            return batch
        return super().next_batch()


def test_batches_of_a_friend_do_not_make_a_primary_faster() -> None:
    """Hundreds of numbers a second, and every other client waits."""
    cluster = cluster_of(ServesAFriend)
    cluster.client(9)

    def feed() -> bool:
        if not cluster.client(9).busy:
            cluster.invoke(9, b"put", b"friend", b"v")
        for number in range(3):
            if not cluster.client(number).busy:
                cluster.invoke(number, b"put", b"k", b"v")
        return 1 in views(cluster)

    assert cluster.run(8_000, until=feed)
    assert set(reasons(cluster)) <= {"slow primary", "joined f+1"}


class Trickles(Replica):
    """As primary of view 0, it orders one request in 14 ms, whoever waits."""

    last_ns = 0
    pause_ms = 14

    def next_batch(self) -> Batch:
        batch = super().next_batch()
        if self.view or not batch.requests:
            return batch
        if self.now_ns - self.last_ns < self.pause_ms * MILLISECOND_NS:
            return Batch()
        self.last_ns = self.now_ns
        return Batch(batch.requests[:1], batch.time_ns)


def test_a_primary_that_trickles_is_replaced() -> None:
    """Twelve clients wait 170 ms each, fairly, and no timer fires."""
    cluster = cluster_of(Trickles)
    assert load(cluster, 8_000, clients=12, until_view=1) > 0
    assert views(cluster) == {1}


class OneInATimeout(Trickles):
    """As primary of view 0, it orders one request in 190 ms."""

    pause_ms = 190


def test_a_primary_that_serves_one_request_in_a_timeout_is_replaced() -> None:
    """The timer of the oldest request starts when that began to wait, so the third client's fires."""
    cluster = cluster_of(OneInATimeout, slow_primary_factor=0)
    load(cluster, 3_000, clients=4, until_view=1)
    assert views(cluster) == {1}
    assert "request timeout" in reasons(cluster)


# ---------------------------------------------------------------- who is not


@pytest.mark.parametrize("seed", range(1))
def test_a_healthy_primary_stays_whatever_the_load(seed: int) -> None:
    """One client, then twelve, pauses, bursts, a little loss."""
    cluster = cluster_of(network=Network(loss=0.01, max_ns=4 * MILLISECOND_NS))
    cluster.random.seed(seed)
    load(cluster, 1_000)
    load(cluster, 1_000, clients=12)
    cluster.run(1_000)
    load(cluster, 1_000, clients=3, pause_ms=60)
    for _ in range(5):
        load(cluster, 100, clients=12, pause_ms=300)
    load(cluster, 1_000)
    assert not reasons(cluster)


def test_a_slow_network_is_not_the_primarys_fault() -> None:
    """All views are alike there: half a second for an operation, with a timer of two."""
    network = Network(min_ns=80 * MILLISECOND_NS, max_ns=160 * MILLISECOND_NS)
    slow = {"request_timeout_ns": 2_000, "status_busy_ns": 300, "client_retry_ns": 200}
    cluster = cluster_of(network=network, **{name: ms * MILLISECOND_NS for name, ms in slow.items()})
    load(cluster, 12_000, clients=4)
    assert cluster.replica(1).pace.looks > LOOKS
    assert not reasons(cluster)


def test_a_primary_slow_for_a_moment_stays() -> None:
    cluster = cluster_of()
    for _ in range(20):
        delay_proposals(cluster, {0}, 150, lambda seq: True)
        load(cluster, 160)
        cluster.on_send = lambda source, send: [send]
        load(cluster, 300)
    assert not reasons(cluster)


def test_where_no_primary_is_faster_rotation_ends() -> None:
    """The whole cluster became slower: patience doubles, and what is slow now is usual later."""
    cluster = cluster_of()
    load(cluster, 2_000)
    delay_proposals(cluster, {0, 1, 2, 3}, 150, lambda seq: True)
    load(cluster, 12_000)
    changed = max(views(cluster))
    assert 1 <= changed <= 4
    load(cluster, 12_000)
    assert views(cluster) == {changed}


def test_patience_is_normal_again_when_a_view_change_helped() -> None:
    cluster = cluster_of()
    for view in range(4):
        delay_proposals(cluster, {view % 4}, 170, lambda seq: True)
        load(cluster, 4_000, until_view=view + 1)
        assert views(cluster) == {view + 1}
        load(cluster, 2_000)
    assert "request timeout" not in reasons(cluster)


# ---------------------------------------------------------------- a suspicion is a vote


def suspicious(playbook: Make, me: int = 3, **settings: object) -> Playbook:
    """A replica that has seen enough late looks, alone so far."""
    play = playbook(me=me, **settings)
    for number in range(4):  # agreement takes no time, and something was executed
        play.after(play.cast.request(1, client=1100 + number))
        decide(play, number + 1, play.cast.request(1, client=1100 + number))
    number = 0
    while play.replica.pace.too_late.bit_count() < LATE_LOOKS:
        number += 1
        assert number < 4 * LOOKS, "no suspicion came of it"
        if not play.replica.pending:
            play.after(play.cast.request(number, client=1200))
        play.fires("pace")
        oldest = next(iter(play.replica.pending.values()))
        if play.now_ns - oldest.since_ns > 800 * MILLISECOND_NS:
            play.skips()
            decide(play, play.replica.executed + 1, oldest.request)
        play.skips()
    return play


def decide(play: Playbook, seq: int, *batch: object) -> None:
    proposal = play.cast.pre_prepare(seq, *batch)
    peers = [r for r in play.cast.backups() if r != play.me][: play.cluster.quorum - 1]
    play.after(proposal, *[play.cast.prepare(proposal, by) for by in peers])
    play.after(*[play.cast.commit(proposal, by) for by in play.others[: play.cluster.quorum - 1]])
    if play.replica.executed % 4 == 0:
        digest = play.replica.snapshots[seq].digest
        play.after(*play.cast.proof(seq, digest, play.others[: play.cluster.quorum]))


def test_a_lone_suspect_stays_in_the_view_and_says_so(playbook: Make) -> None:
    play = suspicious(playbook, noise=False)
    assert play.replica.active
    assert play.replica.suspects_primary()
    play.fires("status").sends("STATUS", to=play.others)
    play.skips()
    assert play.replica.active


def test_f_more_votes_make_it_leave(playbook: Make) -> None:
    play = suspicious(playbook)
    executed = play.replica.executed
    play.receives(play.cast.status(1, executed=executed, suspects=True))
    play.skips_to("persist", "VIEW_CHANGE").persists("VIEW_CHANGE", view=1)
    play.sends("VIEW_CHANGE", to=play.others).traced("view-change", reason="slow primary")


def test_a_view_change_counts_as_a_vote(playbook: Make) -> None:
    play = suspicious(playbook)
    play.after(play.cast.view_change(1, by=2))
    assert play.replica.view == 1


@pytest.mark.parametrize(("voter", "view"), [(0, 0), (1, 1)])
def test_votes_of_the_primary_or_for_another_view_do_not_count(playbook: Make, voter: int, view: int) -> None:
    play = suspicious(playbook)
    play.after(play.cast.status(voter, view=view, executed=play.replica.executed, suspects=True))
    assert play.replica.active
    assert play.replica.view == 0


def test_votes_alone_move_nobody(playbook: Make) -> None:
    """Liars may vote as they like: without a suspicion of its own a replica stays."""
    play = playbook(me=3)
    play.after(play.cast.request())
    play.after(*[play.cast.status(by, suspects=True) for by in (1, 2)])
    play.fires("pace").skips()
    assert play.replica.active


def test_a_replica_that_is_behind_judges_nobody(playbook: Make) -> None:
    """Its own lag explains the wait."""
    play = playbook(me=3)
    play.after(*[play.cast.status(by, executed=3) for by in (1, 2)])
    play.after(play.cast.request())
    play.fires("pace").skips()
    assert play.replica.pace.looks == 0


def test_a_replica_that_overslept_judges_nobody(playbook: Make) -> None:
    play = playbook(me=3)
    play.after(play.cast.request())
    play.fires("pace", late_ms=126).skips()
    assert play.replica.pace.looks == 0
    play.fires("pace").skips()
    assert play.replica.pace.looks == 1


def test_a_primary_without_room_owes_nothing(playbook: Make) -> None:
    """Its pipeline is full, or the window is: it waits for others, as this replica does."""
    play = playbook(me=3, pipeline=2)
    play.after(play.cast.request(1, client=1300))
    for seq in (1, 2):
        play.after(play.cast.pre_prepare(seq, play.cast.request(1, client=1300 + seq)))
    for _ in range(4):
        play.fires("pace").skips()
    assert play.replica.pace.waited_ns == 0


def test_a_primary_with_room_owes_the_oldest(playbook: Make) -> None:
    play = playbook(me=3)
    play.after(play.cast.request(1, client=1300))
    play.after(play.cast.pre_prepare(1, play.cast.request(1, client=1301)))
    play.fires("pace").skips()
    play.fires("pace").skips()
    assert play.replica.pace.waited_ns == 250 * MILLISECOND_NS, (
        "not at the first look: was there room before?"
    )
