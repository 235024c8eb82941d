"""Judges of the replicas (agreement, exactly-once, durability): each rejects what it looks for."""

from __future__ import annotations

import json

import pytest
from run_folder_builder import RunFolderBuilder, digest

from checker.history import HistoryError
from checker.judge import judge_run


@pytest.fixture
def run():
    return RunFolderBuilder()


def line_of(run, tmp_path, name):
    return judge_run(run.write(tmp_path / "run")).line(name)


def test_a_run_that_went_well_is_valid_in_every_judged_line(run, tmp_path):
    verdict = judge_run(run.write(tmp_path / "run"))
    assert verdict.exit_code == 0, verdict.text()
    assert [line.name for line in verdict.lines if not line.judged] == ["validity", "accountability"]
    assert "kept no journals" in verdict.line("validity").reason
    assert "no journals and no packets.pcapng" in verdict.line("accountability").reason
    assert verdict.line("accountability").verdict == "unknown"


# ------------------------------------------------------------------ agreement


def _commit_another_digest(run):
    next(line for line in run.traces[3] if line["e"] == "committed" and line["seq"] == 7)["digest"] = digest(
        99
    )


def _execute_another_digest(run):
    run.executed(3, 7)["digest"] = digest(99)


def _execute_other_requests(run):
    run.executed(1, 8)["requests"][0][1] = 4_711


def _call_a_duplicate_executed(run):
    run.executed(1, 8)["requests"][0][3] = "duplicate"


def _checkpoint_another_state(run):
    next(line for line in run.traces[0] if line["e"] == "checkpoint" and line["seq"] == 20)["digest"] = "ff"


def _skip_a_number(run):
    run.traces[0].remove(run.executed(0, 9))


def _execute_out_of_order(run):
    lines = run.traces[0]
    a, b = lines.index(run.executed(0, 9)), lines.index(run.executed(0, 10))
    lines[a], lines[b] = lines[b], lines[a]


def _change_its_mind_after_a_restart(run):
    again = [line for line in run.traces[2] if line["e"] == "executed" and line["seq"] == 12][1]
    run.traces[2][run.traces[2].index(again, 30)] = {**again, "digest": digest(98)}


def _raise_an_alarm(run):
    run.traces[1].append({"t_ns": 999, "e": "alarm", "reason": "state differs"})


@pytest.mark.parametrize(
    ("spoil", "kind", "says"),
    [
        (_commit_another_digest, "different batches", "sequence number 7"),
        (_execute_another_digest, "different batches", "sequence number 7"),
        (_execute_other_requests, "different requests", "sequence number 8"),
        (_call_a_duplicate_executed, "different requests", "sequence number 8"),
        (_checkpoint_another_state, "different states", "checkpoint 20"),
        (_skip_a_number, "gap in execution", "executed 10 right after 8"),
        (_execute_out_of_order, "gap in execution", "executed 10 right after 8"),
        (_change_its_mind_after_a_restart, "different batches", "sequence number 12"),
        (_raise_an_alarm, "alarm", "alarm"),
    ],
)
def test_agreement_rejects(run, tmp_path, spoil, kind, says):
    spoil(run)
    line = line_of(run, tmp_path, "agreement")
    assert (line.verdict, line.details["kind"]) == ("invalid", kind)
    assert says in line.reason


@pytest.mark.parametrize("spoil", [_commit_another_digest, _execute_other_requests, _raise_an_alarm])
def test_agreement_does_not_listen_to_byzantine_replicas(run, tmp_path, spoil):
    spoil(run)
    run.ledger["byzantine"] = [3, 1]
    assert line_of(run, tmp_path, "agreement").verdict == "valid"


