"""Scripts of the library find the bug they are for.

A seed each, of those that take seconds; ``tests/benchmarks/bench_scripts.py`` has all of them and ten seeds.
That they come to their end and accuse nobody where there is none: ``end_to_end/test_fault_examples.py``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from script_runs import CASES, Case, invalid

from nemesis.scripts.library import library

LONG = {"starvation"}


def named(case: Case) -> str:
    return case.script


def test_every_script_of_the_library_has_a_bug_to_find() -> None:
    assert {case.script for case in CASES} == set(library())


@pytest.mark.parametrize("case", [case for case in CASES if case.script not in LONG], ids=named)
def test_the_bug_it_is_for_is_found(case: Case, tmp_path: Path) -> None:
    wrong, _ = case.run(3, tmp_path, bug=True)
    assert invalid(wrong, case.lines), wrong.summary()


def test_primaries_are_killed_one_after_the_other(tmp_path: Path) -> None:
    done, reached = Case("kill-next-primaries", "", (), "within").run(3, tmp_path, bug=False)
    assert reached
    assert done.exit_code == 0, done.summary()
    assert done.view >= 3
