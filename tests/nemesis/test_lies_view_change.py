"""Lies in VIEW-CHANGEs: each strategy on the wire, and what a correct replica says to it."""

from __future__ import annotations

import json
import re

import pytest
from certified import (
    assert_nobody_elses_signature_was_made,
    certificate,
    digest,
    new_view,
    view_change,
)
from stage import Stage

from nemesis.faults import KINDS
from nemesis.lies.view_change_lie import ViewChangeLie
from nemesis.lies.view_change_spam import EVERY_NS, ViewChangeSpam
from nemesis.packets.packet import Packet
from pbft_node.core.certificates import view_change_problem
from pbft_node.core.messages import ViewChange

LIAR, VIEW, STABLE = 2, 5, 4


def stage_of(strategy: str, n: int = 4, liars: tuple[int, ...] = (LIAR,)) -> Stage:
    stage = Stage(n=n, liars=liars, checkpoint_interval=4, window=8)
    stage.rule(action="lie-view-change", replicas=list(liars), strategy=strategy)
    return stage


def true_change(stage: Stage, replica: int = LIAR) -> ViewChange:
    """Asks for view 5; number 5 was prepared in view 3, 6 in view 4."""
    prepared = [certificate(stage, 5, digest("a"), 3), certificate(stage, 6, digest("b"), 4)]
    return view_change(stage, replica, VIEW, prepared, STABLE)


def said_to(stage: Stage, packets: list[Packet]) -> ViewChange:
    (message,) = stage.read(packets)
    assert isinstance(message, ViewChange)
    return message


REFUSED = {
    "forged-certificate": "did not sign",
    "garbage-certificate": "did not sign",
    "own-certificate": "PREPAREs that are not of distinct|not the primary",
    "duplicate-voter": "not of distinct replicas",
    "wrong-proposer": "not the primary",
    "primary-vote": "a PREPARE of the primary",
    "later-view": "in a VIEW-CHANGE to 5",
    "beyond-window": "a certificate for number (4|13) after",
    "inflated-stable": "did not sign",
    "one-invalid": "a PREPARE that replica . did not sign",
    "huge": "not the primary|PREPAREs where 2 prove",
}
BELIEVED = ("stripped", "older-certificate", "deflated-stable", "two-faced", "withheld", "replayed")


def test_every_strategy_is_tried_here() -> None:
    assert set(ViewChangeLie.strategies) == {*REFUSED, *BELIEVED}


@pytest.mark.parametrize("strategy", REFUSED)
def test_a_correct_replica_refuses_it_and_nobody_elses_signature_is_made(strategy: str) -> None:
    stage = stage_of(strategy)
    true = true_change(stage)
    assert view_change_problem(stage.cluster, stage.seals[0], true) is None
    for packets in stage.to_all(LIAR, true.raw).values():
        said = said_to(stage, packets)
        assert said.raw != true.raw
        assert (said.view, said.replica) == (VIEW, LIAR)
        problem = view_change_problem(stage.cluster, stage.seals[0], said)
        assert problem is not None
        assert re.search(REFUSED[strategy], problem), problem
        assert_nobody_elses_signature_was_made(stage, said, [true], [LIAR])
    assert stage.engine.report("lie-1")["rules"] == [{"strategy": strategy, "lies": 3}]


def test_stripped_shows_nothing_prepared_and_is_valid() -> None:
    stage = stage_of("stripped")
    for packets in stage.to_all(LIAR, true_change(stage).raw).values():
        said = said_to(stage, packets)
        assert (said.prepared, said.stable) == ((), STABLE)
        assert view_change_problem(stage.cluster, stage.seals[0], said) is None


def test_deflated_forgets_the_stable_checkpoint_and_is_valid() -> None:
    stage = stage_of("deflated-stable")
    true = true_change(stage)
    said = said_to(stage, stage.send(LIAR, "r0", true.raw))
    assert (said.stable, said.checkpoint_proof, said.prepared) == (0, (), true.prepared)
    assert view_change_problem(stage.cluster, stage.seals[0], said) is None


