"""The part of `recheck.py` that is called: reads a folder, verifies its certificate, says what it verified.

    python3 -I recheck.py [FOLDER [HISTORY]]

FOLDER has the certificate (witness.jsonl or counterexample.json); HISTORY is FOLDER/history.jsonl unless
named. Exit codes: 0 verified, 1 not verified, 2 wrong use. Nothing is written. Bytes are hostile: whatever
goes wrong with them is "not verified".
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from checker.audit import Frontier, audit_order, audit_refutation
from checker.history import Operation, by_key
from checker.models.base import Model
from checker.moves import Left, starts, weaker
from checker.recheck.reader import Refused, frozen, once, read_header, read_operations

MOST_STEPS = 5_000_000
VERIFIED, NOT_VERIFIED, WRONG_USE = 0, 1, 2


_PROSE = (
    "this vouches for the operations shown and that no order explains them, not for the prose about them "
    "(anomaly, reasons, steps)"
)
_PROSE_OF_TRANSACTIONS = (
    "this vouches for the transactions shown, the anomalies and each step of their cycles, not for the prose "
    "about them (sentences, reasons)"
)


class Whole(Protocol):
    """Of a history that is one object, what is verified otherwise (`checker.recheck.transactions`)."""

    def audit_order(self, order: Sequence[int], dropped: Sequence[int]) -> str | None:
        """Why the order explains nothing, or None."""

    def refuted(self, claim: dict[str, Any]) -> list[str]:
        """What was verified of a counterexample, in sentences. Raises Refused."""


WholeOf = Callable[[Sequence[Operation]], Whole]


def main(
    arguments: Sequence[str],
    model_class: type[Model],
    model_name: str,
    home: Path,
    whole_of: WholeOf | None = None,
) -> int:
    """Verify, print; returns the exit code. `home` is where to look when no folder is named."""
    if len(arguments) > 2 or any(argument.startswith("-") for argument in arguments):
        sys.stderr.write("usage: python3 -I recheck.py [FOLDER [HISTORY]]\n")
        return WRONG_USE
    folder = Path(arguments[0]) if arguments else home
    history = Path(arguments[1]) if len(arguments) > 1 else folder / "history.jsonl"
    if not folder.is_dir() or not history.is_file():
        missing = history if folder.is_dir() else folder
        sys.stderr.write(
            f"{str(missing)!a} is not there. Name the folder, and the history if it is elsewhere.\n"
        )
        return WRONG_USE
    try:
        for sentence in _verified(folder, history, model_class, model_name, whole_of):
            print(sentence)
    except Refused as refused:
        print(f"NOT VERIFIED: {str(refused)!a}")
        return NOT_VERIFIED
    except Exception as error:
        print(f"NOT VERIFIED: {type(error).__name__}: {str(error)!a:.300}")
        return NOT_VERIFIED
    return VERIFIED


def _verified(
    folder: Path, history: Path, model_class: type[Model], model_name: str, whole_of: WholeOf | None
) -> list[str]:
    content = _read(history)
    digest = hashlib.sha256(content).hexdigest()
    lines = content.split(b"\n")
    while lines and not lines[-1].strip():  # blank lines at the very end say nothing
        lines.pop()
    model = model_class(model_name, read_header(lines[0] if lines else b""))
    operations = read_operations(lines[1:], model)
    keys = by_key(operations)
    whole = None if whole_of is None else whole_of(operations)
    said = [
        f"history: {len(operations)} operations on {len(keys)} keys, sha256 {digest}",
        f"model: {model_name}",
    ]
    witness, counterexample = folder / "witness.jsonl", folder / "counterexample.json"
    if witness.exists() == counterexample.exists():
        raise Refused("there must be either witness.jsonl or counterexample.json")
    if witness.exists():
        claims = [json.loads(line, object_pairs_hook=once) for line in _read(witness).splitlines()]
        _bound(claims[0], "traitor/witness/1", digest, model_name)
        _witnessed(model, keys, claims[1:], whole)
        said.append(
            "witness: an order for each key: every completed operation is in it once, none was called after "
            "something behind it had returned, and the model accepts every answer"
        )
        _agrees(folder, "valid")
        return [*said, "VERIFIED: the history is linearizable"]
    claim = json.loads(_read(counterexample), object_pairs_hook=once)
    _bound(claim, "traitor/counterexample/1", digest, model_name)
    if claim.get("kind") == "transactions" and whole is not None:
        said += whole.refuted(claim)
        _agrees(folder, "invalid")
        return [*said, _PROSE_OF_TRANSACTIONS, "VERIFIED: the history is not strictly serializable"]
    total = len(keys.get(claim["key"], ()))
    left = _refuted(model, keys, claim)
    said += [
        f"counterexample: of {total} operations on key {claim['key']!a}, {left} are left "
        f"by sound moves ({', '.join(name for name, _ in claim['moves'])})",
        "every order of these was tried: the model accepts none",
        _PROSE,
    ]
    _agrees(folder, "invalid")
    return [*said, "VERIFIED: the history is not linearizable"]


def _read(path: Path) -> bytes:
    """A regular file's bytes: a FIFO would be waited for without end."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise Refused(f"{path.name} is not a regular file")
    return path.read_bytes()