@pytest.mark.parametrize("spoil", [_commit_another_digest, _execute_other_requests, _skip_a_number])
def test_without_a_ledger_faults_say_who_lied(run, tmp_path, spoil):
    """A harness that was killed wrote none. Then nobody is accused whom a fault made lie, nor anybody at all
    if that is not known."""
    spoil(run)
    folder = run.write(tmp_path / "run")
    named = [line.name for line in judge_run(folder).lines if line.verdict == "invalid"]
    assert named
    (folder / "ledger.json").unlink()
    faults = folder / "faults.jsonl"
    header, *steps = [json.loads(line) for line in faults.read_text().splitlines()]

    def judged(header, charge):
        asked = [
            {**one, "charges": charge} if one["step"] == "asked" else {**one, "bad": []} for one in steps
        ]
        faults.write_text("".join(json.dumps(one) + "\n" for one in (header, *asked)))
        verdict = judge_run(folder)
        return verdict.exit_code, [line.name for line in verdict.lines if line.verdict == "invalid"]

    tells, nobody = {**header, "minor": 1}, {"bad": [3], "any_of": 0, "byzantine": [], "network": False}
    assert judged(tells, nobody) == (1, [*named, "harness"])
    assert judged(tells, {**nobody, "bad": [0, 1, 3], "byzantine": [0, 1, 3]}) == (4, ["harness"])
    assert judged(header, nobody) == (4, ["harness"]), "an old harness, which did not tell"
    faults.unlink()
    verdict = judge_run(folder)
    assert (verdict.exit_code, verdict.line("agreement").verdict) == (4, "unknown")
    assert "nobody knows who lied" in verdict.line("agreement").reason


def test_agreement_accepts_a_jump_by_state_transfer(run, tmp_path):
    kept = [line for line in run.traces[3] if not (line["e"] == "executed" and 30 < line["seq"] <= 40)]
    at = next(i for i, line in enumerate(kept) if line["e"] == "executed" and line["seq"] == 41)
    started = {"t_ns": 1, "e": "state-transfer", "seq": 30, "digest": "", "step": "started"}
    finished = {"t_ns": 1, "e": "state-transfer", "seq": 40, "digest": digest(540), "step": "finished"}
    run.traces[3] = [*kept[:at], started, finished, *kept[at:]]
    assert line_of(run, tmp_path, "agreement").verdict == "valid"
    run.traces[3].remove(finished)
    assert line_of(run, tmp_path, "agreement").verdict == "invalid"


def _prepare_alone(run):
    for replica in (1, 2, 3):
        for line in run.traces[replica]:
            if line["e"] == "pre-prepare" and line["seq"] == 40:
                line["t_ns"] += 500


def _commit_too_soon(run):
    next(line for line in run.traces[3] if line["e"] == "committed" and line["seq"] == 41)["t_ns"] = 41_000


def _commit_another_view(run):
    """Prepared is forgotten: the votes were for a proposal of another view."""
    for replica in (0, 1):
        for line in run.traces[replica]:
            if line["e"] == "pre-prepare" and line["seq"] == 42:
                line["view"] = 1


def _execute_first(run):
    lines = run.traces[0]
    committed = next(line for line in lines if line["e"] == "committed" and line["seq"] == 43)
    lines.remove(committed)
    lines.insert(lines.index(run.executed(0, 43)) + 1, committed)


@pytest.mark.parametrize(
    ("spoil", "kind", "says"),
    [
        (
            _prepare_alone,
            "prepared without a quorum",
            "when 1 correct replicas had accepted it: a quorum takes 3",
        ),
        (
            _commit_too_soon,
            "committed without a quorum",
            "when 0 correct replicas had prepared it: a quorum takes 3",
        ),
        (_commit_another_view, "prepared without a quorum", "when 2 correct replicas had accepted it"),
        (_execute_first, "executed before it was committed", "before it had committed it"),
    ],
)
def test_agreement_rejects_what_no_quorum_decided(run, tmp_path, spoil, kind, says):
    spoil(run)
    line = line_of(run, tmp_path, "agreement")
    assert (line.verdict, line.details["kind"]) == ("invalid", kind)
    assert says in line.reason


def test_agreement_counts_a_restarted_replica_in(run, tmp_path):
    """Its vote may have been durable when a crash took the trace of it (replica 2, before number 21)."""

    def forget(seq, *replicas):
        for replica in replicas:
            lines = run.traces[replica]
            run.traces[replica] = [x for x in lines if not (x["e"] == "prepared" and x["seq"] == seq)]

    forget(21, 2, 3)
    assert line_of(run, tmp_path, "agreement").verdict == "valid"
    forget(22, 3)
    assert line_of(run, tmp_path, "agreement").verdict == "valid"
    forget(22, 2)
    assert "when 2 correct replicas had prepared it" in line_of(run, tmp_path, "agreement").reason


