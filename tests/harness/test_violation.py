"""The same failure: the same line invalid on the same property, whatever else differs."""

import pytest

from harness.violation import UNNAMED, Violation, shown, violations


def line(name: str, verdict: str = "invalid", judged: bool = True, **details: object) -> dict[str, object]:
    return {"name": name, "verdict": verdict, "judged": judged, "reason": "words", "details": details}


def test_invalid_lines_are_violations_in_their_order() -> None:
    verdict = {
        "lines": [
            line("linearizability", kind="stale read", key="k1"),
            line("agreement", "valid", kind="nothing"),
            line("durability", kind="forgotten"),
        ]
    }
    found = violations(verdict)
    assert found == (Violation("linearizability", "stale read"), Violation("durability", "forgotten"))
    assert shown(found) == "linearizability: stale read; durability: forgotten"


def test_place_and_time_are_no_part_of_a_failure_but_line_and_property_are() -> None:
    one, other = (
        violations({"lines": [line("agreement", kind="gap in execution", seq=seq)]}) for seq in (7, 4711)
    )
    assert one == other
    assert one != violations({"lines": [line("agreement", kind="alarm", seq=7)]})
    assert one != violations({"lines": [line("durability", kind="gap in execution", seq=7)]})


@pytest.mark.parametrize(
    "verdict",
    [
        {},
        {"lines": None},
        {"lines": "linearizability"},
        {"lines": [7, None, "invalid", []]},
        {"lines": [line("coverage"), line("harness", kind="void run")]},
        {"lines": [line("liveness", "unknown", kind="drought")]},
        {"lines": [line("accountability", judged=False)]},
    ],
)
def test_nothing_else_is_one(verdict: dict[str, object]) -> None:
    assert violations(verdict) == ()
    assert shown(()) == ""


def test_a_verdict_anybody_wrote_is_harmless() -> None:
    hostile = [
        line("agreement\x1b[2J" + "x" * 10_000, kind="\n" * 500),
        line("agreement"),
        {"name": ["x"], "verdict": "invalid", "judged": True, "details": [1]},
        *[line(f"line {i}", kind="k") for i in range(1_000)],
    ]
    found = violations({"lines": hostile})
    assert len(found) == 20
    assert all(str(one).isprintable() and len(str(one)) < 130 for one in found)
    assert found[1] == Violation("agreement", UNNAMED)
