"""Run folders: making one, finding one, and the manifest that seals one.

``runs/<utc>-<name>-s<seed>/``. A folder is never overwritten; two runs of one second get different names.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from checker.files import read_regular
from checker.seal import JUDGEMENT, broken_seals
from harness.errors import HarnessError, TraitorError, UsageError

if TYPE_CHECKING:
    from datetime import datetime

MANIFEST_SCHEMA = "traitor/manifest/1"
NOT_SEALED = ("manifest.json", "report.html")
MARKS = ("plan.json", "history.jsonl", "run.json")
"""A folder with one of these is a run."""
_ROOT = Path(__file__).resolve().parents[1]


def make_run_folder(out: Path, name: str, seed: int | None, now: datetime | str) -> Path:
    """A new empty folder. ``now``: UTC, or what it says of that in the name already.

    Raises UsageError when ``out`` is no place for one.
    """
    begins = now if isinstance(now, str) else f"{now:%Y%m%dT%H%M%SZ}"
    base = f"{begins}-{name}" + ("" if seed is None else f"-s{seed}")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, 1000):
            folder = out / (base if attempt == 1 else f"{base}-{attempt}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
    except OSError as error:
        raise storage_error(f"cannot make a run folder in {out}", error) from None
    raise HarnessError(f"{out} holds a thousand runs called {base}", "Choose another place with --out DIR.")


def storage_error(what: str, error: OSError) -> TraitorError:
    """A full disk is the machine's fault, a wrong place the user's."""
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        return HarnessError(
            f"{what}: {error.strerror}", "Free some space, or choose another place with --out DIR."
        )
    return UsageError(f"{what}: {error.strerror}", "Choose a folder that you may write to: --out DIR.")


def find_run(path: Path) -> Path:
    """The run folder a user means. Raises UsageError when it is none."""
    try:
        if not path.exists():
            raise UsageError(f"{path} does not exist", "See the runs there are: traitor list")
        if not path.is_dir():
            raise UsageError(f"{path} is not a folder", "Name a run folder, such as runs/<utc>-kv-s7.")
        if not any((path / mark).exists() for mark in MARKS):
            raise UsageError(
                f"{path} is not a run folder: it has none of {', '.join(MARKS)}", "See: traitor list"
            )
        os.listdir(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "Ask its owner for permission.") from None
    return path


def read_object(path: Path) -> Mapping[str, object]:
    """A JSON object, or an empty one when there is none to read."""
    try:
        value = json.loads(read_regular(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def printable(value: object) -> str:
    """Hostile text for a terminal: one line, no control characters, not endless."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))[:300]


@dataclass(frozen=True, slots=True)
class Origin:
    """How a run came to be."""

    name: str
    seed: int
    command: str
    reproduce: str


def seal(folder: Path, origin: Origin) -> None:
    """Write ``manifest.json``: what made this run, and the sha256 of every file. Raises HarnessError."""
    import platform  # these two take a while to import, and most commands seal nothing

    from harness.run_record import write_json

    version, commit = code()
    write_json(
        folder / "manifest.json",
        {
            "schema": MANIFEST_SCHEMA,
            "name": origin.name,
            "seed": origin.seed,
            "command": origin.command,
            "reproduce": origin.reproduce,
            "version": version,
            "commit": commit,
            "environment": {
                "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
                "python": platform.python_version(),
                "cores": os.cpu_count(),
            },
            "files": hash_files(folder),
        },
    )


def seal_again(folder: Path) -> None:
    """When the run is over: the same manifest with the hashes of everything that is there now."""
    _reseal(folder, lambda _: hash_files(folder))


def seal_judgement(folder: Path) -> None:
    """After judging again: new hashes of what a judgement writes.

    What the run recorded keeps the hash it had, so that a change stays visible.
    """

    def judged(sealed: Mapping[str, object]) -> dict[str, object]:
        recorded = {name: digest for name, digest in sealed.items() if name not in JUDGEMENT}
        now = hash_files(folder, [folder / name for name in JUDGEMENT])
        return dict(sorted((recorded | now).items()))

    _reseal(folder, judged)


def changed_judgement(folder: Path) -> list[str]:
    """Names of files that a judgement wrote, and that are no longer as they were sealed."""
    broken = broken_seals(folder, but=frozenset())
    return [seal.file for seal in broken if seal.file in JUDGEMENT]


def _reseal(folder: Path, hashes: Callable[[Mapping[str, object]], Mapping[str, object]]) -> None:
    from harness.run_record import write_json

    manifest = dict(read_object(folder / "manifest.json"))
    files = manifest.get("files")
    if manifest.get("schema") == MANIFEST_SCHEMA:
        write_json(
            folder / "manifest.json",
            manifest | {"files": hashes(files if isinstance(files, dict) else {})},
        )


def hash_files(folder: Path, paths: Iterable[Path] | None = None) -> dict[str, str]:
    """Path -> sha256, of all that is sealed, or of these, in order."""
    hashes = {}
    for path in sorted(folder.rglob("*") if paths is None else paths):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.is_symlink() and name not in NOT_SEALED:
            try:
                with path.open("rb") as file:
                    hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise HarnessError(
                    f"cannot read {path}: {error.strerror}", "Is another user's file in it?"
                ) from None
    return hashes


def utc_now() -> datetime:
    """For names and for people; nothing is measured with it."""
    from datetime import UTC, datetime

    return datetime.now(UTC)


def code() -> tuple[str, str | None]:
    """Which code is running: version, and commit as in the manifest."""
    return _version(), _commit()


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("traitor")
    except metadata.PackageNotFoundError:
        return "unknown"


def _commit() -> str | None:
    """Of the checkout this runs from, with ``+`` when it was changed since."""
    import subprocess

    try:
        commit = _git("rev-parse", "HEAD")
        return commit + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*arguments: str) -> str:
    import subprocess

    command = ["git", "-C", str(_ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
