"""Each rule convicts what it is about, and not what a correct replica signs."""

from __future__ import annotations

import pytest
from guilty_messages import A, B, C, Cast, Say, cast, shown

from pbft_node.core.frames import MessageType

THREE = (0, 1, 2)


def _stable_changes(x: Cast, view: int) -> list[bytes]:
    return [x.view_change(by, view) for by in THREE]


def _forged(raw: bytes) -> bytes:
    return raw[:-1] + bytes([raw[-1] ^ 1])


def _replaced(raw: bytes, old: bytes, new: bytes) -> bytes:
    assert raw.count(old) == 1
    return raw.replace(old, new)


GUILTY: dict[str, tuple[str, Say]] = {
    "two PRE-PREPAREs": ("conflicting votes", lambda x: [x.proposal(0, 1), x.proposal(0, 1, B)]),
    "two PREPAREs": ("conflicting votes", lambda x: [x.prepare(1, 0, 1), x.prepare(1, 0, 1, B)]),
    "two COMMITs": ("conflicting votes", lambda x: [x.commit(1, 0, 1), x.commit(1, 0, 1, B)]),
    "PREPARE one, COMMIT another": (
        "conflicting votes",
        lambda x: [x.prepare(1, 0, 1), x.commit(1, 0, 1, B)],
    ),
    "propose one, COMMIT another": ("conflicting votes", lambda x: [x.proposal(0, 1), x.commit(0, 0, 1, B)]),
    "two CHECKPOINTs": ("conflicting CHECKPOINTs", lambda x: [x.checkpoint(1, 4), x.checkpoint(1, 4, B)]),
    "two decisions": (
        "conflicting decisions",
        lambda x: [x.vote(MessageType.DECIDED, 1, 0, 3, A), x.vote(MessageType.DECIDED, 1, 0, 3, B)],
    ),
    "two replies": ("conflicting replies", lambda x: [x.reply(1, b"one"), x.reply(1, b"other", view=2)]),
    "two replies, one a digest": (
        "conflicting replies",
        lambda x: [x.reply(1, b"one"), x.reply(1, b"other", whole=False)],
    ),
    "reply against two": (
        "reply against f+1 others",
        lambda x: [x.reply(1, b"one"), x.reply(0, b"other"), x.reply(3, b"other", whole=False)],
    ),
    "two VIEW-CHANGEs": (
        "conflicting VIEW-CHANGEs",
        lambda x: [x.view_change(1, 1), x.view_change(1, 1, x.certificate(0, 1))],
    ),
    "two NEW-VIEWs": (
        "conflicting NEW-VIEWs",
        lambda x: [
            x.new_view(1, _stable_changes(x, 1)),
            x.new_view(1, [x.view_change(by, 1) for by in (1, 2, 3)]),
        ],
    ),
    "certificate against vote": (
        "vote against its own certificate",
        lambda x: [x.prepare(1, 0, 1, B), x.view_change(1, 1, x.certificate(0, 1, A, by=(2, 3)))],
    ),
    "COMMIT, then stripped": ("forgotten certificate", lambda x: [x.commit(1, 0, 1), x.view_change(1, 1)]),
    "COMMIT, then an older one": (
        "forgotten certificate",
        lambda x: [x.commit(1, 2, 1), x.view_change(1, 3, x.certificate(1, 1))],
    ),
    "shown, then stripped": (
        "forgotten certificate",
        lambda x: [x.view_change(1, 1, x.certificate(0, 2)), x.view_change(1, 2)],
    ),
    "h went back": (
        "stable checkpoint taken back",
        lambda x: [x.view_change(1, 1, stable=4, proof=x.proof(4)), x.view_change(1, 2)],
    ),
    "proposal below its NEW-VIEW": (
        "proposal against its own NEW-VIEW",
        lambda x: [
            x.proposal(1, 2, B),
            x.new_view(1, [x.view_change(by, 1, stable=4, proof=x.proof(4)) for by in THREE]),
        ],
    ),
    "PRE-PREPARE of a backup": ("not the primary", lambda x: [x.proposal(0, 1, by=2)]),
    "NEW-VIEW of a backup": ("not the primary", lambda x: [x.new_view(1, _stable_changes(x, 1), by=2)]),
    "PREPARE of the primary": ("PREPARE of the primary", lambda x: [x.prepare(0, 0, 1)]),
    "short vote": ("malformed", lambda x: [x.commit(1, 0, 1, b"short")]),
    "VIEW-CHANGE of nothing": (
        "malformed",
        lambda x: [x.seal(1).signed(MessageType.VIEW_CHANGE, 1, 0, b"\0\0\0\1")],
    ),
    "NEW-VIEW of nothing": ("malformed", lambda x: [x.seal(1).signed(MessageType.NEW_VIEW, 1, 0, b"\0\0")]),
    "CHECKPOINT with a view": ("malformed", lambda x: [x.vote(MessageType.CHECKPOINT, 1, 3, 4, A)]),
    "CHECKPOINT in between": ("CHECKPOINT where none is taken", lambda x: [x.checkpoint(1, 5)]),
}
INVALID_CHANGES: dict[str, Say] = {
    "to view 0": lambda x: [x.view_change(1, 0)],
    "no checkpoint there": lambda x: [x.view_change(1, 1, stable=3, proof=x.proof(3))],
    "h without a proof": lambda x: [x.view_change(1, 1, stable=4)],
    "proof of another number": lambda x: [x.view_change(1, 1, stable=4, proof=x.proof(8))],
    "proof of two": lambda x: [x.view_change(1, 1, stable=4, proof=x.proof(4)[:2])],
    "proof with one twice": lambda x: [x.view_change(1, 1, stable=4, proof=[*x.proof(4)[:2], x.proof(4)[1]])],
    "proof of the beginning": lambda x: [x.view_change(1, 1, proof=x.proof(4))],
    "certificate of a later view": lambda x: [x.view_change(1, 1, x.certificate(1, 1))],
    "number below h": lambda x: [x.view_change(1, 1, x.certificate(0, 3), stable=4, proof=x.proof(4))],
    "number above H": lambda x: [x.view_change(1, 1, x.certificate(0, 9))],
    "a number twice": lambda x: [x.view_change(1, 1, x.certificate(0, 1), x.certificate(0, 1))],
    "one PREPARE": lambda x: [x.view_change(1, 1, x.certificate(0, 1, by=(1,)))],
    "a PREPARE twice": lambda x: [x.view_change(1, 1, x.certificate(0, 1, by=(1, 1)))],
    "PREPARE of the primary": lambda x: [x.view_change(1, 1, x.certificate(0, 1, by=(0, 1)))],
    "forged PREPARE": lambda x: [
        _resigned(x, 1, x.view_change(1, 1, x.certificate(0, 1)), x.prepare(2, 0, 1), MessageType.VIEW_CHANGE)
    ],
    "forged PRE-PREPARE": lambda x: [
        _resigned(x, 1, x.view_change(1, 1, x.certificate(0, 1)), x.proposal(0, 1), MessageType.VIEW_CHANGE)
    ],
    "forged CHECKPOINT": lambda x: [
        _resigned(
            x,
            1,
            x.view_change(1, 1, stable=4, proof=x.proof(4)),
            x.checkpoint(2, 4),
            MessageType.VIEW_CHANGE,
        )
    ],
}
INVALID_NEW_VIEWS: dict[str, Say] = {
    "two VIEW-CHANGEs": lambda x: [x.new_view(1, _stable_changes(x, 1)[:2])],
    "one of them twice": lambda x: [x.new_view(1, [*_stable_changes(x, 1)[:2], x.view_change(1, 1)])],
    "of another view": lambda x: [x.new_view(1, [*_stable_changes(x, 1)[:2], x.view_change(2, 2)])],
    "an invalid one": lambda x: [
        x.new_view(1, [*_stable_changes(x, 1)[:2], x.view_change(2, 1, x.certificate(0, 1, by=(1,)))])
    ],
    "O leaves out": lambda x: [x.new_view(1, _prepared_changes(x), order=[])],
    "O replaces": lambda x: [x.new_view(1, _prepared_changes(x), order=[x.proposal(1, 1, C)])],
    "O has more": lambda x: [
        x.new_view(1, _prepared_changes(x), order=[x.proposal(1, 1), x.proposal(1, 2, C)])
    ],
    "O of another": lambda x: [x.new_view(1, _prepared_changes(x), order=[x.proposal(1, 1, by=2)])],
    "O of another view": lambda x: [x.new_view(1, _prepared_changes(x), order=[x.proposal(5, 1)])],
    "forged VIEW-CHANGE": lambda x: [
        _resigned(x, 1, x.new_view(1, _stable_changes(x, 1)), x.view_change(2, 1), MessageType.NEW_VIEW)
    ],
}


