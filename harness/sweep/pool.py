"""Worker processes that live as long as the sweep, one seed after another each.

A worker is forked once, with everything imported. It is told a seed and tells its outcome, as lines of JSON
through two pipes. One that dies costs the seed it had, as an outcome of its own, and is replaced. At most one
seed a worker is under way and nothing else is kept, so a sweep of any length needs the same memory. However
the sweep ends, all workers and what they started are gone.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from harness.errors import HarnessError
from harness.forked import own_streams
from harness.judging import die_with_parent
from harness.sweep.outcome import Outcome, outcome_from

Work = Callable[[int, bool], Outcome]
"""Seed, and whether a failure is to be kept."""
_LINE_BYTES = 1 << 20
_GRACE_S = 5.0
_DEATHS_IN_A_ROW = 5
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Worker:
    """One process."""

    def __init__(self, work: Work, stderr: Path, patience_s: float) -> None:
        self._patience_s = patience_s
        self._heard = b""
        self.seed: int | None = None
        """What it has."""
        self.keeps = False
        self.deadline_s = 0.0
        jobs_out, self._jobs = os.pipe()
        self.results, results_in = os.pipe()
        # Until its own handlers are set, no signal may make the child believe it is its parent.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self.pid = os.fork()
            if self.pid == 0:
                os.close(self._jobs)
                os.close(self.results)
                _be_a_worker(work, jobs_out, results_in, stderr)
        except OSError as error:
            os.close(self._jobs)
            os.close(self.results)
            raise HarnessError(
                f"cannot start a worker: {error.strerror}", "Use fewer: --jobs 1. Is memory short?"
            ) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(jobs_out)
            os.close(results_in)

    def begin(self, seed: int, keep: bool) -> None:
        """Give it a seed."""
        self.seed, self.keeps = seed, keep
        self.deadline_s = time.monotonic() + self._patience_s
        with contextlib.suppress(BrokenPipeError):  # it died: its other pipe says so
            os.write(self._jobs, json.dumps([seed, keep]).encode() + b"\n")

    def read(self) -> Outcome | None:
        """Of a readable pipe: the outcome once it is whole. EOFError when the worker is gone."""
        piece = os.read(self.results, 1 << 16)
        if not piece or len(self._heard) > _LINE_BYTES:
            raise EOFError
        self._heard += piece
        if not self._heard.endswith(b"\n"):
            return None
        line, self._heard, self.seed = self._heard, b"", None
        return outcome_from(json.loads(line))

    def end(self, grace_s: float = _GRACE_S) -> str:
        """Ask it to stop, then stop it. How it ended."""
        with contextlib.suppress(OSError):
            os.close(self._jobs)
        if not grace_s or not self._gone_within(grace_s):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        with contextlib.suppress(OSError):
            os.close(self.results)
        if os.WIFSIGNALED(status):
            return signal.Signals(os.WTERMSIG(status)).name
        return f"exit code {os.waitstatus_to_exitcode(status)}"

    def _gone_within(self, grace_s: float) -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        deadline_s = time.monotonic() + grace_s
        descriptor = os.pidfd_open(self.pid)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            return bool(poll.poll(max(0.0, deadline_s - time.monotonic()) * 1000))
        finally:
            os.close(descriptor)


class Pool:
    """``jobs`` workers for ``work``; ``stderr`` takes their last words. A seed may take ``patience_s``."""

    def __init__(self, jobs: int, work: Work, stderr: Path, patience_s: float) -> None:
        self._jobs, self._work, self._stderr, self._patience_s = jobs, work, stderr, patience_s
        self._workers: list[Worker] = []
        self._busy: dict[int, Worker] = {}
        self._deaths = 0
        """In a row."""

    def outcomes(
        self, seeds: Iterable[int], may_keep: Callable[[int], bool], go_on: Callable[[], bool]
    ) -> Generator[Outcome, None, None]:
        """One for each seed, as they come. ``may_keep`` is asked with how many may be kept already of those
        under way, ``go_on`` before each seed. Raises HarnessError when no worker lives long enough. Close
        it: that ends the workers."""
        left = iter(seeds)

        def give(worker: Worker | None) -> None:
            seed = next(left, None) if go_on() else None
            if seed is not None:
                worker = worker or self._new_worker()
                self._busy[worker.results] = worker
                worker.begin(seed, may_keep(sum(each.keeps for each in self._busy.values())))
            elif worker is not None:
                self._end(worker)

        try:
            for _ in range(self._jobs):
                give(None)
            while self._busy:
                for worker in self._ready():
                    outcome, alive = self._read(worker)
                    if outcome is not None:
                        yield outcome
                        give(alive)
        finally:
            for worker in list(self._workers):
                self._end(worker)

    def _new_worker(self) -> Worker:
        worker = Worker(self._work, self._stderr, self._patience_s)
        self._workers.append(worker)
        return worker

    def _end(self, worker: Worker) -> str:
        self._workers.remove(worker)
        return worker.end()

    def _ready(self) -> list[Worker]:
        """Those that have something to tell, and those that are out of time."""
        poll = select.poll()
        for descriptor in self._busy:
            poll.register(descriptor, select.POLLIN)
        first_s = min(worker.deadline_s for worker in self._busy.values())
        told = dict(poll.poll(max(0.0, first_s - time.monotonic()) * 1000 + 1))
        now_s = time.monotonic()
        return [one for fd, one in list(self._busy.items()) if fd in told or one.deadline_s <= now_s]

    def _read(self, worker: Worker) -> tuple[Outcome | None, Worker | None]:
        """What it tells, and the worker if it can go on."""
        seed = worker.seed
        assert seed is not None
        late = worker.deadline_s <= time.monotonic()
        try:
            outcome = None if late else worker.read()
            if outcome is None and not late:
                return None, worker
        except EOFError:
            outcome = None
        del self._busy[worker.results]
        if outcome is not None:
            worker.keeps = False
            self._deaths = 0
            return outcome, worker
        self._deaths += 1
        how = self._end(worker)
        why = f"was not done within {self._patience_s:g} s and was killed" if late else f"died: {how}"
        if self._deaths >= _DEATHS_IN_A_ROW:
            raise HarnessError(
                f"{self._deaths} workers in a row came to nothing; the last one, with seed {seed}, {why}",
                "Use fewer: --jobs 1. Is memory short?",
            )
        return Outcome(seed, "harness", f"its worker {why}"), None


def _be_a_worker(work: Work, jobs: int, results: int, stderr: Path) -> NoReturn:
    """Whatever happens here ends here: nothing of the parent's stack may run a second time."""
    code = 1
    try:
        die_with_parent()
        os.setpgid(0, 0)  # Ctrl-C is the parent's: it ends us in order
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _interrupt)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        own_streams(stderr)
        gc.freeze()  # what the parent left is not ours to collect
        with open(jobs, "rb") as orders:
            for line in orders:
                seed, keep = json.loads(line)
                _write(results, json.dumps(_done(work, seed, keep).data()).encode() + b"\n")
        code = 0
    except KeyboardInterrupt:
        code = 0
    except BaseException:
        with contextlib.suppress(BaseException):
            traceback.print_exc()
            sys.stderr.flush()
    finally:
        os._exit(code)


def _done(work: Work, seed: int, keep: bool) -> Outcome:
    try:
        return work(seed, keep)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        return Outcome(
            seed, "harness", f"this is a bug of Traitor: {type(error).__name__} at {where}: {error}"[:2000]
        )


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _write(descriptor: int, line: bytes) -> None:
    while line:
        line = line[os.write(descriptor, line) :]
