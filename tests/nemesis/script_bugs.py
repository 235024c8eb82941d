"""Bugs planted into the protocol's rules for as long as a run in ``sim`` takes: what directed scripts are to
find. Tests only. A simulated run is a fork of this process, so what is replaced here is replaced in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

Rule = Callable[..., Any]


def _lowest_certificate(correct: Rule) -> Rule:
    """O takes the certificate of the lowest view."""

    def new_order(view_changes: Sequence[Any]) -> list[Any]:
        lowest: dict[int, Any] = {}
        for change in view_changes:
            for certificate in change.prepared:
                known = lowest.get(certificate.pre_prepare.seq)
                if known is None or certificate.pre_prepare.view < known.pre_prepare.view:
                    lowest[certificate.pre_prepare.seq] = certificate
        return [
            (seq, lowest[seq].pre_prepare.digest if seq in lowest else digest)
            for seq, digest in correct(view_changes)
        ]

    return new_order


def _no_problem(correct: Rule) -> Rule:
    """Whatever it is, it is right."""
    return lambda *anything, **named: None


def _forgets(*names: str) -> Callable[[Rule], Rule]:
    """Records of these types never reach the log."""

    def broken(correct: Rule) -> Rule:
        def persist(self: Any, type_: Any, payload: bytes) -> None:
            if type_.name not in names:
                correct(self, type_, payload)

        return persist

    return broken


def _forgets_own_proposals(correct: Rule) -> Rule:
    """A backup writes down what it votes for, a primary not what it proposes."""

    def persist(self: Any, type_: Any, payload: bytes) -> None:
        if type_.name != "PRE_PREPARE" or self.primary != self.me:
            correct(self, type_, payload)

    return persist


def _helps_nobody(correct: Rule) -> Rule:
    """A STATUS is read, and nothing is sent in answer."""

    def may_help(self: Any, peer: int) -> bool:
        return False

    return may_help


def _yes(correct: Rule) -> Rule:
    """It fits, whatever it is."""
    return lambda *anything: True


def _weak(correct: Rule) -> Any:
    """f+1 equal replies are an answer, to a read that nobody orders, too."""
    return property(lambda self: self.weak)


BUGS: Mapping[str, Sequence[tuple[str, str, Callable[[Rule], Rule]]]] = {
    "O picks the lowest certificate": (
        ("pbft_node.core.certificates", "new_order", _lowest_certificate),
        ("pbft_node.core.new_views", "new_order", _lowest_certificate),
    ),
    "backups accept any NEW-VIEW": (("pbft_node.core.new_views", "new_view_problem", _no_problem),),
    "certificates are not checked": (("pbft_node.core.certificates", "prepared_problem", _no_problem),),
    "certificates are not persisted": (
        # nor what was decided, which follows from them
        ("pbft_node.core.state", "ReplicaState.persist", _forgets("PREPARED", "COMMITTED")),
    ),
    "proposals are not persisted": (
        ("pbft_node.core.state", "ReplicaState.persist", _forgets("PRE_PREPARE")),
    ),
    "own proposals are not persisted": (
        ("pbft_node.core.state", "ReplicaState.persist", _forgets_own_proposals),
    ),
    "view changes are not persisted": (
        ("pbft_node.core.state", "ReplicaState.persist", _forgets("VIEW_CHANGE")),
    ),
    "states are not persisted": (
        ("pbft_node.core.checkpoints", "Checkpoints.persist_snapshot", _no_problem),
    ),
    "parts of a state are not checked": (("pbft_node.core.fetching", "fits", _yes),),
    "f+1 replies do for fast reads": (("pbft_node.core.cluster", "Cluster.reply_quorum", _weak),),
    "nobody is helped": (
        ("pbft_node.core.retransmission", "Retransmission.may_help", _helps_nobody),
        ("pbft_node.core.state_transfer", "StateTransfer.on_fetch_state", _no_problem),
    ),
}
"""Name -> module, path of the rule in it, and how it is broken."""


@contextmanager
def planted(bug: str) -> Iterator[None]:
    """While this lasts."""
    kept = []
    try:
        for module, path, broken in BUGS[bug]:
            *outer, name = path.split(".")
            place: Any = import_module(module)
            for part in outer:
                place = getattr(place, part)
            correct = getattr(place, name)
            kept.append((place, name, correct))
            setattr(place, name, broken(correct))
        yield
    finally:
        for place, name, correct in reversed(kept):
            setattr(place, name, correct)
