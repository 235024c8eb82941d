"""Which lines a replayed trace may lack in the recorded one, and which it may not."""

from __future__ import annotations

import io
from pathlib import Path

from harness.replay.recorded_trace import Comparison, RecordedTrace


def compared(path: Path, recorded: bytes, lives: list[list[list[bytes]]]) -> tuple[Comparison, bytes]:
    """Lives of turns of lines."""
    path.write_bytes(recorded)
    out = io.BytesIO()
    recorded_trace = RecordedTrace(path)
    comparison = Comparison(recorded_trace, out)
    event = 0
    for life in lives:
        for turn in life:
            event += 1
            comparison.turn(turn, (event, event))
        comparison.end_life()
    comparison.end()
    recorded_trace.close()
    return comparison, out.getvalue()


def test_all_lines_of_all_lives(tmp_path: Path) -> None:
    found, judged = compared(tmp_path / "t", b"a\nb\nc\nd\n", [[[b"a"], [b"b", b"c"]], [[], [b"d"]]])
    assert found.difference is None
    assert found.compared == 4
    assert judged == b"a\nb\nc\nd\n"


def test_the_last_turn_of_a_life_may_be_missing_in_whole_or_in_part(tmp_path: Path) -> None:
    found, judged = compared(tmp_path / "t", b"a\nb\nd\n", [[[b"a"], [b"b", b"c"]], [[b"d"], [b"e"]]])
    assert found.difference is None
    assert found.left_out == 2
    assert judged == b"a\nb\nd\n"


def test_a_torn_line_at_the_end_counts_as_missing(tmp_path: Path) -> None:
    found, judged = compared(tmp_path / "t", b"a\nb", [[[b"a"], [b"bc"]]])
    assert found.difference is None
    assert found.left_out == 1
    assert judged == b"a\n"


def test_an_earlier_turn_may_lack_nothing(tmp_path: Path) -> None:
    found, judged = compared(tmp_path / "t", b"a\nc\n", [[[b"a"], [b"b"], [b"c"]]])
    assert found.difference is not None
    assert (found.difference.line, found.difference.events) == (2, (2, 2))
    assert (found.difference.recorded, found.difference.replayed) == ("c", "b")
    assert judged.startswith(b"a\nb\n"), "what is judged is the replayed trace"


def test_a_line_too_many_is_a_difference_and_a_life_too_many_too(tmp_path: Path) -> None:
    found, _ = compared(tmp_path / "t", b"a\nb\n", [[[b"a"]]])
    assert found.difference is not None
    assert (found.difference.line, found.difference.replayed) == (2, None)


def test_the_rest_after_a_journals_limit_is_as_recorded(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"a\nb\nc")
    out = io.BytesIO()
    recorded = RecordedTrace(tmp_path / "t")
    comparison = Comparison(recorded, out)
    comparison.turn([b"a"], (1, 1))
    comparison.end_life()
    comparison.take_rest()
    recorded.close()
    assert comparison.difference is None
    assert out.getvalue() == b"a\nb\nc"


def test_what_is_no_file_is_empty(tmp_path: Path) -> None:
    assert not RecordedTrace(tmp_path / "none").readable
    assert not RecordedTrace(tmp_path).readable
