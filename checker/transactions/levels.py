"""Which anomalies imply which, and which consistency models each rules out.

The relations are the literature's (Adya 1999; Adya, Liskov, O'Neil 2000; Bailis et al. 2014; Cerone,
Bernardi, Gotsman 2015; Daudjee, Salem 2004), the names Elle's. All objects are items, there are no
predicates: so any G2 here is G2-item.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

MODELS: Mapping[str, tuple[str, ...]] = {
    "strict-serializable": ("strong-session-serializable", "strong-snapshot-isolation"),
    "strong-session-serializable": ("serializable", "strong-session-snapshot-isolation"),
    "strong-snapshot-isolation": ("strong-session-snapshot-isolation", "strong-read-committed"),
    "strong-session-snapshot-isolation": ("snapshot-isolation", "strong-session-read-committed"),
    "strong-read-committed": ("strong-session-read-committed", "strong-read-uncommitted"),
    "strong-session-read-committed": ("read-committed", "strong-session-read-uncommitted"),
    "strong-read-uncommitted": ("strong-session-read-uncommitted",),
    "strong-session-read-uncommitted": ("read-uncommitted",),
    "serializable": ("repeatable-read", "snapshot-isolation", "update-serializable"),
    "snapshot-isolation": (
        "forward-consistent-view", "monotonic-atomic-view", "monotonic-snapshot-read",
        "parallel-snapshot-isolation", "prefix",
    ),
    "update-serializable": ("forward-consistent-view",),
    "forward-consistent-view": ("consistent-view",),
    "consistent-view": ("cursor-stability", "monotonic-view"),
    "repeatable-read": ("cursor-stability", "monotonic-atomic-view"),
    "parallel-snapshot-isolation": ("causal-cerone", "ROLA"),
    "prefix": ("causal-cerone",),
    "causal-cerone": ("read-atomic",),
    "ROLA": ("read-atomic",),
    "read-atomic": ("monotonic-atomic-view",),
    "monotonic-atomic-view": ("read-committed",),
    "monotonic-snapshot-read": ("read-committed",),
    "monotonic-view": ("read-committed",),
    "cursor-stability": ("read-committed",),
    "read-committed": ("read-uncommitted",),
    "read-uncommitted": (),
}  # fmt: skip
"""Model -> the weaker models that each history of it satisfies, too. Strongest first."""

FORBIDS: Mapping[str, tuple[str, ...]] = {
    "read-uncommitted": ("G0", "duplicate-elements"),
    "strong-session-read-uncommitted": ("G0-process",),
    "strong-read-uncommitted": ("G0-realtime",),
    "read-committed": ("G1",),
    "strong-session-read-committed": ("G1c-process",),
    "strong-read-committed": ("G1c-realtime",),
    "cursor-stability": ("lost-update",),
    "ROLA": ("lost-update",),
    "read-atomic": ("internal", "future-read"),
    "consistent-view": ("G-single",),
    "repeatable-read": ("G2-item", "lost-update"),
    "snapshot-isolation": ("internal", "G-nonadjacent"),
    "strong-session-snapshot-isolation": ("G-nonadjacent-process",),
    "strong-snapshot-isolation": ("G-nonadjacent-realtime",),
    "serializable": ("G2-item", "internal"),
    "strong-session-serializable": ("G2-item-process",),
    "strict-serializable": ("G2-item-realtime",),
}
"""What each model forbids beyond what the weaker ones do."""

_IMPLIES: dict[str, tuple[str, ...]] = {
    "G0": ("G1c",),
    "G1a": ("G1",),
    "G1b": ("G1",),
    "G1c": ("G1",),
    "G-single": ("G-nonadjacent",),
    "G-nonadjacent": ("G2-item",),
    "lost-update": ("G2-item",),
    "incompatible-order": ("G1a",),
    "dirty-update": ("G1a",),
    "garbage-read": ("G1a",),
    "future-read": ("G1c",),
}


def implied(anomalies: Iterable[str]) -> set[str]:
    """`anomalies`, and all that there are where these are."""
    todo, seen = list(anomalies), set[str]()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += _directly(name)
    return seen


def _directly(name: str) -> list[str]:
    base, suffix = name, ""
    if name.endswith("-realtime"):
        base, suffix = name.removesuffix("-realtime"), "-realtime"
    elif name.endswith("-process"):
        base, suffix = name.removesuffix("-process"), "-process"
    found = [other + suffix for other in _IMPLIES.get(base, ())]
    if not base.startswith("G") or base in ("G1a", "G1b"):
        return found
    # A process does one thing at a time, so its order is one of real time.
    return found + {"": [base + "-process"], "-process": [base + "-realtime"], "-realtime": []}[suffix]


def ruled_out(anomalies: Iterable[str]) -> list[str]:
    """The models that no history with `anomalies` satisfies, strongest first."""
    there = implied(anomalies)
    out = {model for model, forbidden in FORBIDS.items() if there.intersection(forbidden)}
    grew = True
    while grew:
        grew = False
        for model, weaker in MODELS.items():
            if model not in out and out.intersection(weaker):
                out.add(model)
                grew = True
    return [model for model in MODELS if model in out]


def weakest(models: Iterable[str]) -> list[str]:
    """Those of `models` none of which follows another is weaker than."""
    among = set(models)
    return [model for model in MODELS if model in among and not among.intersection(_below(model))]


def strongest_left(models_out: Iterable[str]) -> list[str]:
    """The strongest models that are not ruled out."""
    gone = set(models_out)
    left = [model for model in MODELS if model not in gone]
    covered = {weaker for model in left for weaker in _below(model)}
    return [model for model in left if model not in covered]


def _below(model: str) -> set[str]:
    todo, seen = list(MODELS[model]), set[str]()
    while todo:
        weaker = todo.pop()
        if weaker not in seen:
            seen.add(weaker)
            todo += MODELS[weaker]
    return seen