def test_two_faced_tells_the_truth_to_one_half_only() -> None:
    stage = stage_of("two-faced")
    true = true_change(stage)
    told = {target: said_to(stage, packets) for target, packets in stage.to_all(LIAR, true.raw).items()}
    assert [target for target, said in told.items() if said.raw == true.raw] == ["r0", "r1"]
    assert told["r3"].prepared == ()
    assert view_change_problem(stage.cluster, stage.seals[0], told["r3"]) is None


def test_an_older_certificate_stands_in_for_a_newer_one() -> None:
    stage = stage_of("older-certificate")
    older = certificate(stage, 6, digest("older"), 1)
    early = view_change(stage, LIAR, 2, [older], STABLE)
    assert said_to(stage, stage.send(LIAR, "r0", early.raw)).raw == early.raw, "it knows no older one"
    said = said_to(stage, stage.send(LIAR, "r0", true_change(stage).raw))
    assert [one.pre_prepare.view for one in said.prepared] == [3, 1]
    assert said.prepared[1] == older
    assert view_change_problem(stage.cluster, stage.seals[0], said) is None


def test_withheld_is_the_truth_just_before_the_timer() -> None:
    stage = stage_of("withheld")
    true = true_change(stage)
    (packet,) = stage.send(LIAR, "r0", true.raw)
    assert packet.data == true.raw
    assert packet.delay_ns == stage.cluster.view_change_timeout_ns * 9 // 10


def test_replayed_says_again_what_others_said_in_earlier_views() -> None:
    stage = stage_of("replayed")
    old = [view_change(stage, replica, 3) for replica in (0, 1, 3)]
    for change in old:
        stage.send(int(change.replica), "r2", change.raw)
    true = true_change(stage)
    got = [message.raw for message in stage.read(stage.send(LIAR, "r0", true.raw)) if hasattr(message, "raw")]
    assert got == [old[1].raw, old[2].raw, true.raw], "all but the receiver's own, and then the truth"


def test_huge_comes_in_pieces_that_drip_and_can_be_put_together() -> None:
    stage = stage_of("huge")
    packets = stage.send(LIAR, "r0", true_change(stage).raw)
    assert len(packets) > 10
    assert [one.delay_ns for one in packets] == sorted({one.delay_ns for one in packets})
    assert len(said_to(stage, packets).prepared) == stage.cluster.window


def test_the_same_message_becomes_the_same_lie_whatever_was_learned_since() -> None:
    stage = stage_of("older-certificate")
    first = view_change(stage, LIAR, 2, [certificate(stage, 6, digest("older"), 1)], STABLE)
    stage.send(LIAR, "r0", first.raw)
    true = true_change(stage)
    said = stage.send(LIAR, "r0", true.raw)
    stage.send(LIAR, "r1", view_change(stage, LIAR, 1, [certificate(stage, 6, digest("oldest"))]).raw)
    assert stage.send(LIAR, "r0", true.raw) == said


def test_what_others_say_and_what_is_said_in_other_words_passes() -> None:
    stage = stage_of("stripped")
    other = true_change(stage, replica=1)
    assert stage.send(1, "r0", other.raw)[0].data == other.raw
    assert stage.send(LIAR, "r0", other.raw)[0].data == other.raw, "passed on, not its own"
    nothing = view_change(stage, LIAR, VIEW)
    assert stage.send(LIAR, "r0", nothing.raw)[0].data == nothing.raw
    assert stage.engine.report("lie-1")["matched"] == 0


def test_a_large_view_change_is_lied_about_in_pieces() -> None:
    stage = Stage(liars=(LIAR,), checkpoint_interval=128, window=256)
    stage.rule(action="lie-view-change", replicas=[LIAR], strategy="one-invalid")
    prepared = [certificate(stage, seq, digest(f"{seq}")) for seq in range(1, 220)]
    true = view_change(stage, LIAR, 1, prepared)
    packets = stage.send(LIAR, "r0", true.raw)
    assert len(packets) == 2
    said = said_to(stage, packets)
    assert said.prepared[:-1] == true.prepared[:-1]
    assert said.prepared[-1] != true.prepared[-1]
    assert stage.engine.report("lie-1")["matched"] == 1


