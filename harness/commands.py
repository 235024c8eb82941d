"""Finding and calling the system's network tools (``ip``, ``iptables-restore`` …).

They live in sbin, which is not on an ordinary user's PATH. Every call has a deadline, and a failure is a
HarnessError that shows what the tool said.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Sequence

from harness.errors import HarnessError

DEADLINE_S = 20.0


@functools.cache
def find(name: str) -> str | None:
    """Full path of a tool, or None."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))
    return shutil.which(name, path=path)


def call(name: str, arguments: Sequence[str], text: str = "") -> str:
    """Run a tool with ``text`` as its input and return what it prints. Raises HarnessError when it fails."""
    tool = find(name)
    if tool is None:
        hint = "On Debian or Ubuntu: apt-get install iptables iproute2"
        raise HarnessError(f"{name} is not installed", hint)
    try:
        done = subprocess.run(
            [tool, *arguments], input=text, capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise HarnessError(f"{name} {' '.join(arguments)}: {problem}") from problem
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise HarnessError(f"{name} {' '.join(arguments)} failed (exit code {done.returncode}): {said}")
    return done.stdout
