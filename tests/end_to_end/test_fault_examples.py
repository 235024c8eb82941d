"""The example of every kind of fault, as ``traitor faults`` prints it: in ``sim`` it takes effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.fault_catalogue import spec_of
from harness.plan import make_plan
from harness.spec import make_spec
from harness.trial import trial
from nemesis.faults import KINDS, FaultKind


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_the_example_takes_effect_and_nobody_is_accused(kind: FaultKind, tmp_path: Path) -> None:
    if "sim" not in kind.worlds:
        pytest.skip(f"{kind.name} is not for sim")
    result = trial(make_plan(make_spec({**spec_of(kind), "rate": 12, "seed": 1}), 1), tmp_path)
    assert result.error is None
    assert not result.violations, result.summary()
    assert [(fault.kind, fault.took_effect) for fault in result.faults] == [(kind.name, True)]
