"""Section 5.1, fast reads: the path, what it refuses, and the holes that its rules close.

Each hole is shown on a rule that is not corrected, made here and nowhere else; the same script with the
product's rules does not show it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from memory_cluster import MemoryCluster, SimulatedKeys
from playbook import Playbook
from test_section_5_1_replies import stored

from pbft_node.core.client import Client
from pbft_node.core.cluster import MILLISECOND_NS, Cluster
from pbft_node.core.codec import encode_batch
from pbft_node.core.digests import result_digest
from pbft_node.core.effects import Completed, Effect, Send, SetTimer
from pbft_node.core.events import Received, TimerFired
from pbft_node.core.frames import READ_ONLY, MessageType, parse_frame
from pbft_node.core.messages import Status
from pbft_node.core.operations import encode_fields
from pbft_node.core.replica import Replica
from pbft_node.core.seal import Seal
from pbft_node.core.types import MAX_TIMESTAMP, ClientId, SeqNum, Timestamp, View

Make = Callable[..., Playbook]
OK, NIL = encode_fields(b"ok"), encode_fields(b"nil")
LONG = b"v" * 100
RESULT = encode_fields(b"ok", LONG)


def value(text: bytes) -> bytes:
    return encode_fields(b"ok", text)


# ---------------------------------------------------------------- the replica


def test_a_replica_answers_at_once_from_its_executed_state(playbook: Make) -> None:
    play = stored(playbook(me=2, reads="fast"))
    read = play.cast.request(7, b"get", b"k", client=1001, read_only=True)
    play.receives(read).sends("REPLY", to=1001, seq=7, state=1, result=RESULT)
    assert 1001 not in play.replica.clients, "the client table is for ordered requests"
    assert not play.replica.pending
    play.receives(play.cast.request(7, b"get", b"k", client=1001)).sends("REQUEST", to=0, seq=7)


def test_only_the_named_replica_sends_a_long_result(playbook: Make) -> None:
    play = stored(playbook(me=2, reads="fast"))
    other = play.cast.request(7, b"get", b"k", client=1001, read_only=True, replier=3)
    play.receives(other).sends("REPLY", to=1001, seq=7, state=1, digest=result_digest(RESULT))
    named = play.cast.request(8, b"get", b"k", client=1001, read_only=True, replier=2)
    play.receives(named).sends("REPLY", to=1001, seq=8, state=1, result=RESULT)


@pytest.mark.parametrize(
    "operation", [(b"put", b"k", b"new"), (b"cas", b"k", LONG, b"new"), (b"delete", b"k")]
)
def test_a_lying_flag_changes_nothing(playbook: Make, operation: tuple[bytes, ...]) -> None:
    play = stored(playbook(me=0, reads="fast"))
    before = play.replica.store.image().digest
    play.receives(play.cast.request(2, *operation, read_only=True)).rejects("REQUEST", "writes", sender=1000)
    assert play.replica.store.image().digest == before
    assert play.replica.clients[1000].timestamp == 1


def test_a_read_is_answered_from_what_is_committed_not_from_what_is_proposed(playbook: Make) -> None:
    play = playbook(me=2, reads="fast")
    proposal = play.cast.pre_prepare(1, play.cast.request(1, b"put", b"k", b"new"))
    play.after(proposal, *[play.cast.prepare(proposal, by) for by in (1, 3)])
    play.receives(play.cast.request(1, b"get", b"k", client=1001, read_only=True))
    play.sends("REPLY", to=1001, state=0, result=NIL)


def test_a_read_the_client_is_past_is_dropped(playbook: Make) -> None:
    """Whoever replays old datagrams gets nothing for it."""
    play = stored(playbook(me=2, reads="fast"))
    play.receives(play.cast.request(1, b"get", b"k", read_only=True)).does_nothing()


def test_a_state_that_is_wrong_answers_nothing(playbook: Make) -> None:
    play = stored(playbook(me=2, reads="fast"))
    play.replica.state_is_wrong = True
    play.receives(play.cast.request(2, b"get", b"k", read_only=True)).does_nothing()


def test_who_lost_its_log_answers_no_reads_until_it_has_all_back(playbook: Make) -> None:
    """It may be part of the quorum that a write or another read stands on."""
    play = stored(playbook(me=2, reads="fast"))
    read = play.cast.request(2, b"get", b"k", read_only=True)
    play.replica.may_vote = False
    play.receives(read).does_nothing()
    play.replica.may_vote = True
    play.replica.settled = 2
    play.receives(read).does_nothing()
    play.replica.settled = 1
    play.receives(read).sends("REPLY", to=1000, state=1)


def test_where_reads_are_ordered_the_flag_is_refused(playbook: Make) -> None:
    play = playbook(me=0)
    play.receives(play.cast.request(1, b"get", b"k", read_only=True)).rejects("REQUEST", "ordered")


def test_a_read_only_request_stands_in_no_batch(playbook: Make) -> None:
    play = playbook(me=1, reads="fast")
    proposal = play.cast.pre_prepare(1, play.cast.request(1, b"get", b"k", read_only=True))
    play.receives(proposal.raw + encode_batch(proposal.batch)).rejects("datagram", "read-only")


def test_the_flag_is_under_the_signature(playbook: Make) -> None:
    play = playbook(me=1, reads="fast")
    raw = bytearray(play.cast.request(1).raw)
    raw[7] |= READ_ONLY
    play.receives(bytes(raw)).rejects("REQUEST", "not authentic")


# ---------------------------------------------------------------- the client


class Alone:
    """A client and the replicas' pens."""

    def __init__(self, client: type = Client, last_timestamp: int = 0, **settings: object) -> None:
        self.cluster = Cluster(cluster_id=b"reads, in tests.", n=4, reads="fast", **settings)
        self.client = client(self.cluster, 1000, SimulatedKeys(1000), last_timestamp=last_timestamp)

    def hears(self, replica: int, result: bytes, state: int | None, now_ns: int = 0) -> list[Effect]:
        seal = Seal(self.cluster, replica, SimulatedKeys(replica))
        who, when = ClientId(1000), Timestamp(self.client.timestamp)
        if state is None:
            return self.client.handle(Received(seal.reply(who, View(0), when, result)), now_ns)
        data = seal.read_reply(who, View(0), when, SeqNum(state), result)
        return self.client.handle(Received(data), now_ns)

    def reads(self) -> list[Effect]:
        return self.client.invoke(encode_fields(b"get", b"k"), 0, read_only=True)


