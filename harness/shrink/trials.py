"""Candidates tried in processes of their own, several at once, and taken in the order they were proposed.

Each trial is a fork of this process (``harness.forked``) with an empty folder and a limit of time. Trials are
begun ahead of their turn, but only the first failing one in written order counts, and what was begun behind
it is killed: how fast which of them was changes nothing. Answers are kept by the plan's content, so no plan
is run twice.
"""

from __future__ import annotations

import hashlib
import select
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

from harness.errors import HarnessError
from harness.forked import Child, ChildLimits, Heard, Report, begin
from harness.plan import Plan
from harness.plan_file import plan_text
from harness.shrink.sizes import is_plan

MAX_KEPT = 100_000
"""Answers remembered; the oldest are forgotten."""
_RUN = "run"
_AHEAD = 4
"""So many candidates for each job may wait for the one whose turn it is."""
_TICK_MS = 200


class _Answer(TypedDict):
    """Of a trial."""

    failures: list[list[str]]
    note: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trial."""

    failures: tuple[tuple[str, str], ...]
    """Violations, as (verdict line, property)."""
    note: str = ""
    """Why there is nothing to say about it."""
    seconds: float = 0.0


Attempt = Callable[[Plan, Path], Outcome]
"""Runs a plan, in the trial's process."""
Settled = Callable[[Plan, Outcome], None]
"""Told of every plan that was run and whose turn came, in written order, each content once."""


class OutOfBudget(Exception):
    """The time for all of it is over."""


@dataclass(slots=True)
class _Trial:
    """One that is under way."""

    digest: bytes
    child: Child
    folder: Path
    began: float


class Trials:
    """Close it: it kills what is under way."""

    def __init__(
        self,
        attempt: Attempt,
        scratch: Path,
        jobs: int,
        limit_s: float,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        """``tick`` is called a few times a second while trials run, and may raise to end it all."""
        assert jobs >= 1
        self._attempt = attempt
        self._scratch = scratch
        self._jobs = jobs
        self.limit_s = limit_s
        self.tick = tick
        self._known: dict[bytes, Outcome] = {}
        self._settled: set[bytes] = set()
        self._running: dict[bytes, _Trial] = {}

    def outcome(self, plan: Plan) -> Outcome:
        """Of one plan, which is valid; of a run of its own, whatever is known."""
        digest = _digest(plan_text(plan))
        self._known.pop(digest, None)
        try:
            while digest not in self._known:
                self._begin(plan, digest)
                self._wait()
        finally:
            self.close()
        return self._known[digest]

    def first(self, plans: Iterable[Plan], wanted: Callable[[Outcome], bool], settled: Settled) -> int | None:
        """Index of the first plan with a wanted outcome. What is no valid plan is passed over."""
        source = _valid(plans)
        ahead: deque[tuple[int, Plan, bytes]] = deque()
        more = True
        try:
            while True:
                while more and self._has_room(ahead, wanted):
                    one = next(source, None)
                    more = one is not None
                    if one is not None:
                        ahead.append(one)
                        self._begin(one[1], one[2])
                if not ahead:
                    return None
                index, plan, digest = ahead[0]
                outcome = self._known.get(digest)
                if outcome is None:
                    self._begin(plan, digest)
                    self._wait()
                    continue
                ahead.popleft()
                if digest not in self._settled:
                    self._settled.add(digest)
                    settled(plan, outcome)
                if wanted(outcome):
                    return index
        finally:
            self.close()

    def close(self) -> None:
        """Kill what is under way. Idempotent."""
        for trial in list(self._running.values()):
            self._end(trial, "nobody needs it")

    def _has_room(self, ahead: deque[tuple[int, Plan, bytes]], wanted: Callable[[Outcome], bool]) -> bool:
        """For one more. Nothing behind a wanted one can matter."""
        if len(self._running) >= self._jobs or len(ahead) >= _AHEAD * self._jobs:
            return False
        outcomes = (self._known.get(digest) for _, _, digest in ahead)
        return not any(outcome is not None and wanted(outcome) for outcome in outcomes)

    def _begin(self, plan: Plan, digest: bytes) -> None:
        """Its trial, unless it has or had one."""
        if digest in self._known or digest in self._running:
            return
        folder = self._scratch / digest.hex()
        try:
            folder.mkdir()
            (folder / _RUN).mkdir()
        except OSError as error:
            raise HarnessError(
                f"cannot begin a trial in {self._scratch}: {error.strerror}", "Free some space."
            ) from None

        def work(report: Report) -> None:
            outcome = self._attempt(plan, folder / _RUN)
            report({"failures": list(outcome.failures), "note": outcome.note})

        child = begin(work, ChildLimits(), folder / "stderr")
        self._running[digest] = _Trial(digest, child, folder, time.monotonic())

    def _wait(self) -> None:
        """Until a trial ended or a moment passed."""
        self.tick()
        poll = select.poll()
        trials = {trial.child.reading: trial for trial in self._running.values()}
        for reading in trials:
            poll.register(reading, select.POLLIN)
        for reading, _ in poll.poll(_TICK_MS):
            if not trials[reading].child.hear():
                self._finish(trials[reading], None)
        for trial in list(self._running.values()):
            if time.monotonic() - trial.began > self.limit_s:
                self._finish(trial, f"it was not done within {self.limit_s:g} s")

    def _finish(self, trial: _Trial, trouble: str | None) -> None:
        heard = self._end(trial, trouble)
        if len(self._known) >= MAX_KEPT:
            del self._known[next(iter(self._known))]
        seconds = time.monotonic() - trial.began
        if heard.died is not None or not heard.reports:
            self._known[trial.digest] = Outcome((), f"the trial died: {heard.died}", seconds)
        else:
            found = cast(_Answer, heard.reports[0])
            failures = tuple((line, what) for line, what in found["failures"])
            self._known[trial.digest] = Outcome(failures, found["note"], seconds)

    def _end(self, trial: _Trial, trouble: str | None) -> Heard:
        heard = trial.child.end(trouble)
        del self._running[trial.digest]
        shutil.rmtree(trial.folder, ignore_errors=True)
        return heard


def _valid(plans: Iterable[Plan]) -> Iterator[tuple[int, Plan, bytes]]:
    """With its index, and the digest of its text."""
    for index, plan in enumerate(plans):
        text = plan_text(plan)
        if is_plan(plan, text):
            yield index, plan, _digest(text)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
