"""A replica whose log is lost: silent until a view it cannot have voted in, then as the others."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
from memory_cluster import MemoryCluster, Network
from playbook import Playbook
from promises import Promises, check_sent
from run_checks import check_agreement

from pbft_node.core.cluster import MILLISECOND_NS
from pbft_node.core.effects import Completed
from pbft_node.core.records import LOST_LOG, is_lost
from pbft_node.core.replica import Replica
from pbft_node.core.silence import HELP_BURST, HELP_INTERVALS
from pbft_node.core.types import FIRST_CLIENT_ID

Make = Callable[..., Playbook]
VOTES = ("PRE_PREPARE", "PREPARE", "COMMIT", "CHECKPOINT", "VIEW_CHANGE", "NEW_VIEW")


def lost(play: Playbook) -> Playbook:
    """It comes back without its log."""
    return play.restarts(LOST_LOG)


def votes(play: Playbook) -> list[str]:
    return [str(line) for line in play.lines if line.verb == "send" and line.what in VOTES]


# ---------------------------------------------------------------- silence


def test_it_follows_and_votes_on_nothing(playbook: Make) -> None:
    play = lost(playbook(me=1))
    play.traced("silent", bound=None, answers=[], needed=3)
    request = play.cast.request()
    proposal = play.cast.pre_prepare(1, request)
    play.receives(proposal).persists("PRE_PREPARE", seq=1)
    assert not votes(play)
    play.not_traced("pre-prepare").rests("request")
    play.receives(play.cast.prepare(proposal, 2)).does_nothing()
    play.receives(play.cast.prepare(proposal, 3)).persists("PREPARED", seq=1)
    play.not_traced("prepared")
    for replica in (0, 2):
        play.receives(play.cast.commit(proposal, replica)).does_nothing()
    play.receives(play.cast.commit(proposal, 3)).persists("COMMITTED", seq=1)
    play.sends("REPLY", to=1000)  # what a quorum of others decided is true, whoever tells it
    play.traced("executed", seq=1)


def test_it_takes_no_checkpoint_part_and_leaves_no_view(playbook: Make) -> None:
    play = lost(playbook(me=1))
    for seq in range(1, 5):
        digest = play.cast.pre_prepare(seq, play.cast.request(seq)).digest
        for replica in (0, 2):
            play.after(play.cast.decided(replica, seq, digest))
        play.receives(play.cast.batch_body(0, play.cast.request(seq)))
        assert not votes(play), votes(play)
        play.skips()
    assert play.replica.executed == 4
    play.receives(play.cast.view_change(1, 2)).does_nothing()
    play.receives(play.cast.view_change(1, 3)).does_nothing()  # f+1: others would join


def test_an_unproved_answer_does_not_count(playbook: Make) -> None:
    play = lost(playbook(me=1))
    for replica in (0, 2, 3):
        play.receives(play.cast.tell_view(replica, nonce=b"o" * 16)).does_nothing()
    assert play.replica.silence is not None
    assert play.replica.silence.views == {}, "answers to an earlier life"
    play.receives(play.cast.tell_view(0)).traced("silent", answers=[0], bound=None)
    play.receives(play.cast.tell_view(0)).not_traced("silent")
    play.receives(play.cast.tell_view(2)).traced("silent", answers=[0, 2], bound=None)
    play.receives(play.cast.tell_view(3)).traced("silent", answers=[0, 2, 3], bound=1)


def test_the_q_lowest_answers_bound_the_view_so_that_a_liar_cannot_keep_it_silent(playbook: Make) -> None:
    play = lost(playbook(me=1, n=5))  # f = 1, q = 4
    for replica, view in ((0, 7), (2, 10**9), (3, 6)):
        play.receives(play.cast.tell_view(replica, view)).traced("silent", bound=None)
    play.receives(play.cast.tell_view(4, 7)).traced("silent", bound=10**9 + 1)
    seven = lost(playbook(me=1, n=7))  # f = 2, q = 5
    for replica, view in ((0, 7), (2, 10**9), (3, 6), (4, 7), (5, 7)):
        seven.receives(seven.cast.tell_view(replica, view))
    seven.traced("silent", bound=10**9 + 1)
    seven.receives(seven.cast.tell_view(6, 6)).traced("silent", bound=8)
    seven.receives(seven.cast.tell_view(6, 50)).not_traced("silent")  # what it said first was true, too


def test_it_asks_for_the_view_only_with_the_state_in_hand(playbook: Make) -> None:
    play = lost(playbook(me=1))
    for replica in (0, 2):
        play.receives(play.cast.tell_view(replica, stable=0)).does_nothing()
    play.receives(play.cast.tell_view(3, stable=8)).does_nothing()  # one may lie
    play.fires("status").sends("QUERY_VIEW", to=play.others, view=1)
    play.receives(play.cast.tell_view(2, stable=8)).sends("FETCH_STATE", to=play.others, seq=0)
    play.fires("status").skips_to("send", "QUERY_VIEW").sends("QUERY_VIEW", to=play.others, view=0)


# ---------------------------------------------------------------- the others


def test_others_answer_and_leave_the_view_together(playbook: Make) -> None:
    play = playbook(me=1)
    ask = play.cast.query_view(2)
    play.receives(ask).sends("TELL_VIEW", to=2, view=0, seq=0)
    assert play.replica.view == 0, "it has not said what it needs"
    play.receives(ask).does_nothing()
    play.passes(play.cluster.status_busy_ns // MILLISECOND_NS)
    play.receives(play.cast.query_view(2, view=1)).sends("TELL_VIEW", to=2)
    play.sends("QUERY_VIEW", to=play.others, view=1)  # passed on: a liar that asks one asks all
    play.persists("VIEW_CHANGE", view=1).sends("VIEW_CHANGE", to=play.others, view=1)
    play.traced("view-change", view=1, reason="asked by a silent replica")


def test_what_it_asked_in_an_earlier_life_repeated_does_not_keep_it_from_its_answer(playbook: Make) -> None:
    play = playbook(me=1)
    old, new = play.cast.query_view(2, nonce=b"o" * 16), play.cast.query_view(2, nonce=b"n" * 16)
    for _ in range(3):
        play.receives(old).sends("TELL_VIEW", to=2)
        play.receives(old).does_nothing()
        play.receives(new).sends("TELL_VIEW", to=2)
        play.receives(new).does_nothing()


@pytest.mark.parametrize("view", [0, 3, 10**9])
def test_a_view_that_is_there_or_too_far_is_not_helped_to(playbook: Make, view: int) -> None:
    play = playbook(me=1)
    play.receives(play.cast.query_view(2, view)).sends("TELL_VIEW", to=2, view=0)
    assert play.replica.view == 0


def test_a_silent_replica_neither_answers_nor_helps(playbook: Make) -> None:
    play = lost(playbook(me=1))
    play.receives(play.cast.query_view(2, view=1)).does_nothing()


def test_what_a_liar_asks_for_ever_is_bounded(playbook: Make) -> None:
    replica = playbook(me=1).replica
    interval_ns = HELP_INTERVALS * replica.cluster.view_change_timeout_ns
    helped = []
    for now_ns in range(0, 4 * interval_ns, interval_ns // 100):
        replica.now_ns = now_ns
        if replica.help_allowed(2):
            helped.append(now_ns)
    assert len(helped) <= 4 * HELP_BURST
    assert all(b - a >= interval_ns for a, b in zip(helped, helped[HELP_BURST:], strict=False))
    assert len(replica.helped_out_ns[2]) <= HELP_BURST
    assert replica.help_allowed(3), "another peer has its own"


# ---------------------------------------------------------------- the way back


def answered(play: Playbook) -> Playbook:
    for replica in play.others:
        play.after(play.cast.tell_view(replica))
    return play


def test_it_votes_in_the_view_and_leaves_it_when_it_shows_what_was_settled(playbook: Make) -> None:
    play = answered(lost(playbook(me=2)))
    request = play.cast.request()
    old = play.cast.certificate(play.cast.pre_prepare(1, request))
    changes = [play.cast.view_change(1, 0, old), play.cast.view_change(1, 1), play.cast.view_change(1, 3)]
    new_view = play.cast.new_view(1, *changes)
    play.receives(new_view).persists("NEW_VIEW", view=1).sends("FETCH_BATCH", to=play.others)
    play.sends("PREPARE", to=play.others, view=1, seq=1)  # in view 1 it cannot have voted
    play.not_traced("recovered")
    assert is_lost(play.log)
    play.after(play.cast.batch_body(0, request))
    for replica in (1, 3):
        play.after(play.cast.decided(replica, 1, new_view.pre_prepares[0].digest))
    assert play.replica.executed == 1
    play.not_traced("recovered").rests("request")  # executed, but its VIEW-CHANGE would not show number 1
    play.receives(play.cast.view_change(2, 0), play.cast.view_change(2, 3)).does_nothing()
    play.receives(play.cast.prepare(new_view.pre_prepares[0], 3)).persists("PREPARED", view=1, seq=1)
    play.sends("COMMIT", to=play.others, view=1, seq=1).persists("RECOVERED").traced("recovered", bound=1)
    assert not is_lost(play.log)
    play.receives(play.cast.view_change(3, 0)).skips_to("persist", "VIEW_CHANGE").persists(
        "VIEW_CHANGE"
    ).skips()


def test_an_earlier_view_does_not_end_the_silence(playbook: Make) -> None:
    play = lost(playbook(me=3))
    for replica in (0, 1, 2):
        play.after(play.cast.tell_view(replica, view=2))
    for view in (1, 2):
        changes = [play.cast.view_change(view, replica) for replica in (0, 1, 2)]
        play.receives(play.cast.new_view(view, *changes)).persists("NEW_VIEW", view=view)
    changes = [play.cast.view_change(3, replica) for replica in (0, 1, 2)]
    for change in changes[:2]:
        play.receives(change).does_nothing()
    # the primary of its first view: it announces that without a VIEW-CHANGE of its own
    play.receives(changes[2]).persists("NEW_VIEW", view=3).sends("NEW_VIEW", to=play.others, view=3)
    play.persists("RECOVERED").traced("recovered", view=3, bound=3)


def test_its_own_new_view_of_an_earlier_life_is_news_to_it(playbook: Make) -> None:
    play = lost(playbook(me=1))
    changes = [play.cast.view_change(1, replica) for replica in (0, 2, 3)]
    play.receives(play.cast.new_view(1, *changes)).persists("NEW_VIEW", view=1)
    assert not play.replica.is_active_primary
    play.receives(play.cast.request()).does_nothing()


def test_a_restart_while_silent_is_silent_again(playbook: Make) -> None:
    play = answered(lost(playbook(me=1)))
    play.after(play.cast.pre_prepare(1, play.cast.request()))
    play.restarts().traced("silent", answers=[], bound=None)
    assert play.replica.slots == {}, "what it accepted without a vote is nothing to rely on"


# ---------------------------------------------------------------- clusters


def test_one_of_four_recovers_without_load_and_then_another_may_die() -> None:
    cluster = MemoryCluster(1)
    promises = Promises(lambda index: cluster.hosts[index].records)
    cluster.on_emit = promises.watch  # as it goes: of what is lost later, a log tells nothing afterwards
    for number in range(10):
        cluster.call(0, b"put", b"k", b"%d" % number)
    for victim in (2, 0, 1):
        cluster.crash(victim)
        cluster.lose_log(victim)
        cluster.start(victim)
        assert cluster.run(5_000, until=lambda: not cluster.silent()), f"{victim} stays silent"
    cluster.crash(3)
    assert cluster.call(0, b"get", b"k") is not None
    assert not promises.problems, promises.problems


@pytest.mark.parametrize("seed", range(4))
def test_it_recovers_while_clients_never_rest(seed: int) -> None:
    """Each state it fetched was old by the next STATUS, so it never asked for the view."""
    cluster = MemoryCluster(seed)
    done = itertools.count()

    def again(client: int, _: Completed) -> None:
        value = b"%d" % next(done)
        number = client - FIRST_CLIENT_ID
        cluster.call_at(cluster.now_ns + 1, lambda: cluster.invoke(number, b"put", b"k" + value[-1:], value))

    cluster.on_completed = again
    for number in range(3):
        cluster.invoke(number, b"put", b"k", b"v")
    cluster.run(500)
    cluster.crash(2)
    cluster.lose_log(2)
    cluster.run(500)
    cluster.start(2)
    assert cluster.run(1_000, until=lambda: not cluster.silent()), "silent while there is load"
    assert next(done) > 100
    check_sent(cluster)


def test_more_than_f_lost_at_once_wait_and_say_so() -> None:
    cluster = MemoryCluster(2)
    cluster.call(0, b"put", b"k", b"v")
    for victim in (0, 1):
        cluster.crash(victim)
        cluster.lose_log(victim)
    for victim in (0, 1):
        cluster.start(victim)
    cluster.run(20_000)
    assert cluster.silent() == {0, 1}
    assert cluster.trace("silent", 0)[-1].fields == {"view": 0, "answers": [2, 3], "needed": 3, "bound": None}


def test_safety_holds_however_many_logs_are_lost() -> None:
    """Far beyond the budget: nobody may live through it, but nobody decides two things."""
    recovered = 0
    for seed in range(10):
        stream = random.Random(seed)
        n = stream.choice([4, 5, 7])
        slowest_ms = stream.choice([2, 40, 400])  # old VIEW-CHANGEs come late
        cluster = MemoryCluster(seed, Network(max_ns=slowest_ms * MILLISECOND_NS), service="append", n=n)
        for number in range(15):
            cluster.invoke(number, b"append", b"k", b"%d" % number)
            cluster.run(stream.choice([5, 100, 1000]))
            for victim in stream.sample(range(n), n):
                if stream.random() < 0.07 and cluster.hosts[victim].replica is not None:
                    cluster.crash(victim)
                    cluster.lose_log(victim)
                elif cluster.hosts[victim].replica is None:
                    cluster.start(victim)
        check_agreement(cluster, ())
        check_sent(cluster)
        recovered += len(cluster.trace("recovered"))
    assert recovered >= 8, f"{recovered}: runs in which all stay silent test little"


class Forgetful(Replica):
    """Planted: comes back from a lost log as if it had never run."""

    def fall_silent(self, nonce: bytes) -> None:
        pass


def test_a_forgetful_replica_that_votes_at_once_contradicts_itself() -> None:
    caught = 0
    for seed in range(30):
        stream = random.Random(seed)
        cluster = MemoryCluster(seed, replica=Forgetful)
        cluster.invoke(0, b"put", b"k", b"v")
        cluster.invoke(1, b"put", b"k", b"w")
        cluster.run(stream.randint(1, 5))
        cluster.crash(0)
        cluster.lose_log(0)
        cluster.start(0)
        cluster.invoke(2, b"put", b"k", b"x")
        cluster.run(2_000)
        try:
            check_agreement(cluster, ())
            check_sent(cluster)
        except AssertionError:
            caught += 1
    assert caught > 0