def sends(effects: list[Effect]) -> list[tuple[int, int, int]]:
    """(receiver, timestamp, flags)."""
    found = []
    for effect in effects:
        if isinstance(effect, Send):
            frame, _ = parse_frame(effect.data)
            found.append((effect.to, frame.seq, frame.flags & READ_ONLY))
    return found


def test_a_quorum_of_one_result_at_one_state_completes_a_read() -> None:
    alone = Alone()
    assert sends(alone.reads()) == [(to, 1, READ_ONLY) for to in range(4)]
    assert alone.hears(2, b"r", 5) == []
    assert alone.hears(0, b"r", 5) == []
    assert Completed(1, b"r", (0, 1, 2), "fast") in alone.hears(1, b"r", 5)
    assert alone.hears(3, b"r", 6) == []


@pytest.mark.parametrize(("result", "state"), [(b"other", 5), (b"r", 6)])
def test_without_a_quorum_it_is_ordered_under_another_timestamp(result: bytes, state: int) -> None:
    """As soon as none is possible: no need to wait."""
    alone = Alone()
    alone.reads()
    alone.hears(0, b"r", 5)
    assert alone.hears(1, result, state) == []
    assert alone.hears(2, b"r", 5) == []
    assert sends(alone.hears(3, result, state, now_ns=40_000_000)) == [(0, 2, 0)]
    assert [alone.hears(r, b"x", None) for r in (0, 1)] == [[], []]
    assert Completed(2, b"x", (0, 1, 2), "ordered") in alone.hears(2, b"x", None)


