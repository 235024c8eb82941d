"""Tasks in processes of their own, on the cores there are. Results come back as JSON, in the tasks' order.

A child dies with us, however we die, and a child that dies is a HarnessError with what it died of.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Sequence

from harness.errors import HarnessError, TraitorError
from harness.judging import die_with_parent

MAX_RESULT_BYTES = 64 * 1024 * 1024


def in_parallel(tasks: Sequence[Callable[[], object]], jobs: int) -> list[object]:
    """Every task's result. Raises HarnessError, or the TraitorError of a task; ends all then."""
    results: list[object] = [None] * len(tasks)
    running: dict[int, _Child] = {}
    waiting = list(enumerate(tasks))
    try:
        while waiting or running:
            while waiting and len(running) < max(1, jobs):
                index, task = waiting.pop(0)
                child = _Child(index, task)
                running[child.descriptor] = child
            for descriptor in select.select(list(running), [], [])[0]:
                if running[descriptor].read():
                    child = running.pop(descriptor)
                    results[child.index] = child.result()
    finally:
        for child in running.values():
            child.kill()
    return results


class _Child:
    """One task under way."""

    def __init__(self, index: int, task: Callable[[], object]) -> None:
        self.index = index
        self._data = bytearray()
        sys.stdout.flush()
        sys.stderr.flush()
        self.descriptor, write = os.pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self.descriptor)
            os._exit(_work(task, write, parent))
        os.close(write)

    def read(self) -> bool:
        """What is there; True at the end."""
        piece = os.read(self.descriptor, 1 << 16)
        self._data += piece
        if len(self._data) > MAX_RESULT_BYTES:
            self.kill()
            raise HarnessError(f"a result of more than {MAX_RESULT_BYTES} bytes", "This is a bug of Traitor.")
        return not piece

    def result(self) -> object:
        """After the end."""
        os.close(self.descriptor)
        _, status = os.waitpid(self._pid, 0)
        if status != 0:
            code = os.waitstatus_to_exitcode(status)
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            raise HarnessError(f"a process of the replay ended with {how}", "Is the machine out of memory?")
        content = json.loads(self._data)
        if "trouble" in content:
            raise TraitorError(content["trouble"], content["hint"], content["exit_code"])
        return content["result"]

    def kill(self) -> None:
        """At once."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self.descriptor)


def _work(task: Callable[[], object], descriptor: int, parent: int) -> int:
    """In the child: exit code 0 with a result or a trouble a user can meet."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if os.getppid() != parent:
        return 1
    try:
        try:
            content: dict[str, object] = {"result": task()}
        except TraitorError as error:
            content = {"trouble": error.message, "hint": error.hint, "exit_code": error.exit_code}
        view = memoryview(json.dumps(content).encode())
        while view:
            view = view[os.write(descriptor, view) :]
    except BaseException:
        traceback.print_exc()
        return 1
    return 0
