"""A service of the user's under faults: a good one passes, a bad one is found, a missing one is wrong use."""

from __future__ import annotations

from pathlib import Path

import pytest
from cluster_runs import ROOT, traitor

pytestmark = pytest.mark.sandbox

REGISTERS = ["--workload", "register", "--seed", "4", "--set", "request_timeout=200ms"]
EXAMPLE = ROOT / "tests" / "pbft_node"
BROKEN = '''
from own_service import Registers

class Forgetful(Registers):
    """Gives the value before the last one."""

    def execute(self, store, client, operation):
        result = super().execute(store, client, operation)
        if b"get" in operation[:10]:
            last, _ = store.get(b"last") or b"", store.put(b"last", result)
            return last or result
        return result
'''


def test_the_example_passes(tmp_path: Path) -> None:
    asked = ["--set", "service=own_service:Registers", "--time", "3", "--fault", "kill"]
    done = traitor(tmp_path, *REGISTERS, *asked, paths=[EXAMPLE])
    assert {line for line, word in done.verdicts().items() if word != "valid"} <= done.excused(), (
        done.explain()
    )
    assert done.code == 0 or done.excused(), done.explain()
    assert "--set service=own_service:Registers" in done.stdout


def test_a_service_that_serves_old_values_is_found(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "broken_service.py").write_text(BROKEN)
    asked = ["--set", "service=broken_service:Forgetful", "--time", "2", "--fault", "none"]
    done = traitor(tmp_path / "out", *REGISTERS, *asked, paths=[EXAMPLE, tmp_path / "mine"])
    assert done.code == 1, done.explain()
    assert done.verdicts()["linearizability"] == "invalid"
    assert done.verdicts()["agreement"] == "valid", "all replicas are wrong alike"


def test_a_service_that_cannot_be_loaded_is_wrong_use_and_leaves_nothing(tmp_path: Path) -> None:
    done = traitor(tmp_path / "out", *REGISTERS, "--set", "service=nowhere:Registers", "--time", "3")
    assert done.code == 2, done.explain()
    assert "no module 'nowhere' on the path" in done.stderr
    assert not (tmp_path / "out").exists()
