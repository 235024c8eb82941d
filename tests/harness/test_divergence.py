"""What two traces of one identity say differently."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.divergence import Divergence


def say(path: Path, *events: tuple[str, int | None, int, str]) -> None:
    with path.open("a") as file:
        for kind, view, seq, digest in events:
            file.write(json.dumps({"e": kind, "view": view, "seq": seq, "digest": digest}) + "\n")


@pytest.fixture
def traces(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "first", tmp_path / "twin"


def test_one_number_has_to_have_two_digests(traces: tuple[Path, Path]) -> None:
    first, twin = traces
    told = Divergence(first, twin, back=1000, at_once=1 << 20)
    assert told.look() is None, "there are no traces"
    say(first, ("pre-prepare", 0, 1, "aa"), ("executed", None, 1, "aa"), ("prepared", 0, 2, "bb"))
    say(twin, ("pre-prepare", 0, 1, "aa"), ("executed", None, 1, "aa"), ("prepared", 1, 2, "cc"))
    say(first, ("stable", 0, 3, "dd"))
    say(twin, ("stable", 0, 3, "ee"), ("executed", None, 3, "ff"))
    assert told.look() is None, "other views, kinds that are no vote, and what only one has executed"
    say(first, ("committed", 1, 2, "bb"))
    found = {"what": "proposal", "view": 1, "seq": 2, "first": "bb", "twin": "cc"}
    assert told.look() == found
    say(first, ("executed", None, 3, "aa"))
    assert told.look() == found, "the first difference stays"


def test_what_was_executed_counts_most(traces: tuple[Path, Path]) -> None:
    first, twin = traces
    say(first, ("committed", 0, 1, "aa"), ("executed", None, 5, "bb"), ("executed", None, 4, "cc"))
    say(twin, ("committed", 0, 1, "xx"), ("executed", None, 5, "yy"), ("executed", None, 4, "zz"))
    told = Divergence(first, twin, back=1000, at_once=1 << 20).look()
    assert told == {"what": "executed", "seq": 4, "first": "cc", "twin": "zz"}


def say_at(path: Path, *events: tuple[int, str, int, int]) -> None:
    with path.open("a") as file:
        for t_ns, kind, view, seq in events:
            said = {"seq": seq, "digest": "aa"} if kind == "pre-prepare" else {}
            file.write(json.dumps({"t_ns": t_ns, "e": kind, "view": view, **said}) + "\n")


def test_one_may_not_take_a_proposal_in_a_view_that_the_other_has_left(traces: tuple[Path, Path]) -> None:
    first, twin = traces
    told = Divergence(first, twin, back=1000, at_once=1 << 20)
    say_at(first, (10, "pre-prepare", 0, 1), (20, "view-change", 1, 0), (25, "new-view", 1, 0))
    say_at(twin, (10, "pre-prepare", 0, 1), (20, "pre-prepare", 0, 2), (30, "pre-prepare", 1, 2))
    assert told.look() is None, "until it was left, and in the view it was left for"
    say_at(twin, (21, "committed", 0, 2), (40, "view-change", 2, 0))
    say_at(first, (39, "pre-prepare", 1, 2))
    assert told.look() is None, "what others decided may be learnt of later"
    say_at(first, (41, "pre-prepare", 1, 3))
    later = {"twin": "left it for view 2", "first": "took number 3 there later"}
    assert told.look() == {"what": "view", "view": 1, "seq": 3, **later}


def test_it_reads_so_far_back_and_so_much_and_whole_lines(traces: tuple[Path, Path]) -> None:
    first, twin = traces
    say(first, *(("executed", None, seq, "aa") for seq in range(1, 9)))
    line_bytes = len(first.read_bytes().splitlines(keepends=True)[0])
    say(twin, *(("executed", None, seq, "bb") for seq in range(1, 7)), ("executed", None, 7, "aa"))
    told = Divergence(first, twin, back=2 * line_bytes + 5, at_once=3 * line_bytes)
    assert [told.look() for _ in range(4)] == [None] * 4, "number 6 is cut, 7 is the same"
    with twin.open("a") as file:
        file.write('{"e": "executed", "seq": 8, "dig')
    assert told.look() is None
    with twin.open("a") as file:
        file.write('est": "bb"}\n')
    assert told.look() == {"what": "executed", "seq": 8, "first": "aa", "twin": "bb"}
