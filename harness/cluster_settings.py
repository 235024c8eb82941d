"""Parameters of the cluster: the names of ``pbft_node``'s ``Cluster``, ``durability`` and ``service``, with
defaults for chaos.

Timers are set by their field (``request_timeout_ns=500000000``) or with a unit (``request_timeout=500ms``).
The timeouts are shorter than the node's own defaults, so that a run of 20 seconds sees several view changes,
and checkpoints closer, so that it crosses many of them and a view change carries less.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

from harness.errors import UsageError
from harness.request import duration, nearest, shown
from pbft_node.config import DURABILITIES
from pbft_node.core.cluster import MILLISECOND_NS, Cluster
from pbft_node.own_services import is_own

_NOT_SET_HERE = ("cluster_id", "n", "service")
_CHAOS: Mapping[str, int] = {
    "request_timeout_ns": 500 * MILLISECOND_NS,
    "view_change_timeout_ns": 500 * MILLISECOND_NS,
    "status_idle_ns": 500 * MILLISECOND_NS,
    "checkpoint_interval": 32,
    "window": 64,
}
DURABILITY = "durability"
_DURABILITY_DEFAULT = "fsync"
"""As the node's own. ``write`` survives ``kill -9`` as well (only a machine loses what was written), and did
25 to 40 % more operations here, side by side."""
SERVICE = "service"
"""The workload's own service, unless this names a class of the user's (``package.module:Class``) that answers
the same operations."""
_SHORT = {"K": "checkpoint_interval", "L": "window"}


def cluster_defaults() -> dict[str, int | str]:
    """Every parameter that can be set, with its default."""
    defaults: dict[str, int | str] = {}
    for field in dataclasses.fields(Cluster):
        if field.name not in _NOT_SET_HERE:
            default = _CHAOS.get(field.name, field.default)
            assert isinstance(default, int | str), f"Cluster.{field.name} has no plain default"
            defaults[field.name] = default
    return defaults | {DURABILITY: _DURABILITY_DEFAULT, SERVICE: ""}


def cluster_parameter(name: str) -> str | None:
    """The field a user means by ``name`` (``K``, ``request_timeout``, ``request_timeout_ns``), or None."""
    defaults = cluster_defaults()
    for candidate in (_SHORT.get(name, name), f"{name}_ns"):
        if candidate in defaults:
            return candidate
    return None


def settle_cluster(asked: Mapping[str, object], n: int) -> dict[str, int | str]:
    """Defaults with what was asked for. Raises UsageError."""
    settings = cluster_defaults()
    given: dict[str, int | str] = {}
    for name, value in asked.items():
        field = cluster_parameter(name)
        if field is None:
            known = [*_SHORT, *settings]
            raise UsageError(
                f"unknown cluster parameter {name!r}" + nearest(name, known), f"There are: {', '.join(known)}"
            )
        if field in given:
            raise UsageError(f"cluster: {field} is given twice, once as {name}", "Keep one of them.")
        given[field] = _value(name, field, value, settings[field])
    if "checkpoint_interval" in given and "window" not in given:
        given["window"] = 2 * int(given["checkpoint_interval"])
    settings |= given
    if settings[DURABILITY] not in DURABILITIES:
        raise UsageError(
            f"durability = {shown(settings[DURABILITY])}", f"Choose one of: {', '.join(DURABILITIES)}"
        )
    own = settings[SERVICE]
    if own and not is_own(str(own)):
        raise UsageError(
            f"service = {shown(own)}: each workload has its own service",
            "To test yours, name a class that answers the workload's operations: package.module:Class.",
        )
    try:
        make_cluster(n, "kv", settings, seed=0)
    except ValueError as error:
        raise UsageError(
            f"cluster: {error}", "Change it with --set NAME=VALUE or under 'cluster:' in the spec."
        ) from None
    return settings


def make_cluster(n: int, service: str, settings: Mapping[str, int | str], seed: int) -> Cluster:
    """The cluster of a plan. Its id follows from the seed. Raises ValueError when the parameters cannot
    work."""
    cluster_id = hashlib.sha256(f"traitor cluster {seed}".encode()).digest()[:16]
    given: dict[str, object] = {
        name: value for name, value in settings.items() if name not in (DURABILITY, SERVICE)
    }
    return Cluster(cluster_id=cluster_id, n=n, service=service, **given)  # type: ignore[arg-type]


def _value(name: str, field: str, given: object, default: int | str) -> int | str:
    value = given
    if isinstance(default, str):
        if isinstance(value, str):
            return value
        raise UsageError(f"{name} = {shown(value)}", "It must be a word.")
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        raise UsageError(f"{name} = {shown(value)}", "It must be true or false.")
    allowed = "a whole number, not negative"
    if field.endswith("_ns"):
        allowed = "a time with its unit, such as 500ms"
        needs_unit = not name.endswith("_ns")
        value = None if needs_unit and not isinstance(value, str) else duration(value, 1)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise UsageError(f"{name} = {shown(given)}", f"It must be {allowed}.")
    return value
