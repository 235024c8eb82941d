"""The signed run of `signed_run` in which chosen messages reached replicas, too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from guilty_messages import Cast
from signed_run import SignedRun, clients_entry, clients_header

from checker.folder import read_folder
from checker.judges import accountability, agreement
from checker.limits import Limits
from checker.verdict import Line


class AccusedRun(SignedRun):
    """`say` gives what reached replica 3, `to_clients` what reached the clients; `liars` are the ledger's."""

    def __init__(self, auth: str = "sign", liars: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.cluster = replace(self.cluster, auth=auth)
        self.genesis = replace(self.genesis, cluster=self.cluster)
        self.cast = Cast(self.cluster, self.genesis)
        self.messages: list[bytes] = []
        self.to_clients: list[bytes] = []
        self.ledger["byzantine"] = list(liars)
        self.ledger["safety_demanded"] = len(liars) <= 1
        self.disagree = False

    def datagrams(self, replica: int) -> list[bytes]:
        seal = self.cast.seal(2)
        more = [piece for raw in self.messages for piece in seal.fragments(3, raw)] if replica == 3 else []
        return [*super().datagrams(replica), *more]

    def write(self, path: Path) -> Path:
        if self.disagree:
            line = next(one for one in self.traces[3] if one["e"] == "committed" and one["seq"] == 7)
            line["digest"] = "77" * 32
        super().write(path)
        if self.to_clients:
            entries = [clients_entry(5, 1, raw) for raw in self.to_clients]
            (path / "clients.journal").write_bytes(clients_header(self.cluster) + b"".join(entries))
        return path


def judged(run: AccusedRun, path: Path, limits: Limits | None = None) -> tuple[Line, dict]:
    """The line, and the evidence if there is any; of the other judges only agreement is heard."""
    folder = read_folder(run.write(path))
    lines = {"agreement": agreement.judge(folder, Limits())}
    line, evidence = accountability.judge(folder, limits or Limits(), lines)
    return line, evidence.to_json() if evidence is not None and evidence.proofs else {}


Change = Callable[[dict], object]
