"""The sandbox, its network and its firewall as an ordinary user: ``nobody``, with a copy of the packages."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
USER = "nobody"
RUN_INSIDE = "import sys; from harness import sandbox; sys.exit(sandbox.run_inside(sys.argv[1:]))"
TRY = """
import os, socket
from harness.firewall import Firewall
from harness.topology import Topology, replica_address
from nemesis.interceptor.emitter import Emitter
from nemesis.machinery import Link
from nemesis.sides import Side
assert os.getuid() == 0
topology, firewall = Topology(4, [2]), Firewall(4)
topology.build()
firewall.install()
sockets = [topology.open_udp(f"r{i}", replica_address(i), 1 << 22) for i in range(4)]
for opened in sockets:
    opened.settimeout(5)
firewall.cut("test", frozenset({Link("r0", "r1")}))
sockets[0].sendto(b"blocked", replica_address(1))
sockets[2].sendto(b"open", replica_address(1))
assert sockets[1].recv(100) == b"open"
assert firewall.blocked() == {Link("r0", "r1"): 1}
twin = topology.open_udp("r2-twin", replica_address(2), 1 << 20)
twin.settimeout(5)
topology.divide({2: Side(frozenset({3}), odd=True)})
sockets[3].sendto(b"to the twin", replica_address(2))
assert twin.recv(100) == b"to the twin"
Emitter({}).divide({2: Side(frozenset({3}), odd=True)})  # a socket whose packets are marked
firewall.remove()
topology.remove()
"""

pytestmark = pytest.mark.sandbox


@pytest.fixture
def user() -> int:
    if os.geteuid() != 0:
        pytest.skip("needs root, to become an ordinary user")
    try:
        return pwd.getpwnam(USER).pw_uid
    except KeyError:
        pytest.skip(f"this machine has no user {USER}")


@pytest.fixture
def interpreter(user: int) -> str:
    for candidate in (sys.executable, "/usr/bin/python3"):
        check = [candidate, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            if subprocess.run(check, user=user, cwd="/", timeout=20, check=False).returncode == 0:
                return candidate
        except OSError:
            continue
    pytest.skip(f"{USER} can run no Python >= 3.11 (this one is in {sys.prefix})")


@pytest.fixture
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where anybody can read it: pytest's own folders are closed to others."""
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="traitor-user-"))
    for package in ("harness", "nemesis", "pbft_node"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_an_ordinary_user_gets_network_and_partitions(user: int, interpreter: str, checkout: Path) -> None:
    done = subprocess.run(
        [interpreter, "-B", "-c", RUN_INSIDE, interpreter, "-B", "-c", TRY],
        user=user,
        group=pwd.getpwnam(USER).pw_gid,
        extra_groups=[],
        cwd=checkout,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
