"""A signed run with the journal of its clients, judged and sealed: all that an audit looks at."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from signed_run import SignedRun, clients_entry, clients_header

from checker.audit_run import program
from checker.audit_run.findings import Audit, Finding
from checker.judge import judge_run
from checker.limits import Limits
from checker.results import write_results
from pbft_node.core.operations import encode_fields
from pbft_node.core.seal import Seal
from workloads.encoding import pack

Change = Callable[[list[bytes]], list[bytes]]


class AuditedRun(SignedRun):
    """Replicas 0 and 1 answered every operation, and 2 half of them, with the digest only."""

    def __init__(self, auth: str = "hybrid") -> None:
        super().__init__()
        self.cluster = replace(self.cluster, auth=auth)
        self.genesis = replace(self.genesis, cluster=self.cluster)
        self.change_clients: Change = lambda frames: frames
        """Done to the entries of clients.journal."""
        self.late_ns = 0
        """By so much each reply is."""

    def result(self, f: str, output: object) -> bytes:
        if f == "put":
            return encode_fields(b"ok")
        return encode_fields(b"ok", str(output).encode()) if output is not None else encode_fields(b"nil")

    def reply(self, replica: int, client: int, timestamp: int, result: bytes, *, whole: bool = True) -> bytes:
        seal = Seal(self.cluster, replica, self.genesis.replica_keyring(replica))
        return seal.reply(client, 0, timestamp, result, whole=whole)

    def clients_entries(self) -> list[bytes]:
        entries = []
        for event in sorted(self.events, key=lambda e: (e[0], e[2] == "invoke")):
            time, _, kind, f, given, output, client, timestamp, _ = event
            if kind == "invoke":
                operation = pack(f, "k", *([] if given is None else [given]))
                entries.append(clients_entry(time, 3, struct.pack(">IBI", client, 2, 0) + operation))
            elif kind == "ok":
                result = self.result(f, output)
                for replica in (0, 1, 2)[: 2 + timestamp % 2]:
                    data = self.reply(replica, client, timestamp, result, whole=replica == 0)
                    entries.append(clients_entry(time + self.late_ns, 1, data))
        return entries

    def write(self, path: Path) -> Path:
        super().write(path)
        entries = self.change_clients(self.clients_entries())
        (path / "clients.journal").write_bytes(clients_header(self.cluster) + b"".join(entries))
        judge_and_seal(path)
        return path


def judge_and_seal(path: Path) -> None:
    """As `traitor run` ends."""
    seal(path)  # the judge looks at the seals
    write_results(judge_run(path), path)
    seal(path)


def seal(path: Path) -> None:
    """Every file as it is now."""
    files = {
        file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != "manifest.json"
    }
    manifest = {"schema": "traitor/manifest/1", "files": files}
    (path / "manifest.json").write_text(json.dumps(manifest))


def audited(folder: Path, **more: int) -> Audit:
    return program.audit(folder, Limits(), **more)


def found(audit: Audit, what: str) -> Finding:
    return next(finding for finding in audit.findings if finding.what == what)


def results(audit: Audit) -> dict[str, str]:
    return {finding.what: finding.result for finding in audit.findings}


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def put_lines(path: Path, content: list[dict]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in content))
