"""What folders of twins are called: ``replicas/0-twin``, the next one of the same replica ``0-twin-2``."""

from __future__ import annotations

import re
from pathlib import Path

_NAME = re.compile(r"([0-9]{1,4})-twin(?:-([1-9][0-9]{0,5}))?", re.ASCII)


def twin_folder(replica: int, nth: int) -> str:
    """Of its nth twin, from 1."""
    return f"{replica}-twin" if nth == 1 else f"{replica}-twin-{nth}"


def is_twin(name: str, replica: int) -> bool:
    """Is it the name of a folder of one of its twins?"""
    found = _NAME.fullmatch(name)
    return found is not None and name == twin_folder(replica, int(found[2] or 1))


def twins_of(run: Path, replica: int) -> list[str]:
    """Names of the folders of a replica's twins that began to work, in the order in which it had them."""
    found = (path.parent.name for path in (run / "replicas").glob(f"{twin_folder(replica, 1)}*/trace.jsonl"))
    return sorted((name for name in found if is_twin(name, replica)), key=lambda name: (len(name), name))
