"""``traitor faults``: the catalogue of what the nemesis can do, made from the code."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping

from harness.console import say
from harness.errors import UsageError
from harness.request import shown
from nemesis.faults import KINDS, FaultKind
from nemesis.faults.fault import FAMILIES

_WIDTH = 110
_HEADINGS = {
    "process": "Processes: correct replicas die or stand still",
    "network": "Network: packets are lost, late, doubled, out of order, damaged, sent again; nobody lies",
    "lie": "Lies: compromised replicas, which sign with their own keys",
    "client": "Clients that lie, with keys of their own",
    "script": "Directed scripts: wait for a state of the protocol, then act",
    "clock": "Clocks of replicas",
    "disk": "Disks and logs of replicas",
}


def faults(name: str | None, as_json: bool) -> int:
    """All of them by family, or one. Raises UsageError."""
    if name is not None and name not in KINDS:
        raise UsageError(f"{shown(name)}: no such fault", f"There are: {', '.join(KINDS)}.")
    kinds = [kind for kind in KINDS.values() if name in (None, kind.name)]
    kinds.sort(key=lambda kind: FAMILIES.index(kind.family))
    if as_json:
        say(json.dumps({"faults": [_row(kind) for kind in kinds]}))
        return 0
    family = None
    for kind in kinds:
        if kind.family != family:
            say(f"{'' if family is None else chr(10)}{_HEADINGS[kind.family]}")
            family = kind.family
        say("\n".join(_words(kind)))
    return 0


def spec_of(kind: FaultKind) -> dict[str, object]:
    """A spec that shows the kind with its example: as long, and with such a budget, as it needs."""
    stop = 1 + max(3, getattr(kind, "least_hold_ns", 0) // 10**9)
    fault = {"kind": kind.name, "start": 1, "stop": stop, "params": dict(kind.example)}
    beyond = kind.victims(kind.example, 4, 1).count > 1
    budget = {"budget": "safety"} if beyond else {}
    return {"world": "sim", "time": stop + 2, **budget, "faults": [fault]}


def _row(kind: FaultKind) -> Mapping[str, object]:
    return {
        "name": kind.name,
        "family": kind.family,
        "description": kind.description,
        "charges": kind.charges,
        "worlds": list(kind.worlds),
        "receipt": kind.receipt,
        "parameters": dict(kind.parameters),
        "example": dict(kind.example),
        "command": _command(kind),
        "spec": spec_of(kind),
    }


def _command(kind: FaultKind) -> str:
    return f"traitor run --world sim --time 8 --fault {kind.name}"


def _words(kind: FaultKind) -> list[str]:
    lines = ["", f"  {kind.name}", *_wrapped("", kind.description)]
    lines += _wrapped("charges", kind.charges) + _wrapped("worlds", ", ".join(kind.worlds))
    lines += _wrapped("receipt", kind.receipt)
    for name, meaning in kind.parameters.items():
        lines += _wrapped("params", f"{name}: {meaning}")
    lines += _wrapped("try", _command(kind))
    return [*lines, f"      spec     faults: {json.dumps(spec_of(kind)['faults'])}"]


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"      {label:<8} " if label else "      ",
        subsequent_indent=" " * 15 if label else "      ",
    )
