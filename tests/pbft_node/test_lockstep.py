"""The driver that is told everything: its protocol, what a kill costs, and what stops it. Real processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from driven import MS, NONCE, Driven, beginning, genesis, place

from pbft_node import assembly, wal
from pbft_node.config import load_replica
from pbft_node.core.client import Client
from pbft_node.core.effects import Effect, Halt, Send
from pbft_node.core.events import Event, Received, Started
from pbft_node.lockstep_wire import (
    BEGIN,
    END_TURN,
    FIRE_DUE,
    HEADER,
    MAX_BODY_BYTES,
    NO_TIMER,
    NOT_RECOVERED,
    RECEIVED,
    SEND,
    SETTLE,
    SETTLED,
    TURN_ENDED,
    Frame,
    WireError,
    frame,
    frames,
)
from pbft_node.trace import TraceFile
from pbft_node.turns import Turns

Live = Callable[..., Driven]
SECOND = 1_000_000_000


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    made: list[Driven] = []

    def begin(config: Path | None = None, **options: int) -> Driven:
        made.append(Driven(config or place(tmp_path), **options))
        return made[-1]

    yield begin
    for one in made:
        one.kill()


def request(number: int) -> bytes:
    """The bytes of a client's request to the primary."""
    made = genesis()
    client = Client(made.cluster, 1000 + number, made.client_keyring(0))
    operation = b"\x00\x03put\x00\x01k\x00\x01v"
    sends = [effect for effect in client.invoke(operation, 0) if isinstance(effect, Send)]
    return sends[0].data


LATER = 20 * SECOND
SCRIPT: tuple[tuple[bytes, ...], ...] = (
    (beginning(), frame(END_TURN, MS)),
    (frame(RECEIVED, 2 * MS, request(0)), frame(RECEIVED, 3 * MS, b"noise"), frame(END_TURN, 4 * MS)),
    (
        frame(FIRE_DUE, 20 * SECOND),
        frame(RECEIVED, 20 * SECOND, request(1)),
        frame(END_TURN, 20 * SECOND + 1),
    ),
)


def test_the_same_words_give_the_same_bytes_and_those_of_turns_in_this_process(
    live: Live, tmp_path: Path
) -> None:
    heard: list[list[Frame]] = []
    files = []
    for name in ("first", "second"):
        driven = live(place(tmp_path / name))
        heard.append([])
        for turn in SCRIPT:
            driven.say(*turn)
            heard[-1] += driven.answer()
        files.append(driven.files())
    heard.append(in_this_process(tmp_path / "turns"))
    folder = tmp_path / "turns/replicas/0"
    files.append(((folder / "wal").read_bytes(), (folder / "trace.jsonl").read_bytes()))
    assert heard[0] == heard[1] == heard[2]
    assert files[0] == files[1] == files[2]
    assert [kind for kind, _, _ in heard[0]].count(TURN_ENDED) == 3
    assert sum(kind == SEND for kind, _, _ in heard[0]) >= 9, "PRE-PREPAREs and STATUS to three peers"
    assert b"pre-prepare" in files[0][1]


def in_this_process(folder: Path) -> list[Frame]:
    config = load_replica(place(folder))
    opened = wal.open_log(config.log, config.cluster.cluster_id, config.replica, config.durability)
    assert config.trace is not None
    trace = TraceFile(config.trace)
    turns = Turns(assembly.make_replica(config, print), opened.log, trace)
    heard: list[Frame] = []
    for words in SCRIPT:
        data = [b"".join(words), b""]
        for kind, now_ns, body in frames(lambda data=data: data.pop(0)):
            if kind == BEGIN:
                turns.step(Started(opened.records, 5, NONCE), now_ns)
            elif kind == RECEIVED:
                turns.step(Received(body), now_ns)
            elif kind == FIRE_DUE:
                turns.fire_due(now_ns)
            else:
                heard += [(SEND, int(send.to), send.data) for send in turns.finish(now_ns)]
                due_ns = turns.next_due_ns()
                heard.append((TURN_ENDED, NO_TIMER if due_ns is None else due_ns, NOT_RECOVERED))
    opened.log.close()
    trace.close()
    return heard


def test_a_kill_between_deliveries_loses_what_was_not_synced_and_nothing_else(
    live: Live, tmp_path: Path
) -> None:
    driven = live()
    driven.begin()
    driven.say(frame(RECEIVED, 2 * MS, request(0)), frame(END_TURN, 2 * MS))
    driven.answer()
    synced = driven.files()
    assert b"pre-prepare" in synced[1]
    driven.say(frame(RECEIVED, 3 * MS, request(1)), frame(SETTLE, 0))
    assert driven.answer(SETTLED) == [(SETTLED, 0, b"")], "nothing leaves before the turn ends"
    driven.kill()
    assert driven.files() == synced

    again = live(tmp_path / "replicas/0/config.json")
    again.begin(SECOND)
    assert f"{records(synced[0])} records in its log" in again.said()
    again.say(frame(RECEIVED, 2 * SECOND, request(1)), frame(END_TURN, 2 * SECOND))
    again.answer()
    log, trace = again.files()
    assert log.startswith(synced[0])
    assert trace.startswith(synced[1])
    assert len(log) > len(synced[0]), "and at the end of a turn it is there"


