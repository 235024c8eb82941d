"""What every test may count on: markers that skip with a reason, and hypothesis profiles.

``sandbox`` tests need private namespaces with iptables and iproute2; ``interception`` tests NFQUEUE and raw
sockets there, too; ``browser`` tests need a Chromium. Where the machine has none, they are reported as
skipped with what is missing (``-ra`` prints it), never left out. ``TRAITOR_REQUIRE=sandbox,browser`` turns
such a skip into a failure, on machines meant to have them.

``make test`` runs two workers (pytest-xdist). What needs the machine more or less for itself (real clusters,
browsers) stays together in one of them, first; the other tests are shared out by file.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("default", deadline=None)
settings.register_profile(
    "thorough", deadline=None, max_examples=2_000, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "default"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts pytest in the background has it ignored, and so would be every process of the tests.
    signal.signal(signal.SIGINT, signal.default_int_handler)

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@functools.cache
def sandbox_missing() -> str | None:
    """Why no sandbox can be made here, or None. Asked once, and only when a test needs it."""
    from harness import sandbox

    return sandbox.available()


@functools.cache
def find_browser() -> str | None:
    """The path of a Chromium, or None. ``CHROMIUM`` names one."""
    named = os.environ.get("CHROMIUM")
    return next((path for path in map(shutil.which, (named, *BROWSERS) if named else BROWSERS) if path), None)


def _browser_missing() -> str | None:
    return None if find_browser() else f"no Chromium on the PATH (looked for {', '.join(BROWSERS)})"


@functools.cache
def interception_missing() -> str | None:
    """Why packets cannot be intercepted in a sandbox here, or None."""
    from harness import sandbox

    return sandbox.available(intercepting=True)


NEEDS = {"sandbox": sandbox_missing, "interception": interception_missing, "browser": _browser_missing}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite", action="store_true", help="tests/paper/scripts: write what happens now into the files"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not _needs_the_machine(str(item.path)))


@functools.cache
def _needs_the_machine(file: str) -> bool:
    """Whether tests of this file are marked sandbox or browser, in its own words."""
    text = Path(file).read_text(encoding="utf-8")
    return any(f"pytest.mark.{marker}" in text for marker in NEEDS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """By file, and all files that need the machine as if they were one; in the order they were collected in,
    where xdist itself begins with the files of most tests, which are not the longest."""
    from xdist.scheduler import LoadScopeScheduling

    config.option.loadscopereorder = False

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return "the machine" if _needs_the_machine(str(config.rootpath / file)) else file

    return ByFile(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    required = os.environ.get("TRAITOR_REQUIRE", "").split(",")
    for marker, missing in NEEDS.items():
        if item.get_closest_marker(marker) and (reason := missing()):
            if marker in required:
                pytest.fail(f"TRAITOR_REQUIRE names {marker}, but: {reason}", pytrace=False)
            pytest.skip(f"{marker}: {reason}")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser; the test carries ``@pytest.mark.browser``."""
    path = find_browser()
    assert path, "mark the test with @pytest.mark.browser"
    return path
