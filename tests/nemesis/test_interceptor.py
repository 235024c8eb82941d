"""The interceptor's loop on a kernel of paper: what is let go, fetched, held, reported; what voids a run."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from nemesis.interceptor.channel import Channel
from nemesis.interceptor.interceptor import LISTENERS_NS, Interceptor
from nemesis.interceptor.nfqueue import ACCEPT, DROP, Head, Lost, Waiting, head_of
from nemesis.interceptor.opening import Opening, opening_data, read_opening
from nemesis.packets import registry
from nemesis.packets.chance import Slot
from nemesis.packets.packet import Header, Packet
from nemesis.packets.scene import Order
from nemesis.packets.tamperer import Tampering
from nemesis.packets.trace_tail import TraceTail
from pbft_node.core.cluster import Cluster
from pbft_node.core.frames import MACED, MessageType, header_and_body
from pbft_node.genesis import ClientBlock, make_genesis

HOSTS = {"r0": ("10.77.0.1", 7000), "r1": ("10.77.0.2", 7000), "r2": ("10.77.0.3", 7000),
         "r3": ("10.77.0.4", 7000), "clients": ("10.77.1.1", 7100)}  # fmt: skip
GENESIS = make_genesis(
    Cluster(n=4, service="kv", cluster_id=bytes(16)),
    1,
    [HOSTS[f"r{i}"] for i in range(4)],
    [ClientBlock(1000, 1009, *HOSTS["clients"])],
)


class KillsAtCommit(Tampering):
    """Drops the packet and wants its sender killed."""

    action = "kill-sender"

    def act(self, packet: Packet, header: Header, slot: Slot, now_ns: int) -> Sequence[Packet]:
        self.scene.orders.append(Order("kill", header.sender, "script-1"))
        return ()


class Later(Tampering):
    """Everything twice: at once, and in a millisecond."""

    action = "later"

    def act(self, packet: Packet, header: Header, slot: Slot, now_ns: int) -> Sequence[Packet]:
        return [packet, packet._replace(delay_ns=1_000_000)]


class Listens(Tampering):
    """Answers a trace line with a packet."""

    action = "listens"
    listens = True

    def wants(self, source: str, target: str, type_: int) -> bool:
        return False

    def heard(self, replica: int, event: Mapping[str, object], now_ns: int) -> Sequence[Packet]:
        return [Packet("r0", "r1", str(event["e"]).encode())]


class Paper:
    """Kernel queues and the raw socket: a log of what was asked of them."""

    def __init__(self) -> None:
        self.log: list[tuple[object, ...]] = []
        self.counts: dict[str, int] = {}
        self.seen = self.last = 0
        self.number = 2
        self.arrived: list[Waiting] = []
        self.fetched: list[Waiting] = []
        self._end, self._other = socket.socketpair()

    def come(self, *packets: Packet) -> list[Head]:
        """Their heads."""
        whole = [(self.seen + i, ip(packet)) for i, packet in enumerate(packets, 1)]
        self.seen = self.last = self.seen + len(packets)
        self.arrived += whole
        return [head_of(data) for _, data in whole]

    def read(self) -> Waiting | None:
        return self.fetched.pop(0) if self.fetched else None

    def pass_on(self, packet: int, to: int) -> None:
        self.log.append(("fetch", packet))
        self.fetched += [one for one in self.arrived if one[0] == packet]

    def verdict(self, packet: int, what: int) -> None:
        self.log.append(({ACCEPT: "accept", DROP: "drop"}[what], packet))

    def accept_up_to(self, packet: int) -> None:
        self.log.append(("accept up to", packet))

    def send(self, packet: Packet) -> None:
        self.log.append(("send", packet.source, packet.target, packet.data))

    def fileno(self) -> int:
        return self._end.fileno()

    def close(self) -> None:
        self._end.close()
        self._other.close()


def ip(packet: Packet) -> bytes:
    source, target = HOSTS[packet.source], HOSTS[packet.target]
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    return b"\x45" + bytes(8) + b"\x11" + bytes(2) + addresses + bytes(8) + packet.data


def message(kind: MessageType, source: int, target: int, view: int = 0, seq: int = 1) -> Packet:
    data = header_and_body(kind, MACED, 0, source, view, seq, bytes(32)) + bytes(16)
    return Packet(f"r{source}", f"r{target}", data)


class Stage:
    """An interceptor on paper, and the harness' end of its socket."""

    def __init__(self, traces: Sequence[Path], capture: Path | None = None) -> None:
        ours, theirs = socket.socketpair()
        self.harness = Channel(ours)
        self.paper = Paper()
        data = opening_data(GENESIS, 1, [2], HOSTS, traces, (1, 2), capture)
        paper: Any = self.paper
        self.it = Interceptor(read_opening(data), Channel(theirs), paper, paper, paper)
        self.theirs = theirs

    def rules(self, *rules: Mapping[str, object], owner: str = "drop-1") -> None:
        self.tell({"do": "rules", "owner": owner, "rules": list(rules), "number": 1})

    def tell(self, message: Mapping[str, object]) -> None:
        self.it._told(message, 0)

    def come(self, *packets: Packet) -> list[tuple[object, ...]]:
        """What was done, then."""
        self.paper.log.clear()
        self.it._came(self.paper.come(*packets))
        return self.paper.log

    def said(self) -> list[Mapping[str, object]]:
        return self.harness.receive()

    def close(self) -> None:
        self.it._close()
        self.harness.close()
        self.theirs.close()


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    actions = {**registry.ACTIONS, **{one.action: one for one in (KillsAtCommit, Later, Listens)}}
    monkeypatch.setattr(registry, "ACTIONS", actions)
    made = Stage([tmp_path / f"{i}.jsonl" for i in range(4)], tmp_path / "packets.pcapng")
    yield made
    made.close()


