"""Section 5.3, state transfer: the parts of a state, from all peers at once, from some that lie.

The replica is 3; others reached a stable checkpoint at 4 or 8 and have dropped the messages below it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from playbook import Playbook

from pbft_node.core.fetching import OFFERS_A_TICK, PARTS_A_QUESTION, PARTS_UNDER_WAY
from pbft_node.core.messages import Address, Part, PartKind, PrePrepare
from pbft_node.core.operations import encode_fields
from pbft_node.core.pages import PIECE_BYTES
from pbft_node.core.snapshots import Snapshot, take_snapshot
from pbft_node.core.store import Store

Make = Callable[..., Playbook]
OK = encode_fields(b"ok")


def decide(play: Playbook, proposal: PrePrepare) -> None:
    peers = [r for r in play.cast.backups(proposal.view) if r != play.me][: play.cluster.quorum - 1]
    play.after(proposal, *[play.cast.prepare(proposal, by) for by in peers])
    play.after(*[play.cast.commit(proposal, by) for by in play.others[: play.cluster.quorum - 1]])


def group(store: int, number: int = 0) -> Address:
    return Address(PartKind.GROUP, store, number)


def page(store: int, number: int) -> Address:
    return Address(PartKind.PAGE, store, number)


def piece(store: int, number: int, index: int) -> Address:
    return Address(PartKind.PIECE, store, number, index)


SOME_VALUES = {f"k{i}": b"%d" % i * 1_000 for i in range(9)}


def some_state(play: Playbook, seq: int = 4, **more: bytes) -> Snapshot:
    """The state at 4, of two pages and one."""
    state = play.cast.state(seq, {1000: (7, OK)}, **(SOME_VALUES | more))
    assert (len(state.service.pages), len(state.clients.pages)) == (2, 1)
    return state


def wanting(playbook: Make, state: Snapshot, **settings: object) -> Playbook:
    """Proved behind, for two ticks: the transfer has begun."""
    play = playbook(me=3, **settings)
    play.after(*[play.cast.checkpoint(4, state.digest, by) for by in (0, 1, 2)])
    play.fires("status").skips()
    play.fires("status").sends("FETCH_STATE", to=play.others, seq=0).traced("state-transfer", step="started")
    return play


def offered(playbook: Make, **more: bytes) -> tuple[Playbook, Snapshot]:
    """The offer is taken, and the groups came: the pages are asked for, of source 0 as it happens."""
    state = some_state(playbook(me=3), **more)
    play = wanting(playbook, state)
    play.receives(play.cast.state_meta(state, 0)).sends("FETCH_PARTS", to=0, parts=[group(0), group(1)])
    play.receives(play.cast.parts(state, 0, group(0), group(1)))
    play.sends("FETCH_PARTS", to=0, parts=[page(0, 0), page(0, 1), page(1, 0)])
    return play, state


def wide_state(play: Playbook, pages: int = 60, seq: int = 4, fill: bytes = b"v") -> Snapshot:
    """Of so many pages, none of them empty, and one of the client table."""
    values = {f"k{i:04}": fill * 115 for i in range(pages * 32)}
    state = play.cast.state(seq, {1000: (seq, OK)}, **values)
    assert len(state.service.pages) == pages == len(set(state.service.page_digests))
    return state


# ---------------------------------------------------------------- fetching


def test_a_state_is_fetched_part_by_part_installed_kept_and_vouched_for(playbook: Make) -> None:
    play, state = offered(playbook)
    cast = play.cast
    play.receives(cast.parts(state, 0, page(1, 0)), cast.parts(state, 1, page(0, 1))).does_nothing()
    play.receives(cast.parts(state, 0, page(0, 0))).persists("SNAPSHOT")
    play.sends("CHECKPOINT", to=play.others, seq=4, digest=state.digest)
    play.traced("state-transfer", seq=4, step="finished").traced("stable", seq=4).traced("checkpoint", seq=4)
    replica = play.replica
    assert (replica.executed, replica.stable, replica.fetching_state()) == (4, 4, False)
    assert replica.snapshots[4] == state
    play.receives(cast.request(7)).sends("REPLY", to=1000, seq=7, result=OK)
    play.receives(cast.request(6)).does_nothing()
    play.restarts()
    assert (play.replica.executed, play.replica.stable) == (4, 4)


def test_what_was_decided_above_it_meanwhile_is_executed_on_it(playbook: Make) -> None:
    play, state = offered(playbook)
    decide(play, play.cast.pre_prepare(5, play.cast.request(8)))
    play.not_traced("executed")
    play.after(*play.cast.whole_state(state, 1))
    play.traced("executed", seq=5)


def test_requests_the_new_state_answered_wait_no_longer(playbook: Make) -> None:
    play, state = offered(playbook)
    play.after(play.cast.request(7), play.cast.request(1, client=1001))
    play.after(*play.cast.whole_state(state, 1))
    assert list(play.replica.pending) == [1001]
    play.runs("request", ms=1000)


def test_pages_we_hold_already_are_not_fetched(playbook: Make) -> None:
    """The state differs from ours in one page, and in the client table."""
    state = wide_state(playbook(me=3))
    play = wanting(playbook, state)
    for key, value in Store(state.service).scan():
        play.replica.store.put(key, value)
    play.replica.store.put(b"k0007", b"?" * 115)
    play.replica.transfer = None
    play.replica.start_transfer()
    play.replica.take_effects()
    play.receives(play.cast.state_meta(state, 0)).sends("FETCH_PARTS", to=0, parts=[group(0), group(1)])
    ours = play.replica.store.image().page_digests
    differ = [page(0, i) for i, digest in enumerate(state.service.page_digests) if digest != ours[i]]
    assert len(differ) == 1
    play.receives(play.cast.parts(state, 2, group(0), group(1)))
    play.sends("FETCH_PARTS", to=0, parts=[*differ, page(1, 0)])
    play.receives(play.cast.parts(state, 0, *differ, page(1, 0))).persists("SNAPSHOT").skips()
    assert play.replica.store.get(b"k0007") == b"v" * 115


def test_all_peers_are_asked_at_once_and_each_for_a_little(playbook: Make) -> None:
    state = wide_state(playbook(me=3), 80)
    count = len(state.service.pages)
    assert count > 3 * PARTS_UNDER_WAY
    play = wanting(playbook, state)
    play.receives(play.cast.state_meta(state, 0)).sends("FETCH_PARTS", to=0)
    play.receives(play.cast.parts(state, 0, group(0), group(1)))
    for round_ in range(PARTS_UNDER_WAY // PARTS_A_QUESTION):
        for turn, source in enumerate((0, 1, 2)):
            first = (round_ * 3 + turn) * PARTS_A_QUESTION
            parts = [page(0, i) for i in range(first, first + PARTS_A_QUESTION)]
            play.sends("FETCH_PARTS", to=source, parts=parts)
    next_up = [page(0, i) for i in range(3 * PARTS_UNDER_WAY, 3 * PARTS_UNDER_WAY + 2)]
    play.receives(play.cast.parts(state, 1, page(0, 8), page(0, 9)))
    play.sends("FETCH_PARTS", to=1, parts=next_up)


def test_what_a_dead_source_owes_is_asked_of_the_others_and_the_transfer_goes_on(playbook: Make) -> None:
    state = wide_state(playbook(me=3), 80)
    play = wanting(playbook, state)
    play.receives(play.cast.state_meta(state, 0)).skips()
    transfer = play.replica.transfer
    deaf, asked_of_the_dead, silent_ticks = 0, 0, 0
    for _ in range(400):
        under_way = {r: list(source.asked) for r, source in transfer.sources.items()}
        asked_of_the_dead = max(asked_of_the_dead, len(under_way[deaf]))
        alive = [(r, asked) for r, asked in under_way.items() if r != deaf and asked]
        if alive:
            replica, asked = alive[0]
            play.receives(play.cast.parts(state, replica, *asked[:PARTS_A_QUESTION])).skips()
        else:
            play.fires("status").skips()
            silent_ticks += 1
            assert silent_ticks < 2 or len(transfer.sources[deaf].asked) <= 1, (
                "no more is asked of the silent"
            )
        if play.replica.stable == 4:
            break
    assert play.replica.stable == 4
    assert asked_of_the_dead > 1


def test_a_larger_page_is_fetched_in_pieces_each_proved_when_it_comes(playbook: Make) -> None:
    large = b"x" * PIECE_BYTES + b"y" * PIECE_BYTES + b"z"
    state = playbook(me=3).cast.state(4, {1000: (7, OK)}, k=large)
    number = next(i for i, data in enumerate(state.service.pages) if data)
    play = wanting(playbook, state)
    cast = play.cast
    play.after(cast.state_meta(state, 0), cast.parts(state, 1, group(0), group(1), page(1, 0)))
    play.receives(cast.parts(state, 2, page(0, number)))
    pieces = [piece(0, number, i) for i in range(3)]
    play.sends("FETCH_PARTS", to=0, parts=pieces)
    lie = Part(pieces[1], b"y" * (PIECE_BYTES - 1) + b"!")
    play.receives(cast.state_parts(4, 2, lie)).rejects(
        "STATE-PARTS", f"PIECE {number} is not the one proved", 2
    )
    play.receives(cast.parts(state, 1, pieces[0]), cast.parts(state, 1, pieces[2])).does_nothing()
    play.receives(cast.parts(state, 1, pieces[1])).persists("SNAPSHOT").skips()
    assert play.replica.store.get(b"k") == large


def test_what_came_for_an_offer_is_of_use_for_the_next_one(playbook: Make) -> None:
    """The state moves on while it is fetched: only what changed is asked for anew."""
    first = wide_state(playbook(me=3))
    play = wanting(playbook, first)
    later_store = Store(first.service)
    later_store.put(b"k0003", b"?" * 115)
    later = take_snapshot(8, later_store.image(), first.clients)
    changed = [i for i, data in enumerate(later.service.pages) if data != first.service.pages[i]]
    assert len(changed) == 1
    messages = play.cast.whole_state(first, 1)
    play.after(play.cast.state_meta(first, 1), *messages[:-5])
    rest = page(1, 0)
    play.receives(play.cast.state_meta(later, 0)).sends("FETCH_PARTS", to=0, parts=[group(0), rest])
    play.receives(play.cast.parts(later, 0, group(0)))
    missing = [page(0, i) for i in range(56, 60)]
    wanted = sorted({*missing, page(0, changed[0])})
    play.sends("FETCH_PARTS", to=0, parts=wanted)
    play.receives(play.cast.parts(later, 0, *wanted, rest)).persists("SNAPSHOT").skips()
    assert play.replica.stable == 8


def test_what_is_kept_of_many_offers_is_bounded(playbook: Make) -> None:
    """A state that changes whole from offer to offer, none of which is ever completed."""
    play = wanting(playbook, wide_state(playbook(me=3)))
    for seq in range(8, 80, 4):
        state = wide_state(play, seq=seq, fill=bytes([seq]))
        play.fires("status").skips()
        play.after(play.cast.state_meta(state, 1), *play.cast.whole_state(state, 1)[:-1])
    transfer = play.replica.transfer
    assert transfer.offer.seq == 76
    limit = 3 * (len(state.service.pages) + 1)
    assert max(map(len, (transfer.pages, transfer.groups, transfer.lists, transfer.pieces))) <= limit
    assert len(transfer.wanted) == 1


# ---------------------------------------------------------------- lies


def test_forged_offers_are_rejected(playbook: Make) -> None:
    state = some_state(playbook(me=3))
    play = wanting(playbook, state)
    cast = play.cast
    other = cast.state(4, {}, k=b"other")
    proof = cast.proof(4, state.digest)
    forged = replace(proof[0], raw=proof[0].raw[:-64] + proof[1].raw[-64:])
    longer = replace(state, clients=other.service)
    for reason, meta in [
        ("2 CHECKPOINTs", cast.state_meta(state, 1, proof[:2])),
        ("0 CHECKPOINTs", cast.state_meta(state, 1, ())),
        ("replica 0 did not sign", cast.state_meta(state, 1, (forged, *proof[1:]))),
        ("among those for 4", cast.state_meta(state, 1, cast.proof(8, state.digest))),
        ("not those of the proof", cast.state_meta(other, 1, proof)),
        ("not those of the proof", cast.state_meta(longer, 1, proof)),
    ]:
        play.receives(meta).rejects("STATE-META", reason, sender=1)
        play.fires("status").skips()
    play.receives(cast.state_meta(state, 0)).sends("FETCH_PARTS", to=0).skips()


def test_a_source_that_floods_offers_is_not_listened_to_until_the_next_tick(playbook: Make) -> None:
    """Each costs a quorum of signatures to check."""
    state = some_state(playbook(me=3))
    play = wanting(playbook, state)
    lie = play.cast.state_meta(state, 1, play.cast.proof(8, state.digest))
    for _ in range(OFFERS_A_TICK):
        play.receives(lie).rejects("STATE-META", "among those for 4", sender=1)
    play.receives(lie, lie, play.cast.state_meta(state, 1)).does_nothing()
    play.receives(play.cast.state_meta(state, 2)).sends("FETCH_PARTS", to=2).skips()


def test_a_liar_is_asked_no_more_and_others_for_what_it_owes(playbook: Make) -> None:
    play, state = offered(playbook)
    cast = play.cast
    lie = cast.state_parts(4, 0, Part(page(0, 0), state.service.pages[1]))
    play.receives(lie).rejects("STATE-PARTS", "PAGE 0 is not the one proved", sender=0)
    play.sends("FETCH_PARTS", to=1, parts=[page(0, 0), page(0, 1), page(1, 0)])
    play.receives(lie, cast.parts(state, 0, page(0, 0))).does_nothing()
    play.receives(cast.parts(state, 1, page(0, 0), page(0, 1), page(1, 0))).persists("SNAPSHOT").skips()


def test_when_all_have_lied_all_are_asked_again(playbook: Make) -> None:
    """At most f are liars; but a state must not stay behind for a mistake of ours."""
    play, _ = offered(playbook)
    for by in (0, 1, 2):
        play.receives(play.cast.state_parts(4, by, Part(page(0, 0), b"?"))).rejects("STATE-PARTS").skips()
    assert not any(source.lied for source in play.replica.transfer.sources.values())


def test_forged_parts_of_every_kind_are_rejected(playbook: Make) -> None:
    digests = b"d" * 32
    for lie in (
        Part(group(0), digests * 2),
        Part(group(0), digests),
        Part(group(1), b""),
        Part(group(1), digests * 256),
    ):
        state = some_state(playbook(me=3))
        play = wanting(playbook, state)
        play.after(play.cast.state_meta(state, 1))
        play.receives(play.cast.state_parts(4, 1, lie)).rejects("STATE-PARTS", "GROUP").skips()
    for lie in (
        Part(page(0, 0), b""),
        Part(Address(PartKind.PIECES, 0, 0), digests * 2),
        Part(Address(PartKind.PIECES, 0, 0), digests),
        Part(Address(PartKind.PIECES, 0, 1), b""),
    ):
        play, _ = offered(playbook)
        play.receives(play.cast.state_parts(4, 1, lie)).rejects("STATE-PARTS", sender=1).skips()


def test_parts_nobody_wants_do_nothing(playbook: Make) -> None:
    play, state = offered(playbook)
    cast = play.cast
    for stray in (page(0, 2), page(0, 2**32 - 1), group(0, 5), piece(0, 0, 0), piece(0, 1, 65535)):
        play.receives(cast.state_parts(4, 1, Part(stray, b"x"))).does_nothing()
    play.receives(cast.state_parts(8, 1, Part(page(0, 0), b"x"))).does_nothing()
    play.receives(cast.parts(state, 1, page(0, 0)), cast.parts(state, 1, page(0, 0))).does_nothing()
    assert len(play.replica.transfer.wanted) == 2
