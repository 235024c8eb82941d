"""`python -m checker.forensics EVIDENCE KEYS`: exit code 0 every proof verified, 1 not, 2 wrong use."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from checker.fields import Unreadable, parse_object
from checker.files import read_regular
from checker.forensics.verify import check_evidence
from checker.public_keys import NoOpenSSL, public_keys_in

VERIFIED, NOT_VERIFIED, WRONG_USE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify, print; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m checker.forensics", description="Verify who is proved guilty, from the bytes alone."
    )
    parser.add_argument("evidence", type=Path, metavar="EVIDENCE", help="evidence/accountability.json")
    parser.add_argument("keys", type=Path, metavar="KEYS", help="keys/public.json")
    options = parser.parse_args(arguments)
    try:
        document = parse_object(read_regular(options.evidence))
        checked = check_evidence(document, public_keys_in(read_regular(options.keys)))
    except (Unreadable, NoOpenSSL) as error:
        print(_plain(f"it cannot be verified: {error}"), file=sys.stderr)
        return WRONG_USE
    except OSError as error:
        print(_plain(f"{error.filename} cannot be read: {error.strerror}"), file=sys.stderr)
        return WRONG_USE
    for problem in checked.problems:
        print(_plain(f"WRONG     {problem}"))
    for culprit, told in sorted(checked.proved.items()):
        print(f"PROVED    replica {culprit}{checked.condition(culprit)}")
        for sentence in dict.fromkeys(told):
            print(_plain(f"          {sentence}"))
    if checked.hashed:
        print("keyed hashes stand in place of signatures: anybody could have made them")
    if not checked.proved:
        print("nobody is proved guilty")
    return NOT_VERIFIED if checked.problems else VERIFIED


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


if __name__ == "__main__":
    sys.exit(main())
