"""The same plan in ``sim`` and in ``lockstep``: objects and real processes leave the same bytes.

Hash order is left to chance in the processes, and is whatever it is here: nothing may hang on it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness import one_run
from harness.plan import make_plan
from harness.spec import make_spec
from harness.store import hash_files
from harness.trial import Trial, trial
from pbft_node import assembly

BUGGY = Path(__file__).resolve().parents[2] / "end_to_end" / "buggy"
OF_A_WORLD = ("plan.json", "run.json", "stderr.log")
"""The plan names the world; the rest tells of this machine (compared below as far as it tells of the run)."""
WRITE = {"durability": "write"}
"""A sync costs real time in ``lockstep``, and changes no byte."""
SMALL = {**WRITE, "K": 4, "L": 8, "request_timeout": "200ms", "view_change_timeout": "200ms"}
ASKED: Mapping[str, object] = {"time": 2, "rate": 30, "faults": ["kill", "partition", "pause"]}

Outcome = tuple[dict[str, str], object, Trial]


@pytest.fixture(autouse=True)
def by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with a journal, which the replicas of a lean run do not keep."""
    monkeypatch.setenv("PYTHONHASHSEED", "random")
    monkeypatch.setattr(one_run, "lean_world", one_run.virtual_world)


def outcome(world: str, seed: int, scratch: Path, asked: Mapping[str, object]) -> Outcome:
    found: list[tuple[dict[str, str], object]] = []

    def look(folder: Path, result: Trial) -> None:
        hashes = {
            name: digest
            for name, digest in hash_files(folder).items()
            if name.rpartition("/")[2] not in OF_A_WORLD
        }
        run = json.loads((folder / "run.json").read_text())
        exits = [{**exit_, "last_lines": len(exit_["last_lines"]) > 0} for exit_ in run["exits"]]
        found.append((hashes, [run["phases"], run["health"], exits]))

    result = trial(make_plan(make_spec({**ASKED, **asked, "world": world}), seed), scratch, look)
    assert result.error is None, result.error
    return *found[0], result


@pytest.mark.parametrize(
    ("seed", "asked"),
    [
        (1, {"cluster": {**SMALL, "K": 128, "L": 256}}),
        (2, {"cluster": {**SMALL, "durability": "none"}}),
        (3, {"cluster": SMALL, "virtual": {"loss": 0.03, "duplication": 0.1, "reordering": 0.2}}),
        (4, {"cluster": SMALL, "faults": ["kill", "pause", "drop"]}),
        (5, {"cluster": SMALL, "faults": ["clock", "disk", "clock"]}),
    ],
    ids=["plain", "no durability", "lossy", "intercepted", "clocks and disks"],
)
def test_the_same_files_and_the_same_verdict(seed: int, asked: Mapping[str, object], tmp_path: Path) -> None:
    files, run, simulated = outcome("sim", seed, tmp_path, asked)
    assert {"history.jsonl", "faults.jsonl", "ledger.json", "replicas/0/wal"} <= set(files)
    assert {
        f"replicas/{replica}/{name}" for replica in range(4) for name in ("trace.jsonl", "journal")
    } <= set(files)
    assert len(simulated.faults) == 3
    assert ("packets.pcapng" in files) == ("drop" in [fault.kind for fault in simulated.faults])
    real_files, real_run, real = outcome("lockstep", seed, tmp_path, asked)
    assert real_files == files
    assert real_run == run
    assert real.verdict == simulated.verdict


@pytest.mark.parametrize("kind", ["alter", "byzzfuzz"])
def test_the_same_lies(kind: str, tmp_path: Path) -> None:
    asked = {"cluster": SMALL, "time": 1, "faults": [kind]}
    files, run, simulated = outcome("sim", 6, tmp_path, asked)
    assert [(fault.kind, fault.took_effect) for fault in simulated.faults] == [(kind, True)]
    real_files, real_run, _ = outcome("lockstep", 6, tmp_path, asked)
    assert "packets.pcapng" in files
    assert (real_files, real_run) == (files, run)


def test_another_seed_is_another_run(tmp_path: Path) -> None:
    asked = {"time": 1, "faults": "none"}
    one, other = (outcome("sim", seed, tmp_path, asked)[0] for seed in (1, 2))
    assert [name for name in one if one[name] == other.get(name)] == ["faults.jsonl"], "which has no line"


def test_one_that_dies_of_a_bug_dies_at_the_same_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted in both ways: in this process, and in the nursery by its PYTHONPATH."""
    monkeypatch.syspath_prepend(BUGGY)
    import planted_bugs

    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text("import planted_bugs\n\nplanted_bugs.plant('dies', [2])\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(site), str(BUGGY))))
    monkeypatch.setattr(assembly, "make_replica", assembly.make_replica)
    planted_bugs.plant("dies", [2])
    asked = {"time": 1, "rate": 100, "faults": "none", "cluster": {**WRITE, "batch_limit": 1}}
    files, run, simulated = outcome("sim", 5, tmp_path, asked)
    assert simulated.verdict["verdict"] == "invalid"
    other_files, other_run, real = outcome("lockstep", 5, tmp_path, asked)
    assert (other_files, other_run, real.verdict["verdict"]) == (files, run, "invalid")
    assert isinstance(run, list)
    (ended,) = [exit_ for exit_ in run[2] if exit_["code"] is not None]
    assert (ended["replica"], ended["code"], ended["last_lines"]) == (2, 70, True)