def test_agreement_takes_a_new_view_for_its_primarys_proposals(run, tmp_path):
    """Also of numbers that its own window does not reach yet."""
    for replica in (1, 3):  # replica 3, a laggard, has it only when its window moved on
        for line in run.traces[replica]:
            if line["e"] == "pre-prepare" and line["seq"] == 50:
                line["t_ns"] += 300
    assert line_of(run, tmp_path, "agreement").verdict == "invalid"
    entered = {"t_ns": 49_000, "e": "new-view", "view": 0, "primary": 3, "min_s": 40, "max_s": 50}
    run.traces[3].append(entered)
    assert line_of(run, tmp_path, "agreement").verdict == "valid"
    for changed in ({"max_s": 49}, {"min_s": 50}, {"primary": 1}, {"t_ns": 60_000}, {"view": 2}):
        run.traces[3][-1] = {**entered, **changed}
        assert line_of(run, tmp_path, "agreement").verdict == "invalid", changed


def test_agreement_outside_the_fault_model_says_so(run, tmp_path):
    _commit_another_digest(run)
    run.ledger.update(byzantine=[0, 1], safety_demanded=False)
    _raise_an_alarm(run)
    line = line_of(run, tmp_path, "agreement")
    assert line.verdict == "invalid"
    assert line.reason.startswith("outside the fault model (2 Byzantine, f = 1)")


# --------------------------------------------------------- exactly once, durability


def _execute_twice(run):
    for replica in range(4):
        run.executed(replica, 9)["requests"].append(list(run.executed(replica, 5)["requests"][0]))


def _execute_twice_in_a_batch(run):
    for replica in range(4):
        requests = run.executed(replica, 9)["requests"]
        requests.append(list(requests[0]))


@pytest.mark.parametrize(
    ("spoil", "kind", "says"),
    [
        (_execute_twice, "executed at two places", "5 and 9"),
        (_execute_twice_in_a_batch, "executed twice in a batch", "twice at sequence number 9"),
    ],
)
def test_exactly_once_rejects(run, tmp_path, spoil, kind, says):
    spoil(run)
    line = line_of(run, tmp_path, "exactly-once")
    assert (line.verdict, line.details["kind"]) == ("invalid", kind)
    assert says in line.reason


def test_exactly_once_accepts_recognised_duplicates(run, tmp_path):
    _execute_twice(run)
    for replica in range(4):
        for line in run.traces[replica]:
            if line["e"] == "executed" and line["seq"] == 9:
                line["requests"][-1][3] = "duplicate"
    assert line_of(run, tmp_path, "exactly-once").verdict == "valid"


def test_durability_rejects_an_acknowledged_operation_nobody_executed(run, tmp_path):
    for replica in range(4):
        for line in run.traces[replica]:
            if line["e"] == "executed" and line["seq"] == 9:
                line["requests"] = []
    line = line_of(run, tmp_path, "durability")
    assert (line.verdict, line.details["kind"]) == ("invalid", "never executed")
    assert "no correct replica executed it" in line.reason


def test_durability_needs_enough_correct_replicas(run, tmp_path):
    for replica in range(1, 4):
        run.traces[replica] = [line for line in run.traces[replica] if line.get("seq", 0) < 61]
    assert "only 1 correct replica still held it" in line_of(run, tmp_path, "durability").reason
    run.ledger["byzantine"] = [1]
    assert line_of(run, tmp_path, "durability").verdict == "valid"


def test_durability_knows_that_a_replica_may_take_over_what_it_did_not_execute(run, tmp_path):
    """Killed between snapshot and trace, or updated by others, it answers from its client table."""
    for replica in (1, 2, 3):
        trace = run.traces[replica]
        at = next(i for i, line in enumerate(trace) if line.get("seq") == 61 and line["e"] == "executed")
        trace[at] = dict(trace[0], t_ns=trace[at]["t_ns"], executed=61)
    assert line_of(run, tmp_path, "durability").verdict == "valid"


def test_durability_does_not_accuse_where_no_trace_was_left(run, tmp_path):
    for replica in range(4):
        trace = run.traces[replica]
        at = next(i for i, line in enumerate(trace) if line.get("seq") == 61 and line["e"] == "executed")
        trace[at] = dict(trace[0], t_ns=trace[at]["t_ns"], executed=61)
    line = line_of(run, tmp_path, "durability")
    assert line.verdict == "unknown"
    assert "61" in line.reason


