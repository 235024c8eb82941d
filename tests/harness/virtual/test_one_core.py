"""Who takes turns shares a core, and only while it lasts."""

from __future__ import annotations

import os

import pytest

from harness.virtual.one_core import OneCore


def test_this_thread_and_what_it_starts_stay_on_one_core_until_the_end() -> None:
    before = os.sched_getaffinity(0)
    place = OneCore()
    here = os.sched_getaffinity(0)
    child = os.posix_spawn("/bin/sh", ["sh", "-c", f"exec test $(nproc) = {len(here)}"], os.environ)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    place.release()
    place.release()
    assert len(here) == 1
    assert here <= before
    assert os.sched_getaffinity(0) == before


def test_where_that_is_not_allowed_all_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int, cores: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    before = os.sched_getaffinity(0)
    with monkeypatch.context() as patched:
        patched.setattr(os, "sched_setaffinity", refuse)
        OneCore().release()
    assert os.sched_getaffinity(0) == before
