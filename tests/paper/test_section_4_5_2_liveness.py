"""Section 4.5.2, liveness: when a replica suspects the primary, how long it waits, whom it follows.

Timers: request and new-view 1000 ms, doubled with every view that fails, 8000 ms at most. The replica is 3.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from memory_cluster import MemoryCluster
from playbook import Playbook

from pbft_node.core.cluster import MILLISECOND_NS
from pbft_node.core.effects import Send
from pbft_node.core.frames import MessageType, parse_frame
from pbft_node.core.messages import PrePrepare
from pbft_node.core.types import FIRST_CLIENT_ID

Make = Callable[..., Playbook]
ROUND_MS = 1000


def at_3(playbook: Make, **settings: object) -> Playbook:
    return playbook(me=3, max_timeout_ns=8_000 * MILLISECOND_NS, **settings)


def decide(play: Playbook, proposal: PrePrepare) -> None:
    peers = [r for r in play.cast.backups(proposal.view) if r != play.me][: play.cluster.quorum - 1]
    play.after(proposal, *[play.cast.prepare(proposal, by) for by in peers])
    play.after(*[play.cast.commit(proposal, by) for by in play.others[: play.cluster.quorum - 1]])


def suspect(play: Playbook) -> None:
    play.after(play.cast.request(1, client=1099))
    play.fires("request").skips()
    assert not play.replica.active


# ---------------------------------------------------------------- the request timer


def test_the_timer_runs_for_the_oldest_request(playbook: Make) -> None:
    """A primary that serves one client and starves another is found out in the same time."""
    play = at_3(playbook)
    cast = play.cast
    play.after(cast.request(1, client=1001)).passes(300)
    for seq in range(1, 4):
        play.after(cast.request(seq)).passes(200)
        decide(play, cast.pre_prepare(seq, cast.request(seq)))
    play.runs("request", ms=100)
    play.fires("request").persists("VIEW_CHANGE").sends("VIEW_CHANGE", to=play.others, view=1)


def test_when_the_oldest_is_executed_the_next_oldest_is_watched(playbook: Make) -> None:
    play = at_3(playbook)
    cast = play.cast
    play.after(cast.request(1)).passes(600)
    play.after(cast.request(1, client=1001)).passes(300)
    decide(play, cast.pre_prepare(1, cast.request(1)))
    play.runs("request", ms=700)
    decide(play, cast.pre_prepare(2, cast.request(1, client=1001)))
    play.rests("request")


def test_the_primary_watches_too(playbook: Make) -> None:
    """Who cannot get a request executed steps down: the second of f+1 where a backup left already."""
    play = playbook(me=0)
    play.after(play.cast.request(1)).runs("request", ms=ROUND_MS)
    play.fires("request").persists("VIEW_CHANGE", view=1).sends("VIEW_CHANGE", to=play.others)


def test_a_liar_that_lets_one_backup_alone_commit_is_overcome() -> None:
    """3 has executed and waits for nothing, 1 has left the view: 0, the primary, must leave it as well."""
    cluster = MemoryCluster()
    cluster.call(0, b"put", b"k", b"0")

    def only_to_3(source: int, send: Send) -> list[Send]:
        frame, _ = parse_frame(send.data)
        mute = source == 2 and frame.type is not MessageType.PREPARE and send.to != 3
        return [] if mute or (frame.type is MessageType.COMMIT and send.to != 3) else [send]

    cluster.on_send = only_to_3
    cluster.invoke(0, b"put", b"k", b"1")
    assert cluster.run(1_000, until=lambda: cluster.replica(3).executed == 2)
    cluster.crash(2)
    cluster.replica(1).start_view_change(1, "request timeout")
    cluster.carry_out(1, cluster.replica(1).take_effects())
    cluster.on_send = lambda source, send: [] if send.data[5] == MessageType.DECIDED else [send]
    assert cluster.run(20_000, until=lambda: len(cluster.completed[FIRST_CLIENT_ID]) == 2)


def test_a_proposal_alone_makes_a_backup_watch(playbook: Make) -> None:
    """The client's own REQUEST may have reached the primary only."""
    play = at_3(playbook)
    play.after(play.cast.pre_prepare(1, play.cast.request(1))).runs("request", ms=ROUND_MS)


def test_a_timer_set_again_or_cancelled_does_nothing(playbook: Make) -> None:
    play = at_3(playbook)
    play.after(play.cast.request(1))
    stale = play.timers["request"]
    decide(play, play.cast.pre_prepare(1, play.cast.request(1)))
    play.rests("request").timers["request"] = stale
    play.fires("request").does_nothing()
    play.after(play.cast.request(2)).timers["request"] = stale
    play.fires("request").does_nothing()


# ---------------------------------------------------------------- reasons not to suspect


