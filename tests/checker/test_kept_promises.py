"""What each correct replica said against what it said before."""

from __future__ import annotations

import pytest
from run_folder_builder import RunFolderBuilder, digest
from trace_edits import asked, entered, find, in_view, line_of, put, recovered, silent, start


@pytest.fixture
def run():
    return RunFolderBuilder()


def everybody_changes_views(run, at_seq=15, view=1):
    for replica in range(4):
        put(run, replica, at_seq, asked(view), entered(view))
        in_view(run, replica, view, at_seq)
    start(run, 2, 1)["view"] = view


def test_a_view_change_breaks_no_promise(run, tmp_path):
    everybody_changes_views(run)
    line = line_of(run, tmp_path)
    assert line.verdict == "valid", line.reason
    assert line.details == {"votes": 488, "lives": 5}


def test_what_a_killed_life_did_last_may_be_in_its_log_only(run, tmp_path):
    """It comes back in a view of which its trace has no line."""
    start(run, 2, 1).update(view=3, active=True)
    in_view(run, 2, 3, 21)
    assert line_of(run, tmp_path).verdict == "valid"


def test_a_log_that_is_lost_takes_the_views_with_it(run, tmp_path):
    everybody_changes_views(run)
    start(run, 2, 1).update(view=0, executed=0, stable=0, records=0)
    put(run, 2, 21, silent(None), silent(2))
    back = run.traces[2].index(start(run, 2, 1))
    said = [line for line in run.traces[2][back:] if line["e"] == "silent"]
    for line in said:
        run.traces[2].remove(line)
    run.traces[2][back + 1 : back + 1] = [{**line, "t_ns": 21_000} for line in said]
    put(run, 2, 30, entered(2), recovered(2, 2))
    in_view(run, 2, 2, 30)
    for seq in range(21, 30):  # so long it follows and votes on nothing
        for kind in ("pre-prepare", "prepared"):
            run.traces[2].remove(find(run, 2, kind, seq))
    line = line_of(run, tmp_path)
    assert line.verdict == "valid", line.reason


# ------------------------------------------------------------------ broken


def _accept_two(run):
    run.traces[1].append({**find(run, 1, "pre-prepare", 9), "digest": digest(77)})


def _prepare_another_than_accepted(run):
    find(run, 1, "prepared", 9)["digest"] = digest(77)


def _accept_another_after_a_restart(run):
    run.traces[2].append({**find(run, 2, "pre-prepare", 9), "digest": digest(77)})


def _commit_two(run):
    run.traces[1].append({**find(run, 1, "committed", 9), "digest": digest(77)})


def _vote_where_it_left(run):
    everybody_changes_views(run)
    in_view(run, 3, 0, 20, 20)


def _vote_before_it_enters(run):
    put(run, 3, 15, asked(1))
    in_view(run, 3, 1, 15)


def _vote_ahead(run):
    in_view(run, 3, 5, 15)


def _enter_an_earlier_view(run):
    everybody_changes_views(run, view=3)
    put(run, 1, 30, entered(2))


def _enter_twice(run):
    everybody_changes_views(run)
    put(run, 1, 30, entered(1))


def _ask_for_an_earlier_view(run):
    everybody_changes_views(run, view=3)
    put(run, 1, 30, asked(2))


def _come_back_in_an_earlier_view(run):
    everybody_changes_views(run)
    start(run, 2, 1)["view"] = 0


KILLED_NS = 20_500
"""Between the lives of replica 2: its second begins with the line of number 21."""


def _come_back_as_if_it_had_entered(run):
    put(run, 2, 20, asked(1))
    in_view(run, 2, 0, 20, 20)
    for kind in ("pre-prepare", "prepared"):
        run.traces[2].remove(find(run, 2, kind, 20))
    start(run, 2, 1).update(view=1, active=True)
    in_view(run, 2, 1, 21)
    run.run["exits"][0]["time_ns"] = KILLED_NS


def _vote_below(run):
    put(run, 0, 15, {"e": "stable", "seq": 15, "digest": digest(515), "high": 79})


def _vote_above(run):
    put(run, 0, 15, {"e": "stable", "seq": 10, "digest": digest(510), "high": 14})


def _vote_above_what_the_plan_says(run):
    run.plan["cluster"]["window"] = 16


def _vote_while_silent(run):
    put(run, 1, 15, silent(None))


def _vote_below_its_bound(run):
    put(run, 1, 15, silent(3))


def _leave_while_silent(run):
    put(run, 1, 60, silent(3), asked(1))


def _propose_for_another(run):
    find(run, 1, "pre-prepare", 15)["role"] = "primary"


def _begin_in_the_middle(run):
    start(run, 0, 0)["executed"] = 7