def test_two_liars_sign_for_each_other_in_a_certificate_and_for_nobody_else() -> None:
    stage = stage_of("forged-certificate", n=7, liars=(2, 4))
    true = true_change(stage)
    said = said_to(stage, stage.send(LIAR, "r0", true.raw))
    forged = said.prepared[-1]
    assert forged.pre_prepare.view == VIEW - 1
    names = [forged.pre_prepare, *forged.prepares]
    good = {
        one.primary if hasattr(one, "primary") else one.replica
        for one in names
        if stage.seals[0].verify_raw(one.primary if hasattr(one, "primary") else one.replica, one.raw)
    }
    assert good == {2, 4}
    assert "did not sign" in str(view_change_problem(stage.cluster, stage.seals[0], said))


# ---------------------------------------------------------------- spam


@pytest.mark.parametrize(
    ("strategy", "views"), [("next", [1, 1, 1]), ("after-next", [2, 2, 2]), ("all", [1, 2, 1000])]
)
def test_spam_comes_every_40_ms_to_all_others(strategy: str, views: list[int]) -> None:
    stage = Stage(liars=(LIAR,))
    stage.rule(action="spam-view-changes", replicas=[LIAR], strategy=strategy)
    asked = []
    for turn in range(3):
        assert stage.engine.due_ns() == turn * EVERY_NS
        packets = stage.engine.tick(turn * EVERY_NS)
        assert stage.engine.tick(turn * EVERY_NS) == []
        assert [one.target for one in packets] == ["r0", "r1", "r3"]
        said = said_to(stage, list(packets[:1]))
        assert view_change_problem(stage.cluster, stage.seals[0], said) is None
        asked.append(said.view)
    assert asked == views


def test_spam_shows_what_its_process_said_last() -> None:
    stage = Stage(liars=(LIAR,), checkpoint_interval=4, window=8)
    stage.rule(action="spam-view-changes", replicas=[LIAR], strategy="far")
    true = true_change(stage)
    assert stage.send(LIAR, "r0", true.raw)[0].data == true.raw
    said = said_to(stage, [stage.engine.tick(2 * EVERY_NS)[0]])
    assert said.view == 1000
    assert (said.prepared, said.stable) == (true.prepared, STABLE)
    assert set(ViewChangeSpam.strategies) == {"next", "after-next", "far", "all"}


# ---------------------------------------------------------------- the kinds


def test_a_push_is_a_network_fault_and_no_proof_of_a_lie() -> None:
    kind = KINDS["view-change-lie"]
    params = {"replicas": [1], "strategy": "stripped", "push": "views"}
    assert kind.check(params, 4) is None
    victims = kind.victims(params, 4, 1)
    assert (victims.replicas, victims.byzantine, victims.network) == ({1}, {1}, True)
    assert not kind.victims({**params, "push": "none"}, 4, 1).network
    lied, pushed = {"strategy": "stripped", "lies": 1}, {}
    assert kind.proof({"matched": 9, "rules": [lied, pushed]})  # type: ignore[attr-defined]
    assert not kind.proof({"matched": 9, "rules": [{**lied, "lies": 0}, pushed]})  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "wrong",
    [
        {"push": "hard"},
        {"push": None},
        {"push": ["views"]},
        {"behind": 4},
        {"behind": "r1"},
        {"push": "lag", "behind": 1},
        {"strategy": "nicer"},
        {"replicas": [1.0]},
    ],
)
def test_wrong_parameters_are_refused_in_a_sentence(wrong: dict[str, object]) -> None:
    params = {"replicas": [1], "strategy": "stripped", "push": "views", **wrong}
    problem = KINDS["view-change-lie"].check(json.loads(json.dumps(params)), 4)
    assert problem is not None
    assert "choose" in problem or "there is no such" in problem or "does not exist" in problem


def test_a_new_view_of_another_teaches_older_certificates() -> None:
    stage = stage_of("older-certificate")
    older = certificate(stage, 6, digest("older"), 1)
    shown = [view_change(stage, replica, 4, [older], STABLE) for replica in (0, 1, 3)]
    stage.send(0, "r2", new_view(stage, 4, shown).raw)
    said = said_to(stage, stage.send(LIAR, "r0", true_change(stage).raw))
    assert said.prepared[-1] == older
