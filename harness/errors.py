"""Errors a user meets, as one small tree.

Every one says what happened (with the value) and what it means, carries a hint of what to do next, and the
exit code of the command that met it. Anything else that escapes is a bug of ours and keeps its traceback.
"""

from __future__ import annotations

import errno

EXIT_USAGE = 2
EXIT_HARNESS = 4


class TraitorError(Exception):
    """A problem to be shown without a traceback."""

    def __init__(self, message: str, hint: str = "", exit_code: int = EXIT_HARNESS) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(TraitorError):
    """What was asked for cannot be done: wrong option, spec, plan or file. Exit code 2."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint, EXIT_USAGE)


class HarnessError(TraitorError):
    """The machine or the harness is at fault, not the cluster under test. Exit code 4."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint, EXIT_HARNESS)


def disk_hint(error: OSError) -> str:
    """What to do when a file of a run cannot be written."""
    if error.errno == errno.ENOENT:
        return "Its folder is gone: leave a run's folder alone until the run ends."
    return "Free some space, or choose another place with --out DIR."
