"""The same plan does the same to the same messages in every world: chance hangs on what a packet is."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from harness import one_run, sandbox
from harness.plan import make_plan
from harness.plan_file import write_plan
from harness.spec import make_spec
from nemesis.faults.fault import Fault
from pbft_node.core.frames import MessageType, peek

pytestmark = [pytest.mark.sandbox, pytest.mark.interception]

MATCH = {"types": ["COMMIT"], "to": ["r3"], "view": [0, 0], "copy": [0, 0], "p": 0.5}
MARGIN = 10
"""Of the first and last sequence numbers some COMMITs may be sent before or after the rule is in force."""
FEWEST = 20
"""So many sequence numbers every world assigns in between, or the test says nothing."""


def run(world: str, folder: Path) -> None:
    """Half of the first COMMITs to replica 3 are lost from the start to the end of the load."""
    spec = make_spec(
        {"world": world, "time": 2, "rate": 100, "faults": [], "cluster": {"durability": "write"}}
    )
    plan = make_plan(spec, 5)
    plan = dataclasses.replace(plan, faults=(Fault("drop-1", "drop", 0, plan.duration_ns, {"match": MATCH}),))
    folder.mkdir()
    write_plan(plan, folder)
    if world == "live":
        command = [sys.executable, "-P", "-m", "harness", "inside", str(folder), "--quiet"]
        code = sandbox.run_inside(command, one_run.run_environment())
    else:
        code = one_run.lean_world()(folder, True)
    assert code == 0, (folder / "run.json").read_text()


def dropped(folder: Path) -> set[tuple[int, str]]:
    """(sequence number, source address) of COMMITs dropped, as the capture shows them."""
    from scapy.layers.inet import IP, UDP
    from scapy.utils import rdpcap

    found = set()
    for packet in rdpcap(str(folder / "packets.pcapng")):
        header = peek(bytes(packet[UDP].payload))
        assert header is not None
        kind, _, _, seq = header
        assert (kind, packet[IP].dst) == (MessageType.COMMIT, "10.77.0.4")
        found.add((seq, packet[IP].src))
    return found


def test_the_same_commits_are_lost_in_every_world(tmp_path: Path) -> None:
    lost = {}
    for world in ("sim", "lockstep", "live"):
        run(world, tmp_path / world)
        lost[world] = dropped(tmp_path / world)
    assert lost["lockstep"] == lost["sim"]
    first = max(min(found)[0] for found in lost.values()) + MARGIN
    last = min(max(found)[0] for found in lost.values()) - MARGIN
    assert last - first >= FEWEST, f"a live run may begin later and batch more, but: {first} to {last}"
    in_all = {world: {one for one in found if first <= one[0] < last} for world, found in lost.items()}
    assert len(in_all["sim"]) > last - first, "about half of three senders' COMMITs"
    assert in_all["live"] == in_all["sim"]
