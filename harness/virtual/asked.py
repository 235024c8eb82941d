"""Settings of a virtual world, from the words of a spec or of a plan, and back.

Times are given with a unit (``turn: 200us``) or in ns under the field's own name (``turn_ns: 200000``), as
parameters of a cluster are. What is not given has its default. Everything that is wrong is a ``UsageError``
that says where.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.errors import UsageError
from harness.request import SECOND_NS, whole
from harness.virtual.latency import plain
from harness.virtual.latency_words import latency_words, settle_latency
from harness.virtual.settings import ED25519, KEYED_HASH, SIGNERS, Virtual
from harness.virtual.words import Words, with_unit, word_of

TURN_NS = (1_000, SECOND_NS)
"""A turn of no length could go on for ever within one moment."""
RESTART_NS = (1_000, 60 * SECOND_NS)
MIN_BANDWIDTH, MAX_BANDWIDTH = 10_000, 10**12
NAMES = (
    "latency",
    "loss",
    "duplication",
    "reordering",
    "reorder_by",
    "bandwidth",
    "signer",
    "turn",
    "restart",
)
"""Of what can be set. Those that are times may have ``_ns`` behind."""
_TIMES = ("reorder_by", "turn", "restart")


def virtual_parameter(name: str) -> str | None:
    """The setting a user means by ``name`` (``turn``, ``turn_ns``), or None."""
    stem = name.removesuffix("_ns")
    return stem if stem in NAMES and (stem == name or stem in _TIMES) else None


def settle_virtual(asked: Mapping[str, object], where: str = "virtual") -> Virtual:
    """Defaults with what was asked for. Raises UsageError."""
    words = Words(where, asked, NAMES, _TIMES)
    default = Virtual()
    bandwidth = whole(f"{where}.bandwidth", words.get("bandwidth", default.bandwidth), 0, MAX_BANDWIDTH)
    if 0 < bandwidth < MIN_BANDWIDTH:
        raise UsageError(
            f"{where}.bandwidth = {bandwidth}",
            f"It must be 0 (no limit), or from {MIN_BANDWIDTH} to {MAX_BANDWIDTH} bytes a second.",
        )
    return Virtual(
        latency=settle_latency(f"{where}.latency", words.get("latency", default.latency.data())),
        loss=words.share("loss", default.loss),
        duplication=words.share("duplication", default.duplication),
        reordering=words.share("reordering", default.reordering),
        reorder_by_ns=words.time("reorder_by", default.reorder_by_ns),
        bandwidth=bandwidth,
        signer=word_of(f"{where}.signer", words.get("signer", default.signer), SIGNERS),
        turn_ns=words.time("turn", default.turn_ns, *TURN_NS),
        restart_ns=words.time("restart", default.restart_ns, *RESTART_NS),
    )


def settle_for(world: str, asked: Mapping[str, object], where: str = "virtual") -> Virtual:
    """``settle_virtual``, and what this world cannot do is refused."""
    virtual = settle_virtual(asked, where)
    if virtual.signer == KEYED_HASH and world != "sim":
        raise UsageError(
            f"{where}.signer = {KEYED_HASH!r}: world {world} runs real replicas, which sign with {ED25519}",
            "Leave it out, or use --world sim.",
        )
    return virtual


def in_words(virtual: Virtual) -> dict[str, object]:
    """As people write it, complete but for the deliveries: ``settle_virtual`` makes the same of it."""
    return {
        "latency": latency_words(virtual.latency),
        "loss": plain(virtual.loss),
        "duplication": plain(virtual.duplication),
        "reordering": plain(virtual.reordering),
        "reorder_by": with_unit(virtual.reorder_by_ns),
        "bandwidth": virtual.bandwidth,
        "signer": virtual.signer,
        "turn": with_unit(virtual.turn_ns),
        "restart": with_unit(virtual.restart_ns),
    }


def unlike_default(virtual: Virtual) -> dict[str, object]:
    """Those of ``in_words`` that somebody asked for."""
    default = in_words(Virtual())
    return {name: value for name, value in in_words(virtual).items() if value != default[name]}
