"""From a planted bug found in a run of many faults to the few things that show it, as a user does it.

Replicas that write nothing to their logs are found out when enough of them are killed. Nothing of that is in
the harness: what shrinks is found by running, judging and comparing verdicts.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import yaml
from cluster_runs import ROOT, TRAITOR, environment, traitor

BUGGY = Path(__file__).parent / "buggy"
DEADLINE_S = 150
SPEC = {
    "world": "sim",
    "workload": {"name": "register", "keys": 1},
    "time": 6,
    "clients": 2,
    "rate": 18,
    "seed": 1,
    "budget": "break",
    "faults": [
        {"kind": "pause", "start": 0.5, "stop": 1, "params": {"replicas": [1]}},
        {
            "kind": "partition",
            "start": 1.2,
            "stop": 1.8,
            "params": {"shape": "isolate-primary", "cut_clients": True},
        },
        {"kind": "kill", "start": 2.5, "stop": 2.8, "params": {"replicas": [0, 1, 2, 3]}},
        {"kind": "pause", "start": 3.5, "stop": 4, "params": {"replicas": "primary"}},
        {"kind": "kill", "start": 4.5, "stop": 5, "params": {"replicas": [3]}},
    ],
}
"""With a kill of all, after which nobody knows what was decided before: certain to be found."""


def command(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TRAITOR, *words],
        cwd=folder,
        env=environment(site, BUGGY),
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )


def test_a_planted_bug_shrinks_to_what_shows_it(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import planted_bugs\n\nplanted_bugs.plant('nothing persisted', None)\n"
    )
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(SPEC))
    run = traitor(tmp_path / "runs", str(tmp_path / "spec.yaml"), paths=(site, BUGGY))
    assert run.code == 1, run.explain()
    assert run.verdicts()["agreement"] == "invalid", run.explain()

    flags = ["--line", "agreement", "--out", str(tmp_path / "shrunk"), "--json"]
    done = command(site, ROOT, "shrink", str(run.folder), *flags)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert told["kept"] == {"line": "agreement", "property": "different batches"}
    assert told["before"]["faults"] == 5
    assert told["before"]["operations"] >= 100
    assert 1 <= told["after"]["faults"] <= 3
    assert told["after"]["operations"] <= 20
    assert told["ended"] == "nothing more helps"
    lines = {line["name"]: line["verdict"] for line in told["verdict"]["lines"]}
    assert lines["agreement"] == "invalid"

    smallest = Path(told["run"])
    (words,) = [
        line.split() for line in (smallest / "REPRODUCE.md").read_text().splitlines() if "plan.json" in line
    ]
    assert words[:2] == ["traitor", "run"]
    again = command(site, smallest, *words[1:], "--out", str(tmp_path / "again"))
    assert again.returncode == 1, again.stderr
    (folder,) = (tmp_path / "again").iterdir()
    assert (folder / "history.jsonl").read_bytes() == (smallest / "history.jsonl").read_bytes()
    for trace in sorted(smallest.glob("replicas/*/trace.jsonl")):
        assert (folder / trace.relative_to(smallest)).read_bytes() == trace.read_bytes()

    correct = command(tmp_path, smallest, "shrink", str(run.folder), "--out", str(tmp_path / "none"))
    assert correct.returncode == 4, f"without the bug it does not fail again: {correct.stderr}"
    assert "not seen again in world sim: 0 of 1 run" in correct.stderr
    assert not (tmp_path / "none").exists()
