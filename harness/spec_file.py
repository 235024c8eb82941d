"""Reading a spec's YAML, and the ``--set`` flags that go over it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from harness.cluster_settings import cluster_defaults, cluster_parameter
from harness.errors import UsageError
from harness.request import mapping, nearest
from harness.virtual.asked import NAMES as VIRTUAL_NAMES
from harness.virtual.asked import virtual_parameter
from workloads.registry import WORKLOADS

MAX_SPEC_BYTES = 1 << 20
MAX_VALUES = 100_000
"""In a spec, aliases counted as often as they are used: a few lines of those make millions."""

_POWER_OF_TEN = re.compile(r"[0-9]{1,9}e-?[0-9]{1,3}")


def read_spec_file(path: Path) -> dict[str, object]:
    """The keys of the file, not yet checked. Raises UsageError."""
    text = read_text(path, MAX_SPEC_BYTES, "a spec")
    try:
        data = _load(text)
    except ValueError as error:
        raise UsageError(
            f"{path}: not valid YAML: {error}", "Such as:\n  workload: kv\n  faults: [kill]"
        ) from None
    if data is None:
        raise UsageError(
            f"{path}: the file is empty: it asks for nothing",
            "Such as:\n  workload: kv\n  faults: [kill]\n{} asks for a run of all defaults.",
        )
    return dict(mapping(str(path), data))


def read_text(path: Path, limit_bytes: int, what: str) -> str:
    """A whole file of the user's. Raises UsageError."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = file.read(limit_bytes + 1) if size <= limit_bytes else b""
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", f"Name {what} that exists and that you may read."
        ) from None
    if max(size, len(data)) > limit_bytes:
        raise UsageError(f"{path} has more than {limit_bytes} bytes", f"That is not {what}.")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start})", f"Name {what}.") from None


def overlay(asked: dict[str, object], over: Mapping[str, object]) -> None:
    """Put the keys of ``over`` over the spec. Mappings are merged, those of a workload if it stays the same.
    Raises UsageError."""
    for key, value in over.items():
        given = asked.get(key)
        if key == "workload":
            name = value.get("name") if isinstance(value, Mapping) else value
            if isinstance(given, Mapping) and given.get("name") == name:
                value = {**given, **value} if isinstance(value, Mapping) else given
            asked[key] = value
        elif key in _MEANT and given and value:
            for name, each in mapping(key, value).items():
                asked[key] = _with(asked, key, _MEANT[key], name, each)
        else:
            asked[key] = value


_MEANT: Mapping[str, Callable[[str], str | None]] = {
    "cluster": cluster_parameter,
    "virtual": virtual_parameter,
}


def overlay_settings(asked: dict[str, object], settings: Iterable[str]) -> None:
    """Put ``--set NAME=VALUE`` over the spec: parameters of the cluster, of the virtual network, and of the
    workload. Raises UsageError."""
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {setting}", "It must be NAME=VALUE, such as --set checkpoint_interval=4")
        value = _value(text)
        if cluster_parameter(name):
            asked["cluster"] = _with(asked, "cluster", cluster_parameter, name, value)
        elif virtual_parameter(name):
            asked["virtual"] = _with(asked, "virtual", virtual_parameter, name, value)
        else:
            asked["workload"] = _workload_with(asked.get("workload") or "kv", name, value)


def _value(text: str) -> object:
    """As in a file, and ``1e-3`` is a number, too: for YAML it would need a dot."""
    if _POWER_OF_TEN.fullmatch(text):
        return float(text)
    try:
        return _load(text)
    except ValueError:
        return text


def _with(
    asked: dict[str, object], key: str, meant: Callable[[str], str | None], name: str, value: object
) -> Mapping[str, object]:
    """That mapping with this value, in the place of any other name for the same."""
    given = mapping(key, asked.get(key) or {})
    kept = {
        other: old
        for other, old in given.items()
        if other != name and (meant(name) is None or meant(other) != meant(name))
    }
    return kept | {name: value}


def _workload_with(workload: object, name: str, value: object) -> Mapping[str, object]:
    given = {"name": workload} if isinstance(workload, str) else dict(mapping("workload", workload))
    chosen = WORKLOADS.get(str(given.get("name")))
    known = [parameter.name for parameter in chosen.parameters] if chosen else []
    if chosen and name not in known:
        everything = ["K", "L", *cluster_defaults(), *VIRTUAL_NAMES, *known]
        raise UsageError(
            f"--set {name}: no such parameter" + nearest(name, everything),
            f"Of the cluster: K, L, {', '.join(cluster_defaults())}\n"
            f"Of the virtual network (--world sim, lockstep): {', '.join(VIRTUAL_NAMES)}\n"
            f"Of workload {chosen.name}: {', '.join(known)}",
        )
    return given | {name: value}


def _load(text: str) -> object:
    """YAML without what makes a small file big or says a thing twice. Raises ValueError."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Refuses a key that is there twice; merge keys (<<) are no part of a spec."""

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            for place, key in enumerate(keys):
                if key in keys[:place]:
                    line = node.start_mark.line + 1
                    raise ValueError(f"the key {key!r:.60} is given twice (in the mapping of line {line})")

    try:
        data = Loader(text).get_single_data()
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{error}") from None
    left = [data]
    for _ in range(MAX_VALUES):
        if not left:
            return data
        value = left.pop()
        left += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    raise ValueError(f"its aliases make more than {MAX_VALUES} values of it")
