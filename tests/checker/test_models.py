"""The models: what each allows, and that no advice of theirs is wrong."""

from __future__ import annotations

import json
import random
import sys

import pytest
from brute_force import linearizable, random_case
from brute_objects import OBJECTS
from model_advice import wrong_advice

from checker.history import Operation
from checker.models import MODEL_NAMES, ModelError, initial_problem, model_class, model_named
from checker.models.base import Call, Model, boxed, is_scalar

TRUE, FALSE = (True,), (False,)


def run(model, *calls):
    """Index of the first call that is not legal, or the state after all, as JSON."""
    state = model.initial
    for i, (f, given, output) in enumerate(calls):
        legal, state = model.step(state, Call(model.functions[f], given, output, known=True))
        if not legal:
            return i
    return json.loads(json.dumps(model.show(state)))


BRUTE = [name for name in MODEL_NAMES if name in OBJECTS]
"""Transactions over several keys are in `test_transactions_truth`."""

LEGAL = [
    ("register", None, [("read", None, None), ("write", "a", None), ("cas", ("a", 7), (True, "a"))], 7),
    ("register", "a", [("cas", ("b", "c"), (False, "a")), ("cas", ("b", "c"), False)], "a"),
    ("register", None, [("write", TRUE, None), ("read", None, TRUE), ("delete", None, None)], None),
    ("kv", None, [("cas", (None, "a"), (False, None)), ("cas", (None, "a"), False)], None),
    ("cas-register", None, [("cas", (None, "a"), True), ("cas", ("a", None), (True, "a"))], None),
    ("append", ("x",), [("append", 1, None), ("read", None, ("x", 1))], ["x", 1]),
    ("kv-append", None, [("get", None, ""), ("append", "ab", None), ("append", "c", None),
                         ("get", None, "abc"), ("put", "z", None), ("append", "", None),
                         ("get", None, "z")], "z"),
    ("set", None, [("remove", "a", None), ("add", "a", None), ("add", "a", None), ("add", "b", None),
                   ("contains", "a", True), ("remove", "a", None), ("contains", "a", False),
                   ("read", None, ("b",))], ["b"]),
    ("grow-only-set", None, [("add", 2, None), ("add", "2", None), ("read", None, ("2", 2))], [2, "2"]),
    ("queue", None, [("dequeue", None, None), ("peek", None, None), ("enqueue", "a", None),
                     ("enqueue", "empty", None), ("peek", None, "a"), ("length", None, 2),
                     ("read", None, ("a", "empty")), ("dequeue", None, "a"), ("dequeue", None, "empty"),
                     ("dequeue", None, None)], []),
    ("counter", 5, [("add", 2, 7), ("add", -3, None), ("read", None, 4)], 4),
    ("bank", None, [("read", None, (100,) * 8), ("transfer", (0, 7, 100), "ok"), ("balance", 7, 200),
                    ("transfer", (0, 1, 1), "overdraft"), ("transfer", (3, 3, 50), "ok")],
     [0, 100, 100, 100, 100, 100, 100, 200]),
    ("bank", (("balances", (1, 0)), ("negative", True)), [("transfer", (0, 1, 5), "ok"), ("balance", 0, -4)],
     [-4, 5]),
    ("bank", (("bob", 3), ("eve", 0)), [("transfer", ("bob", "eve", 3), "ok"), ("read", None, (0, 3))],
     [["bob", 0], ["eve", 3]]),
    ("multi-register", (("x", 1),), [
        ("txn", (("read", "x", None), ("write", "x", 2), ("read", "x", None)),
         (("read", "x", 1), ("write", "x", 2), ("read", "x", 2))),
        ("read", ("x", "y"), (2, None)), ("write", (("y", 3), ("x", None)), None),
        ("read", ("y", "x"), (3, None)),
    ], {"y": 3}),
]  # fmt: skip
"""(model, initial, calls all of which are legal, state afterwards)."""

