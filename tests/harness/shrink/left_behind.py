"""Whether anything of a search for a smaller plan is still there."""

from __future__ import annotations

import psutil


def left_behind(*, zombies: bool = True) -> list[psutil.Process]:
    """Children of this process, but for the nursery that its other tests may share."""
    found = []
    for child in psutil.Process().children():
        dead = child.status() == psutil.STATUS_ZOMBIE
        if zombies if dead else "--nursery" not in child.cmdline():
            found.append(child)
    return found