@pytest.mark.parametrize("late_ms", [250, 300, 900])
def test_a_client_that_was_stopped_retries_at_its_pace_all_the_same(late_ms: int) -> None:
    """Its answers are read before its timer fires; a pause of nothing would never double."""
    alone = Alone()
    alone.reads()
    now_ns = late_ms * MILLISECOND_NS
    effects = [alone.hears(r, b"ab"[r % 2 :], 5, now_ns=now_ns) for r in range(4)][-1]
    pauses = []
    for _ in range(3):
        (timer,) = [effect for effect in effects if isinstance(effect, SetTimer)]
        pauses.append(timer.delay_ns // MILLISECOND_NS)
        effects = alone.client.handle(TimerFired(timer.name, timer.generation), now_ns)
    assert pauses == [150, 300, 600]


def test_a_replica_answers_twice_when_the_network_doubled_the_request() -> None:
    alone = Alone()
    alone.reads()
    assert alone.hears(0, b"r", 5) == []
    assert alone.hears(0, b"s", 6) == [], "no lie, and no second vote"
    assert alone.hears(1, b"r", 5) == []
    assert Completed(1, b"r", (0, 1, 2), "fast") in alone.hears(2, b"r", 5)


def test_an_answer_of_the_other_kind_does_not_count() -> None:
    alone = Alone()
    alone.reads()
    for replica in range(4):
        assert "to a read, or not" in alone.hears(replica, b"r", None)[0].reason
    assert alone.client.replies == ()


def test_the_last_timestamps_are_for_ordered_requests() -> None:
    """A read that fails needs a second one."""
    assert sends(Alone(last_timestamp=MAX_TIMESTAMP - 1).reads()) == [(0, MAX_TIMESTAMP, 0)]
    assert sends(Alone(last_timestamp=MAX_TIMESTAMP - 2).reads())[0] == (0, MAX_TIMESTAMP - 1, READ_ONLY)


def test_ordered_operations_need_a_quorum_where_there_are_fast_reads() -> None:
    alone = Alone()
    alone.client.invoke(b"op", 0)
    assert [alone.hears(r, b"r", None) for r in (0, 1)] == [[], []]
    assert Completed(1, b"r", (0, 1, 3), "ordered") in alone.hears(3, b"r", None)


# ---------------------------------------------------------------- in a cluster


def last(cluster: MemoryCluster, client: int = 0) -> Completed:
    return cluster.completed[1000 + client][-1]


@pytest.mark.parametrize(("auth", "client_auth"), [("hybrid", "sign"), ("sign", "sign"), ("hybrid", "mac")])
def test_a_read_takes_one_round_trip_and_no_number(auth: str, client_auth: str) -> None:
    cluster = MemoryCluster(reads="fast", auth=auth, client_auth=client_auth)
    assert cluster.call(0, b"put", b"k", LONG) == OK
    cluster.run(100)
    for _ in range(5):
        begun = cluster.now_ns
        assert cluster.call(0, b"get", b"k", read_only=True) == RESULT
        assert last(cluster).path == "fast"
        assert cluster.now_ns - begun <= 2 * cluster.network.max_ns
    assert {host.replica.executed for host in cluster.hosts if host.replica} == {1}


@pytest.mark.parametrize("fault", ["one is down", "the flag lies", "two are cut off"])
def test_a_read_that_cannot_be_fast_is_ordered(fault: str) -> None:
    cluster = MemoryCluster(reads="fast")
    cluster.call(0, b"put", b"k", b"v")
    cluster.run(100)
    if fault == "one is down":
        cluster.crash(3)
    if fault == "two are cut off":
        cluster.network.cut = lambda source, target: source == 1000 and target > 1 and cluster.now_ns < 10**9
    operation = (b"put", b"k", b"w") if fault == "the flag lies" else (b"get", b"k")
    result = cluster.call(0, *operation, read_only=True)
    assert result == (OK if fault == "the flag lies" else value(b"v"))
    assert last(cluster).path == ("fast" if fault == "one is down" else "ordered")


def test_a_dead_replier_costs_a_read_its_speed_once() -> None:
    cluster = MemoryCluster(reads="fast")
    cluster.call(0, b"put", b"k", LONG)
    cluster.run(100)
    cluster.crash(2)
    paths = []
    for _ in range(12):
        assert cluster.call(0, b"get", b"k", read_only=True) == RESULT
        paths.append(last(cluster).path)
    assert paths.count("ordered") == 1


# ---------------------------------------------------------------- hole 1: f+1 replies to a write


def stale_read(needed_by_writes: int | None) -> tuple[bool, bytes, MemoryCluster]:
    """Replica 0 lies to readers, 2 and 3 never hear the COMMITs: only 0 and 1 execute the write.

    Gives whether the write was complete when the read began, and what the read said.
    """
    cluster = MemoryCluster(reads="fast")
    hears_nothing = {MessageType.COMMIT, MessageType.STATUS, MessageType.DECIDED}
    blind = True

    def network(source: int, send: Send) -> list[Send]:
        frame, _ = parse_frame(send.data)
        if source < 4 and send.to in (2, 3) and frame.type in hears_nothing and blind:
            return []
        if source == 0 and send.to == 1001 and blind:
            seal = cluster.replica(0).seal
            return [Send(1001, seal.read_reply(1001, View(0), Timestamp(frame.seq), SeqNum(0), NIL))]
        return [send]

    cluster.on_send = network
    cluster.invoke(0, b"put", b"k", b"v", needed=needed_by_writes)
    cluster.run(100)
    written = bool(cluster.completed[1000])
    said = cluster.call(1, b"get", b"k", read_only=True)
    blind = False
    return written, said, cluster


def test_a_write_with_f_plus_1_replies_can_be_missed_by_a_read() -> None:
    assert stale_read(needed_by_writes=2)[:2] == (True, NIL)


def test_a_write_with_a_quorum_of_replies_cannot() -> None:
    written, said, cluster = stale_read(needed_by_writes=None)
    assert (written, said) == (False, NIL), "it is still under way, so the read may come first"
    assert cluster.run(20_000, until=lambda: bool(cluster.completed[1000]))
    assert cluster.call(1, b"get", b"k", read_only=True) == value(b"v")


# ---------------------------------------------------------------- hole 2: the quorum that never answers


class Unforwarding(Replica):
    """Nobody tells those left out what was decided without them."""

    def help_with_slots(self, message: Status) -> None:
        pass


def left_in_the_dark(replica: type, **settings: object) -> MemoryCluster:
    """A lying primary leaves replica 3 out, and tells clients nothing: f+1 correct replicas answer."""
    cluster = MemoryCluster(replica=replica, **settings)
    cluster.on_send = lambda source, send: [] if source == 0 and send.to in (3, 1000) else [send]
    cluster.invoke(0, b"put", b"k", b"v")
    return cluster


def test_without_forwarding_a_client_waits_for_ever() -> None:
    """Berger, Reiser, Bessani (SRDS 2021): one alone changes no view, and two answers are no quorum."""
    cluster = left_in_the_dark(Unforwarding, reads="fast")
    assert not cluster.run(60_000, until=lambda: bool(cluster.completed[1000]))
    assert {cluster.replica(i).executed for i in (0, 1, 2)} == {1}
    assert {reply.replica for reply in cluster.client(0).replies} == {1, 2}


def test_where_reads_are_ordered_it_would_not_matter() -> None:
    cluster = left_in_the_dark(Unforwarding)
    assert cluster.run(1_000, until=lambda: bool(cluster.completed[1000]))


def test_those_left_in_the_dark_are_told_and_answer() -> None:
    cluster = left_in_the_dark(Replica, reads="fast")
    assert cluster.run(2_000, until=lambda: bool(cluster.completed[1000]))
    assert last(cluster).replicas == (1, 2, 3)


def test_also_when_the_decision_is_behind_a_checkpoint() -> None:
    """The client table comes with the state, so that who fetched it answers what it never executed."""
    cluster = MemoryCluster(reads="fast")
    cluster.on_send = lambda source, send: [] if source == 0 and send.to in (3, 1000, 1001) else [send]
    cluster.network.cut = lambda source, target: 3 in (source, target)
    cluster.invoke(0, b"put", b"k", b"v")
    for number in range(6):
        cluster.call(1, b"put", b"k%d" % number, b"w", needed=2)
    assert not cluster.completed[1000]
    assert min(cluster.replica(i).stable for i in (0, 1, 2)) >= 4
    cluster.network.cut = lambda source, target: False
    assert cluster.run(20_000, until=lambda: bool(cluster.completed[1000]))
    assert 3 in last(cluster).replicas


# ---------------------------------------------------------------- hole 3: A, B, A


class ByResultOnly(Client):
    """As the paper has it: the states may differ."""

    def _vote(self, reply: object) -> tuple[bytes, None]:
        return super()._vote(reply)[0], None


def goes_backwards(client: type) -> tuple[list[Effect], list[Effect]]:
    """k was A at state 1, B at 2 (that write is complete), A again at 3 (under way, so far at 1 only).

    Replica 3 lies. The first read meets 0 at state 1 and 1 at state 3; the second, later, 0 and 2 at state 2.
    """
    first = Alone(client)
    first.reads()
    for replica, state in ((0, 1), (1, 3), (3, 3)):
        end = first.hears(replica, b"A", state)
    second = Alone(client)
    second.reads()
    for replica, state in ((0, 2), (2, 2), (3, 2)):
        last_end = second.hears(replica, b"B", state)
    return end, last_end


def completed(effects: list[Effect]) -> bool:
    return any(isinstance(effect, Completed) for effect in effects)


def test_values_that_come_back_let_reads_go_backwards_where_states_may_differ() -> None:
    """B is complete, then a read says A, so the second A has happened; a later read says B again."""
    assert [completed(end) for end in goes_backwards(ByResultOnly)] == [True, True]


def test_with_equal_states_the_first_read_is_no_answer() -> None:
    assert [completed(end) for end in goes_backwards(Client)] == [False, True]
