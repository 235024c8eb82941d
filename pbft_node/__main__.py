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
    from . import by_hand

    return by_hand.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
