"""A service of the user's, named by ``--set service=package.module:Class``: can the replicas load it?

It is tried before anything is started, in a process with the replicas' way of importing: what is wrong with
a class of the user's is wrong use (exit code 2), no violation.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness.errors import UsageError
from pbft_node.own_services import is_own

SECONDS = 60
_ROOT = Path(__file__).resolve().parents[1]
_TRY = """
import sys
from pbft_node.errors import NodeError
from pbft_node.own_services import load_service
try:
    load_service(sys.argv[1], print)
except NodeError as problem:
    sys.exit(str(problem))
"""


def check_own_service(name: str, environment: dict[str, str]) -> None:
    """Nothing to check for a service of ours. Raises UsageError. Afterwards this process, too, finds it where
    replicas do."""
    if not is_own(name):
        return
    _leave_the_current_folder_out()
    command = [sys.executable, "-P", "-c", _TRY, name]
    try:
        tried = subprocess.run(
            command,
            env=environment,
            cwd=os.sep,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"service {name}: it was not imported within {SECONDS} s", "Mend it first."
        ) from None
    if tried.returncode != 0:
        words = tried.stderr.strip()[-2000:] or f"importing it ended with exit code {tried.returncode}"
        raise UsageError(
            words, "The environment's PYTHONPATH reaches the replicas; the current folder does not."
        )


def _leave_the_current_folder_out() -> None:
    """``python -m harness`` would search it first, for simulations and replays; replicas never do."""
    if sys.path and sys.path[0] in ("", os.getcwd()):
        sys.path[0] = str(_ROOT)
