"""What a report makes of faults.jsonl and of the plan's faults, however odd."""

from __future__ import annotations

from reports.faults import coverage, read_faults


def test_unplanned_faults_and_strange_lines() -> None:
    found, left_out = read_faults(
        {}, [(1, {"time_ns": 1, "fault": ["odd"], "step": "asked"}), (2, {"step": "asked"})]
    )
    assert ([fault.id for fault in found], left_out) == (['["odd"]'], 0)
    many = [(i, {"time_ns": i, "fault": f"f{i}", "step": "asked"}) for i in range(1_000)]
    found, left_out = read_faults({}, many)
    assert len(found) + left_out == 1_000
    assert left_out == 700


def test_of_a_scripts_text_its_name_and_subject_are_shown() -> None:
    params = {"script": {"name": "mine", "about": "Odd things.\n", "stages": [{}, {}]}, "liars": [1]}
    found, _ = read_faults({"faults": [{"id": "s", "kind": "script", "params": params}]}, [])
    assert found[0].params == "a script of 2 stages; mine; Odd things.; liars [1]"


def test_what_was_done_to_packets_is_added_up_over_faults() -> None:
    cells = [["NEW_VIEW", "alter", "view-change", "primary", 2], ["PREPARE", "alter", "normal", "backup", 1]]
    steps = [
        {"time_ns": 1, "fault": fault, "step": "undone", "receipt": {"matched": 3, "cells": cells}}
        for fault in ("x", "y")
    ]
    found, _ = read_faults({}, [(1, told) for told in steps])
    assert coverage(found) == [
        ("NEW_VIEW", "alter", "view-change", "primary", 4),
        ("PREPARE", "alter", "normal", "backup", 2),
    ]