ILLEGAL = [
    ("register", None, [("write", 1, None), ("read", None, TRUE)]),
    ("register", None, [("write", "1", None), ("read", None, 1)]),
    ("register", None, [("write", "a", None), ("cas", ("a", "b"), False)]),
    ("register", None, [("write", "a", None), ("cas", ("b", "c"), True)]),
    ("register", None, [("write", "a", None), ("cas", ("a", "b"), (False, "a"))]),
    ("kv", None, [("cas", (None, "a"), True)]),
    ("cas-register", None, [("cas", (None, "a"), (False, None))]),
    ("append", None, [("append", 1, None), ("read", None, (TRUE,))]),
    ("kv-append", None, [("append", "ab", None), ("append", "c", None), ("get", None, "abd")]),
    ("kv-append", None, [("append", "ab", None), ("get", None, "a")]),
    ("kv-append", None, [("append", "ab", None), ("put", "c", None), ("get", None, "abc")]),
    ("set", None, [("add", "a", None), ("read", None, ("a", "a"))]),
    ("set", None, [("add", "a", None), ("add", "b", None), ("read", None, ("a", "a"))]),
    ("set", None, [("add", 1, None), ("contains", TRUE, True)]),
    ("set", None, [("add", "a", None), ("remove", "a", None), ("contains", "a", True)]),
    ("queue", None, [("enqueue", "a", None), ("enqueue", "b", None), ("dequeue", None, "b")]),
    ("queue", None, [("enqueue", "a", None), ("dequeue", None, None)]),
    ("queue", None, [("enqueue", "a", None), ("length", None, 0)]),
    ("queue", None, [("enqueue", "a", None), ("read", None, ())]),
    ("counter", None, [("add", 1, 2)]),
    ("counter", None, [("add", 1, 1), ("read", None, 0)]),
    ("bank", None, [("transfer", (0, 1, 101), "ok")]),
    ("bank", None, [("transfer", (0, 1, 100), "overdraft")]),
    ("bank", (("balances", (1, 0)), ("negative", True)), [("transfer", (0, 1, 5), "overdraft")]),
    ("bank", None, [("read", None, (100,) * 7)]),
    ("multi-register", None, [("txn", (("read", "x", None),), (("read", "x", 1),))]),
    ("multi-register", None, [("txn", (("write", "x", 1),), (("write", "x", 2),))]),
    ("multi-register", None, [("txn", (("read", "x", None),), ())]),
    ("multi-register", None, [("txn", (("read", "x", None),), (("read", "y", None),))]),
    ("multi-register", None, [("read", ("x", "y"), (None,))]),
]  # fmt: skip
"""(model, initial, calls of which the last is the first that is not legal)."""


@pytest.mark.parametrize(("name", "initial", "calls", "state"), LEGAL)
def test_what_a_model_allows(name, initial, calls, state):
    assert run(model_named(name, initial), *calls) == state


@pytest.mark.parametrize(("name", "initial", "calls"), ILLEGAL)
def test_what_a_model_refuses(name, initial, calls):
    assert run(model_named(name, initial), *calls) == len(calls) - 1


def test_every_model_has_both():
    for cases in (LEGAL, ILLEGAL):
        assert {case[0] for case in cases} >= set(BRUTE) - {"grow-only-set", "kv"}


@pytest.mark.parametrize("name", BRUTE)
def test_an_operation_steps_as_its_call_does(name):
    rng = random.Random(3)
    for _ in range(100):
        case = random_case(rng, name)
        model = model_named(name, case.initial)
        state = model.initial
        for op in case.operations:
            legal, after = model.step(state, op)
            assert model.step(state, model.call(op)) == (legal, after)
            state = after if legal else state


@pytest.mark.parametrize("name", OBJECTS)
def test_no_advice_is_wrong(name):
    rng, truths = random.Random(f"{name} 1"), set()
    for _ in range(250):
        case = random_case(rng, name)
        assert wrong_advice(rng, case) is None, case
        truths.add(linearizable(case.model, case.operations, case.initial))
    assert truths == {True, False}


def test_values_of_different_json_types_differ():
    values = [None, "", "1", 1, 0, -1, *map(boxed, (True, False))]
    assert all(map(is_scalar, [*values, True, False]))
    assert len({*values}) == len(values)
    assert not any(map(is_scalar, [1.0, 0.5, ("a",), (1,), (True, True), (), b"", {}]))


SPOKEN = [
    ("register", "write", True, TRUE),
    ("register", "cas", (True, 1), (TRUE, 1)),
    ("append", "append", False, FALSE),
    ("set", "contains", False, FALSE),
    ("queue", "enqueue", True, TRUE),
    ("multi-register", "txn", (("r", "x", None), ("w", True, False)),
     (("read", "x", None), ("write", TRUE, FALSE))),
    ("multi-register", "read", ("x", True), ("x", TRUE)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "f", "given", "canonical"), SPOKEN)
def test_inputs_take_one_form(name, f, given, canonical):
    model = model_named(name)
    assert model.input_problem(f, given) is None
    assert model.canonical_input(f, given) == canonical


def test_outputs_take_one_form():
    assert model_named("register").canonical_output("cas", (True, True)) == (True, TRUE)
    assert model_named("register").canonical_output("cas", True) is True
    assert model_named("kv-append").canonical_output("get", None) == ""
    assert model_named("set").canonical_output("read", (True, "a")) == (TRUE, "a")
    assert model_named("set").canonical_output("contains", True) is True
    bank = model_named("bank", (("bob", 3), ("eve", 0)))
    assert bank.canonical_output("read", (("eve", 1), ("bob", 2))) == (2, 1)
    strange = (("eve", 1), ("eve", 2))
    assert bank.canonical_output("read", strange) == strange