def _prepared_changes(x: Cast) -> list[bytes]:
    return [x.view_change(0, 1, x.certificate(0, 1)), x.view_change(1, 1), x.view_change(2, 1)]


def _resigned(x: Cast, by: int, raw: bytes, inner: bytes, type_: MessageType) -> bytes:
    """The message with a forged one inside, signed anew."""
    body = _replaced(raw[32:-64], inner, _forged(inner))
    return x.seal(by).signed(type_, 1, 4 if _stable(raw) else 0, body)


def _stable(raw: bytes) -> bool:
    return raw[5] == MessageType.VIEW_CHANGE and int.from_bytes(raw[20:28], "big") == 4


@pytest.mark.parametrize("name", GUILTY)
def test_convicts(name: str) -> None:
    x = cast()
    rule, say = GUILTY[name]
    assert shown(x, rule, *say(x)) is not None


@pytest.mark.parametrize("name", GUILTY)
def test_nobody_is_convicted_by_what_was_forged(name: str) -> None:
    x = cast()
    rule, say = GUILTY[name]
    raws = list(say(x))
    for position, raw in enumerate(raws):
        changed = [*raws]
        changed[position] = _forged(raw)
        assert shown(x, rule, *changed) is None


@pytest.mark.parametrize("name", INVALID_CHANGES)
def test_an_invalid_view_change_convicts_its_signer(name: str) -> None:
    x = cast()
    raws = INVALID_CHANGES[name](x)
    assert shown(x, "invalid VIEW-CHANGE", *raws) is not None
    assert shown(x, "invalid VIEW-CHANGE", *map(_forged, raws)) is None