def test_durability_rejects_what_was_forgotten_after_a_restart(run, tmp_path):
    for replica in range(4):
        started = dict(run.traces[replica][0], executed=10)
        run.traces[replica].append(started)
    line = line_of(run, tmp_path, "durability")
    assert (line.verdict, line.details["kind"]) == ("invalid", "forgotten")
    assert "at the end only 0 correct replicas still held it there" in line.reason


def test_durability_rejects_other_requests_in_place_of_what_was_acknowledged(run, tmp_path):
    """A cluster that forgot everything soon has as many numbers again: how far it came proves nothing."""
    for replica in range(4):
        first = run.traces[replica][0]
        others = [
            dict(run.executed(replica, seq), requests=[[2000, seq, digest(9), "executed"]])
            for seq in range(1, 70)
            if seq < 62
        ]
        run.traces[replica] += [dict(first, t_ns=70_000), *others]
    line = line_of(run, tmp_path, "durability")
    assert line.verdict == "invalid"
    assert "only 0 correct replicas still held it" in line.reason


def test_durability_rejects_a_word_given_before_the_deed(run, tmp_path):
    late = 30 * 1_000_000_000
    for line in run.traces[1]:
        if line["e"] == "executed" and line["seq"] == 61:
            line["t_ns"] = late
    line = line_of(run, tmp_path, "durability")
    assert (line.verdict, line.details["kind"]) == ("invalid", "acknowledged before it was executed")
    assert "on the word of replica 1 before that had executed it: it did 9999.0 ms later" in line.reason
    run.traces[1] = [line for line in run.traces[1] if line.get("seq") != 61]
    assert "it never did" in line_of(run, tmp_path, "durability").reason
    run.ledger["byzantine"] = [1]
    assert line_of(run, tmp_path, "durability").verdict == "valid"


def test_durability_rejects_the_word_of_too_few(run, tmp_path):
    path = run.write(tmp_path / "run") / "history.jsonl"
    path.write_text(path.read_text().replace('"replicas": [0, 1]', '"replicas": [1, 1]', 1))
    line = judge_run(path.parent).line("durability")
    assert (line.verdict, line.details["kind"]) == ("invalid", "too few vouch for it")
    assert "on the word of replicas [1] alone" in line.reason


def change_ok_line(history, f, **fields):
    """The first `ok` line of that function says something else."""
    lines = [json.loads(line) for line in history.read_text().splitlines()]
    line = next(line for line in lines if line.get("type") == "ok" and line["f"] == f)
    line.update(fields)
    history.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(
    ("f", "fields", "says"),
    [
        ("get", {"path": "fast", "replicas": [0, 1, 3]}, None),
        ("get", {"path": "fast", "replicas": [0, 1]}, "a client needs 3"),
        ("get", {"path": "ordered", "replicas": [0, 1, 3]}, "no correct replica executed it"),
        ("put", {"path": "fast", "replicas": [0, 1, 3]}, "no correct replica executed it"),
    ],
)
def test_durability_asks_a_fast_read_for_its_quorum_only(run, tmp_path, f, fields, says):
    """It was never ordered, so there is nothing to keep; only reads can be fast."""
    path = run.write(tmp_path / "run") / "history.jsonl"
    change_ok_line(path, f, timestamp=9999, **fields)
    line = judge_run(path.parent).line("durability")
    assert line.verdict == ("invalid" if says else "valid")
    assert says is None or says in line.reason


def test_durability_looks_up_the_request_that_was_answered(run, tmp_path):
    """A fast read that failed was ordered under the next timestamp."""
    path = run.write(tmp_path / "run") / "history.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    begun = next(line for line in lines if line.get("type") == "invoke" and line["f"] == "get")
    asked, begun["timestamp"] = begun["timestamp"], begun["timestamp"] - 1
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert judge_run(path.parent).line("durability").verdict == "invalid"
    change_ok_line(path, "get", path="ordered", timestamp=asked)
    assert judge_run(path.parent).line("durability").verdict == "valid"


def test_a_path_nobody_knows_is_refused(run, tmp_path):
    path = run.write(tmp_path / "run") / "history.jsonl"
    change_ok_line(path, "get", path="slow")
    with pytest.raises(HistoryError, match='path "slow" is neither'):
        judge_run(path.parent)
