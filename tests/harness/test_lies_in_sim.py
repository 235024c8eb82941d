"""Lies of the normal case in whole simulated runs: one liar harms nobody, f+1 break agreement."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.plan import make_plan
from harness.spec import make_spec
from harness.trial import Trial, trial

CLUSTER = {"K": 8, "L": 16, "request_timeout": "300ms"}


def tried(tmp_path: Path, faults: list[object], seed: int, **more: object) -> Trial:
    asked: Mapping[str, object] = {
        "world": "sim",
        "rate": 60,
        "time": 2,
        "cluster": CLUSTER,
        "faults": faults,
        **more,
    }
    return trial(make_plan(make_spec(asked), seed), tmp_path)


def test_one_liar_with_many_kinds_of_lies_harms_nobody(tmp_path: Path) -> None:
    """Those for which no primary is replaced, at once: replica 0 leads in all of them."""
    lies = {
        "equivocate": "proposals",
        "wrong-field": "own-prepare",
        "lie-to-client": "result",
        "checkpoint-lie": "digest",
        "replay-own": "storm",
        "spam-status": "ahead",
    }
    faults: list[object] = [
        {"kind": kind, "params": {"replicas": [0], "strategy": strategy}, "start": 0.3, "stop": 1.6}
        for kind, strategy in lies.items()
    ]
    done = tried(tmp_path, faults, 3)
    assert done.summary() == "valid", done.summary()
    assert [fault.took_effect for fault in done.faults] == [True] * len(lies)


def test_two_liars_of_four_that_equivocate_break_agreement(tmp_path: Path) -> None:
    done = tried(tmp_path, ["equivocate"], 1, budget="break")
    assert done.exit_code == 1
    (line,) = (one for one in done.verdict["lines"] if one["name"] == "agreement")  # type: ignore[attr-defined]
    assert line["verdict"] == "invalid"
    assert "2 Byzantine" in line["reason"]
