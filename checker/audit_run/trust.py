"""What no check of a folder can show. Listed with every audit, so that nobody takes it for verified."""

from __future__ import annotations

from checker.audit_run.findings import OnTrust
from checker.public_keys import PublicKeys


def always(virtual: bool, keyed_hash: bool, keys: PublicKeys | None) -> list[OnTrust]:
    """For any run."""
    clock = "virtual time" if virtual else "one machine's monotonic clock, as harness and replicas read it"
    found = [
        OnTrust(
            "the harness",
            "that it recorded what happened: history, faults, ledger (who was bad, who was Byzantine)",
        ),
        OnTrust("all times", clock),
        OnTrust(
            "the traces",
            "a replica wrote its own. `traitor replay` shows whether each follows from the replica's journal",
        ),
        OnTrust(
            "the keys",
            "test keys: secrets follow from the plan's seed and lie in config.json. Who has the folder could "
            "have made every signature: they bind the parts of a run to each other, to nothing else",
        ),
        OnTrust("the judge", "this checker, its models, Python, and OpenSSL for signatures"),
    ]
    if keyed_hash:
        found.append(
            OnTrust("signatures", "signer keyed-hash: hashes stand in their place, which anybody can make")
        )
    if keys is not None and keys.client_auth == "mac":
        why = "client_auth mac: requests carry MACs, which a replica could have made itself"
        found.append(OnTrust("who sent the requests", why))
    return found
