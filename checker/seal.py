"""Are the files of a run still as the run left them? `manifest.json` names each with its sha256.

What a judgement writes is left out: judging again replaces it. A folder without a manifest was never sealed,
so there is nothing to compare; a manifest that cannot be read is a trouble like any other file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from checker.fields import Unreadable, parse_object
from checker.files import read_regular

JUDGEMENT = frozenset(
    {
        "verdict.json",
        "witness.jsonl",
        "counterexample.json",
        "recheck.py",
        "evidence/accountability.json",
    }
)
_SCHEMA = "traitor/manifest/1"


@dataclass(frozen=True, slots=True)
class Broken:
    """A seal that does not hold."""

    file: str
    told: str
    """In a sentence."""
    forbidden: bool = False
    """The file is there, and whoever looks may not read it: nobody knows."""


def broken_seals(folder: Path, but: frozenset[str] = JUDGEMENT) -> Iterator[Broken]:
    """Of every sealed file that is gone, changed, or not to be read, `but` these."""
    try:
        manifest = parse_object(read_regular(folder / "manifest.json"))
    except FileNotFoundError:
        return
    except OSError as error:
        yield Broken("manifest.json", f"manifest.json cannot be read: {error.strerror}")
        return
    except Unreadable as error:
        yield Broken("manifest.json", f"manifest.json is malformed: {error}")
        return
    files = manifest.get("files")
    if manifest.get("schema") != _SCHEMA or not isinstance(files, dict):
        told = f"manifest.json is malformed: no schema {_SCHEMA}, or no files"
        yield Broken("manifest.json", told)
        return
    for name, digest in files.items():
        if name not in but and (problem := _compared(folder, name, digest)):
            yield problem


def _compared(folder: Path, name: str, digest: object) -> Broken | None:
    place = PurePosixPath(name)
    if place.is_absolute() or ".." in place.parts or "\0" in name:
        return Broken(name, f"manifest.json names {name!a:.60}, which is outside the run")
    try:
        found = hashlib.sha256(read_regular(folder / place)).hexdigest()
    except OSError as error:
        told = f"{name!a:.60} was sealed by manifest.json and cannot be read: {error.strerror}"
        return Broken(name, told, forbidden=isinstance(error, PermissionError))
    if found != digest:
        told = f"{name!a:.60} was changed after the run: its sha256 is not the one in manifest.json"
        return Broken(name, told)
    return None