@pytest.mark.parametrize("name", INVALID_NEW_VIEWS)
def test_an_invalid_new_view_convicts_its_signer(name: str) -> None:
    x = cast()
    raws = INVALID_NEW_VIEWS[name](x)
    assert shown(x, "invalid NEW-VIEW", *raws) is not None
    assert shown(x, "invalid NEW-VIEW", *map(_forged, raws)) is None


INNOCENT: dict[str, tuple[str, Say]] = {
    "the same again": ("conflicting votes", lambda x: [x.prepare(1, 0, 1), x.prepare(1, 0, 1)]),
    "PREPARE and COMMIT": ("conflicting votes", lambda x: [x.prepare(1, 0, 1), x.commit(1, 0, 1)]),
    "another view": ("conflicting votes", lambda x: [x.prepare(1, 0, 1), x.prepare(1, 2, 1, B)]),
    "another number": ("conflicting votes", lambda x: [x.prepare(1, 0, 1), x.prepare(1, 0, 2, B)]),
    "another replica": ("conflicting votes", lambda x: [x.prepare(1, 0, 1), x.prepare(2, 0, 1, B)]),
    "later checkpoint": ("conflicting CHECKPOINTs", lambda x: [x.checkpoint(1, 4), x.checkpoint(1, 8, B)]),
    "the answer again": (
        "conflicting replies",
        lambda x: [x.reply(1, b"one"), x.reply(1, b"one", whole=False, view=3)],
    ),
    "another request": ("conflicting replies", lambda x: [x.reply(1, b"one"), x.reply(1, b"other", 6)]),
    "reads at two states": (
        "conflicting replies",
        lambda x: [
            x.seal(1).read_reply(1000, 0, 5, 1, b"one"),
            x.seal(1).read_reply(1000, 0, 5, 2, b"other"),
        ],
    ),
    "against one": ("reply against f+1 others", lambda x: [x.reply(1, b"one"), x.reply(0, b"other")]),
    "against one, twice": (
        "reply against f+1 others",
        lambda x: [x.reply(1, b"one"), x.reply(0, b"other"), x.reply(0, b"other", view=1)],
    ),
    "against two that differ": (
        "reply against f+1 others",
        lambda x: [x.reply(1, b"one"), x.reply(0, b"other"), x.reply(3, b"third")],
    ),
    "the VIEW-CHANGE again": ("conflicting VIEW-CHANGEs", lambda x: [x.view_change(1, 1)] * 2),
    "for later views": ("conflicting VIEW-CHANGEs", lambda x: [x.view_change(1, 1), x.view_change(1, 2)]),
    "only PREPAREd": ("forgotten certificate", lambda x: [x.prepare(1, 0, 1), x.view_change(1, 1)]),
    "COMMIT shown": (
        "forgotten certificate",
        lambda x: [x.commit(1, 0, 1), x.view_change(1, 1, x.certificate(0, 1))],
    ),
    "COMMIT shown of a later view": (
        "forgotten certificate",
        lambda x: [x.commit(1, 0, 1), x.view_change(1, 3, x.certificate(2, 1, B))],
    ),
    "COMMIT below h": (
        "forgotten certificate",
        lambda x: [x.commit(1, 0, 4), x.view_change(1, 1, stable=4, proof=x.proof(4))],
    ),
    "COMMIT after it": ("forgotten certificate", lambda x: [x.commit(1, 1, 1), x.view_change(1, 1)]),
    "vote for its certificate": (
        "vote against its own certificate",
        lambda x: [x.prepare(1, 0, 1), x.view_change(1, 1, x.certificate(0, 1))],
    ),
    "h went on": (
        "stable checkpoint taken back",
        lambda x: [x.view_change(1, 1), x.view_change(1, 2, stable=4, proof=x.proof(4))],
    ),
    "proposal above its NEW-VIEW": (
        "proposal against its own NEW-VIEW",
        lambda x: [x.proposal(1, 2, B), x.new_view(1, _prepared_changes(x))],
    ),
    "proposal out of O": (
        "proposal against its own NEW-VIEW",
        lambda x: [x.proposal(1, 1), x.new_view(1, _prepared_changes(x))],
    ),
    "PRE-PREPARE of the primary": ("not the primary", lambda x: [x.proposal(5, 1)]),
    "PREPARE of a backup": ("PREPARE of the primary", lambda x: [x.prepare(1, 0, 1)]),
    "a vote": ("malformed", lambda x: [x.commit(1, 0, 1)]),
    "CHECKPOINT at K": ("CHECKPOINT where none is taken", lambda x: [x.checkpoint(1, 8)]),
    "a good VIEW-CHANGE": (
        "invalid VIEW-CHANGE",
        lambda x: [x.view_change(1, 3, x.certificate(0, 5), x.certificate(2, 6), stable=4, proof=x.proof(4))],
    ),
    "a good NEW-VIEW": (
        "invalid NEW-VIEW",
        lambda x: [
            x.new_view(
                3,
                [
                    x.view_change(0, 3, x.certificate(0, 1), x.certificate(0, 3)),
                    x.view_change(1, 3, x.certificate(2, 1, B)),
                    x.view_change(3, 3),
                ],
            )
        ],
    ),
}


@pytest.mark.parametrize("name", INNOCENT)
def test_acquits(name: str) -> None:
    x = cast()
    rule, say = INNOCENT[name]
    assert shown(x, rule, *say(x)) is None


def test_what_has_a_mac_proves_nothing() -> None:
    x = cast("hybrid")
    seal = x.seal(1)
    two = [seal.for_peer(2, MessageType.COMMIT, 0, 1, digest) for digest in (A, B)]
    assert shown(x, "conflicting votes", *two) is None


def test_a_signature_is_good_in_one_cluster_only() -> None:
    x, other = cast(), cast()
    other.cluster = type(x.cluster)(cluster_id=b"another-cluster!", n=4, service="kv", auth="sign")
    two = [other.prepare(1, 0, 1), other.prepare(1, 0, 1, B)]
    assert shown(x, "conflicting votes", *two) is None
