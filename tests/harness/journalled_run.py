"""A short run with kills whose replicas keep a journal, made in virtual time: quick, and always the same."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness import judging, store
from harness.clients_journal import ClientsJournal
from harness.plan import Plan, make_plan
from harness.plan_file import plan_text
from harness.run import Beside, Run
from harness.run_record import write_text
from harness.spec import make_spec
from harness.virtual import virtual_run
from pbft_node.journal_file import FRAME, HEADER_BYTES, decode_frame, encode_frame


def small_plan(seconds: float = 2, seed: int = 3, faults: list[str] | None = None) -> Plan:
    keys: dict[str, object] = {
        "world": "sim",
        "workload": {"name": "kv", "keys": 6},
        "time": seconds,
        "rate": 40,
        "clients": 3,
        "faults": ["kill"] if faults is None else faults,
        "cluster": {"K": 4, "L": 8},
        "seed": seed,
    }
    return make_plan(make_spec(keys), seed)


def journalled_run(folder: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run it with every journal a live run has, judge it, seal it."""
    folder.mkdir()
    write_text(folder / "plan.json", plan_text(plan))
    clients = ClientsJournal(folder, plan.make_cluster().cluster_id)
    with monkeypatch.context() as patch:
        patch.setattr(virtual_run, "Run", partial(Run, beside=Beside(clients=clients)))
        assert virtual_run.run_virtual(folder, True) == 0
    clients.close()
    store.seal(folder, store.Origin("test", plan.seed, "", ""))
    judging.judge(folder, judging.CheckLimits())
    return folder


def change_frame(journal: Path, number: int, change: Any) -> None:
    """Replace the payload of the frame of that number (from 0), with a good checksum."""
    data = journal.read_bytes()
    position = HEADER_BYTES
    for _ in range(number):
        position += FRAME.size + decode_frame(data[position : position + FRAME.size])[3]
    type_, flags, entries, length, _ = decode_frame(data[position : position + FRAME.size])
    start = position + FRAME.size
    payload = change(data[start : start + length])
    frame = encode_frame(type_, flags, entries, payload)
    journal.write_bytes(data[:position] + frame + data[start + length :])
