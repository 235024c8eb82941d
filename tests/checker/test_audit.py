"""The auditor rejects every kind of wrong order."""

from __future__ import annotations

from pathlib import Path

import pytest

import checker.audit
from checker.audit import audit_order, audit_refutation
from checker.history import Operation
from checker.models import model_named

MODEL = model_named("register")
WRITE = Operation(0, 0, "write", "k", "a", None, "ok", 0, 5)
READ = Operation(1, 1, "read", "k", None, "a", "ok", 6, 8)
PENDING = Operation(2, 2, "write", "k", "b", None, "info", 1, None)
FAILED = Operation(9, 9, "write", "k", "c", None, "fail", 3, None)
ALL = (WRITE, READ, PENDING, FAILED)


def test_accepts_right_orders():
    assert audit_order(MODEL, ALL, (0, 1), (2,)) is None
    assert audit_order(MODEL, ALL, (2, 0, 1), ()) is None
    assert audit_order(MODEL, ALL, (0, 1, 2), ()) is None


@pytest.mark.parametrize(
    ("order", "dropped", "why"),
    [
        ((1, 0), (2,), "does not accept operation 1"),
        ((0, 2, 1), (), "does not accept operation 1"),
        ((0,), (2,), "neither in the order nor dropped"),
        ((0, 1), (), "neither in the order nor dropped"),
        ((0, 0, 1), (2,), "twice"),
        ((0, 1, 2), (2,), "is in the order"),
        ((0,), (1, 2), "operation 1 is dropped, but it completed"),
        ((0, 1), (2, 2), "operation 2 is dropped, but"),
        ((0, 1, 7), (2,), "did not happen to this key"),
        ((0, 1, 9), (2,), "did not happen to this key"),
        ((0, 1), (2, 9), "operation 9 is dropped, but"),
    ],
)
def test_rejects_wrong_orders(order, dropped, why):
    objection = audit_order(MODEL, ALL, order, dropped)
    assert objection is not None
    assert why in objection


def test_rejects_an_order_against_real_time():
    later = Operation(3, 3, "write", "k", "c", None, "ok", 6, 8)
    assert audit_order(MODEL, (WRITE, later), (0, 3), ()) is None
    objection = audit_order(MODEL, (WRITE, later), (3, 0), ())
    assert objection == "operation 0 returned before one ordered ahead of it was called"
    touching = Operation(3, 3, "write", "k", "c", None, "ok", 5, 8)
    assert audit_order(MODEL, (WRITE, touching), (3, 0), ()) is None


def test_refutation_is_audited_by_trying_everything():
    stale = Operation(3, 3, "read", "k", None, None, "ok", 9, 10)
    assert audit_refutation(MODEL, (WRITE, READ, stale), 1_000, None) is None
    assert audit_refutation(MODEL, ALL, 1_000, None) == "an order explains them"
    assert audit_refutation(MODEL, (PENDING,), 1_000, None) == "an order explains them"
    objection = audit_refutation(MODEL, (WRITE, READ, stale), 1, None)
    assert objection == "more than 1 steps are needed to try every order"


def test_the_auditor_is_short_and_knows_no_engine():
    source = Path(checker.audit.__file__).read_text()
    assert len(source.splitlines()) < 100
    assert "engines" not in source.replace("no engine", "")