@pytest.mark.parametrize(
    ("spoil", "kind", "says"),
    [
        (_accept_two, "two digests in one view", "replica 1 accepted 000000000000000"),
        (
            _prepare_another_than_accepted,
            "two digests in one view",
            "view 0, number 9, after it had accepted",
        ),
        (_accept_another_after_a_restart, "two digests in one view", "replica 2"),
        (_commit_two, "two digests in one view", "replica 1 committed"),
        (_vote_where_it_left, "voted in a view it had left", "replica 3 accepted number 20 in view 0"),
        (_vote_before_it_enters, "voted in a view not entered", "number 15 in view 1, which it had not"),
        (_vote_ahead, "voted in a view not entered", "number 15 in view 5"),
        (_enter_an_earlier_view, "went back to an earlier view", "entered view 2, after"),
        (_enter_twice, "went back to an earlier view", "entered view 1, after"),
        (_ask_for_an_earlier_view, "went back to an earlier view", "asked for view 2, after"),
        (_come_back_in_an_earlier_view, "went back to an earlier view", "came back in view 0, after"),
        (_come_back_as_if_it_had_entered, "went back to an earlier view", "it had only asked for it"),
        (_vote_below, "outside the water marks", "number 15 in view 0 with h = 15, H = 79"),
        (_vote_above, "outside the water marks", "with h = 10, H = 14"),
        (_vote_above_what_the_plan_says, "outside the water marks", "number 17 in view 0 with h = 0, H = 16"),
        (_vote_while_silent, "acted while silent", "it knew of no view it may vote in"),
        (_vote_below_its_bound, "acted while silent", "it may from 3 on"),
        (_leave_while_silent, "acted while silent", "asked for view 1 before it had recovered"),
        (_propose_for_another, "proposed in another's view", "replica 1 proposed number 15"),
        (_begin_in_the_middle, "began with what it never executed", "with 7 sequence numbers executed"),
    ],
)
def test_a_broken_promise_is_found(run, tmp_path, spoil, kind, says):
    spoil(run)
    line = line_of(run, tmp_path)
    assert (line.verdict, line.details["kind"]) == ("invalid", kind), line.reason
    assert says in line.reason


def _is_the_primary(run):
    for record in run.traces[2]:
        if record.get("view") == 1:
            record["view"] = 2


def _primary_entered(run, at_seq=20):
    put(run, 1, at_seq, asked(1), entered(1))
    in_view(run, 1, 1, at_seq)


def _primary_lies(run):
    run.ledger["byzantine"] = [1]


def _crashed(run):
    _primary_entered(run)
    run.run["exits"][0].update(code=70, signal=None)


def _primary_came_back_in_it(run):
    """It was killed itself when it had entered, and sends its NEW-VIEW again."""
    put(run, 1, 20, {**start(run, 1, 0), "t_ns": 20_000, "view": 1, "executed": 19, "records": 40})
    in_view(run, 1, 1, 20)
    run.run["exits"].append({**run.run["exits"][0], "replica": 1, "time_ns": 19_500})


@pytest.mark.parametrize(
    "why", [_is_the_primary, _primary_entered, _primary_came_back_in_it, _primary_lies, _crashed]
)
def test_the_last_turn_of_a_killed_life_may_have_entered_a_view_in_the_log_only(run, tmp_path, why):
    _come_back_as_if_it_had_entered(run)
    why(run)
    line = line_of(run, tmp_path)
    assert line.verdict == "valid", line.reason


def _entered_when_it_was_dead(run):
    _primary_entered(run, at_seq=30)


def _stopped_in_order(run):
    _primary_entered(run)
    run.run["exits"][0].update(code=0, signal=None)


def _stopped_in_order_as_primary(run):
    _is_the_primary(run)
    run.run["exits"][0].update(code=0, signal=None)


def _killed_in_another_life(run):
    _primary_lies(run)
    run.run["exits"][0]["time_ns"] = 40_000


def _another_was_killed(run):
    _primary_entered(run)
    run.run["exits"][0]["replica"] = 3


@pytest.mark.parametrize(
    "but",
    [
        _entered_when_it_was_dead,
        _stopped_in_order,
        _stopped_in_order_as_primary,
        _killed_in_another_life,
        _another_was_killed,
    ],
)
def test_no_log_holds_more_than_its_trace_unless_its_life_was_cut_short_with_a_new_view_at_hand(
    run, tmp_path, but
):
    _come_back_as_if_it_had_entered(run)
    but(run)
    line = line_of(run, tmp_path)
    assert (line.verdict, line.details.get("kind")) == ("invalid", "went back to an earlier view"), (
        line.reason
    )
    assert "replica 2 came back in view" in line.reason


def test_a_liar_breaks_no_promise_of_ours(run, tmp_path):
    _accept_two(run)
    run.ledger["byzantine"] = [1]
    assert line_of(run, tmp_path).verdict == "valid"


def test_behind_a_line_that_cannot_be_read_only_digests_count(run, tmp_path):
    put(run, 3, 15, {"e": "new-view", "view": "one"})
    in_view(run, 3, 1, 15)
    line = line_of(run, tmp_path)
    assert (line.verdict, line.reason) == ("unknown", "the trace of replica 3 has lines that cannot be read")
    run.traces[3].append({**find(run, 3, "pre-prepare", 9), "digest": digest(77)})
    assert line_of(run, tmp_path).verdict == "invalid"
