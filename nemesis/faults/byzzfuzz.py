"""Random mutations in rounds: c lies and d cuts, each bound to a round of the protocol.

A round is a phase (the type of message) of a sequence number, counted modulo ``rounds``: with 8 rounds, a lie
of round 3 about COMMITs is told at numbers 3, 11, 19 … for as long as the fault lasts, to the same receivers.
Lies about messages that have no number of their own (VIEW-CHANGE, STATUS …) are told each time. So nothing
hangs on the order of arrival. All of it stands in the parameters as lists, which shrink.

After ByzzFuzz (Winter et al., OOPSLA 2023). Its lies are told by the plan's liars, sealed with their own
keys; its network faults lose the first ``copies`` of a round's messages between two sides. A lie that would
change nothing, or nothing that a receiver reads, is not drawn, and where it happens all the same it is not
counted.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from nemesis.faults.fault import Params, Victims
from nemesis.faults.tampering import Report, TampersWithPackets
from nemesis.lies.mutations import ANY, SCOPES, SMALL
from nemesis.packets.packet import host
from nemesis.packets.tamperer import RuleData

MOST_ROUNDS = 1000
MOST_FAULTS = 64
_NUMBERED = ("PRE_PREPARE", "PREPARE", "COMMIT", "REPLY")
_ALWAYS = ("COMMIT", "REPLY")
"""Every replica sends these."""
_OFTEN = (*_ALWAYS, "PREPARE", "CHECKPOINT", "VIEW_CHANGE")
_RARE = ("STATUS", "NEW_VIEW", "DECIDED", "FETCH_BATCH", "BATCH", "FETCH_STATE", "STATE_META", "FETCH_PARTS",
         "STATE_PARTS", "QUERY_VIEW", "TELL_VIEW")  # fmt: skip
_CUT = ("PRE_PREPARE", "PREPARE", "COMMIT", "COMMIT", "VIEW_CHANGE", "NEW_VIEW")
_LIE = ("round", "types", "to", "set")
_DROP = ("round", "types", "apart", "copies")


class ByzzFuzz(TampersWithPackets):
    """See the module."""

    name = "byzzfuzz"
    label = "byzzfuzz"
    colour = "#CC79A7"
    description = (
        "Mutates single fields of what its replicas send, sealed anew, and cuts links, each in a round of "
        "the protocol only: near the truth (small scope) or anything."
    )
    charges = "safety and liveness: its replicas lie; with cuts nobody owes liveness while it lasts"
    parameters: Mapping[str, str] = MappingProxyType(
        {
            "replicas": "who lies",
            "rounds": f"sequence numbers are counted modulo this (1 to {MOST_ROUNDS})",
            "lies": "a list of {round (or none: each time), types, to (receivers), set (as of alter)}",
            "cuts": "a list of {round, types, apart (replicas cut off from the others), copies (how many of "
            "each message are lost)}",
        }
    )

    @property
    def example(self) -> Params:
        """See ``FaultKind``."""
        return {
            "replicas": [1],
            "rounds": 8,
            "lies": [{"round": 3, "types": ["COMMIT"], "to": ["r0", "r2"], "set": {"seq": "+1"}}],
            "cuts": [{"round": 5, "types": ["PREPARE"], "apart": ["r2"], "copies": 1}],
        }

    def draw(
        self, stream: random.Random, n: int, f: int, budget_break: bool, liars: Sequence[int] = ()
    ) -> Params:
        """See ``FaultKind``. The first lie is about what every replica sends, so one is told."""
        who = sorted(liars) or sorted(stream.sample(range(n), f + budget_break))
        rounds = stream.choice((2, 4, 8))
        scope = stream.choice((SMALL, SMALL, ANY))
        often = (*_OFTEN, "PRE_PREPARE", "PRE_PREPARE") if 0 in who else _OFTEN
        kinds = [stream.choice(_ALWAYS)]
        kinds += [
            stream.choice(often if stream.random() < 0.8 else _RARE) for _ in range(stream.randint(0, 4))
        ]
        return {
            "replicas": list(who),
            "rounds": rounds,
            "lies": [
                _drawn_lie(stream, n, who, kind, scope, rounds, sure=place == 0)
                for place, kind in enumerate(kinds)
            ],
            "cuts": [_drawn_cut(stream, n, f, rounds) for _ in range(stream.randint(0, 3))],
        }

    def check(self, params: Params, n: int) -> str | None:
        """See ``FaultKind``."""
        for key in params:
            if key not in self.parameters:
                return f"unknown parameter {key!r:.80}: known are {', '.join(self.parameters)}"
        rounds, lies, cuts = params.get("rounds"), params.get("lies", []), params.get("cuts", [])
        if not _is_number(rounds, 1, MOST_ROUNDS):
            return f"rounds = {rounds!r:.80}: give a whole number from 1 to {MOST_ROUNDS}"
        if not lies and not cuts:
            return "neither lies nor cuts: give a list of either, or of both"
        if bool(lies) != ("replicas" in params):
            return "replicas: give who tells the lies; without lies nobody"
        assert isinstance(rounds, int)
        return (
            _problem_of_list("lies", lies, _LIE, rounds)
            or _problem_of_list("cuts", cuts, _DROP, rounds)
            or _problem_of_sides(cuts, n)
            or self.check_rules(params, n)
        )

    def rules(self, params: Params, n: int, f: int) -> Sequence[RuleData]:
        """See ``TampersWithPackets``."""
        rounds = params["rounds"]
        assert isinstance(rounds, int)
        lies = [
            {
                "action": "alter",
                "replicas": params["replicas"],
                "match": _match(lie, rounds, {"to": lie["to"]} if "to" in lie else {}),
                "set": lie.get("set"),
            }
            for lie in _objects(params.get("lies", []))
        ]
        return (*lies, *(rule for cut in _objects(params.get("cuts", [])) for rule in _cut(cut, rounds, n)))

    def victims(self, params: Params, n: int, f: int) -> Victims:
        """See ``FaultKind``."""
        replicas = params.get("replicas", [])
        assert isinstance(replicas, list)
        liars = frozenset(replicas)
        return Victims(liars, byzantine=liars, network=bool(params.get("cuts")))

    def proof(self, report: Report) -> bool:
        """Of a fault with lies, one was told."""
        rules = report.get("rules")
        lies = [rule for rule in rules if "altered" in rule] if isinstance(rules, list) else []
        return any(rule["altered"] for rule in lies) if lies else super().proof(report)

    def unproved(self, report: Report) -> str:
        """See ``TampersWithPackets``."""
        if report.get("dropped"):
            return f"none of its lies was told; its cuts lost {report['dropped']} messages"
        return super().unproved(report)


def _drawn_lie(
    stream: random.Random, n: int, who: Sequence[int], kind: str, scope: str, rounds: int, *, sure: bool
) -> Mapping[str, object]:
    """``sure``: one that does something in the first view, too."""
    numbered = kind in _NUMBERED
    lie: dict[str, object] = {"round": stream.randrange(rounds)} if numbered else {}
    lie["types"] = [kind]
    others = [host(replica) for replica in range(n) if replica not in who]
    if kind != "REPLY" and stream.random() < 0.6:
        lie["to"] = sorted(stream.sample(others, stream.randint(1, len(others))))
    fields = [one for one in SCOPES[scope][kind] if not sure or one != {"view": "-1"}]
    return {**lie, "set": dict(stream.choice(fields))}


def _drawn_cut(stream: random.Random, n: int, f: int, rounds: int) -> Mapping[str, object]:
    """Mostly few are cut off, and once: where no quorum is left, nothing goes on that could be lied about."""
    kind = stream.choice(_CUT)
    apart = sorted(stream.sample(range(n), stream.randint(1, f if stream.random() < 0.7 else n // 2)))
    cut: dict[str, object] = {"round": stream.randrange(rounds)} if kind in _NUMBERED else {}
    names = [host(replica) for replica in apart]
    return {**cut, "types": [kind], "apart": names, "copies": stream.choice((1, 1, 1, 2))}


def _match(one: Mapping[str, object], rounds: int, more: Mapping[str, object]) -> Mapping[str, object]:
    round_ = one.get("round")
    return {"types": one.get("types"), **({} if round_ is None else {"every": [rounds, round_]}), **more}


def _cut(cut: Mapping[str, object], rounds: int, n: int) -> Sequence[RuleData]:
    """Both directions."""
    apart, copies = cut["apart"], cut.get("copies", 1)
    assert isinstance(apart, list)
    assert isinstance(copies, int)
    rest = [host(replica) for replica in range(n) if host(replica) not in apart]
    return [
        {"action": "drop", "match": _match(cut, rounds, {"from": a, "to": b, "copy": [0, copies - 1]})}
        for a, b in ((apart, rest), (rest, apart))
    ]


def _problem_of_list(name: str, value: object, keys: Sequence[str], rounds: int) -> str | None:
    if not isinstance(value, list) or len(value) > MOST_FAULTS:
        return f"{name} = {value!r:.80}: give a list of at most {MOST_FAULTS} objects"
    for one in value:
        if not isinstance(one, dict) or set(one) - set(keys):
            return f"{name}: {one!r:.80}: give an object of {', '.join(keys)}"
        if one.get("round") is not None and not _is_number(one["round"], 0, rounds - 1):
            return (
                f"{name}: round = {one['round']!r:.80}: give a whole number below {rounds}, or leave it out"
            )
    return None


def _problem_of_sides(cuts: object, n: int) -> str | None:
    hosts = [host(replica) for replica in range(n)]
    for cut in _objects(cuts):
        apart = cut.get("apart")
        if not isinstance(apart, list) or not 0 < len(apart) < n or not all(one in hosts for one in apart):
            return f"cuts: apart = {apart!r:.80}: give a list of some of r0 … r{n - 1}, not all"
        if not _is_number(cut.get("copies", 1), 1, 1000):
            return f"cuts: copies = {cut['copies']!r:.80}: give a whole number from 1 to 1000"
    return None


def _objects(value: object) -> Sequence[Mapping[str, object]]:
    return value if isinstance(value, list) else []


def _is_number(value: object, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
