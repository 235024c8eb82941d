"""Machinery without machines: every wish comes true when the test says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nemesis.machinery import Link, ProcessState


@dataclass
class Node:
    """A process: its state, and what was asked of it but has not happened."""

    state: str = "running"
    incarnation: int = 1
    detail: dict[str, object] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    up: bool | None = None


class FakeMachinery:
    """``settle`` lets everything asked for happen; until then nothing changes but cuts, which are atomic."""

    def __init__(
        self,
        n: int = 4,
        capabilities: frozenset[str] = frozenset(
            {"kill", "pause", "cut", "packets", "clocks", "disks", "twins"}
        ),
    ) -> None:
        self.n, self.f = n, (n - 1) // 3
        self.capabilities = capabilities
        self.nodes = [Node() for _ in range(n)]
        self.cuts: dict[str, frozenset[Link]] = {}
        self.dropped: dict[Link, int] = {}
        self.primary = 0
        self.broken_firewall = False
        self.rules: dict[str, list[Mapping[str, object]]] = {}
        self.matched: dict[str, int] = {}
        self.held = 0
        self.clocks: dict[int, tuple[int, int, int]] = {}
        self.silent: dict[int, bool] = {}
        self.expected: dict[int, frozenset[int]] = {}
        self.harmed: list[tuple[int, str, float]] = []
        self.broken: dict[int, str] = {}
        self.clocks_told: set[int] = set()
        self.twins: dict[int, ProcessState] = {}
        self.partitions: dict[int, tuple[frozenset[int], str, str]] = {}

    def now_ns(self) -> int:
        return 0

    def kill(self, replica: int) -> None:
        self.nodes[replica].asked.append("kill")

    def restart(self, replica: int, *, silent: bool = False) -> None:
        self.nodes[replica].asked.append("restart")
        self.silent[replica] = silent

    def expect_exits(self, replica: int, codes: frozenset[int]) -> None:
        self.expected[replica] = codes

    def harm_log(self, replica: int, mode: str, keep: float) -> Mapping[str, object]:
        assert self.nodes[replica].state == "dead", "the log of a process that runs"
        self.harmed.append((replica, mode, keep))
        return {"lost_records": 3}

    def break_disk(self, replica: int, how: str) -> None:
        self.broken[replica] = how
        self.nodes[replica].asked.append("refuse")

    def mend_disk(self, replica: int) -> None:
        del self.broken[replica]

    def pause(self, replica: int) -> None:
        self.nodes[replica].asked.append("pause")

    def resume(self, replica: int) -> None:
        self.nodes[replica].asked.append("resume")

    def move_clock(self, replica: int, *, wall_ns: int, jump_ns: int, rate: int) -> None:
        self.clocks[replica] = (wall_ns, jump_ns, rate)
        self.clocks_told.discard(replica)

    def told_clock(self, replica: int) -> Mapping[str, object] | None:
        if replica not in self.clocks_told:
            return None
        wall_ns, jump_ns, rate = self.clocks[replica]
        return {"t_ns": 5, "own_ns": 5 + max(0, jump_ns), "rate": rate, "wall_ns": 5 + wall_ns}

    def start_twin(self, replica: int, *, peers: frozenset[int], clients: str, log: str) -> None:
        self.partitions[replica] = (peers, clients, log)
        detail = {
            "folder": f"replicas/{replica}-twin",
            "heard_by": {"first": {}, "twin": {}},
            "diverged": None,
        }
        self.twins[replica] = ProcessState(replica, None, "running", 1, detail, False)

    def stop_twin(self, replica: int) -> None:
        self.twins.pop(replica, None)

    def twin(self, replica: int) -> ProcessState | None:
        return self.twins.get(replica)

    def twin_says(self, replica: int, first: str, twin: str, differs: bool, state: str = "running") -> None:
        """Who heard the two, and whether they said two things."""
        detail = {
            "folder": f"replicas/{replica}-twin",
            "heard_by": {"first": {first: 1, "clients": 1}, "twin": {twin: 1, "clients": 1}},
            "diverged": {"what": "proposal", "view": 0, "seq": 7} if differs else None,
        }
        self.twins[replica] = ProcessState(replica, None, state, 1, detail, True)

    def settle(self) -> None:
        for twin in list(self.twins):
            self.twin_says(twin, "r1", "r2", True)
        self.clocks_told |= set(self.clocks)
        for owner, rules in self.rules.items():
            self.matched[owner] = self.matched.get(owner, 0) + len(rules)
        for node in self.nodes:
            for wish in node.asked:
                if wish == "restart" and node.state == "dead":
                    node.state, node.detail = "running", {}
                    node.incarnation += 1
                elif wish == "kill" and node.state != "dead":
                    node.state, node.detail = "dead", {"exit_signal": 9, "exit_code": None}
                elif wish == "refuse" and node.state != "dead":
                    node.state, node.detail = "dead", {"exit_signal": None, "exit_code": 4}
                elif wish in ("pause", "resume") and node.state != "dead":
                    node.state = "stopped" if wish == "pause" else "running"
                    node.detail = {"state_letter": "T" if wish == "pause" else "S"}
            node.asked.clear()

    def crash(self, replica: int) -> None:
        self.nodes[replica].state = "dead"
        self.nodes[replica].detail = {"exit_signal": None, "exit_code": 1}

    def process(self, replica: int) -> ProcessState:
        node = self.nodes[replica]
        pid = None if node.state == "dead" else 1000 * node.incarnation + replica
        return ProcessState(replica, pid, node.state, node.incarnation, dict(node.detail), node.up)

    def cut(self, owner: str, links: frozenset[Link]) -> None:
        self.cuts[owner] = links
        self.dropped = {link: self.dropped.get(link, 0) for link in self._wanted()}

    def blocked(self) -> Mapping[Link, int]:
        return {} if self.broken_firewall else dict(self.dropped)

    def packet(self, source: str, target: str) -> bool:
        """Send one; did it pass?"""
        link = Link(source, target)
        if link in self.dropped:
            self.dropped[link] += 1
            return False
        return True

    def tamper(self, owner: str, rules: Sequence[Mapping[str, object]]) -> None:
        self.rules[owner] = list(rules)

    def tampered(self, owner: str) -> Mapping[str, object]:
        matched = self.matched.get(owner, 0)
        did = {"final": matched > 0, "recorded": 100, "replayed": matched}
        rules = [did for _ in self.rules.get(owner, ())]
        return {"in_force": bool(rules), "matched": matched, "held": self.held, "rules": rules}

    def primary_hint(self) -> int:
        return self.primary

    def _wanted(self) -> frozenset[Link]:
        return frozenset().union(*self.cuts.values())
