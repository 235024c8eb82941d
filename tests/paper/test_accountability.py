"""No correct replica is ever proved guilty: random runs with liars, crashes, lost logs, searched for proofs.

All that went over the network is there, lies included: a liar's own words convict it, what it shows of others
convicts nobody, and neither does anything a correct replica signs in all its lives.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from random_runs import Run, carry_through, draw, prepare

from checker.forensics.evidence import Evidence
from checker.forensics.messages import CARRIERS
from checker.forensics.search import Search
from checker.forensics.sources import Datagram, Seen
from checker.forensics.verified import Verified
from checker.forensics.verify import check_evidence
from checker.forensics.view_rules import Cluster
from checker.public_keys import PublicKeys, Signatures
from checker.wire import FRAGMENT, TYPE_OFFSET, Pieces
from pbft_node.core.effects import Send

SEEDS = range(12)
BOLD = (63, 65, 93)
"""Runs with a liar or two that lie often, of four replicas and of seven."""


class Wire:
    """Everything sent, as the search reads it."""

    def __init__(self, sent: Iterable[bytes]) -> None:
        self.sent = list(sent)

    def datagrams(self) -> Iterator[Datagram]:
        pieces = Pieces()
        for data in self.sent:
            whole = pieces.add(data) if data[TYPE_OFFSET] == FRAGMENT else data
            if whole is not None and whole[TYPE_OFFSET] in CARRIERS:
                yield Datagram(Seen("wire", 0), whole)


def public_keys(run: Run) -> PublicKeys:
    cluster = run.cluster.cluster
    return PublicKeys(
        cluster.cluster_id, cluster.auth, cluster.client_auth, cluster.reads,
        tuple(b"sign%d" % replica for replica in range(cluster.n)), (),
        cluster.checkpoint_interval, cluster.window,
    )  # fmt: skip


def recorded(seed: int) -> tuple[Run, list[bytes]]:
    """A random run, and each message that was put on the wire, once."""
    run = prepare(seed, draw(seed))
    sent: dict[bytes, None] = {}
    tell = run.cluster.on_send

    def note(source: int, send: Send) -> list[Send]:
        told = tell(source, send)
        sent.update(dict.fromkeys(one.data for one in told))
        return told

    run.cluster.on_send = note
    carry_through(run)
    return run, list(sent)


def search(run: Run, sent: Iterable[bytes]) -> Evidence:
    keys = public_keys(run)
    evidence = Evidence(keys, "keyed-hash")
    verified = Verified(Signatures(keys, hashed=True), 10**6)
    looked = Search(Wire(sent), Cluster.of(keys), verified, evidence, ())
    looked.run()
    assert not looked.cut
    return evidence


@pytest.mark.parametrize("seed", SEEDS)
def test_only_liars_are_proved_guilty(seed: int) -> None:
    run, sent = recorded(seed)
    evidence = search(run, sent)
    honest = {culprit for culprit, _ in evidence.counts} - run.liars.keys()
    assert not honest, [(p.culprit, p.rule.name, p.told) for p in evidence.proofs if p.culprit in honest]
    again = check_evidence(evidence.to_json(), evidence.keys)
    assert not again.problems
    assert set(again.proved) == {culprit for culprit, _ in evidence.counts}


def test_liars_that_lie_boldly_are_named() -> None:
    named = lied = 0
    for seed in BOLD:
        run, sent = recorded(seed)
        assert run.options.boldness >= 0.3
        lied += len(run.liars)
        named += len({culprit for culprit, _ in search(run, sent).counts})
    assert lied >= 3
    assert named == lied
