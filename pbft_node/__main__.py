"""``python -m pbft_node``: run a replica by hand, make a small cluster, call it. ``--help`` says how.

A replica's start is kept lean (a restart must be quick): nothing else is imported for it.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """The exit code."""
    match arguments:
        case ["--config", path, *rest] | ["--silent", "--config", path, *rest] if rest in ([], ["--silent"]):
            from . import node

            return node.main(Path(path), silent="--silent" in (arguments[0], *rest))
        case ["--lockstep", number, "--config", path, *rest] if number.isdecimal() and rest in (
            [],
            ["--silent"],
        ):
            from . import lockstep

            return lockstep.main(Path(path), int(number), silent=bool(rest))
        case ["--nursery", number, parent] if _number(number) and _number(parent):
            from . import nursery

            return nursery.main(int(number), int(parent))
    from . import by_hand

    return by_hand.main(arguments)


def _number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
