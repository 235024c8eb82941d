"""Memory does not grow with what a liar says: everything a replica keeps is counted, object by object.

The liar (replica 2, client 1666, both with good keys) sends one kind of garbage for a long time; what the
replica keeps after a third of it must be about what it keeps at the end. Every kind is new each time: other
views, numbers, digests, timestamps.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import pytest
from hostility import LYING_CLIENT, hostile
from memory_cluster import MemoryCluster
from playbook import Playbook

from pbft_node.core.cluster import MILLISECOND_NS
from pbft_node.core.digests import digest_of
from pbft_node.core.events import Received
from pbft_node.core.frames import MessageType
from pbft_node.core.types import Digest

Make = Callable[..., Playbook]
LIAR = 2
ROUNDS = 800


def kept_bytes(root: object) -> int:
    """Of everything reachable from an object's fields; classes, functions and modules are nobody's data."""
    seen: set[int] = set()
    waiting, total = [root], 0
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, type | Callable | type(sys)):  # type: ignore[arg-type]
            continue
        seen.add(id(found))
        total += sys.getsizeof(found)
        waiting.extend(parts(found))
    return total


def parts(found: object) -> Iterable[object]:
    if isinstance(found, dict):
        return [*found.keys(), *found.values()]
    if isinstance(found, list | tuple | set | frozenset):
        return list(found)
    own = list(vars(found).values()) if hasattr(found, "__dict__") else []
    slots = [name for kind in type(found).__mro__ for name in getattr(kind, "__slots__", ())]
    return own + [getattr(found, name) for name in slots if hasattr(found, name)]


def lie(number: int) -> Digest:
    return digest_of(b"lie", b"%d" % number)


def view_changes(play: Playbook, number: int) -> list[bytes]:
    cast = play.cast
    certificate = cast.certificate(cast.pre_prepare(1 + number % 8, cast.request(number + 1)))
    return [cast.view_change(number + 1, LIAR, certificate).raw]


def new_views(play: Playbook, number: int) -> list[bytes]:
    view = 4 * number + 2
    changes = [play.cast.view_change(view, by) for by in (0, 1, 2)]
    return [play.cast.new_view(view, *changes, order=[play.cast.pre_prepare(9, view=view)]).raw]


def proposals(play: Playbook, number: int) -> list[bytes]:
    from members import wire

    batch = [play.cast.request(number + 1, b"put", b"k", b"v" * 1000, client=LYING_CLIENT)]
    own = play.cast.pre_prepare(number + 1, *batch, view=4 * number + 2)
    return [wire(own), wire(play.cast.pre_prepare(number + 1, *batch, view=0, by=LIAR))]


def votes(play: Playbook, number: int) -> list[bytes]:
    seal = lambda kind, view, seq: play.cast.sealed(LIAR, kind, view, seq, lie(number))  # noqa: E731
    kinds = (MessageType.PREPARE, MessageType.COMMIT)
    found = [seal(kind, view, number % 50) for kind in kinds for view in (0, number)]
    return [*found, seal(MessageType.DECIDED, 0, number), seal(MessageType.CHECKPOINT, 0, 4 * (number % 40))]


def questions(play: Playbook, number: int) -> list[bytes]:
    cast = play.cast
    status = cast.status(LIAR, view=number, executed=number, slots=bytes(number % 64), suspects=True)
    nonce = lie(number)[:16]
    return [
        status,
        cast.fetch_batch(lie(number), LIAR),
        cast.fetch_state(LIAR, number),
        cast.sealed(LIAR, MessageType.QUERY_VIEW, number % 5, 0, nonce),
        cast.sealed(LIAR, MessageType.TELL_VIEW, number, number, nonce),
    ]


def answers(play: Playbook, number: int) -> list[bytes]:
    cast = play.cast
    return [cast.batch_body(LIAR, cast.request(number + 1)), cast.decided(LIAR, number % 8 + 1, lie(number))]


def fragments(play: Playbook, number: int) -> list[bytes]:
    count = 2 + number % 100
    return [play.cast.fragment(LIAR, b"x" * 500, number % count, count, lie(number // 3))]


def requests(play: Playbook, number: int) -> list[bytes]:
    """One client: its latest counts, whether the signature is good or not."""
    good = play.cast.request(number + 1, b"put", b"k", b"v" * (number % 3000), client=LYING_CLIENT)
    return [good.raw, play.cast.request(number + 1, client=LYING_CLIENT, by=LIAR).raw]


GARBAGE = [view_changes, new_views, proposals, votes, questions, answers, fragments, requests]


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda found: found.__name__)
def test_one_kind_of_garbage(playbook: Make, garbage: Callable[[Playbook, int], list[bytes]]) -> None:
    play = playbook(me=3)
    play.after(play.cast.request(), play.cast.pre_prepare(1, play.cast.request()))
    sizes = []
    for number in range(3 * ROUNDS):
        if number % ROUNDS == 0:
            sizes.append(kept_bytes(play.replica))
        for data in garbage(play, number):
            play.replica.handle(Received(data), play.now_ns)
        play.now_ns += 20 * MILLISECOND_NS
    sizes.append(kept_bytes(play.replica))
    assert sizes[3] < 1.1 * sizes[1] + 20_000, f"{garbage.__name__}: {sizes}"


def test_it_would_show(playbook: Make) -> None:
    """What is counted above includes what hides behind slots, tuples and dictionaries."""
    play = playbook(me=3)
    before = kept_bytes(play.replica)
    play.replica.peers[LIAR] = ("x" * 50_000,)
    play.replica.reassembly._pieces[LIAR] = {(b"", 0): {0: bytes(70_000)}}
    assert kept_bytes(play.replica) - before > 120_000


def test_a_cluster_at_work_under_all_of_it() -> None:
    """Real traffic spoiled, replayed and recombined by the liar, while a client works."""
    cluster = MemoryCluster(3)
    sizes = []
    for step in range(90):
        if step % 30 == 0:
            sizes.append(max(kept_bytes(cluster.replica(index)) for index in range(3)))
        for _ in range(20):
            to = cluster.random.randrange(3)
            cluster.carry_out(
                to, cluster.replica(to).handle(Received(hostile(cluster, cluster.random, to)), cluster.now_ns)
            )
        cluster.call(0, b"put", b"k%d" % (step % 5), b"v")
        cluster.sent = cluster.sent[-400:]
    sizes.append(max(kept_bytes(cluster.replica(index)) for index in range(3)))
    assert sizes[3] < 1.5 * sizes[1] + 100_000, sizes
