"""The ledger has to charge what the faults say of themselves, no less and no more, and at the same times."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from run_folder_builder import RunFolderBuilder

from checker.folder import read_folder
from checker.judge import judge_run
from checker.judges.charges import contradictions
from checker.run_facts import Charge, FaultStep, Ledger, Window

NOBODY = Charge(frozenset(), 0, frozenset(), False)
LIE = Charge(frozenset({1}), 0, frozenset({1}), False)
SLOW = Charge(frozenset(), 0, frozenset(), True)
AIMED = Charge(frozenset(), 1, frozenset(), False)


def life(fault, kind, begin, end, charge, bad=(), effect=None):
    """Its lines, from asked to undone; `end` None: nobody undid it."""
    who = None if charge is None else frozenset(bad)

    def line(at, step):
        return FaultStep(at, fault, kind, step, True, "", charge=charge if step == "asked" else None, bad=who)

    lines = [line(begin, "asked"), line(begin + 5 if effect is None else effect, "took-effect")]
    return lines if end is None else [*lines, line(end - 5, "undo-asked"), line(end, "undone")]


def book(*windows, byzantine=()):
    """(until, bad, asynchronous) one after the other, of four replicas."""
    found, since = [], 0
    for until, bad, slow in windows:
        found.append(Window(since, until, tuple(bad), len(bad) <= 1 and not slow, slow))
        since = until
    return Ledger(4, 1, frozenset(byzantine), len(byzantine) <= 1, tuple(found))


LYING = life("lie-1", "equivocate", 100, 200, LIE, [1])
OF_LYING = book((100, [], False), (200, [1], False), (900, [], False), byzantine=[1])
"""What belongs to it: Byzantine for ever, bad while it lasts."""
KILLING = life("kill-1", "kill", 100, 200, AIMED, [2])
OF_KILLING = book((100, [], False), (200, [2], False), (900, [], False))
SLOWING = life("slow-1", "delay", 100, 200, SLOW)
OF_SLOWING = book((100, [], False), (200, [], True), (900, [], False))


def together():
    """A liar that is killed meanwhile, in a slow network, and a kill whose victim nobody undoes."""
    steps = [
        *life("lie-1", "equivocate", 100, 400, LIE, [1]),
        *life("kill-1", "kill", 200, 300, AIMED, [1]),
        *life("slow-1", "delay", 250, 350, SLOW),
        *life("kill-2", "kill", 500, None, Charge(frozenset({3}), 0, frozenset(), False), [3]),
    ]
    windows = [
        (100, [], False),
        (200, [1], False),
        (250, [1], False),
        (350, [1], True),
        (400, [1], False),
        (500, [], False),
        (900, [3], False),
    ]
    return book(*windows, byzantine=[1]), sorted(steps, key=lambda step: step.time_ns)


@pytest.mark.parametrize(
    ("ledger", "steps"),
    [
        (OF_LYING, LYING),
        (OF_KILLING, KILLING),
        (OF_SLOWING, SLOWING),
        (book((900, [], False)), life("many-1", "duplicate", 100, 200, NOBODY)),
        (book((900, [], False)), [FaultStep(100, "kill-1", "kill", "no-effect", False, "cannot")]),
        together(),
    ],
    ids=["lie", "aimed kill", "slow network", "charges nobody", "never began", "all together"],
)
def test_a_ledger_that_charges_what_the_faults_say(ledger, steps):
    assert list(contradictions(ledger, steps)) == []


@pytest.mark.parametrize(
    ("ledger", "steps", "says"),
    [
        (replace(OF_LYING, byzantine=frozenset()), LYING, "does not call replicas [1] Byzantine"),
        (replace(OF_LYING, byzantine=frozenset({1, 3})), LYING, "[3] are Byzantine, but no fault charges"),
        (
            book((120, [], False), (200, [1], False), (900, [], False), byzantine=[1]),
            LYING,
            "does not call replica 1 bad all the time that fault lie-1 made it so, from 100 to 200 ns",
        ),
        (book((900, [], False), byzantine=[1]), LYING, "does not call replica 1 bad"),
        (
            book((100, [], False), (250, [1], False), (900, [], False), byzantine=[1]),
            LYING,
            "calls replica 1 bad from 100 to 250 ns, when no fault was asked for",
        ),
        (
            book((100, [], False), (200, [1, 3], False), (900, [], False), byzantine=[1]),
            LYING,
            "calls replica 3 bad from 100 to 200 ns, when no fault was asked for",
        ),
        (
            book((100, [], False), (200, [3], False), (900, [], False)),
            KILLING,
            "does not call replica 2 bad all the time that fault kill-1 made it so, from 105 to 200 ns",
        ),
        (
            book((100, [], False), (200, [2, 3], False), (900, [], False)),
            KILLING,
            "calls replica 3 bad from 100 to 200 ns, when no fault was asked for",
        ),
        (book((900, [], False)), life("kill-1", "kill", 100, 200, AIMED), "no replica bad at a time"),
        (
            book((100, [], False), (150, [], True), (900, [], False)),
            SLOWING,
            "does not call the network asynchronous while fault slow-1 made it so",
        ),
        (
            book((100, [], False), (250, [], True), (900, [], False)),
            SLOWING,
            "calls the network asynchronous from 100 ns on, when no fault",
        ),
        (OF_SLOWING, life("many-1", "duplicate", 100, 200, NOBODY), "calls the network asynchronous"),
        (
            book((100, [], False), (200, [2], False), (900, [], False)),
            life("many-1", "duplicate", 100, 200, NOBODY, [2]),
            "fault many-1 made replicas [2] bad, whom it does not charge",
        ),
        (
            replace(OF_LYING, byzantine=frozenset({1})),
            life("lie-1", "equivocate", 100, 200, replace(LIE, bad=frozenset()), []),
            "fault lie-1 makes replicas [1] lie without calling them bad",
        ),
        (OF_LYING, life("lie-1", "x", 100, 200, replace(LIE, bad=frozenset({1, 9})), [1]), "only 4"),
        (OF_LYING, [*LYING, *LYING], "fault lie-1 was asked for twice"),
        (OF_LYING, [*LYING, *life("lie-2", "x", 210, 220, LIE, [1])[1:]], "lie-2 took-effect, but it was"),
    ],
)
def test_a_ledger_that_charges_too_little_or_too_much(ledger, steps, says):
    found = list(contradictions(ledger, steps))
    assert any(says in one for one in found), found


def test_a_fault_whose_end_nobody_wrote_down_may_have_met_anybody_only_if_it_says_so():
    """A harness that died has lines until then: of an aimed fault nobody knows the victim."""
    ledger = book((100, [], False), (900, [2], False))
    assert list(contradictions(ledger, KILLING[:1])) == []
    assert list(contradictions(ledger, [replace(KILLING[0], charge=NOBODY)])) != []


def test_old_runs_are_held_to_what_they_tell():
    lie = life("lie-1", "equivocate", 100, 200, None)
    assert list(contradictions(OF_LYING, lie)) == []
    assert list(contradictions(book((900, [], False)), lie)) == [], "nobody knows whom it charged"
    late = book((300, [], False), (400, [1], False), (900, [], False), byzantine=[1])
    assert "replica 1 bad from 300 to 400" in "".join(contradictions(late, lie))
    slow = book((100, [], False), (200, [1], False), (900, [], True), byzantine=[1])
    assert "asynchronous from 200 ns on" in "".join(contradictions(slow, lie))
    kill = life("kill-1", "kill", 100, 200, None)
    assert "no replica bad at a time" in "".join(contradictions(book((900, [], False)), kill))
    assert "but the faults were kill" in "".join(contradictions(OF_LYING, kill))


# ------------------------------------------------------------------ as it is written


GOOD = {"bad": [2], "any_of": 0, "byzantine": [], "network": False}


@pytest.fixture
def run():
    run = RunFolderBuilder()
    run.faults[0]["minor"] = 1
    run.faults[1]["charges"] = dict(GOOD)
    for line in run.faults[2:]:
        line["bad"] = [2]
    return run


def test_charges_are_read(run, tmp_path):
    folder = read_folder(run.write(tmp_path))
    assert folder.problems == ()
    assert [step.charge for step in folder.faults] == [
        Charge(frozenset({2}), 0, frozenset(), False),
        None,
        None,
        None,
    ]
    assert [step.bad for step in folder.faults] == [None, *[frozenset({2})] * 3]
    assert list(contradictions(folder.ledger, folder.faults)) == []


@pytest.mark.parametrize(
    ("line", "name", "value", "says"),
    [
        (0, "minor", "one", "minor is 'one'"),
        (1, "charges", None, "line 2: charges is not an object"),
        (1, "charges", {**GOOD, "bad": "2"}, "bad is '2', not a list"),
        (1, "charges", {**GOOD, "bad": [-1]}, "-1 is not the number of a replica"),
        (1, "charges", {**GOOD, "byzantine": [[2]]}, "[2] is not the number of a replica"),
        (1, "charges", {**GOOD, "any_of": 10.5}, "any_of is 10.5"),
        (1, "charges", {**GOOD, "network": "no"}, "network is 'no', not true or false"),
        (2, "bad", None, "line 3: bad is None, not a list"),
        (4, "bad", [True], "True is not the number of a replica"),
    ],
)
def test_charges_that_are_none_are_refused(run, tmp_path, line, name, value, says):
    run.faults[line][name] = value
    folder = read_folder(run.write(tmp_path))
    assert folder.faults is None
    assert [problem for problem in folder.problems if says in problem], folder.problems


def test_the_harness_line_has_them(run, tmp_path):
    assert judge_run(run.write(tmp_path / "as it is")).exit_code == 0
    run.faults[1]["charges"] = {**GOOD, "byzantine": [2]}
    line = judge_run(run.write(tmp_path / "spoilt")).line("harness")
    assert line.verdict == "invalid"
    assert "[2] Byzantine, but faults charge them" in json.dumps(line.details["troubles"])