PREPARE, COMMIT = MessageType.PREPARE, MessageType.COMMIT


def test_what_nobody_wants_is_let_go_together(stage: Stage) -> None:
    assert stage.come(*(message(PREPARE, 0, i) for i in (1, 2, 3))) == [("accept up to", 3)]


def test_order_stays_around_a_packet_that_is_wanted(stage: Stage) -> None:
    stage.rules({"action": "drop", "match": {"types": ["COMMIT"], "to": ["r2"]}})
    done = stage.come(
        message(PREPARE, 0, 2), message(COMMIT, 0, 2), message(COMMIT, 0, 1), message(COMMIT, 1, 2)
    )
    assert done == [
        ("accept up to", 1), ("fetch", 2), ("drop", 2), ("accept up to", 3), ("fetch", 4), ("drop", 4),
    ]  # fmt: skip
    assert stage.it.statistics()["touched"] == 2
    assert stage.it.statistics()["untouched"] == 2


def test_wanted_by_its_head_but_not_matched_passes(stage: Stage) -> None:
    stage.rules({"action": "drop", "match": {"seq": [5, 9]}})
    assert stage.come(message(COMMIT, 0, 1, seq=1)) == [("fetch", 1), ("accept", 1)]


def test_the_phase_is_followed_by_heads_alone(stage: Stage) -> None:
    stage.come(message(MessageType.VIEW_CHANGE, 1, 2, view=7))
    assert stage.it.engine.scene.phase.asked == 7
    stage.come(message(PREPARE, 1, 2, view=9))
    assert (stage.it.engine.scene.phase.asked, stage.it.engine.scene.phase.settled) == (7, 0)


@pytest.mark.parametrize("data", [b"", b"x", b"PBFT", bytes(27), bytes(28), b"\xff" * 28, b"\xff" * 60000])
def test_any_bytes_are_survived(stage: Stage, data: bytes) -> None:
    assert stage.come(Packet("r0", "r1", data)) == [("accept up to", 1)]
    stage.rules({"action": "drop"})
    assert stage.come(Packet("r0", "r1", data)) == [("fetch", 2), ("drop", 2)]
    stage.paper.last = 3
    stage.it._came([head_of(b"\x60" + bytes(40))])
    assert stage.paper.log[-1] == ("accept up to", 3)


def test_an_order_holds_what_is_to_and_from_the_replica(stage: Stage) -> None:
    stage.rules({"action": "kill-sender", "match": {"types": ["COMMIT"], "from": ["r1"]}}, owner="script-1")
    stage.said()
    done = stage.come(
        message(COMMIT, 1, 2), message(PREPARE, 1, 3), message(PREPARE, 0, 1), message(PREPARE, 0, 2)
    )
    fetched: list[tuple[object, ...]] = [("fetch", 2), ("fetch", 3), ("fetch", 4), ("accept", 4)]
    assert done == [("fetch", 1), ("drop", 1), *fetched]
    (order,) = stage.said()
    assert order == {"say": "order", "number": 1, "what": "kill", "replica": 1, "owner": "script-1"}
    stage.paper.log.clear()
    stage.tell({"do": "done", "number": 1})
    assert stage.paper.log == [("accept", 2), ("accept", 3)]
    assert stage.come(message(PREPARE, 1, 3)) == [("accept up to", 5)]


