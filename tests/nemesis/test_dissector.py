"""The layers against the cluster's own codec, on every datagram of runs with view changes and state transfer.

Building what was dissected is asked for with every cache cleared and every length and count worked out anew:
scapy would answer with the bytes it was given, otherwise.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.plan import make_plan
from harness.plan_file import write_plan
from harness.spec import make_spec
from harness.topology import CLIENT_PORT, REPLICA_PORT
from harness.virtual.virtual_run import run_virtual
from pbft_node.core import codec, messages
from pbft_node.core.cluster import Cluster
from pbft_node.core.events import Received
from pbft_node.core.frames import MessageType, peek
from pbft_node.core.seal import Seal
from pbft_node.genesis import ClientBlock, make_genesis
from pbft_node.journal_reader import read_journal

if TYPE_CHECKING:
    from scapy.packet import Packet

QUICK = {"request_timeout": "200ms", "view_change_timeout": "200ms"}
SMALL = {"K": 4, "L": 8, **QUICK}
COUNTS = ("length", "proof_count", "prepared_count", "prepares_count", "view_changes_count",
          "pre_prepares_count", "requests_count", "data_length")  # fmt: skip


def datagrams(folder: Path, seed: int, rate: int, cluster: dict[str, object]) -> set[bytes]:
    """All that replicas received in a run with kills, partitions and pauses."""
    asked = {
        "world": "sim", "workload": {"name": "kv", "keys": 6}, "time": 2, "rate": rate, "clients": 3,
        "faults": ["kill", "partition", "pause"], "cluster": cluster,
    }  # fmt: skip
    folder.mkdir()
    write_plan(make_plan(make_spec(asked), seed), folder)
    assert run_virtual(folder, True) == 0
    return {
        entry.event.data
        for replica in range(4)
        for life in read_journal(folder / "replicas" / str(replica) / "journal").lives
        for entry in life.entries()
        if isinstance(entry.event, Received)
    }


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    place = tmp_path_factory.mktemp("runs")
    found = datagrams(place / "hybrid", 3, 30, SMALL)
    found |= datagrams(place / "sign", 4, 60, {**SMALL, "auth": "sign", "client_auth": "mac"})
    found |= datagrams(place / "wide", 3, 30, {"K": 128, "L": 256, **QUICK})
    return sorted(found)


def rebuilt(data: bytes) -> bytes:
    from nemesis.dissector import PBFT

    return built_again(PBFT(data))


def built_again(layer: Packet) -> bytes:
    for one in layers(layer):
        one.raw_packet_cache = None
        for name in COUNTS:
            if name in one.fields:
                one.fields[name] = None
    return bytes(layer)


def layers(layer: Packet) -> Iterator[Packet]:
    """It, its payloads, and everything nested in them."""
    from scapy.packet import NoPayload, Packet

    while isinstance(layer, Packet) and not isinstance(layer, NoPayload):
        yield layer
        for value in layer.fields.values():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, Packet):
                    yield from layers(one)
        layer = layer.payload


def test_every_message_of_real_runs(real: list[bytes]) -> None:
    """Its fields are what the codec says, all is understood, and it is built again."""
    from scapy.packet import Raw

    from nemesis.dissector import PBFT

    missing = {MessageType.REPLY, MessageType.FRAGMENT, MessageType.QUERY_VIEW, MessageType.TELL_VIEW}
    assert {peek(data)[0] for data in real} >= {int(kind) for kind in MessageType} - missing
    for data in real:
        message, frame = codec.decode(data)
        layer = PBFT(data)
        assert (layer.type, layer.sender, layer.view, layer.seq, layer.tag) == (
            frame.type, frame.sender, frame.view, frame.seq, frame.tag,
        )  # fmt: skip
        fields_are_right(layer, message)
        assert not [one for one in layers(layer) if isinstance(one, Raw)], "something is not understood"
        assert built_again(layer) == data


def fields_are_right(layer: Packet, message: messages.Message) -> None:
    match message:
        case messages.PrePrepare():
            assert layer.body.digest == message.digest
            assert [one.body.operation for one in layer.payload.requests] == [
                request.operation for request in message.batch.requests
            ]
            assert layer.payload.time_ns == message.batch.time_ns
        case messages.Prepare() | messages.Commit() | messages.Checkpoint() | messages.Decided():
            assert layer.body.digest == message.digest
        case messages.ViewChange():
            assert [one.sender for one in layer.body.proof] == [
                one.replica for one in message.checkpoint_proof
            ]
            assert [[vote.sender for vote in one.prepares] for one in layer.body.prepared] == [
                [vote.replica for vote in one.prepares] for one in message.prepared
            ]
        case messages.NewView():
            assert [bytes(one) for one in layer.body.view_changes] == [
                one.raw for one in message.view_changes
            ]
            assert [one.body.digest for one in layer.body.pre_prepares] == [
                one.digest for one in message.pre_prepares
            ]
        case messages.Status():
            assert (layer.body.executed, layer.body.slots, tuple(layer.body.view_changes)) == (
                message.executed, message.slots, message.view_changes,
            )  # fmt: skip
        case messages.StateParts():
            assert [(one.kind, one.number, one.data) for one in layer.body.parts] == [
                (one.address.kind, one.address.number, one.data) for one in message.parts
            ]


def seal_of(replica: int) -> Seal:
    cluster = Cluster(n=4, service="kv", cluster_id=bytes(16))
    addresses = [(f"10.0.0.{i + 1}", 7000) for i in range(4)]
    genesis = make_genesis(cluster, 1, addresses, [ClientBlock(1000, 1999, "10.0.1.1", 7100)])
    return Seal(cluster, replica, genesis.replica_keyring(replica))


def rare() -> list[bytes]:
    """What replicas do not receive in such runs."""
    seal = seal_of(2)
    return [
        seal.reply(1003, 4, 17, b"result"),
        seal.reply(1003, 4, 17, b"result", whole=False),
        seal.read_reply(1003, 4, 17, 900, b""),
        seal.read_reply(1003, 4, 17, 900, b"result", whole=False),
        *seal.for_peers([1], MessageType.QUERY_VIEW, 3, 0, bytes(16)),
        *seal.for_peers([1], MessageType.TELL_VIEW, 3, 8, bytes(16)),
        *seal.for_peers([1], MessageType.FETCH_STATE, 0, 8, b""),
    ]


def test_rare_ones() -> None:
    from nemesis.dissector import PBFT, PBFTReply

    for data in rare():
        codec.decode(data)
        assert rebuilt(data) == data
    whole, digest, read, both = (PBFT(data)[PBFTReply] for data in rare()[:4])
    assert (whole.client, whole.result, whole.state, whole.result_digest) == (1003, b"result", None, None)
    assert (digest.result, len(digest.result_digest)) == (None, 32)
    assert (read.state, read.result, both.state, both.result) == (900, b"", 900, None)


def test_pieces_are_put_together() -> None:
    from nemesis.dissector import PBFT, PBFTNewView, whole

    seal = seal_of(1)
    orders = [
        codec.decode_pre_prepare(seal.signed(MessageType.PRE_PREPARE, 1, seq, bytes(32)))
        for seq in range(1, 600)
    ]
    big = seal.signed(MessageType.NEW_VIEW, 1, 0, codec.encode_new_view([], orders))
    pieces = seal.fragments(2, big)
    assert len(pieces) == 2
    assert all(rebuilt(piece) == piece for piece in pieces)
    vote = rare()[4]
    again = list(whole([PBFT(pieces[1]), PBFT(vote), PBFT(pieces[0])]))
    assert [bytes(one) for one in again] == [vote, big]
    assert len(again[1][PBFTNewView].pre_prepares) == 599
    assert rebuilt(big) == big


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_hostile_bytes_are_only_bytes(real: list[bytes], data: st.DataObject) -> None:
    """Real messages, cut, joined, with bytes changed in them (those of counts and lengths above all)."""
    from nemesis.dissector import PBFT

    sample = bytearray(data.draw(st.sampled_from([*real[:: len(real) // 60], *rare()])))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, min(len(sample), 120) - 1))
        sample[at] = data.draw(st.sampled_from([0, 1, 2, 3, 255, sample[at] ^ 1]))
    sample = sample[: data.draw(st.integers(1, len(sample)))] if data.draw(st.booleans()) else sample
    sample += data.draw(st.binary(max_size=40))
    hostile = bytes(sample)
    layer = PBFT(hostile)
    layer.clear_cache()
    assert bytes(layer) == hostile
    assert layer.summary()
    assert layer.show(dump=True)


@given(st.binary(min_size=1, max_size=200))
def test_any_bytes(hostile: bytes) -> None:
    from nemesis.dissector import PBFT

    layer = PBFT(hostile)
    layer.clear_cache()
    assert bytes(layer) == hostile


def test_messages_can_be_made_from_nothing() -> None:
    from nemesis.dissector import PBFT, PBFTBatch, PBFTPrePrepare, PBFTRequest

    request = PBFT(type="REQUEST", auth=1, sender=1001, seq=5, body=PBFTRequest(operation=b"get"))
    order = PBFT(type="PRE_PREPARE", auth=1, sender=0, seq=7, body=PBFTPrePrepare(digest=bytes(range(32))))
    made = bytes(order / PBFTBatch(time_ns=3, requests=[request, request]))
    again = PBFT(made)
    assert (again.length, again.payload.requests_count) == (32, 2)
    assert [one.body.operation for one in again.payload.requests] == [b"get", b"get"]
    assert codec.decode(bytes(order))[0].digest == bytes(range(32))
    assert codec.decode(bytes(request))[0].operation == b"get"


def test_the_ports_are_those_of_runs() -> None:
    from nemesis.dissector import PORTS

    assert PORTS == (REPLICA_PORT, CLIENT_PORT)


def test_in_a_shell_on_a_capture(tmp_path: Path) -> None:
    half = {"kind": "drop", "params": {"match": {"types": ["COMMIT"], "p": 0.5}}}
    asked = {"world": "sim", "time": 1, "faults": [half], "clients": 2, "rate": 50}
    write_plan(make_plan(make_spec(asked), 1), tmp_path)
    assert run_virtual(tmp_path, True, journal=False) == 0
    shell = (
        "from scapy.all import *\nfrom nemesis.dissector import *\n"
        f"found = rdpcap({str(tmp_path / 'packets.pcapng')!r})\n"
        "assert found and all(PBFT in one and Raw not in one for one in found), found.summary()\n"
        "assert any(PBFTCommit in one for one in found)\n"
        "print(found[0].comment.decode())\n"
    )
    told = subprocess.run([sys.executable, "-c", shell], capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("dropped | drop-1/0 drop | ")


def test_nobody_else_pays_for_scapy() -> None:
    """Half a second to import: not for those who open no packets."""
    said = "import sys, harness.cli, harness.virtual.virtual_run, nemesis.faults, nemesis.packets.registry\n"
    said += "sys.exit(any(name.split('.')[0] == 'scapy' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", said], timeout=120).returncode == 0
