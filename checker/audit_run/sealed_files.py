"""Are the files those that `manifest.json` names? All of them, the judgement's own included.

Nothing signs the manifest: who changes a file can renew its hash there. So its own sha256 is shown, to be
compared with what was noted elsewhere. Files that it does not name are listed, and nobody vouches for them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from checker.audit_run.findings import Finding, OnTrust, listed
from checker.fields import Unreadable, parse_object
from checker.files import read_regular
from checker.seal import broken_seals

NAME = "files"
_NOT_SEALED = frozenset({"manifest.json", "report.html"})
_MOST_FILES = 100_000


def check_files(folder: Path) -> tuple[Finding, list[OnTrust]]:
    """Every hash."""
    try:
        content = read_regular(folder / "manifest.json")
        files = parse_object(content).get("files")
    except (OSError, Unreadable) as error:
        why = error.strerror if isinstance(error, OSError) else error
        told = f"manifest.json cannot be read ({why}): nobody knows what the files were"
        return Finding(NAME, "unchecked", told), []
    broken = list(broken_seals(folder, but=frozenset()))
    wrong = [seal.told for seal in broken if not seal.forbidden]
    if wrong:
        return Finding(NAME, "wrong", "; ".join(wrong[:10])), []
    sealed = files if isinstance(files, dict) else {}
    if broken:
        told = (
            f"you may not read {len(broken)} of the {len(sealed)} files that manifest.json names, such as "
            f"{broken[0].file!a:.60}; the others have its sha256"
        )
        return Finding(NAME, "unchecked", told), []
    digest = hashlib.sha256(content).hexdigest()
    told = f"{len(sealed)} files have the sha256 that manifest.json names"
    trust = [
        OnTrust("manifest.json", f"nothing signs it; its sha256 is {digest}, compare it with one you noted")
    ]
    others = [name for name in _names(folder) if name not in sealed and name not in _NOT_SEALED]
    if others:
        trust.append(OnTrust(f"{len(others)} other files", f"not in manifest.json: {listed(others)}"))
    if (folder / "report.html").exists():
        trust.append(
            OnTrust("report.html", "it is drawn from the other files; `traitor report` draws it again")
        )
    return Finding(NAME, "verified", told, (f"{len(sealed)} files, by sha256",)), trust


def _names(folder: Path) -> Iterator[str]:
    """Of regular files, relative, in order; no link is followed."""
    seen = 0
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            seen += 1
            if seen > _MOST_FILES:
                return
            path = Path(place) / name
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(folder).as_posix()