def test_a_timer_that_overslept_suspects_nobody(playbook: Make) -> None:
    """This replica was paused: it cannot know whether the primary was slow."""
    play = playbook(me=3, noise=False)
    play.after(play.cast.request(1))
    play.fires("request", late_ms=1001).sends("STATUS", to=play.others)
    play.runs("request", ms=ROUND_MS)
    play.fires("request", late_ms=500).persists("VIEW_CHANGE").sends("VIEW_CHANGE", to=play.others)


def test_a_replica_behind_f_plus_1_others_suspects_nobody(playbook: Make) -> None:
    play = at_3(playbook)
    play.after(play.cast.request(1), play.cast.status(1, executed=2), play.cast.status(2, executed=1))
    play.fires("request").does_nothing()
    assert play.runs("request", ms=ROUND_MS).replica.active


def test_being_behind_excuses_once_at_each_number(playbook: Make) -> None:
    """One of the f+1 may lie, the other be unable to prove what it knows: nothing to catch up to."""
    play = at_3(playbook)
    cast = play.cast
    play.after(cast.request(1), cast.request(1, client=1001))
    play.after(cast.status(1, executed=20), cast.status(2, executed=3))
    play.fires("request").does_nothing()
    decide(play, cast.pre_prepare(1, cast.request(1)))
    play.fires("request").does_nothing()
    play.fires("request").persists("VIEW_CHANGE").sends("VIEW_CHANGE", to=play.others)


def test_one_liar_cannot_keep_a_replica_from_suspecting(playbook: Make) -> None:
    play = at_3(playbook)
    play.after(play.cast.request(1), play.cast.status(1, executed=10**9))
    play.fires("request").persists("VIEW_CHANGE").sends("VIEW_CHANGE", to=play.others)


def test_while_it_fetches_state_a_replica_suspects_nobody(playbook: Make) -> None:
    play = at_3(playbook)
    cast = play.cast
    play.after(cast.request(1, client=1001)).runs("request")
    digest = cast.state(4, {}).digest
    play.after(*[cast.checkpoint(4, digest, by) for by in (0, 1, 2)])
    play.fires("status").skips()
    play.fires("status").sends("REQUEST", to=0).sends("FETCH_STATE", to=play.others)
    play.rests("request")


# ---------------------------------------------------------------- the new-view timer


def test_the_new_view_timer_starts_only_with_a_quorum_of_view_changes(playbook: Make) -> None:
    """A lone suspect would race through the views otherwise."""
    play = at_3(playbook)
    suspect(play)
    play.rests("new-view")
    play.receives(play.cast.view_change(1, 0)).does_nothing()
    play.rests("new-view")
    play.receives(play.cast.view_change(1, 2)).does_nothing()
    play.runs("new-view", ms=ROUND_MS)


def test_view_changes_for_earlier_views_do_not_start_it(playbook: Make) -> None:
    play = at_3(playbook)
    play.after(play.cast.view_change(1, 0))
    play.after(play.cast.view_change(2, 1), play.cast.view_change(2, 2))
    assert play.replica.view == 2, "followed two others"
    play.runs("new-view")
    play = at_3(playbook)
    play.after(play.cast.view_change(1, 0), play.cast.view_change(1, 1)).fires("new-view").skips()
    assert play.replica.view == 2
    play.after(play.cast.view_change(2, 0)).rests("new-view")


def test_a_view_change_for_a_later_view_counts_for_the_timer(playbook: Make) -> None:
    """Its sender is past ours and will not send us that one any more; see ``scripts/left_behind.txt``."""
    play = at_3(playbook)
    suspect(play)
    play.after(play.cast.view_change(1, 0)).receives(play.cast.view_change(3, 2)).does_nothing()
    play.runs("new-view", ms=ROUND_MS)


