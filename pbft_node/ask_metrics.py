"""``python -m pbft_node metrics CONFIG_OR_FOLDER``: ask a running replica what it does, and show it.

What comes back is untrusted like everything read: it is checked for its schema, and printed without control
characters.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from .config import REPLICA_SCHEMA, read_json
from .errors import ConfigError
from .metrics import HISTOGRAM, METRICS, SCHEMA, as_prometheus
from .metrics_socket import NoAnswer, ask


def socket_of(path: Path) -> Path:
    """The metrics socket of a replica, given its config file or its folder. Raises ConfigError."""
    config = path / "config.json" if path.is_dir() else path
    content = read_json(config)
    if (schema := content.get("schema")) != REPLICA_SCHEMA:
        raise ConfigError(
            f"{config}: schema = {schema!r:.60}: give a replica's config ({REPLICA_SCHEMA}) or folder"
        )
    name = content.get("metrics", "metrics.sock")
    if name is None:
        raise ConfigError(f"{config}: 'metrics' is null: remove it there and start the replica again")
    if not isinstance(name, str) or not name or "\0" in name:
        raise ConfigError(f"{config}: metrics = {name!r:.60}: give a file name")
    return config.parent / name


def fetch(path: Path, timeout_seconds: float) -> Mapping[str, object]:
    """A snapshot (see ``metrics``). Raises NodeError."""
    socket = socket_of(path)
    try:
        answer = json.loads(ask(socket, timeout_seconds))
    except (ValueError, RecursionError):
        raise NoAnswer(f"{socket}: the answer is cut off or no JSON: ask again") from None
    if not isinstance(answer, dict) or answer.get("schema") != SCHEMA:
        raise NoAnswer(f"{socket}: the answer is not of schema {SCHEMA}: use the program the replica runs")
    if not isinstance(answer.get("metrics"), dict):
        raise NoAnswer(f"{socket}: the replica could not tell: {answer.get('error')!r:.300}")
    return answer


def show(path: Path, timeout_seconds: float, form: str) -> str:
    """The text to print; ``form`` is ``json``, ``prometheus`` or ``text``."""
    answer = fetch(path, timeout_seconds)
    if form == "json":
        return json.dumps(answer, indent=2)
    if form == "prometheus":
        return as_prometheus(answer).rstrip("\n")
    values = answer["metrics"]
    assert isinstance(values, Mapping)
    lines = [f"replica {answer.get('replica')!r:.20}"]
    for metric in METRICS:
        value = values.get(metric.name)
        shown = _of_histogram(value) if metric.kind == HISTOGRAM else ", ".join(_parts("", value)) or "-"
        lines.append(f"{metric.name:<22} {shown}")
    return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)


def _parts(prefix: str, value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for word, inner in value.items():
            yield from _parts(f"{prefix} {word}".strip(), inner)
    else:
        yield f"{prefix} {value}".strip()


def _of_histogram(value: object) -> str:
    """Count, mean, and under which powers of two half, 99 % and all lie."""
    match value:
        case {"count": int(count), "sum": int(total), "buckets": dict(buckets)} if count > 0:
            shares = ((count / 2, "half"), (count * 0.99, "99 %"), (count, "all"))
            limits = [f"{word} < {_bound(buckets, wanted)}" for wanted, word in shares]
            return f"{count}, mean {total // count}, {', '.join(limits)}"
    return "-"


def _bound(buckets: Mapping[str, int], wanted: float) -> str:
    """Below which bound so many lie; buckets are in ascending order."""
    below = 0
    for bound, held in buckets.items():
        below += held
        if below >= wanted:
            return bound
    return "?"
