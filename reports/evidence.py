"""What stands behind the line linearizability: who decided, the certificate, what still holds, the clocks.

Sentences from verdict.json's details and from the certificate beside it. The certificate is not verified
here, ``recheck.py`` does that; only that it is there and of this history is looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reports.run_folder import RunFolder
from reports.untrusted import counted, duration, integer, listing, mapping, shown, time_ns

RECHECK = "python3 -I recheck.py"
TRANSACTIONS = "transactions"
"""The kind of a counterexample.json that has anomalies of transactions."""
MAX_ENGINES, MAX_KEYS = 12, 10
TOLD = frozenset(
    {"engines", "engine", "audited", "margin_ns", "still", "guarantees", "furthest", "failures", "reasons"}
    | {"anomalies", "anomaly_types", "not", "also_not", "may_hold", "holds", "placed", "keys"}
)
"""Details told in sentences here or in a section of their own; the rest is listed as it is."""

_ENGINES = {
    "witness": "the order the replicas executed",
    "polynomial": "the polynomial engine",
    "search": "search",
}


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the folder holds for others to verify."""

    sentence: str
    command: str = ""
    """Empty where there is nothing to run."""


def read_certificate(
    folder: RunFolder,
    line: Mapping[str, object],
    counterexample: Mapping[str, object],
    history_file: str,
) -> Certificate | None:
    """The certificate of the line linearizability; None where a verdict needs none."""
    level = None if line.get("judged") is False else line.get("verdict")
    if level == "invalid" and not counterexample and mapping(line.get("details")).get("anomalies"):
        return Certificate(
            "No certificate: there is no counterexample.json that could be verified again. The anomalies "
            "below are what the judge said."
        )
    if level == "valid":
        header = _first_line(folder, "witness.jsonl")
        name, what = "witness.jsonl", "an order for every key"
    elif level == "invalid":
        header, name = counterexample, "counterexample.json"
        what = _refuted(header)
        points = _points(header.get("frontier"))
        if points:
            what += f", and, as there are too many orders to try, a frontier of {counted(points, 'point')}"
    else:
        return None
    if not header:
        return Certificate(f"No certificate: there is no {name} that could be verified again.")
    sentence = f"Certificate: {name}, {what}."
    given = header.get("history_sha256")
    digest = _digest(folder, history_file)
    if digest is None:
        return Certificate(f"{sentence} Its history is not here, so nobody can verify it.")
    if given is None:
        return Certificate(f"{sentence} It does not say of which history, so it shows nothing.")
    if given != digest:
        return Certificate(f"{sentence} It is of ANOTHER history: of sha256 {shown(given, 64)}.")
    if not folder.has("recheck.py"):
        return Certificate(f"{sentence} The program that verifies it, recheck.py, is not here.")
    return Certificate(f"{sentence} To verify it in this folder, offline and without Traitor:", RECHECK)


def _refuted(header: Mapping[str, object]) -> str:
    operations = len(listing(header.get("operations")))
    if header.get("kind") == TRANSACTIONS:
        anomalies = len(listing(header.get("anomalies")))
        more = "anomaly" if anomalies == 1 else "anomalies"
        return f"{anomalies} {more} of {counted(operations, 'transaction')} that no serial order explains"
    return f"{counted(operations, 'operation')} that no order explains"


def sentences(details: Mapping[str, object]) -> Iterator[str]:
    """What the details of the line say, in words."""
    engines = mapping(details.get("engines"))
    if engines:
        said = [f"{_engine(name)} {_keys(count)}" for name, count in list(engines.items())[:MAX_ENGINES]]
        yield f"Decided by {', '.join(said)}; each order was audited."
    elif "engine" in details:
        audited = " and audited" if details.get("audited") is True else ", NOT audited"
        yield f"Refuted by {_engine(details['engine'])}{audited}."
    if "margin_ns" in details:
        yield _margin(details["margin_ns"])
    elif "engine" in details:
        yield "How far clocks may be off for it to stand was not found out."
    still, guarantees = details.get("still"), details.get("guarantees")
    if isinstance(still, str) and still:
        yield f"What still holds: {shown(still.removeprefix('still '), 400)}."
    elif isinstance(guarantees, str):
        yield f"What still holds: {shown(guarantees, 400)}."
    yield from _furthest(mapping(details.get("furthest")))
    if not details.get("anomalies"):
        yield from (shown(reason, 600) for reason in listing(details.get("reasons"))[:MAX_KEYS])
    for failure in listing(details.get("failures"))[:MAX_KEYS]:
        yield f"An engine failed: {shown(failure, 300)}."


def guarantee_rows(details: Mapping[str, object]) -> list[str]:
    """Each weaker guarantee and why, for the fold."""
    rows = []
    for name, value in list(mapping(details.get("guarantees")).items())[:20]:
        guarantee = mapping(value)
        rows.append(
            f"{shown(name, 40)}: {shown(guarantee.get('status'), 20)}: {shown(guarantee.get('why'), 300)}"
        )
    return rows


def _engine(name: object) -> str:
    return _ENGINES.get(name, f"engine {shown(name, 30)}") if isinstance(name, str) else shown(name, 30)


def _keys(count: object) -> str:
    number = integer(count)
    return f"({shown(count, 20)} keys)" if number is None else f"({counted(number, 'key')})"


def _margin(value: object) -> str:
    if value is None:
        return "Clocks do not matter: no order explains the answers, whenever each operation began and ended."
    margin = time_ns(value)
    if margin is None:
        return f"Clock margin: {shown(value, 40)}, which is no length of time."
    if margin == 0:
        return "It rests on the order of the lines: clocks that are off by anything at all could explain it."
    return f"It stands until clocks are off by more than {duration(margin)}."


def _furthest(keys: Mapping[str, object]) -> Iterator[str]:
    """How far the engines came with keys that are undecided."""
    for key, value in list(keys.items())[:MAX_KEYS]:
        numbers = [shown(number, 20) for number in listing(value)[:4]]
        if len(numbers) == 4:
            placed, total, ways, nodes = numbers
            yield (
                f"Undecided: key {shown(key, 40)}: {placed} of {total} completed operations placed, "
                f"{ways} ways on left after {nodes} nodes."
            )
    if len(keys) > MAX_KEYS:
        yield f"And {counted(len(keys) - MAX_KEYS, 'key')} more undecided."


def _points(frontier: object) -> int:
    return sum(
        len(listing(mapping(level).get("configs"))) for level in listing(mapping(frontier).get("levels"))
    )


def _first_line(folder: RunFolder, name: str) -> Mapping[str, object]:
    return next((line for _, line in folder.lines(name)), {})


def _digest(folder: RunFolder, name: str) -> str | None:
    if not folder.has(name):
        return None
    try:
        with (folder.path / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