def test_every_view_that_fails_doubles_the_wait_up_to_a_limit(playbook: Make) -> None:
    play = at_3(playbook)
    suspect(play)
    waits = []
    for view in (1, 2, 4, 5, 6):  # 3 would be this replica's own
        if view == 4:
            play.after(play.cast.view_change(4, 0), play.cast.view_change(4, 1))
        play.after(*[play.cast.view_change(view, by) for by in (0, 1, 2) if by != view % 4])
        waits.append((play.timers["new-view"][1] - play.now_ns) // MILLISECOND_NS)
        play.fires("new-view").skips()
    assert waits[:3] == [1000, 2000, 4000]
    assert waits[-1] == 8000
    assert waits == sorted(waits)


def test_a_new_view_that_does_not_come_leads_to_the_next(playbook: Make) -> None:
    play = at_3(playbook)
    suspect(play)
    play.after(play.cast.view_change(1, 0), play.cast.view_change(1, 2))
    play.fires("new-view").persists("VIEW_CHANGE", view=2).sends("VIEW_CHANGE", to=play.others, view=2)
    play.traced("view-change", view=2, reason="new-view timeout").rests("new-view")


def test_the_view_entered_stops_the_timer_and_gives_requests_their_full_time(playbook: Make) -> None:
    play = at_3(playbook)
    suspect(play)
    cast = play.cast
    play.after(cast.view_change(1, 0), cast.view_change(1, 2)).passes(700)
    play.after(cast.new_view(1, *[cast.view_change(1, by) for by in (0, 1, 2)]))
    play.rests("new-view").runs("request", ms=2 * ROUND_MS)


def test_fast_progress_brings_the_timeouts_back_and_slow_does_not(playbook: Make) -> None:
    play = at_3(playbook)
    suspect(play)
    cast = play.cast
    play.after(cast.new_view(1, *[cast.view_change(1, by) for by in (0, 1, 2)])).passes(900)
    decide(play, cast.pre_prepare(1, cast.request(1, client=1099), view=1))
    play.after(cast.request(2, client=1099)).runs("request", ms=2 * ROUND_MS).passes(100)
    decide(play, cast.pre_prepare(2, cast.request(2, client=1099), view=1))
    play.after(cast.request(3, client=1099)).runs("request", ms=ROUND_MS)


# ---------------------------------------------------------------- the join rule


def test_f_others_are_not_followed(playbook: Make) -> None:
    play = at_3(playbook)
    play.receives(play.cast.view_change(7, 1)).does_nothing()
    assert play.replica.active


def test_f_plus_1_others_are_followed_to_the_smallest_view_they_ask_for(playbook: Make) -> None:
    play = at_3(playbook)
    play.after(play.cast.view_change(9, 1))
    play.receives(play.cast.view_change(5, 2)).persists("VIEW_CHANGE", view=5)
    play.sends("VIEW_CHANGE", to=play.others, view=5).traced("view-change", view=5, reason="joined f+1")


def test_a_replica_between_views_follows_too(playbook: Make) -> None:
    play = at_3(playbook)
    suspect(play)
    play.receives(play.cast.view_change(2, 0)).does_nothing()
    play.receives(play.cast.view_change(6, 1)).persists("VIEW_CHANGE", view=2)
    play.sends("VIEW_CHANGE", to=play.others, view=2)


def test_with_f_2_it_takes_three_others(playbook: Make) -> None:
    play = at_3(playbook, n=7)
    for by in (0, 1):
        play.receives(play.cast.view_change(5, by)).does_nothing()
    play.receives(play.cast.view_change(8, 2)).persists("VIEW_CHANGE", view=5)
    play.sends("VIEW_CHANGE", to=play.others, view=5)


# ---------------------------------------------------------------- clusters


@pytest.mark.parametrize("n", [4, 5, 7])
def test_f_dead_primaries_in_a_row(n: int) -> None:
    cluster = MemoryCluster(n=n)
    cluster.call(0, b"put", b"k", b"1")
    for index in range(cluster.cluster.f):
        cluster.crash(index)
    assert cluster.call(0, b"get", b"k").endswith(b"1")
    assert cluster.replica(n - 1).view == cluster.cluster.f


def test_timeouts_are_back_to_normal_after_a_view_change() -> None:
    cluster = MemoryCluster()
    cluster.crash(0)
    for number in range(10):
        cluster.call(0, b"put", b"k", b"%d" % number)
    assert [cluster.replica(i).failed_views for i in (1, 2, 3)] == [0, 0, 0]


def test_a_primary_that_starves_one_client_is_replaced() -> None:
    """It serves client 1 all the time and never orders client 0's request."""
    cluster = MemoryCluster()
    victim = FIRST_CLIENT_ID

    def starve(source: int, send: Send) -> list[Send]:
        frame, _ = parse_frame(send.data)
        return [] if send.to == 0 and frame.type is MessageType.REQUEST and frame.sender == victim else [send]

    cluster.on_send = starve
    cluster.invoke(0, b"put", b"k", b"v")
    for number in range(200):
        cluster.call(1, b"put", b"other", b"%d" % number)
        cluster.run(5)
        if cluster.completed[victim]:
            break
    assert cluster.completed[victim]
    assert cluster.replica(3).view >= 1


def test_a_lone_suspect_learns_what_the_others_decide_and_comes_back() -> None:
    cluster = MemoryCluster()
    cluster.call(0, b"put", b"k", b"0")
    cluster.replica(3).start_view_change(1, "request timeout")
    cluster.carry_out(3, cluster.replica(3).take_effects())
    for number in range(1, 20):
        cluster.call(0, b"put", b"k", b"%d" % number)
    assert cluster.run(5_000, until=lambda: cluster.replica(3).executed == cluster.replica(0).executed)
    assert cluster.replica(0).view == 0
    assert not cluster.replica(3).active
    cluster.crash(0)
    assert cluster.call(0, b"get", b"k").endswith(b"19")
    assert cluster.replica(3).active
