"""Tests that run in a sandbox of their own.

A test that takes the fixture ``in_sandbox`` is run a second time, by a pytest inside
``sandbox.run_inside``; outside, its body is only that call. So it may make namespaces and firewall rules as
it likes, and leaves none. Mark it ``sandbox`` too.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 90
RUN_INSIDE = "import sys; from harness import sandbox; sys.exit(sandbox.run_inside(sys.argv[1:]))"


@pytest.fixture
def in_sandbox() -> None:
    """Ask for it, and the test's body runs in a sandbox."""


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    from harness import sandbox

    if "in_sandbox" not in pyfuncitem.fixturenames or sandbox.inside():
        return None
    # Without hypothesis and the conftest above, which imports it, this pytest is up in a quarter of the time.
    lean = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest", "--confcutdir", str(Path(__file__).parent)]
    pytest_inside = [sys.executable, "-m", "pytest", "-q", *lean, pyfuncitem.nodeid]
    done = subprocess.run(
        [sys.executable, "-c", RUN_INSIDE, *pytest_inside],
        cwd=pyfuncitem.config.rootpath,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    if done.returncode != 0 or "1 passed" not in done.stdout:
        pytest.fail(f"in the sandbox:\n{done.stdout}\n{done.stderr}", pytrace=False)
    return True
