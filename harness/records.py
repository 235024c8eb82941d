"""What the same plan and seed fix, byte for byte, in a virtual world: the history and every process's trace.

Of a run that somebody names, it is also asked whether its files are still those of the run, and whether the
same code made it: only then does a difference accuse Traitor.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from checker.seal import broken_seals
from harness import store
from harness.errors import UsageError
from harness.twin_folders import twins_of


def hash_records(folder: Path, nodes: int) -> dict[str, str]:
    """Name of file -> sha256, of those that are there. A twin's trace is a trace, too."""
    names = [name for replica in range(nodes) for name in (str(replica), *twins_of(folder, replica))]
    traces = [folder / "replicas" / name / "trace.jsonl" for name in names]
    return store.hash_files(folder, [folder / "history.jsonl", *traces])


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the files that are not alike, or there in one only."""
    return tuple(sorted(name for name in {**one, **other} if one.get(name) != other.get(name)))


def check_untouched(folder: Path, manifest: Mapping[str, object], found: Mapping[str, str]) -> None:
    """Raises UsageError when a file is not what its manifest says. A folder without one is believed."""
    files = manifest.get("files")
    sealed = files if isinstance(files, dict) else {}
    for name, digest in found.items():
        if name in sealed and sealed[name] != digest:
            hint = "Take the folder as the run left it."
            if name == "plan.json":
                hint = f"To run an edited plan: traitor run --plan {folder / name}"
            raise UsageError(f"{folder / name} was changed after its run", hint)


def check_all_untouched(folder: Path) -> None:
    """The same of every sealed file but what judging wrote, for who reads more than plan and records."""
    for seal in broken_seals(folder):
        if not seal.forbidden:
            raise UsageError(f"{folder}: {seal.told}", "Take the folder as the run left it.")


def other_code(manifest: Mapping[str, object]) -> str | None:
    """Which code made the run, in words, when it is not known to be the one that is running."""
    made, now = (manifest.get("version"), manifest.get("commit")), store.code()
    if made == now:
        return None
    told = f"version {store.printable(made[0])}, commit {store.printable(made[1])[:41]}"
    if now[1] is None:
        told += " (which commit is running now, git does not tell: is it installed, is the checkout yours?)"
    return told