def _bound(claim: dict[str, Any], schema: str, digest: str, model_name: str) -> None:
    if claim.get("schema") != schema:
        raise Refused(f"the certificate's schema is not {schema}")
    if claim.get("history_sha256") != digest:
        raise Refused(
            "the certificate is for another history: its history_sha256 is not this history's sha256"
        )
    if claim.get("model") != model_name:
        raise Refused(
            f"the certificate is for model {claim.get('model')}, this program verifies {model_name}"
        )


def _witnessed(
    model: Model,
    keys: dict[str, tuple[Operation, ...]],
    claims: list[dict[str, Any]],
    whole: Whole | None,
) -> None:
    if sorted(claim["key"] for claim in claims) != sorted(keys):
        raise Refused("the witness does not have each key of the history once")
    for claim in claims:
        if whole is not None:
            objection = whole.audit_order(claim["order"], claim["dropped"])
        else:
            objection = audit_order(model, keys[claim["key"]], claim["order"], claim["dropped"])
        if objection is not None:
            raise Refused(f"key {claim['key']}: {objection}")


def _refuted(model: Model, keys: dict[str, tuple[Operation, ...]], claim: dict[str, Any]) -> int:
    moves = [(name, tuple(frozen(value) for value in values)) for name, values in claim["moves"]]
    left = weaker(model, Left(list(keys.get(claim["key"], ()))), moves)
    if isinstance(left, str):
        raise Refused(left)
    if json.loads(json.dumps([operation.to_json() for operation in left.operations])) != claim["operations"]:
        raise Refused("the operations shown are not those that are left of the history")
    frontier = frontier_of(claim["frontier"]) if claim.get("frontier") else None
    objection = audit_refutation(model, left.operations, MOST_STEPS, frontier, starts(model, left))
    if objection is not None:
        raise Refused(objection)
    return len(left.operations)


def frontier_of(claim: dict[str, Any]) -> Frontier:
    """The frontier in a certificate as the auditor takes it."""
    found: dict[tuple[int, str], list[tuple[frozenset[int], frozenset[int]]]] = {}
    for level in claim["levels"]:
        for done, used, state in level["configs"]:
            point = (frozenset(done), frozenset(used))
            found.setdefault((level["r"], json.dumps(state)), []).append(point)
    return found


def _agrees(folder: Path, found: str) -> None:
    """The verdict beside the certificate, if there is one, says the same."""
    path = folder / "verdict.json"
    if path.exists():
        lines = {line["name"]: line["verdict"] for line in json.loads(_read(path))["lines"]}
        if lines.get("linearizability") != found:
            raise Refused(f"verdict.json says {lines.get('linearizability')}, the certificate shows {found}")
