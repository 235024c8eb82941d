"""Progress on stderr: plain lines, a live line, and no harm done by a closed stream."""

import io

import pytest
from virtual_world import VirtualWorld

from harness.progress import Lines, Silent, Status, make_progress

STATUS = Status("load", 1_500_000_000, 12, 1, 2, 3, ("kill-1", "cut-1"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def play(progress: Lines) -> None:
    world = VirtualWorld()
    progress.phase("set up")
    progress.begin(world, lambda: STATUS)
    world.run(lambda: False, 11 * 10**9)
    progress.phase("undo")
    progress.end()
    progress.end()


def test_plain_lines_tell_phase_counts_view_and_faults() -> None:
    stream = io.StringIO()
    play(Lines(stream, live=False))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4, "set up, one every five seconds, undo"
    for word in ("1.5 s", "load", "12 ok 1 fail 2 info", "view 3", "kill-1, cut-1"):
        assert word in lines[1]
    assert "\x1b" not in stream.getvalue()


def test_a_terminal_gets_one_line_that_is_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    progress = make_progress(False, stream)
    assert isinstance(progress, Lines)
    play(progress)
    assert "12 ok" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()


def test_no_color_has_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    progress = make_progress(False, stream)
    assert isinstance(progress, Lines)
    play(progress)
    assert "12 ok" in stream.getvalue()
    assert "\x1b[1;31m" not in stream.getvalue()
    assert "\x1b[31m" not in stream.getvalue()


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    progress = make_progress(False, stream)
    assert isinstance(progress, Lines)
    play(progress)
    assert "\x1b" not in stream.getvalue()


def test_a_closed_stream_stops_nothing() -> None:
    stream = io.StringIO()
    stream.close()
    play(Lines(stream, live=False))


def test_quiet_is_silent() -> None:
    progress = make_progress(True, io.StringIO())
    assert isinstance(progress, Silent)
    progress.begin(VirtualWorld(), lambda: STATUS)
    progress.phase("x")
    progress.end()
