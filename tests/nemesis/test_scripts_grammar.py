"""The grammar of scripts: what is read, what is refused and where, what it costs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemesis.faults import KINDS
from nemesis.packets.registry import SCRIPT_RULES, problem_of_rule
from nemesis.scripts.expressions import Moment, parse
from nemesis.scripts.grammar import Script, read_script
from nemesis.scripts.library import library
from nemesis.scripts.scope import Mistake

ISSUE = {
    "charges": {"liars": 1, "cut": 1},
    "stages": [
        {
            "when": {
                "committed": {
                    "at": {"exactly": 1, "of": "correct"},
                    "as": {"view": "v", "seq": "s", "replica": "x"},
                }
            },
            "do": [
                {"isolate": "x"},
                {
                    "lie": {
                        "action": "equivocate",
                        "replicas": "$liars",
                        "strategy": "proposals",
                        "match": {"view": "$v + 1"},
                    }
                },
            ],
        },
        {"when": {"view-change": {"view": "v + 1"}}, "do": [{"release": "all"}], "within": 3},
    ],
}


def read(data: object, n: int = 4) -> Script:
    return read_script(data, n, SCRIPT_RULES)


def staged(when: object = None, do: object = None, **more: object) -> dict[str, object]:
    stage = {"when": {"after": 0} if when is None else when, "do": [] if do is None else do}
    return {"charges": {"liars": 1, "cut": 1}, "stages": [stage], **more}


def test_the_script_of_the_title_is_one() -> None:
    script = read(ISSUE)
    assert (script.liars, script.cut, script.cost.cut, script.cost.lies) == (1, 1, 1, True)
    assert script.stages[1].within_ns == 3_000_000_000


@pytest.mark.parametrize(
    ("data", "mistake"),
    [
        ([], r"script: \[\] is no object"),
        ({"stages": []}, "stages: 0 of them"),
        ({"stages": [{}]}, r"stages\[0\].when: is missing"),
        ({**ISSUE, "steges": 1}, "script: unknown key 'steges'"),
        (staged({"comitted": {}}), r"stages\[0\].when: 'comitted' is unknown"),
        (staged({"committed": {"view": "w"}}), r"stages\[0\].when.committed.view: .* nothing is called 'w'"),
        (staged({"executed": {"view": 1}}), r"stages\[0\].when.executed: unknown key 'view'"),
        (staged({"committed": {"at": {"most": 1}}}), r"committed.at: .* give one of any, all"),
        (staged({"committed": {"at": {"exactly": 0}}}), r"committed.at.exactly: 0: an event"),
        (staged({"committed": {"as": {"view": "primary"}}}), "'primary' means something already"),
        (
            staged({"not": {"stable": {"as": {"seq": "s"}}}}, [{"drop": {"match": {"seq": "$s"}}}]),
            "called 's'",
        ),
        (staged({"any": []}), r"stages\[0\].when.any: an empty list"),
        (staged({"seen": {"types": ["PREPAER"]}}), r"when.seen.types: 'PREPAER': give a list of"),
        (staged({"in": ["liar"]}), r"when.in: .* give two expressions"),
        (staged({"is": ["correct-liar", "liars"]}), "put blanks around a minus"),
        (staged({"after": -1}), r"when.after: -1: give seconds"),
        (staged(do=[{"isolate": "v"}]), r"stages\[0\].do\[0\].isolate: 'v': nothing is called 'v'"),
        (staged(do=[{"isolate": "correct"}]), r"do\[0\].isolate: makes up to 3 replicas .* charges.cut = 1"),
        (staged(do=[{"kill": "primary"}, {"kill": "primary"}]), r"do\[1\].kill: makes up to 2"),
        (staged(do=[{"release": "wall"}]), r"do\[0\].release: nothing was begun as 'wall'"),
        (staged(do=[{"kill": "primary", "as": "k"}]), r"do\[0\].as: kill is done at once"),
        (staged(do=[{"drop": {"match": {"types": ["X"]}}}]), r"do\[0\].drop: match.types"),
        (staged(do=[{"delay": {"by_ms": 5, "as": "slow"}}]), r"beside the action: {delay: {…}, as: slow}"),
        (staged(do=[{"hold": {"as": "it"}}]), r"beside the action: {hold: {…}, as: it}"),
        (staged(do=[{"drop": {"match": {"from": "$view"}, "q": 1}}]), r"do\[0\].drop: .*unknown key 'q'"),
        (staged(do=[{"hold": {"p": 0.5}}]), r"do\[0\].hold: p: what is held"),
        (staged(do=[{"script": {}}]), r"do\[0\]: 'script' is unknown"),
        (
            staged(do=[{"equivocate": {"replicas": ["$primary"], "strategy": "proposals"}}]),
            r"do\[0\].equivocate: equivocate is a lie: say whose",
        ),
        (
            {**staged(do=[{"drop": {"match": {"from": "$liars"}}}]), "charges": {}},
            r"do\[0\].drop.match.from: .* nothing is called 'liars' here \(charges.liars is 0\)",
        ),
        ({**ISSUE, "charges": {"liars": "view"}}, r"charges.liars: 'view' is not known beforehand"),
        (staged({"all": [{"not": {"all": [{"any": [{"not": {"after": True}}]}]}}]}), "not.after: True"),
    ],
)
def test_a_mistake_is_told_with_its_path(data: object, mistake: str) -> None:
    with pytest.raises(Mistake, match=mistake):
        read(data)


def test_the_example_after_a_mistake_is_a_script_of_ones_own_in_the_grammar() -> None:
    example = read(KINDS["script"].example["script"])
    (stage,) = example.stages
    assert len(stage.actions) == 1
    assert example.cut == 1


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["$x", "liar"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "stages",
                    "when",
                    "do",
                    "all",
                    "not",
                    "committed",
                    "at",
                    "as",
                    "isolate",
                    "drop",
                    "match",
                    "to",
                    "bind",
                ]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(script=JSON, stage=JSON)
def test_whatever_it_is_it_gives_a_sentence(script: object, stage: object) -> None:
    for data in (script, {"stages": [stage]}, {"stages": [{"when": stage, "do": script}]}):
        problem = problem_of_rule({"action": "script", "script": data, "liars": []}, 4)
        assert problem is None or problem


@pytest.mark.parametrize("n", [4, 5, 7, 10])
@pytest.mark.parametrize("name", library())
def test_every_script_of_the_library_is_right_and_needs_no_more_liars_than_f(name: str, n: int) -> None:
    script = read(library()[name], n)
    assert script.about.endswith(".")
    assert script.liars <= (n - 1) // 3
    assert KINDS[f"script:{name}"].check({"liars": list(range(script.liars))}, n) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (3, 3),
        ("primary", 1),
        ("next-primary", 2),
        ("primary(v + 3)", 0),
        ("next(3)", 0),
        ("correct - x", (0, 1)),
        ("liars + x", (2, 3)),
        ("first(all - 0)", 1),
        (["x", "next-primary", 0], (0, 2)),
        ("view - 9", 0),
        ("$v + 1", 6),
    ],
)
def test_expressions(text: object, value: object) -> None:
    moment = Moment(4, 1, (3,), 5, (), {"v": 5, "x": 2})
    known = {"v": parse(0, {}, 4, 1).kind, "x": parse(0, {}, 4, 1).kind}
    assert parse(text, known, 4, 1).value(moment) == value
