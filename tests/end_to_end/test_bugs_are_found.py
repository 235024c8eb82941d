"""The judge is not taken at its word: bugs are planted into real replica processes, and must be found.

Each case overrides one rule of the replica (`buggy/planted_bugs.py`), runs a real cluster under faults that
make the bug certain to show, and says which lines of the verdict must be invalid, and why. All others must
be valid, but those that a busy machine can make unknown. Numbers of a reason are told only where no race
decides them.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from cluster_runs import TRAITOR, Done, environment, traitor

pytestmark = pytest.mark.sandbox

BUGGY = Path(__file__).parent / "buggy"
ALL = None
FAST = {"request_timeout": "200ms", "view_change_timeout": "200ms", "K": 8}
JUDGED = {
    "accountability",
    "linearizability",
    "agreement",
    "exactly-once",
    "durability",
    "validity",
    "promises",
    "liveness",
    "view-churn",
    "recovery",
    "coverage",
    "harness",
}
MAY_BE_JUDGED = {"witness"}
"""Only where clients are explainable and replicas agree."""
HANG_ON_TIME = {"liveness", "view-churn", "recovery", "coverage"}
"""Unknown where the machine is so busy that time proves nothing. None of these cases is about that."""


@dataclass(frozen=True)
class Planted:
    """A bug, where, in which run, and what the judge must say: line -> a pattern that its reason has."""

    bug: str
    replicas: tuple[int, ...] | None
    spec: dict[str, object]
    found: dict[str, str]
    may: frozenset[str] = frozenset()
    """Lines that the bug may spoil, too: not certain in every run."""


def kill(start: float, stop: float, replicas: object) -> dict[str, object]:
    return {"kind": "kill", "start": start, "stop": stop, "params": {"replicas": replicas}}


def cut(start: float, stop: float, shape: str, links: list[list[str]]) -> dict[str, object]:
    params = {"shape": shape, "cut_clients": False, "links": links}
    return {"kind": "partition", "start": start, "stop": stop, "params": params}


def apart(some: range, others: range) -> list[list[str]]:
    """Every link between the two groups, in both directions."""
    pairs = [(f"r{a}", f"r{b}") for a in some for b in others]
    return [list(pair) for pair in (*pairs, *((b, a) for a, b in pairs))]


CASES = [
    # Three replicas cannot tell the clients that their requests were executed, so these are sent again. With
    # every number a checkpoint, a new view's primary has no proposal left to recognise them by. Every client
    # has one request under way then; a read executed twice is nothing, so there are none until the end.
    Planted(
        "no client table",
        ALL,
        {
            "workload": {"name": "append", "read": 0},
            "time": 3,
            "budget": "break",
            "cluster": {**FAST, "K": 1, "L": 16},
            "faults": [cut(0.5, 1.5, "mute", [["r0", "clients"], ["r1", "clients"], ["r2", "clients"]])],
        },
        {"linearizability": "append executed twice", "exactly-once": "at sequence numbers"},
        may=frozenset({"coverage"}),
    ),
    # Of six replicas four are a quorum, and the two that are cut off suffice to answer a client.
    Planted(
        "unordered reads",
        ALL,
        {
            "workload": {"name": "register", "keys": 4, "contention": 0.3},
            "nodes": 6,
            "time": 3,
            "budget": "break",
            "cluster": {"client_retry": "30ms"},
            "faults": [cut(0.5, 2.5, "majority", apart(range(4), range(4, 6)))],
        },
        {"linearizability": "stale read", "durability": "but no correct replica executed it"},
    ),
    Planted(
        "drops batches",
        (2,),
        {"time": 2, "rate": 120, "faults": "none", "cluster": {"K": 8}},
        {
            "agreement": r"but replica 2 executed \[\] at sequence number \d*0 ",
            "accountability": "replica 2, which the nemesis did not compromise, signed CHECKPOINT",
        },
    ),
    Planted(
        "wrong effect",
        (2,),
        {"time": 2, "rate": 80, "faults": "none", "cluster": {"K": 8}, "world": "sim"},
        {
            "agreement": "but replica 2 had state",
            "accountability": "replica 2, which the nemesis did not compromise, signed CHECKPOINT",
        },
    ),
    Planted(
        "hasty commit",
        ALL,
        {"time": 2, "rate": 120, "faults": "none"},
        {"agreement": "2 correct replicas had prepared it: a quorum takes 3"},
    ),
    Planted(
        "no request timer",
        ALL,
        {"time": 6, "rate": 60, "cluster": FAST, "faults": [kill(0.5, 5.8, "primary")]},
        {"liveness": r"only replicas \[0\] were bad"},
    ),
    Planted(
        "nothing persisted",
        ALL,
        {"time": 3, "rate": 120, "budget": "break", "cluster": FAST, "faults": [kill(1, 1.3, [0, 1, 2, 3])]},
        {
            "linearizability": "",
            "agreement": "committed|executed|had state",
            # Not always 0: one that skips the number in its second life counts as a holder.
            "durability": "at the end only ",
            # Of votes, or of views where a timer of the first life had fired.
            "promises": "after it had (accepted|prepared|committed|been in view)",
            "accountability": "which the nemesis did not compromise, signed",
        },
        may=frozenset({"exactly-once"}),  # a request under way at the kill is sent to the new-born again
    ),
    # Reads of a client that is not there: nothing else ever notices.
    Planted(
        "forged requests",
        ALL,
        {"time": 2, "rate": 80, "faults": "none", "world": "sim"},
        {"validity": "of client 1500, which that client did not sign"},
    ),
    Planted(
        "dies",
        (1,),
        {"time": 2, "rate": 120, "faults": "none"},
        {"recovery": "RuntimeError: planted test bug: cannot go on after number 19"},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.bug.replace(" ", "-"))
def test_planted_bug_is_found(tmp_path: Path, case: Planted) -> None:
    done = run_with(tmp_path, case)
    assert done.code == 1, done.explain()
    verdicts = done.verdicts()
    assert JUDGED <= set(verdicts) <= JUDGED | MAY_BE_JUDGED
    for name in verdicts.keys() - case.may:
        assert verdicts[name] in allowed(case, name, done), f"{name}: {done.explain()}"
    report = html.unescape((done.folder / "report.html").read_text())
    for line, words in case.found.items():
        reason = done.reason(line)
        assert re.search(words, reason), done.explain()
        assert reason[:200] in report, f"the report does not say: {reason}"
    if "linearizability" in case.found:
        assert (done.folder / "counterexample.json").exists()
    replicas = range(4) if case.replicas is None else case.replicas
    for replica in replicas:
        said = (done.folder / "replicas" / str(replica) / "stderr.log").read_text()
        assert f"planted test bug: {case.bug}" in said
    if case.bug == "unordered reads":
        the_race_runs_again(tmp_path, case, done)


def allowed(case: Planted, name: str, done: Done) -> set[str]:
    """Verdicts that this line may have."""
    if name in case.found:
        return {"invalid"}
    if name == "harness" and name in done.excused():
        return {"invalid"}  # it was late
    return {"valid", "unknown"} if name in HANG_ON_TIME else {"valid"}


def the_race_runs_again(tmp_path: Path, case: Planted, done: Done) -> None:
    """Which of two answers came first, a kernel decided. Its order, in virtual time, gives them again."""
    words = ["reproduce", str(done.folder), "--world", "sim", "--schedule", "recorded", "--json"]
    again = subprocess.run(
        [*TRAITOR, *words, "--out", str(tmp_path / "again")],
        env=environment(tmp_path / "site", BUGGY),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert again.returncode == 1, again.stderr
    told = json.loads(again.stdout)
    assert told["again"] is True
    assert told["schedule"]["parted"] is None, told["schedule"]
    reasons = {line["name"]: line["reason"] for line in told["verdict"]["lines"]}
    assert all(re.search(words, reasons[line]) for line, words in case.found.items())


def run_with(tmp_path: Path, case: Planted) -> Done:
    """A run of real processes in some of which the bug is planted."""
    site = tmp_path / "site"
    site.mkdir()
    call = f"planted_bugs.plant({case.bug!r}, {case.replicas!r})"
    (site / "sitecustomize.py").write_text(f"import planted_bugs\n\n{call}\n")
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump({"seed": 1, **case.spec}))
    return traitor(tmp_path / "runs", str(spec), paths=(site, BUGGY))