def records(log: bytes) -> int:
    return log.count(wal.MARKER)


BEGUN = beginning(MS)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (BEGUN[:20], "the connection ended 20 bytes into a frame"),
        (frame(99, 0), "unknown kind 99"),
        (frame(SEND, 0), "unknown kind 11"),
        (HEADER.pack(MAX_BODY_BYTES + 1, RECEIVED, 0), "says it has 65537 bytes"),
        (frame(RECEIVED, 0, b"x"), "kind 2 before BEGIN"),
        (frame(END_TURN, 0), "kind 4 before BEGIN"),
        (BEGUN + BEGUN, "kind 1 after BEGIN"),
        (BEGUN + frame(RECEIVED, 5, b"x"), "the time went back from 1000000 ns to 5 ns"),
        (frame(BEGIN, -7), "the time went back"),
        (frame(BEGIN, 0, b"short"), "has 5 bytes, and 24 belong there"),
        (BEGUN + frame(END_TURN, MS, b"x"), "has 1 bytes, and 0 belong there"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_words_that_are_none_end_it_with_a_sentence(live: Live, words: bytes, why: str) -> None:
    driven = live()
    driven.say(words)
    driven.socket.shutdown(1)
    assert driven.ended() == 4
    assert why in driven.said()
    assert "Traceback" not in driven.said()


def test_it_stops_when_the_connection_is_closed(live: Live) -> None:
    driven = live()
    driven.begin()
    driven.socket.close()
    assert driven.ended() == 0
    assert "the harness closed the connection" in driven.said()


def test_a_harness_that_does_not_hear_the_answer_is_gone(live: Live) -> None:
    driven = live()
    driven.say(beginning(), frame(END_TURN, MS))
    driven.answer()
    driven.socket.shutdown(0)
    driven.say(frame(END_TURN, 2 * MS))
    assert driven.ended() == 4
    assert "the connection to the harness broke: Broken pipe" in driven.said()


class Planted:
    """A core that does as the test says."""

    rule: Callable[[Event], list[Effect]] = staticmethod(lambda event: [])

    def handle(self, event: Event, now_ns: int) -> list[Effect]:
        return self.rule(event)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Planted:
    made = Planted()
    monkeypatch.setattr(assembly, "make_replica", lambda config, report: made)
    return made


def test_megabytes_both_ways_through_small_buffers(live: Live, planted: Planted) -> None:
    """Each turn is told 12 MB and answers 36 MB: more than any buffer, so whoever wrote while the other did
    would stand there for ever."""
    planted.rule = lambda event: [Send(to, event.data) for to in (1, 2, 3)] if type(event) is Received else []
    driven = live(buffer_bytes=4096)
    driven.begin()
    datagrams = [b"%05d" % number * 12_000 for number in range(200)]
    for turn in (1, 2):
        driven.say(*(frame(RECEIVED, turn * SECOND, data) for data in datagrams))
        driven.say(frame(END_TURN, turn * SECOND))
        answer = driven.answer()
        assert [body for kind, to, body in answer if kind == SEND and to == 2] == datagrams
        assert answer[-1] == (TURN_ENDED, NO_TIMER, NOT_RECOVERED)


def test_a_bug_ends_it_at_the_end_of_the_turn_and_not_before(live: Live, planted: Planted) -> None:
    def rule(event: Event) -> list[Effect]:
        assert event != Received(b"poison"), "two digests for one number"
        return []

    planted.rule = rule
    driven = live()
    driven.begin()
    driven.say(frame(RECEIVED, MS, b"poison"), frame(RECEIVED, MS, b"more"), frame(SETTLE, 0))
    assert driven.answer(SETTLED) == [(SETTLED, 0, b"")]
    driven.say(frame(END_TURN, 2 * MS))
    assert driven.ended() == 70
    assert "AssertionError: two digests for one number" in driven.said()


def test_a_halt_and_a_lost_log_end_it_with_3(live: Live, planted: Planted, tmp_path: Path) -> None:
    planted.rule = lambda event: [Halt("it contradicts itself")]
    driven = live()
    driven.say(beginning(), frame(END_TURN, 1))
    assert driven.ended() == 3
    assert "halted: it contradicts itself" in driven.said()
    (tmp_path / "replicas/0/wal").unlink()
    lost = live(tmp_path / "replicas/0/config.json")
    lost.say(beginning(), frame(RECEIVED, 0, b"too early for this one"), frame(END_TURN, 1))
    assert lost.ended() == 3
    assert "the log is missing" in lost.said()


def test_from_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pbft_node", "--lockstep", "0", "--config", str(place(tmp_path))]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    assert done.returncode == 2
    assert "give the number of an inherited stream socket" in done.stderr


def test_frames_are_found_however_they_arrive() -> None:
    sent = [(RECEIVED, 7, b"datagram"), (END_TURN, 2**62, b""), (SEND, -1, bytes(MAX_BODY_BYTES))]
    data = b"".join(frame(*one) for one in sent)
    for step in (1, 5, 13, 1000, len(data)):
        pieces = iter([*(data[at : at + step] for at in range(0, len(data), step)), b""])
        assert list(frames(lambda pieces=pieces: next(pieces))) == sent
    with pytest.raises(WireError, match="3 bytes into a frame"):
        list(frames(iter([data[:3], b""]).__next__))
