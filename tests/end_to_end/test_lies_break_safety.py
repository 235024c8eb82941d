"""With one liar too many a lie in NEW-VIEWs loses what was committed; the judge sees it, and who did it."""

from __future__ import annotations

from pathlib import Path

from harness import one_run
from harness.plan import Plan, make_plan
from harness.spec import make_spec
from harness.trial import Trial, trial

LIARS = [1, 2]
_OF_VIEW_0 = {"to": ["r3"], "view": [0, 0], "types": ["PRE_PREPARE", "PREPARE", "COMMIT", "DECIDED"]}


def two_new_views(liars: list[int], budget: str) -> Plan:
    """Replica 3 misses the end of view 0, so it has prepared less than replica 0. The liar that is primary of
    view 1 shows each of them a valid NEW-VIEW: one with all that was prepared, one in which the liars
    prepared nothing; and votes with both."""
    asked = {
        "world": "sim",
        "name": "two-new-views",
        "rate": 40,
        "time": "3s",
        "budget": budget,
        "cluster": {
            "checkpoint_interval": 128,
            "request_timeout": "150ms",
            "view_change_timeout": "150ms",
        },
        "faults": [
            {"kind": "drop", "start": "500ms", "stop": "2500ms", "params": {"match": _OF_VIEW_0}},
            {
                "kind": "drop",
                "start": "900ms",
                "stop": "2500ms",
                "params": {"match": {"from": ["r0"], "types": ["PRE_PREPARE"]}},
            },
            {
                "kind": "new-view-lie",
                "start": "300ms",
                "stop": "2500ms",
                "params": {"replicas": liars, "strategy": "two-valid"},
            },
        ],
    }
    return make_plan(make_spec(asked), 1)


def verdicts(result: Trial) -> dict[str, dict[str, object]]:
    lines = result.verdict["lines"]
    assert isinstance(lines, list)
    return {line["name"]: line for line in lines}


def test_two_liars_of_four_break_agreement_and_are_both_named(tmp_path: Path) -> None:
    result = trial(two_new_views(LIARS, "break"), tmp_path, world=one_run.virtual_world())
    lines = verdicts(result)
    assert result.exit_code == 1, result
    assert lines["agreement"]["verdict"] == "invalid"
    assert "outside the fault model" in str(lines["agreement"])
    assert lines["accountability"]["verdict"] == "valid"
    assert "2 culprits proved, all of them liars" in str(lines["accountability"])
    assert {fault.id: fault.took_effect for fault in result.faults}["new-view-lie-1"]


def test_the_primary_alone_breaks_nothing(tmp_path: Path) -> None:
    result = trial(two_new_views(LIARS[:1], "safety"), tmp_path)
    lines = verdicts(result)
    assert not result.violations, result
    assert lines["agreement"]["verdict"] == "valid"
    assert result.exit_code in (0, 3)