def test_an_order_that_nobody_carries_out_voids_the_run(stage: Stage) -> None:
    stage.rules({"action": "kill-sender"}, owner="script-1")
    stage.come(message(COMMIT, 1, 2))
    stage.it._frozen.check(0)
    with pytest.raises(Lost, match="an order about r1"):
        stage.it._frozen.check(10**30)


def test_a_packet_that_does_not_come_whole_voids_the_run(stage: Stage) -> None:
    stage.rules({"action": "drop"})
    heads = stage.paper.come(message(COMMIT, 1, 2))
    stage.paper.arrived.clear()
    with pytest.raises(Lost, match="did not come whole"):
        stage.it._came(heads)


def test_delayed_packets_leave_in_time_and_are_told_of(stage: Stage) -> None:
    stage.rules({"action": "later"})
    packet = message(COMMIT, 0, 1)
    sent = ("send", *packet[:3])
    assert stage.come(packet) == [("fetch", 1), ("drop", 1), sent]
    stage.it._in_time(0)
    assert stage.paper.log[3:] == []
    stage.it._in_time(10**30)
    assert stage.paper.log[3:] == [sent]
    reports = [one for one in stage.said() if one["say"] == "reports"]
    assert reports[-1]["held"] == 0
    stage.come(packet)
    stage.it._report(["drop-1"])
    assert stage.said()[-1]["held"] == 1


def test_rules_come_into_force_and_go_with_their_receipt(stage: Stage) -> None:
    stage.rules({"action": "drop"})
    report, in_force = stage.said()
    assert report["reports"]["drop-1"]["in_force"] is True  # type: ignore[index]
    assert in_force == {"say": "in force", "owner": "drop-1", "number": 1}
    stage.come(message(COMMIT, 0, 1))
    stage.rules()
    report, _ = stage.said()
    gone = report["reports"]["drop-1"]  # type: ignore[index]
    assert (gone["in_force"], gone["matched"]) == (False, 1)
    stage.rules({"action": "dorp"})
    (refused,) = stage.said()
    assert refused["say"] == "refused"
    assert "dorp" in str(refused["reason"])


def test_what_a_rule_knows_is_told_though_it_lets_everything_pass(stage: Stage) -> None:
    """A replay at a restart waits until enough was recorded."""
    stage.rules({"action": "replay", "of": "restart", "match": {}, "every_ns": 10**6, "burst": 1})
    stage.said()
    stage.it._in_time(10**15)
    stage.said()
    assert stage.come(message(COMMIT, 0, 1))[-1] == ("accept", 1)
    stage.it._in_time(10**15 + LISTENERS_NS - 1)
    assert stage.said() == []
    assert stage.it._wake_ns <= 10**15 + LISTENERS_NS
    stage.it._in_time(10**15 + LISTENERS_NS)
    reports = [said["reports"]["drop-1"] for said in stage.said() if said["say"] == "reports"]  # type: ignore[index]
    assert [(one["matched"], one["rules"][0]["recorded"]) for one in reports] == [(0, 1)]


def test_traces_are_heard_before_packets_and_only_from_now_on(stage: Stage, tmp_path: Path) -> None:
    trace = tmp_path / "0.jsonl"
    trace.write_text('{"e": "old"}\n')
    stage.rules({"action": "listens"})
    with trace.open("a") as file:
        file.write('{"e": "new"}\nno json\n{"e": "to')
    assert stage.come(message(COMMIT, 0, 1)) == [("send", "r0", "r1", b"new"), ("accept up to", 1)]
    with trace.open("a") as file:
        file.write('rn"}\n')
    stage.it._in_time(10**30)
    assert stage.paper.log[2:] == [("send", "r0", "r1", b"torn")]


