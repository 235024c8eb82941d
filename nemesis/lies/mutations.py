"""Single mutations of every type of message, for random testing: near the truth (``small``) or ``any``.

Each is a ``set`` of ``alter``. Small ones are what another correct message could have said: the next view or
number, another digest that is about, a list with an element less. Only fields stand here that some receiver
reads: FETCH-BATCH has no view, so none of it is mutated. Whether a message decodes afterwards is another
matter: of ``any``, many do not.

Winter, Buse, Majumdar et al., "Randomized Testing of Byzantine Fault Tolerant Algorithms", OOPSLA 2023,
found small-scope mutations worth far more than arbitrary ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SMALL, ANY = "small", "any"
Fields = Mapping[str, object]
_VIEW: tuple[Fields, ...] = ({"view": "+1"}, {"view": "-1"})
_NUMBER: tuple[Fields, ...] = ({"seq": "+1"}, {"seq": "-1"})
_VOTE: tuple[Fields, ...] = (*_VIEW, *_NUMBER, {"digest": "known"})
_ENVELOPE: tuple[Fields, ...] = (
    {"seq": "random"},
    {"seq": 2**62},
    {"type": "random"},
    {"flags": "flip"},
    {"sender": "random"},
    {"length": "flip"},
)
_FAR: tuple[Fields, ...] = ({"view": "random"}, {"view": 2**62}, *_ENVELOPE)
_DIGEST: tuple[Fields, ...] = ({"digest": "random"}, {"digest": "flip"}, {"digest": "shorter"})

NEAR: Mapping[str, tuple[Fields, ...]] = MappingProxyType(
    {
        "PRE_PREPARE": (
            *_VIEW,
            *_NUMBER,
            {"time_ns": "+1", "digest": "batch"},
            {"requests": "shorter", "digest": "batch"},
            {"requests": "doubled", "digest": "batch"},
            {"requests": "empty", "time_ns": 0, "digest": "batch"},
        ),
        "PREPARE": _VOTE,
        "COMMIT": _VOTE,
        "CHECKPOINT": (*_NUMBER, {"digest": "known"}),
        "REPLY": (
            *_VIEW,
            *_NUMBER,
            {"client": "+1"},
            {"result": "shorter", "result_digest": "known"},
            {"result": "flip", "result_digest": "flip"},
        ),
        "VIEW_CHANGE": (
            *_VIEW,
            *_NUMBER,
            {"prepared": "shorter"},
            {"prepared": "empty"},
            {"prepared": "reversed"},
            {"proof": "shorter"},
            {"prepared.0.prepares": "shorter"},
            {"prepared.0.pre_prepare.0.view": "+1"},
            {"prepared.0.pre_prepare.0.digest": "known"},
        ),
        "NEW_VIEW": (
            *_VIEW,
            {"pre_prepares": "shorter"},
            {"pre_prepares": "reversed"},
            {"pre_prepares": "doubled"},
            {"pre_prepares.0.digest": "known"},
            {"pre_prepares.0.seq": "+1"},
            {"view_changes": "shorter"},
            {"view_changes": "doubled"},
            {"view_changes.0.seq": "+1"},
        ),
        "STATUS": (*_VIEW, *_NUMBER, {"executed": "+1"}, {"executed": "-1"}, {"log_view": "+1"}),
        "DECIDED": (*_NUMBER, {"digest": "known"}),
        "FETCH_BATCH": ({"digest": "known"},),
        "BATCH": ({"time_ns": "+1"}, {"requests": "shorter"}, {"requests": "doubled"}),
        "FETCH_STATE": _NUMBER,
        "STATE_META": (*_NUMBER, {"proof": "shorter"}, {"service_groups": "flip"}, {"client_groups": "flip"}),
        "FETCH_PARTS": (*_NUMBER, {"addresses": "shorter"}, {"addresses.0.number": "+1"}),
        "STATE_PARTS": (*_NUMBER, {"parts": "shorter"}, {"parts.0.data": "flip"}, {"parts.0.number": "+1"}),
        "QUERY_VIEW": (*_VIEW, {"nonce": "flip"}),
        "TELL_VIEW": (*_VIEW, *_NUMBER, {"nonce": "flip"}),
    }
)
FAR: Mapping[str, tuple[Fields, ...]] = MappingProxyType(
    {
        "PRE_PREPARE": (
            *_FAR,
            *_DIGEST,
            {"digest": "known"},
            {"time_ns": "random"},
            {"time_ns": "random", "digest": "batch"},
        ),
        "PREPARE": (*_FAR, *_DIGEST),
        "COMMIT": (*_FAR, *_DIGEST),
        "CHECKPOINT": (*_FAR, *_DIGEST),
        "REPLY": (*_FAR, {"result": "random", "result_digest": "random"}, {"client": "random"}),
        "VIEW_CHANGE": (
            *_FAR,
            {"proof_count": "flip"},
            {"prepared_count": "random"},
            {"prepared.0.pre_prepare.0.seq": "random"},
            {"prepared.0.prepares.0.digest": "random"},
            {"proof.0.digest": "random"},
        ),
        "NEW_VIEW": (
            *_FAR,
            {"view_changes": "empty"},
            {"pre_prepares": "empty"},
            {"pre_prepares.0.digest": "random"},
            {"pre_prepares_count": "random"},
        ),
        "STATUS": (
            *_FAR,
            {"executed": "random"},
            {"log_view": "random"},
            {"mode": "random"},
            {"slots": "random"},
            {"parameters": "flip"},
        ),
        "DECIDED": (*_FAR, *_DIGEST),
        "FETCH_BATCH": _DIGEST,
        "BATCH": ({"time_ns": "random"}, {"requests": "empty"}, {"requests_count": "random"}),
        "FETCH_STATE": _ENVELOPE,
        "STATE_META": (*_ENVELOPE, {"service_pages": "random"}, {"client_groups": "random"}),
        "FETCH_PARTS": (*_ENVELOPE, {"addresses.0.number": "random"}, {"addresses": "empty"}),
        "STATE_PARTS": (*_ENVELOPE, {"parts.0.data": "random"}, {"parts.0.data_length": "random"}),
        "QUERY_VIEW": ({"view": "random"}, {"view": 2**62}, {"nonce": "shorter"}, {"type": "random"}),
        "TELL_VIEW": (*_FAR, {"nonce": "random"}),
    }
)
SCOPES: Mapping[str, Mapping[str, tuple[Fields, ...]]] = MappingProxyType({SMALL: NEAR, ANY: FAR})
