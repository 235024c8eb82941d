"""``python -m pbft_node``: run a replica by hand, make a small cluster, call it. ``--help`` says how.

A replica's start is kept lean (a restart must be quick): nothing else is imported for it.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """The exit code."""
    if arguments[:1] == ["--config"] and arguments[2:] in ([], ["--silent"]) and len(arguments) > 1:
        from . import node

        return node.main(Path(arguments[1]), silent=len(arguments) > 2)
    from . import by_hand

    return by_hand.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