def test_faults_that_listen_are_reported_though_no_packet_was_touched(stage: Stage) -> None:
    stage.rules({"action": "listens"}, owner="script-1")
    stage.rules({"action": "drop", "match": {"to": ["r3"]}})
    stage.said()
    for now_ns in (10**30, 10**30 + 50_000_000, 10**30 + 100_000_000):
        stage.it._in_time(now_ns)
        said = [list(one["reports"]) for one in stage.said() if one["say"] == "reports"]  # type: ignore[call-overload]
        assert said == ([] if now_ns == 10**30 + 50_000_000 else [["script-1"]])
    assert stage.it._wake_ns <= 10**30 + 200_000_000


def test_a_torn_line_that_a_restarted_replica_cuts_off_is_forgotten(tmp_path: Path) -> None:
    trace = tmp_path / "0.jsonl"
    trace.write_text('{"e": "one"}\n{"e": "tor')
    tail = TraceTail(trace)
    assert [one["e"] for one in tail.lines()] == ["one"]
    os.truncate(trace, len('{"e": "one"}\n'))
    assert list(tail.lines()) == []
    with trace.open("a") as file:
        file.write('{"e": "started"}\n')
    assert [one["e"] for one in tail.lines()] == ["started"]
    tail.close()


def test_what_was_done_is_captured(stage: Stage, tmp_path: Path) -> None:
    stage.rules({"action": "drop"})
    stage.come(message(COMMIT, 0, 1))
    assert b"dropped | drop-1/0 drop" in (tmp_path / "packets.pcapng").read_bytes()


def test_only_compromised_keys_are_handed_over() -> None:
    data = opening_data(GENESIS, 1, [2], HOSTS, [], (1, 2), None)
    text = str(data)
    for replica, secret in enumerate(GENESIS.replica_secrets):
        assert (secret.sign.hex() in text) is (replica == 2)
        assert (secret.exchange.hex() in text) is (replica == 2)
    assert GENESIS.client_secrets[0].sign.hex() not in text
    opening: Opening = read_opening(data)
    assert list(opening.scene.signers) == [2]
    assert opening.scene.cluster == GENESIS.cluster
    frame = opening.scene.signers[2].seal.signed(MessageType.CHECKPOINT, 0, 4, bytes(32))
    assert GENESIS.replica_keyring(1).verify(2, *signed(frame))


def signed(frame: bytes) -> tuple[bytes, bytes]:
    """What is signed of a frame, and the signature."""
    return b"traitor-pbft/1/signed\0" + GENESIS.cluster.cluster_id + frame[:-64], frame[-64:]


def test_what_rules_import_when_they_act_is_known_before() -> None:
    alter = {"action": "alter", "replicas": [1], "match": {"types": ["COMMIT"]}, "set": {"view": "+1"}}
    assert registry.imports_of([{"action": "drop"}, {"action": "dorp"}, 7, {"action": []}]) == frozenset()
    assert registry.imports_of([{"action": "script", "script": {"stages": [{"then": [alter]}]}}]) == {
        "nemesis.lies.alteration"
    }


def test_what_passed_before_is_wanted_when_rules_say_so(stage: Stage) -> None:
    packet = message(COMMIT, 0, 1)
    assert stage.come(packet, packet) == [("accept up to", 2)]
    assert stage.come(packet) == [("accept up to", 3)]
    stage.rules({"action": "drop"})
    assert stage.come(packet) == [("fetch", 4), ("drop", 4)]
    stage.rules()
    assert stage.come(packet) == [("accept up to", 5)]


def test_what_passed_before_is_held_while_an_order_is_carried_out(stage: Stage) -> None:
    stage.rules({"action": "kill-sender", "match": {"types": ["COMMIT"], "from": ["r1"]}}, owner="script-1")
    passing, wanted = message(PREPARE, 1, 3), message(COMMIT, 1, 2)
    assert stage.come(passing, passing) == [("accept up to", 2)]
    assert stage.come(passing, wanted, passing) == [
        ("accept up to", 3), ("fetch", 4), ("drop", 4), ("fetch", 5),
    ]  # fmt: skip
    stage.tell({"do": "done", "number": 1})
    assert stage.paper.log[-1] == ("accept", 5)


def test_heads_that_pass_are_remembered_within_a_bound(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nemesis.interceptor.interceptor.MOST_PASSING", 2)
    for view in range(5):
        stage.come(message(MessageType.PRE_PREPARE, 0, 1, view=view), message(PREPARE, 0, 1, view=view))
        assert stage.it.engine.scene.phase.settled == view
        assert len(stage.it._passing) <= 2