REFUSED = {
    "register": [("write", 1.5), ("write", ("a",)), ("cas", ("a",)), ("cas", ("a", 0.1)), ("read", "a")],
    "append": [("append", ()), ("read", "a")],
    "kv-append": [("append", 1), ("put", None), ("get", "a")],
    "set": [("add", 1.5), ("read", "a")],
    "queue": [("enqueue", None), ("enqueue", ("a", "b")), ("dequeue", "a")],
    "counter": [("add", "1"), ("add", True), ("add", None), ("read", 1)],
    "bank": [("transfer", (0, 1)), ("transfer", (0, 8, 1)), ("transfer", (0, 1, -1)),
             ("transfer", (0, 1, True)), ("balance", True), ("balance", 8), ("balance", [0])],
    "multi-register": [("txn", ()), ("txn", (("cas", "x", 1),)), ("txn", (("r", "x"),)), ("write", ()),
                       ("write", (("x", 1.5),)), ("read", "x"), ("read", ())],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "f", "given"), [(n, *case) for n, cases in REFUSED.items() for case in cases]
)
def test_inputs_that_are_none_are_refused(name, f, given):
    assert model_named(name).input_problem(f, given)


@pytest.mark.parametrize(
    ("name", "f", "output"),
    [
        ("register", "cas", (1, "a")),
        ("register", "cas", None),
        ("register", "read", 1.0),
        ("counter", "read", None),
        ("counter", "add", True),
        ("set", "contains", "yes"),
        ("set", "read", "a"),
        ("queue", "length", -1),
        ("queue", "read", (None,)),
        ("bank", "transfer", None),
        ("bank", "read", ("a",)),
        ("multi-register", "txn", (("read", "x"),)),
    ],
)
def test_outputs_that_are_none_are_refused(name, f, output):
    assert model_named(name).output_problem(f, output)


def test_initial_states():
    for name in MODEL_NAMES:
        assert initial_problem(name, None) is None
        assert initial_problem(name, 0.5), name
    assert initial_problem("bank", (("balances", ()),))
    assert initial_problem("bank", (("balances", (1,)), ("limit", 3)))
    assert initial_problem("bank", ((True, 1), (True, 2)))
    assert initial_problem("queue", (None,))


@pytest.mark.parametrize("name", ["append", "queue", "set", "kv-append", "counter", "register"])
def test_a_step_costs_the_same_at_any_size(name):
    """It is over at once; if each step copied the state, it would take minutes."""
    f = {"append": "append", "queue": "enqueue", "set": "add", "kv-append": "append", "counter": "add"}
    model = model_named(name)
    state = model.initial
    for i in range(100_000):
        given = str(i) if name != "counter" else i
        legal, state = model.step(state, Call(f.get(name, "write"), given, None, known=True))
        assert legal


OWN = """
from checker.models.base import Model

class Mutex(Model):
    def step(self, state, call):
        if call.f == "acquire":
            return state is None, call.input
        return state == call.input, None

class Half(Model):
    pass
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_models.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_models", None)


def _mutex(*spans):
    return [
        Operation(i, i, f, "k", who, None, "info" if end is None else "ok", call, end)
        for i, (f, who, call, end) in enumerate(spans)
    ]


@pytest.mark.usefixtures("own")
def test_a_model_of_ones_own_needs_only_step():
    from checker.engines.answers import Budget
    from checker.engines.contest import decide_key

    model = model_named("own_models:Mutex")
    good = _mutex(("acquire", "a", 0, 1), ("release", "a", 2, 9), ("acquire", "b", 3, 5))
    bad = _mutex(("acquire", "a", 0, 1), ("acquire", "b", 3, 5), ("release", "a", 6, 9))
    pending = _mutex(("acquire", "a", 0, 1), ("acquire", "b", 3, 5), ("release", "a", 2, None))
    found = [decide_key(model, case, Budget(seconds=5)).status for case in (good, bad, pending)]
    assert found == ["explained", "refuted", "explained"]


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("own_models:Half", "lacks step"),
        ("own_models:Nothing", "cannot be imported"),
        ("own_models:Model.step", "not a subclass"),
        ("no_such_models:Mutex", "cannot be imported"),
        ("json:dumps", "not a subclass"),
        ("mutex", "is unknown"),
        (":", "cannot be imported"),
    ],
)
def test_a_name_that_is_no_model(name, why):
    with pytest.raises(ModelError, match=why):
        model_class(name)


def test_a_history_cannot_name_code_to_import(tmp_path):
    from checker.formats.traitor import read_bytes
    from checker.history import HistoryError

    header = b'{"schema": "traitor/history/1", "model": "own_models:Mutex"}\n'
    with pytest.raises(HistoryError, match="is unknown"):
        read_bytes(header, "history.jsonl")


def test_a_subclass_of_a_model_is_no_kind_of_it():
    class Strange(model_class("register")):
        def step(self, state, call):
            return True, state

    assert Strange.kind == ""
    assert issubclass(Strange, Model)
