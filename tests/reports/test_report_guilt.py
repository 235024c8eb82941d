"""Culprits and pairs in the report: readable, and harmless whatever a liar signed."""

from __future__ import annotations

from reports.guilt import liars, sentences
from reports.verdict_view import read_lines

DETAILS = {
    "culprits": [
        {"replica": 2, "in_ledger": True, "counts": True, "rules": {"conflicting votes": 12}},
        {"replica": 3, "in_ledger": False, "counts": False, "rules": {"conflicting CHECKPOINTs": 1}},
    ],
    "proofs": [
        {
            "culprit": 2,
            "rule": "conflicting votes",
            "section": "4.2",
            "holds": "always",
            "told": "signed PREPARE for aa and PREPARE for bb",
        }
    ],
    "messages": 1000,
}


def _line(details: object) -> dict:
    entry = {"name": "accountability", "verdict": "valid", "judged": True, "reason": "so", "details": details}
    return {"lines": [entry]}


def test_culprits_and_pairs_are_told() -> None:
    (line,) = read_lines(_line(DETAILS))
    assert line.told[0] == "Replica 2, compromised by the nemesis: conflicting votes × 12."
    assert "not compromised" in line.told[1]
    assert "no proof where more than f lied" in line.told[1]
    assert line.told[2].startswith("Replica 2 signed PREPARE for aa and PREPARE for bb (conflicting votes, ")
    assert "messages: 1" in line.details
    assert "proofs" not in line.details


def test_whatever_is_there_does_no_harm() -> None:
    hostile = {
        "culprits": [7, {"rules": [], "replica": "\x1b[2J"}],
        "proofs": [{"told": "\u202e" * 9000}, None],
    }
    told = list(sentences(hostile))
    assert all("\x1b" not in sentence and "\u202e" not in sentence for sentence in told)
    assert max(map(len, told)) < 4_000
    assert list(sentences({"culprits": "x", "proofs": 3})) == []


def test_liars_are_read_from_the_ledger() -> None:
    assert liars({"byzantine": [1, "2", None, 3]}) == {"1", "3"}
    assert liars({"byzantine": "x"}) == frozenset()
