"""Is everybody whom `evidence/accountability.json` convicts guilty, and is nobody left out who is?

Each proof is shown again from its bytes and the public keys (`checker.forensics.verify`); then the culprits
are compared with those of the search that came with judging again.
"""

from __future__ import annotations

from pathlib import Path

from checker.audit_run.findings import Finding
from checker.fields import Unreadable, parse_object
from checker.files import read_regular
from checker.forensics.evidence import PLACE
from checker.forensics.rules import WITHIN_F
from checker.forensics.verify import Checked, check_evidence
from checker.judges import accountability
from checker.numbers import counted, replicas
from checker.public_keys import NoOpenSSL, PublicKeys
from checker.verdict import Verdict

NAME = "guilt"


def check_guilt(folder: Path, keys: PublicKeys | None, now: Verdict) -> Finding:
    """`now`: the run judged again."""
    line, evidence = now.line(accountability.NAME), now.evidence
    there = (folder / PLACE).exists()
    found = {culprit for culprit, _ in evidence.counts} if evidence is not None else set()
    if not there:
        if found:
            return Finding(NAME, "wrong", f"{PLACE} is missing, and {_replicas(found)} can be proved guilty")
        if evidence is None:
            return Finding(NAME, "on trust", f"accountability is {line.verdict}: {line.reason}")
        messages = counted(int(str(evidence.searched["messages"])), "signed message")
        told = f"nobody is proved guilty by {messages}, nor said to be"
        return Finding(NAME, "verified", told, (f"{messages}, compared",))
    if keys is None:
        return Finding(NAME, "unchecked", "the public keys cannot be read")
    try:
        checked = check_evidence(parse_object(read_regular(folder / PLACE)), keys)
    except OSError as error:
        return Finding(NAME, "unchecked", f"{PLACE} cannot be read: {error.strerror}")
    except Unreadable as error:
        return Finding(NAME, "wrong", f"{PLACE} is malformed: {error}")
    except NoOpenSSL as error:
        return Finding(NAME, "unchecked", f"signatures cannot be verified: {error}")
    return _compared(checked, found, evidence is not None)


def _compared(checked: Checked, found: set[int], searched: bool) -> Finding:
    if checked.problems:
        return Finding(NAME, "wrong", f"{PLACE}: {'; '.join(checked.problems[:5])}")
    proved = set(checked.proved)
    if searched and proved != found:
        told = f"{PLACE} convicts {_replicas(proved)}; by the messages recorded it is {_replicas(found)}"
        return Finding(NAME, "wrong", told)
    found_again = sum(map(len, checked.proved.values()))
    proofs = counted(found_again, "proof")
    each, their = ("", "its") if found_again == 1 else ("each ", "their")
    told = f"{proofs} against {_replicas(proved)}, {each}shown again from its bytes and the public keys"
    loose = checked.loose()
    if loose:
        told += f" (of {_replicas(loose)} this holds {WITHIN_F})"
    if not searched:
        return Finding(NAME, "unchecked", f"{told}; the messages recorded could not be searched")
    return Finding(NAME, "verified", told, (f"{proofs} of guilt, from {their} bytes",))


def _replicas(which: set[int]) -> str:
    return replicas(which) if which else "nobody"
